"""Convolutions in raster order: a pixel sees those above it, those to its left, and its own earlier colours.

Masks are those of van den Oord, Kalchbrenner & Kavukcuoglu, Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759,
section 3.4. They multiply the weights at every pass and never change them in place, so that weight decay, averaging and
compilation see the weights as they are. Rows below the pixel are dead in every mask and are not stored at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mask = Literal["A", "B", "none"]
"""A: a pixel sees, of itself, earlier colours only; B: its own colour too; none: the whole of its row, to the right
as well (for a stack whose output is moved down one row before it is used)."""


def shares(channels: int, colours: int) -> list[slice]:
    """The channels that belong to each colour of a pixel: consecutive, and as equal as can be."""
    if channels < colours:
        raise ValueError(f"{channels} channels cannot be shared among {colours} colours; make the network wider")
    ends = [-(-channels * colour // colours) for colour in range(colours + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


def owners(channels: int, colours: int) -> Tensor:
    """The colour to which each of ``channels`` belongs, with shape (channels,)."""
    return torch.cat(
        [torch.full((s.stop - s.start,), c, device="cpu") for c, s in enumerate(shares(channels, colours))]
    )


def live_taps(mask: Mask, size: tuple[int, int], left: int, incoming: Tensor, outgoing: Tensor) -> Tensor:
    """Which weights may be other than zero: boolean with shape (outgoing, incoming, *size).

    The last row of the kernel is the pixel's own, in which the pixel stands after ``left`` others; ``incoming`` and
    ``outgoing`` are the colours of the channels.
    """
    live = torch.ones(len(outgoing), len(incoming), *size, dtype=torch.bool, device=incoming.device)
    if mask != "none":
        earlier = incoming < outgoing[:, None] if mask == "A" else incoming <= outgoing[:, None]
        live[:, :, -1, left] = earlier
        live[:, :, -1, left + 1 :] = False
    return live


class CausalConv2d(nn.Module):
    """A convolution over ``above`` rows above a pixel, its own row, ``left`` pixels to the left and ``right`` to the
    right; colours of the channels that come in and go out are given by :func:`owners`.

    ``live``: which weights count. Those that do not are drawn but multiplied by zero, and get no gradient.
    """

    live: Tensor

    def __init__(
        self,
        mask: Mask,
        incoming: Tensor,
        outgoing: Tensor,
        *,
        above: int = 0,
        left: int = 0,
        right: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.above, self.left = above, left
        live = live_taps(mask, (above + 1, left + 1 + right), left, incoming, outgoing)
        self.masked = not bool(live.all())
        bound = (live.sum() / len(outgoing)).clamp(min=1).item() ** -0.5
        self.weight = nn.Parameter(torch.empty(live.shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(len(outgoing)).uniform_(-bound, bound)) if bias else None
        self.register_buffer("live", live.to(self.weight.device), persistent=False)

    def effective(self) -> Tensor:
        """The weights, zero where they are dead, with shape (outgoing, incoming, above + 1, left + 1 + right)."""
        return self.weight * self.live if self.masked else self.weight

    def taps(self) -> Tensor:
        """The effective weights in the order in which a step needs them: (rows, columns, incoming, outgoing)."""
        return self.effective().detach().permute(2, 3, 1, 0)

    def biases(self) -> Tensor:
        """The biases with shape (outgoing,), for a step."""
        assert self.bias is not None
        return self.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Features with shape (n, incoming, h, w) to features with shape (n, outgoing, h, w)."""
        h, w = x.shape[2:]
        wider: Tensor = F.conv2d(x, self.effective(), self.bias, padding=(self.above, self.left))
        return wider[:, :, :h, :w]


def pointwise(incoming: int, outgoing: int, colours: int) -> CausalConv2d:
    """A 1x1 convolution, of which each colour sees itself and those before it."""
    return CausalConv2d("B", owners(incoming, colours), owners(outgoing, colours))


