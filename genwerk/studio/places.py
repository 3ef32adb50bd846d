"""Names of runs, files and uploads as paths: whatever leads out of the folder that was chosen does not exist."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from genwerk.core.errors import BadInput
from genwerk.core.printable import printable

DEEPEST = 4
"""Folders below the root in which runs are looked for."""
MOST = 2_000
"""Runs that are listed."""
SHOWN = {
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".webp": "image",
    ".gif": "image",
    ".wav": "sound",
    ".flac": "sound",
    ".ogg": "sound",
    ".txt": "text",
    ".md": "text",
    ".log": "text",
    ".csv": "table",
    ".tsv": "table",
    ".json": "data",
    ".jsonl": "data",
    ".npy": "data",
    ".npz": "data",
    ".zip": "archive",
    ".html": "page",
}
"""Ends of the names of files that are given out, and what each holds."""
BIN = ".genwerk-bin"
"""Folder below the root for runs that were deleted."""
PREFIX = "genwerk-studio-"
"""How the names of folders begin that hold uploads and results."""
UPLOADS = "uploads"
"""Folder below the root for uploads that a run learns from."""
PART = re.compile(r"\w[\w .+-]*")
"""How a run, and each folder that it is in, may be called."""
LENGTH = 100
"""Characters of the name of a run, at most."""
BYTES = 240
"""Bytes of it, and of each folder in it, at most: file systems end at 255."""
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{name}{i}" for name in ("com", "lpt") for i in range(1, 10))})
"""Names that no file of Windows has, whatever follows behind a point."""


@dataclass(frozen=True)
class Root:
    """The folder that the studio was opened on."""

    path: Path

    def inside(self, name: str) -> Path:
        """The path that ``name`` is below the root; a BadInput where it leads out of it."""
        if not name or "\0" in name or name.startswith(("/", "~", "\\")) or ".." in Path(name).parts:
            raise BadInput(f"{printable(name, keep='')!r} is no name of something in this folder")
        path = self.path / name
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            raise BadInput(f"{printable(name, keep='')!r} cannot be read") from None
        if not real.is_relative_to(self.path):
            raise BadInput(f"{printable(name, keep='')!r} is no name of something in this folder")
        return path

    def run(self, name: str) -> Path:
        """The run called ``name``."""
        path = self.inside(name)
        if not (path / "config.json").is_file():
            raise BadInput(f"there is no run {printable(name, keep='')!r} any more; it was moved or deleted")
        return path

    def new(self, name: str) -> Path:
        """Where a run called ``name`` is to be; a BadInput says why it cannot be called so."""
        if not name:
            raise BadInput("a run needs a name")
        if len(name) > LENGTH:
            raise BadInput(f"the name of a run has at most {LENGTH} characters")
        parts = name.split("/")
        if any(len(part.encode()) > BYTES for part in parts):
            raise BadInput(f"the name of a run takes at most {BYTES} bytes, which are {BYTES // 3} Chinese characters")
        if not all(parts):
            raise BadInput("the name of a run has something before, between and behind its slashes")
        if not all(re.match(r"\w", part) for part in parts):
            raise BadInput("the name of a run, and of each folder in it, begins with a letter or a digit")
        if not all(map(PART.fullmatch, parts)):
            raise BadInput("a run cannot be called so; take letters, digits, spaces, points, dashes and slashes")
        for part in parts:
            if part.endswith((" ", ".")) or part.partition(".")[0].rstrip().lower() in RESERVED:
                raise BadInput(f"{part!r} cannot be a folder on Windows; choose another name")
        if parts[0].lower() == UPLOADS:
            raise BadInput(f"{UPLOADS} is the folder of uploaded files; choose another name")
        return self.inside(name)

    def file(self, folder: Path, name: str) -> Path:
        """A file in ``folder``, which is below the root, that may be given out."""
        path = self.inside(f"{folder.relative_to(self.path)}/{name}")
        if Path(name).suffix.lower() not in SHOWN or not path.is_file():
            raise BadInput(f"there is no file {printable(name, keep='')!r}")
        return path

    def runs(self) -> Iterator[Path]:
        """Run folders below the root, which are not entered."""
        waiting, found = [(self.path, 0)], 0
        while waiting and found < MOST:
            folder, depth = waiting.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda each: each.name)
            except OSError:
                continue
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "checkpoints" or not entry.is_dir(follow_symlinks=False):
                    continue
                if (Path(entry.path) / "config.json").is_file():
                    found += 1
                    yield Path(entry.path)
                elif depth < DEEPEST:
                    waiting.append((Path(entry.path), depth + 1))

    def named(self, values: Mapping[str, object], uploads: Mapping[str, Path]) -> dict[str, object]:
        """``values`` with the paths of ``uploads`` in their places; what else names a file must be below the root."""
        for value in values.values():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    self._check(text)
        return {**values, **{name: str(path) for name, path in uploads.items()}}

    def _check(self, text: str) -> None:
        """Refuse a path out of the root: a text, or a part of it behind a colon or a comma, that is one."""
        for part in {text, *re.split(r"[:,=]", text)}:
            part = part.strip()
            if part.startswith(("/", "~", "\\")) or ".." in re.split(r"[/\\]", part):
                raise BadInput(f"{printable(text, keep='')!r} leads out of this folder; name something in it")
            try:
                there = bool(part) and (self.path / part).exists()
            except (OSError, ValueError):
                continue
            if there:
                self.inside(part)


def kind_of(path: Path) -> str:
    """What a file that is given out holds."""
    return SHOWN.get(path.suffix.lower(), "data")
