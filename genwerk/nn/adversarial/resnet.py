"""The residual pair of WGAN-GP for CIFAR-10, for any image size.

Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028, appendix F, table 3, with the authors'
details: pre-activation blocks of two 3x3 convolutions, nearest-neighbour upsampling, mean pooling, He initialisation
but for the shortcuts, the discriminator's mean over pixels before its linear output.

Done differently: the number of blocks that double or halve follows the image's sides (32 pixels: three up, two down).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from genwerk.nn.adversarial.dcgan import stages
from genwerk.nn.adversarial.networks import AdversarialNetwork, check_image
from genwerk.nn.adversarial.output import (
    Conditioning,
    DiscriminatorOutput,
    Head,
    LabelledBatchNorm,
    Norm,
    normalisation,
)
from genwerk.nn.conv import halvings
from genwerk.nn.mlp import with_label


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(AdversarialNetwork, kind="resnet"):
    """WGAN-GP's residual networks, for images of any size."""

    width: int = 64
    """Channels of every block."""
    discriminator_width: int | None = None
    """The discriminator's, where it differs."""

    def build(
        self,
        shape: tuple[int, ...],
        latent: int,
        *,
        norm: Norm = "batch",
        generator_norm: Norm = "batch",
        classes: int = 0,
        conditioning: Conditioning = "none",
    ) -> tuple[nn.Module, nn.Module]:
        """As :meth:`AdversarialNetwork.build`; the generator is always normalised by batch."""
        check_image(self.kind, shape)
        if generator_norm != "batch":
            raise ValueError(f"resnet's generator has batch normalisation, not {generator_norm}; take mlp or dcgan")
        wide = self.discriminator_width or self.width
        return (
            ResNetGenerator(shape, latent, self.width, classes, conditioning),
            ResNetDiscriminator(shape, wide, norm, classes, conditioning),
        )

    def depth(self, shape: tuple[int, ...]) -> int:
        return max(1, stages(shape) - 1) + 2


def he_conv(channels: int, out: int, size: int = 3) -> nn.Conv2d:
    """A convolution that keeps the image's size: He initialisation for 3x3, Xavier for the 1x1 of shortcuts."""
    conv = nn.Conv2d(channels, out, size, padding=size // 2)
    if size == 1:
        nn.init.xavier_uniform_(conv.weight)
    else:
        nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


class UpBlock(nn.Module):
    """Twice as many pixels a side (or the given ``size``, where the mirror of a halving is odd)."""

    def __init__(self, channels: int, out: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.size = size
        self.norms = nn.ModuleList([LabelledBatchNorm(channels, classes), LabelledBatchNorm(out, classes)])
        self.first, self.second, self.shortcut = he_conv(channels, out), he_conv(out, out), he_conv(channels, out, 1)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        h = self.first(self._up(relu(self.norms[0](x, condition))))
        h = self.second(relu(self.norms[1](h, condition)))
        y: Tensor = self._up(self.shortcut(x)) + h  # the 1x1 convolution and the upsampling commute
        return y

    def _up(self, x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=2, mode="nearest")[:, :, : self.size[0], : self.size[1]]


class DownBlock(nn.Module):
    """Half as many pixels a side, rounding up, or as many (``halve`` False); ``first`` takes the image as it is."""

    def __init__(self, channels: int, out: int, norm: Norm, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.norms = nn.ModuleList(normalisation("none" if first else norm, c) for c in (channels, out))
        self.conv_a, self.conv_b = he_conv(channels, out), he_conv(out, out)
        self.shortcut = he_conv(channels, out, 1) if halve or channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_a(x if self.first else relu(self.norms[0](x)))
        h = self.conv_b(relu(self.norms[1](h)))
        y: Tensor = self._down(h) + self.shortcut(self._down(x)) if self.halve else h + self.shortcut(x)
        return y

    @staticmethod
    def _down(x: Tensor) -> Tensor:
        return avg_pool2d(x, 2, ceil_mode=True)


class ResNetGenerator(nn.Module):
    """z with shape (n, latent), and the label, to raw images with shape (n, c, h, w)."""

    def __init__(
        self, shape: tuple[int, ...], latent: int, width: int, classes: int = 0, conditioning: Conditioning = "none"
    ) -> None:
        super().__init__()
        self.extra_channels = classes if conditioning == "concatenate" else 0
        by_label = classes if conditioning == "project" else 0
        *larger, smallest = halvings(shape[1], shape[2], stages(shape))
        self.project = nn.Linear(latent + self.extra_channels, width * prod(smallest))
        self.unflatten = nn.Unflatten(1, (width, *smallest))
        self.blocks = nn.ModuleList(UpBlock(width, width, size, by_label) for size in reversed(larger))
        self.norm, self.out = LabelledBatchNorm(width, 0), he_conv(width, shape[0])

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        z = with_label(z, condition, self.extra_channels)
        x: Tensor = self.unflatten(self.project(z))
        for block in self.blocks:
            x = block(x, condition)
        y: Tensor = self.out(relu(self.norm(x)))
        return y


class ResNetDiscriminator(nn.Module):
    """Images with shape (n, c, h, w), and the label, to a :class:`DiscriminatorOutput`.

    They are halved until they have 8 pixels; two blocks follow.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        norm: Norm = "none",
        classes: int = 0,
        conditioning: Conditioning = "none",
    ) -> None:
        super().__init__()
        self.extra_channels = classes if conditioning == "concatenate" else 0
        downs = max(1, stages(shape) - 1)
        self.blocks = nn.ModuleList([DownBlock(shape[0] + self.extra_channels, width, norm, halve=True, first=True)])
        self.blocks += [DownBlock(width, width, norm, halve=True) for _ in range(downs - 1)]
        self.blocks += [DownBlock(width, width, norm, halve=False) for _ in range(2)]
        self.head = Head(width, classes if conditioning == "project" else 0)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        x = with_label(x, condition, self.extra_channels)
        features: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return DiscriminatorOutput(self.head(relu(x).mean((2, 3)), condition), tuple(features))
