"""PixelRNN's network: a masked convolution, layers of two-dimensional LSTMs, and a head.

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, arXiv:1601.06759. Shapes and groups are those of
:mod:`~genwerk.nn.autoregressive.spatial_lstm`; the first layer lets group k read only groups before k (mask A). One
by one, a pixel costs one update of each layer's state, and a row one sweep more from right to left.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive.causal import CausalConv2d, owners
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.raster import Raster
from genwerk.nn.autoregressive.spatial_lstm import Affine, Cell, DiagonalBiLSTM, Gates, MaskedLinear, RowLSTM, lstm

CellName = Literal["row", "diagonal"]
REACH = 3
"""Pixels to each side and above that the first layer sees: it is a convolution of 7x7."""


class Block(nn.Module):
    """2 h features in, h states, and back to 2 h by a map that is added to what came in; and a map to the output."""

    def __init__(self, cell: Cell, width: int, groups: int, skip: bool) -> None:
        super().__init__()
        self.cell, self.out = cell, MaskedLinear(width, 2 * width, groups)
        self.skip = MaskedLinear(2 * width, 2 * width, groups) if skip else None

    def forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features (rows, columns, n, 2 h), and the cell's memory of the last row."""
        states, memory = self.cell(x, condition)
        y: Tensor = x + self.out(states)
        return y, memory


class Memory(NamedTuple):
    """What is kept between two symbols: of the row in progress, of the row above it, and of the pixel in progress.

    A row has one column more on its left, and where it says wide, one more on its right.
    """

    canvas: Tensor
    """Input features, three rows more above and three columns more to each side: (n, rows + 3, columns + 6, inputs)."""
    x: Tensor
    """Features that enter each layer, and those that leave the last: (n, layers + 1, columns + 1, 2 h)."""
    above: Tensor
    """States of the row above, wide: (n, layers, columns + 2, h)."""
    here: Tensor
    """States of this row, wide."""
    c: Tensor
    """The c of this row, and of the row above where it has not got to yet: (n, layers, columns + 1, h)."""
    back: Tensor
    """States from right to left of the row above, without more columns: (n, layers, columns, h)."""
    bias: Tensor
    """Biases of the gates by direction: (n, layers, directions, 4 h)."""
    top: Tensor
    """What enters the head: (n, 2 h)."""
    hidden: Tensor
    """The hidden layer of the head: (n, head)."""


class Packed(NamedTuple):
    """Weights in the order in which steps need them: by layer, and in that by group."""

    stem: list[Affine]
    gates: list[list[Tensor]]
    out: list[list[Affine]]
    skip: list[list[Affine]]
    head: list[list[Affine]]
    symbols: Tensor
    back: tuple[Tensor, Tensor] | None
    """Matrices of the direction from right to left, with shapes (layers, 2 h, 4 h): of features, and of states."""


