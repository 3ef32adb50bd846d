"""Columns of numbers as a table: which are conditions, and what stands in the way of a density of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.core.errors import BadInput, NoColumn
from genwerk.core.printable import first_of
from genwerk.core.spec import DataSpec, listed
from genwerk.data.chunks import TEST, Array, Labelled, chunks, convert
from genwerk.data.content import hash_rows
from genwerk.data.dataset import Dataset
from genwerk.data.labels import FEW
from genwerk.data.parts import Found, Origin, index_labels
from genwerk.data.settings import DataConfig


def table_found(
    x: Array,
    test_x: Array | None,
    y: Sequence[object] | None,
    test_y: Sequence[object] | None,
    columns: tuple[str, ...],
    settings: DataConfig,
    *,
    name: str,
    key: str | None = None,
    header: Sequence[str] = (),
    notes: tuple[str, ...] = (),
) -> Found:
    """A table of ``columns`` from arrays of shape (n, d), in float64; a value above :data:`GREATEST` is an error.

    The columns that ``settings.covariates`` names become conditions. What stands in the way of a density of the others
    is noted, and mended where ``settings.jitter`` asks for it. ``header`` has the columns and that of the labels in
    their order; without one the labels come last.
    """
    values = [convert(len(x), (len(columns),), np.float64, key, settings, _finite(x, columns, name))]
    if test_x is not None:
        values.append(convert(len(test_x), (len(columns),), np.float64, None, settings, _finite(test_x, columns, name)))
    whole, groups = columns, None
    if key is not None and (settings.jitter or settings.covariates or settings.group):
        option, cure = ("jitter", "add noise to it") if settings.jitter else ("covariates", "take fewer rows")
        option = option if settings.jitter or settings.covariates else "group"
        raise BadInput(f"the table in {name} is too large for memory, where ‹data.{option}› works; {cure}")
    found = [Labelled.of(*part) for part in zip(values, (y, test_y), ("", TEST), strict=False)]
    notes += tuple(note for part in found for note in part.notes)
    values, y = [part.x for part in found], found[0].y
    if settings.group in columns:
        i = columns.index(settings.group)
        groups = [repr(value) for value in values[0][:, i].tolist()]
        values, columns = [np.delete(part, i, 1) for part in values], (*columns[:i], *columns[i + 1 :])
        notes += (f"The column {settings.group!r} keeps rows together and is not modelled.",)
        if not columns:
            raise BadInput(f"{name} has no column beside {settings.group!r}, which ‹data.group› names")
    classes, conditions = index_labels(*(part.y for part in found))
    if y is not None and len(y) >= 2 * FEW and 2 * len(classes) > len(y):
        called = next((name for name in header if name not in whole), settings.label)
        notes += (f"There are {len(classes):,} classes for {len(y):,} rows; does {called!r} name classes?",)
    beside, modelled = apart(columns, settings.covariates, name)
    if beside and classes:
        raise BadInput(
            f"the rows of {name} have labels in {settings.label!r} and ‹data.covariates› names numbers; a model "
            "takes one or the other: leave out ‹data.covariates›, or take the labels out of the table"
        )
    hashes = [hash_rows(part, columns) for part in values]
    header = [c for c in header or (*columns, *[settings.label] * bool(classes)) if c != settings.group]
    looked_at = values[0][:CHECKED]
    integers = tuple(c for i, c in enumerate(columns) if (looked_at[:, i] == np.floor(looked_at[:, i])).all())
    steps: dict[str, float] = {}
    if settings.jitter:
        steps, said = _jittered(values, columns, modelled, settings.seed)
        notes += said
    notes += _rounded(x, whole) + table_notes(values[0], columns, modelled)
    if counted := [repr(columns[i]) for i in modelled if columns[i] in integers]:
        notes += (
            f"Columns of whole numbers: {first_of(counted)}; generated rows are rounded to such in a table (.csv), and "
            "kept as they were drawn in an array (.npz).",
        )
    covariates, columns = tuple(columns[i] for i in beside), tuple(columns[i] for i in modelled)
    if covariates:
        conditions = [torch.from_numpy(part[:, beside]) for part in values]
        values = [part[:, modelled] for part in values]
        notes += (f"A model may be conditioned on {listed(covariates)}; it generates the other columns.",)
    spec = DataSpec(
        kind="table",
        shape=(len(columns),),
        classes=classes,
        columns=columns,
        covariates=covariates,
        header=tuple(header),
        integers=tuple(c for c in integers if steps.get(c, 1.0) == 1),
        jittered=tuple(c for c in integers if c in steps),
    )
    parts = [
        Dataset(x=torch.from_numpy(v), spec=spec, condition=c, rows=part.rows)
        for v, c, part in zip(values, conditions, found, strict=True)
    ]
    return Found(
        train=parts[0],
        test=parts[1] if test_x is not None else None,
        origins={
            part: Origin(keys=h, groups=groups if part == "train" else None)
            for part, h in zip(("train", "test"), hashes, strict=False)
        },
        notes=notes,
        mapped=key,
    )


def apart(columns: Sequence[str], covariates: str, name: str) -> tuple[list[int], list[int]]:
    """Indices of the columns that ``covariates`` names (by name or number, with commas), and those of the others."""
    chosen: list[int] = []
    for each in filter(None, (part.strip() for part in covariates.split(","))):
        if each in columns:
            chosen.append(columns.index(each))
        elif each.isdecimal() and int(each) < len(columns):
            chosen.append(int(each))
        else:
            raise NoColumn(
                f"there is no column {each!r} for ‹data.covariates› in {name}; its columns are {first_of(columns)}",
                "covariates",
            )
    chosen = list(dict.fromkeys(chosen))
    others = [i for i in range(len(columns)) if i not in chosen]
    if not others:
        raise BadInput(
            f"‹data.covariates› names all columns of {name}, so that nothing is left to generate; name fewer"
        )
    return chosen, others


def _finite(x: Array, columns: tuple[str, ...], name: str) -> Callable[[Any], NDArray[np.float64]]:
    """Reader of rows of ``x`` as float64 with shape (n, d)."""

    def rows(which: Any) -> NDArray[np.float64]:
        part: Array = x[which].reshape(-1, len(columns))
        with np.errstate(over="ignore"):
            values: NDArray[np.float64] = part.astype(np.float64)
        if (wrong := ~(np.abs(values) <= GREATEST)).any():
            row, column = map(int, np.argwhere(wrong)[0])
            number = np.arange(len(x))[which][row]
            raise BadInput(
                f"row {number + 1:,}, column {columns[column]!r} of {name} is {part[row, column]}; expected a "
                f"finite number of at most {GREATEST:.1g} (remove the row or fill the gap)"
            )
        return values

    return rows


def _rounded(x: Array, columns: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each column of ``x``, with shape (n, d), whose whole numbers float64 rounds."""
    if x.dtype.kind not in "iu" or x.dtype.itemsize < 8:
        return ()
    part = x[:CHECKED].reshape(-1, len(columns))
    large = [i for i in range(len(columns)) if max(abs(int(part[:, i].min())), int(part[:, i].max())) > WHOLE]
    counts = [(columns[i], np.unique(part[:, i])) for i in large]
    return tuple(
        note for name, exact in counts for note in rounding_note(name, len(exact), len(np.unique(exact.astype(float))))
    )


