"""Recipes for PixelRNNs."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from genwerk.core.spec import DataSpec
from genwerk.families.pixelrnn import PixelRNNConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

PALETTE = tuple((level, level, level) for level in range(167))
"""A palette of as many colours as the Pokemon creatures have, to show the recipe on where there are no data."""
POKEMON = DataSpec(kind="image", shape=(3, 6, 6), palette=PALETTE)


def fitted(spec: DataSpec) -> PixelRNNConfig:
    """One Diagonal BiLSTM up to 16x16 pixels, two wider ones with skip connections above."""
    small = prod(spec.shape[1:]) <= 256
    return PixelRNNConfig(
        cell="diagonal",
        width=24 if small else 48,
        layers=1 if small else 2,
        skip=not small,
        head=48 if max(spec.levels, len(spec.palette)) <= 32 else 192,
    )


@register()
def pixelrnn(spec: DataSpec) -> Recipe:
    """A PixelRNN of Diagonal BiLSTMs, which see all that stands before a pixel, for images of any kind."""
    optim = OptimConfig(lr=3e-3, schedule="cosine", warmup=100, clip_norm=10.0)
    return Recipe(model=fitted(spec), train=TrainConfig(rounds=10_000, batch_size=32, optim={"model": optim}))


@register()
def row_lstm(spec: DataSpec) -> Recipe:
    """A PixelRNN of Row LSTMs, quicker than the Diagonal BiLSTM; a pixel sees a triangle above it."""
    return replace(pixelrnn(spec), model=replace(fitted(spec), cell="row"))


@register(reference=True)
def pixelrnn_mnist(spec: DataSpec) -> Recipe:
    """The likelihood of binarised MNIST under one Diagonal BiLSTM with h = 32, for a GPU.

    van den Oord et al., 2016, table 4: 80.75 nats with one layer (79.20 with seven of h = 16: --model.layers 7
    --model.width 16), on the statically binarised digits, batches of 16 and RMSProp. Here digits are binarised anew at
    every look (dynamically), so that the two figures are not of the same data. About
    68 minutes of one CPU core, 18,000 rounds (--train.rounds 18000), gave 82.08 nats:
    `genwerk train pixelrnn-mnist --data MNIST_FOLDER --out runs/pixelrnn-mnist`.
    """
    optim = OptimConfig(lr=2e-3, schedule="cosine", warmup=500, clip_norm=10.0)
    return replace(
        pixelrnn(spec),
        model=PixelRNNConfig(cell="diagonal", width=32, layers=1, head=32, binarise="dynamic"),
        train=TrainConfig(
            rounds=200_000,
            batch_size=32,
            optim={"model": optim},
            log_every=500,
            sample_every=10_000,
            evaluate_every=10_000,
            save_every=10_000,
        ),
    )


@register(POKEMON, reference=True)
def pixelrnn_pokemon(spec: DataSpec) -> Recipe:
    """Creatures of 20x20 pixels in 167 colours, to be completed from their upper half, for 2 CPU cores.

    The "Pokemon creation" exercise of Hung-yi Lee's course, 2016, for which no likelihood was published. Colours are
    names: they are embedded, and predicted by a softmax of 167. A round takes 0.15 s of one CPU core:
    `genwerk train pixelrnn-pokemon --data POKEMON_FOLDER --out runs/pixelrnn-pokemon`.
    """
    optim = OptimConfig(lr=5e-3, schedule="cosine", warmup=50, clip_norm=1.0)
    return replace(
        pixelrnn(spec),
        model=PixelRNNConfig(cell="diagonal", width=48, layers=1, head=96, embedding=16),
        train=TrainConfig(
            rounds=3_000,
            batch_size=16,
            optim={"model": optim},
            sample_every=500,
            evaluate_every=250,
            save_every=250,
        ),
    )
