"""Gated PixelCNN: one stack that sees the rows above, one that sees the row to the left, and no blind spot.

van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016, arXiv:1606.05328, sections 2.1 to 2.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive.causal import CausalConv2d, Head, HeadWeights, owners, shares
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.raster import Raster


def gate(x: Tensor) -> Tensor:
    """tanh of the first half of the channels times the sigmoid of the second (eq. 2)."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class Layer(nn.Module):
    """One layer of both stacks (fig. 2). ``results``: times h channels that the horizontal stack hands on."""

    def __init__(self, incoming: Tensor, width: int, results: int, *, first: bool, kernel: int, colours: int) -> None:
        super().__init__()
        reach, own = kernel // 2, owners(width, colours)
        self.vertical = CausalConv2d("none", incoming, own.repeat(2), above=reach, left=reach, right=reach)
        self.horizontal = CausalConv2d("A" if first else "B", incoming, own.repeat(2), left=reach)
        self.link = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.out = CausalConv2d("B", own, own.repeat(results))

    def forward(self, v: Tensor, h: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The vertical stack before its gate, the horizontal one after it, and what this gives.

        The vertical stack sees its own row to the end, so it is moved down by one before it is linked. ``told``, with
        shape (n, 4h), is added to both halves of both gates.
        """
        above, beside = self.vertical(v), self.horizontal(h)
        if told is not None:
            above = above + told[:, : above.shape[1], None, None]
            beside = beside + told[:, above.shape[1] :, None, None]
        gated = gate(beside + self.link(F.pad(above, (0, 0, 1, 0))[:, :, :-1]))
        return above, gated, self.out(gated)


class Passed(NamedTuple):
    """What goes into a layer's vertical and its horizontal stack, its gate, and the skips so far: (n, h, ...) each."""

    v: Tensor
    h: Tensor
    gated: Tensor
    skips: Tensor


@dataclass(frozen=True)
class Colour:
    """Weights of one colour of a pixel in the horizontal stack, for all L layers.

    h and 2h stand for this colour's shares of the channels; a result is what is handed on and what is skipped to the
    head, 2h as well.
    """

    narrow: slice
    """Which channels of the h are its own."""
    pair: slice
    """Which of the 2h before a gate, ordered by colour."""
    entry: Tensor
    """Of the first layer's live taps in the pixel's own row, with shape (taps, 2h)."""
    left: Tensor
    """Of the pixels to the left in the other layers, with shape (L - 1, pixels * all h, 2h)."""
    lower: Tensor
    """Of the earlier colours of the pixel in these, with shape (L - 1, channels, 2h)."""
    own: tuple[Tensor, ...]
    """Of its own channels in these, each with shape (h, 2h)."""
    results: tuple[Tensor, ...]
    """Of its own gates in the results of all layers, each with shape (h, 2h)."""
    lower_results: Tensor
    """Of the earlier colours' gates in these, with shape (L, channels, 2h)."""
    sums: Tensor
    """Biases of the results, summed up to each layer, with shape (L, 1, 2h)."""
    offsets: tuple[Tensor, ...]
    """The part of ``sums`` that is handed on, by layer from the second."""


@dataclass(frozen=True)
class Packed:
    """Live weights for stepping: of the vertical stack, of its links and of each colour of the horizontal stack."""

    vertical: list[tuple[Tensor, Tensor | None]]
    link: Tensor
    bias: Tensor
    order: Tensor
    """The channels before a gate ordered by colour."""
    colours: list[Colour]
    head: list[HeadWeights]
    symbols: Tensor
    """What each symbol is to the network, with shape (levels, channels)."""


class GatedPixelCNN(Raster):
    """``layers`` gated layers of width h, of which the first looks at the image, and a head on the sum of their skips.

    The first layer has neither residual nor skip; the last gives its skip alone.

    A state holds, a sequence each: the padded canvas of input features; the rows of the vertical stack that kernels
    still reach; for every pixel of the row at hand what the vertical stack and the label contribute; the horizontal
    stack's row; of the pixel at hand what its earlier colours left; what the label contributes.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        *,
        width: int = 32,
        layers: int = 8,
        stem: int = 7,
        kernel: int = 3,
        head: int = 32,
        embedding: int = 0,
        classes: int = 0,
    ) -> None:
        super().__init__(shape, levels, embedding)
        colours = shape[0]
        self.width, self.reach, self.stem_reach = width, kernel // 2, stem // 2
        own, entry = owners(width, colours), owners(colours * self.input.channels, colours)
        self.layers = nn.ModuleList(
            Layer(
                own if i else entry,
                width,
                2 if 0 < i < layers - 1 else 1,
                first=i == 0,
                kernel=kernel if i else stem,
                colours=colours,
            )
            for i in range(layers)
        )
        self.head = Head(width, head, colours, levels)
        self.label = nn.Embedding(classes, layers * 4 * width) if classes else None

    # --- all at once --------------------------------------------------------------------------------------------------

    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        last = deque(self._pass(features, condition), maxlen=1)[0]
        logits: Tensor = self.head(last.skips)
        return logits

    def _pass(self, features: Tensor, condition: Tensor | None) -> Iterator[Passed]:
        """The layers one after the other."""
        told, last = self._told(condition), len(self.layers) - 1
        v = h = features.contiguous(memory_format=torch.channels_last)
        skips = features.new_zeros(())
        for i, layer in enumerate(self.layers):
            above, gated, out = layer(v, h, None if told is None else told[:, i])
            skips = skips if i == 0 else skips + out[:, -self.width :]
            yield Passed(v, h, gated, skips)
            if i < last:
                v, h = gate(above), out if i == 0 else h + out[:, : self.width]

    def _told(self, condition: Tensor | None) -> Tensor | None:
        """What the label adds in every layer, with shape (n, layers, 4h): to the vertical, then the horizontal gate."""
        if self.label is None:
            return None
        told: Tensor = self.label(condition).unflatten(1, (len(self.layers), 4 * self.width))
        return told

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        colours, height, width = self.shape
        packed, layers, reach, pad = self.pack(), len(self.layers), self.reach, self.stem_reach
        like, told = packed.link, self._told(condition)
        if told is not None:
            told = torch.cat([told[..., : 2 * self.width], told[..., 2 * self.width + packed.order]], 2)
        state = Cache(
            [
                like.new_zeros(n, height + pad, width + 2 * pad, colours * self.input.channels),
                like.new_zeros(n, layers - 1, reach + 1, width + 2 * reach, self.width),
                like.new_zeros(n, width, layers, 2 * self.width),
                like.new_zeros(n, width + reach, layers - 1, self.width),
                self.head.cell(like, n),
                *([] if colours == 1 else [like.new_zeros(n, layers, self.width)]),
                *([] if told is None else [told]),
            ],
            packed,
        )
        self._enter(state, 0)
        return state

    @torch.inference_mode()
    def logits(self, state: Cache) -> Tensor:
        i, j, colour = self.place(state.position)
        canvas, _, linked, row, cell, *rest = state.tensors
        w: Colour = state.packed.colours[colour]
        reach, half = self.reach, w.narrow.stop - w.narrow.start
        known = linked[:, j, :, w.pair]
        left = row[:, j : j + reach].permute(2, 0, 1, 3).flatten(2)
        before = known[:, 1:].transpose(0, 1).baddbmm(left, w.left)
        offsets, last = w.offsets, w.sums[-1]
        if colour:
            lower = slice(0, w.narrow.start)
            before.baddbmm_(row[:, j + reach, :, lower].transpose(0, 1), w.lower)
            sums = (rest[0][:, :, lower].transpose(0, 1) @ w.lower_results).cumsum(0) + w.sums
            offsets, last = sums[:-1, :, :half].unbind(), sums[-1]
        taps = canvas[:, i + self.stem_reach, j : j + self.stem_reach + 1].flatten(1)
        gates = [_gate_(torch.addmm(known[:, 0], taps, w.entry), half)]
        result = gates[0] @ w.results[0]
        handed, cells = result[:, :half], row[:, j + reach, :, w.narrow].unbind(1)
        for pre, x, offset, own, out in zip(before.unbind(), cells, offsets, w.own, w.results[1:], strict=True):
            torch.add(handed, offset, out=x)
            gates.append(_gate_(pre.addmm_(x, own), half))
            result.addmm_(gates[-1], out)
        if self.shape[0] > 1:
            rest[0][:, :, w.narrow] = torch.stack(gates, 1)
        return self.head.step(cell, (result + last)[:, half:], state.packed.head[colour])

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
        """Run the vertical stack on row ``i`` - 1, which stands, and link it to every pixel of row ``i``."""
        packed: Packed = state.packed
        canvas, tall, linked = state.tensors[:3]
        told = state.tensors[-1] if self.label is not None else None
        linked.copy_(packed.bias)
        if told is not None:
            linked += told[:, None, :, 2 * self.width :]
        if i == 0:
            return
        tall[:, :, :-1] = tall[:, :, 1:].clone()
        lines, found, reach = canvas[:, i - 1 : i + self.stem_reach], list[Tensor](), self.reach
        for k, (weight, bias) in enumerate(packed.vertical):
            above = F.conv2d(lines.permute(0, 3, 1, 2), weight, bias)[:, :, 0]
            found.append(above if told is None else above + told[:, k, : 2 * self.width, None])
            if k < len(packed.vertical) - 1:
                tall[:, k, -1, reach : reach + self.shape[2]] = gate(found[-1]).mT
                lines = tall[:, k]
        linked += torch.einsum("lncw,lcd->nwld", torch.stack(found), packed.link)

    @torch.inference_mode()
    def prefill(self, sequence: Tensor, condition: Tensor | None = None) -> Cache:
        state = self.begin(len(sequence), condition)
        state.position = sequence.shape[1]
        i, j, _ = self.place(state.position)
        width, reach, pad = self.shape[2], self.reach, self.stem_reach
        if state.position == 0 or i == self.shape[1]:
            return state
        features = self.embed(self.canvas(sequence))
        canvas, tall, _, row, cell, *rest = state.tensors
        canvas[:, pad:, pad : pad + width] = features.movedim(1, -1)
        top, bottom = max(0, i - 2 - reach), max(0, i - 1)
        for k, passed in enumerate(self._pass(features[:, :, : i + 1], condition)):
            if k:
                rows = passed.v[:, :, top:bottom].movedim(1, -1)
                tall[:, k - 1, reach + 1 - (bottom - top) :, reach : reach + width] = rows
                row[:, reach:, k - 1] = passed.h[:, :, i].mT
            if self.shape[0] > 1:
                rest[0][:, k] = passed.gated[:, :, i, j]
        self.head.fill(cell, passed.skips[:, :, i, j])
        self._enter(state, i)
        return state

    def pack(self) -> Packed:
        """Weights in the order in which steps need them."""
        colours, width, reach = self.shape[0], self.width, self.reach
        layers = [layer for layer in self.layers if isinstance(layer, Layer)]
        narrow = shares(width, colours)
        every = torch.arange(2 * width, device=layers[0].link.weight.device)
        order = torch.cat([torch.cat([every[s], every[width:][s]]) for s in narrow])
        entry = layers[0].horizontal.taps()[0, :, :, order].flatten(0, 1)
        rest = torch.stack([layer.horizontal.taps()[0][..., order] for layer in layers[1:]])
        results, biases = zip(*(self._result(layer, i) for i, layer in enumerate(layers)), strict=True)
        result, bias = torch.stack(results)[..., order], torch.stack(biases)[:, None, order]
        parts = []
        for s in narrow:
            pair, half = slice(2 * s.start, 2 * s.stop), s.stop - s.start
            sums = bias[..., pair].cumsum(0)
            parts.append(
                Colour(
                    narrow=s,
                    pair=pair,
                    entry=entry[:, pair].contiguous(),
                    left=rest[:, :reach, :, pair].flatten(1, 2).contiguous(),
                    lower=rest[:, reach, : s.start, pair].contiguous(),
                    own=rest[:, reach, s, pair].contiguous().unbind(),
                    results=result[:, s, pair].contiguous().unbind(),
                    lower_results=result[:, : s.start, pair].contiguous(),
                    sums=sums,
                    offsets=sums[:-1, :, :half].unbind(),
                )
            )
        return Packed(
            vertical=[(layer.vertical.effective().detach(), layer.vertical.bias) for layer in layers],
            link=torch.stack([layer.link.weight.detach()[order, :, 0, 0].T for layer in layers]),
            bias=torch.stack([layer.horizontal.biases()[order] for layer in layers]),
            order=order,
            colours=parts,
            head=self.head.pack(),
            symbols=self.input(torch.arange(self.levels, device=order.device)[:, None, None, None])[:, :, 0, 0],
        )

    def _result(self, layer: Layer, i: int) -> tuple[Tensor, Tensor]:
        """Weights (h, 2h) and biases (2h) of what layer ``i`` hands on and skips, zero for what it does not."""
        ends = (0, self.width) if i == 0 else (self.width, 0) if i == len(self.layers) - 1 else (0, 0)
        return F.pad(layer.out.taps()[0, 0], ends), F.pad(layer.out.biases(), ends)


def _gate_(x: Tensor, half: int) -> Tensor:
    """:func:`gate` with shape (n, half) of ``x`` with shape (n, 2 half), which is written over."""
    x[:, :half].tanh_()
    return F.glu(x, 1)
