"""Two opened sources of images beside each other, whatever they were read from: two domains, or pairs row by row.

Files that have names are paired by these (:mod:`genwerk.data.pairing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.memory import afford
from genwerk.core.printable import count
from genwerk.data.dataset import PARTS, Dataset
from genwerk.data.parts import Found
from genwerk.data.shares import between_domains, unlike


def require_images(found: Found, source: str) -> None:
    """A BadInput unless ``found``, read from ``source``, are images."""
    if not found.train.spec.modality.has_pixels:
        raise BadInput(f"{source} holds no images ({found.train.spec}); ‹data› and ‹to› name images")


def by_row(sides: Sequence[Found], names: Sequence[str]) -> Found:
    """The images of the second of ``sides`` with those of the first as their sources, in the order of both."""
    a, b = sides
    height, width, *_ = (i / s for i, s in zip(b.train.spec.shape[1:], a.train.spec.shape[1:], strict=True))
    if height != width or not height.is_integer():
        raise BadInput(
            f"images of {names[1]} ({_size(b)}) are not the same whole number of times as high and wide as those of "
            f"{names[0]} ({_size(a)}); bring both to one size with ‹data.size›"
        )
    for name, side in zip(names, sides, strict=True):
        if side.skipped:
            raise BadInput(
                f"pairs stand in the same rows of both, and of {name} {len(side.skipped):,} cannot be read, such as "
                f"{side.skipped[0].name} ({side.skipped[0].reason}); take them out on both sides"
            )
    parts = {}
    for part in PARTS:
        source, image = _part(a, part), _part(b, part)
        if (source is None) != (image is None) or (source and image and len(source) != len(image)):
            counts = [0 if each is None else len(each) for each in (source, image)]
            raise BadInput(
                f"pairs stand in the same rows of both, and the {part} parts of {names[0]} and {names[1]} have "
                f"{counts[0]:,} and {counts[1]:,} images; ‹data.pairing› none takes the two as domains"
            )
        if source is not None and image is not None:
            if any(of.rows is not None and not torch.equal(of.rows, torch.arange(len(of))) for of in (source, image)):
                raise BadInput(
                    f"pairs stand in the same rows of both, and some of {names[0]} or {names[1]} were left out, for "
                    "they lack a label; leave out the labels or complete them"
                )
            parts[part] = with_sources(image, source)
    return Found(
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        notes=(
            f"{len(b.train):,} pairs: the source of each image of {names[1]} is the one of {names[0]} in the same row; "
            "‹data.pairing› none takes the two as domains.",
            *(f"{name}: {note}" for name, side in zip(names, sides, strict=True) for note in side.notes),
        ),
    )


def with_sources(images: Dataset, sources: Dataset) -> Dataset:
    """``images``, each of which is to be made from the one of ``sources`` in its row; both have the same levels then,
    and no palette."""
    source, x, spec = sources.x, images.x, images.spec
    if sources.spec.levels != spec.levels:
        source, x = (_bytes(data) for data in (sources, images))
        spec = replace(spec, levels=256)
    return replace(images, x=x, source=source, spec=replace(spec, source=tuple(source.shape[1:]), palette=()))


def as_domains(sides: Sequence[Found], names: Sequence[str]) -> Found:
    """One data set, whose classes are the ``sides``, called by ``names``."""
    specs = [side.train.spec for side in sides]
    if specs[0].shape[1:] != specs[1].shape[1:]:
        raise BadInput(
            f"images of {names[0]} have {_size(sides[0])} pixels and those of {names[1]} {_size(sides[1])}; bring both "
            "to one size with ‹data.size›"
        )
    afford(
        sum(of.x.nbytes for side in sides for part in PARTS if (of := _part(side, part))),
        " and ".join(names),
        "take fewer rows",
    )
    channels = max(spec.shape[0] for spec in specs)
    levels = specs[0].levels if specs[0].levels == specs[1].levels and channels == 1 else 256
    spec = replace(
        specs[0], shape=(channels, *specs[0].shape[1:]), levels=levels, classes=tuple(names), palette=(), source=()
    )
    parts, alone = {}, []
    for part in PARTS:
        there = {k: of for k, side in enumerate(sides) if (of := _part(side, part)) is not None}
        if len(there) == 1 and part != "train":
            alone += [
                f"{names[k]} alone has a {part} part of its own: of the other domain it has no example." for k in there
            ]
        if there:
            parts[part] = Dataset(
                x=torch.cat([_like(of, channels, levels) for of in there.values()]),
                spec=replace(spec, captions=False, attributes=(), vocabulary=None),
                condition=torch.cat([torch.full((len(of),), k) for k, of in there.items()]),
                files=[f"{names[k]}/{each}" for k, of in there.items() for each in _called(of)],
            )
    counts = " and ".join(
        f"{name} ({count(len(side.train), 'image')})" for name, side in zip(names, sides, strict=True)
    )
    labels = [_labels(side.train) for side in sides]
    apart = unlike(*labels)
    return Found(
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        skipped=tuple(
            replace(s, name=f"{name}/{s.name}") for name, side in zip(names, sides, strict=True) for s in side.skipped
        ),
        notes=(
            f"Two domains, which are the classes: {counts}.",
            *(f"{name}: {note}" for name, side in zip(names, sides, strict=True) for note in side.notes),
            *alone,
            *([] if apart is None else [between_domains(names[0], names[1], apart)]),
        ),
    )


def _part(found: Found, name: str) -> Dataset | None:
    part: Dataset | None = getattr(found, name)
    return part


def _size(found: Found) -> str:
    height, width = found.train.spec.shape[1:]
    return f"{width} x {height}"


def _called(data: Dataset) -> list[str]:
    """What each example is called: by its file, else by its row."""
    known = data.known()
    return [str(each) for each in known.get("file", known.get("row", ()))]


def _labels(data: Dataset) -> list[str]:
    return (
        [data.spec.classes[i] for i in data.condition.tolist()]
        if data.spec.classes and data.condition is not None
        else []
    )


def _bytes(data: Dataset) -> Tensor:
    """Pixels of ``data`` with 256 levels."""
    top = data.spec.levels - 1
    return data.x if top == 255 else (data.x.float() * (255 / top)).round().to(torch.uint8)


def _like(data: Dataset, channels: int, levels: int) -> Tensor:
    """Pixels of ``data``, grey ones as as many ``channels``."""
    x = data.x[:] if levels == data.spec.levels else _bytes(data)
    if x.shape[1] == 1 < channels:
        x = x.expand(-1, min(channels, 3), -1, -1)
    return x if x.shape[1] == channels else torch.cat([x, torch.full_like(x[:, :1], 255)], 1)
