"""Couplings: one half of the values stays as it is, and decides how the other half is transformed.

Dinh, Krueger & Bengio, NICE, 2015, arXiv:1410.8516; Dinh, Sohl-Dickstein & Bengio, RealNVP, 2017, arXiv:1605.08803.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.flows.monotone import Monotone
from genwerk.nn.flows.transform import Transform, Transformed, summed

Shape = Sequence[int]


class Split(ABC):
    """How an example falls into two parts, which networks see as tables or images of their own."""

    @abstractmethod
    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Shapes of the two parts of an example with ``shape``."""

    @abstractmethod
    def apart(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two parts."""

    @abstractmethod
    def together(self, a: Tensor, b: Tensor) -> Tensor:
        """The example of two parts."""


class Halves(Split):
    """The first half of the columns or channels (one fewer where their number is odd), and the rest."""

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        first = shape[0] // 2
        return (first, *shape[1:]), (shape[0] - first, *shape[1:])

    def apart(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = x.shape[1] // 2
        return x[:, :first], x[:, first:]

    def together(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b], 1)


class Interleaved(Split):
    """Every second column or channel from the first on, and every second from the second on."""

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        return ((shape[0] + 1) // 2, *shape[1:]), (shape[0] // 2, *shape[1:])

    def apart(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, ::2], x[:, 1::2]

    def together(self, a: Tensor, b: Tensor) -> Tensor:
        both = a.new_empty(len(a), a.shape[1] + b.shape[1], *a.shape[2:])
        both[:, ::2], both[:, 1::2] = a, b
        return both


class Checkerboard(Split):
    """The black and the white squares of an image, each packed to half its height and width and twice its channels.

    A network that sees the black squares so sees no holes where the white ones are, and has a quarter of the places to
    go through.
    """

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        c, h, w = shape
        return (2 * c, h // 2, w // 2), (2 * c, h // 2, w // 2)

    def apart(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (
            torch.cat([x[:, :, ::2, ::2], x[:, :, 1::2, 1::2]], 1),
            torch.cat([x[:, :, ::2, 1::2], x[:, :, 1::2, ::2]], 1),
        )

    def together(self, a: Tensor, b: Tensor) -> Tensor:
        (a1, a2), (b1, b2) = a.chunk(2, 1), b.chunk(2, 1)
        return F.pixel_shuffle(torch.stack([a1, b1, b2, a2], 2).flatten(1, 2), 2)


Build = Callable[[Shape, Shape], nn.Module]
"""A network from an example of the first shape, and the context, to an output of the second, zero to begin with."""


class Coupling(Transform):
    """a stays; b is transformed with parameters that a network computes from a. ``swap`` exchanges their roles.

    ``build`` makes a network from a part of one shape, and the context, to parameters of the other part.
    """

    def __init__(self, shape: Shape, split: Split, monotone: Monotone, build: Build, *, swap: bool = False) -> None:
        super().__init__()
        self.split, self.monotone, self.swap = split, monotone, swap
        first, second = split.shapes(shape)
        if min(first[0], second[0]) < 1:
            raise ValueError("a coupling needs two columns or more, of which one half moves the other; take a MAF")
        a, b = (second, first) if swap else (first, second)
        self.network = build(a, (monotone.size * b[0], *b[1:]))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        return self._move(x, context, self.monotone.forward)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        return self._move(z, context, self.monotone.inverse)

    def _move(self, x: Tensor, context: Tensor | None, how: Callable[[Tensor, Tensor], Transformed]) -> Transformed:
        a, b = reversed(self.split.apart(x)) if self.swap else self.split.apart(x)
        parameters = (
            self.network(self.monotone.seen(a), context).to(b.dtype).unflatten(1, (self.monotone.size, b.shape[1]))
        )
        b, log_slope = how(b, parameters)
        return self.split.together(*((b, a) if self.swap else (a, b))), summed(log_slope)
