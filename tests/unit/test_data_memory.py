"""Data that are in memory: what arrays, pairs, frames, lists and data sets are taken for, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as MapStyle

from genwerk.core.errors import BadInput
from genwerk.data import DataConfig, Splits, open_data

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 8, 8), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
ROWS = RANDOM.random((40, 3))
PICTURES = [Image.fromarray(RANDOM.integers(0, 256, (9 + i % 3, 12, 3), dtype=np.uint8)) for i in range(40)]
NAMES = ["cat", "dog"] * 20
TEXTS = [f"{name} number {i}" for i, name in enumerate(NAMES)]


class Frame:
    """As much of a DataFrame as is asked for."""

    def __init__(self, **columns: Any) -> None:
        self.columns, self._columns = list(columns), {k: np.asarray(v) for k, v in columns.items()}
        self.dtypes = {k: v.dtype for k, v in self._columns.items()}

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))


class Items(MapStyle[Any]):
    """A map-style data set of what ``make`` gives."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: int) -> Any:
        return self.make(i)


def read(data: object, **settings: Any) -> Splits:
    return open_data(DataConfig(**settings), data)


def values(splits: Splits) -> list[Any]:
    """All examples in an order of their own."""
    x = torch.cat([splits.train.x, splits.validation.x, splits.test.x]).flatten(1)
    return sorted(x.tolist())


