"""Data: what a source is, and how any source becomes examples to train on and examples to test on.

Names are imported when they are first used: the settings alone do not load torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwerk.data.dataset import Dataset, Skipped, Splits
    from genwerk.data.settings import DataConfig
    from genwerk.data.sources import BUILT_INS, open_data

__all__ = ["DataConfig", "Dataset", "Splits", "Skipped", "open_data", "BUILT_INS"]

_HOMES = {"DataConfig": "settings", "BUILT_INS": "sources", "open_data": "sources"}


def __getattr__(name: str) -> Any:
    import importlib

    if name in __all__:
        return getattr(importlib.import_module(f"genwerk.data.{_HOMES.get(name, 'dataset')}"), name)
    if name == "Data":
        import genwerk

        return genwerk.Data
    raise AttributeError(f"module 'genwerk.data' has no attribute {name!r}")
