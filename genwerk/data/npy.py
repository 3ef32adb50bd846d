"""Arrays in NumPy's files: .npy, mapped so that it may be larger than memory, and .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from genwerk.core.errors import BadFile, BadInput, NoColumn
from genwerk.core.memory import afford
from genwerk.data import cache
from genwerk.data.arrays import array_found
from genwerk.data.chunks import Array
from genwerk.data.labels import continuous
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

X_NAMES = ("x", "X", "images", "image", "data", "samples", "features", "arr_0")
"""What an array of examples is called, the preferred first."""
Y_NAMES = ("y", "Y", "labels", "targets", "target", "class", "classes", "arr_1")
"""What an array of labels is called where it is not named, after label."""
SPARSE = ({"format", "shape", "data", "indices", "indptr"}, {"format", "shape", "data", "row", "col"})
"""Names of the arrays in which scipy keeps a sparse matrix."""


def open_npy(path: Path, settings: DataConfig) -> Found:
    """One array, a row an example; it is mapped, so a file larger than memory can be used.

    What is an .npz under this name is read as one.
    """
    if zipfile.is_zipfile(path):
        return open_npz(path, settings)
    x = _array(path)
    if x.nbytes <= cache.LARGE:
        afford(x.nbytes, str(path), "take fewer rows")
        return array_found(np.array(x), None, None, None, settings, name=str(path))
    state = path.stat()
    key = cache.key(str(path.resolve()), state.st_size, state.st_mtime_ns)
    return array_found(x, None, None, None, settings, name=str(path), key=key)


def _array(path: Path) -> Array:
    """The array in an .npy file, mapped."""
    try:
        found: Array = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:  # numpy reads the header as a Python literal, so a damaged one may raise anything
        raise BadFile(
            f"{path} is not a whole .npy file of numbers ({_line(error)}); save it again with numpy.save"
        ) from None
    return found


def open_npz(path: Path, settings: DataConfig) -> Found:
    """Arrays by name: x (or X, images, data) and y (or labels), or x_train, x_test, y_train and y_test.

    What is an .npy under this name is read as one.
    """
    with path.open("rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            return open_npy(path, settings)
    try:
        members = _headers(path)
    except Exception as error:  # as above, and all that a damaged zip may raise
        raise _damaged(path, error) from None
    if any(names <= members.keys() for names in SPARSE):
        raise BadInput(f"{path} holds a sparse matrix of scipy; save it dense: numpy.savez(path, x=matrix.toarray())")

    def find(names: Sequence[str], part: str = "") -> str | None:
        spellings = [s for n in names for s in ((f"{n}_{part}", f"{part}_{n}") if part else (n,))]
        return next((s for s in spellings if s in members), None)

    listed = ", ".join(sorted(members)) or "none"
    y_names = (settings.label, *Y_NAMES) if settings.label == "label" else (settings.label,)
    test = test_y = None
    if (x := find(X_NAMES, "train")) is not None:
        test = find(X_NAMES, "test")
        y, test_y = find(y_names, "train"), find(y_names, "test") if test is not None else None
    else:
        x, y = find(X_NAMES), find(y_names)
        if x is None and len(members) == 1:
            x = next(iter(members))
    if x is None:
        raise BadInput(
            f"{path} has the arrays {listed}; call the examples x (or {', '.join(X_NAMES[1:])}) and the labels y (or "
            f"{', '.join(Y_NAMES[1:])}), in two parts x_train, y_train, x_test and y_test"
        )
    if y == Y_NAMES[-1] and (x != X_NAMES[-1] or len(members[y].shape) != 1):
        y = None  # the second of several arrays without names
    if y is None and settings.label != "label":
        raise NoColumn(f"{path} has no array {settings.label!r} for ‹data.label›; its arrays are {listed}", "label")
    chosen = [name for name in (x, test, y, test_y) if name is not None]
    arrays = _read(path, {name: members[name] for name in chosen})
    notes = []
    if y is not None and continuous(arrays[y].reshape(-1).tolist()):
        if settings.label != "label":
            raise BadInput(f"the array {y!r} of {path} holds measured numbers, not classes; leave out ‹data.label›")
        notes.append(f"The array {y!r} holds measured numbers, not classes, so it is not used.")
        y = test_y = None
    if unused := sorted(members.keys() - set(chosen)):
        listed = ", ".join(map(repr, unused[:5])) + ", ..." * (len(unused) > 5)
        notes.append(f"Not used: {listed}; examples are called x (or x_train and x_test), labels y.")
    test_x, test_labels = (None if name is None else arrays[name] for name in (test, test_y))
    labels = None if y is None else arrays[y]
    return array_found(arrays[x], test_x, labels, test_labels, settings, name=str(path), notes=tuple(notes))


def npy_columns(path: Path) -> dict[str, list[Any]]:
    """The arrays of one dimension in a file, by name; that of an .npy is called label."""
    if not zipfile.is_zipfile(path):
        return {"label": _array(path).reshape(-1).tolist()}
    try:
        members = _headers(path)
    except Exception as error:
        raise _damaged(path, error) from None
    flat = {name: member for name, member in members.items() if prod(member.shape) == max(member.shape, default=1)}
    return {name: values.reshape(-1).tolist() for name, values in _read(path, flat).items()}


@dataclass(frozen=True)
class Member:
    """An array of an .npz as its header describes it."""

    file: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * self.dtype.itemsize


def _headers(path: Path) -> dict[str, Member]:
    """What the arrays are, by name; none of them is read."""
    members = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            members[member.filename.removesuffix(".npy")] = Member(member, shape, dtype)
    return members


def _read(path: Path, members: Mapping[str, Member]) -> dict[str, Array]:
    """The arrays, each checked against the length of what holds it, and all against memory, before any is taken."""
    for name, member in members.items():
        if member.dtype.hasobject:
            raise BadFile(
                f"the array {name!r} of {path} holds Python objects, which are never read; save numbers, or text as "
                f"{name}.astype(str)"
            )
        if member.size > member.file.file_size:
            raise _damaged(path, ValueError(f"{member.file.filename} claims {member.size:,} bytes"))
    afford(sum(m.size for m in members.values()), str(path), "save the examples as .npy, which is mapped, or fewer")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for name, member in members.items():
                with archive.open(member.file) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> BadFile:
    return BadFile(f"{path} is not a whole .npz file of numbers ({_line(error)}); save it again with numpy.savez")


def _line(error: BaseException) -> str:
    """The first sentence of ``error``: what numpy says further is how objects would be loaded from it, unsafely."""
    return str(error).strip().split("\n")[0].partition(". ")[0].rstrip(".") or type(error).__name__
