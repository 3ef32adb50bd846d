"""An image file in its own size, whole: all frames of an animation, what is transparent, and grey values of 16 bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.data.picture import (
    MODES,
    Depth,
    Picture,
    as_mode,
    channels_first,
    covered,
    depth,
    flattened,
    opening,
    probe,
    survey,
    white,
)
from genwerk.data.reading import Unusable, decoding

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {"GIF": ".gif", "WEBP": ".webp", "PNG": ".png"}
"""What animations are read from, and how the names of such files end; other files of several pages give the first."""
ORIENTATION = 0x0112
"""The Exif tag that says how an image is turned."""
STILL = 100
"""Milliseconds of a frame that does not say how long it stands."""


@dataclass(frozen=True)
class Frame:
    """One image."""

    pixels: Tensor
    """In [0, 1] with shape (c, h, w), over the background unless c is 4."""
    alpha: Tensor | None
    """How opaque it is, uint8 with shape (h, w); None where it is throughout, or c is 4."""
    duration: int
    """Milliseconds for which it stands."""


@dataclass(frozen=True)
class Film:
    """The image file ``picture``, with ``channels`` (1, 3 or 4), of which fewer than 4 are laid over ``background``."""

    picture: Picture
    channels: int
    background: str = "white"

    @property
    def name(self) -> str:
        return self.picture.name

    @contextmanager
    def _read(self) -> Iterator[None]:
        """Around whatever reads the file: a BadInput names it."""
        try:
            yield
        except Unusable as error:
            raise BadInput(f"{self.name} cannot be read as an image: {error}") from None

    @cached_property
    def sha256(self) -> str:
        """Of the file."""
        digest = hashlib.sha256()
        with self._read(), decoding(), self.picture.open() as file:
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest()

    @cached_property
    def moving(self) -> str:
        """How the name of such a file ends where it is an animation, of more than one frame; else empty."""
        return self._header[0]

    @cached_property
    def loop(self) -> int | None:
        """How often an animation is played, 0 for ever; None where it does not say."""
        return self._header[1]

    @cached_property
    def lost(self) -> str:
        """What of the file is not read, in words; empty where all is."""
        with self._read():
            found = probe(self.picture)
        if found.cut:
            return "its colours have 16 bits, of which the upper 8 are read"
        return "it has several pages, of which the first is read" if found.frames and not self.moving else ""

    @cached_property
    def size(self) -> tuple[int, int]:
        """Its height and width in pixels, upright."""
        with self._read():
            found = probe(self.picture)
        return found.height, found.width

    @cached_property
    def _header(self) -> tuple[str, int | None]:
        with self._read(), opening(self.picture) as image:
            several = probe(self.picture).frames and image.format in FORMATS
            return FORMATS[image.format or ""] if several else "", image.info.get("loop")

    @property
    def fault(self) -> str:
        """Why it cannot be read to its end, in words; empty where it can. It is decoded for that."""
        try:
            for _ in self.frames():
                pass
        except BadInput as error:
            return error.sentence
        return ""

    def frames(self) -> Iterator[Frame]:
        """Its frames one at a time, upright."""
        if not self.moving:
            yield self._still()
            return
        with self._read(), opening(self.picture) as image:
            with decoding():
                several = image.n_frames  # type: ignore[attr-defined]
            for number in range(several):
                yield self._frame(image, number)

    def _still(self) -> Frame:
        """The one frame that there is; nothing of the file is kept beside it, for it may be large."""
        with self._read(), opening(self.picture) as image:
            return self._frame(image, 0)

    @cached_property
    def _depth(self) -> Depth | None:
        """How many of its 16 bits grey values have; None where they have 8."""
        return depth([survey(self.picture)]) if probe(self.picture).deep else None

    def _frame(self, image: Image, number: int) -> Frame:
        from PIL import ImageOps

        with decoding():
            image.seek(number)
            image.load()
            turned = image.getexif().get(ORIENTATION, 1) != 1
            upright = ImageOps.exif_transpose(image) if turned else image  # which would copy it else
        pixels, alpha = self._exact(upright, self._depth) if self._depth else self._shallow(upright)
        return Frame(pixels, alpha, round(image.info.get("duration", STILL)))

    def _exact(self, image: Image, scale: Depth) -> tuple[Tensor, None]:
        """Grey values of 16 bits, which are not brought to 8."""
        values = np.asarray(image).astype(np.int32)
        values[np.isin(values, list(scale.missing))] = 0
        grey = torch.from_numpy((values.clip(max=scale.white) / scale.white).astype(np.float32)).unsqueeze(0)
        pixels = grey.expand(min(self.channels, 3), -1, -1)
        return (pixels if self.channels < 4 else torch.cat([pixels, torch.ones_like(grey)])), None

    def _shallow(self, image: Image) -> tuple[Tensor, Tensor | None]:
        """Values of 8 bits, and how opaque they are."""
        clear, alpha = self.channels == 4, None
        stored = np.asarray(as_mode(flattened(image, self.background, clear), MODES[self.channels]))
        stored = channels_first(covered(stored, self.background) if clear else stored)
        if not clear and image.has_transparency_data:
            found = torch.from_numpy(np.array(image.convert("RGBA").getchannel("A")))
            alpha = found if bool((found < 255).any()) else None
        pixels = torch.from_numpy(stored.astype(np.float32, order="C"))  # one copy, for images may be large
        return pixels.div_(255 if self.moving else white(stored)), alpha