SAME = {
    "channels last": COLOUR.transpose(0, 2, 3, 1),
    "a tensor": torch.from_numpy(COLOUR),
    "floats": torch.from_numpy(COLOUR).float() / 255,
    "floats from -1": COLOUR.astype(np.float32) / 127.5 - 1,
    "a list of arrays": list(COLOUR),
    "a list of pictures": [Image.fromarray(x) for x in COLOUR.transpose(0, 2, 3, 1)],
    "a data set of tensors": Items(lambda i: torch.from_numpy(COLOUR[i])),
    "a data set of pairs": TensorDataset(torch.from_numpy(COLOUR)),
    "a data set of dictionaries": Items(lambda i: {"image": Image.fromarray(COLOUR[i].transpose(1, 2, 0))}),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_images_are_the_same_examples(name: str) -> None:
    found = read(SAME[name])
    assert str(found.spec) == "images of 8x8x3"
    assert found.settings.source == "memory"
    assert values(found) == values(read(COLOUR))


def test_arrays_fall_into_the_parts_that_a_file_of_them_does(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=GREY, y=np.array(NAMES))
    file, here = open_data(DataConfig(source=str(tmp_path / "data.npz"))), read((GREY, NAMES))
    assert file.fingerprints == here.fingerprints
    assert torch.equal(file.test.x, here.test.x)
    assert file.spec == here.spec


LABELLED: dict[str, Any] = {
    "a list of text": (GREY, NAMES),
    "a data set": Items(lambda i: (GREY[i], NAMES[i])),
    "a list of pairs": list(zip(GREY, NAMES, strict=True)),
    "an array": (GREY, np.array(NAMES)),
    "dictionaries": Items(lambda i: {"x": GREY[i], "label": NAMES[i]}),
}


@pytest.mark.parametrize("name", LABELLED)
def test_labels_are_known_by_their_names(name: str) -> None:
    found = read(LABELLED[name])
    assert found.spec.classes == ("cat", "dog")
    assert sum(found.spec.class_counts) == len(found.train)


def test_whole_numbers_are_classes_and_measured_ones_are_covariates() -> None:
    assert read((ROWS, torch.arange(40) % 3)).spec.classes == ("0", "1", "2")
    assert read((ROWS, [float(i % 3) for i in range(40)])).spec.classes == ("0", "1", "2")
    told = read((ROWS, ROWS[:, 0] * 2))
    assert (told.spec.covariates, told.spec.shape) == (("y",), (3,))
    assert torch.equal(told.train.condition[:, 0], told.train.x[:, 0] * 2)  # type: ignore[index]
    assert read((ROWS, ROWS[:, :2])).spec.covariates == ("y1", "y2")
    assert "'y' holds measured numbers" in read((GREY, ROWS[:, 0])).notes[0]


def test_a_frame_is_a_table_by_its_columns() -> None:
    frame = Frame(height=ROWS[:, 0], weight=ROWS[:, 1], label=NAMES)
    found = read(frame)
    assert (found.spec.columns, found.spec.classes) == (("height", "weight"), ("cat", "dog"))
    assert read(Frame(height=ROWS[:, 0], weight=ROWS[:, 1]), covariates="weight").spec.covariates == ("weight",)
    assert read((Frame(a=ROWS[:, 0], b=ROWS[:, 1]), NAMES)).spec.classes == ("cat", "dog")
    assert read(Frame(a=ROWS[:, 0], label=ROWS[:, 1])).spec.columns == ("a", "label")


def test_classes_amid_a_frame_are_found_and_keep_their_place() -> None:
    found = read(Frame(**{"height": ROWS[:, 0], "class": NAMES, "weight": ROWS[:, 1]}))
    assert found.spec.header == ("height", "class", "weight")
    assert found.spec.columns == ("height", "weight")
    assert found.spec.classes


def test_a_real_frame_is_read_as_well() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": ROWS[:, 0], "b": pandas.array(range(40), "Int64"), "label": NAMES})
    assert read(frame).spec.columns == ("a", "b")
    frame.loc[3, "b"] = None
    with pytest.raises(BadInput, match="'b'"):
        read(frame)


def test_pictures_of_many_sizes_are_brought_to_one() -> None:
    assert read(PICTURES).spec.shape == (3, 8, 8)
    found = read((PICTURES, NAMES), size=6, colour="grey")
    assert (found.spec.shape, found.spec.classes) == ((1, 6, 6), ("cat", "dog"))


def test_captions_come_with_the_items() -> None:
    assert read(Items(lambda i: {"image": PICTURES[i], "text": f"a {NAMES[i]}"})).spec.vocabulary is not None
    arrays = [np.full((8, 8, 3), 5 * i, np.uint8) for i in range(len(NAMES))]
    for listed in (arrays, [x.transpose(2, 0, 1) for x in arrays], [x[..., 0] for x in arrays]):
        found = read(Items(lambda i, of=listed: {"image": of[i], "text": f"a {NAMES[i]}"}))
        assert found.spec.vocabulary is not None
        shades = {round(x.mean().item()) for part in (found.train, found.test) for x in part.x.double()}
        assert shades <= {5 * i for i in range(len(NAMES))}


@pytest.mark.parametrize("scale", [lambda x: x / 255, lambda x: x / 127.5 - 1, lambda x: x.astype(np.int64)])
def test_captions_of_arrays_of_any_type_are_kept(scale: Callable[[np.ndarray], np.ndarray]) -> None:
    arrays = [np.full((8, 8, 3), 6 * i, np.uint8) for i in range(len(NAMES))]
    assert arrays[-1].max() > 200
    found = read([{"image": scale(x), "text": f"shade {x.max()}"} for x in arrays])
    parts = (found.train, found.test)
    assert [f"shade {x.max()}" for part in parts for x in part.x] == [c for part in parts for c in part.captions]


def test_a_caption_or_label_that_only_some_have_is_refused() -> None:
    for part in ("text", "label"):
        items = [{"image": picture, part: "a cat"} for picture in PICTURES[:12]]
        items[3][part] = None
        what = "caption" if part == "text" else "label"
        with pytest.raises(BadInput, match=f"example 3 has no {what}, and others have"):
            read(items)


def test_captions_of_what_is_no_image_are_refused() -> None:
    for array in (np.zeros(3), np.zeros(3, np.uint8)):
        with pytest.raises(BadInput, match="example 0 has a caption, and is an array of"):
            read(Items(lambda _, of=array: {"image": of, "text": "a cat"}))


def test_arrays_are_sounds_where_they_have_a_rate() -> None:
    found = read(((ROWS[:, :1] * np.ones(50) - 0.5).astype(np.float32), NAMES), rate=8000)
    assert str(found.spec) == "sounds of 50 samples, 8000 Hz, 2 classes"
    assert found.train.x.dtype == torch.int16


@pytest.mark.parametrize(
    ("data", "settings", "classes"),
    [
        (TEXTS, {}, ()),
        (np.array(TEXTS), {}, ()),
        (np.array(TEXTS, object), {}, ()),  # as pandas has a column
        ((TEXTS, NAMES), {}, ("cat", "dog")),
        ((np.array(TEXTS), np.array(NAMES)), {}, ("cat", "dog")),
        ([*zip(TEXTS, NAMES, strict=True)], {}, ("cat", "dog")),
        ([{"text": text, "label": name} for text, name in zip(TEXTS, NAMES, strict=True)], {}, ("cat", "dog")),
        ([{"text": "", "body": text} for text in TEXTS], {"text": "body"}, ()),
        (Frame(body=TEXTS, label=NAMES), {"text": "body"}, ("cat", "dog")),
        ((Frame(body=TEXTS), NAMES), {"text": "body"}, ("cat", "dog")),
        ((TEXTS, ROWS[:, 0]), {}, ()),  # numbers, which are no classes
    ],
)
def test_texts_are_read_as_those_of_a_file(
    data: object, settings: dict[str, str], classes: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "my.txt").write_text("\n".join(TEXTS))
    found, filed = read(data, **settings), open_data(DataConfig(source=str(tmp_path / "my.txt")))
    assert found.spec.classes == classes
    assert found.spec.vocabulary == filed.spec.vocabulary
    for part in ("train", "validation", "test"):
        assert torch.equal(found.part(part).x, filed.part(part).x)
        if classes:
            texts = found.spec.modality.lines(found.part(part).batch().x)
            assert [text.split()[0] for text in texts] == found.part(part).known()["label"]


def test_what_of_texts_cannot_be_learned_is_skipped_and_named() -> None:
    found = read(np.array([TEXTS[0], None, "NUL \0", "half \ud800", *TEXTS[1:]], object))
    assert [(skip.name, skip.reason) for skip in found.skipped] == [
        ("train row 2", "it has no text"),
        ("train row 3", "it has a NUL character, so it is no text"),
        ("train row 4", "it has half a character (a surrogate), which UTF-8 cannot hold"),
    ]
    rows = torch.cat([found.part(part).rows for part in ("train", "validation", "test")])
    assert sorted(rows.tolist()) == [0, *range(4, 43)]


BAD: dict[str, tuple[Any, dict[str, Any]]] = {
    "of the type int": (3, {}),
    "of the type dict": ({"x": GREY}, {}),
    "of the type count": (itertools.count(), {}),
    "draws batches": (DataLoader(Items(lambda i: GREY[i])), {}),
    "is a tuple of 3": ((1, 2, 3), {}),
    "is empty": ([], {}),
    "a list, of NoneType": ([*TEXTS, None], {}),
    "example 1 is an array, and the first is a text": (["a text", GREY[0]], {}),
    "holds no text": (["", " "], {}),
    "expected the example under body": ([{"text": "a text"}], {"text": "body"}),
    "no column 'body' for data.text; its columns are kind": (Frame(kind=NAMES), {"text": "body"}),
    "example 1 has shape": ([[1.0, 2.0], [3.0]], {}),
    "example 0 has rows of different lengths": ([[[1.0, 2.0], [3.0]]], {}),
    "example 1 is an array, and the first is an image": ([PICTURES[0], GREY[0]], {}),
    "example 0 is a tuple of 3": ([(GREY[0], 1, 2)], {}),
    "example 0 has the keys foo, caption; expected the example under image": (
        [{"foo": GREY[0], "caption": "a cat"}] * 40,
        {},
    ),
    "example 1 has no caption, and others have": ([{"image": GREY[0], "text": "a"}, {"image": GREY[1]}], {}),
    "example 0 has no caption, and others have": ([{"image": GREY[0]}, {"image": GREY[1], "text": "a"}], {}),
    "example 0 has the keys a, b": ([{"a": 1, "b": 2}], {}),
    "type object": (np.array([None, 3], object), {}),
    "row 1, column 'column 2' of the data is nan": (np.array([[1.0, np.nan]] * 20), {}),
    "hold NaN": (np.full((9, 4, 4), np.nan), {}),
    "from -3 to 3": (np.linspace(-3, 3, 160).reshape(10, 4, 4), {}),
    "y has shape \\(39,\\)": ((GREY, NAMES[1:]), {}),
    "y.argmax": ((GREY, np.eye(4, dtype=int)[np.arange(40) % 4]), {}),
    "y is a int": ((GREY, 5), {}),
    "'city' holds 'Rome'": (Frame(a=ROWS[:, 0], city=["Rome"] * 40), {}),
    "'a' has gaps": (Frame(a=np.array([None, object()] * 20, object)), {}),
    "no column 'kind' for label; it has a": (Frame(a=ROWS[:, 0]), {"label": "kind"}),
    "no seconds": (ROWS, {"rate": 8000, "seconds": 0.1}),
    "sounds of float64": (ROWS * 9, {"rate": 8000}),
}


@pytest.mark.parametrize("message", BAD)
def test_what_is_no_data_is_refused_in_a_sentence(message: str) -> None:
    data, settings = BAD[message]
    with pytest.raises(BadInput, match=message) as caught:
        read(data, **settings)
    assert "--" not in str(caught.value)
    assert "‹" not in str(caught.value)


def test_data_that_were_in_memory_are_asked_for_again() -> None:
    with pytest.raises(BadInput, match="in Python, pass them again as data"):
        open_data(DataConfig(source="memory"))
