"""Parquet files and data sets of the Hugging Face hub, both as Arrow tables with the hub's description of columns."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from genwerk.core.errors import BadInput, NoColumn
from genwerk.core.files import parse_json
from genwerk.core.memory import afford
from genwerk.data.columns import rounding_note, table_found
from genwerk.data.content import as_numbers
from genwerk.data.dataset import Skipped
from genwerk.data.images import CAPTIONS, Listing, open_pictures
from genwerk.data.labels import continuous, label_column, labelled, names
from genwerk.data.parts import Found
from genwerk.data.picture import Picture
from genwerk.data.settings import DataConfig
from genwerk.data.tables import part_files
from genwerk.data.texts import columns_found

if TYPE_CHECKING:
    import pyarrow

INDEX = re.compile(r"__index_level_\d+__")
"""How pandas calls an index that it stores as a column."""
ROWS = 1024
"""Rows decoded at a time, before it is asked whether there is memory for more."""

ALLOW = "GENWERK_HUB"
"""The environment variable that lets a run folder name data on the hub, which are loaded when they are needed."""


def allow(source: str) -> None:
    """Refuse ``source``, which a run folder names and nobody typed, where it would be loaded from the hub."""
    if source.startswith("hf:") and not os.environ.get(ALLOW):
        raise BadInput(
            f"the run's data are {source}, and what a folder names is loaded from the hub only where you say so; set "
            f"{ALLOW}=1 in the environment, or name data yourself with ‹data› or ‹input›"
        )


def open_parquet(path: Path, settings: DataConfig) -> Found:
    """A parquet file, or a folder of train*.parquet and test*.parquet."""
    train_files, test_files = part_files(path, ".parquet")
    train, test = _read(path, train_files), _read(path, test_files) if test_files else None
    stamp = max(f.stat().st_mtime_ns for f in train_files + test_files)
    return tables_found(train, test, settings, name=str(path), stamp=stamp)


def parquet_columns(path: Path) -> dict[str, list[Any]]:
    """The columns of numbers and of text in a parquet file, by name; labels that have names by these."""
    import pyarrow.types as types

    table = _read(path, [path])
    flat = [f.name for f in table.schema if not types.is_nested(f.type) and not _is_image(f.type)]
    return {name: _labels(table, name) for name in flat if not INDEX.fullmatch(name)}


def _read(path: Path, files: Sequence[Path]) -> pyarrow.Table:
    """The tables of ``files``, which ``path`` means, one below the other."""
    try:
        import pyarrow
        import pyarrow.parquet as pq
    except ImportError:
        raise BadInput(f"reading {path} needs pyarrow; type: pip install 'genwerk[parquet]'") from None

    def pieces(file: Path) -> list[pyarrow.Table]:
        """The table of a file in pieces; a packed file can be a thousandth of what it holds."""
        opened, taken = pq.ParquetFile(file), 0
        found = [opened.schema_arrow.empty_table()]
        afford(8 * opened.metadata.num_rows * len(_numeric(opened.schema_arrow)), str(file), "take fewer rows")
        for batch in opened.iter_batches(ROWS):
            taken += batch.nbytes
            afford(taken, str(file), "take fewer rows")
            found.append(pyarrow.Table.from_batches([batch]))
        return found

    try:
        return pyarrow.concat_tables([table for f in files for table in pieces(f)])
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise BadInput(f"{path} cannot be read as parquet ({reason}); write the file again") from None


def open_hub(name: str, settings: DataConfig) -> Found:
    """The data set ``hf:NAME`` or ``hf:NAME:CONFIG`` of the hub, which the datasets library downloads and keeps."""
    try:
        import datasets
    except ImportError:
        raise BadInput(f"opening hf:{name} needs the datasets library; type: pip install 'genwerk[hub]'") from None
    repository, _, config = name.partition(":")
    try:
        found = datasets.load_dataset(repository, config or None)
    except Exception as error:  # whatever the network, the hub or the library has to say
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadInput(f"hf:{name} cannot be opened ({reason}); check the name at huggingface.co/datasets") from None
    test = next((t for t in ("test", "validation", "valid", "val") if t in found), None)
    train = "train" if "train" in found else next((s for s in found if s != test), test)
    tables = [
        found[s].with_format("arrow")[:] if s is not None else None for s in (train, test if test != train else None)
    ]
    return tables_found(tables[0], tables[1], settings, name=f"hf:{name}", stamp=0)


def tables_found(
    train: pyarrow.Table, test: pyarrow.Table | None, settings: DataConfig, *, name: str, stamp: int
) -> Found:
    """Images where a column holds image files, else a table of the columns of numbers."""
    tables = [train] if test is None else [train, test]
    if any(t.schema.names != train.schema.names for t in tables):
        raise BadInput(f"training and test part of {name} have different columns; expected the same")
    if not all(len(t) for t in tables):
        raise BadInput(f"{name} has a part without rows; expected at least one example")
    if settings.text:
        return columns_found([{c: _labels(t, c) for c in t.schema.names} for t in tables], settings, name=name)
    columns = [column for column in train.schema.names if not INDEX.fullmatch(column)]
    if len(set(columns)) < len(columns):
        raise BadInput(f"{name} has several columns of one name; give each a name of its own")
    if settings.label != "label" and settings.label not in columns:
        raise NoColumn(
            f"{name} has no column {settings.label!r} for ‹data.label›; its columns are {', '.join(columns)}", "label"
        )
    label = label_column(settings.label, columns)
    labels = [names(_labels(t, label)) if label in columns else None for t in tables]
    notes = ("The index that pandas stored is left out.",) * (len(columns) < len(train.schema.names))
    if labels[0] is not None and continuous(labels[0]):
        if settings.label != "label":
            raise BadInput(
                f"the column {settings.label!r} of {name} holds measured numbers, not classes; leave out "
                "‹data.label›, or tell a model the number with ‹data.covariates›"
            )
        notes += (f"The column {label!r} holds measured numbers, not classes, so it is a column like the others.",)
        labels = [None for _ in tables]
    elif labels[0] is not None and labelled(labels[0]):
        notes += (f"The column {label!r} gives the classes.",)
    image = next((f.name for f in train.schema if _is_image(f.type)), None)
    if image is None:
        if settings.group and settings.group not in columns:
            raise BadInput(
                f"{name} has no column {settings.group!r} for ‹data.group›; its columns are {', '.join(columns)}"
            )
        if settings.group:
            tables = [_coded(t, settings.group) for t in tables]
        numbers = tuple(c for c in columns if labels[0] is None or c != label)
        values = [_numbers(t, numbers, name) for t in tables] + [None]
        notes += _rounded(train, numbers)
        return table_found(
            values[0],
            values[1],
            labels[0],
            labels[1] if test is not None else None,
            numbers,
            settings,
            name=name,
            header=columns,
            notes=notes,
        )

    caption = next((c for c in CAPTIONS if c in columns), None)
    parts = [
        _pictures(part, table[image], classes, table[caption].to_pylist() if caption else None, stamp)
        for part, table, classes in zip(("train", "test"), tables, labels, strict=False)
    ]
    unlabelled = [p.name for part in parts if any(p.label for p in part) for p in part if p.label is None]
    kept = [[p for p in part if p.label is not None or not any(p.label for p in part)] for part in parts]
    listing = Listing(name=name, train=kept[0], test=kept[1] if len(kept) > 1 else (), notes=notes)
    found = open_pictures(listing, settings)
    return replace(found, skipped=(*found.skipped, *(Skipped(row, "it has no label") for row in unlabelled)))


def _coded(table: pyarrow.Table, group: str) -> pyarrow.Table:
    """``table`` with numbers in its column ``group``, which may hold anything."""
    import pyarrow

    numbers = as_numbers([str(value) for value in table[group].to_pylist()])
    return table.set_column(table.schema.names.index(group), group, pyarrow.array(numbers))


def _pictures(
    part: str, cells: Any, labels: Sequence[object] | None, captions: list[str | None] | None, stamp: int
) -> list[Picture]:
    """The image files in ``cells``, a column of bytes or of the hub's structs, with what belongs to each."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    files = pc.struct_field(cells, "bytes") if types.is_struct(cells.type) else cells
    return [
        Picture(
            f"{part} row {i + 1}",
            partial(_open_cell, files, i),
            size=size or 0,
            stamp=stamp,
            label=labels[i] if labels else None,
            caption=captions[i] if captions else None,
        )
        for i, size in enumerate(pc.binary_length(files).to_pylist())
    ]


