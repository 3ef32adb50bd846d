"""Three ways to go through an image, which differ in what a layer finds around its input: the same code runs in all.

Over whole maps, which is how a network learns; over one row of u; and over one cell of ul. The latter two work from a
cache, of rows for u with shape (n, channels, rows, w) and of cells for ul with shape (n, rows, w, channels), keyed by
layer. A lower resolution is computed only at every second or fourth row and cell, and its enlarged output is left for
the rows and cells that follow (Ramachandran et al., 2017, arXiv:1704.06001).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.pixelcnn_pp.layers import Grow, Located, Normed, Pointwise, Shifted


class Sweep(ABC):
    """How layers meet their surroundings; ``condition`` holds class indices with shape (n,), where there are any."""

    def __init__(self, condition: Tensor | None) -> None:
        self.condition = condition

    @abstractmethod
    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        """``layer`` of ``x``."""

    @abstractmethod
    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        """``layer`` of ``x`` and of what stands before it."""

    @abstractmethod
    def shrink(self, layer: Shifted, x: Tensor) -> Tensor | None:
        """The same for a layer of stride 2; None where none of its outputs falls."""

    @abstractmethod
    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        """What an enlarged map holds here; ``low`` is new at the lower resolution, ``like`` has the size wanted."""

    @abstractmethod
    def send(self, link: int, every: int, x: Tensor) -> None:
        """Leave ``x``, from u at ``every`` pixels a cell, to ul."""

    @abstractmethod
    def receive(self, link: int, every: int) -> Tensor:
        """What u has left here."""


class Whole(Sweep):
    """All cells at once; differentiable."""

    def __init__(self, condition: Tensor | None) -> None:
        super().__init__(condition)
        self.links: dict[int, Tensor] = {}

    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        return layer.forward(x)

    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        return layer.forward(x)

    def shrink(self, layer: Shifted, x: Tensor) -> Tensor | None:
        return self.shift(layer, x)

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        assert low is not None
        return layer.forward(low)[..., : like.shape[2], : like.shape[3]]

    def send(self, link: int, every: int, x: Tensor) -> None:
        self.links[link] = x

    def receive(self, link: int, every: int) -> Tensor:
        return self.links.pop(link)


class Reading(Whole):
    """All cells at once, keeping what the rows after ``row`` will ask for. Row -1 is before the first."""

    def __init__(self, condition: Tensor | None, row: int) -> None:
        super().__init__(condition)
        self.row, self.tensors = row, dict[Any, Tensor]()

    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        rows, before = layer.kernel[0], layer.sides[0] if layer.right else 0
        end = self.row // layer.every + 1
        self._keep(layer, F.pad(x, (before, 0, rows, 0))[:, :, end : end + rows])
        return super().shift(layer, x)

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        assert low is not None
        first = max(0, self.row // layer.every)
        self._keep(layer, layer.forward(low[:, :, first : first + 1]))
        return super().grow(layer, low, like)

    def _keep(self, layer: Located, x: Tensor) -> None:
        self.tensors[layer] = (x.permute(0, 2, 3, 1) if layer.right else x).contiguous()


class Step(Sweep):
    """From the cache: one row of u, or one cell of ul."""

    def __init__(self, cache: Cache, row: int, column: int = 0) -> None:
        super().__init__(cache.tensors.get("label"))
        self.tensors, self.row, self.column = cache.tensors, row, column
        self.packed: dict[Normed, tuple[Tensor, Tensor]] = cache.packed
        """Weight and bias of each layer as rows, or cells, need them."""

    @abstractmethod
    def around(self, layer: Shifted, x: Tensor) -> Tensor:
        """Put ``x`` into the cache of ``layer``, and return what its kernel covers."""

    @abstractmethod
    def apply(self, layer: Shifted, x: Tensor) -> Tensor:
        """``layer`` of what its kernel covers."""

    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        return self.apply(layer, self.around(layer, x))

    def shrink(self, layer: Shifted, x: Tensor) -> Tensor | None:
        covered = self.around(layer, x)
        skipped = self.row // layer.every % 2 or self.column // layer.every % 2
        return None if skipped else self.apply(layer, covered)

    def send(self, link: int, every: int, x: Tensor) -> None:
        self.tensors[link] = x[:, :, 0].transpose(1, 2).contiguous()

    def receive(self, link: int, every: int) -> Tensor:
        return self.tensors[link][:, self.column // every]


class Row(Step):
    """One row of u, with shape (n, channels, 1, w)."""

    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        return F.conv2d(x, *self.packed[layer])

    def around(self, layer: Shifted, x: Tensor) -> Tensor:
        self.tensors[layer] = torch.cat([self.tensors[layer][:, :, 1:], x], dim=2)
        return self.tensors[layer]

    def apply(self, layer: Shifted, x: Tensor) -> Tensor:
        weight, bias = self.packed[layer]
        return F.conv2d(x, weight, bias, layer.stride, padding=(0, layer.sides[0]))

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        if low is not None:
            self.tensors[layer] = layer.enlarge(low, self.packed[layer][0])
        line = 2 * self.row // layer.every % 2
        return self.tensors[layer][:, :, line : line + 1, : like.shape[3]]


class Cell(Step):
    """One cell of ul, with shape (n, channels)."""

    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        weight, bias = self.packed[layer]
        return torch.addmm(bias, x, weight)

    def around(self, layer: Shifted, x: Tensor) -> Tensor:
        memory, column = self.tensors[layer], self.column // layer.every
        memory[:, -1, column + layer.sides[0]] = x
        return memory[:, :, column : column + layer.kernel[1]]

    def apply(self, layer: Shifted, x: Tensor) -> Tensor:
        weight, bias = self.packed[layer]
        return torch.addmm(bias, x.flatten(1), weight)

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        memory, column = self.tensors[layer], 2 * self.column // layer.every
        if low is not None:
            weight, bias = self.packed[layer]
            memory[:, :, column : column + 2] = torch.addmm(bias, low, weight).view(-1, 2, 2, low.shape[1])
        return memory[:, 2 * self.row // layer.every % 2, column]
