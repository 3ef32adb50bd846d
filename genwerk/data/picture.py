"""One picture: any image file to pixels, safely."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache as once
from typing import IO, TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from genwerk.data.reading import Unusable, decoding

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000")
"""The decoders that may run, whatever a file's name (others, such as PostScript, start programs)."""
MAX_PIXELS = 64_000_000
"""Pixels above which a single image is refused from its header, without decoding."""
FEWER_BITS = (8, 10, 12, 14)
"""Bits that grey values may have in a file that gives them 16."""
GDAL_NODATA = 42_113
"""The TIFF tag in which GDAL writes the value of pixels without a measurement."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Modes of Pillow by the number of channels."""

Fit = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class Picture:
    """An image file that may be opened: ``size`` in bytes and ``stamp`` tell whether it has changed."""

    name: str
    open: Callable[[], IO[bytes]]
    size: int = 0
    stamp: int = 0
    label: object | None = None
    caption: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)
    """The cells of columns that tell attributes, by the names of these."""


@dataclass(frozen=True)
class Header:
    """What an image's header says."""

    height: int
    """Pixels from top to bottom, once upright."""
    width: int
    grey: bool
    """Whether its mode has no colour."""
    deep: bool = False
    """Whether a grey value has 16 bits or more."""
    cut: bool = False
    """Whether a colour has 16 bits, of which the decoder keeps the upper 8."""
    frames: bool = False
    """Whether it has more than one frame or page."""
    clear: bool = False
    """Whether it may be transparent somewhere."""


@contextmanager
def opening(picture: Picture) -> Iterator[Image]:
    """The image in ``picture``, of which only the header is read."""
    from PIL import Image

    with decoding():
        file = picture.open()
    with file:
        try:
            with decoding():
                image = Image.open(file, formats=_formats())
        except Unusable as error:
            if isinstance(error.__cause__, Image.DecompressionBombError):
                raise Unusable(f"its header claims more than the {MAX_PIXELS:,} pixels allowed in a file") from None
            raise
        with image:
            _refuse_bomb(image)
            yield image


