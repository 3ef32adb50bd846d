"""Recipes for Glow."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.glow import GlowConfig
from genwerk.nn.flows.image import halvings
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> GlowConfig:
    """Two or three levels of 4 steps with 32 channels for small images, to 8 with 128 for those of 32 pixels."""
    pixels = spec.side
    scales = min(3 if pixels >= 32 else 2, max(1, halvings(spec)))
    return GlowConfig(scales=scales, steps=4 if pixels < 16 else 8, channels=32 if pixels < 16 else 4 * min(32, pixels))


@register()
def glow(spec: DataSpec) -> Recipe:
    """Glow: learned mixing of the channels between couplings, at several scales (Kingma & Dhariwal, 2018)."""
    optim = OptimConfig(
        name="adamax", lr=2e-3 if spec.side < 16 else 1e-3, schedule="cosine", warmup=100, clip_norm=50.0
    )
    return Recipe(model=fitted(spec), train=TrainConfig(rounds=5_000, batch_size=64, optim={"model": optim}))


@register()
def cglow(spec: DataSpec) -> Recipe:
    """A Glow conditioned on the label, in its networks and in its prior."""
    return replace(glow(spec), model=replace(fitted(spec), conditional=True))


@register(reference=True)
def glow_cifar10(spec: DataSpec) -> Recipe:
    """Bits/dim of CIFAR-10 under the published Glow, for one GPU.

    Kingma & Dhariwal, 2018, table 2: 3.35 bits/dim on the test images, 3 levels of 32 steps with 512 channels (44
    million parameters), batches of 64 on each of 8 GPUs for days; on one GPU with batches of 64 others reached 3.39.
    Not run here. Published are Adamax at 1e-3 with a rising rate over 10 epochs, and averaged weights. Images smaller
    than 32 pixels get fewer steps and channels.
    `genwerk train glow-cifar10 --data CIFAR10_FOLDER --out runs/glow-cifar10`.
    """
    pixels = min(32, spec.side)
    return replace(
        glow(spec),
        model=replace(fitted(spec), steps=max(2, pixels if pixels >= 16 else 4), channels=max(16, pixels**2 // 2)),
        train=TrainConfig(
            rounds=800_000,
            batch_size=64,
            optim={"model": OptimConfig(name="adamax", lr=1e-3, warmup=7_800, clip_norm=50.0)},
            ema={"model": 50_000},
            log_every=500,
            sample_every=20_000,
            evaluate_every=10_000,
            save_every=10_000,
        ),
    )
