"""LSTMs over two dimensions: the two cells of van den Oord et al., 2016, arXiv:1601.06759, sections 3.1 and 3.2.

Features have shape (rows, columns, n, features): pixels first, so that what is computed in one step lies together.
Where a pixel has three colours, features stand in three equal groups, in the order of emission. A map between features
of one pixel lets group k read groups up to k (mask B). What comes from other pixels needs no mask, for they stand
before all colours of this one: so a state mixes the colours of the states it comes from, and the group k of a state
knows of its own pixel the colours before k.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive.causal import owners

Affine = tuple[Tensor, Tensor]
"""A bias with shape (outputs,) and a matrix with shape (inputs, outputs)."""


class MaskedLinear(nn.Linear):
    """A map between the features of one pixel, whose output group k reads the input groups up to k (mask B)."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__(inputs, outputs)
        self.groups = groups
        mask = owners(inputs, groups) <= owners(outputs, groups)[:, None]
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.masked(), self.bias)

    def masked(self) -> Tensor:
        return self.weight if self.groups == 1 else self.weight * self.mask

    def pack(self) -> list[Affine]:
        """For each output group the map from the input groups that it reads."""
        size = self.in_features // self.groups
        parts = zip(self.bias.chunk(self.groups), self.weight.chunk(self.groups), strict=True)
        return [(bias, weight[:, : (k + 1) * size].mT) for k, (bias, weight) in enumerate(parts)]


def lstm(gates: Tensor, c: Tensor, groups: int = 1) -> tuple[Tensor, Tensor]:
    """New h and c, each (..., h), of gates (..., 4 h): by group the input, forget and output gate and the candidate."""
    i, f, o, g = gates.unflatten(-1, (groups, 4, -1)).unbind(-2)
    c = f.sigmoid() * c.unflatten(-1, (groups, -1)) + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h.flatten(-2), c.flatten(-2)


class Gates(nn.Module):
    """What drives the states of one direction, and how they begin.

    Gates are linear in the features of the pixel (2 h), in ``taps`` neighbouring states (h each) and, where ``left``,
    in the features of the pixel to the left; a label adds a bias. The states outside the image are learned.
    """

    def __init__(self, width: int, groups: int, taps: int, left: bool = False, classes: int = 0) -> None:
        super().__init__()
        self.inputs = MaskedLinear(2 * width, 4 * width, groups)
        self.left = nn.Linear(2 * width, 4 * width, bias=False) if left else None
        self.states = nn.Linear(taps * width, 4 * width, bias=False)
        self.label = nn.Embedding(classes, 4 * width) if classes else None
        self.outside = nn.Parameter(torch.zeros(2, width))
        with torch.no_grad():
            self.inputs.bias.unflatten(0, (groups, 4, -1))[:, 1] = 1  # at first nothing is forgotten
            if self.label is not None:
                self.label.weight.zero_()

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """The part of the gates that is there before any state, with shape (rows, columns, n, 4 h)."""
        gates: Tensor = self.inputs(x)
        if self.left is not None:
            gates = gates + F.pad(self.left(x), (0, 0, 0, 0, 1, 0))[:, :-1]
        return gates if self.label is None else gates + self.label(condition)

    def bias(self, n: int, condition: Tensor | None) -> Tensor:
        """What no feature and no state changes, with shape (n, 4 h)."""
        return self.inputs.bias.expand(n, -1) if self.label is None else self.inputs.bias + self.label(condition)

    def pack(self) -> list[Tensor]:
        """For each group the matrix from features to the left (if any), states around, and own groups up to it."""
        before = [self.states.weight] if self.left is None else [self.left.weight, self.states.weight]
        others = torch.cat(before, 1).mT.chunk(self.inputs.groups, 1)
        return [torch.cat((other, own)) for other, (_, own) in zip(others, self.inputs.pack(), strict=True)]


