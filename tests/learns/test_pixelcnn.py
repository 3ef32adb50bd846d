"""PixelCNNs learn images whose entropy is known, and digits, in seconds."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any

import pytest
import torch
from learning import source, taught
from torch import Tensor

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.pixelcnn import PixelCNN
from genwerk.recipes import find
from genwerk.training.trainer import Trainer

NOISE = 0.1
ENTROPY = -64 * (NOISE * log(NOISE) + (1 - NOISE) * log(1 - NOISE))
"""Nats of an 8x8 image each of whose pixels is settled by those before it but for a flip with probability 0.1."""


def copies(n: int, seed: int, *, away: int) -> Dataset:
    """Binary 8x8 images: the pixel to the left xor the one in the row above ``away`` to the right, but for flips."""
    flips = (torch.rand(n, 8, 8, generator=torch.Generator().manual_seed(seed)) < NOISE).to(torch.uint8)
    x = torch.zeros(n, 9, 9 + away, dtype=torch.uint8)
    for i in range(8):
        for j in range(8):
            x[:, i + 1, j + 1] = x[:, i + 1, j] ^ x[:, i, j + 1 + away] ^ flips[:, i, j]
    return Dataset(x=x[:, None, 1:, 1:9].contiguous(), spec=DataSpec(kind="image", shape=(1, 8, 8), levels=2))


def learned(recipe: str, data: Dataset, rounds: int, **changes: Any) -> PixelCNN:
    settings = find(recipe).make(data.spec)
    torch.manual_seed(0)
    model = build(replace(settings.model, **changes), data.spec)
    quiet = replace(settings.train, rounds=rounds, sample_every=0, evaluate_every=0, save_every=0)
    trained = Trainer(model, data, quiet).fit().requires_grad_(False)
    assert isinstance(trained, PixelCNN)
    return trained


def nll(model: PixelCNN, data: Dataset) -> float:
    return -model.log_prob(data.batch().x).mean().item()


@pytest.mark.parametrize("recipe", ["pixelcnn", "gated-pixelcnn"])
def test_the_entropy_of_noisy_copies_is_reached(recipe: str) -> None:
    model = learned(recipe, copies(8_000, 0, away=1), 250, width=12, layers=3)
    test = copies(2_000, 1, away=1)
    assert ENTROPY - 0.4 < nll(model, test) < ENTROPY + 1.0
    rest = Dataset(x=(model.sample(1_000, seed=0) > 0.5).to(torch.uint8), spec=test.spec)
    assert abs(nll(model, rest) - ENTROPY) < 1.5
    assert abs(_flips(rest.x) - NOISE) < 0.02


def test_what_lies_in_the_blind_spot_is_learned_by_the_gated_network_alone() -> None:
    """Two to the right in the row above: kernels of 3 never lead there, but for the two stacks."""
    data, test = copies(8_000, 0, away=2), copies(2_000, 1, away=2)
    masked = learned("pixelcnn", data, 200, stem=3, width=12, layers=3)
    gated = learned("gated-pixelcnn", data, 200, stem=3, width=12, layers=3)
    assert nll(gated, test) < ENTROPY + 2.0
    assert nll(masked, test) > ENTROPY + 8.0


def test_digits_are_predicted_far_better_than_pixel_by_pixel() -> None:
    model, splits = taught("pixelcnn", "digits", 250), source("digits")
    assert isinstance(model, PixelCNN)
    train, test = model.symbols.encode(splits.train.batch().x), model.symbols.encode(splits.test.batch().x)
    share = torch.nn.functional.one_hot(train, 17).float().mean(0).clamp(min=1e-3)
    alone = -share.log()[None].expand(len(test), -1, -1, -1, -1).gather(4, test[..., None]).sum((1, 2, 3, 4)).mean()
    assert nll(model, splits.test) < alone - 12  # measured 16.8 below it, seed 0


def test_labels_are_learned() -> None:
    """Bayes' rule over the conditional likelihoods tells the digits apart; chance is 0.1."""
    model = taught("cpixelcnn", "digits", 250)
    assert isinstance(model, PixelCNN)
    batch = source("digits").test.batch()
    log_p = torch.stack([model.log_prob(batch.x, torch.full((len(batch),), c)) for c in range(10)], 1)
    assert (log_p.argmax(1) == batch.condition).float().mean() > 0.8


def _flips(x: Tensor) -> float:
    """Share of the pixels, away from the right edge, that are not what the rule says."""
    rule = x[:, 0, 1:, :-2] ^ x[:, 0, :-1, 2:]
    return (rule != x[:, 0, 1:, 1:-1]).float().mean().item()
