"""The five tables of the density-estimation literature: POWER, GAS, HEPMASS, MINIBOONE and BSDS300.

Prepared as by George Papamakarios, Theo Pavlakou and Iain Murray, "Masked Autoregressive Flow for Density Estimation",
2017, arXiv:1705.07057, appendix D, and by their code (github.com/gpapamak/maf), whose figures nearly every later paper
quotes. The files are the user's own: those of the UCI repository, or those the authors distribute
(doi.org/10.5281/zenodo.1161203); BSDS300, patches of photographs, comes from the authors alone.

The code decides where it and the words of the paper differ, for it made the figures:

* A column of HEPMASS and MINIBOONE is removed for its repeated values when its least value occurs more than five times;
  the other values are not counted.
* GAS is standardised by all rows, the test part among them; HEPMASS, POWER and MINIBOONE by training and validation
  rows. GAS and HEPMASS divide by n - 1 in the variance, POWER and MINIBOONE by n.

Done differently: the authors' GAS is a pickle of a quarter of the rows, drawn without a published seed. A pickle can
run any code, so it is refused, and a quarter is drawn here from the text of the UCI repository: the same distribution,
not the same rows. POWER's text has whole minutes, to which the authors added noise before they saved data.npy; here
that noise has a seed of our own.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadInput
from genwerk.core.memory import afford
from genwerk.data.columns import table_found
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

Rows = NDArray[np.float64]

VALIDATION = "-val"
"""What is added to a set's name to hold out its validation rows instead of its test rows."""
SEED = 42
"""Seed of POWER's order and noise, as published, and of what has no published seed: the rows are always the same."""
CHUNK = 50_000
"""Lines of HEPMASS that are read at a time."""


@dataclass(frozen=True)
class Prepared:
    """The three parts of a set after its preprocessing, each with shape (n, d)."""

    train: Rows
    validation: Rows
    test: Rows
    columns: tuple[str, ...]
    how: str
    """What was done, as the end of a sentence."""


@dataclass(frozen=True)
class Published:
    """A set as the paper describes it, and what makes it from a file."""

    files: tuple[str, ...]
    """Names under which it is distributed."""
    columns: int
    rows: tuple[int, int, int]
    """Training, validation and test rows."""
    prepare: Callable[[Path], Prepared]


def is_uci(source: str) -> bool:
    """Whether ``source`` names one of the sets, as in power:PATH or power-val:PATH."""
    name, colon, _ = source.partition(":")
    return bool(colon) and name.removesuffix(VALIDATION) in SETS


def open_uci(source: str, path: Path, settings: DataConfig) -> Found:
    """The set that ``source``, NAME:PATH or NAME-val:PATH, names; ``path`` is a file or a folder that holds it.

    Training rows and those that choose a checkpoint are the paper's in both cases. Held out are its test rows, or with
    -val its validation rows, so that what chooses a setting need not be what is reported.
    """
    name = source.partition(":")[0]
    name, choosing = name.removesuffix(VALIDATION), name.endswith(VALIDATION)
    published = SETS[name]
    found = published.prepare(_file(name, path))
    rows, columns = (len(found.train), len(found.validation), len(found.test)), len(found.columns)
    counts = _counted(rows, columns)
    if (rows, columns) == (published.rows, published.columns):
        counts += ", the published numbers."
    else:
        expected = _counted(published.rows, published.columns)
        counts += f"; the paper has {expected}, so figures cannot be set beside its table."
    held = (
        f"Held out are the validation rows, to choose by; report what evaluate finds with ‹data={name}:PATH›."
        if choosing
        else f"Held out are the test rows; to choose settings without them, train on {name}{VALIDATION}:PATH."
    )
    notes = (
        f"{name.upper()} with the published preprocessing (Papamakarios, Pavlakou and Murray, 2017): {found.how}.",
        counts,
        held,
    )
    read = partial(table_found, y=None, test_y=None, columns=found.columns, settings=settings, name=str(path))
    validation = read(found.validation, None)
    result = read(found.train, found.validation if choosing else found.test, notes=notes)
    return replace(
        result,
        validation=validation.train,
        origins={**result.origins, "validation": validation.origins["train"]},
    )


def _counted(rows: tuple[int, int, int], columns: int) -> str:
    return "{:,} training, {:,} validation and {:,} test rows".format(*rows) + f" of {columns} columns"


