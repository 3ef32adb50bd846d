"""Two sources beside each other: pairs of images that are called alike, or two domains of images that are not.

In pairs the files of the first are what those of the second are made from (:attr:`Dataset.source`); domains are one
data set whose classes are called after the two. Where either source has no image files whose names could pair them,
both are opened as any data are (:mod:`genwerk.data.beside`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.printable import count, first_of
from genwerk.data import cache
from genwerk.data.beside import as_domains, by_row, require_images, with_sources
from genwerk.data.dataset import PARTS, Dataset, Skipped
from genwerk.data.folders import PARTS as CALLED
from genwerk.data.folders import list_file, list_folder, list_zip
from genwerk.data.images import SUFFIXES, Listing, common_size, open_pictures, sizes_of
from genwerk.data.indexed import is_indexed
from genwerk.data.parts import Found, Origin, arranged
from genwerk.data.picture import Picture
from genwerk.data.reading import existing, open_zip
from genwerk.data.settings import DataConfig
from genwerk.data.shares import between_domains, unlike

SHOWN = 3
"""Files that are named of those without a counterpart."""
Key = tuple[str, str]
"""The part that a file is in, and its path there without the end of its name."""


@dataclass(frozen=True)
class Side:
    """One of the two sources, listed."""

    called: str
    listing: Listing
    files: Mapping[Key, Picture]
    again: Sequence[Skipped] = ()
    """Files that are called as another but for the end of the name, which no counterpart can be found for."""

    @classmethod
    def of(cls, called: str, listing: Listing) -> Side:
        """The files of ``listing`` by what they are paired by."""
        every = [(part, p) for part in PARTS for p in getattr(listing, part)]
        base = posixpath.commonpath([posixpath.dirname(p.name) for _, p in every])
        while base and base.rpartition("/")[2].lower() in CALLED:
            base = base.rpartition("/")[0]
        files: dict[Key, Picture] = {}
        again = []
        for part, picture in every:
            inner = picture.name[len(base) :].lstrip("/")
            top, _, rest = inner.partition("/")
            inner = rest if rest and CALLED.get(top.lower()) == part else inner
            key = part, posixpath.splitext(inner)[0]
            if files.setdefault(key, picture) is not picture:
                again.append(Skipped(picture.name, f"{files[key].name} is called alike"))
        return cls(called, listing, files, again)

    def named(self, keys: Sequence[Key]) -> str:
        """The first files of ``keys``."""
        return first_of([self.files[key].name for key in keys], SHOWN)


def open_sides(settings: DataConfig, opened: Callable[[DataConfig], Found]) -> Found:
    """The images of ``settings.source`` beside those of ``settings.to``: pairs where their files are called alike, else
    two domains, or what ``settings.pairing`` says. ``opened`` opens what is no image file, zip or folder of them."""
    for other in ("test", "labels", "label_pattern"):
        if getattr(settings, other):
            raise BadInput(f"‹data.{other}› is for one source, and ‹to› names another beside it; leave one out")
    names = _names(settings.source, settings.to)
    with ExitStack() as stack:
        listings = [stack.enter_context(_listed(source, settings)) for source in (settings.source, settings.to)]
        if None in listings:
            sides = []
            for source in (settings.source, settings.to):
                sides.append(opened(replace(settings, source=source, to="")))
                require_images(sides[-1], source)
            return by_row(sides, names) if settings.pairing == "name" else as_domains(sides, names)
        first, second = (Side.of(name, of) for name, of in zip(names, listings, strict=True) if of is not None)
        both = [key for key in second.files if key in first.files]
        alone = [[key for key in a.files if key not in b.files] for a, b in ((first, second), (second, first))]
        if settings.pairing == "none" or (settings.pairing == "auto" and not both):
            return _domains(first, second, settings)
        if not any(part == "train" for part, _ in both):
            raise BadInput(
                f"no training file of {settings.source} is called as one of {settings.to} is (the first are "
                f"{first.named([*first.files])} and {second.named([*second.files])}); pairs have one name in both, and "
                "‹data.pairing› none takes the two as domains"
            )
        if settings.pairing == "auto" and any(alone):
            told = [
                f"{len(keys):,} of {len(side.files):,} files in {source} have no counterpart ({side.named(keys)})"
                for side, source, keys in zip((first, second), (settings.source, settings.to), alone, strict=True)
                if keys
            ]
            raise BadInput(
                f"{' and '.join(told)}: rename them, or take ‹data.pairing› name for the {len(both):,} pairs alone, or "
                "‹data.pairing› none where the two are domains and no pairs"
            )
        return _pairs(first, second, both, alone, settings)


def have_files(settings: DataConfig) -> bool:
    """Whether both sources are image files, whose names can pair them, and not rows."""
    with ExitStack() as stack:
        sources = settings.source, settings.to
        return all(stack.enter_context(_listed(source, settings)) is not None for source in sources)


@contextmanager
def _listed(source: str, settings: DataConfig) -> Iterator[Listing | None]:
    """The images of a folder, a zip or a file, which can be read while inside; None for another source."""
    path = existing(source)
    with ExitStack() as stack:
        listing = None
        if path is None:
            pass
        elif path.is_dir() and not is_indexed(path):
            listing = list_folder(path, settings)
        elif path.suffix.lower() == ".zip":
            listing = list_zip(path, stack.enter_context(open_zip(path)), settings)
        elif path.suffix.lower() in SUFFIXES:
            listing = list_file(path, settings)
        images = listing is not None and listing.train and listing.train[0].name.lower().endswith(tuple(SUFFIXES))
        yield listing if images else None


def _names(*sources: str) -> tuple[str, ...]:
    """What the sources are called: by their last folder or file, and as much of the path as tells them apart."""
    paths = [Path(source).expanduser().resolve() for source in sources]
    ends = [path.name if path.is_dir() else path.stem for path in paths], [path.name for path in paths]
    for last in ends:
        parts = [(*path.parts[1:-1], end) for path, end in zip(paths, last, strict=True)]
        for n in range(1, max(map(len, parts)) + 1):
            names = ["/".join(each[-n:]) for each in parts]
            if len(set(names)) == len(names):
                return tuple(names)
    raise BadInput(f"‹data› and ‹to› are both {sources[0]}; name two sources")


# --- domains ----------------------------------------------------------------------------------------------------------


def _domains(first: Side, second: Side, settings: DataConfig) -> Found:
    """One data set, whose classes are the two sources."""
    sides = (first, second)
    parts: dict[str, list[Picture]] = {
        part: [
            replace(p, name=f"{side.called}/{p.name}", label=side.called)
            for side in sides
            for p in getattr(side.listing, part)
        ]
        for part in PARTS
    }
    skipped = [replace(s, name=f"{side.called}/{s.name}") for side in sides for s in side.listing.skipped]
    counts = " and ".join(f"{side.called} ({count(len(side.files), 'image')})" for side in sides)
    notes = [f"Two domains, which are the classes: {counts}."]
    notes += [f"{side.called}: {note}" for side in sides for note in side.listing.notes]
    for part in ("test", "validation"):
        if len(there := [side.called for side in sides if getattr(side.listing, part)]) == 1:
            notes.append(f"{there[0]} alone has a {part} part of its own: of the other domain it has no example.")
    labels = [[p.label for p in side.listing.train] for side in sides]
    if all(label is not None for of in labels for label in of) and (found := unlike(*labels)) is not None:
        notes.append(between_domains(first.called, second.called, found))
    whole = Listing(
        name=f"{settings.source} and {settings.to}",
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        skipped=tuple(skipped),
        notes=tuple(notes),
    )
    return _ordered(open_pictures(whole, settings), [side.called for side in sides])


def _ordered(found: Found, names: Sequence[str]) -> Found:
    """``found`` with its classes in the order of ``names``, so that a translation to the last goes to ‹to›."""
    spec = replace(found.train.spec, classes=tuple(name for name in names if name in found.train.spec.classes))
    parts: dict[str, Any] = {
        part: arranged(data, spec, part) for part in PARTS if (data := getattr(found, part)) is not None
    }
    return replace(found, **parts)


# --- pairs ------------------------------------------------------------------------------------------------------------


def _pairs(
    first: Side, second: Side, both: Sequence[Key], alone: Sequence[Sequence[Key]], settings: DataConfig
) -> Found:
    """The images of ``second`` with those of ``first`` as their sources."""
    size, smaller, notes = _sizes(first, second, both, settings)
    a = open_pictures(_only(first, both), settings, size=smaller)
    b = open_pictures(_only(second, both), settings, size=size)
    skipped = [*b.skipped, *second.again]
    skipped += [replace(s, name=f"{first.called}/{s.name}") for s in (*a.skipped, *first.again)]
    for side, other, keys in ((first, second, alone[0]), (second, first, alone[1])):
        why = f"{other.called} has no file of the same name"
        skipped += [Skipped(f"{side.called}/{side.files[key].name}", why) for key in keys]
    mapped = None
    if a.mapped or b.mapped:
        files = [(p.name, p.size, p.stamp) for p in second.files.values()]
        mapped = cache.key("pairs", a.mapped, b.mapped, files, size, settings.fit, settings.colour, settings.background)
    sources = {second.files[key].name: first.files[key].name for key in both}
    parts: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for part, origin in b.origins.items():
        if part not in a.origins:
            continue
        place = {name: i for i, name in enumerate(a.origins[part].names or ())}
        found = [(place.get(sources[name], -1), i) for i, name in enumerate(origin.names or ())]
        rows = torch.tensor([row for row in found if row[0] >= 0]).reshape(-1, 2)
        parts[part] = _joined(getattr(a, part), getattr(b, part), rows, mapped=mapped is not None)
        origins[part] = replace(origin.at(rows[:, 1].tolist()), beside=a.origins[part].at(rows[:, 0].tolist()).keys)
    if not len(parts.get("train", ())):
        raise BadInput(f"no training pair of {settings.source} and {settings.to} could be read on both sides")
    called = {1: "grey", 3: "colour", 4: "colour with transparency"}
    kinds = " to ".join(called[found.train.spec.shape[0]] for found in (a, b))
    said = (
        f"{len(both):,} pairs ({kinds}): the source of each image of {second.called} is the one of {first.called} that"
    )
    return Found(
        **parts,
        origins=origins,
        skipped=tuple(sorted(skipped, key=lambda s: s.name)),
        notes=(
            f"{said} is called alike; ‹data.pairing› none takes the two as domains.",
            *b.notes,
            *(f"{first.called}: {note}" for note in a.notes),
            *notes,
        ),
        mapped=mapped,
    )


def _only(side: Side, both: Sequence[Key]) -> Listing:
    """The files of ``side`` that have a counterpart."""
    train, validation, test = ([side.files[key] for key in both if key[0] == part] for part in PARTS)
    return Listing(name=side.listing.name, train=train, validation=validation, test=test, notes=side.listing.notes)


def _sizes(
    first: Side, second: Side, both: Sequence[Key], settings: DataConfig
) -> tuple[tuple[int, int] | None, tuple[int, int] | None, list[str]]:
    """Height and width that images and their sources are brought to, and what is to be said of it.

    Where every image is the same whole number of times as high and wide as its source, so it stays; else both are
    brought to one size.
    """
    sizes = zip(*(sizes_of([side.files[key] for key in both]) for side in (first, second)), strict=True)
    pairs = [(a, b) for a, b in sizes if a is not None and b is not None]
    if not pairs:
        return None, None, []
    ratios = {(b[0] / a[0], b[1] / a[1]) for a, b in pairs}
    up, across = ratios.pop()
    times = int(up) if not ratios and up == across and up.is_integer() else 1
    height, width, _ = common_size([b for _, b in pairs], settings)
    if height % times or width % times:
        raise BadInput(
            f"every image is {times} times as high and wide as its source, and {width}x{height} pixels are no whole "
            f"number of times that; choose another ‹data.size›, such as {times * max(1, min(height, width) // times)}"
        )
    notes = [f"Every image is {times} times as high and wide as its source."] * (times > 1)
    if other := sum(a[0] * b[1] != a[1] * b[0] for a, b in pairs):
        notes.append(
            f"Of {other:,} pairs source and image differ in shape: each is fitted by itself, so that what belongs "
            "together may lie apart; ‹data.fit› says how."
        )
    return (height, width), (height // times, width // times), notes


def _joined(a: Dataset, b: Dataset, rows: Tensor, *, mapped: bool) -> Dataset:
    """The examples of ``b`` with those of ``a`` as their sources: ``rows`` of both, with shape (n, 2)."""
    every = torch.arange(len(rows))
    a, b = (
        data if len(data) == len(rows) and torch.equal(of, every) else data.select(of, mapped=mapped)
        for data, of in zip((a, b), rows.unbind(1), strict=True)
    )
    return with_sources(b, a)
