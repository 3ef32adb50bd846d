"""Tables from text: .csv and its kin, one file or a folder's train and test, with every bad cell named."""

from __future__ import annotations

import csv
import gzip
import io
import re
import shlex
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadFile, BadInput, NoColumn
from genwerk.core.memory import afford
from genwerk.core.printable import count, first_of
from genwerk.data.columns import GREATEST, WHOLE, rounding_note, table_found
from genwerk.data.content import as_numbers
from genwerk.data.folders import in_run
from genwerk.data.labels import MISSING, continuous, label_column, labelled
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""Ends of the names of tables."""
DELIMITERS = ",;\t|"
SPACES = " "
"""Stands for any run of white space between cells."""
SAMPLE = 100
"""Lines by which delimiter and header are judged."""
LONGEST = 2**24
"""Characters of a line above which a file is taken for no table."""
_PART = re.compile(r"(?:^|[-_. ])(?:(?P<train>train)|(?P<test>test|val))", re.IGNORECASE)
_COMMA = re.compile(r"[-+]?\d+(\.\d{3})*(,\d+)+(\.\d+)?")
"""A decimal comma, or separators of thousands."""
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}\b")
_DECIMAL = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
"""A number with a decimal comma, or one of thousands."""
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_PLAIN = re.compile(r"\d{1,9}")
_UNNAMED = re.compile(r"Unnamed: \d+")
Named = TypeVar("Named", str, Path)
"""A file, by its path or its place in an archive."""


@dataclass(frozen=True)
class Table:
    """Columns of numbers with shape (n, d), and the labels where there is a column of them."""

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    labels: list[object] | None
    header: tuple[str, ...]
    """The columns and that of the labels, in the order of the file."""
    notes: tuple[str, ...] = ()
    """How the file was understood, a sentence each."""


@dataclass(frozen=True)
class Form:
    """How the lines of a file are to be read."""

    delimiter: str
    skip: int
    """Lines at the beginning that are passed over."""
    commented: bool
    """Whether the first line after these begins with #, which is no part of it."""
    header: bool
    comma: bool
    """Whether numbers have a decimal comma."""
    notes: tuple[str, ...]


