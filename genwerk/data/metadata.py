"""Captions, labels and attributes that stand in files beside images or sounds.

A ``metadata.csv`` or ``metadata.jsonl`` with ``file_name`` and ``text`` gives captions, and labels where it has a
column of them; a text file beside each image or sound, of the same name, its caption; StyleGAN's ``dataset.json``
labels.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from genwerk.core.errors import BadFile, NoColumn
from genwerk.core.files import parse_json
from genwerk.core.printable import count, printable
from genwerk.data.attributes import named
from genwerk.data.dataset import Skipped
from genwerk.data.images import CAPTIONS
from genwerk.data.labels import label_column
from genwerk.data.picture import Picture
from genwerk.data.reading import Unusable, decoding
from genwerk.data.settings import DataConfig

Parts = dict[str, list[Picture]]
"""Files by the part that they belong to."""
METADATA = ("metadata.csv", "metadata.jsonl")
"""Tables of captions and labels."""
STYLEGAN = "dataset.json"
"""StyleGAN's table of labels."""
MAX_TABLE = 2**30
"""Greatest size in bytes of a table of captions or labels."""
MAX_CAPTION = 2**16
"""Greatest size in bytes of a text file that may be a caption."""


class Metadata:
    """What ``tables`` and ``texts`` (by the name without its end) beside the images or sounds say of them.

    Texts that turn out to be captions are taken from ``texts``; what is left out is added to ``skipped``, and what was
    understood to ``notes``.
    """

    def __init__(
        self,
        tables: Sequence[Picture],
        texts: dict[str, Picture],
        settings: DataConfig,
        *,
        skipped: list[Skipped],
        notes: list[str],
    ) -> None:
        self.tables, self.texts, self.settings, self.skipped, self.notes = tables, texts, settings, skipped, notes
        self.label = False
        """Whether a table gives labels, so that folders and names do not."""

    def describe(self, parts: Parts) -> Parts:
        """``parts`` with captions and labels; where a table of captions is, what it does not name is skipped."""
        rows: dict[str, dict[str, Any]] = {}
        named: Counter[str] = Counter()
        tables = [t for t in self.tables if PurePosixPath(t.name).name in METADATA]
        for table in tables:
            folder = PurePosixPath(table.name).parent
            for row in _rows(table):
                place = _place(folder, row["file_name"])
                rows[place] = row
                named[place] += 1
        if tables:
            parts = self._by_rows(parts, rows, tables)
            if twice := sum(n > 1 for n in named.values()):
                are = count(twice, "file is", "files are")
                self.notes.append(f"{are} named more than once; the last line on each counts.")
        if not any(f.caption is not None for part in parts.values() for f in part):
            parts = self._by_texts(parts)
        for table in self.tables:
            if table not in tables:
                parts = self._by_stylegan(parts, table)
        return parts

    def _by_rows(self, parts: Parts, rows: dict[str, dict[str, Any]], tables: Sequence[Picture]) -> Parts:
        what = " and ".join(sorted({PurePosixPath(t.name).name for t in tables}))
        listed = {f.name for part in parts.values() for f in part}
        if listed.isdisjoint(rows):
            raise BadFile(
                f"{tables[0].name} names none of the {len(listed):,} files; write their paths in its column file_name"
            )
        columns = set().union(*(row.keys() for row in rows.values()))
        label = label_column(self.settings.label, list(columns))
        caption = next((c for c in CAPTIONS if c in columns and c != label), None)
        self.label = any(_given(row, label) for row in rows.values())
        skip = dict.fromkeys(listed - rows.keys(), f"{what} does not name it")
        skip |= dict.fromkeys(rows.keys() - listed, f"{what} names it, but it is not there")
        if self.label:
            skip |= {n: f"{what} gives it no label" for n in listed & rows.keys() if not _given(rows[n], label)}
        self.skipped += [Skipped(name, skip[name]) for name in sorted(skip)]
        asked = self._attributes(columns)
        given = [c for c in (caption, label if self.label else None, *asked) if c]
        self.notes.append(f"{what} gives {' and '.join(given) if given else 'no column that is used'}.")
        return {
            key: [
                replace(
                    f,
                    label=_given(rows[f.name], label),
                    caption=_given(rows[f.name], caption) if caption else None,
                    attributes={column: rows[f.name].get(column) for column in asked},
                )
                for f in part
                if f.name not in skip
            ]
            for key, part in parts.items()
        }

    def _attributes(self, columns: Collection[str]) -> list[str]:
        """Those of ``columns`` that are named as attributes, all or none; a name as it is, or in lower case."""
        spelled = {spelling: column for column in columns for spelling in (column.lower(), column)}
        found = [spelled.get(name) for name in named(self.settings.attributes)]
        if any(found) and not all(found):
            lacking = named(self.settings.attributes)[found.index(None)]
            raise NoColumn(
                f"‹data.attributes› names {lacking!r}, which is no column beside the files; there are "
                f"{', '.join(sorted(columns))}",
                "attributes",
            )
        return [column for column in found if column is not None]

    def _by_texts(self, parts: Parts) -> Parts:
        """Captions from the text file beside each image or sound, where every one has one."""
        stems = {f.name: os.path.splitext(f.name)[0] for part in parts.values() for f in part}
        captions = {name: _caption(self.texts[stem]) for name, stem in stems.items() if stem in self.texts}
        if not captions:
            return parts
        if without := sorted(name for name in stems if captions.get(name) is None):
            self.notes.append(
                f"Of {len(stems):,} files {len(without):,} have no text beside them that could be a caption (the first "
                f"is {without[0]}); captions are read where every file has one."
            )
            return parts
        for stem in stems.values():
            self.texts.pop(stem, None)
        self.notes.append("The text file beside each gives its caption.")
        return {key: [replace(f, caption=captions[f.name]) for f in part] for key, part in parts.items()}

    def _by_stylegan(self, parts: Parts, table: Picture) -> Parts:
        """Labels from StyleGAN's ``{"labels": [[name, number], ...]}``, or none where that is null."""
        folder = PurePosixPath(table.name).parent
        listed = {f.name for part in parts.values() for f in part}
        try:
            pairs = parse_json(_text(table), table.name)["labels"] or []
            labels = {_place(folder, name): int(label) for name, label in pairs}
        except (ValueError, LookupError, TypeError):
            self.notes.append(f"{table.name} is not StyleGAN's list of files and class numbers, and is left unused.")
            return parts
        if labels and listed.isdisjoint(labels):
            self.notes.append(f"{table.name} names none of the files, and is left unused.")
            return parts
        if self.label:
            self.notes.append(f"Labels are known already, so {table.name} is left unused.")
            return parts
        self.label = True
        missing = listed - labels.keys() if labels else set()
        self.skipped += [Skipped(name, f"{STYLEGAN} gives it no label") for name in sorted(missing)]
        classes = len(set(labels.values()))
        self.notes.append(f"{STYLEGAN} gives {f'{classes:,} classes' if classes else 'no labels'}.")
        return {
            key: [replace(f, label=labels.get(f.name)) for f in part if f.name not in missing]
            for key, part in parts.items()
        }


