"""Pictures: any image file to pixels, safely, and any set of pictures to one array of one size and colour."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache as once
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec
from genwerk.data import cache
from genwerk.data.content import Hashes, hash_bytes
from genwerk.data.dataset import Dataset, Skipped
from genwerk.data.parts import Found, Origin, groups_by_name, index_labels
from genwerk.data.reading import Unusable, decoding
from genwerk.data.settings import DataConfig

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".j2k"}
)
"""File names that are taken for images, in any case."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000")
"""The decoders that may run, whatever a file's name (others, such as PostScript, start programs)."""
CAPTIONS = ("text", "caption")
"""Names of columns that hold captions, the preferred first."""
MAX_PIXELS = 64_000_000
"""Pixels above which a single image is refused from its header, without decoding."""
FEWER_BITS = (8, 10, 12, 14)
"""Bits that grey values may have in a file that gives them 16."""
GDAL_NODATA = 42_113
"""The TIFF tag in which GDAL writes the value of pixels without a measurement."""
TWO_LEVELS = "The pixels take two values alone, black and white: two levels."
"""What is said of images of noughts and ones, or of 0 and 255."""
LARGEST_COMMON = 256
"""Greatest side in pixels that images of mixed sizes are brought to unless a size is asked for."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Modes of Pillow by the number of channels."""

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
    validation: Sequence[Picture] = ()
    test: Sequence[Picture] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


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


# --- One picture ----------------------------------------------------------------------------------------------------


@contextmanager
def _opened(picture: Picture) -> Iterator[Image]:
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
    with _opened(picture) as image:
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
    with _opened(picture) as image:
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

    with _opened(picture) as image:
        with decoding():
            image.draft(None, (2 * max(height, width),) * 2)  # a large JPEG at a half, quarter or eighth
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
        deep = image.mode == "I" or image.mode.startswith("I;16")
        plain = _shallow(image, scale or depth([survey(picture)])) if deep else _plain(image, background, channels == 4)
        pixels = np.asarray(fitted(_as_mode(plain, MODES[channels]), height, width, fit))
        return _channels_first(covered(pixels, background) if channels == 4 else pixels)


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


def _plain(image: Image, background: str, clear: bool) -> Image:
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
        return _as_mode(image, "L" if image.mode in ("1", "L") else "RGB")


def _as_mode(image: Image, mode: str) -> Image:
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


def _channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


# --- Many pictures --------------------------------------------------------------------------------------------------


def open_pictures(listing: Listing, settings: DataConfig) -> Found:
    """Read every picture of ``listing`` that can be read, fitted to one size and colour.

    Copies are known by their files, which do not change with the size asked for, and by their pixels.
    """
    parts = usable_parts(listing)
    files = [p for part in parts.values() for p in part]
    x, lost, levels, notes, mapped = _read(files, settings, listing.name)
    kept = by_part(parts, [i for i in range(len(files)) if i not in lost])
    if not kept["train"]:
        raise BadInput(f"no training image in {listing.name} could be read, only test images")
    skipped = [Skipped(files[i].name, reason) for i, reason in lost.items()]
    return Found(
        **described(x, kept, DataSpec(kind="image", shape=tuple(x.shape[1:]), levels=levels)),
        origins=origins(kept, mapped, settings),
        skipped=tuple(sorted((*listing.skipped, *skipped), key=lambda s: s.name)),
        notes=(*listing.notes, *notes),
        mapped=mapped,
    )


def usable_parts(listing: Listing) -> dict[str, Sequence[Picture]]:
    """The files of each part that ``listing`` has; files for validation alone are for testing."""
    own = {"train": listing.train, "validation": listing.validation, "test": listing.test}
    if listing.validation and not listing.test:
        own |= {"validation": (), "test": listing.validation}
    return {name: part for name, part in own.items() if part or name == "train"}


def by_part(parts: Mapping[str, Sequence[Picture]], used: Sequence[int]) -> dict[str, list[Picture]]:
    """The files of each part that examples were made of: ``used`` are their indices over all parts, one an example."""
    files = [(name, p) for name, part in parts.items() for p in part]
    return {name: [files[i][1] for i in used if files[i][0] == name] for name in parts}


