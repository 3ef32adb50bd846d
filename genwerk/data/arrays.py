"""Arrays as examples: what an array of numbers is taken for, and how it becomes images or a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec, listed
from genwerk.data import cache
from genwerk.data.content import hash_rows
from genwerk.data.dataset import Dataset
from genwerk.data.images import TWO_LEVELS, clear_notes, common_size, covered, fitted, laid_over
from genwerk.data.labels import FEW, present
from genwerk.data.parts import Found, Origin, index_labels, numbered
from genwerk.data.settings import DataConfig

Array = NDArray[Any]

CHUNK = 4096
"""Rows converted at a time."""
TEST = "Test part: "
"""How what is noted of the test part begins."""
DARK = 64
"""Value of 255 that at least one pixel of images is expected to reach."""


# --- What an array is -----------------------------------------------------------------------------------------------


def array_found(
    x: Array,
    test_x: Array | None,
    y: Array | None,
    test_y: Array | None,
    settings: DataConfig,
    *,
    name: str,
    key: str | None = None,
    notes: tuple[str, ...] = (),
) -> Found:
    """Images where there are three or four dimensions, else a table.

    ``key`` names the cached copy of an array without labels that is too large for memory.
    """
    parts = [x] if test_x is None else [x, test_x]
    for part, labels in zip(parts, (y, test_y), strict=False):
        if part.dtype.kind not in "biuf":
            raise BadInput(f"the array in {name} has the type {part.dtype}; expected numbers")
        if part.ndim < 1 or part.ndim > 4 or part.size == 0:
            raise BadInput(f"the array in {name} has shape {part.shape}; expected one example a row and at least one")
        if labels is not None and labels.shape not in (part.shape[:1], (len(part), 1)):
            raise BadInput(
                f"the labels in {name} have shape {labels.shape}; expected one for each of {len(part):,} examples"
            )
    if len({part.shape[1:] for part in parts}) > 1:
        raise BadInput(
            f"training and test examples in {name} have the shapes {x.shape[1:]} and {parts[1].shape[1:]}; expected one"
        )
    if x.ndim > 2:
        return images_found(x, test_x, y, test_y, settings, name=name, key=key, notes=notes)
    columns = numbered(x.shape[1] if x.ndim == 2 else 1)
    return table_found(x, test_x, _items(y), _items(test_y), columns, settings, name=name, key=key, notes=notes)


def _items(labels: Array | None) -> list[object] | None:
    return None if labels is None else list(labels.reshape(-1).tolist())


@dataclass(frozen=True)
class Labelled:
    """The examples of a part that have a label, with theirs; all of them, without any, where none has."""

    x: Array
    y: Sequence[object] | None
    rows: Tensor | None = None
    """Which they are of those that were read; None where they are all."""
    notes: tuple[str, ...] = ()
    """What is to be said of the others."""

    @classmethod
    def of(cls, x: Array, y: Sequence[object] | None, called: str = "") -> Labelled:
        """Those of ``x`` and ``y``; the notes begin with what the part is ``called``."""
        if y is None:
            return cls(x, None)
        keep, said = present(y)
        notes = tuple(called + sentence for sentence in said)
        if keep is None:
            return cls(x, None if notes else y, None, notes)
        kept = np.flatnonzero(keep)
        return cls(x[kept], [y[i] for i in kept.tolist()], torch.from_numpy(kept), notes)


def _chunks(array: Array) -> Iterator[Array]:
    return (array[i : i + CHUNK] for i in range(0, len(array), CHUNK))


def _convert(
    n: int, shape: tuple[int, ...], dtype: type, key: str | None, settings: DataConfig, rows: Callable[[Any], Array]
) -> Array:
    """All ``n`` rows, converted in chunks and in order by ``rows``; what has a ``key`` may be mapped from a copy."""

    def fill(out: Array) -> dict[str, Any]:
        for start in range(0, n, CHUNK):
            chunk = slice(start, start + CHUNK)
            out[chunk] = rows(chunk)
        return {}

    if key is not None:
        key = cache.key(
            *("arrays 4", key, shape, np.dtype(dtype).str),
            *(settings.size, settings.fit, settings.colour, settings.background),
        )
    stored = (key and cache.load(key)) or cache.build(key, (n, *shape), dtype, fill)
    return stored[0]


# --- Tables ---------------------------------------------------------------------------------------------------------


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
    values = [_convert(len(x), (len(columns),), np.float64, key, settings, _finite(x, columns, name))]
    if test_x is not None:
        values.append(
            _convert(len(test_x), (len(columns),), np.float64, None, settings, _finite(test_x, columns, name))
        )
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
            f"the rows of {name} have labels in {settings.label!r} and ‹data.covariates› names numbers; a model is "
            "told one or the other: leave out ‹data.covariates›, or take the labels out of the table"
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
            f"Columns of whole numbers: {_listed(counted)}; generated rows are rounded to such in a table (.csv), and "
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
            raise BadInput(
                f"there is no column {each!r} for ‹data.covariates› in {name}; its columns are {_listed(columns)}"
            )
    chosen = list(dict.fromkeys(chosen))
    others = [i for i in range(len(columns)) if i not in chosen]
    if not others:
        raise BadInput(f"‹data.covariates› names all columns of {name}, so that nothing is left to make; name fewer")
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
            f"The columns {_listed(still)} never change; a density of them has no meaning, so a flow refuses them: "
            "leave them out."
        )
    if repeats := repeated_rows(x[:n]):
        notes.append(
            f"{repeats:,} of {of} rows ({repeats / n:.1%}) are copies of others; a likelihood can grow without bound "
            "on repeated rows."
        )
    if few:
        notes.append(
            f"Columns of few values in {of} rows: {_listed(few)}; a density of discrete values can grow without bound, "
            "which noise prevents: ‹data.jitter›."
        )
    if often:
        notes.append(
            f"Columns with a frequent value, of {of} rows: {_listed(often)}; a density can grow without bound on it."
        )
    if fine:
        notes.append(
            f"Columns with more digits than float32 holds: {_listed(fine)}; they are read, kept and made in float64."
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
    pairs = zip(_chunks(rows[again]), _chunks(rows[again + 1]), strict=True)
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
        shown = _listed([f"{name!r} ({step:.4g})" for name, step in steps.items()])
        notes.append(
            f"Uniform noise of one step is added to column {shown} with seed {seed}, so densities are those of "
            "the data with this noise."
        )
    if left:
        notes.append(f"Column {_listed(left)} lies on no grid, so ‹data.jitter› leaves it as it is.")
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


def _listed(names: Sequence[str]) -> str:
    """The first of ``names`` and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