def part_files(path: Path, suffixes: str | tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """The files of the training and of the test part: ``path`` itself, or a folder's, whose names say train or test.

    Of test and val, test is preferred. Files whose names say neither are all for training when none says train.
    """
    if path.is_file():
        return [path], []
    files = sorted(
        f
        for f in path.rglob("*")
        if f.name.lower().endswith(suffixes) and f.is_file() and not f.name.startswith(".") and not in_run(f, path)
    )
    return parts_by_name(files, path, suffixes)


def parts_by_name(
    files: Sequence[Named], path: Path, suffixes: str | tuple[str, ...]
) -> tuple[list[Named], list[Named]]:
    """Which of ``files``, all those in ``path``, are for training and which for testing (:func:`part_files`)."""
    names = {f: PurePosixPath(f).name for f in files}
    said = {f: m.lastgroup if (m := _PART.search(name)) else None for f, name in names.items()}
    train = [f for f in files if said[f] == "train"] or [f for f in files if said[f] is None]
    test = [f for f in files if said[f] == "test"]
    tested = [f for f in test if "test" in names[f].lower()] or test
    if not train:
        raise BadInput(f"{path} holds only test files ({', '.join(names.values())}); name one train{suffixes}")
    return train, tested


def one_of_each(path: Path, suffixes: str | tuple[str, ...]) -> tuple[Path, Path | None]:
    """The one file of the training part, and that of the test part where there is one."""
    trains, tests = part_files(path, suffixes)
    if len(trains) > 1 or len(tests) > 1:
        raise BadInput(f"{path} holds the tables {', '.join(f.name for f in trains + tests)}; name the file you mean")
    return trains[0], tests[0] if tests else None


def open_csv(path: Path, settings: DataConfig) -> Found:
    """A table of numbers; the column that ``settings.label`` names, if there is one, may hold text: the classes."""
    first, second = one_of_each(path, SUFFIXES)
    train = read_csv(first, settings.label, group=settings.group)
    test = read_csv(second, settings.label, classes=train.labels is not None, group=settings.group) if second else None
    if test is not None and test.columns != train.columns:
        raise BadInput(f"{second and second.name} and {first.name} in {path} have different columns; expected the same")
    test_x, test_y = (test.values, test.labels) if test else (None, None)
    return table_found(
        train.values,
        test_x,
        train.labels,
        test_y,
        train.columns,
        settings,
        name=str(path),
        header=train.header,
        notes=train.notes,
    )


def read_csv(path: Path, label: str, *, classes: bool | None = None, group: str = "") -> Table:
    """The table in ``path``, whose delimiter, header and column of row numbers are found out, and said.

    ``classes`` says whether a column called ``label`` is one of classes; None finds it out. Of the column ``group``,
    which may hold text, only what is equal matters: its cells become numbers.
    """
    with _opened(path) as text:
        form = _form(path, text)
        rows = _rows(path, text, form)
        head = next(rows, None)
        if head is None:
            raise BadFile(f"{path} is empty; expected a line for every example")
        if form.header:
            names = [cell.strip() for cell in head[1]]
        else:
            names, rows = [f"column {i + 1}" for i in range(len(head[1]))], chain([head], rows)
        if repeated := [name for name, times in Counter(names).items() if times > 1 and name]:
            raise BadInput(f"{path} has several columns called {repeated[0]!r}; give each a name of its own")
        label = label_column(label, names)
        if label != "label" and label not in names:
            raise NoColumn(
                f"{path} has no column {label!r} for ‹data.label›; its columns are {', '.join(names)}", "label"
            )
        target = names.index(label) if label in names else None
        blank = [i for i, name in enumerate(names) if not name or _UNNAMED.fullmatch(name)]
        texts: dict[int, list[str]] = {i: [] for i in (*blank, *([] if target is None else [target]))}
        if group and group not in names:
            raise BadInput(f"{path} has no column {group!r} for ‹data.group›; its columns are {', '.join(names)}")
        grouped = names.index(group) if group and group != label else None
        if grouped is not None:
            texts[grouped] = []
        chosen = [i for i in range(len(names)) if i not in texts]
        start = list(islice(rows, SAMPLE))
        whole = [cells for _, cells in start if len(cells) == len(names)]
        _check_texts(path, names, chosen, whole)
        if target is None:
            _check_classes(path, names, chosen, whole)
        rows = chain(start, rows)
        lines, numbers = _read(path, rows, names, chosen, texts, form.delimiter)
    if not lines:
        raise BadFile(f"{path} has a header and no lines below it; expected a line for every example")
    values = np.frombuffer(numbers).reshape(len(lines), len(chosen))
    columns = {i: values[:, k] for k, i in enumerate(chosen)}
    notes = list(form.notes)

    labels: list[object] | None = None
    if target is not None and classes is not True and continuous(texts[target]):
        if label != "label":
            raise BadInput(
                f"the column {label!r} of {path} holds {len(set(texts[target])):,} different numbers in {len(lines):,} "
                "rows, not classes; leave out ‹data.label›, or condition on them with ‹data.covariates›"
            )
        columns[target] = _numbers(path, label, lines, texts[target])
        notes.append(f"The column {label!r} holds measured numbers, not classes, so it is a column like the others.")
    elif target is not None and classes is False:
        columns[target] = _numbers(path, label, lines, texts[target])
    elif target is not None:
        labels = list(texts[target])
        if labelled(labels):
            notes.insert(0, f"The column {label!r} gives the classes.")
    if grouped is not None:
        columns[grouped] = as_numbers(texts[grouped])
    for i in blank:
        if not any(texts[i]):
            notes.append(f"Column {i + 1} has no name and no cell and is left out.")
        elif i == 0 and len(set(texts[i])) == len(lines):
            notes.append("The first column has no name and tells the rows apart, as an index does; it is left out.")
        else:
            columns[i] = _numbers(path, names[i] or f"column {i + 1}", lines, texts[i])
    if 0 in columns and names[0].lower() == "index" and (columns[0] == np.arange(len(lines))).all():
        notes.append(f"The column {names[0]!r} numbers the rows from 0; it is left out.")
        del columns[0]
    if not columns:
        raise BadInput(f"{path} has no column beside the labels; expected at least one of numbers")
    order = sorted(columns)
    table = np.stack([columns[i] for i in order], axis=1)
    called = tuple(names[i] or f"column {i + 1}" for i in order)
    _check(path, called, lines, table)
    notes += _rounded(
        path, form, order, ["" if i == grouped else name for i, name in zip(order, called, strict=True)], table
    )
    shown = order if labels is None or target is None else sorted([*order, target])
    header = tuple(names[i] or f"column {i + 1}" for i in shown)
    return Table(called, table, labels, header, tuple(notes))


def text_columns(path: Path, known: Callable[[object], bool], *called: str) -> dict[str, list[str]]:
    """The columns of any table, by name; those of one without a header are ``called`` so, as far as that goes.

    No cell of a header is ``known``. A .txt has one label a line, or after white space beside what is known.
    """
    with _opened(path) as text:
        form = _form(path, text)
        found = [*_rows(path, text, form)]
        plain = ".txt" in path.name.lower() and all(len(cells) == 1 for _, cells in found)
    lines = [number for number, _ in found]
    rows = [[cell.strip() for cell in cells] for _, cells in found]
    if plain and all(len(row[0].split()) == 2 and known(row[0].split()[0]) for row in rows):
        rows, plain = [row[0].split() for row in rows], False
    first = rows[0] if rows else []
    repeated = len(first) == 1 and first in rows[1:]
    if form.header and not plain and not repeated and not any(map(known, first)):
        names, rows, lines = first, rows[1:], lines[1:]
    else:
        named = called if len(first) == len(called) else called[-1:] if len(first) == 1 else ()
        names = [*named] or [f"column {i + 1}" for i in range(len(first))]
    if wrong := next((i for i, row in enumerate(rows) if len(row) != len(names)), None):
        raise BadFile(f"line {lines[wrong]:,} of {path} has {len(rows[wrong])} cells; expected {len(names)}")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


# --- lines and cells --------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """The text of ``path``, unpacked where it is gzipped: UTF-8, or UTF-16 where its mark says so."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            binary = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
            mark = binary.read(2)
            binary.seek(0)
            encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            yield io.TextIOWrapper(binary, encoding, newline="")
    except UnicodeError as error:
        raise BadFile(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8") from None
    except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadFile(f"{path} cannot be read as a table ({error}); is the file whole?") from None


def _lines(path: Path, text: IO[str]) -> Iterator[str]:
    while line := text.readline(LONGEST):
        if len(line) == LONGEST:
            raise BadFile(f"{path} has a line of more than {LONGEST:,} characters; is it a table?")
        yield line


def _cells(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that is not blank, and its number."""
    if delimiter == SPACES:
        yield from ((number, cells) for number, line in enumerate(lines, 1) if (cells := line.split()))
        return
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    yield from ((reader.line_num, cells) for cells in reader if any(map(str.strip, cells)))


def _rows(path: Path, text: IO[str], form: Form) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line from the first of ``form`` on, and its number."""
    text.seek(0)
    lines: Iterator[str] = islice(_lines(path, text), form.skip, None)
    if form.commented:
        lines = chain([next(lines).lstrip("# ")], lines)
    for number, cells in _cells(lines, form.delimiter):
        yield form.skip + number, _with_points(path, form.skip + number, cells) if form.comma else cells


def _with_points(path: Path, line: int, cells: Sequence[str]) -> list[str]:
    """``cells`` of a file of decimal commas with points in their place; one with a point already is an error."""
    if wrong := next((cell for cell in cells if "." in cell and _is_number(cell)), None):
        raise BadFile(
            f"line {line:,} of {path} holds {wrong!r}, and other numbers of the file have a decimal comma; write all "
            "of them in one way, without separators of thousands"
        )
    return [cell.replace(",", ".") if _DECIMAL.fullmatch(cell.strip()) else cell for cell in cells]


def _form(path: Path, text: IO[str]) -> Form:
    """What the first lines say of the file."""
    lines = list(islice((line for line in _lines(path, text)), SAMPLE + 1))
    notes, skip, commented = [], 0, False
    while skip < len(lines) and not lines[skip].strip():
        skip += 1
    named = re.fullmatch(r"sep=(.)\s*", lines[skip]) if skip < len(lines) else None  # Excel's own first line
    skip += named is not None
    remarks = next((i for i, line in enumerate(lines[skip:]) if not line.startswith("#")), 0)
    delimiter = named[1] if named else _delimiter(lines[skip + remarks :])
    if remarks:
        last = next(_cells([lines[skip + remarks - 1].lstrip("# ")], delimiter), (0, []))[1]
        below = next(_cells(lines[skip + remarks :], delimiter), (0, []))[1]
        commented = len(last) == len(below) and not any(map(_is_number, last)) and any(map(_is_number, below))
        skip += remarks - commented
        if passed := remarks - commented:
            notes.append(f"{passed:,} lines at the beginning that start with # are passed over.")
    sample = [cells for _, cells in _cells([line.lstrip("# ") for line in lines[skip:]], delimiter)]
    header, note = (True, None) if commented else _header(sample)
    comma = _has_commas(sample)
    if comma or delimiter != ("\t" if ".tsv" in path.name.lower() else ","):
        numbers = ", and numbers have a decimal comma" * comma
        notes.append(f"Cells are separated by {_CALLED.get(delimiter, repr(delimiter))}{numbers}.")
    if getattr(text, "encoding", "").startswith("utf-16"):
        notes.append("The text is in UTF-16.")
    return Form(delimiter, skip, commented, header, comma, (*notes, *([note] if note else [])))


_CALLED = {",": "commas", ";": "semicolons", "\t": "tabs", SPACES: "spaces"}


def _has_commas(rows: Sequence[Sequence[str]]) -> bool:
    """Whether numbers in ``rows`` have a decimal comma: there is one that cannot be a separator of thousands.

    Where numbers have points too, none has.
    """
    cells = [cell.strip() for row in rows for cell in row]
    found = [cell for cell in cells if _DECIMAL.fullmatch(cell)]
    pointed = any("." in cell and _is_number(cell) for cell in cells)
    return not pointed and any(not _THOUSANDS.fullmatch(cell) for cell in found)


def _delimiter(lines: Sequence[str]) -> str:
    """What parts the cells: that by which most lines have as many, most of them numbers."""

    def score(delimiter: str) -> tuple[bool, float, float, int]:
        try:
            rows = [cells for _, cells in _cells(lines, delimiter)]
        except csv.Error:
            return False, 0.0, 0.0, 0
        if not rows:
            return False, 0.0, 0.0, 0
        width, times = Counter(map(len, rows)).most_common(1)[0]
        below = [cell for cells in rows[1:] for cell in cells]
        numbers = sum(_is_number(cell) or _COMMA.fullmatch(cell.strip()) is not None for cell in below)
        return width > 1, times / len(rows), numbers / max(1, len(below)), width

    best = max(DELIMITERS, key=score)
    if score(best)[0]:
        return best
    wide, share, numbers, _ = score(SPACES)
    return SPACES if wide and share == 1 and numbers > 0.5 else best


def _header(rows: Sequence[Sequence[str]]) -> tuple[bool, str | None]:
    """Whether the first of ``rows`` names the columns, and a sentence where that is not plain."""
    if not rows or not any(_is_number(cell) or _COMMA.fullmatch(cell.strip()) for cell in rows[0]):
        return True, None
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    said = ", ".join(cell.strip() for cell in first[:4]) + (", ..." if len(first) > 4 else "")
    taken = f"The first line ({said}) is taken for the header; if it is an example, put a header above it."
    counted = [i for i, cell in enumerate(first) if _is_number(cell)]

    def plain(row: Sequence[str]) -> list[int] | None:
        """The cells of ``row`` below numbers of the first, where they are whole and rise."""
        found = [int(row[i]) for i in counted if _PLAIN.fullmatch(row[i].strip())]
        return found if len(found) == len(counted) and found == sorted(set(found)) else None

    for i, cell in enumerate(first):
        if cell.strip() and i not in counted and below and all(_is_number(row[i]) for row in below):
            return True, taken  # a name above numbers
    years = plain(first)
    if years is not None and below and not any(map(plain, below)):
        steps = years in (list(range(len(years))), list(range(1, len(years) + 1)))
        fractions = all(any(not _PLAIN.fullmatch(row[i].strip()) for row in below) for i in counted)
        if (steps or len(years) > 1) and (fractions or (steps and len(years) > 2)):
            return True, taken
    return False, "There is no header: the first line is taken for an example, and the columns are numbered."


def _read(
    path: Path,
    rows: Iterator[tuple[int, list[str]]],
    names: Sequence[str],
    chosen: Sequence[int],
    texts: dict[int, list[str]],
    delimiter: str,
) -> tuple[array[int], array[float]]:
    """The number of each line and the numbers in its ``chosen`` cells, row by row; other cells go into ``texts``."""
    lines, numbers = array("q"), array("d")
    for line, cells in rows:
        if len(cells) != len(names):
            raise BadFile(
                f"line {line:,} of {path} has {count(len(cells), 'cell')} separated by {delimiter!r}; expected "
                f"{len(names)}"
            )
        try:
            numbers.extend([float(cells[i]) for i in chosen])
        except ValueError:
            wrong = next(i for i in chosen if not _is_number(cells[i]))
            raise _bad(path, line, names[wrong], cells[wrong]) from None
        for i, column in texts.items():
            column.append(cells[i].strip())
        lines.append(line)
        if len(lines) % 2**16 == 0:
            cells_of_text = 64 * len(texts) * len(lines)
            afford(2 * 8 * len(numbers) + cells_of_text, str(path), "take fewer rows, or save it as .npy")
    return lines, numbers


def _check_texts(path: Path, names: Sequence[str], chosen: Sequence[int], rows: Sequence[Sequence[str]]) -> None:
    """Raise BadFile that names all of them where several of the columns ``chosen`` hold words alone in ``rows``."""

    def wordy(text: str) -> bool:
        return text.strip()[:1].isalpha() and not _is_number(text) and text.strip().lower() not in MISSING

    found = [names[i] for i in chosen if rows and all(wordy(row[i]) for row in rows)]
    if len(found) > 1:
        raise BadFile(
            f"the columns {first_of(found)} of {path} hold text, and a table is of numbers; leave them out of the "
            "table, but for one of class names, which ‹data.label› names; where one holds texts to learn, name it by "
            "‹data.text›"
        )


def _check_classes(path: Path, names: Sequence[str], chosen: Sequence[int], rows: Sequence[Sequence[str]]) -> None:
    """Raise BadFile where one of the columns ``chosen`` alone holds text in ``rows``, and few different ones."""
    found = [i for i in chosen if not all(_is_number(row[i]) for row in rows)]
    values = sorted({row[i].strip() for row in rows for i in found if row[i].strip().lower() not in MISSING})
    if (
        len(found) == 1
        and 0 < 2 * len(values) <= len(rows)
        and all(v[0].isalpha() and not _is_number(v) for v in values)
    ):
        name = names[found[0]]
        raise BadFile(
            f"the column {name!r} of {path} holds text ({first_of(values)}), and a table is of numbers; if it names "
            f"classes, add ‹data.label› {shlex.quote(name)}, or else leave it out of the table"
        )


def _numbers(path: Path, name: str, lines: Sequence[int], texts: Sequence[str]) -> NDArray[np.float64]:
    """A column of text as numbers."""
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        wrong = next(i for i, text in enumerate(texts) if not _is_number(text))
        raise _bad(path, lines[wrong], name, texts[wrong]) from None


def _check(path: Path, names: Sequence[str], lines: Sequence[int], values: NDArray[np.float64]) -> None:
    if (wrong := ~(np.abs(values) <= GREATEST)).any():
        row, column = map(int, np.argwhere(wrong)[0])
        raise _bad(path, lines[row], names[column], str(values[row, column]))


def _bad(path: Path, line: int, name: str, text: str) -> BadFile:
    """What is wrong with a cell."""
    cure = (
        "tables are of numbers, beside one column of class names, which ‹data.label› names; remove a column of "
        "other text, write a number for each of its values, or, where it holds texts to learn, name it by ‹data.text›"
    )
    if _DATE.match(text.strip()):
        cure = "dates are not read; write them as numbers, such as days since the first, or remove the column"
    elif _is_number(text):
        cure = "change it, or remove the row"
    elif _COMMA.fullmatch(text.strip()):
        cure = "numbers have no separators of thousands: write 1234.5, or 1234,5 between semicolons"
    elif text.strip().lower() in MISSING:
        cure = "fill the gap, or remove the row"
    return BadFile(
        f"line {line:,}, column {name!r} of {path} holds {text[:40]!r}; expected a finite number of at most "
        f"{GREATEST:.0g} ({cure})"
    )


def _rounded(
    path: Path, form: Form, order: Sequence[int], names: Sequence[str], values: NDArray[np.float64]
) -> Iterator[str]:
    """A sentence for each column with a name whose cells differ by less than float64 tells; the file is read again."""
    greatest = np.abs(values).max(0)
    near = (greatest >= WHOLE) | (np.ptp(values, axis=0) < 16 * len(values) * np.spacing(greatest))
    for k in [k for k in np.flatnonzero(near).tolist() if names[k]]:
        with _opened(path) as text:
            rows = islice(_rows(path, text, form), form.header, None)
            exact = {Decimal(cells[order[k]].strip()) for _, cells in rows}
        yield from rounding_note(names[k], len(exact), len(np.unique(values[:, k])))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
