"""Pictures: any set of them to one array of one size and colour."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.core.errors import BadInput
from genwerk.core.printable import count
from genwerk.core.spec import DataSpec
from genwerk.data import cache
from genwerk.data.attributes import by_columns
from genwerk.data.content import Hashes, hash_bytes
from genwerk.data.dataset import Dataset, Skipped
from genwerk.data.parts import Found, Origin, groups_by_name, index_labels
from genwerk.data.reading import Unusable
from genwerk.data.settings import DataConfig

if TYPE_CHECKING:
    pass

from genwerk.data.picture import MAX_PIXELS, Depth, Header, Picture, decode, depth, probe, survey

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".j2k"}
)
"""File names that are taken for images, in any case."""
CAPTIONS = ("text", "caption")
"""Names of columns that hold captions, the preferred first."""
TWO_LEVELS = "The pixels take two values alone, black and white: two levels."
"""What is said of images of noughts and ones, or of 0 and 255."""
LARGEST_COMMON = 256
"""Greatest side in pixels that images of mixed sizes are brought to unless a size is asked for."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The pictures of a source, unread."""

    name: str
    train: Sequence[Picture]
    validation: Sequence[Picture] = ()
    test: Sequence[Picture] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def open_pictures(listing: Listing, settings: DataConfig, size: tuple[int, int] | None = None) -> Found:
    """Read every picture of ``listing`` that can be read, fitted to one ``size`` (height, width) and colour.

    Copies are known by their files, which do not change with the size asked for, and by their pixels.
    """
    parts = usable_parts(listing)
    files = [p for part in parts.values() for p in part]
    x, lost, levels, notes, mapped = _read(files, settings, listing.name, size)
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
    names = list(next((p.attributes for part in kept.values() for p in part), {}))
    cells = {key: [[p.attributes.get(name) for p in part] for name in names] for key, part in kept.items() if part}
    attributes, indices = by_columns(names, cells) if names else ((), {})
    spec = replace(spec, classes=classes, attributes=attributes, captions=captions)
    pieces = torch.from_numpy(x).split([len(part) for part in kept.values()])
    return {
        name: Dataset(
            x=piece,
            spec=spec,
            condition=c,
            attributes=indices.get(name),
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
    pictures: Sequence[Picture], settings: DataConfig, name: str, size: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], dict[int, str], int, list[str], str | None]:
    """Level numbers with shape (m, c, h, w) in the order of ``pictures``, those that are missing with the reason, the
    number of levels, notes, and the name in the cache where they are mapped from it."""
    files = [(p.name, p.size, p.stamp) for p in pictures]
    asked = (size or settings.size, settings.fit, settings.colour, settings.background)
    key = cache.key("pictures 3", name, files, asked, MAX_PIXELS)
    if (hit := cache.load(key)) is None:
        lost: dict[int, str] = {}
        headers = _kept(probe, range(len(pictures)), pictures, lost)
        surveyed = _kept(survey, [i for i, h in headers.items() if h.deep], pictures, lost)
        headers = {i: h for i, h in headers.items() if not h.deep or i in surveyed}
        if not headers:
            raise _nothing(name, pictures, lost)
        scale = depth(list(surveyed.values())) if surveyed else None
        height, width, note = common_size([(h.height, h.width) for h in headers.values()], settings, size)
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
        have = count(frames, "image has", "images have")
        notes.append(f"{have} several frames or pages, of which the first is read.")
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
    have = count(images, "image has", "images have")
    if settings.colour == "rgba":
        said = f"{have} an alpha channel, which is kept" if images else "No image has an alpha channel"
        return [f"{said}: a fourth channel says how opaque each pixel is."]
    if not images:
        return []
    ground = settings.background
    laid = f"is laid over {ground} where it is" if images == 1 else f"are laid over {ground} where they are"
    return [
        f"{have} an alpha channel and {laid} transparent; "
        "‹data.background› chooses the colour, ‹data.colour› rgba keeps the transparency."
    ]


def sizes_of(pictures: Sequence[Picture]) -> list[tuple[int, int] | None]:
    """Height and width of each of ``pictures``, None where its header cannot be read."""
    return [None if isinstance(h, str) else (h.height, h.width) for h in _parallel(probe, pictures)]


def common_size(
    sizes: Sequence[tuple[int, int]], settings: DataConfig, wanted: tuple[int, int] | None = None
) -> tuple[int, int, str]:
    """Height and width that images of ``sizes`` (height, width) are brought to, and a sentence that says why.

    One that is ``wanted``, or asked for by the settings, is taken, else the size that all share, else a square: the
    shorter side that nine in ten images reach (so that few are enlarged), at most 256, rounded down to a multiple of 8.
    """
    counts = Counter(sizes)
    fit = {"crop": "cropped to its middle and resized", "pad": "padded and resized", "stretch": "stretched"}[
        settings.fit
    ]
    (height, width), _ = counts.most_common(1)[0]
    asked = None if settings.size is None else (settings.size, settings.size)
    if (found := wanted or asked) is not None:
        height, width = found
        why = "" if asked is not None else "; choose with ‹data.size› and ‹data.fit›"
        fitted = "" if set(counts) == {found} else f"{fit} to "
        return height, width, f"Every image is {fitted}{width} x {height} pixels{why if fitted else ''}."
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
