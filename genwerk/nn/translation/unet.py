"""The U-Net generator of pix2pix.

Isola, Zhu, Zhou & Efros, Image-to-Image Translation with Conditional Adversarial Networks, 2017, arXiv:1611.07004,
section 3.2.1 and appendix 6.1.1.

Done differently: no dropout, so that a source has one translation (the paper saw little variety come of it); images of
any size, which are padded by reflection to a multiple of what the halvings need, and cropped again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, relu_

from genwerk.core.errors import BadInput
from genwerk.nn.adversarial.dcgan import channels as doubled
from genwerk.nn.adversarial.dcgan import initialise
from genwerk.nn.adversarial.output import Norm, normalisation
from genwerk.nn.translation.network import TranslationNetwork


@dataclass(frozen=True, kw_only=True)
class UNetGeneratorConfig(TranslationNetwork, kind="unet"):
    """Settings of the network; the paper's has a width of 64 and 8 halvings, for images of 256 pixels."""

    width: int = 64
    """Channels of the first layer, doubled at each halving up to 8 times as many."""
    halvings: int = 8
    """How often the image is halved."""
    norm: Norm = "batch"
    """Normalisation between layers."""

    def build(self, channels: int, out: int, scale: int) -> UNetGenerator:
        if scale != 1:
            raise BadInput("the unet makes images of the size of their source; take ‹model.network› edsr to enlarge")
        return UNetGenerator(channels, out, self)

    @property
    def margin(self) -> int:
        return 2 * self.stride  # of the innermost pixels, as large as a stride, two on either side of its own

    @property
    def stride(self) -> int:
        return 1 << self.halvings


class UNetGenerator(nn.Module):
    """Images with shape (n, channels, h, w) to (n, out, h, w): 4x4 convolutions of stride 2, mirrored, with skips."""

    def __init__(self, channels: int, out: int, config: UNetGeneratorConfig) -> None:
        super().__init__()
        self.multiple = config.stride
        widths = doubled(config.width, config.halvings)
        last = len(widths) - 1
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (before, after) in enumerate(pairwise([channels, *widths])):
            plain = i in (0, last) or config.norm == "none"  # the innermost may be a single pixel
            conv = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=plain)
            self.down.append(conv if plain else nn.Sequential(conv, normalisation(config.norm, after)))
        for i in range(last, -1, -1):
            before, after = widths[i] * (1 if i == last else 2), widths[i - 1] if i else out
            plain = i == 0 or config.norm == "none"
            conv_up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=plain)
            self.up.append(conv_up if plain else nn.Sequential(conv_up, normalisation(config.norm, after)))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = reflected(x, -height % self.multiple, -width % self.multiple)
        skips = list[Tensor]()
        for i, layer in enumerate(self.down):
            x = layer(leaky_relu(x, 0.2) if i else x)
            skips.append(x)
        x = skips.pop()
        for layer in self.up:
            x = layer(relu_(x))  # the largest tensors here, which nothing else needs
            x = torch.cat([x, skips.pop()], 1) if skips else x
        return x[..., :height, :width]


def reflected(x: Tensor, below: int, right: int) -> Tensor:
    """Images with so many pixels more ``below`` and to the ``right``, reflected as often as that takes."""
    while below or right:
        some = min(below, x.shape[2] - 1), min(right, x.shape[3] - 1)
        if not any(some):  # a single pixel has nothing to reflect
            return pad(x, (0, right, 0, below), mode="replicate")
        x = pad(x, (0, some[1], 0, some[0]), mode="reflect")
        below, right = below - some[0], right - some[1]
    return x
