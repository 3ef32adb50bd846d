"""PixelCNN: residual blocks of masked convolutions, and how it is sampled with every activation computed once.

van den Oord, Kalchbrenner & Kavukcuoglu, Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759, section 3.5.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive.causal import (
    CausalConv2d,
    Head,
    HeadWeights,
    Stack,
    own_row,
    owners,
    pointwise,
    shares,
)
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

    def forward(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What enters the k x k convolution, and what is to be added to ``x``.

        ``label``, with shape (n, h), is added before the first narrow ReLU.
        """
        first = self.first(x.relu())
        first = (first if label is None else first + label[:, :, None, None]).relu()
        return first, self.third(self.second(first).relu())


class Colour(NamedTuple):
    """Weights of one colour of a pixel; h and 2h stand for its shares of the channels, which are ``narrow``, ``wide``.

    ``stem``: of the stem's live taps in the pixel's own row, with shape (taps, 2h). ``first``, ``second``, ``third``:
    of each block's convolutions.
    """

    wide: slice
    narrow: slice
    stem: Tensor
    first: Stack
    second: Stack
    third: Stack


class Packed(NamedTuple):
    """Live weights for stepping: of the rows above, as convolutions for a whole row, and of each colour."""

    stem: tuple[Tensor, Tensor]
    above: tuple[Tensor, Tensor]
    colours: list[Colour]
    head: list[HeadWeights]
    symbols: Tensor


class MaskedPixelCNN(Raster):
    """A masked stem, residual blocks and a head. ``classes`` above 0: every block is conditioned on the label.

    Cached are the ``canvas``; ``rows``, what enters the k x k convolutions in the rows that they still reach; ``stem``
    and ``above``, what the rows above contribute at every pixel of the row in progress; ``wide``, ``narrow`` and
    ``head``, the activations of the earlier colours of the pixel in progress; ``label``, what the label contributes.
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
        self.width, self.reach, self.margin = width, kernel // 2, stem // 2
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
        x, label = self.stem(features).contiguous(memory_format=torch.channels_last), self._label(condition)
        for i, block in enumerate(self.blocks):
            x = x + block(x, None if label is None else label[:, i])[1]
        logits: Tensor = self.head(x)
        return logits

    def _label(self, condition: Tensor | None) -> Tensor | None:
        """What the label adds in every block, with shape (n, blocks, h)."""
        return None if self.label is None else self.label(condition).unflatten(1, (len(self.blocks), self.width))

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def read(self, symbols: Tensor, condition: Tensor | None) -> Cache:
        features, label = self.embed(symbols), self._label(condition)
        (n, _, i, width), blocks, reach = features.shape, len(self.blocks), self.reach
        rows = features.new_zeros(n, reach, width + 2 * reach, blocks, self.width)
        if i:
            x = self.stem(features)
            for k, block in enumerate(self.blocks):
                first, added = block(x, None if label is None else label[:, k])
                last = first[:, :, -reach:].movedim(1, -1)
                rows[:, reach - last.shape[1] :, reach : reach + width, k] = last
                x = x + added
        tensors = {
            "canvas": self.blank(features),
            "rows": rows,
            "wide": rows.new_zeros(n, blocks, 2 * self.width),
            "narrow": rows.new_zeros(n, blocks, self.width),
            "head": rows.new_zeros(n, self.head.width + self.head.hidden),
        }
        cache = Cache(tensors if label is None else tensors | {"label": label}, self.pack())
        self.enter(cache, i)
        return cache

    @torch.inference_mode()
    def logits(self, cache: Cache) -> Tensor:
        i, j, colour = self.place(cache.position)
        c, w = cache.tensors, cache.packed.colours[colour]
        taps = c["canvas"][:, i + self.margin, j : j + self.margin + 1].flatten(1)
        pixels = c["rows"][:, -1, j : j + self.reach + 1]
        x = torch.addmm(c["stem"][:, j, w.wide], taps, w.stem)
        bias = None if self.label is None else w.first.bias + c["label"][:, :, w.narrow].transpose(0, 1)
        first = w.first.known(c["wide"][:, None], bias)
        second = w.second.known(pixels, c["above"][:, j, :, w.narrow].transpose(0, 1))
        third = w.third.known(c["narrow"][:, None])
        cells, wide = pixels[:, -1, :, w.narrow].unbind(1), list[Tensor]()
        own = (w.first.own, w.second.own, w.third.own)
        for a, b, d, cell, one, two, three in zip(first, second, third, cells, *own, strict=True):
            wide.append(x.relu())
            torch.addmm(a, wide[-1], one, out=cell).relu_()
            x.addmm_(b.addmm_(cell, two).relu_(), three).add_(d)
        if self.shape[0] > 1:
            c["wide"][:, :, w.wide], c["narrow"][:, :, w.narrow] = torch.stack(wide, 1), torch.stack(second, 1)
        return self.head.step(c["head"], x, cache.packed.head[colour])

    @torch.inference_mode()
    def enter(self, cache: Cache, i: int) -> None:
        c, rows = cache.tensors, cache.tensors["rows"]
        packed: Packed = cache.packed
        lines = c["canvas"][:, i : i + self.margin].permute(0, 3, 1, 2)
        c["stem"] = F.conv2d(lines, *packed.stem)[:, :, 0].mT
        above = F.conv2d(rows.flatten(3).permute(0, 3, 1, 2), *packed.above, groups=len(self.blocks))
        c["above"] = above[:, :, 0].mT.unflatten(2, rows.shape[3:])
        c["rows"] = rows.roll(-1, 1)

    def pack(self) -> Packed:
        """Weights in the order in which steps need them."""
        colours, reach, pad = self.shape[0], self.reach, self.margin
        stem, blocks = self.stem.taps(), [b for b in self.blocks if isinstance(b, Block)]
        first, second, third = (own_row([getattr(b, part) for b in blocks]) for part in ("first", "second", "third"))
        bias, middle, added = (
            torch.stack([getattr(b, part).biases() for b in blocks]) for part in ("first", "second", "third")
        )
        above = torch.stack([b.second.taps()[:reach] for b in blocks])
        return Packed(
            stem=(stem[:pad].permute(3, 2, 0, 1).contiguous(), self.stem.biases()),
            above=(above.permute(0, 4, 3, 1, 2).flatten(0, 1).contiguous(), middle.flatten()),
            colours=[
                Colour(
                    wide=wide,
                    narrow=narrow,
                    stem=stem[pad, : pad + 1, :, wide].flatten(0, 1),
                    first=Stack(first, bias, wide, narrow),
                    second=Stack(second, middle, narrow, narrow),
                    third=Stack(third, added, narrow, wide),
                )
                for wide, narrow in zip(shares(2 * self.width, colours), shares(self.width, colours), strict=True)
            ],
            head=self.head.pack(),
            symbols=self.vectors(),
        )
