"""Labels in a second file: of files by their names, of rows by their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genwerk.core.errors import BadInput
from genwerk.data import DataConfig, Splits, open_data

NAMES = [f"{'left' if i % 2 else 'right'}/img_{i:02d}.png" for i in range(12)]
LABELS = [("cat", "dog", "hen")[i % 3] for i in range(12)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of pictures, each of a grey level of its own, in two sub-folders that are no classes."""
    for i, name in enumerate(NAMES):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 20 * i).save(tmp_path / "images" / name)
    return tmp_path / "images"


def opened(source: Path, labels: object, **more: Any) -> Splits:
    return open_data(DataConfig(source=str(source), labels=str(labels), holdout=0, **more))


def by_level(splits: Splits) -> dict[int, str]:
    """The label of each picture, by its number."""
    found = splits.train
    assert found.condition is not None
    values = zip(found.x[:, 0, 0, 0].tolist(), found.condition.tolist(), strict=True)
    return {level // 20: splits.spec.classes[label] for level, label in values}


WRITTEN = {
    "header.csv": "file_name,label\n" + "\n".join(map(",".join, zip(NAMES, LABELS, strict=True))),
    "class.tsv": "\ufefffilename\tclass\n"
    + "\n".join(f"{n[-10:]}\t{label}" for n, label in zip(NAMES, LABELS, strict=True)),
    "stems.csv": "id;species;n\n" + "\n".join(f"{n[-10:-4]};{label};7" for n, label in zip(NAMES, LABELS, strict=True)),
    "bare.csv": "\n".join(f"{n[-10:]},{label}" for n, label in zip(NAMES, LABELS, strict=True)),
    "words.txt": "\n".join(f"{n} {label}" for n, label in zip(NAMES, LABELS, strict=True)),
    "windows.csv": "path,label\n"
    + "\n".join(f"{n},{v}".replace("/", "\\") for n, v in zip(NAMES, LABELS, strict=True)),
    "object.json": json.dumps(dict(zip(NAMES, LABELS, strict=True))),
    "pairs.json": json.dumps({"labels": list(zip(NAMES, LABELS, strict=True))}),
    "lines.jsonl": "\n".join(json.dumps({"file": n, "label": v}) for n, v in zip(NAMES, LABELS, strict=True)),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_files_find_their_labels_by_name(images: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(WRITTEN[name], encoding="utf-8")
    splits = opened(images, f"{tmp_path / name}{':species' * (name == 'stems.csv')}")
    assert by_level(splits) == dict(enumerate(LABELS))
    assert f"{name} gives the classes." in splits.notes


def test_names_of_no_file_and_files_of_no_name_are_told(images: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,label\nimg_01.png,a\nimg_02.png,\nimg_03,b\nimg_99.png,b\nimg_03,c\n")
    splits = opened(images, tmp_path / "labels.csv")
    assert by_level(splits) == {1: "a", 3: "c"}
    assert len(splits.skipped) == 10
    assert splits.skipped[0].reason == "labels.csv gives it no label"
    said = " ".join(splits.notes)
    assert "1 names in labels.csv are of no file: img_99.png." in said
    assert "1 lines of labels.csv name a file again" in said
    assert "10 examples have no label in labels.csv and are left out" in said


def test_rows_of_an_array_find_their_labels_by_order(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.uint8)[:, None, None] * np.full((1, 4, 4), 20, np.uint8)
    np.save(tmp_path / "x.npy", x)
    numbers = np.array([("cat", "dog", "hen").index(label) for label in LABELS])
    np.save(tmp_path / "y.npy", numbers)
    np.savez(tmp_path / "y.npz", digits=numbers, other=x)
    (tmp_path / "y.txt").write_text("\n".join(map(str, numbers)))
    for labels in ("y.npy", "y.npz", "y.npz:digits", "y.txt"):
        assert by_level(opened(tmp_path / "x.npy", tmp_path / labels)) == dict(enumerate(map(str, numbers)))
    (tmp_path / "words.txt").write_text("\n".join(LABELS))
    assert by_level(opened(tmp_path / "x.npy", tmp_path / "words.txt")) == dict(enumerate(LABELS))
    (tmp_path / "y9.txt").write_text("1\n" * 9)
    with pytest.raises(BadInput, match=r"y9.txt holds 9 labels, and .*x.npy has 12 examples"):
        opened(tmp_path / "x.npy", tmp_path / "y9.txt")


def test_a_table_has_its_labels_last(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i}.5,{-i}.25\n" for i in range(12)))
    (tmp_path / "y.csv").write_text("kind\n" + "\n".join(LABELS))
    splits = opened(tmp_path / "t.csv", tmp_path / "y.csv")
    assert splits.spec.header == ("a", "b", "label")
    assert splits.spec.classes == ("cat", "dog", "hen")
    with pytest.raises(BadInput, match=r"‹?data.labels›? and ‹?data.covariates›? each give a condition"):
        opened(tmp_path / "t.csv", tmp_path / "y.csv", covariates="a")


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        ("file,a,b\nimg_01.png,1,2\n", "", "has the columns file, a, b; name that of the labels, as in data.labels"),
        ("file,label\nimg_01.png,1\n", ":kind", "has no column 'kind'; its columns are file, label"),
        ("x.png,1\ny.png,2\n", "", "names none of the files of"),
        ("img_01.png,1,2\nimg_02.png,1\n", "", "line 2 of"),
        ("file,label\n" + "\n".join(f"img_{i:02d},0.{i}7" for i in range(12)), "", "are measured numbers"),
        ("", "", "holds no labels"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(
    images: Path, tmp_path: Path, content: str, place: str, said: str
) -> None:
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(BadInput) as error:
        opened(images, f"{tmp_path / 'labels.csv'}{place}")
    assert said in str(error.value)


def test_two_files_of_one_name_need_their_path(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "two" / folder).mkdir(parents=True)
        Image.new("L", (4, 4), ord(folder)).save(tmp_path / "two" / folder / "1.png")
    (tmp_path / "labels.csv").write_text("id,label\n1,x\n")
    with pytest.raises(BadInput, match=r"1 in .*labels.csv may be a/1.png or b/1.png"):
        opened(tmp_path / "two", tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("id,label\na/1,x\nb/1.png,y\n")
    assert opened(tmp_path / "two", tmp_path / "labels.csv").spec.classes == ("x", "y")
