"""Decoding files from outside: whatever a decoder makes of a damaged one is a reason not to use it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from genwerk.core import errors
from genwerk.core.errors import BadFile, BadInput


class Unusable(BadFile):
    """One of many files cannot be used; the message is the end of a sentence that begins with its name."""


class decoding:
    """Around calls of a decoder, and of nothing else: what it raises on a damaged file becomes :class:`Unusable`.

    Pillow, libsndfile and zipfile raise on such files what they document, and SyntaxError, KeyError, TypeError,
    struct.error, zlib.error and more besides. (A class, as it is entered several times a file.)
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, Unusable):
            raise Unusable(reason(error)) from error


def open_zip(path: Path) -> zipfile.ZipFile:
    """The zip file at ``path``, to be closed; a BadInput where it is none, or not whole."""
    try:
        with decoding():
            return zipfile.ZipFile(path)
    except Unusable as error:
        raise BadInput(f"{path} is not a whole zip file ({error}); download or zip it again") from None


def reason(error: Exception) -> str:
    """Why a file cannot be read, as the end of a sentence."""
    if words := getattr(error, "error_string", None):  # libsndfile's own
        return f"it cannot be decoded ({words.removeprefix('Error : ').rstrip('.')})"
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is not an image of a known format"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        return errors.reason(error)
    said = str(error).strip().split("\n")[0].rstrip(".")
    if isinstance(error, (OSError, ValueError, SyntaxError, EOFError)):
        return said or type(error).__name__
    return f"it cannot be decoded ({': '.join(filter(None, (type(error).__name__, said)))})"


def existing(place: str) -> Path | None:
    """The path ``place``, if there is one."""
    try:
        path = Path(place).expanduser()
        return path if place and path.exists() else None
    except (ValueError, RuntimeError, OSError):  # no such user, NUL in the name, a name too long
        return None