class Cell(nn.Module, ABC):
    """A map of LSTM states over an image."""

    past: int
    """Columns that are computed to the right of the image."""
    carry: int
    """Where c comes from: 0 is the pixel to the left, 1 the pixel above."""
    gates: Gates
    """Those of the only direction, or of that from left to right."""
    back: Gates | None
    """Those of the direction from right to left."""

    @abstractmethod
    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States (rows, columns, n, h) of features (rows, columns, n, 2 h), and what the next row needs of the last.

        That is (2, columns, n, h): h, and c or the h from right to left.
        """

    @abstractmethod
    def around(self, x: Tensor, above: Tensor, here: Tensor, j: int) -> list[Tensor]:
        """What :meth:`Gates.pack` multiplies before the pixel's own features, each (n, ...).

        Of column ``j``, from features and states of this row and states of the row above, each (n, columns, ...) with
        a column more to the left.
        """


class RowLSTM(Cell):
    """The state of a pixel from three states of the row above, a row at once (section 3.1): it sees a triangle."""

    past, carry = 0, 1

    def __init__(self, width: int, groups: int, classes: int = 0) -> None:
        super().__init__()
        self.groups = groups
        self.gates, self.back = Gates(width, groups, taps=3, left=True, classes=classes), None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _, columns, n, _ = x.shape
        h, c = self.gates.outside[:, None, None].expand(2, columns, n, -1)
        edge, rows = h[:1], []
        for gate in self.gates(x, condition).unbind(0):
            wide = torch.cat((edge, h, edge))
            around = torch.cat((wide[:-2], h, wide[2:]), -1)
            h, c = lstm(gate + self.gates.states(around), c, self.groups)
            rows.append(h)
        return torch.stack(rows), torch.stack((h, c.to(h.dtype)))

    def around(self, x: Tensor, above: Tensor, here: Tensor, j: int) -> list[Tensor]:
        return [x[:, j], above[:, j : j + 3].flatten(1)]


class DiagonalBiLSTM(Cell):
    """The state of a pixel from those above and to the left, a diagonal at once; and the same mirrored (section 3.2).

    The map of the mirrored direction enters one row further down, where all that it has seen has been emitted.
    """

    past, carry = 1, 0
    back: Gates

    def __init__(self, width: int, groups: int, classes: int = 0) -> None:
        super().__init__()
        self.groups = groups
        self.gates, self.back = (Gates(width, groups, taps=2, classes=classes) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows, columns, n, _ = x.shape
        order, inverse, sizes = diagonals(rows, columns, x.device)
        both = torch.stack((x, x.flip(1))).flatten(1, 2).index_select(1, order)
        gates = torch.stack([g(v[None], condition)[0] for g, v in zip((self.gates, self.back), both, strict=True)])
        weight = torch.stack((self.gates.states.weight, self.back.states.weight)).mT
        edge, c_edge = torch.stack((self.gates.outside, self.back.outside), 1)[:, :, None, None].expand(2, 2, 1, n, -1)
        h, c, states = edge[:, :0], c_edge[:, :0], []
        for t, gate in enumerate(gates.split(sizes, 1)):
            # of the last diagonal, from the row above this one's first to this one's last
            h = torch.cat([edge] * (t < columns) + [h] + [edge] * (t < rows), 1)
            c = torch.cat((c[:, int(t >= columns) :], c_edge), 1) if t < rows else c[:, int(t >= columns) :]
            around = torch.cat((h[:, :-1], h[:, 1:]), -1).flatten(1, 2)  # above, left
            gate = gate + torch.bmm(around, weight).view(gate.shape)
            h, c = lstm(gate, c, self.groups)
            states.append(h)
        right, left = torch.cat(states, 1).index_select(1, inverse).unflatten(1, (rows, columns))
        left = left.flip(1)
        above = torch.cat((edge[1].expand(1, columns, n, -1).to(left.dtype), left[:-1]))
        return right + above, torch.stack((right[-1], left[-1]))

    def around(self, x: Tensor, above: Tensor, here: Tensor, j: int) -> list[Tensor]:
        return [above[:, j + 1], here[:, j]]


@cache
@torch.inference_mode(False)  # what is kept serves training as well
def diagonals(rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor, list[int]]:
    """Pixels by diagonal and therein by row: their order, its inverse, and how many each diagonal has.

    It is the paper's skewed map without the empty places that skewing pads it with.
    """
    steps = (torch.arange(rows)[:, None] + torch.arange(columns)).flatten()
    order = steps.argsort(stable=True)
    return order.to(device), order.argsort().to(device), steps.bincount().tolist()
