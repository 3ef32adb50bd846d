"""Tables from .csv files, one or a folder's train and test, with every bad cell named."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genwerk.data.arrays import GREATEST, table_found
from genwerk.data.dataset import Data
from genwerk.data.parts import Found

DELIMITERS = ",;\t|"
_PART = re.compile(r"(?P<train>train)|(?P<test>test|val)", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Columns of numbers with shape (n, d), and the labels where there is a column of them."""

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    labels: list[object] | None


def part_files(path: Path, suffix: str) -> tuple[list[Path], list[Path]]:
    """The files of the training and of the test part: ``path`` itself, or a folder's files named train... and test...

    Of test and val, test is preferred. Files whose names say neither are all for training when none says train.
    """
    if path.is_file():
        return [path], []
    files = sorted(
        f for f in path.rglob("*") if f.suffix.lower() == suffix and f.is_file() and not f.name.startswith(".")
    )
    said = {f: m.lastgroup if (m := _PART.match(f.name)) else None for f in files}
    train = [f for f in files if said[f] == "train"] or [f for f in files if said[f] is None]
    test = [f for f in files if said[f] == "test"]
    tested = [f for f in test if f.name.lower().startswith("test")] or test
    if not train:
        raise ValueError(f"{path} holds only test files ({', '.join(f.name for f in files)}); name one train{suffix}")
    return train, tested


def open_csv(path: Path, settings: Data) -> Found:
    """A table of numbers; the column that ``settings.label`` names, if there is one, may hold text: the classes."""
    trains, tests = part_files(path, ".csv")
    if len(trains) > 1 or len(tests) > 1:
        raise ValueError(f"{path} holds the tables {', '.join(f.name for f in trains + tests)}; name the file you mean")
    train = read_csv(trains[0], settings.label)
    test = read_csv(tests[0], settings.label) if tests else None
    if test is not None and test.columns != train.columns:
        raise ValueError(f"{tests[0].name} and {trains[0].name} in {path} have different columns; expected the same")
    test_x, test_y = (test.values, test.labels) if test else (None, None)
    notes = (f"The column {settings.label!r} gives the classes.",) if train.labels is not None else ()
    return table_found(train.values, test_x, train.labels, test_y, train.columns, settings, name=str(path), notes=notes)


def read_csv(path: Path, label: str) -> Table:
    """The table in ``path``. Its first line is a header when none of its cells is a number."""
    lines, delimiter = _lines(path)
    if not lines:
        raise ValueError(f"{path} is empty; expected a line for every example")
    first = lines[0][1]
    if not any(_is_number(cell) for cell in first):
        names = [cell.strip() or f"column {i + 1}" for i, cell in enumerate(first)]
        lines = lines[1:]
    else:
        names = [f"column {i + 1}" for i in range(len(first))]
    if not lines:
        raise ValueError(f"{path} has a header and no lines below it; expected a line for every example")
    for number, cells in lines:
        if len(cells) != len(names):
            raise ValueError(
                f"line {number:,} of {path} has {len(cells)} cells separated by {delimiter!r}; expected {len(names)}"
            )
    if label != "label" and label not in names:
        raise ValueError(f"{path} has no column {label!r} for --data.label; its columns are {', '.join(names)}")

    target = names.index(label) if label in names else None
    chosen = [i for i in range(len(names)) if i != target]
    if not chosen:
        raise ValueError(f"{path} has no column beside the labels; expected at least one of numbers")
    values = np.empty((len(lines), len(chosen)))
    for column, i in enumerate(chosen):
        values[:, column] = _column(path, names[i], [(number, cells[i]) for number, cells in lines])
    labels: list[object] | None = None if target is None else [cells[target].strip() for _, cells in lines]
    return Table(tuple(names[i] for i in chosen), values, labels)


def _lines(path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """Lines that are not blank, each with its number, and the delimiter: whichever the first line holds most of."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            return [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)], delimiter
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8") from None


def _column(path: Path, name: str, cells: Sequence[tuple[int, str]]) -> NDArray[np.float64]:
    """The numbers of one column; a cell that is none, or above :data:`GREATEST`, is an error."""
    try:
        values = np.array([float(text) for _, text in cells])
        if (np.abs(values) <= GREATEST).all():
            return values
        number, text = next(c for c, v in zip(cells, values.tolist(), strict=True) if not abs(v) <= GREATEST)
    except ValueError:
        number, text = next(c for c in cells if not _is_number(c[1]))
    raise ValueError(
        f"line {number:,}, column {name!r} of {path} holds {text[:40]!r}; expected a finite number (a column of class "
        "names is named with --data.label)"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
