"""Recipes for RealNVP and for spline flows."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.realnvp import DenseCouplings, MultiScaleCouplings, RealNVPConfig
from genwerk.nn.flows.image import halvings
from genwerk.nn.flows.monotone import AffineConfig, SplineConfig
from genwerk.recipes.autoregressive_flow import DECAY, tails
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> RealNVPConfig:
    """Six couplings for tables, twenty for narrow ones; two or three scales for images, the last of 4 pixels or so.

    Networks of wide tables are small, for larger ones learn a few hundred rows by heart within as many rounds; for
    many rows there is --model.architecture.couplings 10 --model.architecture.widths 128 128.
    """
    if not spec.modality.has_pixels:
        if spec.dims <= 4:
            dense = DenseCouplings(couplings=20, widths=(64, 64))
            bounded = AffineConfig(bound=1.5)
            return RealNVPConfig(architecture=dense, monotone=bounded, tail_bound=tails(spec), normalise=False)
        return RealNVPConfig(architecture=DenseCouplings(couplings=6, widths=(64, 64)), tail_bound=tails(spec))
    small = max(spec.shape[1:]) < 16
    return convolutional(spec, 16 if small else 32, 1 if small else 2)


def convolutional(spec: DataSpec, channels: int, blocks: int) -> RealNVPConfig:
    """Two or three scales for images, the last of 4 pixels or so; tables have what suits them."""
    if not spec.modality.has_pixels:
        return fitted(spec)
    scales = min(2 if max(spec.shape[1:]) <= 32 else 3, max(1, halvings(spec)))
    return RealNVPConfig(architecture=MultiScaleCouplings(scales=scales, channels=channels, blocks=blocks))


@register()
def realnvp(spec: DataSpec) -> Recipe:
    """RealNVP: couplings that scale and shift, for tables, and at several scales for images (Dinh et al., 2017)."""
    image, narrow = spec.modality.has_pixels, spec.modality.has_columns and spec.dims <= 4
    optim = OptimConfig(lr=1e-3 if image else 2e-3, schedule="cosine", warmup=100, clip_norm=10.0)
    if spec.modality.has_columns and not narrow:
        optim = replace(optim, name="adamw", weight_decay=DECAY)
    train = TrainConfig(rounds=7_500 if narrow else 5_000, batch_size=64 if image else 256, optim={"model": optim})
    return Recipe(model=fitted(spec), train=train)


@register()
def crealnvp(spec: DataSpec) -> Recipe:
    """A RealNVP conditioned on the label, or on covariates (--data.covariates)."""
    return replace(realnvp(spec), model=replace(fitted(spec), conditional=True))


@register()
def spline_flow(spec: DataSpec) -> Recipe:
    """RQ-NSF (C): couplings of rational-quadratic splines, between which a learned matrix mixes (Durkan et al., 2019).

    Images are mixed by squares and channels instead, as in RealNVP, and get 4 bins.
    """
    config, splines = fitted(spec), SplineConfig(bins=4 if spec.modality.has_pixels else 8, tail_bound=5.0)
    if isinstance(config.architecture, DenseCouplings):
        mixed = replace(config.architecture, couplings=4 if spec.dims <= 8 else 8, mix=True)
        config = replace(config, architecture=mixed)
    config, base = replace(config, monotone=splines), realnvp(spec)
    return replace(base, model=config, train=replace(base.train, rounds=5_000))


@register(reference=True)
def realnvp_mnist(spec: DataSpec) -> Recipe:
    """Bits a pixel of MNIST under a RealNVP of two scales, for 2 CPU cores.

    Grathwohl et al., FFJORD, 2019, arXiv:1810.01367, table 2: 1.06 bits/dim for a multi-scale RealNVP, which is the
    value to reach on a GPU with more rounds and larger networks (--train.rounds 200000 --model.architecture.channels 64
    --model.architecture.blocks 4). Here, with small networks and 4 epochs, 1.61 after about 14 minutes of one core:
    `genwerk train realnvp-mnist --data MNIST_FOLDER --out runs/realnvp-mnist`.
    """
    small = max(spec.shape[1:], default=0) < 16
    return replace(
        realnvp(spec),
        model=convolutional(spec, 16 if small else 32, 1),
        train=TrainConfig(
            rounds=4_000,
            batch_size=64,
            optim={"model": OptimConfig(lr=1e-3, schedule="cosine", warmup=200, clip_norm=50.0)},
            log_every=200,
            sample_every=2_000,
            evaluate_every=500,
            save_every=500,
        ),
    )


@register(reference=True)
def realnvp_cifar10(spec: DataSpec) -> Recipe:
    """Bits/dim of CIFAR-10 under the published RealNVP, for one GPU.

    Dinh et al., 2017, table 1: 3.49 bits/dim on the test images; two scales, 8 residual blocks of 64 channels, Adam at
    1e-3 with batches of 64, images mirrored at random (which is left out here). Not run: a re-implementation by others
    stood at 3.70 after 50 epochs, of 4 minutes each on one Titan Xp. Images smaller than 32 pixels get fewer channels
    and blocks.
    `genwerk train realnvp-cifar10 --data CIFAR10_FOLDER --out runs/realnvp-cifar10`.
    """
    side = min(32, max(spec.shape[1:], default=0))
    return replace(
        realnvp(spec),
        model=convolutional(spec, max(8, 2 * side), max(1, side // 4)),
        train=TrainConfig(
            rounds=200_000,
            batch_size=64,
            optim={"model": OptimConfig(lr=1e-3, schedule="cosine", warmup=1_000, clip_norm=50.0)},
            precision="bfloat16",
            log_every=500,
            sample_every=20_000,
            evaluate_every=10_000,
            save_every=10_000,
        ),
    )
