"""The networks of StyleGAN, for images whose sides halve evenly down to 4 to 7 pixels.

Karras, Laine & Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, 2019, arXiv:1812.04948:
a mapping network from z to w, a synthesis network from a learned constant, and Progressive Growing's discriminator.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from genwerk.core.errors import BadInput
from genwerk.nn.adversarial.output import DiscriminatorOutput
from genwerk.nn.adversarial.style import (
    HE,
    EqualisedConv,
    EqualisedLinear,
    StyleLayer,
    activate,
    blur,
    minibatch_deviation,
    unit_moment,
)

Size = tuple[int, int]


class Growth(NamedTuple):
    """How far the networks have grown: the size in use, and how far it is faded in over the one below."""

    level: int
    """Index of the size, from the coarsest."""
    alpha: Tensor | None
    """From 0 (the image of the size below, doubled) to 1 (of this size alone); None is 1."""


def sizes(height: int, width: int) -> list[Size]:
    """Height and width from coarse to fine: the image's, halved until its smaller side is 4 to 7 pixels."""
    times = doublings(height, width)
    if not fits(height, width):
        good, square = nearest(height, width), nearest(min(height, width), min(height, width))[0]
        raise BadInput(
            f"images of {height}x{width} pixels do not halve evenly down to 4 to 7 pixels a side, as StyleGAN's must; "
            f"the nearest size that does is {good[0]}x{good[1]}, and ‹data.size› {square} brings them to "
            f"{square}x{square}"
        )
    return [(height >> i, width >> i) for i in reversed(range(times + 1))]


def fits(height: int, width: int) -> bool:
    """Whether both sides halve evenly until the smaller is 4 to 7 pixels."""
    times = doublings(height, width)
    return times >= 0 and height % 2**times == 0 == width % 2**times


def doublings(height: int, width: int) -> int:
    """k = floor(log2(smaller side / 4)), so that the coarsest size is 4 to 7 pixels high or wide; -1 below 4."""
    return (min(height, width) // 4).bit_length() - 1


def nearest(height: int, width: int) -> Size:
    """The nearest size that halves evenly; rounding up may need one more halving, hence the second look."""
    step = 2 ** max(0, doublings(height, width))
    height, width = (max(4, step * round(side / step)) for side in (height, width))
    return (height, width) if fits(height, width) else nearest(height, width)


def halve(x: Tensor, times: int = 1) -> Tensor:
    """Images with sides halved ``times``, by means."""
    return avg_pool2d(x, 2**times) if times else x


def double(x: Tensor, times: int = 1) -> Tensor:
    """Images with sides doubled ``times``, by repeating pixels."""
    return interpolate(x, scale_factor=2**times, mode="nearest") if times else x


def fade(below: Tensor, x: Tensor, alpha: Tensor) -> Tensor:
    """``below`` where ``alpha`` is 0, ``x`` where it is 1."""
    return below + alpha * (x - below)


# --- generator --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MappingConfig:
    """Settings of the network from z to w."""

    width: int = 512
    """Number of dimensions of w, and units of each layer."""
    layers: int = 8
    """Layers."""

    def __post_init__(self) -> None:
        if min(self.width, self.layers) < 1:
            raise BadInput(f"width is {self.width} and layers {self.layers} of mapping; they must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """Settings of the network from w to an image."""

    width: int = 16
    """Channels at the image's size, doubled at every halving."""
    max_width: int = 512
    """Greatest number of channels."""

    def __post_init__(self) -> None:
        if min(self.width, self.max_width) < 1:
            raise BadInput(f"width is {self.width} and max_width {self.max_width} of synthesis; they must be 1 or more")

    def widths(self, sizes: int) -> list[int]:
        """Channels at each of so many sizes, from the smallest on."""
        return [min(self.max_width, self.width * 2**i) for i in reversed(range(sizes))]


class MappingNetwork(nn.Module):
    """z with shape (n, latent), and the label, to w with shape (n, style): section 2 and appendix C.

    z, concatenated with the label's embedding where there are ``classes``, is normalised to unit second moment first.
    The layers learn at ``rate`` of the others' speed.
    """

    def __init__(self, latent: int, style: int, layers: int, classes: int = 0, rate: float = 0.01) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, latent) if classes else None
        widths = [2 * latent if classes else latent, *[style] * layers]
        self.layers = nn.ModuleList(EqualisedLinear(i, o, HE, rate) for i, o in pairwise(widths))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(condition)], dim=1)
        w = unit_moment(z)
        for layer in self.layers:
            w = activate(layer(w))
        return w