# --- Images ---------------------------------------------------------------------------------------------------------


def images_found(
    x: Array,
    test_x: Array | None,
    y: Array | None,
    test_y: Array | None,
    settings: DataConfig,
    *,
    name: str,
    key: str | None = None,
    levels: int | None = None,
    notes: tuple[str, ...] = (),
) -> Found:
    """Images from arrays with shape (n, h, w), (n, h, w, c) or (n, c, h, w), fitted as ``settings`` ask.

    Values are whole numbers from 0 to 255, floats in [0, 1] or [-1, 1] (rounded to 8 bits), or two alone, black and
    white, of any type; ``levels`` says how many values a pixel takes where that is known to be other than 256.
    """
    found = [Labelled.of(x, _items(y))]
    if test_x is not None:
        found.append(Labelled.of(test_x, _items(test_y), TEST))
    notes += tuple(note for part in found for note in part.notes)
    parts = [_channels_last(part.x, name) for part in found]
    scale, shift, found_levels, note = (1.0, 0.0, levels, None) if levels else _range(parts, name)
    levels = found_levels
    notes += () if note is None else (note,)
    channels = parts[0].shape[3]
    all_grey = channels == 1 or all(_equal_channels(part) for part in parts)
    grey = settings.colour == "grey" or (settings.colour == "auto" and all_grey)
    if channels == 4 or settings.colour == "rgba":
        notes += tuple(clear_notes(sum(map(len, parts)) if channels == 4 else 0, settings))
    if grey and all_grey and channels == 3:
        parts, channels = [part[..., :1] for part in parts], 1
    height, width, note = common_size([parts[0].shape[1:3]], settings)
    if levels != 256 and ((height, width) != parts[0].shape[1:3] or channels > 1 or not grey):
        scale, shift, levels = scale * 255 / (levels - 1), shift * 255 / (levels - 1), 256
    shape = (1 if grey else 4 if settings.colour == "rgba" else 3, height, width)
    values = []
    for part in parts:
        view = part.transpose(0, 3, 1, 2)
        same = part.dtype == np.uint8 and scale == 1 and view.shape[1:] == shape and shape[0] != 4
        if same and (key is None or view.flags.c_contiguous):
            values.append(np.ascontiguousarray(view))
        else:
            pixels = partial(_pixels, part, scale, shift, shape, settings)
            values.append(_convert(len(part), shape, np.uint8, key, settings, pixels))
    classes, conditions = index_labels(*(part.y for part in found))
    spec = DataSpec(kind="image", shape=shape, levels=levels, classes=classes)
    sets = [
        Dataset(x=torch.from_numpy(v), spec=spec, condition=c, rows=part.rows)
        for v, c, part in zip(values, conditions, found, strict=True)
    ]
    return Found(train=sets[0], test=sets[1] if test_x is not None else None, notes=(*notes, note), mapped=key)


