"""Pictures: any image file to pixels, safely, and any set of pictures to one array of one size and colour."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.data import cache
from genwerk.data.dataset import Data, Dataset, Skipped
from genwerk.data.parts import Found, index_labels
from genwerk.spec import DataSpec

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""File names that are taken for images, in any case."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""The decoders that may run, whatever a file's name (others, such as PostScript, start programs)."""
MAX_PIXELS = 64_000_000
"""Pixels above which a single image is refused from its header, without decoding."""
LARGEST_COMMON = 256
"""Greatest side in pixels that images of mixed sizes are brought to unless a size is asked for."""

Fit = Literal["crop", "pad", "stretch"]
T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """An image file that may be opened: ``size`` in bytes and ``stamp`` tell whether it has changed."""

    name: str
    open: Callable[[], IO[bytes]]
    size: int = 0
    stamp: int = 0
    label: object | None = None
    caption: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The pictures of a source, unread."""

    name: str
    train: Sequence[Picture]
    test: Sequence[Picture] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """What an image's header says: upright height and width in pixels, and whether its mode has no colour."""

    height: int
    width: int
    grey: bool


# --- One picture ----------------------------------------------------------------------------------------------------


def probe(picture: Picture) -> Header:
    """The header of ``picture``; nothing is decoded."""
    from PIL import Image

    with picture.open() as file, Image.open(file, formats=FORMATS) as image:
        _refuse_bomb(image)
        width, height = image.size
        # Asking a PNG for its orientation would decode it, unless the answer stands before the pixels.
        if (image.format != "PNG" or "exif" in image.info) and image.getexif().get(0x0112, 1) >= 5:
            width, height = height, width
        return Header(height, width, image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16"))


def decode(picture: Picture, height: int, width: int, fit: Fit, grey: bool) -> NDArray[np.uint8]:
    """The pixels of ``picture``, upright, laid over white where transparent, with shape (c, height, width)."""
    from PIL import Image, ImageOps

    with picture.open() as file, Image.open(file, formats=FORMATS) as image:
        _refuse_bomb(image)
        image.draft(None, (2 * max(height, width),) * 2)  # lets a large JPEG be decoded at a half, quarter or eighth
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        plain = _as_mode(_plain(image), "L" if grey else "RGB")
        return _channels_first(np.asarray(fitted(plain, height, width, fit)))


def _refuse_bomb(image: Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"{image.width:,} x {image.height:,} pixels are more than the {MAX_PIXELS:,} allowed in a file"
        )


def _plain(image: Image) -> Image:
    """``image`` with 8 bits a channel, in mode L or RGB, laid over white where it is transparent."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("its grey values lie outside 16 bits")
        return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; expected 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return _as_mode(image, "L" if image.mode in ("1", "L") else "RGB")


def _as_mode(image: Image, mode: str) -> Image:
    return image if image.mode == mode else image.convert(mode)


def fitted(image: Image, height: int, width: int, fit: Fit) -> Image:
    """``image``, of mode L or RGB, brought to ``width`` x ``height`` pixels by antialiased bicubic resampling."""
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


def _channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


# --- Many pictures --------------------------------------------------------------------------------------------------


def open_pictures(listing: Listing, settings: Data) -> Found:
    """Read every picture of ``listing`` that can be read, fitted to one size and colour.

    Where a random choice will have to be made (held-out part, limit) the pictures are read in random order, so that the
    choice is a slice of what may be a mapped file.
    """
    train, test = list(listing.train), list(listing.test)
    shuffled = (not test and settings.holdout > 0) or settings.limit is not None
    if shuffled:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(settings.seed))
        train = [train[i] for i in order.tolist()]
    x, lost, notes = _read(train + test, settings, listing.name)
    kept = [[p for i, p in enumerate(part, start) if i not in lost] for part, start in ((train, 0), (test, len(train)))]
    if not kept[0] and kept[1]:
        raise ValueError(f"no training image in {listing.name} could be read, only test images")

    labels: list[list[object] | None] = [[p.label for p in part] for part in kept]
    classes, conditions = index_labels(*labels)
    captions = all(p.caption is not None for part in kept for p in part)
    spec = DataSpec(kind="image", shape=tuple(x.shape[1:]), classes=classes, captions=captions)
    pixels = torch.from_numpy(x).split([len(kept[0]), len(kept[1])])
    parts = [
        Dataset(x=p, spec=spec, condition=c, captions=[q.caption or "" for q in k] if captions else None)
        for p, c, k in zip(pixels, conditions, kept, strict=True)
    ]
    skipped = sorted(((train + test)[i].name, reason) for i, reason in lost.items())
    return Found(
        train=parts[0],
        test=parts[1] if kept[1] else None,
        skipped=listing.skipped + tuple(Skipped(*s) for s in skipped),
        notes=(*listing.notes, *notes),
        shuffled=shuffled,
    )


def _read(
    pictures: Sequence[Picture], settings: Data, name: str
) -> tuple[NDArray[np.uint8], dict[int, str], list[str]]:
    """Pixels of shape (m, c, h, w) in the order of ``pictures``, those that are missing with the reason, and notes."""
    files = [(p.name, p.size, p.stamp) for p in pictures]
    key = cache.key("pictures 1", name, files, settings.size, settings.fit, settings.colour, MAX_PIXELS)
    if (hit := cache.load(key)) is None:
        lost: dict[int, str] = {}
        headers: dict[int, Header] = {}
        for i, header in enumerate(_parallel(probe, pictures)):
            if isinstance(header, Header):
                headers[i] = header
            else:
                lost[i] = header
        if not headers:
            raise _nothing(name, pictures, lost)
        height, width, note = common_size([(h.height, h.width) for h in headers.values()], settings)
        grey = settings.colour == "grey" or (settings.colour == "auto" and all(h.grey for h in headers.values()))
        shape = (len(headers), 1 if grey else 3, height, width)

        def fill(array: NDArray[np.uint8]) -> dict[str, Any]:
            rows, all_grey = 0, True
            results = _parallel(lambda p: decode(p, height, width, settings.fit, grey), [pictures[i] for i in headers])
            for i, pixels in zip(headers, results, strict=True):
                if isinstance(pixels, str):
                    lost[i] = pixels
                    continue
                array[rows] = pixels
                rows += 1
                all_grey = all_grey and bool((pixels == pixels[:1]).all())
            return {"rows": rows, "grey": all_grey, "lost": sorted(lost.items()), "note": note}

        hit = cache.build(key, shape, np.uint8, fill)

    array, facts = hit
    lost = {int(i): reason for i, reason in facts["lost"]}
    if not facts["rows"]:
        raise _nothing(name, pictures, lost)
    notes = [facts["note"]]
    x = array[: facts["rows"]]
    if settings.colour == "auto" and x.shape[1] == 3 and facts["grey"]:
        x = x[:, :1]
        notes.append("The images are stored in colour and all grey; one channel is kept.")
    if array.nbytes > cache.LARGE:
        notes.append(f"The decoded images ({array.nbytes / 1e9:.1f} GB) are mapped from {cache.folder() / key}.")
        return x, lost, notes
    return np.ascontiguousarray(x), lost, notes


def _nothing(name: str, pictures: Sequence[Picture], lost: dict[int, str]) -> ValueError:
    first = min(lost)
    return ValueError(
        f"none of the {len(pictures):,} images in {name} can be read; the first, {pictures[first].name}, fails because "
        f"{lost[first]}; open it in an image viewer and save it again as PNG, or name another folder"
    )


def common_size(sizes: Sequence[tuple[int, int]], settings: Data) -> tuple[int, int, str]:
    """Height and width that images of ``sizes`` (height, width) are brought to, and a sentence that says why.

    A size asked for is taken, else the size that all share, else a square: the shorter side that nine in ten images
    reach (so that few are enlarged), at most 256, rounded down to a multiple of 8.
    """
    counts = Counter(sizes)
    fit = {"crop": "cropped to its middle and resized", "pad": "padded and resized", "stretch": "stretched"}[
        settings.fit
    ]
    (height, width), _ = counts.most_common(1)[0]
    if settings.size is not None:
        side = settings.size
        if set(counts) == {(side, side)}:
            return side, side, f"Every image is {side} x {side} pixels."
        return side, side, f"Every image is {fit} to {side} x {side} pixels, as asked."
    if len(counts) == 1:
        return height, width, f"Every image is {width} x {height} pixels."
    side = min(int(np.quantile([min(s) for s in sizes], 0.1, method="lower")), LARGEST_COMMON)
    side -= side % 8 if side > 8 else 0
    return (
        side,
        side,
        (
            f"The images have {len(counts):,} sizes (most often {width} x {height}), so each is {fit} to {side} x "
            f"{side} pixels; choose with --data.size and --data.fit."
        ),
    )


def _parallel(work: Callable[[Picture], T], pictures: Sequence[Picture]) -> Iterator[T | str]:
    """``work`` on every picture in several threads (Pillow decodes outside Python's lock); a failure is its reason."""
    from PIL import Image

    def guarded(picture: Picture) -> T | str:
        try:
            return work(picture)
        except Exception as error:  # on a damaged file a decoder may raise anything
            return _reason(error)

    with warnings.catch_warnings(), ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
        warnings.simplefilter("ignore", UserWarning)  # damaged EXIF or TIFF tags of an image that is read all the same
        for start in range(0, len(pictures), 1024):  # results wait in memory, so not all at once
            groups = [pictures[i : i + 32] for i in range(start, min(start + 1024, len(pictures)), 32)]
            for results in pool.map(lambda group: [guarded(p) for p in group], groups):
                yield from results


def _reason(error: Exception) -> str:
    """Why an image cannot be read, as the end of a sentence."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return f"its header claims more than the {MAX_PIXELS:,} pixels allowed in a file"
    return str(error).strip().rstrip(".") or type(error).__name__