def described(x: NDArray[Any], kept: Mapping[str, Sequence[Picture]], spec: DataSpec) -> dict[str, Dataset]:
    """The examples ``x`` of all parts that have any, with the labels and captions of their files."""
    classes, conditions = index_labels(*([p.label for p in part] for part in kept.values()))
    captions = all(p.caption is not None for part in kept.values() for p in part)
    spec = replace(spec, classes=classes, captions=captions)
    pieces = torch.from_numpy(x).split([len(part) for part in kept.values()])
    return {
        name: Dataset(
            x=piece,
            spec=spec,
            condition=c,
            captions=[p.caption or "" for p in part] if captions else None,
            files=example_names(part),
        )
        for (name, part), piece, c in zip(kept.items(), pieces, conditions, strict=True)
        if part
    }


def example_names(part: Sequence[Picture]) -> list[str]:
    """What the examples of ``part``, one a file, are called: by their files, counted where several are of one."""
    several, taken = Counter(p.name for p in part), Counter[str]()
    found = []
    for p in part:
        taken[p.name] += 1
        found.append(p.name if several[p.name] == 1 else f"{p.name} piece {taken[p.name]}")
    return found


def origins(kept: Mapping[str, Sequence[Picture]], mapped: str | None, settings: DataConfig) -> dict[str, Origin]:
    """Of the files in each part, one an example: names, a hash of their bytes, and what they belong to.

    The hashes of files whose examples are ``mapped`` are kept in the cache.
    """
    files = list({id(p): p for part in kept.values() for p in part}.values())

    def read() -> Hashes:
        found = _parallel(lambda p: hash_bytes(_bytes(p)), files)
        return np.array([hash_bytes(h.encode()) if isinstance(h, str) else h for h in found], np.uint64)

    hashes = read() if mapped is None else cache.kept(f"{mapped}-files", read)
    of = {id(p): h for p, h in zip(files, hashes.tolist(), strict=True)}
    return {
        name: Origin(
            keys=np.array([of[id(p)] for p in part], np.uint64),
            names=(names := [p.name for p in part]),
            groups=groups_by_name(names, settings.group) if name == "train" else None,
        )
        for name, part in kept.items()
        if part
    }


def _bytes(picture: Picture) -> bytes:
    with picture.open() as file:
        return file.read()


def _read(
    pictures: Sequence[Picture], settings: DataConfig, name: str
) -> tuple[NDArray[np.uint8], dict[int, str], int, list[str], str | None]:
    """Level numbers with shape (m, c, h, w) in the order of ``pictures``, those that are missing with the reason, the
    number of levels, notes, and the name in the cache where they are mapped from it."""
    files = [(p.name, p.size, p.stamp) for p in pictures]
    asked = (settings.size, settings.fit, settings.colour, settings.background)
    key = cache.key("pictures 3", name, files, asked, MAX_PIXELS)
    if (hit := cache.load(key)) is None:
        lost: dict[int, str] = {}
        headers = _kept(probe, range(len(pictures)), pictures, lost)
        surveyed = _kept(survey, [i for i, h in headers.items() if h.deep], pictures, lost)
        headers = {i: h for i, h in headers.items() if not h.deep or i in surveyed}
        if not headers:
            raise _nothing(name, pictures, lost)
        scale = depth(list(surveyed.values())) if surveyed else None
        height, width, note = common_size([(h.height, h.width) for h in headers.values()], settings)
        notes = [note, *_header_notes([*headers.values()], scale, settings)]
        grey = settings.colour == "grey" or (settings.colour == "auto" and all(h.grey for h in headers.values()))
        channels = 1 if grey else 4 if settings.colour == "rgba" else 3
        shape = (len(headers), channels, height, width)

        def fill(array: NDArray[np.uint8]) -> dict[str, Any]:
            rows, all_grey, values = 0, True, Few()

            def work(picture: Picture) -> NDArray[np.uint8]:
                return decode(picture, (channels, height, width), settings.fit, scale, settings.background)

            for i, pixels in zip(headers, _parallel(work, [pictures[i] for i in headers]), strict=True):
                if isinstance(pixels, str):
                    lost[i] = pixels
                    continue
                array[rows] = pixels
                rows += 1
                all_grey = all_grey and bool((pixels == pixels[:1]).all())
                values.add(pixels)
            one = shape[0] == 1 or (settings.colour == "auto" and all_grey)
            levels = 2 if one and values.found in ({0, 1}, {0, 255}) else 256
            if levels == 2 and 255 in values.found:
                for row in array[:rows]:
                    row //= 255
            return {"rows": rows, "grey": all_grey, "lost": sorted(lost.items()), "notes": notes, "levels": levels}

        hit = cache.build(key, shape, np.uint8, fill)

    array, facts = hit
    lost = {int(i): reason for i, reason in facts["lost"]}
    if not facts["rows"]:
        raise _nothing(name, pictures, lost)
    notes = list(facts["notes"])
    x = array[: facts["rows"]]
    if settings.colour == "auto" and x.shape[1] == 3 and facts["grey"]:
        x = x[:, :1]
        notes.append("The images are stored in colour and all grey; one channel is kept.")
    if facts["levels"] == 2:
        notes.append(TWO_LEVELS)
    if array.nbytes > cache.LARGE:
        notes.append(f"The decoded images ({array.nbytes / 1e9:.1f} GB) are mapped from {cache.folder() / key}.")
        return x, lost, facts["levels"], notes, key
    return np.ascontiguousarray(x), lost, facts["levels"], notes, None


