"""The choice between the encoder and decoder bodies, which all take the same arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from genwerk.nn.conv import ConvDecoder, ConvEncoder
from genwerk.nn.mlp import Activation, MLPDecoder, MLPEncoder

Network = Literal["mlp", "conv"]


def coders(
    network: Network,
    shape: Sequence[int],
    features: int,
    latent: int,
    output: Sequence[int],
    widths: Sequence[int],
    activation: Activation,
    classes: int = 0,
) -> tuple[nn.Module, nn.Module]:
    """An encoder of data of ``shape`` to ``features`` numbers, and a decoder of ``latent`` numbers to ``output``.

    Both are called with (input, condition); the condition is class indices where ``classes`` > 0.
    """
    if network == "mlp":
        return (
            MLPEncoder(shape, features, widths, activation, classes),
            MLPDecoder(output, latent, widths, activation, classes),
        )
    if len(shape) != 3:
        raise ValueError(
            f"a convolutional network needs images; for data of shape {tuple(shape)} take --model.network mlp"
        )
    if not widths:
        raise ValueError("a convolutional network needs at least one width, for example --model.widths 32 64 128")
    return (
        ConvEncoder(shape, features, widths, activation, classes),
        ConvDecoder(output, latent, widths, activation, classes),
    )
