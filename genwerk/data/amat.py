"""Text of numbers, a line an example, in which binarised MNIST and its kin are kept (.amat)."""

from __future__ import annotations

from math import isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadFile
from genwerk.core.memory import afford
from genwerk.data.arrays import array_found
from genwerk.data.labels import continuous
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig
from genwerk.data.tables import one_of_each


def open_amat(path: Path, settings: DataConfig) -> Found:
    """The text of numbers in which binarised MNIST and its kin are kept: a line an example, without a header.

    Lines of as many numbers as a square picture has pixels are pictures, with their label where there is one more.
    """
    first, second = one_of_each(path, ".amat")
    parts = [_amat(first), _amat(second) if second else None]
    assert parts[0] is not None
    width = parts[0].shape[1]
    side, labelled = (isqrt(width), False) if isqrt(width) ** 2 == width else (isqrt(width - 1), True)
    if labelled and continuous(parts[0][:, -1].tolist()):
        side = 0
    if side * side + labelled != width or any(p is not None and p.shape[1] != width for p in parts):
        return array_found(parts[0], parts[1], None, None, settings, name=str(path))
    x, test_x = (None if p is None else p[:, : side * side].reshape(-1, side, side) for p in parts)
    y, test_y = (p[:, -1] if p is not None and labelled else None for p in parts)
    assert x is not None
    note = f"Each line is taken for a picture of {side} x {side} pixels{' and its label' * labelled}."
    return array_found(x, test_x, y, test_y, settings, name=str(path), notes=(note,))


def _amat(path: Path) -> NDArray[np.float64] | NDArray[np.uint8]:
    """The numbers of ``path`` with shape (n, d); digits of 0 and 1 alone are bytes."""
    afford(4 * path.stat().st_size, str(path), "take fewer lines")
    content = path.read_bytes()
    width = len(content[: content.find(b"\n") + 1 or None].split())
    lines = content.translate(None, b" \t\r").split()
    if width and all(len(line) == width and not line.strip(b"01") for line in lines):
        return np.frombuffer(b"".join(lines), np.uint8).reshape(-1, width) - np.uint8(ord("0"))
    try:
        values = np.array(content.split(), np.float64)
    except ValueError as error:
        raise BadFile(
            f"{path} cannot be read as numbers ({error}); expected a line of them for every example"
        ) from None
    if {len(line.split()) for line in content.splitlines()} - {0} != {width}:
        raise BadFile(f"{path} has lines of different lengths; expected as many numbers in each")
    return values.reshape(-1, width)
