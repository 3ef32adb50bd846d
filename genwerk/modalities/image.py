"""Images: pixels of stored levels on a grid, in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.modality import Modality
from genwerk.core.printable import count
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.tokens import CLIPVocabulary
from genwerk.modalities.writers import IMAGES, ending, plain, sheet, write_image
from genwerk.nn.autoregressive.tokeniser import Binarise, Colours, Tokeniser
from genwerk.nn.autoregressive.tokeniser import Pixels as PixelTokeniser
from genwerk.nn.flows.preprocessing import Pixels, PixelTransform, Preprocessing
from genwerk.nn.units import CentredPixels, NetworkUnits, PixelUnits

HALVES = {
    "top-half": ((0.0, 0.5), (0.0, 1.0)),
    "bottom-half": ((0.5, 1.0), (0.0, 1.0)),
    "left-half": ((0.0, 1.0), (0.0, 0.5)),
    "right-half": ((0.0, 1.0), (0.5, 1.0)),
}
"""Rows and columns that each half spans, as fractions of height and width."""


COLOURS = {1: "grey", 3: "rgb", 4: "rgba"}
"""What images of so many channels are asked for as."""


class Image(Modality, kind="image"):
    """Float32 in [0, 1] with shape (c, h, w), stored as uint8 level numbers, 0 to ``levels`` - 1.

    c is 1 (grey), 3 (red, green, blue) or 4 (the last is alpha, how opaque a pixel is).
    """

    plural = "images"
    has_levels = has_pixels = is_grid = one_per_file = True
    learned_features = True
    beginning, unknown = "top-half", 0.5
    range = (0.0, 1.0)
    endings = IMAGES

    @property
    def size(self) -> str:
        channels, height, width = self.spec.shape
        return f"{height}x{width}x{channels}"

    def describe(self) -> list[str]:
        colours = [count(len(self.spec.palette), "colour")] if self.spec.palette else []
        return [*super().describe(), *colours]

    def from_stored(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            return x
        return x.to(torch.get_default_dtype()).div_(self.spec.levels - 1)

    def to_stored(self, x: Tensor) -> Tensor:
        return (x * (self.spec.levels - 1)).round().to(torch.uint8)

    def read_as(self) -> dict[str, Any]:
        channels, height, width = self.spec.shape
        return {"size": height if height == width else None, "colour": COLOURS[channels]}

    @classmethod
    def example(cls) -> DataSpec:
        return DataSpec(kind="image", shape=(1, 8, 8), classes=("a", "b"), captions=True, vocabulary=CLIPVocabulary())

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, *self.spec.shape, generator=generator).cumsum(-1)
        level = noise.sub(noise.amin()).div(noise.amax() - noise.amin()).mul(self.spec.levels - 1)
        return level.round().to(torch.uint8)

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return CentredPixels(self.spec.dims) if centred else PixelUnits()

    def tokeniser(self, binarise: Binarise = "none") -> Tokeniser:
        if binarise != "none" and (self.spec.shape[0] != 1 or self.spec.nominal):
            raise BadInput(f"only grey images can be binarised, not {self.spec}; take ‹model.binarise› none")
        return Colours(self.spec) if self.spec.palette else PixelTokeniser(self.spec, binarise)

    def preprocessing(self, pixels: PixelTransform) -> Preprocessing:
        if self.spec.nominal or self.spec.palette:
            return super().preprocessing(pixels)
        return Pixels(self.spec, pixels)

    def bits_per_dim(self, nats: float, scored: str = "") -> tuple[float | None, str]:
        """Nats are of the stored levels, so bits are nats / (dims ln 2) and nothing is corrected by hand."""
        bits = -nats / (self.spec.dims * log(2))
        return bits, f"{-nats:.4g} nats / ({self.spec.dims} dimensions x ln 2), of {scored or 'the stored pixels'}"

    def as_image(self, x: Tensor) -> Tensor:
        if x.shape[1] == 4:  # of what is transparent the colour does not count
            x = torch.cat([x[:, :3] * x[:, 3:], x[:, 3:]], 1)
        return 2 * x - 1

    def mask(self, known: str, read: Callable[[Path], Tensor]) -> Tensor:
        """A half by its name, or a picture that is light where pixels are known."""
        if Path(known).is_file():
            light = (read(Path(known)) > 0.5).unsqueeze(0)
            return light[:, :3].all(1, keepdim=True).expand_as(light) if light.shape[1] == 4 else light
        if known not in HALVES:
            raise BadInput(f"there is no part {known!r} of an image; expected {', '.join(HALVES)} or a mask image")
        mask = torch.zeros(1, *self.spec.shape, dtype=torch.bool)
        rows, columns = (
            slice(round(start * size), round(stop * size))
            for (start, stop), size in zip(HALVES[known], self.spec.shape[1:], strict=True)
        )
        mask[..., rows, columns] = True
        return mask

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        return write_image(ending(stem, IMAGES), sheet(batch, layout, self.spec.classes), origin)

    def write_one(self, stem: Path, x: Tensor, origin: Mapping[str, Any]) -> Path:
        return write_image(stem.with_suffix(IMAGES[0]), plain(x), origin)