GREATEST = 1e38
"""Greatest absolute value in a table: its square and a sum of these are still finite."""
WHOLE = 2.0**53
"""Whole numbers above this are rounded to even ones in float64, or further."""
CHECKED = 2**22
"""Rows of a table that are looked at for repeats; of a longer one the first."""
OFTEN = 0.05
"""Share of the rows from which one value of a column counts as frequent."""


def table_notes(x: NDArray[np.float64], columns: Sequence[str], made: Sequence[int] | None = None) -> tuple[str, ...]:
    """What makes a density of the columns ``made`` (None: all) of ``x`` meaningless or unbounded, a sentence each.

    Columns that never change, rows that repeat an earlier one, columns of few values, and values that a column
    otherwise of many takes again and again.
    """
    if len(x) < 2:
        return ()
    notes, n = [], min(len(x), CHECKED)
    of = f"{n:,}" if n == len(x) else f"the first {n:,}"
    still, few, often, fine = [], [], [], []
    for i in range(len(columns)) if made is None else made:
        name = columns[i]
        values, counts = np.unique(x[:n, i], return_counts=True)
        most = int(counts.argmax())
        if len(np.unique(values.astype(np.float32))) < 0.9 * len(values):
            fine.append(repr(name))
        if len(values) == 1:
            still.append(repr(name))
        elif _is_few(len(values), n):
            few.append(f"{name!r} {len(values):,}")
        elif counts[most] > max(OFTEN * n, 5):
            often.append(f"{name!r} is {values[most]:.15g} in {counts[most] / n:.0%}")
    if len(still) == 1:
        notes.append(
            f"The column {still[0]} never changes; a density of it has no meaning, so a flow refuses it: leave it out."
        )
    elif still:
        notes.append(
            f"The columns {first_of(still)} never change; a density of them has no meaning, so a flow refuses them: "
            "leave them out."
        )
    if repeats := repeated_rows(x[:n]):
        notes.append(
            f"{repeats:,} of {of} rows ({repeats / n:.1%}) equal others; a likelihood can grow without bound on "
            "repeated rows."
        )
    if few:
        notes.append(
            f"Columns of few values in {of} rows: {first_of(few)}; a density of discrete values can grow without "
            "bound, which noise prevents: ‹data.jitter›."
        )
    if often:
        notes.append(
            f"Columns with a frequent value, of {of} rows: {first_of(often)}; a density can grow without bound on it."
        )
    if fine:
        notes.append(
            f"Columns with more digits than float32 holds: {first_of(fine)}; they are read, kept and made in float64."
        )
    return tuple(notes)


