"""Folders and zip files of images or of sounds in the imagefolder convention, listed but not read.

``train/``, ``validation/`` (or ``val/``, ``valid/``) and ``test/``, in any case, are parts; within a part, sub-folders
are classes when every file is in one. ``trainA/`` and ``trainB/``, and ``testA/`` and ``testB/``, are parts of two
classes, as data for CycleGAN are laid out. Captions and labels may stand in files (:mod:`genwerk.data.metadata`), and
labels in the files' names. Whatever is there and not used is named, or counted by the end of its name.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import open_regular, read_json
from genwerk.core.printable import first_of, printable
from genwerk.data import images, sounds
from genwerk.data.dataset import Skipped
from genwerk.data.images import Listing
from genwerk.data.metadata import METADATA, STYLEGAN, Metadata, Parts
from genwerk.data.parts import first_group
from genwerk.data.picture import Picture
from genwerk.data.reading import reason
from genwerk.data.settings import DataConfig

KINDS = {"image": images.SUFFIXES, "sound": sounds.SUFFIXES}
"""Ends of file names, by what they say is in the file."""
SUFFIXES = frozenset[str]().union(*KINDS.values())
"""Ends of the names of all files that are listed."""
UNREAD = {
    "PNG": frozenset(
        {
            *(".heic", ".heif", ".jxl", ".psd", ".svg", ".tga", ".exr", ".hdr", ".dng", ".cr2", ".nef", ".arw"),
            *(".ppm", ".pgm", ".pbm", ".pnm"),
        }
    ),
    "WAV": frozenset({".m4a", ".aac", ".wma", ".amr", ".mid", ".midi", ".webm"}),
}
"""Ends of the names of images and sounds that are not read, by what they should be saved as."""
TEXTS = frozenset({".txt", ".caption"})
"""Ends of the names of files that may be the caption of the file of the same name."""
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Which part a folder of this name holds."""
JUNK = re.compile(r"(thumbs\.db|desktop\.ini|\.ds_store|\._.*|__macosx)", re.IGNORECASE)
"""What systems leave behind, which nobody means."""
MAX_MEMBERS = 5_000_000
"""Greatest number of files in a zip."""
MAX_MEMBER = 512 * 2**20
"""Greatest size in bytes of a file in a zip, once unpacked."""
MAX_RATIO = 1000
"""Greatest factor by which a file in a zip may grow when unpacked."""


# --- What is there --------------------------------------------------------------------------------------------------


@dataclass
class Contents:
    """What a folder or zip holds, sorted by what the names say."""

    files: dict[str, Picture] = field(default_factory=dict)
    """Images and sounds by name."""
    tables: list[Picture] = field(default_factory=list)
    texts: dict[str, Picture] = field(default_factory=dict)
    """Text files by the name without its end."""
    folders: set[str] = field(default_factory=set)
    hidden: list[str] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    """How many files of other kinds there are, by the end of their names."""
    skipped: list[Skipped] = field(default_factory=list)

    def passes_over(self, name: str, *parts: str) -> bool:
        """Whether the file or folder ``name``, for one of its ``parts``, is hidden or junk; hidden ones are noted."""
        if any(JUNK.fullmatch(part) for part in parts):
            return True
        if any(part[0] == "." for part in parts):
            self.hidden.append(printable(name, keep=""))
            return True
        return False

    def add(self, name: str, open: Callable[[], IO[bytes]], size: int, stamp: int) -> None:
        """Sort the file ``name`` in; ``open``, ``size`` and ``stamp`` are those of :class:`Picture`."""
        name = printable(name, keep="")
        stem, suffix = os.path.splitext(name)
        picture, suffix = Picture(name, open, size, stamp), suffix.lower()
        if suffix in SUFFIXES:
            if name in self.files:
                self.skip(name, "another file has the same name")
            else:
                self.files[name] = picture
        elif name.rpartition("/")[2] in (*METADATA, STYLEGAN):
            self.tables.append(picture)
        elif suffix in TEXTS:
            self.texts[stem] = picture
        elif better := next((better for better, ends in UNREAD.items() if suffix in ends), None):
            self.skip(name, f"{suffix} is not read; save it as {better}")
        else:
            self.other[suffix] += 1

    def skip(self, name: str, reason: str) -> None:
        """Note that ``name`` cannot be used."""
        self.skipped.append(Skipped(printable(name, keep=""), reason))