def _is_image(kind: Any) -> bool:
    """Whether a column of this Arrow type holds image files: bytes, or the hub's struct of bytes and path."""
    import pyarrow.types as types

    if types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _open_cell(files: Any, row: int) -> IO[bytes]:
    content = files[row].as_py()
    if content is None:
        raise BadInput("its cell holds no bytes")
    return io.BytesIO(content)


def _labels(table: pyarrow.Table, label: str) -> list[object]:
    """The labels of the rows, by name where the hub's description has names; None where a row has none."""
    described = parse_json((table.schema.metadata or {}).get(b"huggingface", b"{}"), "the hub's description")
    called: object = described
    for key in ("info", "features", label, "names"):
        called = called.get(key) if isinstance(called, dict) else None
    values: list[object] = table[label].to_pylist()
    if not isinstance(called, list):
        return values
    return [called[v] if isinstance(v, int) and 0 <= v < len(called) else None for v in values]


def _numbers(table: pyarrow.Table, names: Sequence[str], name: str) -> Any:
    """The columns ``names`` as an array with shape (n, d)."""
    numeric = _numeric(table.schema)
    for column in names:
        if column not in numeric:
            kind = table.schema.field(column).type
            raise BadInput(
                f"the column {column!r} of {name} holds {kind}; expected images, numbers, or class names in the "
                "column that ‹data.label› names (where they are texts to learn, name them by ‹data.text›)"
            )
    if not names:
        raise BadInput(f"{name} has no column beside the labels; expected at least one of numbers or images")
    return np.stack([table[c].to_numpy().astype(np.float64) for c in names], axis=1)


def _numeric(schema: pyarrow.Schema) -> list[str]:
    """The columns that hold numbers."""
    import pyarrow.types as types

    kinds = (types.is_integer, types.is_floating, types.is_boolean)
    return [field.name for field in schema if any(kind(field.type) for kind in kinds)]


def _rounded(table: pyarrow.Table, names: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each column of whole numbers that float64 rounds."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    wide = [
        c for c in names if types.is_int64(table.schema.field(c).type) or types.is_uint64(table.schema.field(c).type)
    ]
    exact = {c: pc.unique(table[c]).drop_null().to_numpy() for c in wide}
    return tuple(
        note
        for column, values in exact.items()
        for note in rounding_note(column, len(values), len(np.unique(values.astype(np.float64))))
    )
