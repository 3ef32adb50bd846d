"""Genwerk: every family of deep generative model behind one library and one command.

Three depths, each a thin wrapper of the next::

    run = genwerk.train("vae", "photos/", out="runs/photos", seed=0)  # or arrays, a DataFrame, ...: docs/python.md
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
    from genwerk.comparison.comparing import compare
    from genwerk.core.abilities import abilities
    from genwerk.core.condition import Condition
    from genwerk.core.errors import BadInput, Unsupported
    from genwerk.core.model import Config, Model, Stage, Turn, Turns, build
    from genwerk.core.spec import Batch, DataSpec
    from genwerk.data import DataConfig, Dataset, Splits, open_data
    from genwerk.evaluation.evaluate import evaluate
    from genwerk.evaluation.report import Report
    from genwerk.evolve.optimise import optimise  # noqa: F401
    from genwerk.recipes import recipe
    from genwerk.runs.run import Run, load, open_run, save
    from genwerk.runs.shown import Shown
    from genwerk.runs.train import train
    from genwerk.tasks import (
        bits_per_dim,
        complete,
        decode,
        encode,
        interpolate,
        log_likelihood,
        nearest,
        reconstruct,
        sample,
        traverse,
    )
    from genwerk.tasks.classification import classify
    from genwerk.tasks.outliers import out_of_distribution
    from genwerk.training.events import (
        Collapsed,
        Evaluated,
        Event,
        RolledBack,
        RoundDone,
        Sampled,
        Saved,
        StageDone,
        Stopped,
        Watched,
    )
    from genwerk.training.protocol import EvaluateConfig
    from genwerk.training.settings import OptimConfig, Recipe, TrainConfig
    from genwerk.training.trainer import Trainer

_HOMES = {
    "comparison.comparing": "compare",
    "core.abilities": "abilities",
    "core.condition": "Condition",
    "tasks.classification": "classify",
    "data": "DataConfig Dataset Splits open_data",
    "evaluation.evaluate": "evaluate",
    "core.errors": "BadInput Unsupported",
    "evaluation.report": "Report",
    "evolve.optimise": "optimise",
    "core.model": "Config Model Stage Turn Turns build",
    "tasks.outliers": "out_of_distribution",
    "training.protocol": "EvaluateConfig",
    "training.settings": "OptimConfig Recipe TrainConfig",
    "recipes": "recipe",
    "runs.run": "Run load open_run save",
    "runs.shown": "Shown",
    "runs.train": "train",
    "training.events": "Collapsed Evaluated Event RolledBack RoundDone Sampled Saved StageDone Stopped Watched",
    "core.spec": "Batch DataSpec",
    "training.trainer": "Trainer",
    "tasks": "bits_per_dim complete decode encode interpolate log_likelihood nearest reconstruct sample traverse",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "abilities", "bits_per_dim", "build", "classify", "compare", "complete", "decode", "encode", "evaluate",
    "interpolate", "load", "log_likelihood", "nearest", "open_data", "open_run", "out_of_distribution", "recipe",
    "reconstruct", "sample", "save", "train", "traverse",
    "BadInput", "Batch", "Collapsed", "Condition", "Config", "DataConfig", "DataSpec", "Dataset", "EvaluateConfig",
    "Evaluated", "Event", "Model", "OptimConfig", "Recipe", "Report", "RolledBack", "RoundDone", "Run", "Sampled",
    "Saved", "Shown", "Splits", "Stage", "StageDone", "Stopped", "TrainConfig", "Trainer", "Turn", "Turns",
    "Unsupported", "Watched",
]  # fmt: skip
"""What ``from genwerk import *`` gives: all but ``optimise``, which needs the extra ``evolve``."""


_FORMER = {"Data": "DataConfig", "Evaluate": "EvaluateConfig", "Optim": "OptimConfig", "Train": "TrainConfig"}
"""Public names that scripts may still use, and what they are called now."""


def __getattr__(name: str) -> Any:
    if name in _FORMER:
        import warnings

        warnings.warn(f"genwerk.{name} is called {_FORMER[name]} now", DeprecationWarning, stacklevel=2)
        name = _FORMER[name]
    if name in _HOME:
        value = getattr(importlib.import_module(f"genwerk.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'genwerk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
