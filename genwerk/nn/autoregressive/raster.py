"""What every network of pixels in raster order shares: where a symbol stands, and how it enters."""

from __future__ import annotations

from abc import ABC

import torch
from torch import Tensor, nn

from genwerk.nn.autoregressive.network import AutoregressiveNetwork


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

    ``shape`` is (channels, height, width). Its input features are those of :class:`SymbolInput`.
    """

    shape: tuple[int, int, int]

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
        channels, height, width = self.shape
        pixels: Tensor = sequence.unflatten(1, (height, width, channels))
        return pixels.permute(0, 3, 1, 2)

    def place(self, position: int) -> tuple[int, int, int]:
        """Row, column and channel of the symbol at ``position``."""
        channels, _, width = self.shape
        pixel, channel = divmod(position, channels)
        return pixel // width, pixel % width, channel

    def canvas(self, sequence: Tensor) -> Tensor:
        """The symbols of an incomplete ``sequence`` with shape (n, t) in place, zeros after them; (n, *shape)."""
        return self.arrange(torch.nn.functional.pad(sequence, (0, self.length - sequence.shape[1])))