def white(pixels: NDArray[np.uint8]) -> int:
    """The value of white in a decoded picture: 1 where it has no other values than 0 and 1, as masks have."""
    return 1 if pixels.max() <= 1 else 255


class Few:
    """The values of an image after another, as long as they are few."""

    def __init__(self) -> None:
        self.found: set[int] = set()

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Note the values of ``pixels``."""
        if len(self.found) <= 2:
            self.found.update(np.flatnonzero(np.bincount(pixels.reshape(-1), minlength=256)).tolist())


def _header_notes(headers: Sequence[Header], scale: Depth | None, settings: DataConfig) -> list[str]:
    """What is lost or changed on the way in, a sentence each."""
    notes = clear_notes(sum(h.clear for h in headers), settings)
    if scale and scale.white < 65_535:
        notes.append(
            f"The grey values of {sum(h.deep for h in headers):,} images of 16 bits do not exceed {scale.white:,}, "
            f"which is taken for white: they have {scale.white.bit_length()} bits."
        )
    if scale and scale.missing:
        values = " and ".join(f"{v:,}" for v in sorted(scale.missing))
        notes.append(f"Pixels of the value {values} count as not measured and are drawn black.")
    if cut := sum(h.cut for h in headers):
        notes.append(f"{cut:,} colour images have 16 bits a channel, of which the upper 8 are read.")
    if frames := sum(h.frames for h in headers):
        notes.append(f"{frames:,} images have several frames or pages, of which the first is read.")
    return notes


def _kept(
    work: Callable[[Picture], T], rows: Iterable[int], pictures: Sequence[Picture], lost: dict[int, str]
) -> dict[int, T]:
    """What ``work`` makes of the pictures in ``rows``, by row; of those that fail, ``lost`` is told the reason."""
    rows = list(rows)
    done = {}
    for i, result in zip(rows, _parallel(work, [pictures[i] for i in rows]), strict=True):
        if isinstance(result, str):
            lost[i] = result
        else:
            done[i] = result
    return done


def _nothing(name: str, pictures: Sequence[Picture], lost: dict[int, str]) -> BadInput:
    first = min(lost)
    return BadInput(
        f"none of the {len(pictures):,} images in {name} can be read; the first, {pictures[first].name}, fails because "
        f"{lost[first]}; open it in an image viewer and save it again as PNG, or name another folder"
    )


def clear_notes(images: int, settings: DataConfig) -> list[str]:
    """What becomes of the transparency of so many ``images``, where there are any."""
    if settings.colour == "rgba":
        said = f"{images:,} images have an alpha channel, which is kept" if images else "No image has an alpha channel"
        return [f"{said}: a fourth channel says how opaque each pixel is."]
    if not images:
        return []
    return [
        f"{images:,} images have an alpha channel and are laid over {settings.background} where they are transparent; "
        "--data.background chooses the colour, --data.colour rgba keeps the transparency."
    ]


def common_size(sizes: Sequence[tuple[int, int]], settings: DataConfig) -> tuple[int, int, str]:
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
            f"{side} pixels; choose with ‹data.size› and ‹data.fit›."
        ),
    )


def _parallel(work: Callable[[Picture], T], pictures: Sequence[Picture]) -> Iterator[T | str]:
    """``work`` on every picture in several threads (Pillow decodes outside Python's lock); a failure is its reason."""
    from PIL import Image

    def guarded(picture: Picture) -> T | str:
        try:
            return work(picture)
        except Unusable as error:
            return str(error)

    with warnings.catch_warnings(), ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
        warnings.simplefilter("ignore", UserWarning)  # damaged EXIF or TIFF tags of an image that is read all the same
        for start in range(0, len(pictures), 1024):  # results wait in memory, so not all at once
            groups = [pictures[i : i + 32] for i in range(start, min(start + 1024, len(pictures)), 32)]
            for results in pool.map(lambda group: [guarded(p) for p in group], groups):
                yield from results