@once
def _formats() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this Pillow can read."""
    from PIL import Image

    Image.init()
    return tuple(form for form in FORMATS if form in Image.OPEN)


def probe(picture: Picture) -> Header:
    """The header of ``picture``; nothing is decoded."""
    with opening(picture) as image:
        width, height = image.size
        with decoding():
            # Asking a PNG for its orientation would decode it, unless the answer stands before the pixels.
            turned = (image.format != "PNG" or "exif" in image.info) and image.getexif().get(0x0112, 1) in range(5, 9)
        if turned:
            width, height = height, width
        deep = image.mode == "I" or image.mode.startswith("I;16")
        grey = deep or image.mode in ("1", "L", "LA", "La")
        plan = getattr(image, "tile", ())  # what the decoder will do, the form of the stored pixels at its end
        cut = bool(not grey and plan and ";16" in str(plan[0][3]))
        return Header(height, width, grey, deep, cut, _has_frames(image), image.has_transparency_data)


def _has_frames(image: Image) -> bool:
    try:
        with decoding():
            return bool(getattr(image, "is_animated", False))
    except Unusable:  # what follows the first frame is damaged, and is not needed
        return False


@dataclass(frozen=True)
class Depth:
    """How grey values of 16 bits are brought to 8."""

    white: int = 65_535
    """The value that becomes 255; greater ones do as well."""
    missing: frozenset[int] = frozenset()
    """Values that stand for no measurement, which become 0."""


def survey(picture: Picture) -> tuple[int, int, int | None]:
    """Of an image with 16 bits: its greatest value, its greatest below 65,535, and what its file says is missing."""
    with opening(picture) as image:
        with decoding():
            values = np.asarray(image).astype(np.int32)
            tag = str(getattr(image, "tag_v2", {}).get(GDAL_NODATA))
        missing = int(float(tag)) if re.fullmatch(r"-?\d{1,9}(\.0*)?\s*", tag) else None
        measured = values[values != missing]
        if measured.size and (measured.min() < 0 or measured.max() > 65_535):
            raise Unusable("its grey values lie outside 16 bits")
        greatest, below = (int(v.max(initial=0)) for v in (measured, measured[measured < 65_535]))
        return greatest, below, missing


def depth(surveyed: Sequence[tuple[int, int, int | None]]) -> Depth:
    """What images of 16 bits that were ``surveyed`` need: cameras and scanners store 10, 12 or 14 bits in 16.

    Where all values but 65,535 fit into :data:`FEWER_BITS`, that one stands for no measurement.
    """
    missing = {m for _, _, m in surveyed if m is not None}
    greatest, below = max(s[0] for s in surveyed), max(s[1] for s in surveyed)
    if greatest == 65_535 and 0 < below < 2 ** FEWER_BITS[-1]:
        missing, greatest = missing | {65_535}, below
    bits = next((bits for bits in FEWER_BITS if greatest < 2**bits), 16)
    return Depth(2**bits - 1, frozenset(missing))


def decode(
    picture: Picture,
    shape: tuple[int, int, int],
    fit: Fit,
    scale: Depth | None = None,
    background: str = "white",
) -> NDArray[np.uint8]:
    """The pixels of ``picture``, upright, with ``shape`` (1 grey, 3 colour, 4 with transparency; height; width).

    Fewer channels than 4 are laid over ``background``, whose colour has what is wholly transparent. Grey values of 16
    bits are brought to 8 by ``scale``, or by what its own values need.
    """
    channels, height, width = shape
    from PIL import ImageOps

    with opening(picture) as image:
        with decoding():
            image.draft(None, (2 * max(height, width),) * 2)  # a large JPEG at a half, quarter or eighth
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
        deep = image.mode == "I" or image.mode.startswith("I;16")
        plain = (
            _shallow(image, scale or depth([survey(picture)])) if deep else flattened(image, background, channels == 4)
        )
        pixels = np.asarray(fitted(as_mode(plain, MODES[channels]), height, width, fit))
        return channels_first(covered(pixels, background) if channels == 4 else pixels)


def covered(pixels: NDArray[np.uint8], background: str) -> NDArray[np.uint8]:
    """Pixels with shape (..., 4), with the colour of ``background`` where they are wholly transparent."""
    from PIL import ImageColor

    return np.where(pixels[..., 3:] == 0, np.array([*ImageColor.getrgb(background)[:3], 0], np.uint8), pixels)


def laid_over(pixels: NDArray[np.uint8], background: str) -> NDArray[np.uint8]:
    """Pixels with shape (..., 4) over ``background``, with shape (..., 3)."""
    from PIL import ImageColor

    alpha = pixels[..., 3:].astype(np.float32) / 255
    ground = np.array(ImageColor.getrgb(background)[:3], np.float32)
    return (pixels[..., :3] * alpha + ground * (1 - alpha)).round().astype(np.uint8)


def _refuse_bomb(image: Image) -> None:
    if min(image.size) < 1:
        raise Unusable("it has no pixels")
    if image.width * image.height > MAX_PIXELS:
        raise Unusable(f"{image.width:,} x {image.height:,} pixels are more than the {MAX_PIXELS:,} allowed in a file")


def _shallow(image: Image, scale: Depth) -> Image:
    """``image``, of a mode of 16 bits or more, in mode L."""
    from PIL import Image

    values = np.asarray(image).astype(np.int32)
    if scale.missing:
        values[np.isin(values, list(scale.missing))] = 0
    if values.min() < 0 or values.max() > 65_535:
        raise Unusable("its grey values lie outside 16 bits")
    return Image.fromarray(((values.clip(max=scale.white) * 255 + scale.white // 2) // scale.white).astype(np.uint8))


def flattened(image: Image, background: str, clear: bool) -> Image:
    """``image`` with 8 bits a channel, in mode L or RGB over ``background``, or in RGBA where it may stay ``clear``."""
    from PIL import Image

    if image.mode == "F":
        raise Unusable("its pixels are floating-point numbers; expected 8 or 16 bits")
    with decoding():
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            if clear:
                return rgba
            return Image.alpha_composite(Image.new("RGBA", rgba.size, background), rgba).convert("RGB")
        return as_mode(image, "L" if image.mode in ("1", "L") else "RGB")


def as_mode(image: Image, mode: str) -> Image:
    return image if image.mode == mode else image.convert(mode)


def fitted(image: Image, height: int, width: int, fit: Fit) -> Image:
    """``image``, of mode L, RGB or RGBA, brought to ``width`` x ``height`` pixels by antialiased bicubic resampling."""
    from PIL import Image

    if image.size == (width, height):
        return image
    if fit == "stretch":
        return image.resize((width, height), Image.Resampling.BICUBIC)
    across, down = width / image.width, height / image.height
    if fit == "crop":
        scale = max(across, down)
        w, h = width / scale, height / scale
        left, top = (image.width - w) / 2, (image.height - h) / 2
        box = (max(left, 0.0), max(top, 0.0), min(left + w, image.width), min(top + h, image.height))
        return image.resize((width, height), Image.Resampling.BICUBIC, box=box)
    scale = min(across, down)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    inner = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    border = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    canvas = np.empty((height, width, *inner.shape[2:]), np.uint8)
    canvas[:] = np.median(border, axis=0).round()
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = inner
    return Image.fromarray(canvas)


def channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def white(pixels: NDArray[np.uint8]) -> int:
    """The value of white in a decoded picture: 1 where it has no other values than 0 and 1, as masks have."""
    return 1 if pixels.max() <= 1 else 255
