"""Tables: .csv and .parquet, and data sets of the hub, with every bad cell named."""

import gzip
import io
import json
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from genwerk.core import memory
from genwerk.data import DataConfig, open_data
from genwerk.data.dataset import PARTS
from genwerk.data.tables import read_csv

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


# --- csv ------------------------------------------------------------------------------------------------------------


def table(path, text, label="label"):
    path.write_text(text, encoding="utf-8")
    return read_csv(path, label)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_header_labels_and_delimiters(tmp_path, mark):
    got = table(tmp_path / "a.csv", "\ufeffweight,label,height\n1.5,cat,2\n\n-3e2,dog,.5\n".replace(",", mark))
    assert got.columns == ("weight", "height")
    assert got.labels == ["cat", "dog"]
    assert got.values.tolist() == [[1.5, 2.0], [-300.0, 0.5]]


def test_without_header_columns_are_numbered(tmp_path):
    got = table(tmp_path / "a.csv", "5.1,3.5,setosa\n4.9,3.0,virginica\n", label="column 3")
    assert got.columns == ("column 1", "column 2")
    assert got.labels == ["setosa", "virginica"]


def test_class_numbers_are_sorted_as_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("v,label\n" + "".join(f"{i},{i}\n" for i in (10, 9, 2)))
    assert open_data(DataConfig(source=str(tmp_path / "a.csv"))).spec.classes == ("2", "9", "10")


@pytest.mark.parametrize(
    "text, words",
    [
        ("a,b\n1,2\n3,\n", "line 3, column 'b'.*holds ''"),
        ("a,b\n1,2\nnan,4\n", "line 3, column 'a'.*'nan'"),
        ("a,b\n1,inf\n", "line 2, column 'b'.*'inf'"),
        ("a,b\n1,1e300\n", "line 2, column 'b'"),
        ("a,b\n1,2\n\n3\n", "line 4 .*1 cell .*expected 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 .*3 cells"),
        ("a,b\n1,two\n", "'two'.*data.label"),
        ("a,b\n", "no lines below"),
        ("", "empty"),
        ("\n\n", "empty"),
        ("label\ncat\n", "no column beside"),
    ],
)
def test_a_bad_table_is_named_by_line_and_column(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        table(tmp_path / "a.csv", text)


def test_an_unknown_label_column_lists_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'kind'.*a, b"):
        table(tmp_path / "a.csv", "a,b\n1,2\n", label="kind")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a,sex\n1,F\n2,M\n3,F\n4,\n", "sex"),
        ("a,eye colour\n1,blue\n2,blue\n", "'eye colour'"),
        ("a,name\n1,Ann\n2,Bob\n", None),
        ("a,sex,city\n1,F,Rome\n2,F,Rome\n", None),
        ("a,b\n1,2\n2,x\n3,x\n4,x\n", None),
        ("a,day\n1,2020-01-02\n2,2020-01-02\n", None),
        ("a,sex,label\n1,F,x\n2,F,y\n", None),
    ],
)
def test_one_column_of_few_texts_is_offered_as_the_labels(tmp_path, text, label):
    with pytest.raises(ValueError, match="holds") as refused:
        table(tmp_path / "a.csv", text)
    assert ("add data.label" in str(refused.value)) == (label is not None)
    assert label is None or f"add data.label {label}," in str(refused.value)


