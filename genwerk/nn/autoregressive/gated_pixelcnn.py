"""Gated PixelCNN: one stack that sees the rows above, one that sees the row to the left, and no blind spot.

van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016, arXiv:1606.05328, sections 2.1 to 2.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive.causal import CausalConv2d, Head, HeadWeights, Stack, own_row, owners, shares
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
        reach, narrow = kernel // 2, owners(width, colours)
        self.vertical = CausalConv2d("none", incoming, narrow.repeat(2), above=reach, left=reach, right=reach)
        self.horizontal = CausalConv2d("A" if first else "B", incoming, narrow.repeat(2), left=reach)
        self.link = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.out = CausalConv2d("B", narrow, narrow.repeat(results))

    def forward(self, v: Tensor, h: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """The vertical stack before its gate, and what the horizontal one gives.

        The vertical stack sees its own row to the end, so it is moved down by one before it is linked. ``label``, with
        shape (n, 4h), is added to both halves of both gates.
        """
        above, own = self.vertical(v), self.horizontal(h)
        if label is not None:
            above = above + label[:, : above.shape[1], None, None]
            own = own + label[:, above.shape[1] :, None, None]
        gated = gate(own + self.link(F.pad(above, (0, 0, 1, 0))[:, :, :-1]))
        return above, self.out(gated)


class Colour(NamedTuple):
    """Weights of one colour of a pixel in the horizontal stack; h and 2h stand for its shares of the channels.

    ``narrow``: which channels of the h are its own; ``pair``: which of the 2h before a gate, ordered by colour.
    ``entry``: of the first layer's live taps in the pixel's own row, with shape (taps, 2h); ``inner``: of the other
    layers. ``results``: of what a gate hands on and skips to the head, 2h as well.
    """

    narrow: slice
    pair: slice
    entry: Tensor
    inner: Stack
    results: Stack


class Packed(NamedTuple):
    """Live weights for stepping: of the vertical stack, of its links and of each colour of the horizontal stack.

    ``order``: the channels before a gate ordered by colour.
    """

    vertical: list[tuple[Tensor, Tensor | None]]
    link: Tensor
    bias: Tensor
    order: Tensor
    colours: list[Colour]
    head: list[HeadWeights]
    symbols: Tensor


class GatedPixelCNN(Raster):
    """``layers`` gated layers of width h, of which the first looks at the image, and a head on the sum of their skips.

    The first layer has neither residual nor skip; the last gives its skip alone.

    Cached are the ``canvas``; ``tall``, the rows of the vertical stack that kernels still reach; ``linked``, what the
    vertical stack and the label contribute at every pixel of the row in progress; ``row``, the horizontal stack's;
    ``gates`` and ``head``, the activations of the earlier colours of the pixel in progress; ``label``.
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
        self.width, self.reach, self.margin = width, kernel // 2, stem // 2
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
        _, skips = deque(self._pass(features, condition), maxlen=1)[0]
        logits: Tensor = self.head(skips)
        return logits

    def _pass(self, features: Tensor, condition: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Of one layer after the other, what enters its vertical stack, and the sum of the skips so far."""
        label, last = self._label(condition), len(self.layers) - 1
        v = h = features.contiguous(memory_format=torch.channels_last)
        skips = features.new_zeros(())
        for i, layer in enumerate(self.layers):
            above, out = layer(v, h, None if label is None else label[:, i])
            skips = skips if i == 0 else skips + out[:, -self.width :]
            yield v, skips
            if i < last:
                v, h = gate(above), out if i == 0 else h + out[:, : self.width]

    def _label(self, condition: Tensor | None) -> Tensor | None:
        """What the label adds in every layer, with shape (n, layers, 4h): to the vertical, then the horizontal gate."""
        if self.label is None:
            return None
        label: Tensor = self.label(condition).unflatten(1, (len(self.layers), 4 * self.width))
        return label

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def read(self, symbols: Tensor, condition: Tensor | None) -> Cache:
        features, packed, label = self.embed(symbols), self.pack(), self._label(condition)
        (n, _, i, width), layers, reach = features.shape, len(self.layers), self.reach
        tall = features.new_zeros(n, layers - 1, reach + 1, width + 2 * reach, self.width)
        for k, (v, _) in enumerate(self._pass(features, condition) if i > 1 else ()):
            if k:
                rows = v[:, :, max(0, i - 2 - reach) : i - 1].movedim(1, -1)
                tall[:, k - 1, reach + 1 - rows.shape[1] :, reach : reach + width] = rows
        tensors = {
            "canvas": self.blank(features),
            "tall": tall,
            "row": tall.new_zeros(n, width + reach, layers - 1, self.width),
            "gates": tall.new_zeros(n, layers, self.width),
            "head": tall.new_zeros(n, self.head.width + self.head.hidden),
        }
        if label is not None:
            tensors["label"] = torch.cat([label[..., : 2 * self.width], label[..., 2 * self.width + packed.order]], 2)
        cache = Cache(tensors, packed)
        self.enter(cache, i)
        return cache

    @torch.inference_mode()
    def logits(self, cache: Cache) -> Tensor:
        i, j, colour = self.place(cache.position)
        c, w = cache.tensors, cache.packed.colours[colour]
        half = w.narrow.stop - w.narrow.start
        taps = c["canvas"][:, i + self.margin, j : j + self.margin + 1].flatten(1)
        pixels, before = c["row"][:, j : j + self.reach + 1], c["linked"][:, j, :, w.pair]
        inner = w.inner.known(pixels, before[:, 1:].transpose(0, 1))
        offsets = w.results.known(c["gates"][:, None])
        gates = [_gate_(torch.addmm(before[:, 0], taps, w.entry), half)]
        result = torch.addmm(offsets[0], gates[0], w.results.own[0])
        cells = pixels[:, -1, :, w.narrow].unbind(1)
        for pre, cell, own, offset, out in zip(inner, cells, w.inner.own, offsets[1:], w.results.own[1:], strict=True):
            cell.copy_(result[:, :half])
            gates.append(_gate_(pre.addmm_(cell, own), half))
            result.addmm_(gates[-1], out).add_(offset)
        if self.shape[0] > 1:
            c["gates"][:, :, w.narrow] = torch.stack(gates, 1)
        return self.head.step(c["head"], result[:, half:], cache.packed.head[colour])

    @torch.inference_mode()
    def enter(self, cache: Cache, i: int) -> None:
        """Run the vertical stack on row ``i`` - 1, which stands, and link it to every pixel of row ``i``."""
        packed: Packed = cache.packed
        c, reach, width = cache.tensors, self.reach, self.shape[2]
        label = c.get("label")
        bias = packed.bias if label is None else packed.bias + label[:, None, :, 2 * self.width :]
        c["linked"] = bias.expand(len(c["tall"]), width, -1, -1)
        if i == 0:
            return
        tall = c["tall"].roll(-1, 2)
        lines, found = c["canvas"][:, i - 1 : i + self.margin], list[Tensor]()
        for k, (weight, b) in enumerate(packed.vertical):
            above = F.conv2d(lines.permute(0, 3, 1, 2), weight, b)[:, :, 0]
            found.append(above if label is None else above + label[:, k, : 2 * self.width, None])
            if k < len(packed.vertical) - 1:
                tall[:, k, -1, reach : reach + width] = gate(found[-1]).mT
                lines = tall[:, k]
        c["tall"], c["linked"] = tall, bias + torch.einsum("lncw,lcd->nwld", torch.stack(found), packed.link)

    def pack(self) -> Packed:
        """Weights in the order in which steps need them."""
        layers = [layer for layer in self.layers if isinstance(layer, Layer)]
        width, narrow, last = self.width, shares(self.width, self.shape[0]), len(layers) - 1
        every = torch.arange(2 * width, device=layers[0].link.weight.device)
        order = torch.cat([torch.cat([every[s], every[width:][s]]) for s in narrow])
        entry, inner = own_row([layers[0].horizontal])[0].flatten(0, 1), own_row([a.horizontal for a in layers[1:]])
        biases = torch.stack([layer.horizontal.biases() for layer in layers])
        # the first layer skips nothing, and the last hands nothing on
        ends = [(0, width) if k == 0 else (width, 0) if k == last else (0, 0) for k in range(len(layers))]
        results = torch.stack([F.pad(a.out.taps()[0], e) for a, e in zip(layers, ends, strict=True)])
        added = torch.stack([F.pad(a.out.biases(), e) for a, e in zip(layers, ends, strict=True)])
        colours = []
        for s in narrow:
            pair = slice(2 * s.start, 2 * s.stop)
            outputs = order[pair]
            parts = (Stack(inner, biases[1:], s, outputs), Stack(results, added, s, outputs))
            colours.append(Colour(s, pair, entry[:, outputs].contiguous(), *parts))
        return Packed(
            vertical=[(layer.vertical.effective().detach(), layer.vertical.bias) for layer in layers],
            link=torch.stack([layer.link.weight.detach()[order, :, 0, 0].T for layer in layers]),
            bias=biases[:, order],
            order=order,
            colours=colours,
            head=self.head.pack(),
            symbols=self.vectors(),
        )


def _gate_(x: Tensor, half: int) -> Tensor:
    """:func:`gate` with shape (n, half) of ``x`` with shape (n, 2 half), which is written over."""
    x[:, :half].tanh_()
    return F.glu(x, 1)
