"""Recipes for autoencoders."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.nn.coder import ConvCoder, MLPCoder
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

MNIST = DataSpec(kind="image", shape=(1, 28, 28), classes=tuple("0123456789"))


def conv_widths(spec: DataSpec) -> tuple[int, ...]:
    """Channels of as many convolutions as bring an image of ``spec`` to 4 pixels or fewer: 32, 64, 128, 256, ..."""
    layers = max(1, (spec.side - 1).bit_length() - 2)
    return tuple(min(32 * 2**i, 512) for i in range(layers))


def fitted(spec: DataSpec) -> AutoencoderConfig:
    """Convolutional for images of 16 pixels and more, else fully connected; a code of 2 to 32 dimensions."""
    conv = spec.modality.has_pixels and spec.side >= 16
    grey = spec.modality.has_pixels and spec.shape[0] == 1
    return AutoencoderConfig(
        network=ConvCoder(widths=conv_widths(spec)) if conv else MLPCoder(widths=(256, 128)),
        latent=min(32, max(2, spec.dims // 4)),
        loss="cross-entropy" if grey else "squared",
    )


@register()
def autoencoder(spec: DataSpec) -> Recipe:
    """An autoencoder that fits itself to the data: convolutional for images of 16 pixels and more.

    Grey images are reconstructed by cross-entropy, all else by squared error.
    """
    optim = OptimConfig(lr=1e-3, schedule="cosine", warmup=100)
    return Recipe(model=fitted(spec), train=TrainConfig(rounds=5_000, optim={"model": optim}))


@register(MNIST)
def autoencoder_codes(spec: DataSpec) -> Recipe:
    """Codes to look at: 128-64-12-3 tanh units and back, for a map of the data by `genwerk encode`."""
    base = autoencoder(spec)
    shape = AutoencoderConfig(network=MLPCoder(widths=(128, 64, 12), activation="tanh"), latent=3)
    return replace(base, model=replace(shape, loss=fitted(spec).loss), train=replace(base.train, rounds=10_000))


@register()
def denoising_autoencoder(spec: DataSpec) -> Recipe:
    """Reconstructs the clean input from one of which 30 % is set to zero (tables: with Gaussian noise added).

    Vincent et al., 2008, whose reference has 30 % masking noise and cross-entropy on MNIST.
    """
    if spec.modality.has_pixels:
        config = replace(fitted(spec), corruption="masking", amount=0.3)
    else:
        config = replace(fitted(spec), corruption="gaussian", amount=0.1)
    return replace(autoencoder(spec), model=config)
