"""Reading and writing files that others may have made: regular ones only, links never followed to be written, JSON
within bounds.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import IO, Any, NoReturn

from genwerk.core.errors import BadFile, BadInput, Unwritable, reason

LARGEST = 64 * 2**20
"""Bytes of the largest JSON file that is read."""
DEEPEST = 100
"""Levels of the deepest JSON that is read."""

NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
BINARY: int = getattr(os, "O_BINARY", 0)


# --- reading --------------------------------------------------------------------------------------------------------


def open_regular(path: Path | str) -> BufferedReader:
    """The regular file at ``path``, open for reading; anything else (a folder, a pipe, a device) is a BadFile."""
    try:
        handle = os.open(path, os.O_RDONLY | NONBLOCK | BINARY)
    except FileNotFoundError:
        raise BadFile(f"{path} does not exist") from None
    except IsADirectoryError:
        raise BadFile(f"{path} is a folder; expected a file") from None
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read: {reason(error)}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        kind = "a folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "no regular file"
        os.close(handle)
        raise BadFile(f"{path} is {kind}; expected a file")
    return os.fdopen(handle, "rb")


def read_json(path: Path, *, largest: int = LARGEST, infinities: bool = False) -> dict[str, Any]:
    """The object in a JSON file; a BadFile says what is wrong with it. ``infinities`` are refused unless expected."""
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > largest:
            raise BadFile(f"{path} has {size:,} bytes; JSON of at most {largest:,} is read")
        return parse_json(file.read(largest + 1), str(path), infinities=infinities)


def parse_json(content: bytes | str, where: str, *, infinities: bool = False) -> dict[str, Any]:
    """The object that ``content`` describes, no number of it infinite unless so asked; a BadFile names ``where``."""
    try:
        value = json.loads(content, parse_constant=_infinity if infinities else _no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BadFile(f"{where} is damaged (it is not valid JSON)") from None
    if not isinstance(value, dict):
        raise BadFile(f"{where} is damaged (it holds no JSON object)")
    if _depth(value) > DEEPEST:
        raise BadFile(f"{where} is nested more than {DEEPEST} deep")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _infinity(text: str) -> float:
    return _no_number(text) if text == "NaN" else float(text)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def _depth(value: Any) -> int:
    """Levels of lists and objects in ``value``, level by level, so that no depth is too great for it."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, (dict, list))]:
        depth += 1
        level = [inner for v in level for inner in (v.values() if isinstance(v, dict) else v)]
    return depth


# --- writing --------------------------------------------------------------------------------------------------------


def open_own(path: Path, flags: int) -> BufferedRandom:
    """The file at ``path``, made if need be, open for writing and reading as ``flags`` add (O_APPEND, O_EXCL).

    A link, or anything that is no regular file with this one name, is refused: what it leads to may be somebody's.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | NOFOLLOW | NONBLOCK | BINARY | flags, 0o666)
    except (OSError, ValueError) as error:
        if os.path.islink(path):
            raise Unwritable(f"{path} is a link, which Genwerk does not write through; remove it") from None
        raise Unwritable(f"{path} cannot be written: {reason(error)}") from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or (not NOFOLLOW and path.is_symlink()):
        os.close(handle)
        raise Unwritable(f"{path} is not a file of Genwerk's own (it is a link, or not a regular file); remove it")
    return os.fdopen(handle, "r+b")


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that a crash leaves the old file or the new one, whole; a link is replaced."""
    with writing(path) as file:
        file.write(content)


@contextmanager
def writing(path: Path) -> Iterator[BufferedRandom]:
    """A file to write to, which stands at ``path`` once all is written (:func:`write_atomically`)."""
    make_folder(path.parent)
    beside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        _remove(beside)
        with open_own(beside, os.O_EXCL) as file:
            yield file
            flush(file)
        beside.replace(path)
        flush_folder(path.parent)
    except Unwritable as error:
        raise Unwritable(error.sentence.replace(str(beside), str(path))) from None
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {reason(error)}") from None
    finally:
        _remove(beside)


def check_writable(path: Path) -> None:
    """Raise Unwritable unless a file could be written at ``path``; nothing is left of the attempt."""
    made = [folder for folder in path.parents if not os.path.exists(folder)]
    beside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        make_folder(path.parent)
        open_own(beside, os.O_EXCL).close()
    except Unwritable as error:
        raise Unwritable(error.sentence.replace(str(beside), str(path))) from None
    finally:
        _remove(beside)
        with suppress(OSError, ValueError):
            for folder in made:
                folder.rmdir()


def check_replaceable(path: Path, overwrite: bool) -> None:
    """Raise BadInput where something is at ``path``, unless it is a file and ``overwrite`` lets it be replaced."""
    if os.path.lexists(path) and not path.is_file():
        raise BadInput(f"{path} is there and not a file that can be replaced; name another")
    if os.path.lexists(path) and not overwrite:
        raise BadInput(f"{path} exists already; name another, or replace it with ‹overwrite=True›")


def check_numbers_free(folder: Path, numbers: range, overwrite: bool) -> None:
    """Raise BadInput where ``folder`` holds a file with a name of :func:`numbered` for one of ``numbers``, unless
    ``overwrite`` lets it be replaced."""
    if overwrite or not folder.is_dir():
        return
    wanted = {numbered(i) for i in numbers}
    if taken := sorted(name for name in os.listdir(folder) if name.partition(".")[0] in wanted):
        raise BadInput(f"{folder} holds {taken[0]} already; name another, or replace it with ‹overwrite=True›")


def numbered(i: int) -> str:
    """The name, without an end, of the file of example ``i`` in a folder."""
    return f"{i:05d}"


def make_folder(folder: Path) -> None:
    """Make ``folder``, and those above it, unless it is there; an Unwritable says why that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        file = next((each for each in (folder, *folder.parents) if os.path.isfile(each)), None)
        gone = isinstance(error, FileNotFoundError)  # of folders that are made with those above them
        why = f"{file} is a file" if file else "the system lets nothing be made there" if gone else reason(error)
        raise Unwritable(f"the folder {folder} cannot be made: {why}") from None


def _remove(path: Path) -> None:
    with suppress(OSError, ValueError):
        path.unlink()


def flush(file: IO[bytes]) -> None:
    """Wait until what was written to ``file`` is on disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on disk."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
