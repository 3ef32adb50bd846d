"""Labels in a second file: of files by their names, of the rows of an array or a table by their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import open_regular, parse_json
from genwerk.core.printable import first_of
from genwerk.data.dataset import PARTS, Dataset, Skipped
from genwerk.data.hub import parquet_columns
from genwerk.data.idx import is_idx, read_idx
from genwerk.data.labels import continuous, label_column
from genwerk.data.labels import names as as_names
from genwerk.data.npy import npy_columns
from genwerk.data.parts import Found, Origin, index_labels
from genwerk.data.settings import DataConfig
from genwerk.data.tables import text_columns

Columns = Mapping[str, Sequence[object]]
Known = Callable[[object], bool]
"""Whether a cell is the name of one of the files."""

SHOWN = 3
"""Names in a note."""
LARGEST = 2**28
"""Greatest size in bytes of a JSON file of labels."""
FILE, LABEL = "file_name", "label"
"""What columns without a name of their own are called."""


def relabelled(found: Found, settings: DataConfig) -> Found:
    """``found`` with the labels in the file that ``settings.labels`` names, which take the place of any others.

    Examples without a label are left out of a part in which others have one.
    """
    if settings.label_pattern is not None or settings.covariates:
        other = "covariates" if settings.covariates else "label_pattern"
        raise BadInput(f"‹data.labels› and ‹data.{other}› each give a condition; leave one of them out")
    path, chosen = _place(settings.labels)
    parts: dict[str, Dataset] = {name: part for name in PARTS if (part := getattr(found, name)) is not None}
    files = {name: found.origins.get(name, Origin()).names for name in parts}
    if files["train"] is None:
        given, notes = _in_order(path, chosen, settings, parts)
    else:
        listed = {name: of or () for name, of in files.items()}
        given, notes = _by_name(path, chosen, settings, listed)
    called = {name: as_names(values) for name, values in given.items()}
    if continuous([label for values in called.values() for label in values]):
        raise BadInput(f"the labels in {path} are measured numbers, not classes; name another column, or none")
    if not any(called["train"]):
        raise BadInput(f"{path} gives none of the training examples a label")
    kept = {name: [i for i, label in enumerate(v) if label is not None] for name, v in called.items()}
    kept = {name: rows for name, rows in kept.items() if 0 < len(rows) < len(parts[name])}
    if lacking := sum(len(parts[name]) - len(rows) for name, rows in kept.items()):
        notes.append(f"{lacking:,} examples have no label in {path.name} and are left out.")
        if found.mapped is not None:
            raise BadInput(
                f"{lacking:,} examples have no label in {path}, and the data are too large to leave them out"
            )
    some = ([label for label in values if label is not None] or None for values in called.values())
    classes, conditions = index_labels(*some)
    notes.append(f"{path.name} gives the classes.")
    header = found.train.spec.header
    named = header if LABEL in header or not header else (*header, LABEL)
    spec = replace(found.train.spec, classes=classes, header=named)
    origins, skipped = dict(found.origins), list(found.skipped)
    for name, rows in kept.items():
        parts[name] = parts[name].select(torch.tensor(rows))
        origin = origins.get(name, Origin())
        if (of := files[name]) is not None:
            lost = sorted({of[i] for i in {*range(len(of))} - {*rows}})
            skipped += [Skipped(file, f"{path.name} gives it no label") for file in lost]
        origins[name] = Origin(
            keys=None if origin.keys is None else origin.keys[rows],
            names=None if of is None else [of[i] for i in rows],
            groups=None if origin.groups is None else [origin.groups[i] for i in rows],
        )
    made: dict[str, Any] = {
        name: replace(part, spec=spec, condition=condition)
        for (name, part), condition in zip(parts.items(), conditions, strict=True)
    }
    return replace(found, **made, origins=origins, skipped=tuple(skipped), notes=(*found.notes, *notes))


def _in_order(
    path: Path, chosen: str, settings: DataConfig, parts: Mapping[str, Dataset]
) -> tuple[dict[str, list[object]], list[str]]:
    """A label for each row of every part, or of the training part alone, and what is to be said."""
    columns = _columns(path, lambda _: False)
    labels = list(columns[_of_labels(columns, chosen, settings, path)])
    train, all_of_them = len(parts["train"]), sum(map(len, parts.values()))
    if len(labels) not in (train, all_of_them):
        raise BadInput(f"{path} holds {len(labels):,} labels, and {settings.source} has {train:,} examples")
    labels += [None] * (all_of_them - len(labels))
    rest = iter(labels)
    return {name: [next(rest) for _ in range(len(part))] for name, part in parts.items()}, []


def _by_name(
    path: Path, chosen: str, settings: DataConfig, files: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[object]], list[str]]:
    """The label of each file of every part, None where it has none, and what is to be said."""
    spelled: dict[str, set[str]] = {}
    for file in (file for of in files.values() for file in of):
        for spelling in _spellings(file):
            spelled.setdefault(spelling, set()).add(file)
    columns = _columns(path, lambda cell: _cell(cell) in spelled)
    hits = {name: spelled.keys() & set(map(_cell, cells)) for name, cells in columns.items() if name != chosen}
    of_files = max(hits, key=lambda name: len(hits[name]), default=chosen)
    first = next(iter(files["train"]), "")
    if not hits.get(of_files):
        raise BadInput(
            f"{path} names none of the files of {settings.source}; write their names, such as {first}, beside their "
            "labels"
        )
    labels = columns[_of_labels(columns, chosen, settings, path, of_files)]
    given: dict[str, object] = {}
    unknown: list[str] = []
    for cell, label in zip(columns[of_files], labels, strict=True):
        found = spelled.get(_cell(cell), set())
        if len(found) > 1:
            raise BadInput(
                f"{cell} in {path} may be {' or '.join(sorted(found)[:2])}; write the whole path of each file"
            )
        unknown += [] if found else [str(cell)]
        given |= dict.fromkeys(found, label)
    notes = []
    if unknown:
        notes.append(f"{len(unknown):,} names in {path.name} are of no file: {first_of(unknown, SHOWN)}.")
    if (again := len(labels) - len(unknown) - len(given)) > 0:
        notes.append(f"{again:,} lines of {path.name} name a file again; the last on each counts.")
    return {name: [given.get(file) for file in of] for name, of in files.items()}, notes


def _spellings(file: str) -> set[str]:
    """What ``file`` may be called: its path, its name, and both without their end."""
    path = PurePosixPath(file)
    return {file, path.name, str(path.with_suffix("")), path.stem}


def _cell(cell: object) -> str:
    """A file name as it may be written."""
    return str(cell).strip().replace("\\", "/").removeprefix("./")


def _place(typed: str) -> tuple[Path, str]:
    """The file of labels, and the column of it that was named, if any."""
    if (path := Path(typed).expanduser()).is_file():
        return path, ""
    place, _, chosen = typed.rpartition(":")
    if (path := Path(place).expanduser()).is_file():
        return path, chosen
    raise BadFile(f"there is no file {typed!r} for ‹data.labels›; name one, or FILE:COLUMN, as in labels.csv:digit")


def _of_labels(columns: Columns, chosen: str, settings: DataConfig, path: Path, of_files: str = "") -> str:
    """Which of ``columns`` holds the labels."""
    rest = [name for name in columns if name != of_files]
    listed = ", ".join(columns)
    if chosen:
        if chosen not in columns:
            raise BadInput(f"{path} has no column {chosen!r}; its columns are {listed}")
        return chosen
    if (usual := label_column(settings.label, rest)) in rest:
        return usual
    if len(rest) != 1:
        raise BadInput(
            f"{path} has the columns {listed}; name that of the labels, as in ‹data.labels› {path}:{rest[-1]}"
            if rest
            else f"{path} holds names of files alone; write the label of each beside it"
        )
    return rest[0]


# --- files ------------------------------------------------------------------------------------------------------------


def _columns(path: Path, known: Known) -> Columns:
    """The columns of a file of labels, by their names."""
    suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if is_idx(path) or "idx1-ubyte" in path.name:
        return {LABEL: read_idx(path).reshape(-1).tolist()}
    if suffix in ("npy", "npz"):
        found: Columns = npy_columns(path)
    elif suffix == "parquet":
        found = parquet_columns(path)
    elif suffix in ("json", "jsonl"):
        found = _of_json(path, lines=suffix == "jsonl")
    elif suffix in ("csv", "tsv", "txt"):
        found = text_columns(path, known, FILE, LABEL)
    else:
        raise BadFile(f"{path} is of no known kind; expected labels in .csv, .tsv, .txt, .json, .npy, .npz or .parquet")
    if not found or not any(map(len, found.values())):
        raise BadFile(f"{path} holds no labels; expected one for each example")
    return found


def _of_json(path: Path, *, lines: bool) -> Columns:
    """A list of labels, of objects or of pairs, or an object of a label for each name; ``lines`` of the former."""
    with open_regular(path) as file:
        text = file.read(LARGEST).decode("utf-8-sig", "replace").strip()
    if lines:
        text = f"[{','.join(filter(str.strip, text.splitlines()))}]"
    value: object = parse_json(f'{{"value": {text}}}', str(path))["value"]
    if isinstance(value, Mapping):
        value = list(value.items()) if not isinstance(value.get("labels"), list) else value["labels"]
    rows: Iterable[object] = value if isinstance(value, list) else ()
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)  # type: ignore[attr-defined]
        return {name: [row.get(name) for row in rows] for name in names}  # type: ignore[attr-defined]
    if rows and all(isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 2 for row in rows):
        return {FILE: [row[0] for row in rows], LABEL: [row[1] for row in rows]}  # type: ignore[index]
    if any(isinstance(row, (Mapping, Sequence)) and not isinstance(row, str) for row in rows):
        raise BadFile(
            f"{path} mixes labels with other things; expected labels, objects, or pairs of a name and a label"
        )
    return {LABEL: list(rows)}
