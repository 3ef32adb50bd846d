"""Masked autoregressive flows learn densities whose entropy is known, in seconds, and come back to where they were."""

from __future__ import annotations

import pytest
import torch
from learning import source, taught

from genwerk.data.toys import TOYS
from genwerk.families.autoregressive_flow import IAF, MAF


def divergence(model: MAF | IAF, toy: str) -> float:
    """KL(truth || model) in nats, from the truth's and the model's log density of the same test points."""
    x = source(toy).test.batch().x
    with torch.no_grad():
        return (TOYS[toy].log_prob(x) - model.log_prob(x)).mean().item()


@pytest.mark.parametrize(
    "recipe,toy,rounds,most", [("maf", "parabola", 300, 0.05), ("spline-maf", "gaussians8", 600, 0.2)]
)
def test_a_toy_density_is_learned_to_a_fraction_of_a_nat(recipe: str, toy: str, rounds: int, most: float) -> None:
    model = taught(recipe, toy, rounds)
    assert isinstance(model, MAF)
    assert -0.01 < divergence(model, toy) < most
    x = source(toy).test.batch().x[:1000]
    torch.testing.assert_close(model.decode(model.encode(x)), x, rtol=0, atol=1e-4)


def test_an_iaf_learns_as_well() -> None:
    model = taught("iaf", "parabola", 300)
    assert isinstance(model, IAF)
    assert -0.01 < divergence(model, "parabola") < 0.1
