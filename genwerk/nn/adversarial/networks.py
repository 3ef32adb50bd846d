"""The choice between the pairs of generator and discriminator, which all take the same arguments."""

from __future__ import annotations

from typing import Literal

from torch import nn

from genwerk.nn.adversarial.dcgan import DCGANDiscriminator, DCGANGenerator
from genwerk.nn.adversarial.mlp import MLPDiscriminator
from genwerk.nn.adversarial.output import Conditioning, Norm
from genwerk.nn.adversarial.resnet import ResNetDiscriminator, ResNetGenerator
from genwerk.nn.mlp import MLPDecoder

Adversaries = Literal["mlp", "dcgan", "resnet"]


def adversaries(
    network: Adversaries,
    *,
    shape: tuple[int, ...],
    latent: int,
    width: int,
    discriminator_width: int | None = None,
    layers: int = 3,
    norm: Norm = "batch",
    pieces: int = 1,
    dropout: float = 0.0,
    classes: int = 0,
    conditioning: Conditioning = "none",
    generator_norm: Norm = "batch",
    kernel: int = 4,
) -> tuple[nn.Module, nn.Module]:
    """A generator of data of ``shape`` from z, called with (z, condition), and a discriminator of them.

    ``norm`` is the discriminator's, as is ``discriminator_width`` (None: the generator's); ``layers``, ``pieces`` and
    ``dropout`` are of the fully connected networks alone, ``generator_norm`` and ``kernel`` of DCGAN alone.
    """
    wide = discriminator_width or width
    if network == "mlp":
        beside = classes if conditioning != "none" else 0
        return (
            MLPDecoder(shape, latent, (width,) * layers, "relu", beside),
            MLPDiscriminator(shape, (wide,) * layers, norm, pieces, dropout, classes, conditioning),
        )
    if len(shape) != 3:
        raise ValueError(f"the {network} networks need images; for data of shape {shape} take --model.network mlp")
    if network == "dcgan":
        return (
            DCGANGenerator(shape, latent, width, classes, conditioning, generator_norm, kernel),
            DCGANDiscriminator(shape, wide, norm, classes, conditioning, kernel),
        )
    return (
        ResNetGenerator(shape, latent, width, classes, conditioning),
        ResNetDiscriminator(shape, wide, norm, classes, conditioning),
    )
