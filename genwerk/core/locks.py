"""Locks on a folder, such as a run: one writer, and readers whose checkpoint no writer removes."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from genwerk.core.errors import BadFile, BadInput, Unwritable
from genwerk.core.files import make_folder, open_own, open_regular

HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
"""What the system says where another process holds a lock; anything else means that there are none to be had."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone; a BadInput names the process that has it.

    A folder in which nothing came to be written is removed again.
    """
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    lock = lock_folder(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / ".lock").unlink()
            for each in made:
                each.rmdir()
        lock.close()


def lock_folder(run: Path) -> IO[bytes]:
    """The run's lock file, locked and naming this process."""
    path = run / ".lock"
    while True:
        try:
            make_folder(run)
        except Unwritable as error:
            raise Unwritable(f"{error.sentence}; choose another ‹out›") from None
        file = open_own(path, 0)
        if (locked := _lock(file)) is None:
            warnings.warn(
                f"{run} is on a file system without locks; see to it that no other process writes it", stacklevel=4
            )
        elif not locked:
            holder = file.read(32).decode(errors="replace")
            file.close()
            raise BadInput(
                f"{run} is being written by another process (pid {holder if holder.isdecimal() else 'unknown'}); "
                "wait for it"
            )
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.lstat()):  # else its last holder has just removed it
                break
        file.close()
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


def _lock(file: IO[bytes], *, shared: bool = False) -> bool | None:
    """Whether ``file`` could be locked; None where the file system has no locks."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        elif not shared:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        return False if error.errno in HELD else None
    return True


def writer(folder: Path) -> int | None:
    """The process of this machine that has ``folder`` by :func:`only_writer`, as its lock file names it; None where
    there is none any more. A writer on another machine is not seen."""
    try:
        with open_regular(folder / ".lock") as file:
            pid = int(file.read(32))
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (BadFile, OSError, ValueError, OverflowError):
        return None
    return pid


def holder(folder: Path) -> int | None:
    """The :func:`writer` of ``folder``, where its lock is held at this moment: a process that has by chance the number
    of a writer that died holds none."""
    try:
        with open_regular(folder / ".lock") as file:
            taken = _lock(file, shared=True) is not True
    except BadFile:
        return None
    return writer(folder) if taken else None


def held(checkpoint: Path) -> IO[bytes] | None:
    """A hold on a checkpoint, for as long as it is open: no writer removes it. None where it has just been removed."""
    try:
        file = open_regular(checkpoint / "manifest.json")
    except BadFile:
        return None
    with suppress(OSError):
        same = os.path.samestat(os.fstat(file.fileno()), (checkpoint / "manifest.json").stat())
        if same and _lock(file, shared=True) is not False and checkpoint.is_dir():
            return file
    file.close()
    return None


@contextmanager
def alone(checkpoint: Path) -> Iterator[bool]:
    """Whether nobody reads a checkpoint, nor can begin to while inside."""
    try:
        file = open_regular(checkpoint / "manifest.json")
    except BadFile:
        yield True
        return
    with file:
        yield _lock(file) is not False