def list_folder(path: Path, settings: DataConfig) -> Listing:
    """The images or sounds in ``path`` and the folders below it, links followed; hidden ones are passed over."""
    if is_run(path):
        raise BadInput(f"{path} is a run of Genwerk, which holds a model and no data; name a folder of examples")
    contents, seen, waiting = Contents(), set[tuple[int, int]](), [(str(path), "")]
    while waiting:
        folder, place = waiting.pop()
        try:
            state = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if not place:
                raise
            contents.skip(place[:-1], reason(error))
            continue
        if (identity := (state.st_dev, state.st_ino)) in seen:
            contents.skip(place[:-1], "it leads to a folder that is read already")
            continue
        seen.add(identity)
        below = []
        for entry in entries:
            name = place + entry.name
            if contents.passes_over(name, entry.name):
                continue
            try:
                state = entry.stat()
            except OSError as error:
                contents.skip(name, reason(error))
                continue
            if stat.S_ISDIR(state.st_mode):
                if is_run(Path(entry.path)):
                    contents.skip(name, "it is a run of Genwerk, whose samples are not data")
                    continue
                contents.folders.add(printable(name, keep=""))
                below.append((entry.path, name + "/"))
            elif stat.S_ISREG(state.st_mode):
                contents.add(name, _opener(entry.path), state.st_size, state.st_mtime_ns)
            else:
                contents.skip(name, "it is a pipe, a socket or a device and not a file")
        waiting += reversed(below)
    return _arrange(str(path), contents, settings)


def is_run(folder: Path) -> bool:
    """Whether Genwerk trains, or has trained, into ``folder``."""
    try:
        return (folder / "config.json").is_file() and read_json(folder / "config.json").get("library") == "genwerk"
    except BadFile:
        return False


def in_run(file: Path, below: Path) -> bool:
    """Whether ``file``, which lies in ``below``, lies in a run there."""
    return any(is_run(folder) for folder in file.parents if folder != below and folder.is_relative_to(below))


def list_file(path: Path, settings: DataConfig) -> Listing:
    """One image or sound."""
    contents, state = Contents(), path.stat()
    contents.add(path.name, _opener(path), state.st_size, state.st_mtime_ns)
    return _arrange(str(path), contents, settings)


def list_zip(path: Path, archive: zipfile.ZipFile, settings: DataConfig) -> Listing:
    """The images or sounds in ``archive``, which must stay open while they are read."""
    return _arrange(str(path), zip_contents(path, archive), settings)


def zip_contents(path: Path, archive: zipfile.ZipFile) -> Contents:
    """What ``archive`` holds.

    Members are read into memory, never unpacked to disk, so their names lead nowhere. Where no name has a slash,
    backslashes separate folders, as in archives made on Windows.
    """
    members = sorted(archive.infolist(), key=lambda m: m.filename)
    if len(members) > MAX_MEMBERS:
        raise BadFile(f"{path} claims {len(members):,} files; a zip may hold {MAX_MEMBERS:,}")
    windows = not any("/" in m.filename for m in members)
    contents, stamp = Contents(), path.stat().st_mtime_ns
    for member in members:
        written = member.filename.replace("\\", "/") if windows else member.filename
        name = "/".join(part for part in written.split("/") if part not in ("", ".", ".."))
        if not name or contents.passes_over(name, *name.split("/")):
            continue
        if written.endswith("/"):
            contents.folders.add(printable(name, keep=""))
        elif member.flag_bits & 1:
            contents.skip(name, "it is encrypted; make a zip without a password")
        elif member.file_size > MAX_MEMBER or member.file_size > MAX_RATIO * max(member.compress_size, 1):
            contents.skip(name, f"it would unpack to {member.file_size:,} bytes, which is too much")
        else:
            contents.add(name, _unpacker(archive, member), member.file_size, stamp)
    return contents


def _opener(path: Path | str) -> Callable[[], IO[bytes]]:
    return lambda: open_regular(path)


