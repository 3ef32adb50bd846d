"""Every registered recipe, trained for a moment on made-up data of the kind it is shown with."""

from __future__ import annotations

from pathlib import Path

import torch

from genwerk.core.model import Model
from genwerk.recipes import REGISTRY
from genwerk.testing.case import Case, case, double_precision, fresh, prepared, unmagnified, without_dropout
from genwerk.training.trainer import Trainer

__all__ = [
    "REGISTRY",
    "Case",
    "Trainer",
    "case",
    "double_precision",
    "fresh",
    "prepared",
    "store_end",
    "unmagnified",
    "without_dropout",
]


def store_end(folder: str, name: str, model: Model) -> None:
    torch.save({k: v.double() for k, v in model.state_dict().items()}, Path(folder) / f"{name}.pt")
