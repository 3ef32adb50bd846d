"""Texts: a .txt file, a folder or zip of them, a column of a table, or strings, to spans of UTF-8 that are read later.

A text is a line or a whole file. One that is long is cut into sections, of which some can be held out; an example is a
window of one. What is no text is refused by name.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import open_regular
from genwerk.core.memory import afford
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset, Skipped
from genwerk.data.documents import LONGEST, Spans, Texts
from genwerk.data.json_tables import json_columns
from genwerk.data.labels import continuous, label_column, labelled
from genwerk.data.labels import names as as_names
from genwerk.data.parts import Found, Origin, groups_by_name, index_labels
from genwerk.data.picture import Picture
from genwerk.data.reading import Unusable, decoding
from genwerk.data.settings import DataConfig
from genwerk.data.tables import part_files, parts_by_name

SUFFIX = ".txt"
TEXT = "text"
"""Entry of a JSON object that is its text, unless another is named."""
UNPACKED = 2**31
"""Greatest size in bytes of a gzipped file, once unpacked."""
LARGE = 2**28
"""Bytes of a file above which it is mapped and not read into memory."""
SECTION = 64
"""Examples that a section of a long text makes, where a character is a token."""
FEW = 20
"""Texts below which the sections of one may fall into different parts: there would be no part else."""
BLOCK = 2**24
"""Bytes that are checked at a time."""
NEWLINE, RETURN = ord("\n"), ord("\r")
UTF8, UTF16 = codecs.BOM_UTF8, (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class _File:
    """A text file, on a disk or in a zip."""

    name: str
    """Where it is in the source; a file that is the source itself has its own name."""
    path: str
    """How sentences call it."""
    open: Callable[[], IO[bytes]]
    size: int
    mapped: bool
    """Whether it is mapped where it is large."""


@dataclass(frozen=True)
class _Read:
    """Some files, one after the other: sections of texts, and of each section its text and its file, counted from 0
    (of texts that are lines, every line counts)."""

    texts: Texts
    text: Spans
    file: Spans
    names: Sequence[str]
    skipped: Sequence[Skipped]
    notes: Sequence[str]


def open_texts(path: Path, settings: DataConfig) -> Found:
    """A text file, or those in a folder, of which some may be the test part by their names."""
    train, test = ([_on_disk(file, path) for file in part] for part in part_files(path, SUFFIX))
    return _found(path, train, test, settings, several=path.is_dir())


def zipped_texts(path: Path, members: Sequence[Picture], settings: DataConfig) -> Found:
    """The text files in the zip ``path``, as those in a folder; ``members`` must open while they are read."""
    by_name = {member.name: member for member in members if member.name.lower().endswith(SUFFIX)}
    files = {
        name: _File(name, f"{path}/{name}", member.open, member.size, mapped=False) for name, member in by_name.items()
    }
    train, test = ([files[name] for name in part] for part in parts_by_name(list(files), path, SUFFIX))
    return _found(path, train, test, settings, several=True)


def open_gzipped(path: Path, settings: DataConfig) -> Found:
    """A gzipped text file, which is unpacked into memory."""
    try:
        with open_regular(path) as raw, gzip.open(raw) as file:
            content = cast(IO[bytes], file).read(UNPACKED + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadFile(f"{path} is not a whole gzip file ({error}); download it again") from None
    if len(content) > UNPACKED:
        raise BadFile(f"{path} unpacks to more than {UNPACKED:,} bytes; unpack it, and it is read from the disk")
    member = _File(path.stem, str(path), partial(BytesIO, content), len(content), mapped=False)
    return _found(path, [member], [], settings, several=False)


def open_json(path: Path, settings: DataConfig) -> Found:
    """Texts in JSON: strings, or objects of which one entry is a text."""
    chosen = settings.text or TEXT
    return columns_found([json_columns(path, chosen)], replace(settings, text=chosen), name=str(path))


def _on_disk(file: Path, path: Path) -> _File:
    name = str(file.relative_to(path)) if file != path else file.name
    return _File(name, str(file), partial(open_regular, file), file.stat().st_size, mapped=True)


def _found(
    path: Path, train_files: Sequence[_File], test_files: Sequence[_File], settings: DataConfig, *, several: bool
) -> Found:
    """What the files of the two parts hold: a text a file where there are ``several`` in one part, else a line."""
    several = several and not test_files and len(train_files) > 1
    unit = settings.unit if settings.unit != "auto" else "file" if several else "line"
    train = _read(path, train_files, unit == "file", settings)
    test = _read(path, test_files, unit == "file", settings) if test_files else None
    parts = {"train": train} | ({} if test is None else {"test": test})
    return Found(
        train=_dataset(train),
        test=None if test is None else _dataset(test),
        origins={name: _origin(read, settings) for name, read in parts.items()},
        skipped=tuple(skip for read in parts.values() for skip in read.skipped),
        notes=tuple(note for read in parts.values() for note in read.notes),
    )


def columns_found(
    columns: Sequence[Mapping[str, Sequence[object]]], settings: DataConfig, *, name: str, notes: Sequence[str] = ()
) -> Found:
    """The texts in the column that ``settings.text`` names, of tables for training and for testing, and their labels.

    A table is its columns by name; rows whose cell is no text (:func:`unusable`) are skipped.
    """
    said, skipped, texts, labels = list(notes), list[Skipped](), list[Texts](), list[Sequence[object] | None]()
    rows = list[torch.Tensor]()
    for part, table in zip(("train", "test"), columns, strict=False):
        if settings.text not in table:
            raise BadInput(
                f"{name} has no column {settings.text!r} for ‹data.text›; its columns are {', '.join(table)}"
            )
        cells = table[settings.text]
        faults = [unusable(cell) for cell in cells]
        kept = [i for i, fault in enumerate(faults) if fault is None]
        skipped += [Skipped(f"{part} row {i + 1}", fault) for i, fault in enumerate(faults) if fault is not None]
        if not kept:
            raise BadInput(f"the column {settings.text!r} of {name} holds no text; name another with ‹data.text›")
        texts.append(Texts.of([str(cells[i]) for i in kept]))
        rows.append(torch.tensor(kept))
        label = label_column(settings.label, list(table))
        values = as_names([table[label][i] for i in kept]) if label in table and label != settings.text else None
        usable = values is not None and labelled(values) and not continuous(values)
        if usable and part == "train":
            said.append(f"The column {label!r} gives the classes.")
        labels.append(values if usable else None)
    classes, conditions = index_labels(*labels)
    spec = DataSpec(kind="text", shape=(0,), classes=classes)
    made = [
        Dataset(x=torch.empty(len(t), 0, dtype=torch.int32), spec=spec, texts=t, condition=c, rows=r)
        for t, c, r in zip(texts, conditions, rows, strict=True)
    ]
    origins = {part: Origin(keys=t.hashes()) for part, t in zip(("train", "test"), texts, strict=False)}
    test = made[1] if len(made) > 1 else None
    return Found(train=made[0], test=test, origins=origins, skipped=tuple(skipped), notes=tuple(said))


def unusable(cell: object) -> str | None:
    """Why ``cell`` is no text that can be learned; None where it is one."""
    if not isinstance(cell, str) or not cell.strip():
        return "it has no text"
    if "\0" in cell:
        return "it has a NUL character, so it is no text"
    if any("\ud800" <= sign <= "\udfff" for sign in cell):
        return "it has half a character (a surrogate), which UTF-8 cannot hold"
    return None


# --- files ------------------------------------------------------------------------------------------------------------


def _dataset(read: _Read) -> Dataset:
    several = len(read.names) > 1
    return Dataset(
        x=torch.empty(len(read.texts), 0, dtype=torch.int32),
        spec=DataSpec(kind="text", shape=(0,)),
        texts=read.texts,
        rows=torch.from_numpy(read.file if several else read.text),
        files=read.names if several else None,
    )


def _origin(read: _Read, settings: DataConfig) -> Origin:
    """Sections of one text belong together, where there are enough texts."""
    hashes = read.texts.hashes()
    if len(np.unique(read.text)) >= FEW:
        first = np.unique(read.text, return_index=True)[1]
        hashes = hashes[first][np.searchsorted(read.text[first], read.text)]
    names = [read.names[i] for i in read.file.tolist()]
    return Origin(
        keys=hashes,
        names=names if len(read.names) > 1 else None,
        groups=groups_by_name(names, settings.group) if settings.group else None,
    )


def _read(path: Path, files: Sequence[_File], whole: bool, settings: DataConfig) -> _Read:
    """``files``, each of which is one text if ``whole``, else has one on every line."""
    raws, names, skipped, notes = list[NDArray[np.uint8]](), list[str](), list[Skipped](), list[str]()
    for file in files:
        try:
            raw, said = _content(file)
        except BadFile as error:
            if len(files) == 1:
                raise
            skipped.append(Skipped(file.name, str(error).removeprefix(f"{file.path} ")))
            continue
        raws.append(raw)
        names.append(file.name)
        notes += said
    if not raws:
        raise BadInput(
            f"none of the {len(files):,} text files in {path} can be read; the first, {skipped[0].name}, "
            f"{skipped[0].reason}"
        )
    found, numbers, base, lines = list[tuple[Spans, Spans]](), list[Spans](), 0, 0
    for raw in raws:
        starts, stops = (np.array([0]), np.array([len(raw)])) if whole else _lines(raw)
        full = np.array([bool(raw[a:b].tobytes().strip()) for a, b in zip(starts, stops, strict=True)], np.bool_)
        numbers.append(np.flatnonzero(full) + lines)
        lines += len(full)
        found.append((starts[full] + base, stops[full] + base))
        base += len(raw)
    raw = raws[0] if len(raws) == 1 else np.concatenate(raws)
    starts, stops = (np.concatenate([each[i] for each in found]) for i in (0, 1))
    if not len(starts):
        raise BadInput(f"{path} holds white space alone; expected a text on every line, or one in every file")
    of_file = np.repeat(np.arange(len(found)), [len(each[0]) for each in found])
    texts, text = _sections(raw, starts, stops, SECTION * (settings.length or LONGEST))
    kind, other = ("file", "line") if whole else ("line", "file")
    count = f"{len(starts):,} texts, each of them a {kind}" if len(starts) > 1 else f"One text, a {kind}"
    if len(texts) > len(starts):
        count += f"; what is long is cut into sections, {len(texts):,} in all, which may be held out one by one"
    notes.insert(0, f"{count}; with ‹data.unit› {other}, every {other} is one.")
    if blank := lines - len(starts):
        notes.append(f"Empty {kind}s are passed over: {blank:,}.")
    return _Read(texts, np.concatenate(numbers)[text], of_file[text], names, skipped, notes)


def _content(file: _File) -> tuple[NDArray[np.uint8], list[str]]:
    """The bytes of a text file as UTF-8, mapped where they are many; a BadFile says why it is none."""
    large = file.mapped and file.size > LARGE
    try:
        with decoding():
            opened = file.open()
    except Unusable as error:
        raise BadFile(f"{file.path} cannot be read: {error}") from None
    with opened:
        mark = opened.read(4)
        opened.seek(0)
        if mark in UTF32:
            raise BadFile(f"{file.path} is in UTF-32; save it in UTF-8")
        if mark[:2] in UTF16:
            afford(4 * file.size, file.path, "save it in UTF-8")
            try:
                raw = np.frombuffer(opened.read().decode("utf-16").encode(), np.uint8)
            except UnicodeError:
                raise BadFile(f"{file.path} begins as UTF-16 and is not; save it in UTF-8") from None
        elif large:
            raw = np.memmap(file.path, np.uint8, "r")
        else:
            raw = np.frombuffer(opened.read(), np.uint8)
    raw = raw[3:] if mark[:3] == UTF8 else raw
    if not len(raw):
        raise BadFile(f"{file.path} is empty; expected a text on every line")
    decoder, place = codecs.getincrementaldecoder("utf-8")(), 0
    for place in range(0, len(raw), BLOCK):
        block = raw[place : place + BLOCK]
        if (noughts := np.flatnonzero(block == 0)).size:
            line = _line(raw, place + int(noughts[0]))
            raise BadFile(f"{file.path} has a NUL byte in line {line:,}, so it is no text; name a text file in UTF-8")
        try:
            decoder.decode(block.tobytes(), final=place + BLOCK >= len(raw))
        except UnicodeDecodeError as error:
            line = _line(raw, place + error.start)
            raise BadFile(
                f"{file.path} is not UTF-8 in line {line:,} (byte 0x{error.object[error.start]:02x}); save it in UTF-8"
            ) from None
    notes = ["The text is in UTF-16."] * (mark[:2] in UTF16)
    notes += [f"The {len(raw) / 1e9:.1f} GB of the file are mapped and not read into memory."] * large
    return raw, notes


def _line(raw: NDArray[np.uint8], place: int) -> int:
    """The number of the line that the byte at ``place`` is in, counted from 1."""
    return 1 + int((raw[:place] == NEWLINE).sum())


def _lines(raw: NDArray[np.uint8]) -> tuple[Spans, Spans]:
    """Where each line starts, and where it stops, without the characters that end it: \\n, \\r\\n, or, where there is
    no \\n, \\r."""
    ends = np.flatnonzero(raw == NEWLINE)
    ends = ends if len(ends) else np.flatnonzero(raw == RETURN)
    starts = np.concatenate([[0], ends + 1])
    stops = np.concatenate([ends, [len(raw)]])
    if len(ends) and starts[-1] == len(raw):  # the last line is ended too
        starts, stops = starts[:-1], stops[:-1]
    returns = (stops > starts) & (raw[np.maximum(stops - 1, 0)] == RETURN)
    return starts, stops - returns


def _sections(raw: NDArray[np.uint8], starts: Spans, stops: Spans, size: int) -> tuple[Texts, Spans]:
    """Texts of at most twice ``size`` characters as they are, others in sections of ``size``; the text of each."""
    found, owners = list[tuple[int, int, bool]](), list[int]()
    for i, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        if stop - start <= 2 * size:
            cuts = [start, stop]
        else:
            begins = start + np.flatnonzero((raw[start:stop] & 0xC0) != 0x80)  # the first byte of every character
            cuts = [*begins[::size].tolist(), stop]
            if len(cuts) > 2 and len(begins) % size and len(begins) % size < size // 2:
                del cuts[-2]
        found += [(a, b, b < stop) for a, b in pairwise(cuts)]
        owners += [i] * (len(cuts) - 1)
    a, b, goes_on = (np.array(column) for column in zip(*found, strict=True))
    return Texts(raw, a.astype(np.int64), b.astype(np.int64), goes_on.astype(np.bool_)), np.array(owners, np.int64)
