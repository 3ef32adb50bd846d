"""Attributes of examples: what captions tell, columns beside the files, and a list such as CelebA's."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

import genwerk
from genwerk.core.attributes import Attributes
from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Splits, open_data
from genwerk.data.attributes import Spec, in_file, placed
from genwerk.data.parts import arranged, changed, like
from genwerk.training.settings import from_json, to_json

SHARED = os.environ.get("GENWERK_SHARED_DATA")
HAIR, EYES = ("black", "blue", "red"), ("green", "red")


def faces(folder: Path, rows: list[str], header: str = "file_name,text") -> Path:
    """Images of 4 pixels, each of its own grey, with ``rows`` of metadata."""
    folder.mkdir(exist_ok=True)
    for i in range(len(rows)):
        Image.new("L", (4, 4), 3 * i).save(folder / f"{i:02}.png")
    lines = [f"{i:02}.png,{row}" for i, row in enumerate(rows)]
    (folder / "metadata.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def opened(source: Path, **more: object) -> Splits:
    return open_data(DataConfig(source=str(source), **more))  # type: ignore[arg-type]


def by_number(splits: Splits) -> dict[int, tuple[str, ...]]:
    """The values of each image, by its number."""
    found = {}
    for part in (splits.train, splits.validation, splits.test):
        known = part.known()
        names = [name for name, _ in part.spec.attributes]
        found |= {int(file[:2]): row for file, *row in zip(known["file"], *(known[n] for n in names), strict=True)}
    return {i: tuple(row) for i, row in found.items()}


def turns(n: int, form: str) -> list[str]:
    return [form.format(HAIR[i % 3], EYES[i % 2]) for i in range(n)]


@pytest.mark.parametrize("form", ["{} hair {} eyes", '"A {} hair, {} eyes."', "the {} Hair and {} eyes"])
def test_captions_that_are_lists_tell_attributes_in_every_part(tmp_path: Path, form: str) -> None:
    splits = opened(faces(tmp_path / "faces", turns(30, form)))
    assert splits.spec.attributes == (
        ("hair", ("black hair", "blue hair", "red hair")),
        ("eyes", ("green eyes", "red eyes")),
    )
    assert by_number(splits) == {i: (f"{HAIR[i % 3]} hair", f"{EYES[i % 2]} eyes") for i in range(30)}
    assert "The captions tell 2 attributes: hair (3 values), eyes (2 values)." in splits.notes
    assert splits.test.attributes is not None
    assert splits.test.attributes.shape == (len(splits.test), 2)


def test_values_of_several_words_stand_between_commas(tmp_path: Path) -> None:
    rows = [f'"{"light " * (i % 2)}{HAIR[i % 3]} hair, {EYES[i // 2 % 2]} eyes"' for i in range(30)]
    splits = opened(faces(tmp_path / "faces", rows))
    assert dict(splits.spec.attributes)["hair"][2:4] == ("light black hair", "light blue hair")


@pytest.mark.parametrize(
    "rows",
    [
        [f"a {c} cat on the {w} mat" for c in HAIR for w in ("old", "new", "wet")],
        [f"face {i} of {j} people" for i in range(6) for j in range(2)],
        [f"a {size} {c} ring at the {side}" for size in ("big", "small") for c in HAIR for side in ("left", "right")],
        ["red hair green eyes"] * 12,
    ],
)
def test_other_captions_tell_none(tmp_path: Path, rows: list[str]) -> None:
    splits = opened(faces(tmp_path / "faces", rows))
    assert splits.spec.attributes == ()
    assert splits.train.attributes is None
    assert splits.spec.captions


def test_a_value_that_few_captions_leave_out_is_unknown(tmp_path: Path) -> None:
    rows = turns(40, "{} hair {} eyes")
    rows[7] = "blue hair"
    splits = opened(faces(tmp_path / "faces", rows), holdout=0)
    assert dict(splits.spec.attributes)["eyes"] == ("green eyes", "red eyes", "unknown eyes")
    assert by_number(splits)[7] == ("blue hair", "unknown eyes")
    assert any("1 training captions do not tell the eyes" in note for note in splits.notes)


def test_nouns_are_named_where_captions_are_sentences(tmp_path: Path) -> None:
    rows = [
        f'"portrait {i} of a woman with {HAIR[i % 3]} hair, smiling, and with {EYES[i % 2]} eyes"' for i in range(30)
    ]
    source = faces(tmp_path / "faces", rows)
    assert opened(source).spec.attributes == ()
    splits = opened(source, attributes="eyes, Hair")
    assert [name for name, _ in splits.spec.attributes] == ["eyes", "hair"]
    assert by_number(splits)[4] == ("green eyes", "blue hair")
    with pytest.raises(BadInput, match="names 'hat', before which the captions have no two different words"):
        opened(source, attributes="hat")


def test_columns_beside_the_files_tell_attributes(tmp_path: Path) -> None:
    rows = [f"{HAIR[i % 3]},{i % 2},{'' if i == 5 else (-1, 1)[i % 2]}" for i in range(20)]
    source = faces(tmp_path / "faces", rows, "file_name,hair,Is_Happy,male")
    splits = opened(source, attributes="hair,is_happy,male")
    assert splits.spec.attributes == (
        ("hair", ("black hair", "blue hair", "red hair")),
        ("is happy", ("is happy", "not is happy")),
        ("male", ("male", "not male", "unknown male")),
    )
    assert by_number(splits)[3] == ("black hair", "is happy", "male")
    assert by_number(splits)[5] == ("red hair", "is happy", "unknown male")
    assert opened(source).spec.attributes == ()
    with pytest.raises(BadInput, match="names 'hat', which is no column beside the files; there are Is_Happy, file"):
        opened(source, attributes="hair,hat")
    with pytest.raises(BadInput, match="'hat', and the data have neither captions nor a column of that name"):
        opened(source, attributes="hat")


@pytest.mark.parametrize("name", ["list_attr.txt", "list_attr.csv"])
def test_a_list_of_attributes_as_celeba_has_it(tmp_path: Path, name: str) -> None:
    source = faces(tmp_path / "faces", ["x"] * 12)
    (source / "metadata.csv").unlink()
    cells = [(f"{i:02}.png", str((-1, 1)[i % 2]), str((-1, 1)[i // 6])) for i in range(11)]
    lines = [" ".join(row) for row in cells] if name.endswith("txt") else [",".join(row) for row in cells]
    head = ["11", "Smiling Blond_Hair"] if name.endswith("txt") else ["image_id,Smiling,Blond_Hair"]
    (tmp_path / name).write_text("\n".join([*head, *lines]))
    splits = opened(source, attributes=f"{tmp_path / name}:smiling,blond_hair", holdout=0.2)
    assert splits.spec.attributes == (
        ("smiling", ("not smiling", "smiling")),
        ("blond hair", ("blond hair", "not blond hair")),
    )
    assert by_number(splits) == {
        i: (("not ", "")[i % 2] + "smiling", ("not ", "")[i // 6] + "blond hair") for i in range(11)
    }
    assert [s.name for s in splits.skipped] == ["11.png"]
    assert opened(source, attributes=str(tmp_path / name)).spec.attributes == splits.spec.attributes
    with pytest.raises(BadInput, match="has no column 'hat'; its columns are"):
        opened(source, attributes=f"{tmp_path / name}:hat")
    with pytest.raises(BadInput, match="there is no file"):
        opened(source, attributes=f"{tmp_path / 'gone.csv'}:hat")


@pytest.mark.parametrize(("cells", "why"), [("{0:.3f}", "measured numbers"), ("1", "one value alone")])
def test_columns_that_are_no_attributes_are_refused(tmp_path: Path, cells: str, why: str) -> None:
    source = faces(tmp_path / "faces", [cells.format(i / 7) for i in range(20)], "file_name,age")
    with pytest.raises(BadInput, match=f"names 'age', which (holds|has) {why}"):
        opened(source, attributes="age")


def test_attributes_are_stored_and_known_by_their_names(tmp_path: Path) -> None:
    splits = opened(faces(tmp_path / "faces", turns(30, "{} hair {} eyes")))
    spec = from_json(DataSpec, to_json(splits.spec), "spec")
    assert spec == splits.spec
    other = opened(faces(tmp_path / "others", [f"{EYES[i % 2]} eyes red hair" for i in range(20)]), attributes="")
    assert other.spec.attributes == (("eyes", EYES_OF),)
    both = opened(faces(tmp_path / "both", [f"{EYES[i % 2]} eyes {HAIR[1 + i // 2 % 2]} hair" for i in range(20)]))
    part = arranged(both.train, spec, "both")
    assert part.spec.attributes == spec.attributes
    names = Attributes.from_data(spec).named(part.attributes)  # type: ignore[arg-type]
    assert names["hair"] == both.train.known()["hair"]
    assert arranged(other.train, spec, "others").attributes is None  # has no hair


EYES_OF = ("green eyes", "red eyes")
SOME: Spec = (("a", ("x", "y")), ("b", ("u", "v", "w")))


def test_indices_are_placed_by_name() -> None:
    needs: Spec = (("b", ("w", "v", "u", "t")), ("a", ("y", "x")))
    assert placed(torch.tensor([[0, 0], [1, 2]]), SOME, needs).tolist() == [[2, 1], [0, 0]]  # type: ignore[union-attr]
    assert placed(torch.tensor([[0, 0]]), needs, SOME) is None  # t is not known


def test_other_sources_are_read_without_a_file_of_attributes() -> None:
    assert in_file("list.csv:smiling")
    assert in_file("list.csv")
    assert not in_file("hair, eyes")
    spec = DataSpec(kind="image", shape=(1, 4, 4))
    assert like(DataConfig(attributes="list.csv:smiling"), spec).attributes == ""
    assert like(DataConfig(attributes="hair"), spec).attributes == "hair"


def test_other_columns_are_other_data(tmp_path: Path) -> None:
    rows = [f"{i % 2}" for i in range(20)]
    source = faces(tmp_path / "faces", rows, "file_name,happy")
    before = opened(source, attributes="happy").fingerprints
    assert changed(before, opened(source, attributes="happy")) is None
    faces(tmp_path / "faces", [*rows[:-2], "1", "1"], "file_name,happy")
    assert "other labels" in (changed(before, opened(source, attributes="happy")) or "")


def test_a_run_begun_before_captions_told_attributes_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, run = faces(tmp_path / "faces", turns(30, "{} hair {} eyes")), tmp_path / "run"
    with monkeypatch.context() as before:
        before.setattr("genwerk.data.parts.by_captions", lambda splits, _: splits)
        genwerk.train("vae", source, out=run, rounds=2, evaluate=False)
    done = genwerk.train("vae", source, out=run, rounds=4, evaluate=False, resume=True)
    assert done.path == run
    assert json.loads((run / "config.json").read_text())["spec"]["attributes"] == []


@pytest.mark.skipif(SHARED is None, reason="GENWERK_SHARED_DATA is not set")
def test_anime_faces_have_hair_and_eyes(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(Path(SHARED or "", "anime_faces", "anime_faces.zip")) as whole,
        zipfile.ZipFile(tmp_path / "some.zip", "w") as some,
    ):
        lines = whole.read("metadata.csv").decode().splitlines()
        chosen = [lines[0], *lines[1::9]]
        some.writestr("metadata.csv", "\n".join(chosen))
        for line in chosen[1:]:
            some.writestr(line.split(",")[0], whole.read(line.split(",")[0]))
    splits = opened(tmp_path / "some.zip", size=8)
    assert {name: len(values) for name, values in splits.spec.attributes} == {"hair": 12, "eyes": 10}
    told = {line.split(",")[0]: line.split(",")[1] for line in chosen[1:]}
    known = splits.test.known()
    said = [f"{hair} {eyes}" for hair, eyes in zip(known["hair"], known["eyes"], strict=True)]
    assert said == [told[file] for file in known["file"]]
