"""The choice between the pairs of generator and discriminator, which all take the same arguments."""

from __future__ import annotations

from typing import Literal

from torch import nn

from genwerk.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from genwerk.nn.mlp import MLPDecoder
from genwerk.nn.mlp_gan import MLPDiscriminator
from genwerk.nn.resnet_gan import ResNetDiscriminator, ResNetGenerator
from genwerk.nn.verdict import Conditioning, Norm

Adversaries = Literal["mlp", "dcgan", "resnet"]


def adversaries(
    network: Adversaries,
    *,
    shape: tuple[int, ...],
    latent: int,
    width: int,
    layers: int = 3,
    norm: Norm = "batch",
    pieces: int = 1,
    dropout: float = 0.0,
    classes: int = 0,
    conditioning: Conditioning = "none",
) -> tuple[nn.Module, nn.Module]:
    """A generator of data of ``shape`` from z, called with (z, condition), and a discriminator of them.

    ``layers``, ``pieces`` and ``dropout`` are of the fully connected networks alone.
    """
    if network == "mlp":
        widths = (width,) * layers
        beside = classes if conditioning != "none" else 0
        return (
            MLPDecoder(shape, latent, widths, "relu", beside),
            MLPDiscriminator(shape, widths, norm, pieces, dropout, classes, conditioning),
        )
    if len(shape) != 3:
        raise ValueError(f"the {network} networks need images; for data of shape {shape} take --model.network mlp")
    if network == "dcgan":
        return (
            DCGANGenerator(shape, latent, width, classes, conditioning),
            DCGANDiscriminator(shape, width, norm, classes, conditioning),
        )
    return (
        ResNetGenerator(shape, latent, width, classes, conditioning),
        ResNetDiscriminator(shape, width, norm, classes, conditioning),
    )
