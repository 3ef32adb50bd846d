"""PixelCNN: residual blocks of masked convolutions, and how it is sampled with every activation computed once.

van den Oord, Kalchbrenner & Kavukcuoglu, Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759, section 3.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive.causal import CausalConv2d, Head, HeadWeights, owners, pointwise, shares
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.raster import Raster


class Block(nn.Module):
    """2h channels -> 1x1 h -> k x k h -> 1x1 2h, each after a ReLU; the caller adds the result, once."""

    def __init__(self, width: int, kernel: int, colours: int) -> None:
        super().__init__()
        reach, narrow = kernel // 2, owners(width, colours)
        self.first = pointwise(2 * width, width, colours)
        self.second = CausalConv2d("B", narrow, narrow, above=reach, left=reach, right=reach)
        self.third = pointwise(width, 2 * width, colours)

    def forward(self, x: Tensor, told: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The wide ReLU, both narrow ones, and what is to be added to ``x``.

        ``told``, with shape (n, h), is added before the first narrow ReLU.
        """
        wide = x.relu()
        first = self.first(wide)
        first = (first if told is None else first + told[:, :, None, None]).relu()
        second = self.second(first).relu()
        return wide, first, second, self.third(second)


@dataclass(frozen=True)
class Colour:
    """Weights of one colour of a pixel, for all L blocks; h and 2h stand for this colour's shares of the channels."""

    wide: slice
    narrow: slice
    """Which channels of blocks are its own, of the 2h and of the h."""
    stem: Tensor
    """Of the stem's live taps in the pixel's own row, with shape (taps, 2h)."""
    left: Tensor
    """Of the pixels to the left, in all blocks, with shape (L, pixels * all h, h)."""
    lower: tuple[Tensor, Tensor, Tensor]
    """Of the earlier colours of the pixel, in each of a block's convolutions, with shape (L, channels, h or 2h)."""
    into: Tensor
    """Of its own channels in the first convolution, with shape (L, 2h, h)."""
    own: list[tuple[Tensor, Tensor, Tensor]]
    """Of its own channels in each convolution of each block: all that must be gone through block by block."""
    added: Tensor
    """Bias of what a block adds, with shape (L, 1, 2h)."""
    offset: Tensor
    """Sum of these biases before each block and after the last, with shape (L + 1, 1, 2h)."""
    bias: Tensor
    """Bias of the first convolution with shape (L, 1, h); the first colour's holds the contribution of ``offset``."""
    first: tuple[Tensor, ...]
    floor: tuple[Tensor, ...]
    """``bias`` and minus ``offset``, block by block."""


@dataclass(frozen=True)
class Packed:
    """Live weights for stepping: of the rows above, as convolutions for a whole row, and of each colour."""

    stem: tuple[Tensor, Tensor]
    above: tuple[Tensor, Tensor]
    colours: list[Colour]
    head: list[HeadWeights]
    symbols: Tensor
    """What each symbol is to the network, with shape (levels, channels)."""


