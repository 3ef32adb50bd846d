"""Labels and attributes in a second file: of files by their names, of rows of an array or a table by their order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import open_regular
from genwerk.core.printable import first_of
from genwerk.data.attributes import by_columns, described, named
from genwerk.data.dataset import PARTS, Dataset, Skipped
from genwerk.data.hub import parquet_columns
from genwerk.data.idx import is_idx, read_idx
from genwerk.data.json_tables import FILE, LABEL, LARGEST, json_columns
from genwerk.data.labels import continuous, label_column
from genwerk.data.labels import names as as_names
from genwerk.data.npy import npy_columns
from genwerk.data.parts import Found, Origin, index_labels
from genwerk.data.settings import DataConfig
from genwerk.data.tables import text_columns

Columns = Mapping[str, Sequence[object]]
Choose = Callable[[Columns, str], list[str]]
"""Which columns are wanted, of which one, or none (""), names files."""
Places = Mapping[str, Sequence[int | None]]
"""The row of a file in which each example of every part is; None where it is in none."""
Known = Callable[[object], bool]
"""Whether a cell is the name of one of the files."""

SHOWN = 3
"""Names in a note."""


def relabelled(found: Found, settings: DataConfig) -> Found:
    """``found`` with the labels in the file that ``settings.labels`` names, which take the place of any others.

    Examples without a label are left out of a part in which others have one.
    """
    if settings.label_pattern is not None or settings.covariates:
        other = "covariates" if settings.covariates else "label_pattern"
        raise BadInput(f"‹data.labels› and ‹data.{other}› each give a condition; leave one of them out")
    path, chosen = _place(settings.labels, "labels", "digit")

    def choose(columns: Columns, of_files: str) -> list[str]:
        return [_of_labels(columns, chosen, settings, path, of_files)]

    parts = _parts(found)
    columns, rows, notes = _read(path, (chosen,), choose, settings, found, parts)
    (labels,) = columns.values()
    given = {name: [None if row is None else labels[row] for row in each] for name, each in rows.items()}
    called = {name: as_names(values) for name, values in given.items()}
    if continuous([label for values in called.values() for label in values]):
        raise BadInput(f"the labels in {path} are measured numbers, not classes; name another column, or none")
    if not any(called["train"]):
        raise BadInput(f"{path} gives none of the training examples a label")
    why = f"have no label in {path.name}", f"{path.name} gives it no label"
    origins, skipped = _left_out(found, parts, called, *why, notes)
    some = ([label for label in values if label is not None] or None for values in called.values())
    classes, conditions = index_labels(*some)
    notes.append(f"{path.name} gives the classes.")
    header = found.train.spec.header
    header = header if LABEL in header or not header else (*header, LABEL)
    spec = replace(found.train.spec, classes=classes, header=header)
    made: dict[str, Any] = {
        name: replace(part, spec=spec, condition=condition)
        for (name, part), condition in zip(parts.items(), conditions, strict=True)
    }
    return replace(found, **made, origins=origins, skipped=tuple(skipped), notes=(*found.notes, *notes))


def attributed(found: Found, settings: DataConfig) -> Found:
    """``found`` with the attributes in the columns of the file that ``settings.attributes`` names.

    Examples that it does not name are left out of a part of which it names others.
    """
    path, chosen = _place(settings.attributes, "attributes", "smiling,male")

    def choose(columns: Columns, of_files: str) -> list[str]:
        rest = [name for name in columns if name != of_files]
        spelled = {spelling: name for name in rest for spelling in (name.lower(), name)}
        if lacking := next((name for name in named(chosen) if name not in spelled), None):
            raise BadInput(f"{path} has no column {lacking!r}; its columns are {', '.join(columns)}")
        return [spelled[name] for name in named(chosen)] or rest

    parts = _parts(found)
    columns, rows, notes = _read(path, (), choose, settings, found, parts)
    if not columns or all(row is None for row in rows["train"]):
        raise BadInput(f"{path} tells no attribute of any training example; write a column of each beside their names")
    why = f"are not named in {path.name}", f"{path.name} does not name it"
    origins, skipped = _left_out(found, parts, rows, *why, notes)
    cells = {key: [[c[i] for i in each if i is not None] for c in columns.values()] for key, each in rows.items()}
    attributes, indices = by_columns([*columns], {key: each for key, each in cells.items() if each[0]})
    spec = replace(found.train.spec, attributes=attributes)
    made: dict[str, Any] = {key: replace(part, spec=spec, attributes=indices.get(key)) for key, part in parts.items()}
    notes.append(f"{path.name} tells {described(attributes)}.")
    return replace(found, **made, origins=origins, skipped=tuple(skipped), notes=(*found.notes, *notes))


def _parts(found: Found) -> dict[str, Dataset]:
    return {name: part for name in PARTS if (part := getattr(found, name)) is not None}


def _read(
    path: Path,
    chosen: Collection[str],
    choose: Choose,
    settings: DataConfig,
    found: Found,
    parts: Mapping[str, Dataset],
) -> tuple[Columns, Places, list[str]]:
    """Those columns of ``path`` that ``choose`` takes, where each example of every part stands in them, and what is to
    be said. The columns ``chosen`` name no files."""
    files = {name: found.origins.get(name, Origin()).names for name in parts}
    if files["train"] is not None:
        listed = {name: of or () for name, of in files.items()}
        columns, of_files, places, notes = _by_name(path, chosen, settings, listed)
        return {name: columns[name] for name in choose(columns, of_files)}, places, notes
    columns = _columns(path, lambda _: False)
    columns = {name: columns[name] for name in choose(columns, "")}
    train, all_of_them = len(parts["train"]), sum(map(len, parts.values()))
    n = next((n for column in columns.values() if (n := len(column)) not in (train, all_of_them)), 0)
    if n == 1:
        raise BadInput(f"{path} holds 1 label, and {settings.source} has {train:,} examples")
    if n:
        raise BadInput(f"{path} holds {n:,} labels, and {settings.source} has {train:,} examples")
    rest = iter([*range(min(map(len, columns.values()), default=0)), *[None] * all_of_them])
    return columns, {name: [next(rest) for _ in range(len(part))] for name, part in parts.items()}, []


def _left_out(
    found: Found,
    parts: dict[str, Dataset],
    given: Mapping[str, Sequence[object]],
    why: str,
    each: str,
    notes: list[str],
) -> tuple[dict[str, Origin], list[Skipped]]:
    """Leave those examples out of ``parts`` that are None in ``given``, where others of the part are not: note ``why``.

    The result are the origins of the others, and the files that are skipped, ``each`` with the reason.
    """
    kept = {name: [i for i, value in enumerate(values) if value is not None] for name, values in given.items()}
    kept = {name: rows for name, rows in kept.items() if 0 < len(rows) < len(parts[name])}
    if lacking := sum(len(parts[name]) - len(rows) for name, rows in kept.items()):
        notes.append(f"{lacking:,} examples {why} and are left out.")
        if found.mapped is not None:
            raise BadInput(f"{lacking:,} examples {why}, and the data are too large to leave them out")
    origins, skipped = dict(found.origins), list(found.skipped)
    for name, rows in kept.items():
        parts[name] = parts[name].select(torch.tensor(rows))
        origin = origins.get(name, Origin())
        if (of := origin.names) is not None:
            lost = sorted({of[i] for i in {*range(len(of))} - {*rows}})
            skipped += [Skipped(file, each) for file in lost]
        origins[name] = origin.at(rows)
    return origins, skipped


def _by_name(
    path: Path, chosen: Collection[str], settings: DataConfig, files: Mapping[str, Sequence[str]]
) -> tuple[Columns, str, Places, list[str]]:
    """The columns of ``path``, that of the names of files, where each file of every part is named, and what is to be
    said."""
    spelled: dict[str, set[str]] = {}
    for file in (file for of in files.values() for file in of):
        for spelling in _spellings(file):
            spelled.setdefault(spelling, set()).add(file)
    columns = _columns(path, lambda cell: _cell(cell) in spelled)
    hits = {name: spelled.keys() & set(map(_cell, cells)) for name, cells in columns.items() if name not in chosen}
    of_files = max(hits, key=lambda name: len(hits[name]), default="")
    first = next(iter(files["train"]), "")
    if not hits.get(of_files):
        raise BadInput(
            f"{path} names none of the files of {settings.source}; write their names, such as {first}, beside their "
            "labels"
        )
    given: dict[str, int] = {}
    unknown: list[str] = []
    for row, cell in enumerate(columns[of_files]):
        found = spelled.get(_cell(cell), set())
        if len(found) > 1:
            raise BadInput(
                f"{cell} in {path} may be {' or '.join(sorted(found)[:2])}; write the whole path of each file"
            )
        unknown += [] if found else [str(cell)]
        given |= dict.fromkeys(found, row)
    notes = []
    if unknown:
        notes.append(f"{len(unknown):,} names in {path.name} are of no file: {first_of(unknown, SHOWN)}.")
    if (again := len(columns[of_files]) - len(unknown) - len(given)) > 0:
        notes.append(f"{again:,} lines of {path.name} name a file again; the last on each counts.")
    return columns, of_files, {name: [given.get(file) for file in of] for name, of in files.items()}, notes


def _spellings(file: str) -> set[str]:
    """What ``file`` may be called: its path, its name, and both without their end."""
    path = PurePosixPath(file)
    return {file, path.name, str(path.with_suffix("")), path.stem}


def _cell(cell: object) -> str:
    """A file name as it may be written."""
    return str(cell).strip().replace("\\", "/").removeprefix("./")


def _place(typed: str, setting: str, column: str) -> tuple[Path, str]:
    """The file that ``setting`` names, as in FILE:``column``, and the column or columns of it, if any."""
    if (path := Path(typed).expanduser()).is_file():
        return path, ""
    place, _, chosen = typed.rpartition(":")
    if (path := Path(place).expanduser()).is_file():
        return path, chosen
    raise BadFile(
        f"there is no file {typed!r} for ‹data.{setting}›; name one, or FILE:COLUMN, as in {setting}.csv:{column}"
    )


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
        found = json_columns(path)
    elif suffix == "txt" and (listed := _of_celeba(path)):
        found = listed
    elif suffix in ("csv", "tsv", "txt"):
        found = text_columns(path, known, FILE, LABEL)
    else:
        raise BadFile(f"{path} is of no known kind; expected labels in .csv, .tsv, .txt, .json, .npy, .npz or .parquet")
    if not found or not any(map(len, found.values())):
        raise BadFile(f"{path} holds no labels; expected one for each example")
    return found


def _of_celeba(path: Path) -> Columns:
    """The columns of a list of attributes as CelebA's: the number of files, names of the columns, then a line a file
    that begins with its name. Empty where it is no such list."""
    with open_regular(path) as file:
        lines = file.read(LARGEST).decode("utf-8-sig", "replace").splitlines()
    if len(lines) < 3 or not lines[0].strip().isdecimal():
        return {}
    names, rows = [FILE, *lines[1].split()], [line.split() for line in lines[2:] if line.strip()]
    if any(len(row) != len(names) for row in rows):
        return {}
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}
