"""Tables and arrays, read back by other programs."""

from __future__ import annotations

import csv
import json
import sys
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import torch

from genwerk.core.errors import BadInput
from genwerk.core.tensors import cells
from genwerk.modalities.rows import TABLES, write_array, write_table

COLUMNS = ("name", "age", "ill")
ROWS: list[tuple[str, float | None, bool]] = [('Ada, "the first"', 36.5, True), ("Žofie", None, False)]


@pytest.mark.parametrize("end", TABLES)
def test_a_table_comes_back(tmp_path: Path, end: str) -> None:
    path = write_table(tmp_path / f"new folder/t{end}", COLUMNS, iter(ROWS))
    if end == ".parquet":
        from pyarrow import parquet

        found = parquet.read_table(path).to_pylist()
    elif end in (".csv", ".tsv"):
        text = path.read_text("utf-8")
        assert "\r" not in text
        found = list(csv.DictReader(text.splitlines(), delimiter="," if end == ".csv" else "\t"))
        assert found[1] == {"name": "Žofie", "age": "", "ill": "False"}
        found[0]["age"], found[0]["ill"] = float(found[0]["age"]), found[0]["ill"] == "True"
        found[1] = dict(zip(COLUMNS, ROWS[1], strict=True))
    else:
        text = path.read_text("utf-8")
        found = json.loads(text) if end == ".json" else [json.loads(line) for line in text.splitlines()]
    assert found == [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize("end", TABLES)
def test_a_table_may_have_no_rows_and_numbers_that_are_none(tmp_path: Path, end: str) -> None:
    assert write_table(tmp_path / f"empty{end}", COLUMNS, []).is_file()
    path = write_table(tmp_path / f"t{end}", ("x",), [[nan], [inf]])
    if end == ".json":
        assert json.loads(path.read_text()) == [{"x": None}, {"x": None}]
        assert json.loads((tmp_path / "empty.json").read_text()) == []


def test_parquet_is_written_in_groups_of_one_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    monkeypatch.setattr("genwerk.modalities.rows.GROUP", 2)
    path = write_table(tmp_path / "t.parquet", ("a", "b"), ([i, i / 2] for i in range(5)))
    assert parquet.ParquetFile(path).num_row_groups == 3
    assert parquet.read_table(path).to_pydict() == {"a": [0, 1, 2, 3, 4], "b": [0, 0.5, 1, 1.5, 2]}


def test_without_pyarrow_it_is_said_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadInput, match=r"pip install 'genwerk\[parquet\]'"):
        write_table(tmp_path / "t.parquet", ("a",), [[1]])
    assert not list(tmp_path.iterdir())


def test_arrays_come_back_in_their_shape(tmp_path: Path) -> None:
    x = torch.arange(24.0).reshape(4, 2, 3)
    parts = [x[:3], x[3:]]
    np.testing.assert_array_equal(np.load(write_array(tmp_path / "x.npy", parts, 4)), x.numpy())
    np.testing.assert_array_equal(np.load(write_array(tmp_path / "x.npz", parts, 4))["x"], x.numpy())
    assert list(cells(parts)) == x.flatten(1).tolist()
