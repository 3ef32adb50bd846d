"""The convolutional pair of DCGAN, for any image size.

Radford, Metz & Chintala, Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks,
2016, arXiv:1511.06434: no pooling and no hidden fully connected layers; convolutions of stride 2, whose kernels are 5x5
in the authors' code and 4x4 in most that came after; batch normalisation everywhere but in the generator's output and
the discriminator's input; weights from N(0, 0.02).

Done differently: sides are halved, rounding up, until about 4 pixels are left (64 pixels: 4 halvings), so that images
need be neither square nor a power of two; the mirror crops what rounding has added. The generator ends without tanh,
which its family adds. Channels lie last in memory, which is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from genwerk.core.errors import BadInput
from genwerk.nn.adversarial.networks import AdversarialNetwork, check_image
from genwerk.nn.adversarial.output import (
    Conditioning,
    DiscriminatorOutput,
    Head,
    LabelledBatchNorm,
    Norm,
    normalisation,
)
from genwerk.nn.conv import ConvEncoder, Crop, halvings
from genwerk.nn.mlp import with_label


@dataclass(frozen=True, kw_only=True)
class DCGANConfig(AdversarialNetwork, kind="dcgan"):
    """DCGAN's convolutional networks, for images of any size."""

    width: int = 64
    """Channels nearest to the image; they double with each halving of its sides, three times."""
    discriminator_width: int | None = None
    """The discriminator's, where it differs."""
    kernel: Literal[4, 5] = 4
    """Side of the convolutions' kernels: 5 in the authors' code, 4 in most that came after."""

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
        check_image(self.kind, shape)
        wide = self.discriminator_width or self.width
        return (
            DCGANGenerator(shape, latent, self.width, classes, conditioning, generator_norm, self.kernel),
            DCGANDiscriminator(shape, wide, norm, classes, conditioning, self.kernel),
        )

    def depth(self, shape: tuple[int, ...]) -> int:
        return stages(shape)

    def encoder(self, shape: tuple[int, ...], features: int, classes: int = 0) -> nn.Module:
        check_image(self.kind, shape)
        return ConvEncoder(shape, features, channels(self.width, stages(shape)), "relu", classes)


def stages(shape: tuple[int, ...]) -> int:
    """How often the sides of an image of ``shape`` (c, h, w) are halved: until the smaller is about 4 pixels."""
    return max(1, round(log2(min(shape[1:]) / 4)))


def channels(width: int, times: int) -> list[int]:
    """Channels after each halving: ``width``, doubled each time, at most 8 times as many."""
    return [width * 2 ** min(i, 3) for i in range(times)]


def initialise(module: nn.Module) -> None:
    """Weights of convolutions and projections from N(0, 0.02), biases zero."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class DCGANGenerator(nn.Module):
    """z with shape (n, latent), and the label, to raw images with shape (n, c, h, w)."""

    def __init__(
        self,
        shape: tuple[int, ...],
        latent: int,
        width: int,
        classes: int = 0,
        conditioning: Conditioning = "none",
        norm: Norm = "batch",
        kernel: int = 4,
    ) -> None:
        super().__init__()
        if conditioning == "project" and norm != "batch":
            raise BadInput(
                f"conditioning project tells DCGAN's generator the label by batch normalisation, and its norm is "
                f"{norm}; take ‹model.conditioning› concatenate"
            )
        self.extra_channels = classes if conditioning == "concatenate" else 0
        by_label = classes if conditioning == "project" else 0
        *larger, smallest = halvings(shape[1], shape[2], stages(shape))
        widths = channels(width, len(larger))
        self.project = nn.Linear(latent + self.extra_channels, widths[-1] * prod(smallest), bias=norm == "none")
        self.unflatten = nn.Unflatten(1, (widths[-1], *smallest))
        self.norms = nn.ModuleList(
            LabelledBatchNorm(c, by_label) if norm == "batch" else normalisation(norm, c) for c in reversed(widths)
        )
        self.ups, inner = nn.ModuleList(), [shape[0], *widths]
        for i in reversed(range(len(widths))):
            bias = i == 0 or norm == "none"
            conv = nn.ConvTranspose2d(
                inner[i + 1], inner[i], kernel, 2, padding=(kernel - 1) // 2, output_padding=kernel % 2, bias=bias
            )
            odd = any(side % 2 for side in larger[i])
            self.ups.append(nn.Sequential(conv, Crop(*larger[i])) if odd else conv)
        self.apply(initialise)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        z = with_label(z, condition, self.extra_channels)
        x: Tensor = self.unflatten(self.project(z)).to(memory_format=torch.channels_last)
        for norm, up in zip(self.norms, self.ups, strict=True):
            x = up(relu(norm(x, condition) if isinstance(norm, LabelledBatchNorm) else norm(x)))
        return x


class DCGANDiscriminator(nn.Module):
    """Images with shape (n, c, h, w), and the label, to a :class:`DiscriminatorOutput`."""

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        norm: Norm = "batch",
        classes: int = 0,
        conditioning: Conditioning = "none",
        kernel: int = 4,
    ) -> None:
        super().__init__()
        self.extra_channels = classes if conditioning == "concatenate" else 0
        sizes = halvings(shape[1], shape[2], stages(shape))
        widths = channels(width, len(sizes) - 1)
        inner = [shape[0] + self.extra_channels, *widths]
        self.layers = nn.ModuleList()
        for i, (h, w) in enumerate(sizes[:-1]):
            bias = i == 0 or norm == "none"
            conv = nn.Conv2d(inner[i], inner[i + 1], kernel, stride=2, padding=(kernel - 1) // 2, bias=bias)
            layer: list[nn.Module] = [nn.ZeroPad2d((0, w % 2, 0, h % 2))] if h % 2 or w % 2 else []
            layer += [conv] if i == 0 or norm == "none" else [conv, normalisation(norm, inner[i + 1])]
            self.layers.append(nn.Sequential(*layer))
        self.head = Head(widths[-1] * prod(sizes[-1]), classes if conditioning == "project" else 0)
        self.apply(initialise)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        x = with_label(x, condition, self.extra_channels)
        x, features = x.to(memory_format=torch.channels_last), []
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.2)
            features.append(x)
        return DiscriminatorOutput(self.head(x.flatten(1), condition), tuple(features))