def _given(row: dict[str, Any], column: str) -> str | None:
    """The cell as text; None where there is none, or it is blank."""
    value = row.get(column)
    return None if value is None or not str(value).strip() else printable(str(value))


def _place(folder: PurePosixPath, name: str) -> str:
    """The file ``name``, as a table in ``folder`` writes it, by the name it is listed under."""
    written = name if "/" in name else name.replace("\\", "/")
    return os.path.normpath(folder / printable(written, keep="")).replace(os.sep, "/")


def _rows(table: Picture) -> Iterator[dict[str, Any]]:
    """The lines of a metadata file; one without a file name, or of too few or too many cells, is an error."""
    lines = _objects(table) if table.name.endswith(".jsonl") else _cells(table)
    for number, row in lines:
        if not isinstance(row.get("file_name"), str):
            raise BadFile(f"line {number:,} of {table.name} has no file_name; expected one on every line")
        yield row


def _objects(table: Picture) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_text(table).splitlines(), 1):
        if not line.strip():
            continue
        row = parse_json(line, f"line {number:,} of {table.name}")
        yield number, row


def _cells(table: Picture) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = _text(table)
        head = text.partition("\n")[0]
        delimiter = next((d for d in ",;\t" if "file_name" in re.split(f'[{d}"\r]', head)), ",")
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = next(lines, [])
        if "file_name" not in header:
            raise BadFile(
                f"{table.name} has the columns {', '.join(header)}; expected file_name, and label (or "
                "class), or text for captions"
            )
        for cells in filter(None, lines):
            if len(cells) != len(header):
                raise BadFile(
                    f"line {lines.line_num} of {table.name} has {len(cells)} cells; expected {len(header)} as in "
                    "its header (put quotes around a text that holds a comma)"
                )
            yield lines.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise BadFile(f"{table.name} cannot be read as a table ({error}); save it as CSV in UTF-8") from None


def _caption(file: Picture) -> str | None:
    """What a text file says, on one line; None where it is no text or too long for a caption."""
    try:
        return " ".join(_text(file, MAX_CAPTION).split())
    except ValueError:
        return None


def _text(file: Picture, most: int = MAX_TABLE) -> str:
    """What a text file of at most so many bytes says."""
    if file.size > most:
        raise BadFile(f"{file.name} has {file.size:,} bytes, more than the {most:,} that are read")
    try:
        with decoding(), file.open() as opened:
            return opened.read(most).decode("utf-8-sig")
    except Unusable as error:
        raise BadFile(f"{file.name} cannot be read as text ({error}); save it in UTF-8") from None
