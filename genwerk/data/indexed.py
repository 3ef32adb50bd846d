"""Images written as indices into a table of colours, in text.

A folder of ``colormap.txt``, a line of red, green and blue (0 to 255) for every index from 0, and ``pixel_color.txt``,
a line of indices for every image, row by row: the form of the "Pokemon creation" exercise of Hung-yi Lee's course
(2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadFile
from genwerk.data.arrays import images_found
from genwerk.data.dataset import Dataset
from genwerk.data.palette import Palette, as_array
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

COLOURS = "colormap.txt"
PIXELS = "pixel_color.txt"


def is_indexed(path: Path) -> bool:
    """Whether the folder ``path`` holds both files."""
    return (path / COLOURS).is_file() and (path / PIXELS).is_file()


def open_indexed(path: Path, settings: DataConfig) -> Found:
    """RGB images whose palette is the colour map, in its own order; a ValueError names the line that is wrong."""
    palette = []
    for where, numbers in _lines(path / COLOURS):
        if len(numbers) != 3 or max(numbers) > 255:
            raise BadFile(f"{where} is not a colour; expected red, green and blue, each 0 to 255")
        palette.append((numbers[0], numbers[1], numbers[2]))
    rows: list[NDArray[np.int64]] = []
    for where, numbers in _lines(path / PIXELS):
        if isqrt(len(numbers)) ** 2 != len(numbers):
            raise BadFile(f"{where} has {len(numbers):,} indices; expected a square image, as many rows as columns")
        if rows and len(numbers) != len(rows[0]):
            raise BadFile(f"{where} has {len(numbers):,} indices; expected {len(rows[0]):,} as in the first line")
        if max(numbers) >= len(palette):
            raise BadFile(
                f"{where} holds the index {max(numbers)}; {COLOURS} has {len(palette)} colours, 0 to {len(palette) - 1}"
            )
        rows.append(np.array(numbers))
    side = isqrt(len(rows[0]))
    note = f"{PIXELS} holds {len(rows):,} images as indices into the {len(palette)} colours of {COLOURS}."
    return indexed_found(
        np.stack(rows).reshape(-1, side, side), None, None, None, tuple(palette), settings, name=str(path), note=note
    )


def indexed_found(
    x: NDArray[Any],
    test_x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    test_y: NDArray[Any] | None,
    palette: Palette,
    settings: DataConfig,
    *,
    name: str,
    note: str,
) -> Found:
    """RGB images of indices with shape (n, side, side) into ``palette``, which their spec holds, repeated colours once.

    A size asked for is reached by repeating and leaving out pixels, so that no colour is mixed. Images asked for in
    grey or RGB have no palette.
    """
    table = as_array(palette)
    side = settings.size or x.shape[1]
    pick = ((np.arange(side) + 0.5) * x.shape[1] / side).astype(int)
    parts = [None if part is None else table[part[:, pick][:, :, pick]] for part in (x, test_x)]
    assert parts[0] is not None
    as_they_are = replace(settings, size=None, colour="grey" if settings.colour == "grey" else "rgb")
    found = images_found(parts[0], parts[1], y, test_y, as_they_are, name=name, notes=(note,))
    if settings.colour in ("grey", "rgb"):
        return found

    def known(data: Dataset) -> Dataset:
        return replace(data, spec=replace(data.spec, palette=tuple(dict.fromkeys(palette))))

    return replace(found, train=known(found.train), test=None if found.test is None else known(found.test))


def _lines(path: Path) -> Iterator[tuple[str, list[int]]]:
    """Where each line that is not blank stands, and the whole numbers on it."""
    seen = False
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where, seen = f"line {number:,} of {path}", True
        for word in words:
            if not word.isdigit() or len(word) > 9:
                shown = word[:20].decode(errors="replace")
                raise BadFile(f"{where} holds {shown!r}; expected whole numbers with spaces between")
        yield where, [int(word) for word in words]
    if not seen:
        raise BadFile(f"{path} is empty; expected a line of numbers for every {_what(path)}")


def _what(path: Path) -> str:
    return "colour" if path.name == COLOURS else "image"
