"""Folders and zip files of images or of sounds in the imagefolder convention, listed but not read.

``train/`` and ``test/`` (or ``val/``, ``validation/``) are parts; within a part, sub-folders are classes when every
file is in one; a ``metadata.csv`` with the columns ``file_name`` and ``text`` gives captions, and labels where it has
a column of them; labels can also be taken from the files' names.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO

from genwerk.data import images, sounds
from genwerk.data.dataset import Data, Skipped
from genwerk.data.images import Listing, Picture

KINDS = {"image": images.SUFFIXES, "sound": sounds.SUFFIXES}
"""Ends of file names, by what they say is in the file."""
SUFFIXES = frozenset[str]().union(*KINDS.values())
"""Ends of the names of all files that are listed."""
METADATA = "metadata.csv"
TEST_PARTS = ("test", "val", "valid", "validation")
"""Folders that hold the test part, the preferred first."""
MAX_MEMBERS = 5_000_000
"""Greatest number of files in a zip."""
MAX_MEMBER = 512 * 2**20
"""Greatest size in bytes of a file in a zip, once unpacked."""
MAX_RATIO = 1000
"""Greatest factor by which a file in a zip may grow when unpacked."""


def list_folder(path: Path, settings: Data) -> Listing:
    """The images or sounds in ``path`` and the folders below it; hidden files and folders are passed over."""
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if _is_wanted(PurePosixPath(name)):
                found.append(_listed(file, file.relative_to(path).as_posix()))
    return _arrange(str(path), found, settings)


def list_file(path: Path, settings: Data) -> Listing:
    """One image or sound."""
    return _arrange(str(path), [_listed(path, path.name)], settings)


def list_zip(path: Path, archive: zipfile.ZipFile, settings: Data) -> Listing:
    """The images or sounds in ``archive``, which must stay open while they are read; members are read into memory,
    never unpacked to disk, so their names lead nowhere."""
    members = [m for m in archive.infolist() if not m.is_dir()]
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{path} claims {len(members):,} files; a zip may hold {MAX_MEMBERS:,}")
    stamp = path.stat().st_mtime_ns
    found, skipped = [], []
    for member in sorted(members, key=lambda m: m.filename):
        name = PurePosixPath(member.filename)
        if not _is_wanted(name) or "__MACOSX" in name.parts:
            continue
        if member.file_size > MAX_MEMBER or member.file_size > MAX_RATIO * max(member.compress_size, 1):
            skipped.append(
                Skipped(member.filename, f"it would unpack to {member.file_size:,} bytes, which is too much")
            )
        else:
            found.append(Picture(name.as_posix(), _unpacker(archive, member), member.file_size, stamp))
    while (tops := {p.name.split("/")[0] for p in found}) and len(tops) == 1 and all("/" in p.name for p in found):
        if tops <= {"train", *TEST_PARTS}:
            break
        found = [replace(p, name=p.name.split("/", 1)[1]) for p in found]
    return _arrange(str(path), found, settings, tuple(skipped))


def _listed(file: Path, name: str) -> Picture:
    state = file.stat() if file.exists() else None
    size, stamp = (state.st_size, state.st_mtime_ns) if state else (0, 0)
    return Picture(name, lambda: file.open("rb"), size, stamp)


def _unpacker(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: io.BytesIO(archive.read(member))


def _is_wanted(name: PurePosixPath) -> bool:
    visible = not any(part.startswith(".") and part not in (".", "..") for part in name.parts)
    return visible and (name.suffix.lower() in SUFFIXES or name.name == METADATA)


def _arrange(name: str, found: list[Picture], settings: Data, skipped: tuple[Skipped, ...] = ()) -> Listing:
    """Sort what was ``found`` into parts, classes and captions; of images and sounds the more numerous are taken."""
    tables = [p for p in found if PurePosixPath(p.name).name == METADATA]
    by_kind = {
        kind: [p for p in found if PurePosixPath(p.name).suffix.lower() in suffixes] for kind, suffixes in KINDS.items()
    }
    kind = max(by_kind, key=lambda kind: len(by_kind[kind]))
    files = by_kind[kind]
    if not files:
        return Listing(name=name, train=(), skipped=skipped)
    notes = [
        f"The {len(files):,} {kind}s are taken, and the {len(others):,} {other}s beside them left unused."
        for other, others in by_kind.items()
        if other != kind and others
    ]

    tops = {p.name.split("/")[0] for p in files if "/" in p.name}
    test_part = next((t for t in TEST_PARTS if t in tops), None)
    if "train" in tops and (test_part or tops == {"train"}):  # otherwise train is a class, beside bus and tram
        parts = [p for p in ("train", test_part) if p is not None]
        if unused := sorted(tops - set(parts)) + (
            [f"{kind}s beside them"] if any("/" not in p.name for p in files) else []
        ):
            notes.append(f"Beside {' and '.join(parts)}, these are left unused: {', '.join(unused)}.")
        roots = [p + "/" for p in parts]
    else:
        roots = [""]
    sorted_ = [[p for p in files if p.name.startswith(root)] for root in roots]

    if tables:
        sorted_, missing, note = _describe(sorted_, tables, settings)
        skipped += missing
        notes.append(note)
    if settings.label_pattern is not None:
        sorted_, missing, note = _by_name(sorted_, settings.label_pattern)
        skipped += missing
        notes.append(note)
    elif not tables:
        sorted_, note = _by_folder(sorted_, roots)
        notes += [note] if note else []
    return Listing(
        name=name, train=sorted_[0], test=sorted_[1] if len(sorted_) > 1 else (), skipped=skipped, notes=tuple(notes)
    )


def _by_folder(parts: list[list[Picture]], roots: list[str]) -> tuple[list[list[Picture]], str]:
    """Labels from sub-folders, where every file is in one and there are at least two."""
    below = [[p.name.removeprefix(root) for p in part] for part, root in zip(parts, roots, strict=True)]
    names = {b.split("/")[0] for part in below for b in part if "/" in b}
    if len(names) < 2:
        return parts, ""
    if not all("/" in b for part in below for b in part):
        return parts, "Some files are in sub-folders and some are not, so sub-folders are not taken for classes."
    labelled = [
        [replace(p, label=b.split("/")[0]) for p, b in zip(part, names_, strict=True)]
        for part, names_ in zip(parts, below, strict=True)
    ]
    return labelled, f"The {len(names):,} sub-folders are the classes."


def _by_name(parts: list[list[Picture]], pattern: str) -> tuple[list[list[Picture]], tuple[Skipped, ...], str]:
    """Labels from file names: the first group of ``pattern`` where it is found; files without it are skipped."""
    given = f"--data.label-pattern {pattern!r}"
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{given} is not a regular expression ({error}); write one such as '^([a-z]+)_'") from None
    if not expression.groups:
        raise ValueError(f"{given} has no group; put brackets around what is the label, as in '^([a-z]+)_'")
    matches = {p.name: expression.search(PurePosixPath(p.name).name) for part in parts for p in part}
    labels = {name: match[1] for name, match in matches.items() if match and match[1]}
    if not labels:
        raise ValueError(
            f"{given} gives none of the {len(matches):,} files a label; the first name is {min(matches)!r}"
        )
    kept = [[replace(p, label=labels[p.name]) for p in part if p.name in labels] for part in parts]
    missing = (Skipped(name, "the label pattern is not found in its name") for name in sorted(matches.keys() - labels))
    return kept, tuple(missing), f"The files' names give {len(set(labels.values())):,} classes."


def _describe(
    parts: list[list[Picture]], tables: list[Picture], settings: Data
) -> tuple[list[list[Picture]], tuple[Skipped, ...], str]:
    """Captions and labels from the metadata files; what only one side knows is skipped."""
    rows: dict[str, dict[str, str]] = {}
    columns: set[str] = set()
    for table in tables:
        folder = PurePosixPath(table.name).parent
        for row in _rows(table):
            rows[(folder / row["file_name"]).as_posix()] = row
            columns |= row.keys()
    kept = [
        [
            replace(p, label=rows[p.name].get(settings.label), caption=rows[p.name].get("text"))
            for p in part
            if p.name in rows
        ]
        for part in parts
    ]
    listed = {p.name for part in parts for p in part}
    if listed.isdisjoint(rows):
        raise ValueError(
            f"{tables[0].name} names none of the {len(listed):,} files; write their paths in its column file_name"
        )
    missing = [Skipped(n, f"{METADATA} does not name it") for n in sorted(listed - rows.keys())]
    missing += [Skipped(n, f"{METADATA} names it, but it is not there") for n in sorted(rows.keys() - listed)]
    given = [c for c in ("text", settings.label) if c in columns]
    return kept, tuple(missing), f"{METADATA} gives {' and '.join(given) if given else 'no column that is used'}."


def _rows(table: Picture) -> Iterator[dict[str, str]]:
    """The lines of a metadata file; a line that has too few or too many cells is an error."""
    try:
        with table.open() as file:
            lines = csv.reader(io.StringIO(file.read().decode("utf-8-sig"), newline=""), strict=True)
            header = next(lines, [])
            if "file_name" not in header:
                raise ValueError(
                    f"{table.name} has the columns {', '.join(header)}; expected file_name and, for captions, text"
                )
            for cells in filter(None, lines):
                if len(cells) != len(header):
                    raise ValueError(
                        f"line {lines.line_num} of {table.name} has {len(cells)} cells; expected {len(header)} as in "
                        "its header (put quotes around a text that holds a comma)"
                    )
                yield dict(zip(header, cells, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table.name} cannot be read as a table ({error}); save it as CSV in UTF-8") from None