def _unpacker(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: io.BytesIO(archive.read(member))


# --- What it means --------------------------------------------------------------------------------------------------


def _arrange(name: str, contents: Contents, settings: DataConfig) -> Listing:
    """Sort what is there into parts, classes and captions; of images and sounds the more numerous are taken."""
    by_kind = {
        kind: [f for f in contents.files.values() if os.path.splitext(f.name)[1].lower() in suffixes]
        for kind, suffixes in KINDS.items()
    }
    kind = max(by_kind, key=lambda kind: len(by_kind[kind]))
    files = by_kind[kind]
    if not files:
        return Listing(name=name, train=(), skipped=tuple(contents.skipped))
    notes = [
        f"The {len(files):,} {kind}s are taken, and the {len(others):,} {other}s beside them left unused."
        for other, others in by_kind.items()
        if other != kind and others
    ]
    parts, roots = _parts(files, kind, notes)
    metadata = Metadata(contents.tables, contents.texts, settings, skipped=contents.skipped, notes=notes)
    parts = metadata.describe(parts)
    if settings.label_pattern is not None:
        parts, missing, note = _by_name(parts, settings.label_pattern)
        contents.skipped += missing
        notes.append(note)
    elif not metadata.label and not settings.labels:
        parts, note = _by_folder(parts, roots)
        notes += [note] if note else []
    notes += _kinds(contents, files, kind)
    return Listing(
        name=name,
        train=parts["train"],
        validation=parts.get("validation", ()),
        test=parts.get("test", ()),
        skipped=tuple(contents.skipped),
        notes=tuple(notes),
    )


def _parts(files: Sequence[Picture], kind: str, notes: list[str]) -> tuple[Parts, dict[str, str]]:
    """``files`` by part, and for each file's name the folder, with its slash, below which classes are sought."""
    base = _common([f.name for f in files])
    tops = Counter(f.name[len(base) :].split("/")[0] if "/" in f.name[len(base) :] else "" for f in files)
    known = {top: PARTS[top.lower()] for top in tops if top.lower() in PARTS}
    below = {top: f"{top}/" for top in known}
    if {"trainA", "trainB"} <= tops.keys():
        known = {top: PARTS[top[:-1]] for top in tops if top[-1:] in ("A", "B") and top[:-1] in PARTS}
        below = {top: top[:-1] for top in known}  # so that what is below begins with A or B
    if "train" not in known.values() or (set(known.values()) == {"train"} and len(tops) > 1):
        return {"train": list(files)}, dict.fromkeys((f.name for f in files), base)  # train is a class, beside tram
    parts: Parts = {part: [] for part in ("train", "validation", "test") if part in known.values()}
    roots = {}
    for file in files:
        top = file.name[len(base) :].split("/")[0]
        if top in known and file.name != base + top:
            parts[known[top]].append(file)
            roots[file.name] = base + below[top]
    if unused := sorted(top or f"{kind}s beside them" for top in tops if top not in known):
        notes.append(f"Beside {' and '.join(sorted(known))}, these are left unused: {', '.join(unused)}.")
    return parts, roots


def _common(names: Sequence[str]) -> str:
    """The folders, with a slash at the end, that all ``names`` begin with and that are no part."""
    shortest, longest = min(names).split("/")[:-1], max(names).split("/")[:-1]
    base = ""
    for one, other in zip(shortest, longest, strict=False):
        if one != other or one.lower() in PARTS:
            break
        base += one + "/"
    return base


def _by_folder(parts: Parts, roots: dict[str, str]) -> tuple[Parts, str]:
    """Labels from sub-folders, where every file is in one and there are at least two."""
    below = {f.name: f.name.removeprefix(roots[f.name]).split("/") for part in parts.values() for f in part}
    names = {b[0] for b in below.values() if len(b) > 1}
    if len(names) < 2:
        return parts, ""
    if not all(len(b) > 1 for b in below.values()):
        return parts, "Some files are in sub-folders and some are not, so sub-folders are not taken for classes."
    labelled = {key: [replace(f, label=below[f.name][0]) for f in part] for key, part in parts.items()}
    return labelled, f"The {len(names):,} sub-folders are the classes."


def _by_name(parts: Parts, pattern: str) -> tuple[Parts, list[Skipped], str]:
    """Labels from file names: the first group of ``pattern`` where it is found; files without it are skipped."""
    given = f"‹data.label_pattern› {pattern!r}"
    expression = first_group(pattern, "data.label_pattern")
    matches = {f.name: expression.search(PurePosixPath(f.name).name) for part in parts.values() for f in part}
    labels = {name: match[1] for name, match in matches.items() if match and match[1]}
    if not labels:
        raise BadFile(f"{given} gives none of the {len(matches):,} files a label; the first name is {min(matches)!r}")
    kept = {key: [replace(f, label=labels[f.name]) for f in part if f.name in labels] for key, part in parts.items()}
    missing = [Skipped(name, "the label pattern is not found in its name") for name in sorted(matches.keys() - labels)]
    return kept, missing, f"The files' names give {len(set(labels.values())):,} classes."


def _kinds(contents: Contents, files: Sequence[Picture], kind: str) -> list[str]:
    """Of what kinds the ``files`` are, and what is there beside them and is not used, a sentence each."""
    notes = []
    if len(kinds := _suffixes(files)) > 1:
        notes.append(f"The {kind}s are files of several kinds: {_counted(kinds)}.")
    if other := contents.other + _suffixes(contents.texts.values()):
        notes.append(f"Files of other kinds are left unused: {_counted(other)}.")
    if contents.hidden:
        notes.append(f"Hidden files and folders are passed over: {first_of(contents.hidden)}.")
    used = {file.name.rpartition("/")[0] for file in files}
    used |= {str(folder) for inner in used for folder in PurePosixPath(inner).parents}
    empty = contents.folders - used
    if outermost := sorted(f for f in empty if str(PurePosixPath(f).parent) not in empty):
        notes.append(f"These folders hold no {kind}: {first_of(outermost)}.")
    return notes


def _suffixes(files: Iterable[Picture]) -> Counter[str]:
    return Counter(os.path.splitext(file.name)[1].lower() for file in files)


def _counted(suffixes: Counter[str]) -> str:
    return ", ".join(f"{count:,} with {suffix or 'no suffix'}" for suffix, count in suffixes.most_common())
