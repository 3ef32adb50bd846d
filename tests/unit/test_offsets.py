"""Columns at a great offset (times, coordinates, identifiers) are learned and made as without it, by every family."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genwerk.core.abilities import abilities
from genwerk.core.model import Model, build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.recipes import REGISTRY
from genwerk.tasks import log_likelihood
from genwerk.training.trainer import Trainer

OFFSET = torch.tensor([1.7e9, 1e15, 0.0], dtype=torch.float64)
"""Of seconds, of numbers that count the rows, and of what is near zero."""
FINENESS = torch.tensor([1e-4, 1.0, 1e-4])
"""How far two numbers about each offset may differ by float64's own rounding and by float32's of a deviation."""
SPEC = DataSpec(kind="table", shape=(3,), columns=("time", "id", "x"))
FAMILIES = [
    *("autoencoder", "autoencoder-mixture", "began", "ddpm", "edm", "egan", "gan", "iaf", "maf", "mixture"),
    *("nice", "realnvp", "spline-maf", "vae", "vae-iaf", "vaegan"),
]


def taught(name: str, x: Tensor) -> Model:
    """A model of ``x`` after a short round of each stage."""
    recipe = REGISTRY[name].make(SPEC)
    torch.manual_seed(0)
    train = replace(recipe.train, rounds=1, batch_size=32, ema={}, sample_every=0, evaluate_every=0)
    return Trainer(build(recipe.model, SPEC), Dataset(x=x, spec=SPEC), train).fit().eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_an_offset_changes_nothing(name: str) -> None:
    n = 128
    seconds = 30 * torch.randn(n, generator=torch.Generator().manual_seed(0)).double()
    x = torch.stack([(seconds * 1024).round() / 1024, torch.arange(n).double() - n // 2, seconds.sin()], 1)
    near, far = taught(name, x), taught(name, x + OFFSET)
    if "samples" in abilities(near):
        made, plain = far.sample(64, seed=0), near.sample(64, seed=0)  # type: ignore[operator]
        assert made.dtype == torch.float64
        assert ((made - OFFSET - plain).abs() <= FINENESS).all()
        assert len(made[:, 0].unique()) > 60
    if {"encodes", "decodes"} <= abilities(near):
        again, plain = (m.decode(m.encode(v)) for m, v in ((far, x + OFFSET), (near, x)))  # type: ignore[operator]
        assert ((again - OFFSET - plain).abs() <= FINENESS).all()
    if {"has-likelihood", "bounds-likelihood"} & abilities(near):
        a, b = (
            log_likelihood(m, Dataset(x=v, spec=SPEC), importance_samples=2).nats
            for m, v in ((near, x), (far, x + OFFSET))
        )
        assert a == pytest.approx(b, abs=1e-3)