def rounding_note(column: str, exact: int, kept: int) -> Iterator[str]:
    """A sentence where a ``column`` of ``exact`` different numbers has fewer, ``kept``, in float64."""
    if kept < exact:
        yield (
            f"The column {column!r} has {exact:,} different values, of which float64 tells {kept:,} apart; "
            "subtract what they have in common before they are written, or leave the column out."
        )


def repeated_rows(x: NDArray[np.float64]) -> int:
    """Rows of ``x`` with shape (n, d) that equal an earlier one: sought by their hashes, then compared."""
    hashes = hash_rows(x)
    ranked = np.sort(hashes)
    shared = ranked[1:][ranked[1:] == ranked[:-1]]
    if not len(shared):
        return 0
    rows = np.flatnonzero(np.isin(hashes, shared))
    rows = rows[np.argsort(hashes[rows], kind="stable")]
    again = np.flatnonzero(hashes[rows[1:]] == hashes[rows[:-1]])
    pairs = zip(chunks(rows[again]), chunks(rows[again + 1]), strict=True)
    if all((x[first] == x[second]).all() for first, second in pairs):
        return len(again)
    return len(rows) - len(np.unique(x[rows], axis=0))  # rows that differ share a hash


def _jittered(
    parts: Sequence[NDArray[np.float64]], columns: Sequence[str], made: Sequence[int], seed: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Add to columns ``made`` of few values, in place, uniform noise from 0 to the step of the grid they lie on.

    Returns the step of each, and what is to be said.
    """
    train = parts[0]
    steps: dict[str, float] = {}
    left = []
    for i in made:
        name = columns[i]
        values = np.unique(train[:, i])
        if len(values) < 2 or not _is_few(len(values), len(train)):
            continue
        step = _step(values)
        if step is None:
            left.append(repr(name))
            continue
        steps[name] = step
        for k, part in enumerate(parts):
            part[:, i] += step * np.random.default_rng([seed, k, i]).random(len(part))
    notes = []
    if steps:
        shown = first_of([f"{name!r} ({step:.4g})" for name, step in steps.items()])
        notes.append(
            f"Uniform noise of one step is added to column {shown} with seed {seed}, so densities are those of "
            "the data with this noise."
        )
    if left:
        notes.append(f"Column {first_of(left)} lies on no grid, so ‹data.jitter› leaves it as it is.")
    return steps, (*notes,) or ("No column takes few values, so ‹data.jitter› adds no noise.",)


def _is_few(values: int, rows: int) -> bool:
    return values * FEW <= rows


def _step(values: NDArray[np.float64]) -> float | None:
    """Step of the grid on which the sorted distinct ``values`` lie; None where there is none.

    They may have been float32: it is the greatest common divisor of the gaps to 1 / 100, by Euclid's algorithm with
    remainders nearest zero.
    """
    gaps = np.diff(values)
    least = float(gaps.min())
    step = least
    for gap in np.unique(gaps).tolist():
        while gap > 0.01 * least:
            step, gap = gap, abs(step - gap * round(step / gap))
    if step < 0.02 * least:
        return None
    steps = np.round((values[-1] - values[0]) / step)
    return float((values[-1] - values[0]) / steps)
