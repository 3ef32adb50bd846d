"""Texts: a .txt file, a folder of them, a column of a table, or strings, to spans of UTF-8 that are read later.

A text is a line or a whole file. One that is long is cut into sections, of which some can be held out; an example is a
window of one. What is no text is refused by name.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import open_regular
from genwerk.core.memory import afford
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset, Skipped
from genwerk.data.documents import LONGEST, Spans, Texts
from genwerk.data.labels import continuous, label_column, labelled
from genwerk.data.labels import names as as_names
from genwerk.data.parts import Found, Origin, groups_by_name, index_labels
from genwerk.data.settings import DataConfig
from genwerk.data.tables import part_files

SUFFIX = ".txt"
LARGE = 2**28
"""Bytes of a file above which it is mapped and not read into memory."""
SECTION = 64
"""Examples that a section of a long text makes, where a character is a token."""
FEW = 20
"""Texts below which the sections of one may fall into different parts: there would be no part else."""
BLOCK = 2**24
"""Bytes that are checked at a time."""
NEWLINE = ord("\n")
UTF8, UTF16 = codecs.BOM_UTF8, (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class _Read:
    """Some files, one after the other: sections of texts, and of each section its text and its file, counted from 0."""

    texts: Texts
    text: Spans
    file: Spans
    names: Sequence[str]
    skipped: Sequence[Skipped]
    notes: Sequence[str]


def open_texts(path: Path, settings: DataConfig) -> Found:
    """A text file, or those in a folder, of which some may be the test part by their names."""
    train_files, test_files = part_files(path, SUFFIX)
    several = path.is_dir() and not test_files and len(train_files) > 1
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

    A table is its columns by name; rows without a text are skipped.
    """
    said, skipped, texts, labels = list(notes), list[Skipped](), list[Texts](), list[Sequence[object] | None]()
    for part, table in zip(("train", "test"), columns, strict=False):
        if settings.text not in table:
            raise BadInput(
                f"{name} has no column {settings.text!r} for ‹data.text›; its columns are {', '.join(table)}"
            )
        cells = table[settings.text]
        kept = [i for i, cell in enumerate(cells) if isinstance(cell, str) and cell.strip()]
        skipped += [Skipped(f"{part} row {i + 1}", "it has no text") for i in sorted({*range(len(cells))} - {*kept})]
        if not kept:
            raise BadInput(f"the column {settings.text!r} of {name} holds no text; name another with ‹data.text›")
        texts.append(Texts.of([str(cells[i]) for i in kept]))
        label = label_column(settings.label, list(table))
        values = as_names([table[label][i] for i in kept]) if label in table and label != settings.text else None
        usable = values is not None and labelled(values) and not continuous(values)
        if usable and part == "train":
            said.append(f"The column {label!r} gives the classes.")
        labels.append(values if usable else None)
    classes, conditions = index_labels(*labels)
    spec = DataSpec(kind="text", shape=(0,), classes=classes)
    made = [
        Dataset(x=torch.empty(len(t), 0, dtype=torch.int32), spec=spec, texts=t, condition=c)
        for t, c in zip(texts, conditions, strict=True)
    ]
    origins = {part: Origin(keys=t.hashes()) for part, t in zip(("train", "test"), texts, strict=False)}
    test = made[1] if len(made) > 1 else None
    return Found(train=made[0], test=test, origins=origins, skipped=tuple(skipped), notes=tuple(said))


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


def _read(path: Path, files: Sequence[Path], whole: bool, settings: DataConfig) -> _Read:
    """``files``, each of which is one text if ``whole``, else has one on every line."""
    raws, names, skipped, notes = list[NDArray[np.uint8]](), list[str](), list[Skipped](), list[str]()
    for file in files:
        try:
            raw, said = _content(file)
        except BadFile as error:
            if len(files) == 1:
                raise
            skipped.append(Skipped(str(file.relative_to(path)), str(error).removeprefix(f"{file} ")))
            continue
        raws.append(raw)
        names.append(str(file.relative_to(path)) if file != path else file.name)
        notes += said
    if not raws:
        raise BadInput(
            f"none of the {len(files):,} text files in {path} can be read; the first, {skipped[0].name}, "
            f"{skipped[0].reason}"
        )
    found, base, blank = list[tuple[Spans, Spans]](), 0, 0
    for raw in raws:
        starts, stops = (np.array([0]), np.array([len(raw)])) if whole else _lines(raw)
        full = np.array([bool(raw[a:b].tobytes().strip()) for a, b in zip(starts, stops, strict=True)], np.bool_)
        blank += int((~full).sum())
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
    if blank:
        notes.append(f"Empty {kind}s are passed over: {blank:,}.")
    return _Read(texts, text, of_file[text], names, skipped, notes)


def _content(file: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """The bytes of a text file as UTF-8, mapped where they are many; a BadFile says why it is none."""
    size = file.stat().st_size
    if not size:
        raise BadFile(f"{file} is empty; expected a text on every line")
    with open_regular(file) as opened:
        mark = opened.read(3)
        opened.seek(0)
        if mark[:2] in UTF16:
            afford(4 * size, str(file), "save it in UTF-8")
            try:
                return np.frombuffer(opened.read().decode("utf-16").encode(), np.uint8), ["The text is in UTF-16."]
            except UnicodeError:
                raise BadFile(f"{file} begins as UTF-16 and is not; save it in UTF-8") from None
        if size > LARGE:
            raw: NDArray[np.uint8] = np.memmap(file, np.uint8, "r")
        else:
            raw = np.frombuffer(opened.read(), np.uint8)
    raw = raw[3:] if mark == UTF8 else raw
    decoder, place = codecs.getincrementaldecoder("utf-8")(), 0
    for place in range(0, len(raw), BLOCK):
        block = raw[place : place + BLOCK]
        if (noughts := np.flatnonzero(block == 0)).size:
            line = _line(raw, place + int(noughts[0]))
            raise BadFile(f"{file} has a NUL byte in line {line:,}, so it is no text; name a text file in UTF-8")
        try:
            decoder.decode(block.tobytes(), final=place + BLOCK >= len(raw))
        except UnicodeDecodeError as error:
            line = _line(raw, place + error.start)
            raise BadFile(
                f"{file} is not UTF-8 in line {line:,} (byte 0x{error.object[error.start]:02x}); save it in UTF-8"
            ) from None
    notes = [f"The {len(raw) / 1e9:.1f} GB of the file are mapped and not read into memory."] * (size > LARGE)
    return raw, notes


def _line(raw: NDArray[np.uint8], place: int) -> int:
    """The number of the line that the byte at ``place`` is in, counted from 1."""
    return 1 + int((raw[:place] == NEWLINE).sum())


def _lines(raw: NDArray[np.uint8]) -> tuple[Spans, Spans]:
    """Where each line starts, and where it stops, without the characters that end it."""
    ends = np.flatnonzero(raw == NEWLINE)
    starts = np.concatenate([[0], ends + 1])
    stops = np.concatenate([ends, [len(raw)]])
    if len(ends) and starts[-1] == len(raw):  # the last line is ended too
        starts, stops = starts[:-1], stops[:-1]
    returns = (stops > starts) & (raw[np.maximum(stops - 1, 0)] == ord("\r"))
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
