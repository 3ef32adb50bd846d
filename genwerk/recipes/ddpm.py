"""Recipes for diffusion models of pixels and of tables."""

from __future__ import annotations

from dataclasses import replace
from math import gcd, log

from genwerk.core.spec import DataSpec
from genwerk.diffusion.schedule import Cosine
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.edm import EDMConfig
from genwerk.nn.diffusion import DenseDenoiserConfig, UNetConfig
from genwerk.recipes.gan import PROTOCOL
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> DDPMConfig:
    """A small U-Net for a CPU: 2x2 pixels become one where the sides allow, and attention stands at 8 pixels or so."""
    if len(spec.shape) == 1:
        return DDPMConfig(network=DenseDenoiserConfig())
    side = max(spec.shape[1:])
    patch = 2 if side >= 24 and not any(s % 2 for s in spec.shape[1:]) else 1
    levels = 1 if side < 8 else 2 if side // patch < 24 else 3
    widths = (32, 64)[:levels] if side < 16 else (64, 128, 192)[:levels]
    attention = tuple(level == levels - 1 for level in range(levels))
    network = UNetConfig(widths=widths, blocks=1, attention=attention, patch=patch)
    return DDPMConfig(network=network, schedule=Cosine(), prediction="v")


@register()
def ddpm(spec: DataSpec) -> Recipe:
    """DDPM: a network learns to take noise away, step by step (Ho et al., 2020); the velocity on a cosine schedule."""
    image = spec.modality.has_pixels
    optim = OptimConfig(lr=1e-3, schedule="cosine", warmup=200, clip_norm=1.0)
    train = TrainConfig(
        rounds=10_000,
        batch_size=64 if image else 256,
        optim={"model": optim},
        ema={"model": 20_000.0 if image else 50_000.0},
        evaluate_every=1_000 if image else 500,
    )
    return Recipe(model=fitted(spec), train=train, evaluate=EvaluateConfig(importance_samples=10))


@register()
def cddpm(spec: DataSpec) -> Recipe:
    """A DDPM conditioned on the label, with classifier-free guidance (Ho & Salimans, 2022)."""
    base = ddpm(spec)
    return replace(base, model=replace(fitted(spec), conditional=True))


@register(DataSpec(kind="table", shape=(2,), columns=("x", "y")))
def edm(spec: DataSpec) -> Recipe:
    """EDM: a diffusion model whose network is scaled alike at every level (Karras et al., 2022)."""
    sigma_data = 0.5 if spec.modality.has_pixels else 1.0
    return replace(ddpm(spec), model=EDMConfig(network=fitted(spec).network, sigma_data=sigma_data))


@register(reference=True)
def ddpm_mnist(spec: DataSpec) -> Recipe:
    """Digits by label, 74 minutes of one CPU core.

    No published figure is comparable (each takes other features). Measured: Fréchet distance 0.238 in a digit
    classifier's features, 2.3 times that of training images in place of samples (seed 0, 5,000 samples). The network
    works on 14x14 pixels of 4 channels.
    `genwerk train ddpm-mnist --data MNIST_FOLDER --out runs/ddpm-mnist`.
    """
    base = cddpm(spec)
    train = replace(
        base.train,
        rounds=5_000,
        batch_size=64,
        optim={"model": OptimConfig(lr=2e-3, schedule="cosine", warmup=200, clip_norm=1.0)},
        log_every=100,
        sample_every=1_000,
        evaluate_every=2_500,
        save_every=250,
    )
    return replace(base, train=train)


@register(reference=True)
def ddpm_cifar10(spec: DataSpec) -> Recipe:
    """CIFAR-10 by the published network of 35.7 million weights, for one GPU.

    Ho et al., 2020, table 1: FID 3.17, of 50,000 samples against the training images, after 800,000 steps of 128, drawn
    in 1,000 ancestral steps. Not run here. Done differently: pictures are not mirrored, and samples, in the report too,
    are drawn by the library's few-step default unless asked otherwise (`genwerk sample RUN --sampler ddpm --steps
    1000`), so 3.17 is not what the report is to meet. Images smaller than 32 pixels get a smaller network.
    `GENWERK_INCEPTION=WEIGHTS genwerk train ddpm-cifar10 --data CIFAR10_FOLDER --out runs/ddpm-cifar10`.
    """
    pixels = min(32, spec.side)
    levels, width, rounds, batch_size = 4 if pixels >= 16 else 2, 4 * pixels, 800_000, 128
    network = UNetConfig(
        widths=(width, *[2 * width] * (levels - 1)),
        blocks=levels // 2,
        attention=tuple(level == 1 for level in range(levels)),
        groups=gcd(32, width),
        norm_eps=1e-6,
        symmetric_padding=False,
        cosine_first=False,
        frequency_shift=1,
        dropout=0.1,
    )
    train = TrainConfig(
        rounds=rounds,
        batch_size=batch_size,
        optim={"model": OptimConfig(lr=2e-4, warmup=5_000, clip_norm=1.0)},
        ema={"model": round(log(0.5) / log(0.9999) * batch_size)},
        precision="bfloat16",
        log_every=500,
        sample_every=20_000,
        evaluate_every=20_000,
        save_every=10_000,
    )
    return Recipe(model=DDPMConfig(network=network), train=train, evaluate=PROTOCOL)
