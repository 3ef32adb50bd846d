"""Data: what a source is, and how any source becomes examples to train on and examples to test on."""

from genwerk.data.dataset import DataConfig, Dataset, Skipped, Splits
from genwerk.data.sources import BUILT_INS, open_data

__all__ = ["DataConfig", "Dataset", "Splits", "Skipped", "open_data", "BUILT_INS"]