class PixelRNNNetwork(Raster):
    """A stem, ``layers`` LSTMs with h = ``width``, and a head of two layers with ``head`` features between.

    With ``skip`` the output of every layer enters the head by a map of its own.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        cell: CellName = "diagonal",
        width: int = 32,
        layers: int = 1,
        skip: bool = False,
        head: int = 32,
        embedding: int = 0,
        classes: int = 0,
    ) -> None:
        super().__init__(shape, levels, embedding)
        self.groups, self.width, self.margin = shape[0], width, REACH
        if width % self.groups or head % self.groups:
            raise ValueError(
                f"width {width} and head {head} must be multiples of {self.groups}, one group of features a colour"
            )
        make = RowLSTM if cell == "row" else DiagonalBiLSTM
        self.past = make.past
        incoming, outgoing = owners(self.groups * self.input.channels, self.groups), owners(2 * width, self.groups)
        self.stem = CausalConv2d("A", incoming, outgoing, above=REACH, left=REACH, right=REACH)
        blocks = [Block(make(width, self.groups, classes), width, self.groups, skip) for _ in range(layers)]
        self.blocks = cast(Sequence[Block], nn.ModuleList(blocks))
        sizes = (2 * width, head, self.groups * levels)
        maps = [MaskedLinear(a, b, self.groups) for a, b in pairwise(sizes)]
        self.head = cast(Sequence[MaskedLinear], nn.ModuleList(maps))

    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.run(features, condition)[0][:, : features.shape[3]]
        for layer in self.head:
            x = layer(x.relu())
        logits: Tensor = x.unflatten(-1, (self.groups, self.levels)).permute(2, 4, 3, 0, 1)
        return logits

    def run(self, features: Tensor, condition: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """What enters the head (rows, columns, n, 2 h), and each layer's memory of the last row."""
        x = self.stem(F.pad(features, (0, self.past))).permute(2, 3, 0, 1).contiguous()
        total, memories = None, []
        for block in self.blocks:
            x, memory = block(x, condition)
            memories.append(memory)
            if block.skip is not None:
                total = block.skip(x) if total is None else total + block.skip(x)
        return x if total is None else total, memories

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def read(self, symbols: Tensor, condition: Tensor | None) -> Cache:
        features, cells = self.embed(symbols), [block.cell for block in self.blocks]
        n, layers, columns, width = len(features), len(cells), self.shape[2] + self.past, self.width
        directions = [[gates for gates in (cell.gates, cell.back) if gates is not None] for cell in cells]
        h, c = (torch.stack([cell.gates.outside[k] for cell in cells])[:, None].expand(n, -1, -1, -1) for k in (0, 1))
        back = torch.stack([gates[-1].outside[0] for gates in directions])[:, None]
        empty = h.new_zeros
        memory = Memory(
            canvas=self.blank(features, self.past),
            x=empty(n, layers + 1, columns + 1, 2 * width),
            above=h.repeat(1, 1, columns + 2, 1),
            here=h.repeat(1, 1, columns + 2, 1),
            c=c.repeat(1, 1, columns + 1, 1),
            back=back.repeat(n, 1, columns, 1),
            bias=torch.stack([torch.stack([g.bias(n, condition) for g in gates], 1) for gates in directions], 1),
            top=empty(n, 2 * width),
            hidden=empty(n, self.head[0].out_features),
        )
        if features.shape[2]:
            h, other = torch.stack(self.run(features, condition)[1], 1).permute(0, 3, 1, 2, 4)
            memory.above[:, :, 1 : columns + 1] = h
            (memory.back if self.past else memory.c[:, :, 1:]).copy_(other)
        return Cache(memory._asdict(), self._pack())

    def _backs(self) -> list[Gates]:
        return [block.cell.back for block in self.blocks if block.cell.back is not None]

    def _pack(self) -> Packed:
        blocks, backs = self.blocks, self._backs()
        assert self.stem.bias is not None
        biases = self.stem.bias.chunk(self.groups)
        kernels = self.stem.taps().flatten(0, 2).chunk(self.groups, 1)
        return Packed(
            stem=list(zip(biases, kernels, strict=True)),
            gates=[block.cell.gates.pack() for block in blocks],
            out=[block.out.pack() for block in blocks],
            skip=[block.skip.pack() for block in blocks if block.skip is not None],
            head=[layer.pack() for layer in self.head],
            symbols=self.vectors(),
            back=(
                torch.stack([back.inputs.masked().mT for back in backs]),
                torch.stack([back.states.weight.mT for back in backs]),
            )
            if backs
            else None,
        )

    @torch.inference_mode()
    def logits(self, cache: Cache) -> Tensor:
        i, j, k = self.place(cache.position)
        self._advance(cache, i, j, k)
        memory, (first, second) = Memory(**cache.tensors), cache.packed.head
        seen = memory.top[:, : (k + 1) * memory.top.shape[1] // self.groups]
        size = memory.hidden.shape[1] // self.groups
        memory.hidden[:, k * size : (k + 1) * size] = _affine(first[k], seen.relu()).relu()
        return _affine(second[k], memory.hidden[:, : (k + 1) * size])

    def _advance(self, cache: Cache, i: int, j: int, k: int) -> None:
        """Group ``k`` of the features and states of row ``i``, column ``j``, through all layers."""
        memory, packed = Memory(**cache.tensors), cache.packed
        size = self.width // self.groups
        known, new = slice((k + 1) * size), slice(k * size, (k + 1) * size)
        known2, new2 = slice(2 * (k + 1) * size), slice(2 * k * size, 2 * (k + 1) * size)
        x = _affine(packed.stem[k], memory.canvas[:, i : i + REACH + 1, j : j + 2 * REACH + 1].flatten(1))
        memory.x[:, 0, j + 1, new2] = x
        if packed.skip:
            memory.top[:, new2] = 0
        for layer, block in enumerate(self.blocks):
            cell, here = block.cell, memory.here[:, layer]
            around = cell.around(memory.x[:, layer], memory.above[:, layer], here, j)
            seen = torch.cat((*around, memory.x[:, layer, j + 1, known2]), 1)
            gates = torch.addmm(
                memory.bias[:, layer, 0, 4 * k * size : 4 * (k + 1) * size], seen, packed.gates[layer][k]
            )
            h, c = lstm(gates, memory.c[:, layer, j + cell.carry, new])
            here[:, j + 1, new], memory.c[:, layer, j + 1, new] = h, c
            states = h if self.groups == 1 else here[:, j + 1, known]
            if packed.back is not None:
                states = states + memory.back[:, layer, j, known]
            x = x + _affine(packed.out[layer][k], states)
            memory.x[:, layer + 1, j + 1, new2] = x
            if packed.skip:
                memory.top[:, new2] += _affine(packed.skip[layer][k], memory.x[:, layer + 1, j + 1, known2])
        if not packed.skip:
            memory.top[:, new2] = x

    @torch.inference_mode()
    def enter(self, cache: Cache, i: int) -> None:
        memory, packed, columns = Memory(**cache.tensors), cache.packed, self.shape[2]
        for j in range(columns, columns + self.past):
            for k in range(self.groups):
                self._advance(cache, i - 1, j, k)
        if packed.back is not None:
            self._sweep(memory, *packed.back)
        memory.above[:, :, 1:-1] = memory.here[:, :, 1:-1]

    def _sweep(self, memory: Memory, of_features: Tensor, of_states: Tensor) -> None:
        """States from right to left of the row in progress, in all layers at once."""
        x = memory.x[:, :-1, 1:].transpose(0, 1)
        gates = torch.matmul(x, of_features[:, None]) + memory.bias[:, :, 1].transpose(0, 1)[:, :, None]
        h, c = (torch.stack([back.outside[k] for back in self._backs()])[:, None] for k in (0, 1))
        h = h.expand(-1, len(memory.x), -1)
        for j in range(x.shape[2] - 1, -1, -1):
            around = torch.cat((memory.back[:, :, j].transpose(0, 1), h), 2)
            h, c = lstm(torch.baddbmm(gates[:, :, j], around, of_states), c, self.groups)
            memory.back[:, :, j] = h.transpose(0, 1)


def _affine(weights: Affine, x: Tensor) -> Tensor:
    """Outputs (n, outputs) of inputs (n, inputs)."""
    return torch.addmm(weights[0], x, weights[1])