class Stack:
    """Convolutions of one shape, one a layer, as a step of one colour of a pixel needs them: L layers, ``o`` outputs.

    What the pixels to the left and the earlier colours contribute is known before the first layer is computed, so it is
    one product for all layers; only the product with the colour's own channels is left to the layers in turn. ``own``
    has their weights.
    """

    def __init__(self, taps: Tensor, biases: Tensor, own: slice, outputs: slice | Tensor) -> None:
        """``taps``: weights of the pixel's own row up to itself, with shape (L, columns, channels, outgoing)."""
        taps, self.bias = taps[..., outputs], biases[:, None, outputs]
        self.earlier = slice(own.start)
        self.left = taps[:, :-1].flatten(1, 2).contiguous()
        self.lower = taps[:, -1, self.earlier].contiguous()
        self.own, self.biases = taps[:, -1, own].contiguous().unbind(), self.bias.unbind()

    def known(self, pixels: Tensor, extra: Tensor | None = None) -> tuple[Tensor, ...]:
        """All but what the own channels contribute, of each layer, with shape (n or 1, o).

        ``pixels`` are the inputs, with shape (n, columns, L, channels); ``extra``, (L, n, o), stands in for the bias.
        """
        found = self.bias if extra is None else extra
        if self.left.shape[1]:
            found = found.baddbmm(pixels[:, :-1].permute(2, 0, 1, 3).flatten(2), self.left)
        if self.earlier.stop:
            found = found.baddbmm(pixels[:, -1, :, self.earlier].transpose(0, 1), self.lower)
        return self.biases if found is self.bias else found.unbind()


def own_row(layers: Sequence[CausalConv2d]) -> Tensor:
    """The weights of ``layers`` that :class:`Stack` takes."""
    return torch.stack([layer.taps()[-1, : layer.left + 1] for layer in layers])


class HeadWeights(NamedTuple):
    """What a :class:`Head` needs for one colour: its channels in the cache, and weights with their biases."""

    wide: slice
    hidden: slice
    first: tuple[Tensor, Tensor]
    second: tuple[Tensor, Tensor]


class Head(nn.Module):
    """ReLU and a 1x1 convolution, twice: features to the logits of every colour's levels."""

    def __init__(self, width: int, hidden: int, colours: int, levels: int) -> None:
        super().__init__()
        self.width, self.hidden, self.colours, self.levels = width, hidden, colours, levels
        self.first = pointwise(width, hidden, colours)
        self.second = pointwise(hidden, colours * levels, colours)

    def forward(self, x: Tensor) -> Tensor:
        """Features with shape (n, width, h, w) to logits with shape (n, levels, colours, h, w)."""
        logits: Tensor = self.second(self.first(x.relu()).relu())
        by_colour: Tensor = logits.unflatten(1, (self.colours, self.levels))
        return by_colour.transpose(1, 2)

    def pack(self) -> list[HeadWeights]:
        """Weights for each colour."""
        first, second = self.first.taps()[0, 0], self.second.taps()[0, 0]
        b1, b2 = self.first.biases(), self.second.biases()
        sizes = (self.width, self.hidden, self.colours * self.levels)
        return [
            HeadWeights(
                wide,
                slice(self.width + hidden.start, self.width + hidden.stop),
                (b1[hidden], first[: wide.stop, hidden].contiguous()),
                (b2[out], second[: hidden.stop, out].contiguous()),
            )
            for wide, hidden, out in zip(*(shares(size, self.colours) for size in sizes), strict=True)
        ]

    def step(self, cell: Tensor, x: Tensor, weights: HeadWeights) -> Tensor:
        """Logits with shape (n, levels) of the colour whose features are ``x``.

        ``cell``, with shape (n, width + hidden), remembers the earlier colours of the pixel.
        """
        x = x.relu()
        if self.colours > 1:
            cell[:, weights.wide] = x
            x = cell[:, : weights.wide.stop]
        hidden = torch.addmm(weights.first[0], x, weights.first[1]).relu_()
        if self.colours > 1:
            cell[:, weights.hidden] = hidden
            hidden = cell[:, self.width : weights.hidden.stop]
        return torch.addmm(weights.second[0], hidden, weights.second[1])
