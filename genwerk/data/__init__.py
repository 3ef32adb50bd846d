"""Data: what a source is, and how any source becomes examples to train on and examples to test on."""

from typing import Any

from genwerk.data.dataset import DataConfig, Dataset, Skipped, Splits
from genwerk.data.sources import BUILT_INS, open_data

__all__ = ["DataConfig", "Dataset", "Splits", "Skipped", "open_data", "BUILT_INS"]


def __getattr__(name: str) -> Any:
    if name == "Data":
        import genwerk

        return genwerk.Data
    raise AttributeError(f"module 'genwerk.data' has no attribute {name!r}")
