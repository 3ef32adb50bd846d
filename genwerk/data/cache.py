"""Large data live in a file: written once into the user's cache folder, then mapped into memory by every later run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadInput, reason
from genwerk.core.files import read_json

LARGE = 2**30
"""Bytes above which examples are mapped from a file instead of kept in memory."""


def folder() -> Path:
    """Where the cached files are: genwerk/data under XDG_CACHE_HOME or ~/.cache."""
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        raise BadInput("there is no home folder to keep large data in; set XDG_CACHE_HOME to a folder") from None
    return caches / "genwerk" / "data"


def key(*parts: object) -> str:
    """32 hex digits that change with anything in ``parts``."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def load(name: str) -> tuple[NDArray[Any], dict[str, Any]] | None:
    """The array and facts kept under ``name``, mapped; None when there are none or they are damaged.

    The mapping is copy-on-write, so nothing that is done to the array reaches the file.
    """
    try:
        facts = read_json(folder() / name / "facts.json")
        array = np.load(folder() / name / "x.npy", mmap_mode="c", allow_pickle=False)
        return (array, facts["facts"]) if [*array.shape, array.dtype.str] == facts["array"] else None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def kept(name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The small array ``name``, made once; where the folder cannot be written, it is made each time."""
    path = folder() / f"{name}.npy"
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    except (OSError, ValueError, EOFError):
        array = make()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{name}-{os.getpid()}.npy")
        np.save(beside, array)
        beside.replace(path)
    return array


def build(
    name: str | None, shape: tuple[int, ...], dtype: type, fill: Callable[[NDArray[Any]], dict[str, Any]]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """An array that ``fill`` has filled, and the facts (plain JSON) that it returned.

    A small array, or one without a ``name``, is made in memory. One above :data:`LARGE` bytes is written to a new
    folder beside its place and then renamed, so that an interrupted run leaves nothing that could be taken for whole.
    """
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    if name is None or size <= LARGE:
        array: NDArray[Any] = np.empty(shape, dtype)
        return array, fill(array)

    root = folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"large data are kept in {root}, which cannot be made ({reason(error)}); set XDG_CACHE_HOME to a folder "
            "that can be written"
        ) from None
    for stale in root.glob(f".{name}-*"):
        if time.time() - stale.stat().st_mtime > 24 * 3600:
            shutil.rmtree(stale, ignore_errors=True)
    if size > (free := shutil.disk_usage(root).free):
        raise BadInput(
            f"the data take {size / 1e9:.1f} GB once decoded, and the cache folder {root} has {free / 1e9:.1f} GB "
            "free; choose smaller images with ‹data.size›, or set XDG_CACHE_HOME to a larger disk"
        )
    new = root / f".{name}-{os.getpid()}"
    try:
        new.mkdir()
        array = np.lib.format.open_memmap(new / "x.npy", "w+", np.dtype(dtype), shape)
        facts = fill(array)
        array.flush()
        described = {"array": [*array.shape, array.dtype.str], "facts": facts}
        with (new / "facts.json").open("w", encoding="utf-8") as file:
            json.dump(described, file)
            file.flush()
            os.fsync(file.fileno())
        if (root / name).exists() and load(name) is None:
            shutil.rmtree(root / name)
        if not (root / name).exists():
            new.rename(root / name)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    found = load(name)
    if found is None:
        raise BadInput(f"the cached copy of the data at {root / name} could not be read back; is the disk sound?")
    return found
