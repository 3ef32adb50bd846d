"""Recipes for PixelCNN++."""

from __future__ import annotations

from dataclasses import replace
from math import log

from genwerk.core.spec import DataSpec
from genwerk.families.pixelcnn_pp import PixelCNNPPConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> PixelCNNPPConfig:
    """24 filters for small images to 64 for those of 32 pixels, and as many resolutions as leave 4 pixels at least."""
    pixels = spec.side
    return PixelCNNPPConfig(
        filters=min(64, 8 * max(3, pixels // 4)),
        blocks=1 if pixels < 16 else 2,
        resolutions=1 + (pixels >= 8) + (pixels >= 16),
        components=5 if spec.shape[0] == 1 else 10,
    )


@register()
def pixelcnn_pp(spec: DataSpec) -> Recipe:
    """PixelCNN++ with a network fitted to the image: intensities of any depth, by a mixture of logistics."""
    small = spec.side < 16
    optim = OptimConfig(lr=5e-3 if small else 2e-3, schedule="cosine", warmup=20 if small else 200)
    rounds = 2_000 if small else 10_000
    return Recipe(model=fitted(spec), train=TrainConfig(rounds=rounds, batch_size=32, optim={"model": optim}))


@register(reference=True)
def pixelcnn_pp_cifar10(spec: DataSpec) -> Recipe:
    """The likelihood of CIFAR-10 under the published network, for one GPU.

    Salimans et al., 2017, table 1: 2.92 bits/dim on the test images, after some days on 8 GPUs of their time. Not run
    here. Published are 160 filters, 5 blocks, dropout 0.5, batches of 8 x 16, a rate of 1e-3 x 0.999995 a step and an
    average of 0.9995 a step. The rate falls on a line here, to what it comes to in as many rounds; images smaller than
    32 pixels get fewer filters and blocks.
    `genwerk train pixelcnn-pp-cifar10 --data CIFAR10_FOLDER --out runs/pixelcnn-pp-cifar10`.
    """
    rounds, batch_size, pixels = 400_000, 128, min(32, spec.side)
    final = round(0.999995**rounds, 3)
    return replace(
        pixelcnn_pp(spec),
        model=replace(
            fitted(spec), filters=5 * pixels, blocks=1 + pixels // 8, resolutions=3, components=10, dropout=0.5
        ),
        train=TrainConfig(
            rounds=rounds,
            batch_size=batch_size,
            optim={"model": OptimConfig(lr=1e-3, betas=(0.95, 0.9995), schedule="linear", final=final)},
            ema={"model": round(log(0.5) / log(0.9995) * batch_size)},
            precision="bfloat16",
            log_every=500,
            sample_every=20_000,
            evaluate_every=10_000,
            save_every=10_000,
        ),
    )
