"""Every registered recipe, slim and trained for a moment on made-up data of the kind it is shown with."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from genwerk.core.abilities import abilities
from genwerk.core.model import Model
from genwerk.families.autoregressive import AutoregressiveModel
from genwerk.nn.adversarial import MLPConfig
from genwerk.nn.adversarial.text_cnn import TextCNNConfig
from genwerk.recipes import REGISTRY
from genwerk.testing import case as testing
from genwerk.testing.case import Case, double_precision, fresh, learned, unmagnified, without_dropout
from genwerk.testing.contract import PROMISES
from genwerk.training.trainer import Trainer

__all__ = [
    "REGISTRY",
    "Case",
    "Trainer",
    "case",
    "double_precision",
    "fresh",
    "prepared",
    "recipes",
    "store_end",
    "unmagnified",
    "without_dropout",
]

SLIM = {"width": 16, "widths": 16, "filters": 16, "channels": 16, "widest": 32, "max_width": 32, "groups": 8}
"""Greatest values of settings that say how wide a network is."""
WHOLE = {(TextCNNConfig, "widths"), (MLPConfig, "width")}
"""Settings that stay: lengths of n-grams, and units of which too few are dead together in a critic that is clipped."""


def slim(settings: Any) -> Any:
    """``settings`` of a model that is as deep as its recipe's, and no wider than it takes to tell its layers apart."""
    changes: dict[str, Any] = {}
    for each in fields(settings):
        value, most = getattr(settings, each.name), SLIM.get(each.name)
        if is_dataclass(value):
            changes[each.name] = slim(value)
        elif most is None or (type(settings), each.name) in WHOLE:
            continue
        elif isinstance(value, tuple):  # the first is narrower, so that there is a change of width where there was one
            changes[each.name] = tuple(min(v, most if i == 0 else 2 * most) for i, v in enumerate(value))
        else:
            changes[each.name] = min(value, most)
    return replace(settings, **changes)


def prepared(name: str) -> Case:
    """A recipe with made-up data and a fresh model."""
    return testing.prepared(name, lambda settings: slim(testing.short(settings)))


@cache
def case(name: str) -> Case:
    """A recipe with its model after a few rounds, in evaluation mode."""
    return learned(prepared(name))


@cache
def facts(name: str) -> frozenset[str]:
    """What the model of a recipe promises, and what else decides whether a test is about it."""
    fresh = prepared(name)
    able, found = abilities(fresh.model), {name for name, promise in PROMISES.items() if promise.lacking(fresh) is None}
    if fresh.model.condition.classes and "samples" in able and "denoises" not in able:  # denoisers leave the label out
        found.add("draws classes")
    if isinstance(fresh.model, AutoregressiveModel):
        found.add("is autoregressive")
    return frozenset(found)


def recipes(fact: str) -> list[str]:
    """Names of those of whose model ``fact`` is true."""
    return [name for name in sorted(REGISTRY) if fact in facts(name)]


def store_end(folder: str, name: str, model: Model) -> None:
    torch.save({k: v.double() for k, v in model.state_dict().items()}, Path(folder) / f"{name}.pt")
