"""Coupling flows learn densities whose entropy is known, and digits better than independent pixels, in seconds."""

from __future__ import annotations

import pytest
import torch
from learning import source, taught

from genwerk.families.flow import FlowModel


def kl(model: FlowModel, data: str) -> float:
    """Nats by which held-out rows are less likely than under the truth, whose entropy the source states."""
    splits = source(data)
    assert splits.train.entropy is not None
    return float(-splits.train.entropy - model.log_prob(splits.test.batch().x).mean())


@pytest.mark.parametrize("recipe, rounds", [("realnvp", 600), ("spline-flow", 400)])
def test_the_parabola_is_learned_to_a_fraction_of_a_nat(recipe: str, rounds: int) -> None:
    model = taught(recipe, "parabola", rounds)
    assert isinstance(model, FlowModel)
    assert -0.05 < kl(model, "parabola") < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("data", ["parabola", "gaussians8"])
@pytest.mark.parametrize("recipe", ["realnvp", "spline-flow"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_comes_within_a_twentieth_of_a_nat(recipe: str, data: str, seed: int) -> None:
    model = taught(recipe, data, None, seed)
    assert isinstance(model, FlowModel)
    assert kl(model, data) < 0.05


def test_digits_are_learned_better_than_pixel_by_pixel() -> None:
    model = taught("realnvp", "digits", 150)
    assert isinstance(model, FlowModel)
    splits = source("digits")
    y = model.surface.place(splits.train.batch().x)
    independent = torch.distributions.Normal(y.mean(0), y.std(0).clamp(min=0.02))
    x = splits.test.batch().x
    placed, log_det = model.surface(x)
    assert model.log_prob(x).mean() > (independent.log_prob(placed).sum((1, 2, 3)) + log_det).mean() + 10
    back = model.decode(model.encode(x))
    assert (back - x).abs().max() < 1e-4, "a trained flow still goes back where it came from"
