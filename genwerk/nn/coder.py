"""Encoders of data to codes, and the decoders that mirror them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.nn.conv import ConvDecoder, ConvEncoder
from genwerk.nn.mlp import Activation, MLPDecoder, MLPEncoder


@dataclass(frozen=True, kw_only=True)
class Coder(Component):
    """Settings of an encoder and a decoder."""

    @abstractmethod
    def build(
        self, shape: Sequence[int], features: int, latent: int, output: Sequence[int], classes: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        """An encoder of data of ``shape`` to ``features`` numbers, and a decoder of ``latent`` numbers to ``output``.

        Both are called with (input, condition); the condition is class indices where ``classes`` > 0.
        """


@dataclass(frozen=True, kw_only=True)
class MLPCoder(Coder, kind="mlp"):
    """Fully connected encoder and decoder, for data of any shape."""

    widths: tuple[int, ...] = (400,)
    """Units of the layers from the data to the code; the decoder mirrors them."""
    activation: Activation = "relu"
    """Function between layers."""

    def build(
        self, shape: Sequence[int], features: int, latent: int, output: Sequence[int], classes: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        return (
            MLPEncoder(shape, features, self.widths, self.activation, classes),
            MLPDecoder(output, latent, self.widths, self.activation, classes),
        )


@dataclass(frozen=True, kw_only=True)
class ConvCoder(Coder, kind="conv"):
    """Convolutional encoder and decoder, for images of any size."""

    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of the layers from the data to the code, each of which halves the sides; the decoder mirrors them."""
    activation: Activation = "relu"
    """Function between layers."""

    def build(
        self, shape: Sequence[int], features: int, latent: int, output: Sequence[int], classes: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        if len(shape) != 3:
            raise BadInput(
                f"a convolutional network needs images; for data of shape {tuple(shape)} take ‹model.network› mlp"
            )
        if not self.widths:
            raise BadInput(
                "a convolutional network needs at least one width, for example ‹model.network.widths› 32 64 128"
            )
        return (
            ConvEncoder(shape, features, self.widths, self.activation, classes),
            ConvDecoder(output, latent, self.widths, self.activation, classes),
        )