def missing(source: str) -> BadInput:
    """What is said where there is no path in, or none at the path of, ``source``."""
    name, _, place = source.partition(":")
    name = name.removesuffix(VALIDATION)
    files = " or ".join(SETS[name].files)
    if not place:
        return BadInput(f"the path of {name.upper()} is missing; type ‹data› {name}:PATH, the place of {files}")
    return BadInput(f"there is no {place} for {name.upper()}; expected {files}, or the folder that holds it")


def _file(name: str, path: Path) -> Path:
    """The file of the set ``name``: ``path`` itself, or what lies in that folder or in its sub-folder of that name."""
    files = SETS[name].files
    expected = " or ".join(files)
    if path.is_dir():
        folders = [path, path / name, path / name.upper()]
        there = [folder / file for folder in folders for file in files if (folder / file).is_file()]
        there += [file for folder in folders for file in sorted(folder.glob("*.pickle"))]
        if not there:
            raise ValueError(f"{path} holds no {expected}; name the file of {name.upper()} itself or its folder")
        path = there[0]
    if path.suffix in (".pickle", ".pkl"):
        raise ValueError(
            f"{path} is a pickle, which can run any code when it is opened; give {expected}, or save a pickled table "
            "that you trust with numpy.save('table.npy', pandas.read_pickle(FILE).to_numpy()) and give that"
        )
    return path


# --- The five ---------------------------------------------------------------------------------------------------------


def _power(path: Path) -> Prepared:
    """Household electricity: rows in an order of seed 42, noise as wide as a column's last digit, standardised."""
    made = path.suffix == ".npy"
    rows = _array(path, (8,)) if made else _household(path)
    rng = np.random.RandomState(SEED)
    rows = rows[rng.permutation(len(rows))][:, (0, 2, 4, 5, 6, 7)]
    rows[:, 1] += 0.01 * rng.rand(len(rows))
    rows[:, 0] += 0.001 * rng.rand(len(rows))
    rows[:, 2:5] += rng.rand(len(rows), 3)
    columns = ("active power", "voltage", "sub-metering 1", "sub-metering 2", "sub-metering 3", "minute of the day")
    how = f"reactive power and intensity dropped, rows shuffled and uniform noise added with seed {SEED}" + (
        "" if made else " (of the noise on the minute, the seed is our own)"
    )
    return _standardised(_cut(rows, path), columns, how, path)


def _household(path: Path) -> Rows:
    """household_power_consumption.txt as the authors' eight columns; rows with a missing value (?) are left out."""
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline().strip().split(";")
        if len(header) != 9:
            raise ValueError(f"{path} has {len(header)} columns separated by ';'; expected the 9 of the UCI repository")
        lines = (line.replace(":", ";") for line in file if "?" not in line)
        table = _numbers(lines, path, delimiter=";", usecols=(1, 2, *range(4, 11)))
    minute = 60 * table[:, 0] + table[:, 1] + np.random.default_rng(SEED).random(len(table))
    return np.column_stack([table[:, 2:], minute])


def _gas(path: Path) -> Prepared:
    """Sixteen chemical sensors: of those that correlate above 0.98 all but the last are dropped, the first first."""
    if path.suffix == ".npy":
        readings, drawn = _array(path, (16, 19))[:, -16:], ""
    else:
        with path.open(encoding="utf-8", errors="replace") as file:
            file.readline()
            width = len(file.readline().split())
        if width != 19:
            raise ValueError(f"{path} has {width} columns; expected 19: the time, two gases and sixteen sensors")
        readings = _numbers(path, path, skiprows=1, usecols=range(3, 19))
        order = np.random.default_rng(SEED).permutation(len(readings))
        readings = readings[order[: round(len(readings) / 4)]]
        drawn = "a quarter of the rows drawn with a seed of our own, "
    kept = _uncorrelated(readings, 0.98)
    how = f"{drawn}time and gases dropped, and all but one of sensors that correlate above 0.98"
    columns = [f"sensor {i + 1}" for i in kept]
    return _standardised(_cut(readings[:, kept], path), columns, how, path, by=3, ddof=1)


