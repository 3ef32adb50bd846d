"""Glow learns images whose bits a pixel are known."""

from __future__ import annotations

from math import e, log2, pi, sqrt

import torch

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.glow import Glow, GlowConfig
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="image", shape=(1, 4, 4))
SIGMA, RHO = 20.0, 0.9
ALONE = 0.5 * log2(2 * pi * e * SIGMA**2)
"""Bits of one pixel: a normal one of deviation SIGMA levels, spread over its level."""
TRUTH = ALONE + 15 / 16 * 0.5 * log2(1 - RHO**2)
"""Bits a pixel of 16 in a row, each correlated by RHO with the one before."""


def rows(n: int, seed: int) -> Dataset:
    """Grey images whose 16 pixels are a stationary autoregressive process around the middle grey."""
    noise = torch.randn(n, 16, generator=torch.Generator().manual_seed(seed))
    x = [noise[:, 0]]
    for t in range(1, 16):
        x.append(RHO * x[-1] + sqrt(1 - RHO**2) * noise[:, t])
    levels = (128 + SIGMA * torch.stack(x, 1)).round().clamp(0, 255)
    return Dataset(x=levels.to(torch.uint8).view(n, 1, 4, 4), spec=SPEC)


def bits(model: Glow, data: Dataset) -> float:
    return float(-model.log_prob(data.batch().x).mean()) / 16 / torch.log(torch.tensor(2.0)).item()


def test_glow_finds_the_bits_that_correlated_pixels_have() -> None:
    torch.manual_seed(0)
    model = Glow(GlowConfig(scales=2, steps=3, channels=16), SPEC)
    optim = OptimConfig(name="adamax", lr=5e-3, schedule="cosine", warmup=20, clip_norm=50.0)
    train = TrainConfig(
        rounds=400, batch_size=128, optim={"model": optim}, sample_every=0, evaluate_every=0, save_every=0
    )
    Trainer(model, rows(20_000, 0), train).fit().requires_grad_(False)
    found = bits(model, rows(4_000, 1))
    assert TRUTH - 0.03 < found < TRUTH + 0.15
    assert found < ALONE - 0.9, "most of what neighbours tell of each other is used"
