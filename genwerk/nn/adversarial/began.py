"""The networks of BEGAN: a generator, and a discriminator that is an autoencoder, for images and for tables.

Berthelot, Schumm & Metz, BEGAN: Boundary Equilibrium Generative Adversarial Networks, 2017, arXiv:1703.10717, section
3.5: 3x3 convolutions with exponential linear units, two a size, in n, 2n, 3n, ... channels on the way down to about
8x8 pixels and in n all the way up; dense layers without nonlinearity to and from the code; no normalisation, no dropout
and no nonlinearity at the end.

Done differently: sides are halved rounding up, so that images need be neither square nor a power of two; tables and
tiny images take fully connected layers; the skip connections and vanishing residuals of the paper's larger models are
left out.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import log2, prod

from torch import Tensor, nn

from genwerk.core.component import Component
from genwerk.nn.adversarial.networks import check_image
from genwerk.nn.adversarial.output import DiscriminatorOutput
from genwerk.nn.conv import Crop, halvings
from genwerk.nn.mlp import MLPDecoder, MLPEncoder


@dataclass(frozen=True, kw_only=True)
class BEGANNetwork(Component):
    """Settings of a generator and of an autoencoder that judges it."""

    def build(
        self, shape: tuple[int, ...], latent: int, hidden: int, eta: int = 1
    ) -> tuple[nn.Module, AutoencoderDiscriminator]:
        """A generator of data of ``shape`` from z, called with (z, condition), and an autoencoder that judges them.

        ``hidden`` is the number of dimensions of the autoencoder's code.
        """
        encoder, generator = self.encoder(shape, hidden), self.decoder(shape, latent)
        return generator, AutoencoderDiscriminator(encoder, self.decoder(shape, hidden), eta)

    @abstractmethod
    def decoder(self, shape: tuple[int, ...], features: int) -> nn.Module:
        """Codes with shape (n, features) to data with shape (n, *shape), called with (code, condition)."""

    @abstractmethod
    def encoder(self, shape: tuple[int, ...], features: int) -> nn.Module:
        """Data with shape (n, *shape) to codes with shape (n, features)."""


@dataclass(frozen=True, kw_only=True)
class BEGANMLPConfig(BEGANNetwork, kind="mlp"):
    """Fully connected networks, for data of any shape."""

    width: int = 64
    """Units of each hidden layer."""
    layers: int = 2
    """Hidden layers."""

    def decoder(self, shape: tuple[int, ...], features: int) -> nn.Module:
        return MLPDecoder(shape, features, (self.width,) * self.layers, "elu")

    def encoder(self, shape: tuple[int, ...], features: int) -> nn.Module:
        return MLPEncoder(shape, features, (self.width,) * self.layers, "elu")


@dataclass(frozen=True, kw_only=True)
class BEGANConvConfig(BEGANNetwork, kind="conv"):
    """The paper's convolutional networks, for images of any size."""

    width: int = 64
    """The paper's n, channels nearest to the image."""

    def decoder(self, shape: tuple[int, ...], features: int) -> nn.Module:
        check_image(self.kind, shape)
        return BEGANDecoder(shape, features, self.width)

    def encoder(self, shape: tuple[int, ...], features: int) -> nn.Module:
        check_image(self.kind, shape)
        return BEGANEncoder(shape, features, self.width)


def sizes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Height and width of an image of ``shape`` (c, h, w) and after each halving, until about 8 pixels are left."""
    return halvings(shape[1], shape[2], max(0, round(log2(min(shape[1:]) / 8))))


class BEGANEncoder(nn.Module):
    """Images with shape (n, c, h, w) to codes with shape (n, features)."""

    def __init__(self, shape: tuple[int, ...], features: int, width: int) -> None:
        super().__init__()
        *larger, smallest = sizes(shape)
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1), nn.ELU()]
        for i in range(1, len(larger) + 1):
            layers += [*pair(i * width), nn.Conv2d(i * width, (i + 1) * width, 3, stride=2, padding=1), nn.ELU()]
        top = (len(larger) + 1) * width
        self.body = nn.Sequential(*layers, *pair(top), nn.Flatten(), nn.Linear(top * prod(smallest), features))

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.body(x)
        return h


class BEGANDecoder(nn.Module):
    """Codes with shape (n, features) to images with shape (n, c, h, w); the generator has the same layers."""

    def __init__(self, shape: tuple[int, ...], features: int, width: int) -> None:
        super().__init__()
        *larger, smallest = sizes(shape)
        layers: list[nn.Module] = [nn.Linear(features, width * prod(smallest)), nn.Unflatten(1, (width, *smallest))]
        for size in reversed(larger):
            layers += [*pair(width), nn.Upsample(scale_factor=2), Crop(*size)]
        self.body = nn.Sequential(*layers, *pair(width), nn.Conv2d(width, shape[0], 3, padding=1))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        x: Tensor = self.body(z)
        return x


def pair(channels: int) -> list[nn.Module]:
    """Two 3x3 convolutions that keep size and channels."""
    return [m for _ in range(2) for m in (nn.Conv2d(channels, channels, 3, padding=1), nn.ELU())]


class AutoencoderDiscriminator(nn.Module):
    """Data with shape (n, *shape) to a :class:`DiscriminatorOutput`, whose score is minus the error L(v).

    L(v) = mean |v - D(v)|^eta over the values of an example (equation 1, divided by their number).
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, eta: int = 1) -> None:
        super().__init__()
        self.encoder, self.decoder, self.eta = encoder, decoder, eta

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        h = self.encoder(x)
        reconstruction = self.decoder(h).to(x.dtype)
        error = (x - reconstruction).abs().pow(self.eta).flatten(1).mean(1)
        return DiscriminatorOutput(-error, (h,), reconstruction)