def _uncorrelated(x: Rows, limit: float) -> list[int]:
    """Columns left when the first that correlates with another above ``limit`` is dropped, until there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        close = np.atleast_2d(np.corrcoef(x, rowvar=False) > limit)
    np.fill_diagonal(close, False)
    kept = list(range(x.shape[1]))
    while twins := [i for i in kept if close[i, kept].any()]:
        kept.remove(twins[0])
    return kept


def _hepmass(path: Path) -> Prepared:
    """Collisions with a particle of mass 1000: signal alone, from the first tenth of the published rows.

    The test file has one column more than the training file, its last, which is left out.
    """
    train_file, test_file = (path.with_name(re.sub("train|test", part, path.name)) for part in ("train", "test"))
    if train_file == test_file or not (train_file.is_file() and test_file.is_file()):
        raise ValueError(f"{path.parent} lacks a file of HEPMASS; expected both 1000_train.csv and 1000_test.csv in it")
    signal, names = _signal(train_file, 700_000)
    test, test_names = _signal(test_file, 350_000)
    if len(test_names) < len(names):
        raise ValueError(f"{test_file} has {len(test_names)} columns; expected the {len(names)} of {train_file.name}")
    kept = np.flatnonzero(~_repeated(signal))
    signal, test = signal[:, kept], test[:, kept]
    validation = max(int(0.1 * len(signal)), 1)
    parts = (signal[:-validation], signal[-validation:], test)
    how = "signal of the first 700,000 training and 350,000 test rows, columns of repeated values dropped"
    return _standardised(parts, [names[i] for i in kept], how, path, ddof=1)


def _signal(path: Path, most: int) -> tuple[Rows, list[str]]:
    """Rows of class 1 among the first ``most``, with shape (n, d), and the names of their columns."""
    parts, left = [], most
    try:
        with _open(path) as file:
            names = [name.strip() for name in file.readline().lstrip("# ").rstrip().split(",")]
            if len(names) not in (28, 29):
                raise ValueError(f"{path} has {len(names)} columns; expected a header of label and 27 or 28 features")
            while left and (lines := list(islice(file, min(CHUNK, left)))):
                rows = _numbers(lines, path, delimiter=",", usecols=range(len(names)))
                parts.append(rows[rows[:, 0] == 1, 1:])
                left -= len(lines)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); download it again") from None
    signal = np.concatenate(parts) if parts else np.empty((0, len(names) - 1))
    if len(signal) < 2:
        raise ValueError(f"{path} holds {len(signal)} rows of signal (label 1); expected two or more")
    return signal, names[1:]


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")


def _miniboone(path: Path) -> Prepared:
    """Electron neutrinos alone, without events whose first value says that nothing was measured (-999)."""
    if path.suffix == ".npy":
        rows = _array(path, (43,))
        columns = [f"column {i + 1}" for i in range(43)]
    else:
        with path.open(encoding="utf-8", errors="replace") as file:
            counts = file.readline().split()
            width = len(file.readline().split())
        if len(counts) != 2 or not all(count.isdecimal() for count in counts) or width != 50:
            raise ValueError(
                f"{path} begins with {len(counts)} cells above {width} columns; expected the two counts and 50 columns "
                "of MiniBooNE_PID.txt"
            )
        rows = _numbers(path, path, skiprows=1, max_rows=int(counts[0]))
        rows = rows[rows[:, 0] >= -100]
        kept = np.flatnonzero(~_repeated(rows))
        rows, columns = rows[:, kept], [f"column {i + 1}" for i in kept]
    how = "signal without outliers, columns of repeated values dropped"
    return _standardised(_cut(rows, path), columns, how, path)


def _bsds300(path: Path) -> Prepared:
    """Patches of 8x8 grey pixels of photographs, their mean subtracted and the last pixel dropped, by the authors."""
    try:
        import h5py
    except ImportError:
        raise ValueError(f"reading {path} needs h5py; type: pip install 'genwerk[hdf5]'") from None
    try:
        with h5py.File(path, "r") as file:
            parts = [file.get(part) for part in ("train", "validation", "test")]
            if not all(isinstance(part, h5py.Dataset) for part in parts):
                raise ValueError(f"{path} holds {', '.join(file) or 'nothing'}; expected train, validation and test")
            train, validation, test = (_wide(part[()], path, (63,)) for part in parts)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(f"{path} is not a whole HDF5 file; give the authors' BSDS300.hdf5") from None
    columns = tuple(f"pixel {i + 1}" for i in range(63))
    return Prepared(train, validation, test, columns, "patches as distributed, their mean subtracted")


# --- What they share --------------------------------------------------------------------------------------------------


def _repeated(x: Rows) -> NDArray[np.bool_]:
    """Which columns are dropped for repeated values: their least value occurs more than five times."""
    dropped: NDArray[np.bool_] = (x == x.min(0)).sum(0) > 5
    return dropped


def _cut(rows: Rows, path: Path) -> tuple[Rows, Rows, Rows]:
    """Training, validation and test rows: the last tenth is for testing, of the rest the last tenth for validation."""
    test = int(0.1 * len(rows))
    validation = int(0.1 * (len(rows) - test))
    if validation == 0:
        raise ValueError(f"{path} has {len(rows)} rows to prepare; expected 11 or more, to be cut into three parts")
    return rows[: -test - validation], rows[-test - validation : -test], rows[-test:]


def _standardised(
    parts: tuple[Rows, Rows, Rows],
    columns: Sequence[str],
    how: str,
    path: Path,
    *,
    by: Literal[2, 3] = 2,
    ddof: int = 0,
) -> Prepared:
    """The parts less the mean of the first ``by`` of them, over their standard deviation (of n - ``ddof``)."""
    rows = np.concatenate(parts[:by])
    mean, std = rows.mean(0), rows.std(0, ddof=ddof)
    if not std.all():
        name = columns[int((std == 0).argmax())]
        raise ValueError(f"the column {name!r} of {path} never changes and cannot be standardised; is the file whole?")
    train, validation, test = ((part - mean) / std for part in parts)
    how += f", standardised by {'training and validation' if by == 2 else 'all'} rows"
    return Prepared(train, validation, test, tuple(columns), how)


def _array(path: Path, widths: Sequence[int]) -> Rows:
    """The rows of an .npy file that must have one of ``widths`` columns."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy reads the header as a Python literal, so a damaged one may raise anything
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ValueError(
            f"{path} is not a whole .npy file of numbers ({reason}); save it again with numpy.save"
        ) from None
    return _wide(rows, path, widths)


