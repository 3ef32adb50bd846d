"""Files of rows, which other programs read: tables of named columns, and arrays."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.files import writing

Cell = float | int | str | bool | None
Rows = Iterable[Sequence[Cell]]
"""Rows of cells, as many as there are columns in each."""

GROUP = 10_000
"""Rows that are put into a Parquet file at once."""


def write_table(path: Path, columns: Sequence[str], rows: Rows) -> Path:
    """Write ``rows`` below the names of their ``columns``, in the form that the end of ``path`` asks for.

    Rows are written as they come. A CSV file has an empty cell, and JSON null, where there is no value.
    """
    with writing(path) as file:
        TABLES[path.suffix.lower()](file, columns, rows)
    return path


def write_csv(text: TextIO, columns: Sequence[str], rows: Rows, delimiter: str = ",") -> None:
    """Write ``rows`` into an open file, or to standard output."""
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _separated(delimiter: str) -> Callable[[IO[bytes], Sequence[str], Rows], None]:
    def write(file: IO[bytes], columns: Sequence[str], rows: Rows) -> None:
        text = TextIOWrapper(file, "utf-8", newline="")
        write_csv(text, columns, rows, delimiter)
        text.flush()
        text.detach()

    return write


def _lines(file: IO[bytes], columns: Sequence[str], rows: Rows) -> None:
    for row in rows:
        file.write(_object(columns, row) + b"\n")


def _list(file: IO[bytes], columns: Sequence[str], rows: Rows) -> None:
    before = b"[\n"
    for row in rows:
        file.write(before + _object(columns, row))
        before = b",\n"
    file.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _object(columns: Sequence[str], row: Sequence[Cell]) -> bytes:
    """A row as a JSON object; what is no finite number is null, for JSON has no other."""
    values = (None if isinstance(v, float) and not isfinite(v) else v for v in row)
    return json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False).encode()


def _parquet(file: IO[bytes], columns: Sequence[str], rows: Rows) -> None:
    require_parquet()
    import pyarrow
    from pyarrow import parquet

    rows = iter(rows)
    with ExitStack() as open_:
        schema = writer = None
        while (group := list(islice(rows, GROUP))) or writer is None:
            cells = zip(*group, strict=True) if group else ([] for _ in columns)
            table = pyarrow.table(dict(zip(columns, map(list, cells), strict=True)), schema=schema)
            if writer is None:
                schema = table.schema
                writer = open_.enter_context(parquet.ParquetWriter(file, schema))
            writer.write_table(table)


def require_parquet() -> None:
    """Raise BadInput unless Parquet files can be written."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise BadInput("a Parquet file takes pyarrow; type: pip install 'genwerk[parquet]'") from None


TABLES: Mapping[str, Callable[[IO[bytes], Sequence[str], Rows], None]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".json": _list,
    ".jsonl": _lines,
    ".parquet": _parquet,
}
"""What writes a table, by the end of its name."""


# --- arrays -----------------------------------------------------------------------------------------------------------


def write_array(path: Path, parts: Iterable[Tensor], n: int) -> Path:
    """Write ``n`` rows of any shape, a part after the other, as an .npy file, or as the array ``x`` of an .npz file."""
    with writing(path) as file, ExitStack() as inner:
        entry: IO[bytes] = file
        if path.suffix.lower() == ".npz":
            archive = inner.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED))
            entry = inner.enter_context(archive.open("x.npy", "w", force_zip64=True))
        headed = False
        for part in parts:
            values = _array(part)
            if not headed:
                about: dict[str, Any] = {"descr": values.dtype.str, "fortran_order": False}
                np.lib.format.write_array_header_2_0(entry, about | {"shape": (n, *values.shape[1:])})
                headed = True
            entry.write(values.tobytes())
    return path


ARRAYS = (".npz", ".npy")
"""Ends of the names of files that hold an array."""


def _array(values: Tensor) -> NDArray[Any]:
    values = values.detach().cpu()
    return np.ascontiguousarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())