def test_bytes_that_are_no_text_are_one_sentence(tmp_path):
    (tmp_path / "a.csv").write_bytes("größe,b\n1,2\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        open_data(DataConfig(source=str(tmp_path / "a.csv")))


def test_a_folder_of_train_and_test_tables(tmp_path):
    (tmp_path / "train.csv").write_text("a,label\n1,x\n2,y\n3,x\n")
    (tmp_path / "test.csv").write_text("a,label\n4,y\n")
    splits = open_data(DataConfig(source=str(tmp_path), validation=0))
    assert splits.train.x.tolist() == [[1], [2], [3]]
    assert splits.test.condition.tolist() == [1]
    (tmp_path / "test.csv").write_text("b,label\n4,y\n")
    with pytest.raises(ValueError, match="different columns"):
        open_data(DataConfig(source=str(tmp_path)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.text(alphabet='01.,;\n"anie-+ \r\0', max_size=40).map(str.encode), st.binary(max_size=40)))
def test_any_bytes_are_a_finite_table_or_a_value_error(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    complaint = ""
    try:
        splits = open_data(DataConfig(source=str(tmp_path / "a.csv")))
    except ValueError as error:
        complaint = str(error)
    assert "a.csv" in complaint if complaint else torch.isfinite(splits.train.x).all()


# --- Forms of text --------------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(40, 2)).round(3)


def lines(form="{a},{b}", **options):
    """Forty lines in which a and b are numbers, and i counts."""
    return "".join(form.format(a=a, b=b, i=i, c="xy"[i % 2], **options) + "\n" for i, (a, b) in enumerate(X.tolist()))


@pytest.mark.parametrize(
    "text, columns, said",
    [
        ("0,1\n" + lines(), ("0", "1"), "(0, 1) is taken for the header"),
        ("2019,2020\n" + lines(), ("2019", "2020"), "(2019, 2020) is taken for the header"),
        ("name,2019,2020\n" + lines("{i},{a},{b}"), ("name", "2019", "2020"), "is taken for the header"),
        (lines(), ("column 1", "column 2"), "There is no header"),
        ("1,2\n3,4\n2,9\n7,8\n", ("column 1", "column 2"), "There is no header"),
        (",a,b\n" + lines("{i},{a},{b}"), ("a", "b"), "has no name and tells the rows apart, as an index"),
        (",0,1\n" + lines("{i},{a},{b}"), ("0", "1"), "as an index does; it is left out"),
        ('"",a,b\n' + lines('"car {i}",{a},{b}'), ("a", "b"), "as an index does"),
        ("Unnamed: 0,a,b\n" + lines("{i},{a},{b}"), ("a", "b"), "as an index does"),
        ("index,a\n" + lines("{i},{a}"), ("a",), "'index' numbers the rows from 0"),
        ("a,b,\n" + lines("{a},{b},"), ("a", "b"), "Column 3 has no name and no cell"),
        ("# a,b\n" + lines(), ("a", "b"), ""),
        ("# by me\n# on monday, noon\na,b\n" + lines(), ("a", "b"), "2 lines at the beginning that start with #"),
        ("sep=;\na;b\n" + lines("{a};{b}"), ("a", "b"), ""),
        ('"height, cm";"weight, kg"\n' + lines("{a};{b}"), ("height, cm", "weight, kg"), ""),
        ("  a    b\n" + lines("  {a:8.3f}   {b:8.3f}"), ("a", "b"), ""),
        (lines("{a} {b}"), ("column 1", "column 2"), "There is no header"),
        ("a,label\n" + lines(), ("a", "label"), "'label' holds measured numbers, not classes"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_is_understood_and_what_was_guessed_is_said(tmp_path, text, columns, said, encoding):
    (tmp_path / "a.csv").write_text(text, encoding=encoding)
    got = read_csv(tmp_path / "a.csv", "label")
    assert got.columns == columns
    assert said in " ".join(got.notes)
    assert bool(said) == any(not note.startswith(("Cells are separated", "The text is in")) for note in got.notes)
    if len(got.values) == 40:
        assert got.values[:, 0].tolist() in (X[:, 0].tolist(), list(range(40)))


@pytest.mark.parametrize(
    "cells, classes, rows",
    [
        (["", "x", "y"] * 20, ("x", "y"), 40),
        (["nan", "0", "1"] * 20, ("0", "1"), 40),
        (["NA", "x", "y"] * 20, ("x", "y"), 40),
        (["1", "1.0", "2"] * 20, ("1", "2"), 60),
        (["1.5", "2.5", "2.50"] * 20, ("1.5", "2.5", "2.50"), 60),
        ([" x", "x ", "y"] * 20, ("x", "y"), 60),
    ],
)
def test_what_is_no_label_is_no_class(tmp_path, cells, classes, rows):
    text = "a,label\n" + "".join(f"{i / 7},{cell}\n" for i, cell in enumerate(cells))
    said, splits = about(tmp_path / "a.csv", text, holdout=0)
    assert (splits.spec.classes, len(splits.train)) == (classes, rows)
    assert ("20 of 60 rows have no label and are left out: 1, 4, 7, 10, 13 and more." in said) == (rows == 40)
    assert splits.train.x[0, 0].item() == pytest.approx(1 / 7 if rows == 40 else 0)


def test_labels_that_are_all_missing_or_all_different_are_said(tmp_path):
    said, splits = about(tmp_path / "a.csv", "a,label\n" + lines("{a},"))
    assert splits.spec.classes == ()
    assert "No row has a label" in said
    assert "gives the classes" not in said
    assert "40 classes for 40 rows" in about(tmp_path / "a.csv", "a,label\n" + lines("{a},n{i}"))[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "form, said", [("{};{};{}", "semicolons"), ("{}\t{}\t{}", "tabs"), ('"{}","{}","{}"', "commas")]
)
def test_a_decimal_comma_is_understood_and_said(tmp_path, encoding, form, said):
    lines = [form.format("age", "height, m", "class"), form.format("30", "1,75", "a"), form.format("-1", ",5e1", "b")]
    (tmp_path / "a.csv").write_text("\r\n".join(lines), encoding=encoding)
    got = read_csv(tmp_path / "a.csv", "label")
    assert (got.columns, got.header, got.labels) == (("age", "height, m"), ("age", "height, m", "class"), ["a", "b"])
    assert got.values.tolist() == [[30, 1.75], [-1, 5]]
    assert f"Cells are separated by {said}, and numbers have a decimal comma." in got.notes
    assert ("The text is in UTF-16." in got.notes) == (encoding == "utf-16")


@pytest.mark.parametrize(
    "text, words",
    [
        ("a,a\n1,2\n", "several columns called 'a'"),
        ("a;b\n" + lines("1,234;2,567"), "'1,234'.*no separators of thousands"),
        ("a;b\n" + lines("1,5;2.5"), "'1,5'.*1234,5 between semicolons"),
        ("a;b\n" + lines("1.234,5;2,5"), "'1.234,5'.*no separators of thousands"),
        ("a;b\n" + "1;2\n" + lines("1,5;2") * 3 + "2.5;3\n", "line 123 .*'2.5', and other numbers.*a decimal comma"),
        ('a,b\n"1,234.5",2\n', "'1,234.5'.*no separators"),
        ("a,b\n1,NA\n", "'NA'.*fill the gap"),
        ("a,price\n" + lines(), "'price'.*not classes.*data.covariates"),
    ],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        table(tmp_path / "a.csv", text, label="price" if "price" in text else "label")


@pytest.mark.parametrize("form", ["{n}", "1700000000.{i:09d}"])
def test_values_that_float64_does_not_tell_apart_are_counted(tmp_path, form):
    text = "id,x\n" + "".join(f"{form.format(n=2**60 + i, i=i)},{a}\n" for i, a in enumerate(X[:, 0]))
    assert "'id' has 40 different values, of which float64 tells 1 apart" in about(tmp_path / "a.csv", text)[0]
    near = "id,x\n" + "".join(f"{10**15 + i},{a}\n" for i, a in enumerate(X[:, 0]))
    said, splits = about(tmp_path / "a.csv", near, holdout=0)
    assert "apart" not in said
    assert "more digits than float32 holds: 'id';" in said
    assert sorted(splits.train.x[:, 0].tolist()) == [10**15 + i for i in range(40)]


def test_gzipped_and_tab_separated_tables(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(("a,b\n" + lines()).encode()))
    (tmp_path / "a.tsv").write_text("a\tb\n" + lines("{a}\t{b}"))
    for name in ("a.csv.gz", "a.tsv"):
        assert open_data(DataConfig(source=str(tmp_path / name))).spec.columns == ("a", "b")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(lines().encode())[:-9])
    with pytest.raises(ValueError, match="whole"):
        open_data(DataConfig(source=str(tmp_path / "a.csv.gz")))


def test_amat_is_pictures_of_two_levels(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (30, 16))
    for part in ("train", "valid", "test"):
        np.savetxt(tmp_path / f"binarised_{part}.amat", bits, fmt="%d")
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert (splits.spec.shape, splits.spec.levels) == ((1, 4, 4), 2)
    assert splits.test.x.flatten(1).tolist() == bits.tolist()
    np.savetxt(tmp_path / "rotated.amat", np.c_[bits / 3, np.arange(30) % 3])
    splits = open_data(DataConfig(source=str(tmp_path / "rotated.amat")))
    assert (splits.spec.shape, splits.spec.classes) == ((1, 4, 4), ("0", "1", "2"))
    (tmp_path / "a.amat").write_text("1 0 1 1\n1 0 1\n1 1 1 1 0\n")
    with pytest.raises(ValueError, match="different lengths"):
        open_data(DataConfig(source=str(tmp_path / "a.amat")))


# --- What is said of a table ----------------------------------------------------------------------------------------


def about(path, text, **settings):
    """The notes on a table, in one string, and its data."""
    path.write_text(text)
    splits = open_data(DataConfig(source=str(path), **settings))
    return " ".join(splits.notes), splits


def test_columns_that_never_change_are_named(tmp_path):
    rows = "".join(f"{i / 7},3,{i % 2},-0\n" for i in range(1, 20))
    said, _ = about(tmp_path / "a.csv", "x,y,z,w\n" + rows.replace(",-0", ",1.5"))
    assert "The columns 'y', 'w' never change; a density of them has no meaning" in said
    said, _ = about(tmp_path / "a.csv", "x,y\n" + "1,2\n3,2\n")
    assert "The column 'y' never changes; a density of it has no meaning, so a flow refuses it: leave it out." in said
    said, _ = about(tmp_path / "a.csv", "x,y\n1,2\n3,2.0000002\n")
    assert "never" not in said


def test_one_row_says_nothing_of_its_columns(tmp_path):
    assert "never" not in about(tmp_path / "a.csv", "x,y\n1,2\n")[0]


def test_copies_of_rows_are_counted_with_their_share(tmp_path):
    rows = [f"{i % 30},{i % 30 + 0.25}" for i in range(40)]
    said, _ = about(tmp_path / "a.csv", "\n".join(["x,y", *rows]))
    assert "10 of 40 rows (25.0%) equal others; a likelihood can grow without bound on repeated rows." in said
    assert "copies" not in about(tmp_path / "a.csv", "\n".join(["x,y", *rows[:30]]))[0]


def test_rows_of_the_test_part_that_were_trained_on_are_counted(tmp_path):
    (tmp_path / "train.csv").write_text("a,b\n1,2\n2,2.5\n3,4\n3,4\n")
    (tmp_path / "test.csv").write_text("a,b\n3,4\n1,2\n1,2\n2,1\n")
    notes = " ".join(open_data(DataConfig(source=str(tmp_path))).notes)
    assert "3 of 4 test examples (number 1, number 2, number 3) are copies of training examples" in notes
    assert "1 of 4 rows (25.0%) equal others" in notes
    (tmp_path / "test.csv").write_text("a,b\n2,1\n")
    assert "copies of training" not in " ".join(open_data(DataConfig(source=str(tmp_path))).notes)


def test_columns_of_few_values_and_of_one_frequent_value_are_told(tmp_path):
    rows = "".join(f"{i},{20 + i % 4},{0 if i % 2 else i + 0.5}\n" for i in range(200))
    said, _ = about(tmp_path / "a.csv", "id,age,rain\n" + rows)
    assert "Columns of few values in 200 rows: 'age' 4; a density of discrete values can grow without bound" in said
    assert "Columns with a frequent value, of 200 rows: 'rain' is 0 in 50%" in said
    assert "'id'" not in said.partition("Columns of whole numbers")[0]


def test_a_long_list_of_columns_is_cut(tmp_path):
    head = ",".join(f"c{i}" for i in range(8))
    said, _ = about(tmp_path / "a.csv", head + ("\n" + "1," * 7 + "1") * 3)
    assert "'c0', 'c1', 'c2', 'c3', 'c4' and 3 more never change" in said


# --- Jitter ---------------------------------------------------------------------------------------------------------


def test_jitter_is_uniform_within_one_step_of_the_grid(tmp_path):
    rng = np.random.default_rng(0)
    age, dose, odd = (
        rng.integers(18, 60, 4000),
        rng.choice([0.0, 0.2, 0.5, 1.1], 4000),
        rng.choice([0, 1, 2**0.5], 4000),
    )
    x = rng.normal(size=4000)
    text = "x,age,dose,odd\n" + "\n".join(
        f"{a:.9f},{b},{c},{d:.17g}" for a, b, c, d in zip(x, age, dose, odd, strict=True)
    )
    _, plain = about(tmp_path / "a.csv", text)
    said, noisy = about(tmp_path / "a.csv", text, jitter=True)
    assert "column 'age' (1), 'dose' (0.1) with seed 0" in said
    assert "Column 'odd' lies on no grid" in said
    assert "Columns of few values in 4,000 rows: 'odd' 3;" in said
    for part in ("train", "test"):
        noise = (getattr(noisy, part).x - getattr(plain, part).x).double()
        assert (noise[:, [0, 3]] == 0).all()
        for column, step in ((1, 1.0), (2, 0.1)):
            u = (noise[:, column] / step).sort().values
            ranks = torch.arange(1, len(u) + 1) / len(u)
            assert u[0] >= -1e-4
            assert u[-1] <= 1 + 1e-4
            assert (u - ranks).abs().max() < 1.95 / len(u) ** 0.5  # Kolmogorov and Smirnov, one in a thousand
        assert torch.corrcoef(noise[:, 1:3].T)[0, 1].abs() < 4 / len(noise) ** 0.5


def test_jitter_comes_from_the_seed_and_differs_between_the_parts(tmp_path):
    text = "a\n" + "\n".join(str(i % 3) for i in range(60))
    (tmp_path / "train.csv").write_text(text)
    (tmp_path / "test.csv").write_text(text)
    one, same, other = (open_data(DataConfig(source=str(tmp_path), jitter=True, seed=s)) for s in (0, 0, 1))
    assert torch.equal(one.train.x, same.train.x)
    assert not torch.equal(one.train.x, other.train.x)
    assert not torch.equal(one.train.x, one.test.x)
    assert torch.equal(one.test.x.floor(), torch.tensor([[float(i % 3)] for i in range(60)]))


def test_jitter_that_has_nothing_to_do_says_so(tmp_path):
    said, splits = about(tmp_path / "a.csv", "a\n1.5\n2.25\n9\n", jitter=True, holdout=0)
    assert "No column takes few values" in said
    assert splits.train.x.flatten().tolist() == [1.5, 2.25, 9.0]


# --- parquet --------------------------------------------------------------------------------------------------------


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 255)).save(file, "PNG")
    return file.getvalue()


def image_table(values, names=("cat", "dog")):
    """A table as the hub writes it: a struct of bytes and path, and the names of the classes in the metadata."""
    features = {"img": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    cells = [{"bytes": png(v), "path": f"{v}.png"} for v in values]
    columns = {"img": cells, "label": [v % 2 for v in values], "caption": [f"number {v}" for v in values]}
    return pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def test_images_of_the_hub_in_parquet(tmp_path):
    pq.write_table(image_table(range(6)), tmp_path / "train-00000-of-00002.parquet")
    pq.write_table(image_table([6, 7]), tmp_path / "train-00001-of-00002.parquet")
    pq.write_table(image_table([8, 9, 10]), tmp_path / "test-00000-of-00001.parquet")
    splits = open_data(DataConfig(source=str(tmp_path), validation=0))
    assert splits.spec.classes == ("cat", "dog")
    assert splits.train.x[:, 0, 0, 0].tolist() == list(range(8))
    assert splits.test.x[:, 0, 0, 0].tolist() == [8, 9, 10]
    assert splits.test.condition.tolist() == [0, 1, 0]
    assert splits.test.captions == ["number 8", "number 9", "number 10"]


def test_damaged_cells_are_skipped_and_plain_bytes_are_read(tmp_path):
    cells = [png(0), b"no", None, png(3)]
    pq.write_table(pa.table({"image": pa.array(cells, pa.binary())}), tmp_path / "a.parquet")
    splits = open_data(DataConfig(source=str(tmp_path / "a.parquet")))
    assert len(splits.train) + len(splits.test) == 2
    assert [s.name for s in splits.skipped] == ["train row 2", "train row 3"]


def test_numbers_in_parquet(tmp_path):
    pq.write_table(pa.table({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "label": ["x", "y", "x"]}), tmp_path / "a.parquet")
    splits = open_data(DataConfig(source=str(tmp_path / "a.parquet")))
    assert splits.spec.columns == ("a", "b")
    assert splits.spec.classes == ("x", "y")


def test_labels_and_index_in_parquet(tmp_path):
    labels = [None if i == 5 else "xy"[i % 2] for i in range(40)]
    pq.write_table(pa.table({"a": X[:, 0], "label": labels, "__index_level_0__": range(40)}), tmp_path / "a.parquet")
    splits = open_data(DataConfig(source=str(tmp_path / "a.parquet"), holdout=0))
    assert (splits.spec.columns, splits.spec.classes, len(splits.train)) == (("a",), ("x", "y"), 39)
    assert "1 of 40 rows has no label and is left out: 6." in splits.notes
    assert "The index that pandas stored is left out." in splits.notes
    pq.write_table(
        pa.table({"a": X[:, 0], "label": X[:, 1], "id": [2**60 + i for i in range(40)]}), tmp_path / "b.parquet"
    )
    splits = open_data(DataConfig(source=str(tmp_path / "b.parquet")))
    assert splits.spec.columns == ("a", "label", "id")
    assert any("'id' has 40 different values, of which float64 tells 1 apart" in note for note in splits.notes)
    pq.write_table(
        pa.table({"image": [png(i) for i in range(6)], "label": [0, 1, None, 1, 0, 1]}), tmp_path / "c.parquet"
    )
    splits = open_data(DataConfig(source=str(tmp_path / "c.parquet")))
    assert splits.spec.classes == ("0", "1")
    assert [(s.name, s.reason) for s in splits.skipped] == [("train row 3", "it has no label")]


def test_parquet_that_is_larger_than_memory_is_refused(tmp_path, monkeypatch):
    pq.write_table(pa.table({"a": np.zeros(100_000), "label": ["a" * 1000] * 100_000}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 50_000
    monkeypatch.setattr(memory, "free_memory", lambda: 40_000_000)
    with pytest.raises(ValueError, match="of memory once decoded"):
        open_data(DataConfig(source=str(tmp_path / "a.parquet")))


@pytest.mark.parametrize(
    "columns, words",
    [
        ({"a": [1.0, None]}, "row 2, column 'a'"),
        ({"a": [1.0, 2.0], "b": [0.0, float("nan")]}, "row 2, column 'b'.*nan"),
        ({"a": [float("-inf"), 2.0]}, "row 1, column 'a'.*-inf"),
        ({"a": [1e300, 2.0]}, "row 1, column 'a'.*finite"),
        ({"a": ["x", "y"]}, "column 'a'.*holds string"),
        ({"label": [1, 2]}, "no column beside"),
        ({"a": pa.array([], pa.int64())}, "without rows"),
    ],
)
def test_parquet_that_makes_no_sense_is_one_sentence(tmp_path, columns, words):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=words):
        open_data(DataConfig(source=str(tmp_path / "a.parquet")))


def test_a_cut_parquet_and_a_missing_pyarrow_are_one_sentence(tmp_path, monkeypatch):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1]}), file)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match="cannot be read as parquet"):
        open_data(DataConfig(source=str(file)))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'genwerk\[parquet\]'"):
        open_data(DataConfig(source=str(file)))