def _wide(rows: Any, path: Path, widths: Sequence[int]) -> Rows:
    """``rows`` in float64 with shape (n, d), d being one of ``widths`` and every value finite."""
    if rows.ndim != 2 or rows.shape[1] not in widths or rows.dtype.kind not in "iuf":
        expected = " or ".join(map(str, widths))
        raise ValueError(
            f"{path} holds {rows.dtype} of shape {rows.shape}; expected numbers in {expected} columns, a row an example"
        )
    afford(8 * rows.size, str(path), "take fewer rows")
    return _finite(np.array(rows, np.float64), path)


def _numbers(lines: Iterable[str] | Path, path: Path, **options: Any) -> Rows:
    """The numbers of a text, with shape (n, d) and every one finite."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a text without rows, which is refused below
            rows = np.loadtxt(lines, np.float64, comments=None, ndmin=2, **options)
    except ValueError as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ValueError(f"{path} cannot be read as a table of numbers ({reason}); is the file whole?") from None
    if not rows.size:
        raise ValueError(f"{path} holds no rows of numbers; is the file whole?")
    return _finite(rows, path)


def _finite(rows: Rows, path: Path) -> Rows:
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(
            f"{path} holds {rows[row, column]} in its column {column + 1} of those read; expected finite numbers"
        )
    return rows


SETS = {
    "power": Published(("data.npy", "household_power_consumption.txt"), 6, (1_659_917, 184_435, 204_928), _power),
    "gas": Published(("ethylene_CO.txt", "gas.npy"), 8, (852_174, 94_685, 105_206), _gas),
    "hepmass": Published(("1000_train.csv", "1000_train.csv.gz"), 21, (315_123, 35_013, 174_987), _hepmass),
    "miniboone": Published(("data.npy", "MiniBooNE_PID.txt"), 43, (29_556, 3_284, 3_648), _miniboone),
    "bsds300": Published(("BSDS300.hdf5",), 63, (1_000_000, 50_000, 250_000), _bsds300),
}
"""The sets by name; rows as in the paper's table of data sets."""