class SynthesisNetwork(nn.Module):
    """Styles with shape (n, layers, d) to raw images with shape (n, c, h, w): two layers a size, then 1x1 to colour.

    ``widths`` are channels by size, ``first`` is the coarsest size that can be shown on its own. The noise maps of an
    image are one row of ``noise_size`` numbers; ``noise`` are the default ones.
    """

    noise: Tensor

    def __init__(self, colours: int, sizes: list[Size], widths: list[int], style: int, first: int) -> None:
        super().__init__()
        self.first = first
        self.layer_sizes = [size for size in sizes for _ in range(2)]
        self.constant = nn.Parameter(torch.ones(1, widths[0], *sizes[0]))
        layers = [StyleLayer(None, widths[0], style), StyleLayer(widths[0], widths[0], style)]
        for i, o in pairwise(widths):
            layers += [StyleLayer(i, o, style, up=True), StyleLayer(o, o, style)]
        self.layers = nn.ModuleList(layers)
        self.colour = nn.ModuleList(EqualisedConv(c, colours, 1, gain=1.0) for c in widths[first:])
        self.noise_size = sum(prod(size) for size in self.layer_sizes)
        self.register_buffer("noise", torch.randn(1, self.noise_size))

    def maps(self, noise: Tensor) -> list[Tensor]:
        """Rows with shape (n, noise_size) cut into a map a layer, each with shape (n, 1, h, w)."""
        rows = noise.split([prod(size) for size in self.layer_sizes], dim=1)
        return [row.unflatten(1, (1, *size)) for row, size in zip(rows, self.layer_sizes, strict=True)]

    def forward(self, w: Tensor, noise: list[Tensor] | None = None, growth: Growth | None = None) -> Tensor:
        """Images of the size that ``growth`` says, the finest where it is None."""
        level, alpha = growth or Growth(len(self.layers) // 2 - 1, None)
        noise = self.maps(self.noise) if noise is None else noise
        x = below = self.constant.expand(len(w), -1, -1, -1)
        for i in range(2 * level + 2):
            below = x if i == 2 * level else below
            x = self.layers[i](x, w[:, i], noise[i])
        y: Tensor = self.colour[level - self.first](x)
        return y if alpha is None else fade(double(self.colour[level - self.first - 1](below)), y, alpha)


class StyleGenerator(nn.Module):
    """Mapping and synthesis: z, and the label, to raw images."""

    def __init__(self, mapping: MappingNetwork, synthesis: SynthesisNetwork) -> None:
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        images: Tensor = self.synthesis(self.spread(self.mapping(z, condition)))
        return images

    def spread(self, w: Tensor) -> Tensor:
        """w with shape (n, d) at every layer: (n, layers, d)."""
        return w.unsqueeze(1).expand(-1, len(self.synthesis.layers), -1)


def mix_styles(coarse: Tensor, fine: Tensor, crossover: Tensor) -> Tensor:
    """Styles with shape (n, layers, d): ``coarse`` below layer ``crossover`` (n,), ``fine`` from there on."""
    layer = torch.arange(coarse.shape[1], device=coarse.device)
    return torch.where((layer < crossover[:, None]).unsqueeze(2), coarse, fine)


# --- discriminator ----------------------------------------------------------------------------------------------------


class StyleDiscriminator(nn.Module):
    """Images with shape (n, c, h, w), and the label, to a :class:`DiscriminatorOutput`; the synthesis's mirror.

    At every size two 3x3 convolutions, with a blur before the one that halves; at the coarsest the minibatch standard
    deviation over groups of ``group`` examples (0: none), a convolution and two linear layers. With ``classes`` the
    score has the inner product of the features with the label's embedding added (Miyato & Koyama, 2018,
    arXiv:1802.05637).
    """

    def __init__(
        self, colours: int, sizes: list[Size], widths: list[int], first: int, group: int = 4, classes: int = 0
    ) -> None:
        super().__init__()
        self.first, self.group = first, group
        self.colour = nn.ModuleList(EqualisedConv(colours, c, 1) for c in widths[first:])
        self.same = nn.ModuleList(EqualisedConv(c, c) for c in widths[1:])
        self.down = nn.ModuleList(EqualisedConv(c, below, resize="down") for below, c in pairwise(widths))
        self.conv = EqualisedConv(widths[0] + bool(group), widths[0])
        self.hidden = EqualisedLinear(widths[0] * prod(sizes[0]), widths[0], HE)
        self.score = EqualisedLinear(widths[0], 1)
        self.embedding = nn.Embedding(classes, widths[0]) if classes else None

    def forward(self, x: Tensor, condition: Tensor | None = None, growth: Growth | None = None) -> DiscriminatorOutput:
        """The output for images of the size that ``growth`` says, the finest where it is None."""
        level, alpha = growth or Growth(len(self.down), None)
        h = activate(self.colour[level - self.first](x))
        features: list[Tensor] = []
        for i in reversed(range(level)):
            h = activate(self.same[i](h))
            h = activate(self.down[i](blur(h)))
            if i == level - 1 and alpha is not None:
                h = fade(activate(self.colour[i - self.first](halve(x))), h, alpha)
            features.append(h)
        if self.group:
            h = torch.cat([h, minibatch_deviation(h, self.group)], dim=1)
        h = activate(self.conv(h))
        h = activate(self.hidden(h.flatten(1)))
        score: Tensor = self.score(h).squeeze(1)
        if self.embedding is not None:
            score = score + (self.embedding(condition) * h).sum(1) / h.shape[1] ** 0.5
        return DiscriminatorOutput(score.float() if score.dtype == torch.bfloat16 else score, (*features, h))
