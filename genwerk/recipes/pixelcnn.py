"""Recipes for PixelCNN and Gated PixelCNN."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.pixelcnn import PixelCNNConfig
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import DIGITS, OptimConfig, Recipe, TrainConfig, register

BINARY = replace(DIGITS, levels=2)
"""Small pictures of black and white, which binarisation leaves as they are."""


def fitted(spec: DataSpec) -> PixelCNNConfig:
    """A network as deep and wide as the images need: small ones are seen whole by few layers."""
    if not spec.modality.has_pixels:
        return PixelCNNConfig()
    side, rich = max(spec.shape[1:]), spec.shape[0] > 1 or spec.levels > 32
    return PixelCNNConfig(
        width=24 if side <= 10 else 48 if rich else 32,
        layers=4 if side <= 10 else 8,
        stem=5 if side <= 10 else 7,
        head=32 if side <= 10 else 128 if rich else 64,
    )


@register()
def pixelcnn(spec: DataSpec) -> Recipe:
    """A PixelCNN that fits its size to the images: grey, coloured, of a palette or of names."""
    optim = OptimConfig(lr=2e-3, betas=(0.9, 0.99), schedule="cosine", warmup=100, clip_norm=10.0)
    return Recipe(model=fitted(spec), train=TrainConfig(rounds=5_000, batch_size=64, optim={"model": optim}))


@register()
def gated_pixelcnn(spec: DataSpec) -> Recipe:
    """A Gated PixelCNN, whose two stacks see all of what is above and to the left."""
    base = pixelcnn(spec)
    return replace(base, model=replace(fitted(spec), network="gated"))


@register()
def cpixelcnn(spec: DataSpec) -> Recipe:
    """A Gated PixelCNN conditioned on the label."""
    base = gated_pixelcnn(spec)
    return replace(base, model=replace(fitted(spec), network="gated", conditional=True))


@register(BINARY, reference=True)
def pixelcnn_mnist(spec: DataSpec) -> Recipe:
    """The likelihood of dynamically binarised MNIST under a PixelCNN of 15 blocks, for 2 CPU cores.

    van den Oord et al., 2016, table 4: 81.30 nats on static binarisation; NADE has 85.65 and MADE 84.87 on the dynamic
    one of this recipe. Measured: 84.35 nats after 33,000 rounds, 105 minutes of one core:
    `genwerk train pixelcnn-mnist --data MNIST_FOLDER --out runs/pixelcnn-mnist`.
    """
    optim = OptimConfig(lr=2.5e-3, betas=(0.9, 0.99), schedule="cosine", warmup=200, clip_norm=50.0)
    return replace(
        pixelcnn(spec),
        model=PixelCNNConfig(width=16, layers=15, head=32, binarise="dynamic"),
        train=TrainConfig(
            rounds=33_000,
            batch_size=32,
            optim={"model": optim},
            ema={"model": 8_000.0},
            sample_every=2_000,
            evaluate_every=2_000,
            save_every=1_000,
        ),
        evaluate=EvaluateConfig(samples=0),
    )


@register(BINARY, reference=True)
def gated_pixelcnn_mnist(spec: DataSpec) -> Recipe:
    """The likelihood of dynamically binarised MNIST under a Gated PixelCNN, for 2 CPU cores.

    `genwerk train gated-pixelcnn-mnist --data MNIST_FOLDER --out runs/gated-pixelcnn-mnist`.
    """
    config = PixelCNNConfig(network="gated", width=16, layers=8, head=32, binarise="dynamic")
    return replace(pixelcnn_mnist(spec), model=config)


@register(reference=True)
def pixelcnn_cifar10(spec: DataSpec) -> Recipe:
    """PixelCNN on CIFAR-10, 15 blocks of h = 128 with a 256-way softmax a colour, for one GPU; not run.

    van den Oord et al., 2016, table 5: 3.14 bits/dim on the test part, 3.08 on the training part. Smaller data
    get a smaller network: `genwerk train pixelcnn-cifar10 --data CIFAR10_FOLDER --out runs/pixelcnn-cifar10`.
    """
    config, optim = (
        fitted(spec),
        OptimConfig(lr=1e-3, betas=(0.9, 0.99), schedule="cosine", warmup=1_000, clip_norm=10.0),
    )
    if spec.dims >= 3 * 32 * 32:
        config = PixelCNNConfig(width=128, layers=15, head=1024)
    return replace(
        pixelcnn(spec),
        model=config,
        train=TrainConfig(
            rounds=100_000,
            batch_size=128,
            optim={"model": optim},
            ema={"model": 500_000.0},
            precision="bfloat16",
            sample_every=10_000,
            evaluate_every=5_000,
            save_every=5_000,
        ),
    )
