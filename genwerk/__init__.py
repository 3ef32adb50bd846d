"""Genwerk: every family of deep generative model behind one library and one command.

Three depths, each a thin wrapper of the next::

    run = genwerk.train("vae", data="photos/", out="runs/photos", seed=0)
    recipe = dataclasses.replace(genwerk.recipe("vae"), ...)
    trainer = Trainer(VAE(VAEConfig(latent=32), spec), data, Train(rounds=5000))

Names are imported when they are first used, so that ``import genwerk`` costs next to nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    # Threads that wait for one another spin by default. Where other programs use the cores too, that keeps the thread
    # waited for from running, and training is many times slower (benchmarks/busy.py). OpenMP reads this with torch.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

if TYPE_CHECKING:
    from genwerk.abilities import abilities
    from genwerk.classification import classify
    from genwerk.data import Data, Dataset, Splits, open_data
    from genwerk.evaluation import evaluate
    from genwerk.model import Config, Model, Stage, Turn, Turns, build
    from genwerk.outliers import out_of_distribution
    from genwerk.recipes import recipe
    from genwerk.run import Run, load, train
    from genwerk.settings import Evaluate, Optim, Recipe, Train
    from genwerk.spec import Batch, DataSpec
    from genwerk.trainer import Trainer
    from genwerk.verbs import (
        bits_per_dim,
        complete,
        encode,
        interpolate,
        log_likelihood,
        nearest,
        reconstruct,
        sample,
        traverse,
    )

_HOMES = {
    "abilities": "abilities",
    "classification": "classify",
    "data": "Data Dataset Splits open_data",
    "evaluation": "evaluate",
    "model": "Config Model Stage Turn Turns build",
    "outliers": "out_of_distribution",
    "settings": "Evaluate Optim Recipe Train",
    "recipes": "recipe",
    "run": "Run load train",
    "spec": "Batch DataSpec",
    "trainer": "Trainer",
    "verbs": "bits_per_dim complete encode interpolate log_likelihood nearest reconstruct sample traverse",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "abilities", "bits_per_dim", "build", "classify", "complete", "encode", "evaluate", "interpolate", "load",
    "log_likelihood", "nearest", "open_data", "out_of_distribution", "recipe", "reconstruct", "sample", "train",
    "traverse",
    "Batch", "Config", "Data", "DataSpec", "Dataset", "Evaluate", "Model", "Optim", "Recipe", "Run", "Splits", "Stage",
    "Train", "Trainer", "Turn", "Turns",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"genwerk.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'genwerk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