# --- hub ------------------------------------------------------------------------------------------------------------


class Split:
    """As much of datasets.Dataset as is used: the rows in Arrow's form."""

    def __init__(self, rows):
        self.rows = rows

    def with_format(self, form):
        assert form == "arrow"
        return self

    def __getitem__(self, rows):
        assert rows == slice(None)
        return self.rows


@pytest.fixture
def hub(monkeypatch):
    """A fake datasets module, and what was asked of it."""
    asked = []
    known = {
        "someone/pets": {"train": Split(image_table(range(5))), "validation": Split(image_table([5]))},
        "someone/all": {"everything": Split(image_table(range(5)))},
    }

    def load_dataset(name, config):
        asked.append((name, config))
        if name not in known:
            raise RuntimeError(f"Dataset '{name}' doesn't exist on the Hub.")
        return known[name]

    module = types.ModuleType("datasets")
    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


def test_a_data_set_of_the_hub(hub):
    splits = open_data(DataConfig(source="hf:someone/pets:small", validation=0))
    assert hub == [("someone/pets", "small")]
    assert (len(splits.train), len(splits.test)) == (5, 1)
    assert splits.spec.classes == ("cat", "dog")
    assert splits.train.x[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_data_set_of_the_hub_beside_a_parquet_file(hub, tmp_path):
    pq.write_table(image_table(range(100, 120)), tmp_path / "others.parquet")
    splits = open_data(DataConfig(source="hf:someone/all", to=str(tmp_path / "others.parquet"), validation=0))
    assert hub == [("someone/all", None)]
    assert splits.spec.classes == ("all", "others")
    for part in (splits.train, splits.test):
        assert ((part.x[:, 0, 0, 0] >= 100) == part.condition).all()


def test_a_data_set_of_one_part_is_held_out_from(hub):
    splits = open_data(DataConfig(source="hf:someone/all", holdout=0.4))
    assert sum(len(splits.part(name)) for name in PARTS) == 5
    assert all(len(splits.part(name)) for name in PARTS)


def test_an_unknown_data_set_and_a_missing_library_are_one_sentence(hub, monkeypatch):
    with pytest.raises(ValueError, match=r"hf:no/such.*doesn't exist.*check the name"):
        open_data(DataConfig(source="hf:no/such"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'genwerk\[hub\]'"):
        open_data(DataConfig(source="hf:someone/pets"))


def test_labels_that_only_the_training_part_has(hub, monkeypatch):
    unlabelled = image_table([5, 6]).set_column(1, "label", pa.array([-1, -1]))
    unlabelled = unlabelled.replace_schema_metadata(image_table([0]).schema.metadata)
    parts = {"train": Split(image_table(range(4))), "test": Split(unlabelled)}
    monkeypatch.setattr(sys.modules["datasets"], "load_dataset", lambda name, config: parts)
    splits = open_data(DataConfig(source="hf:any", validation=0))
    assert splits.train.condition.tolist() == [0, 1, 0, 1]
    assert splits.test.condition is None
    assert any("test part has none" in n for n in splits.notes)
    assert np.array_equal(splits.test.x[:, 0, 0, 0], [5, 6])


def test_all_columns_of_text_are_named(tmp_path):
    rows = "".join(f"name{i},{'Ulm' if i % 2 else 'Bonn'},{'yes' if i % 3 else 'no'},{i}\n" for i in range(12))
    (tmp_path / "members.csv").write_text(f"name,city,member,age\n{rows}")
    for label, columns in (("", "name, city, member"), ("member", "name, city")):
        with pytest.raises(ValueError, match=f"the columns {columns} of .* hold text"):
            open_data(DataConfig(source=str(tmp_path / "members.csv"), label=label or "label"))
