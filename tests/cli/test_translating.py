"""Image to image as a user meets it: files of any size, folders, masks, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwerk.cli import main

Genwerk = Callable[..., str]
QUICK = ["--evaluate.samples", "0", "--evaluate.examples", "20", "--train.evaluate-every", "0", "--rounds", "3"]


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "superres"
    main(["train", "superres", "--data", "digits", *QUICK, "--out", str(path)])
    return path


@pytest.fixture(scope="module")
def filler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "inpaint"
    main(["train", "inpaint", "--data", "digits", *QUICK, "--out", str(path)])
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.add.outer(np.arange(61), np.arange(47)) * 2 % 256
    Image.fromarray(pixels.astype("uint8")).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_photo_of_any_size_is_enlarged(larger: Path, photo: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("translate", larger, photo, "--out", tmp_path / "twice.png")
    with Image.open(tmp_path / "twice.png") as made:
        assert made.size == (94, 122)
        assert "superres" in made.text["parameters"]  # type: ignore[attr-defined]
    genwerk("translate", larger, photo, "--out", tmp_path / "tiles.png", "--tile", 16)
    whole, tiles = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("twice", "tiles"))
    assert abs(whole - tiles).max() <= 1


def test_what_is_made_of_a_folder_goes_into_a_folder(
    larger: Path, photo: Path, genwerk: Genwerk, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (9, 7), (255, 0, 0)).save(folder / "red.jpg")
    Image.new("L", (20, 10), 100).save(folder / "grey.png")
    said = json.loads(genwerk("translate", larger, folder, photo, "--out", tmp_path / "made", "--json"))
    assert {Path(each["path"]).name for each in said["files"]} == {"red.png", "grey.png", "photo.png"}
    assert Image.open(tmp_path / "made" / "red.png").size == (18, 14)
    for _ in range(2):  # of two that are called alike, neither replaces the other
        genwerk(
            "translate", larger, folder / "red.jpg", folder / "red.jpg", "--out", f"{tmp_path}/alike/", "--overwrite"
        )
    assert {each.name for each in (tmp_path / "alike").iterdir()} == {"red.png", "red-2.png"}
    genwerk("translate", larger)
    assert (larger / "out" / "translations.png").is_file()  # held-out examples and what is made of their sources


def test_a_hole_is_filled_and_the_rest_stays(filler: Path, photo: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    mask = np.full((61, 47), 255, dtype="uint8")
    mask[20:40, 10:30] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    genwerk("translate", filler, photo, "--mask", tmp_path / "mask.png", "--out", tmp_path / "filled.png")
    filled, before = (
        np.asarray(Image.open(tmp_path / name).convert("L")).astype(int) for name in ("filled.png", "photo.png")
    )
    assert np.array_equal(filled[mask > 0], before[mask > 0])


def test_what_cannot_be_is_refused_in_a_sentence(
    larger: Path, filler: Path, photo: Path, stopped: Genwerk, tmp_path: Path
) -> None:
    assert "there is no image" in stopped("translate", larger, tmp_path / "none.png")
    said = stopped("translate", filler, photo)
    assert "there is no hole to fill" in said
    assert "translating" not in said
    assert "a mask is for models that fill holes" in stopped("translate", larger, photo, "--mask", photo)
    Image.new("L", Image.open(photo).size, 255).save(tmp_path / "light.png")
    assert "--mask is light everywhere" in stopped("translate", filler, photo, "--mask", tmp_path / "light.png")
    Image.new("L", (5, 5)).save(tmp_path / "small.png")
    assert "they must match" in stopped("translate", filler, photo, "--mask", tmp_path / "small.png")
    assert "exists already" in stopped("translate", larger, photo, "--out", photo)
    for name in ("table.csv", "new.xyz"):
        said = stopped("translate", larger, photo, "--out", tmp_path / name)
        assert "cannot be written; expected .png, .jpg, .jpeg, .webp, .gif, or a folder" in said
        assert not (tmp_path / name).exists()
    assert "--to lacks a value; type it after the name, as in --to TEXT" in stopped("translate", larger, photo, "--to")
    (tmp_path / "text.png").write_text("no image")
    assert "cannot be read as an image" in stopped("translate", larger, tmp_path / "text.png")
    (tmp_path / "empty").mkdir()
    assert "holds no image" in stopped("translate", larger, tmp_path / "empty")
    (tmp_path / "photos.zip").write_text("no archive")
    assert "not a whole zip file" in stopped("translate", larger, tmp_path / "photos.zip")
    missing = stopped("translate", larger, photo, tmp_path / "none.png", "--out", f"{tmp_path}/made/")
    assert "there is no image" in missing
    assert not (tmp_path / "made").exists()
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (61, 47), 255).save(two / name)
    assert "holds 2 images; name one" in stopped("translate", filler, photo, "--mask", two)


def test_a_file_that_cannot_hold_the_image_is_refused_before_it_is_made(
    larger: Path, photo: Path, stopped: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object, **__: object) -> None:
        raise AssertionError("the image was made")

    monkeypatch.setattr("genwerk.tasks.translate", made)
    deep = ("--bits", "16")
    said = stopped("translate", larger, photo, *deep, "--out", tmp_path / "new.jpg")
    assert "cannot hold 16 bits a value; name a .png, or leave out --bits" in said
    stills = [Image.new("L", (9, 7), value) for value in (0, 200)]
    stills[0].save(tmp_path / "moving.gif", save_all=True, append_images=stills[1:])
    assert "an animation has 8 bits" in stopped("translate", larger, tmp_path / "moving.gif", *deep)
    said = stopped("translate", larger, tmp_path / "moving.gif", "--out", tmp_path / "new.jpg")
    assert "cannot hold an animation; name a .gif, .webp or .png" in said
    Image.new("L", (8_192, 1)).save(tmp_path / "long.png")
    said = stopped("translate", larger, tmp_path / "long.png", "--out", tmp_path / "new.webp")
    assert "16384x2 pixels, and WEBP has at most 16,383 a side" in said
    for option in (deep, ("--tile", "64"), ("--smooth", "0.5")):
        said = stopped("translate", larger, *option)
        assert f"{option[0]} is for images of yours; name them, or leave it out" in said


def test_of_a_folder_what_cannot_be_read_is_left_out(
    larger: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    whole = photo.read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b.png").write_bytes(whole)
    main(["translate", str(larger), str(folder), "--n", "1", "--out", f"{tmp_path}/made/"])
    said = capsys.readouterr().err
    assert "a.png cannot be read as an image: image file is truncated" in said
    assert "-n is for held-out examples, and every image that is named is translated" in said
    assert {each.name for each in (tmp_path / "made").iterdir()} == {"b.png"}


def test_of_several_images_into_one_file_none_is_begun(
    larger: Path, photo: Path, stopped: Genwerk, tmp_path: Path
) -> None:
    assert "there are several images" in stopped("translate", larger, photo, photo, "--out", tmp_path / "one.png")
    assert not (tmp_path / "one.png").exists()


def test_two_folders_without_pairs_are_no_data_of_a_model_of_pairs(
    sides: tuple[Path, Path], larger: Path, stopped: Genwerk, tmp_path: Path
) -> None:
    assert "is a run of Genwerk, which holds a model and no data" in stopped("data", "check", larger)
    (tmp_path / "others").mkdir()
    for path in sides[1].iterdir():
        (tmp_path / "others" / f"other-{path.name}").write_bytes(path.read_bytes())
    said = stopped("train", "pix2pix", "--data", sides[1], "--to", tmp_path / "others", "--out", tmp_path / "run")
    assert "learns from pairs, and no file of" in said
    assert not (tmp_path / "run").exists()
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.arange(20 * 8 * 8 * 3).reshape(20, 8, 8, 3).astype(np.uint8))
    rows, run = (tmp_path / "a.npy", "--to", tmp_path / "b.npy"), ("--out", tmp_path / "run")
    assert "are domains unless --data.pairing is name" in stopped("train", "pix2pix", "--data", *rows, *run)
    named = ("--data", sides[1], "--to", tmp_path / "others", "--data.pairing", "none")
    assert "--data.pairing none takes" in stopped("train", "pix2pix", *named, *run)


def test_domains_of_which_none_is_left_to_learn_from_are_refused_before_anything_is_made(
    stopped: Genwerk, genwerk: Genwerk, tmp_path: Path
) -> None:
    for name, value in (("dark", 50), ("light", 200)):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("L", (8, 8), value).save(tmp_path / name / f"{name}-{i}.png")
    data = tmp_path / "dark", "--to", tmp_path / "light"
    said = genwerk("data", "check", *data)
    assert "18 of 20 images are copies of others, and are kept in the same part as their originals." in said
    assert "No training example is of dark: all of them are in other parts." in said
    assert "to begin with" not in said
    refusal = stopped("train", "restyle", "--data", *data, "--out", tmp_path / "run")
    assert "there is no training image of dark" in refusal
    assert not (tmp_path / "run").exists()


# --- two folders ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Grey images of 8 pixels and, called alike, images in colour of 16 pixels."""
    folder = tmp_path_factory.mktemp("sides")
    for side in ("sketches", "photos"):
        (folder / side).mkdir()
    for i in range(24):
        pixels = (np.add.outer(np.arange(8), np.arange(8)) * (i + 1) % 256).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "sketches" / f"{i}.png")
        colour = np.stack([255 - pixels, pixels // 2, 0 * pixels], 2)
        Image.fromarray(colour).resize((16, 16), 0).save(folder / "photos" / f"{i}.png")
    return folder / "sketches", folder / "photos"


def test_pairs_of_two_folders_are_learned_and_opened_again(
    sides: tuple[Path, Path], genwerk: Genwerk, tmp_path: Path
) -> None:
    sources, images = sides
    said = genwerk("data", "check", sources, "--to", images)
    assert "24 pairs (grey to colour): the source of each image of photos is the one of sketches" in said
    assert "Every image is 2 times as high and wide as its source." in said
    run = tmp_path / "run"
    genwerk("train", "superres", "--data", sources, "--to", images, *QUICK, "--out", run)
    assert json.loads((run / "config.json").read_text())["recipe"]["model"]["degradation"] == {"$type": "pairs"}
    assert f"--data {sources} --data.to {images}" in (run / "card.md").read_text()
    said = genwerk("evaluate", run)
    assert "translation PSNR" in said
    genwerk("translate", run, "--out", tmp_path / "held-out.png")
    genwerk("translate", run, sources / "3.png", "--out", tmp_path / "made.png")
    with Image.open(tmp_path / "made.png") as made:
        assert (made.size, made.mode) == ((16, 16), "RGB")


def test_colour_becomes_grey_without_losing_what_the_source_tells(
    sides: tuple[Path, Path], genwerk: Genwerk, tmp_path: Path
) -> None:
    images, sources = (side / "0.png" for side in sides)
    run = tmp_path / "run"
    genwerk("train", "pix2pix", "--data", sides[1], "--to", sides[0], *QUICK, "--data.size", 8, "--out", run)
    assert json.loads((run / "config.json").read_text())["spec"]["source"] == [3, 8, 8]
    for name in (images, sources):
        genwerk("translate", run, name, "--out", tmp_path / "made.png", "--overwrite")
        made = np.asarray(Image.open(tmp_path / "made.png").convert("RGB"))
        assert (made == made[..., :1]).all()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ("pix2pix", "--data", "digits", "--model.degradation", "pairs"),
            "give pairs as --data SOURCES --to IMAGES, two",
        ),
        (
            ("superres", "--data", "{a}", "--to", "{b}", "--data.size", "9"),
            "9x9 pixels are no whole number of times that",
        ),
        (("superres", "--data", "{a}", "--to", "{gone}"), "no such path exists"),
        (("superres", "--data", "{a}", "--to", "{a}"), "are both"),
        (
            ("recolour-hair", "--data", "{a}", "--to", "{b}"),
            "the data are pairs, and this model takes domains; take --data.p",
        ),
        (
            ("restyle", "--data", "{a}", "--to", "{b}"),
            "the data are pairs, and this model takes domains; take --data.pairing",
        ),
        (("colourise", "--data", "{a}"), "the images are grey, so that there is no colour to learn"),
        (("vae", "--data", "{a}", "--data.attributes", "hat"), "neither captions nor a column of that name"),
    ],
)
def test_sides_that_do_not_fit_are_refused(
    sides: tuple[Path, Path], refused: Genwerk, options: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    named = {"a": sides[0], "b": sides[1], "gone": tmp_path / "gone"}
    assert why in refused("train", *(word.format(**named) for word in options), "--out", tmp_path / "run")
