"""The speed of training is measured of a copy: what is trained after that knows nothing of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genwerk import recipes
from genwerk.core.model import build
from genwerk.data import DataConfig, open_data
from genwerk.data.dataset import Dataset
from genwerk.training import speed
from genwerk.training.runtime import Runtime
from genwerk.training.settings import OptimConfig

HERE = Runtime(torch.device("cpu"))


def digits(limit: int | None = None) -> Dataset:
    return open_data(DataConfig(source="digits", limit=limit)).train


@pytest.mark.parametrize("name", ["vae", "autoencoder-mixture", "dcgan", "cmixture"])
def test_every_stage_has_a_speed_and_nothing_else_changes(name: str) -> None:
    data = digits()
    recipe = recipes.recipe(name, data.spec)
    before = torch.get_rng_state()
    paces = speed.measure(recipe, data, HERE, budget=0.02)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    stages = build(recipe.model, data.spec).stages(recipe.train.rounds)
    assert [(p.stage, p.rounds) for p in paces] == [(s.name, s.rounds) for s in stages]
    assert all(0 < p.seconds < 10 for p in paces)
    assert speed.total(paces) == pytest.approx(sum(p.rounds * p.seconds for p in paces))


def test_a_training_that_would_diverge_can_be_measured() -> None:
    data = digits(100)
    recipe = recipes.recipe("vae", data.spec)
    wild = replace(recipe, train=replace(recipe.train, optim={"model": OptimConfig(name="sgd", lr=1e5)}))
    assert len(speed.measure(wild, data, HERE, budget=0.02)) == 1


def test_a_rare_class_is_among_the_few() -> None:
    data = digits()
    rare = replace(data, condition=torch.tensor([*[0] * (len(data) - 1), 9]))
    few = speed._few(rare, 20)
    assert len(few) == 20
    assert few.condition is not None
    assert few.condition.unique().tolist() == [0, 9]
