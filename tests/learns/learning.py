"""A family's own recipe, taught a built-in source for a few seconds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch

from genwerk.core.model import Model, build
from genwerk.data import DataConfig, Splits, open_data
from genwerk.recipes import find
from genwerk.training.trainer import Trainer


@cache
def source(name: str) -> Splits:
    return open_data(DataConfig(source=name))


@cache
def taught(recipe: str, data: str, rounds: int | None, seed: int = 0, **network: Any) -> Model:
    """The model of ``recipe`` after ``rounds`` (None: its own, 0: fresh) on the training part of ``data``, for use.

    ``network`` are settings of its network that are to be others than the recipe's.
    """
    splits = source(data)
    settings = find(recipe).make(splits.spec)
    config: Any = settings.model
    torch.manual_seed(seed)
    model = build(replace(config, network=replace(config.network, **network)) if network else config, splits.spec)
    if rounds == 0:
        return model.eval().requires_grad_(False)
    length = settings.train.rounds if rounds is None else rounds
    quiet = replace(settings.train, rounds=length, seed=seed, sample_every=0, evaluate_every=0, save_every=0)
    return Trainer(model, splits.train, quiet).fit().requires_grad_(False)