def _channels_last(x: Array, name: str) -> Array:
    """``x`` as a view with shape (n, h, w, c), c being 1, 3 or 4 (where both ends could be, the lesser)."""
    if x.ndim == 3:
        return x[..., None]
    first, last = x.shape[1] in (1, 3, 4), x.shape[3] in (1, 3, 4)
    if last and not (first and x.shape[1] < x.shape[3]):
        return x
    if first:
        return x.transpose(0, 2, 3, 1)
    raise BadInput(
        f"the images in {name} have shape {x.shape}; expected 1, 3 or 4 channels, as (n, h, w, c) or (n, c, h, w)"
    )


def _equal_channels(x: Array) -> bool:
    """Whether colour images with shape (n, h, w, 3) are grey throughout."""
    return x.shape[3] == 3 and all(bool((part == part[..., :1]).all()) for part in _chunks(x))


def _range(parts: Sequence[Array], name: str) -> tuple[float, float, int, str | None]:
    """Factor and shift that bring the values of all ``parts`` to level numbers, number of levels, and what is to be
    said."""
    if all(part.dtype == np.uint8 for part in parts) and any(map(_usual, _each(parts))):
        return 1.0, 0.0, 256, None
    low, high = _ends(parts)
    floats = all(part.dtype.kind == "f" for part in parts)
    if np.isnan(low):
        raise BadInput(f"the images in {name} hold NaN; expected numbers alone")
    if (low, high) in ((0, 1), (0, 255), (-1, 1)) and _two_alone(parts, low, high):
        return 1 / (high - low), -low / (high - low), 2, None if high == 1 else TWO_LEVELS
    if floats and low >= 0 and high <= 1:
        return 255.0, 0.0, 256, "The pixels are floats in [0, 1] and are rounded to 8 bits."
    if floats and -1 <= low <= -0.5 and high <= 1:
        return 127.5, 127.5, 256, "The pixels are floats in [-1, 1], -1 black, and are rounded to 8 bits."
    whole = all(part.dtype.kind != "f" or bool((part == np.floor(part)).all()) for part in _each(parts))
    if not (low >= 0 and high <= 255 and whole):
        cure = f"; divide them by {high:g}" if low >= 0 and high > 255 else ""
        raise BadInput(
            f"the images in {name} hold values from {low:g} to {high:g}; expected floats in [0, 1] or [-1, 1], or "
            f"whole numbers from 0 to 255{cure}"
        )
    if high == 0:
        return 1.0, 0.0, 256, "Every pixel is 0."
    if high < DARK:
        dark = f"The greatest value of a pixel is {high:g} of 255, so the images are dark"
        return 1.0, 0.0, 256, f"{dark}; if {high:g} is white, divide them by it."
    return 1.0, 0.0, 256, None


def _two_alone(parts: Sequence[Array], low: float, high: float) -> bool:
    """Whether there are no other values than ``low`` and ``high``."""
    return all(bool(((part == low) | (part == high)).all()) for part in _each(parts))


def _usual(pixels: Array) -> bool:
    """Whether bytes are neither two values alone nor all dark."""
    return bool(((pixels > 1) & (pixels < 255)).any() and (pixels >= DARK).any())


def _each(parts: Sequence[Array]) -> Iterator[Array]:
    return (chunk for part in parts for chunk in _chunks(part))


def _ends(parts: Sequence[Array]) -> tuple[float, float]:
    """The least and the greatest value of all ``parts``."""
    ends = [(float(chunk.min()), float(chunk.max())) for chunk in _each(parts)]
    return float(np.min([low for low, _ in ends])), float(np.max([high for _, high in ends]))


def _pixels(
    x: Array, scale: float, shift: float, shape: tuple[int, int, int], settings: DataConfig, rows: Any
) -> NDArray[np.uint8]:
    """Level numbers with shape (n, *shape) of ``rows`` of the images ``x`` with shape (n, h, w, c)."""
    from PIL import Image

    x = x[rows]
    x = (x * scale + shift).round().astype(np.uint8) if scale != 1 else x.astype(np.uint8)
    if x.shape[3] == 4 > shape[0]:
        x = laid_over(x, settings.background)
    if x.shape[3] < 4 == shape[0]:
        opaque = np.full((*x.shape[:3], 1), 255, np.uint8)
        x = np.concatenate([np.broadcast_to(x, (*x.shape[:3], 3)) if x.shape[3] == 1 else x, opaque], 3)
    if shape[0] == 1 and x.shape[3] == 3:
        x = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in x])[..., None]
    if x.shape[1:3] != shape[1:]:
        images = (Image.fromarray(image[..., 0] if image.shape[2] == 1 else image) for image in x)
        x = np.stack([np.asarray(fitted(image, *shape[1:], settings.fit)) for image in images])
        x = x[..., None] if x.ndim == 3 else x
    if shape[0] == 4:
        x = covered(x, settings.background)
    return np.broadcast_to(x, (*x.shape[:3], shape[0])).transpose(0, 3, 1, 2)