class MaskedPixelCNN(Raster):
    """A masked stem, residual blocks and a head. ``classes`` above 0: every block is told the label.

    A state holds, a sequence each: the padded canvas of input features; the narrow activations of the rows that the
    kernels still reach; for every pixel of the row at hand what the rows above contribute to the blocks, and to the
    stem; of the pixel at hand the activations of its earlier colours; what the label contributes.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        *,
        width: int = 16,
        layers: int = 15,
        stem: int = 7,
        kernel: int = 3,
        head: int = 32,
        embedding: int = 0,
        classes: int = 0,
    ) -> None:
        super().__init__(shape, levels, embedding)
        colours = shape[0]
        self.width, self.reach, self.stem_reach = width, kernel // 2, stem // 2
        self.stem = CausalConv2d(
            "A",
            owners(colours * self.input.channels, colours),
            owners(2 * width, colours),
            above=stem // 2,
            left=stem // 2,
            right=stem // 2,
        )
        self.blocks = nn.ModuleList(Block(width, kernel, colours) for _ in range(layers))
        self.head = Head(2 * width, head, colours, levels)
        self.label = nn.Embedding(classes, layers * width) if classes else None

    # --- all at once --------------------------------------------------------------------------------------------------

    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        x, told = self.stem(features).contiguous(memory_format=torch.channels_last), self._told(condition)
        for i, block in enumerate(self.blocks):
            x = x + block(x, None if told is None else told[:, i])[3]
        logits: Tensor = self.head(x)
        return logits

    def _told(self, condition: Tensor | None) -> Tensor | None:
        """What the label adds in every block, with shape (n, blocks, h)."""
        if self.label is None:
            return None
        told: Tensor = self.label(condition).unflatten(1, (len(self.blocks), self.width))
        return told

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        colours, height, width = self.shape
        like, blocks, reach, pad = self.stem.weight, len(self.blocks), self.reach, self.stem_reach
        told = self._told(condition)
        state = Cache(
            [
                like.new_zeros(n, height + pad, width + 2 * pad, colours * self.input.channels),
                like.new_zeros(n, reach, width + 2 * reach, blocks, self.width),
                like.new_empty(n, width, blocks, self.width),
                like.new_empty(n, width, 2 * self.width),
                self.head.cell(like, n),
                *([] if colours == 1 else [like.new_zeros(n, blocks, 2 * self.width)]),
                *([] if colours == 1 else [like.new_zeros(n, blocks, self.width)]),
                *([] if told is None else [told]),
            ],
            self.pack(),
        )
        self._enter(state, 0)
        return state

    @torch.inference_mode()
    def logits(self, state: Cache) -> Tensor:
        i, j, colour = self.place(state.position)
        canvas, rows, above, stem, cell, *rest = state.tensors
        w: Colour = state.packed.colours[colour]
        row, reach = rows[:, -1], self.reach
        taps = canvas[:, i + self.stem_reach, j : j + self.stem_reach + 1].flatten(1)
        # relu(y + q) = max(y, -q) + q: of the residual sum y + q, q is known in all blocks before the first one is gone
        # through, and what it gives to the convolution that follows is in that one's bias
        y = torch.addmm(stem[:, j, w.wide], taps, w.stem)
        second = _by_block(above[:, j, :, w.narrow])
        second = second.baddbmm(row[:, j : j + reach].permute(2, 0, 1, 3).flatten(2), w.left)
        bias, offset, first, floor = w.bias, w.offset, w.first, w.floor
        if colour:
            wide, narrow = rest[0], rest[1]
            second.baddbmm_(_by_block(row[:, j + reach, :, : w.narrow.start]), w.lower[1])
            offset = _sums(w.added.baddbmm(_by_block(narrow[:, :, : w.narrow.start]), w.lower[2]))
            bias = bias.baddbmm(_by_block(wide[:, :, : w.wide.start]), w.lower[0]).baddbmm_(offset[:-1], w.into)
            first, floor = bias.unbind(), offset.neg().unbind()
        if self.label is not None:
            first = (bias + _by_block(rest[-1][:, :, w.narrow])).unbind()
        cells, seen = row[:, j + reach, :, w.narrow].unbind(1), list[Tensor]()
        for a, b, cell_1, q, (one, two, three) in zip(first, second.unbind(), cells, floor, w.own, strict=False):
            seen.append(y.maximum(q))
            torch.addmm(a, seen[-1], one, out=cell_1).relu_()
            y.addmm_(b.addmm_(cell_1, two).relu_(), three)
        if rest and self.shape[0] > 1:
            rest[0][:, :, w.wide] = _by_block(torch.stack(seen) + offset[:-1])
            rest[1][:, :, w.narrow] = _by_block(second)
        return self.head.step(cell, y.add_(offset[-1]), state.packed.head[colour])

    @torch.inference_mode()
    def push(self, state: Cache, symbol: Tensor) -> None:
        i, j, colour = self.place(state.position)
        share = slice(colour * self.input.channels, (colour + 1) * self.input.channels)
        row, column = i + self.stem_reach, j + self.stem_reach
        state.tensors[0][:, row, column, share] = state.packed.symbols.index_select(0, symbol)
        state.position += 1
        if state.position % (self.shape[0] * self.shape[2]) == 0 and i + 1 < self.shape[1]:
            self._enter(state, i + 1)

    def _enter(self, state: Cache, i: int) -> None:
        """Compute what the rows above contribute to row ``i``, in all blocks and at all its pixels."""
        packed: Packed = state.packed
        canvas, rows, above, stem = state.tensors[:4]
        lines = canvas[:, i : i + self.stem_reach].permute(0, 3, 1, 2)
        stem.copy_(F.conv2d(lines, *packed.stem)[:, :, 0].mT)
        lines = rows.flatten(3).permute(0, 3, 1, 2)
        found = F.conv2d(lines, *packed.above, groups=len(self.blocks))
        above.copy_(found[:, :, 0].mT.unflatten(2, above.shape[2:]))
        if self.reach > 1:
            state.tensors[1] = rows.roll(-1, 1)

    @torch.inference_mode()
    def prefill(self, sequence: Tensor, condition: Tensor | None = None) -> Cache:
        state = self.begin(len(sequence), condition)
        state.position = sequence.shape[1]
        i, j, _ = self.place(state.position)
        width, reach, pad = self.shape[2], self.reach, self.stem_reach
        if state.position == 0 or i == self.shape[1]:
            return state
        features = self.embed(self.canvas(sequence))
        canvas, rows, _, _, cell, *rest = state.tensors
        canvas[:, pad:, pad : pad + width] = features.movedim(1, -1)
        x, told = self.stem(features[:, :, : i + 1]), self._told(condition)
        top = max(0, i - reach)
        current = rows[:, -1].clone()
        for k, block in enumerate(self.blocks):
            wide, first, second, added = block(x, None if told is None else told[:, k])
            lines = first.movedim(1, -1)
            rows[:, reach - (i - top) :, reach : reach + width, k] = lines[:, top:i]
            current[:, reach : reach + width, k] = lines[:, i]
            if self.shape[0] > 1:
                rest[0][:, k], rest[1][:, k] = wide[:, :, i, j], second[:, :, i, j]
            x = x + added
        self.head.fill(cell, x[:, :, i, j])
        self._enter(state, i)
        state.tensors[1][:, -1] = current
        return state

    def pack(self) -> Packed:
        """Weights in the order in which steps need them."""
        colours, reach, pad = self.shape[0], self.reach, self.stem_reach
        stem = self.stem.taps()
        blocks = [b for b in self.blocks if isinstance(b, Block)]
        first, second, third = (
            torch.stack([getattr(b, part).taps() for b in blocks]) for part in ("first", "second", "third")
        )
        first, third = first[:, 0, 0], third[:, 0, 0]
        biases = [torch.stack([getattr(b, part).biases() for b in blocks]) for part in ("first", "second", "third")]
        kernels = second[:, :reach].permute(0, 4, 3, 1, 2).flatten(0, 1).contiguous()
        parts = []
        for wide, narrow in zip(shares(2 * self.width, colours), shares(self.width, colours), strict=True):
            into, added = first[:, wide, narrow].contiguous(), biases[2][:, None, wide]
            offset, bias = _sums(added), biases[0][:, None, narrow]
            if not wide.start:
                bias = bias + offset[:-1] @ into
            central, out = second[:, reach, reach, narrow, narrow].contiguous(), third[:, narrow, wide].contiguous()
            parts.append(
                Colour(
                    wide=wide,
                    narrow=narrow,
                    stem=stem[pad, : pad + 1, :, wide].flatten(0, 1),
                    left=second[:, reach, :reach, :, narrow].flatten(1, 2).contiguous(),
                    lower=(
                        first[:, : wide.start, narrow].contiguous(),
                        second[:, reach, reach, : narrow.start, narrow].contiguous(),
                        third[:, : narrow.start, wide].contiguous(),
                    ),
                    into=into,
                    own=list(zip(into, central, out, strict=True)),
                    bias=bias,
                    added=added,
                    offset=offset,
                    first=bias.unbind(),
                    floor=offset.neg().unbind(),
                )
            )
        return Packed(
            stem=(stem[:pad].permute(3, 2, 0, 1).contiguous(), self.stem.biases()),
            above=(kernels, biases[1].flatten()),
            colours=parts,
            head=self.head.pack(),
            symbols=self.input(torch.arange(self.levels, device=stem.device)[:, None, None, None])[:, :, 0, 0],
        )


def _by_block(cells: Tensor) -> Tensor:
    """Cells with shape (n, blocks, channels) to (blocks, n, channels), for products of all blocks at once."""
    return cells.transpose(0, 1)


def _sums(added: Tensor) -> Tensor:
    """What was added before each block, and after the last: (L, n, channels) to (L + 1, n, channels)."""
    return F.pad(added.cumsum(0), (0, 0, 0, 0, 1, 0))
