"""Arrays in NumPy's files: .npy, mapped so that it may be larger than memory, and .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genwerk.data import cache
from genwerk.data.arrays import Array, array_found
from genwerk.data.dataset import Data
from genwerk.data.parts import Found

X_NAMES = ("x", "X", "images", "data", "arr_0")
Y_NAMES = ("y", "Y", "labels", "targets", "target")
MAX_NPZ = 16 * 2**30
"""Greatest size in bytes of the arrays of an .npz, which cannot be mapped."""


def open_npy(path: Path, settings: Data) -> Found:
    """One array, a row an example; it is mapped, so a file larger than memory can be used."""
    try:
        x = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:  # numpy reads the header as a Python literal, so a damaged one may raise anything
        raise ValueError(
            f"{path} is not a whole .npy file of numbers ({_line(error)}); save it again with numpy.save"
        ) from None
    if x.nbytes <= cache.LARGE:
        return array_found(np.array(x), None, None, None, settings, name=str(path))
    state = path.stat()
    key = cache.key(str(path.resolve()), state.st_size, state.st_mtime_ns)
    return array_found(x, None, None, None, settings, name=str(path), key=key)


def open_npz(path: Path, settings: Data) -> Found:
    """Arrays by name: x (or X, images, data) and y (or labels), or x_train, x_test, y_train and y_test."""
    try:
        arrays = _load_npz(path)
    except Exception as error:  # as above, and all that a damaged zip may raise
        raise ValueError(
            f"{path} is not a whole .npz file of numbers ({_line(error)}); save it again with numpy.savez"
        ) from None

    def find(names: Sequence[str], part: str = "") -> Array | None:
        spellings = [s for n in names for s in ((f"{n}_{part}", f"{part}_{n}") if part else (n,))]
        return next((arrays[s] for s in spellings if s in arrays), None)

    y_names = (settings.label, *Y_NAMES) if settings.label == "label" else (settings.label,)
    if (x := find(X_NAMES, "train")) is not None:
        test = find(X_NAMES, "test")
        y, test_y = find(y_names, "train"), find(y_names, "test") if test is not None else None
    else:
        x, y, test, test_y = find(X_NAMES), find(y_names), None, None
        if x is None and len(arrays) == 1:
            x = next(iter(arrays.values()))
    if x is None:
        raise ValueError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}; name the examples x and the labels y"
        )
    if y is None and settings.label != "label":
        raise ValueError(
            f"{path} has no array {settings.label!r} for --data.label; its arrays are {', '.join(sorted(arrays))}"
        )
    return array_found(x, test, y, test_y, settings, name=str(path))


def _load_npz(path: Path) -> dict[str, Array]:
    """All arrays, each checked against the length of what holds it before memory is taken."""
    arrays, total = {}, 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            size = int(np.prod(shape, dtype=object)) * dtype.itemsize
            total += size
            if size > member.file_size or total > MAX_NPZ:
                raise ValueError(f"{member.filename} claims {size:,} bytes")
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
