"""What every network of pixels in raster order shares: where a symbol stands, and how it enters."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genwerk.nn.autoregressive.network import AutoregressiveNetwork, Cache


class SymbolInput(nn.Module):
    """Symbols with shape (n, owners, h, w) to features with shape (n, owners * channels, h, w).

    Intensities (``embedding`` 0) become one number in [-1, 1] each. Names without an order - colours of a palette,
    entries of a codebook - become a learned vector of ``embedding`` numbers each: an index is never taken for a number.
    """

    like: Tensor

    def __init__(self, levels: int, embedding: int = 0) -> None:
        super().__init__()
        self.levels, self.channels = levels, embedding or 1
        self.table = nn.Embedding(levels, embedding) if embedding else None
        self.register_buffer("like", torch.empty(0), persistent=False)  # says where and in what precision

    def forward(self, symbols: Tensor) -> Tensor:
        if self.table is None:
            return symbols.to(self.like) * (2 / (self.levels - 1)) - 1
        vectors: Tensor = self.table(symbols)
        return vectors.movedim(-1, 2).flatten(1, 2)


class Raster(AutoregressiveNetwork, ABC):
    """A network over pixels from left to right and top to bottom; the channels of a pixel (red, green, blue) in turn.

    ``shape`` is (channels, height, width). Its input features are those of :class:`SymbolInput`. Whole rows are read by
    one parallel pass, and a row costs as little when it begins as :meth:`enter` does.
    """

    shape: tuple[int, int, int]
    margin: int
    """Rows above, and columns to each side, that the cached ``canvas`` of input features has besides the image's."""

    def __init__(self, shape: tuple[int, int, int], levels: int, embedding: int = 0) -> None:
        super().__init__()
        self.shape, self.levels = shape, levels
        self.input = SymbolInput(levels, embedding)

    def embed(self, symbols: Tensor) -> Tensor:
        features: Tensor = self.input(symbols)
        return features

    def sequence(self, symbols: Tensor) -> Tensor:
        return symbols.permute(0, 2, 3, 1).flatten(1)

    def arrange(self, sequence: Tensor) -> Tensor:
        """Symbols of whole rows, with shape (n, channels, rows, width)."""
        channels, _, width = self.shape
        pixels: Tensor = sequence.unflatten(1, (-1, width, channels))
        return pixels.permute(0, 3, 1, 2)

    def place(self, position: int) -> tuple[int, int, int]:
        """Row, column and channel of the symbol at ``position``."""
        channels, _, width = self.shape
        pixel, channel = divmod(position, channels)
        return pixel // width, pixel % width, channel

    # --- one by one ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, symbols: Tensor, condition: Tensor | None) -> Cache:
        """The cache after whole rows, with shape (n, channels, rows, width); there may be none."""

    @abstractmethod
    def enter(self, cache: Cache, i: int) -> None:
        """Compute what the rows above, which stand, contribute to row ``i``."""

    def blank(self, features: Tensor, right: int = 0) -> Tensor:
        """The canvas of ``features`` of the first rows, with ``right`` columns more on its right; channels last."""
        _, height, width = self.shape
        n, channels, rows, _ = features.shape
        canvas = features.new_zeros(n, height + self.margin, width + 2 * self.margin + right, channels)
        canvas[:, self.margin : self.margin + rows, self.margin : self.margin + width] = features.movedim(1, -1)
        return canvas

    def vectors(self) -> Tensor:
        """What each symbol is to the network, with shape (levels, channels), for ``packed.symbols`` of a cache."""
        symbols = torch.arange(self.levels, device=self.input.like.device)
        features: Tensor = self.input(symbols[:, None, None, None])
        return features.flatten(1)

    @torch.inference_mode()
    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        empty = torch.zeros(n, self.shape[0], 0, self.shape[2], dtype=torch.int64, device=self.input.like.device)
        return self.read(empty, condition)

    @torch.inference_mode()
    def prefill(self, sequence: Tensor, condition: Tensor | None = None) -> Cache:
        """The cache after all of ``sequence``: whole rows by one parallel pass, the row in progress step by step."""
        row = self.shape[0] * self.shape[2]
        whole = sequence.shape[1] // row * row
        cache = self.read(self.arrange(sequence[:, :whole]), condition)
        cache.position = whole
        for symbol in sequence[:, whole:].unbind(1):
            self.logits(cache)
            self.push(cache, symbol)
        return cache

    def write(self, cache: Cache, symbol: Tensor, i: int, j: int, colour: int) -> None:
        """Put ``symbol`` where later steps find it."""
        share = slice(colour * self.input.channels, (colour + 1) * self.input.channels)
        features: Tensor = cache.packed.symbols.index_select(0, symbol)
        cache.tensors["canvas"][:, i + self.margin, j + self.margin, share] = features

    @torch.inference_mode()
    def push(self, cache: Cache, symbol: Tensor) -> None:
        i, j, colour = self.place(cache.position)
        self.write(cache, symbol, i, j, colour)
        cache.position += 1
        if (j, colour) == (self.shape[2] - 1, self.shape[0] - 1) and i + 1 < self.shape[1]:
            self.enter(cache, i + 1)
