"""`genwerk translate` and `run.translate` with a model of domains whose answers are known, as a person types them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_translation_domains import HAIR, TWO, darker, model

import genwerk
from genwerk.cli import main
from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec


def run_of(spec: DataSpec, path: Path) -> Path:
    made = model(spec)
    made.recipe = "shades"
    return genwerk.save(made, path)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return run_of(TWO, tmp_path / "two")


@pytest.fixture
def hair(tmp_path: Path) -> Path:
    return run_of(HAIR, tmp_path / "hair")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(90, 160, (21, 33, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def mean(path: Path) -> float:
    with Image.open(path) as image:
        return float(np.asarray(image.convert("RGB")).mean() / 255)


def stopped(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as end:
        main(["translate", *map(str, words)])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("genwerk: ")
    assert said.count("\n") == 1
    return said


def test_of_two_the_last_is_meant_and_of_several_one_is_named(
    two: Path, hair: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["translate", str(two), str(photo), "--out", str(tmp_path / "light.png")])
    assert mean(tmp_path / "light.png") == pytest.approx(0.7, abs=2e-3)
    said = stopped(capsys, hair, photo)
    assert "name one as --to: black hair, red hair, blond hair, blue" in said
    said = stopped(capsys, hair, photo, "--to", "green hair")
    assert "this model has not learned 'green hair'; it has learned hair: black hair, red hair" in said
    main(["translate", str(hair), str(photo), "--to", "Red Hair", "--out", str(tmp_path / "red.png")])
    assert "names two values of hair" in stopped(capsys, hair, photo, "--to", "red hair, black hair")
    assert "there is no class 'red'; the classes are dark, light" in stopped(capsys, two, photo, "--to", "red")
    assert "a mask is for models that fill holes" in stopped(capsys, two, photo, "--mask", photo)


def test_several_are_a_file_each_with_a_note_on_where_it_comes_from(
    hair: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "made"
    main(["translate", str(hair), str(photo), "--to", "black hair", "blond hair", "--out", f"{into}/", "--tile", "16"])
    assert "each file says that it was made by Genwerk" in " ".join(capsys.readouterr().out.split())
    assert sorted(each.name for each in into.iterdir()) == ["photo-black-hair.png", "photo-blond-hair.png"]
    assert mean(into / "photo-black-hair.png") == pytest.approx(0.3, abs=2e-3)
    with Image.open(into / "photo-blond-hair.png") as image:
        image.load()
        told: dict[str, str] = image.text  # type: ignore[attr-defined]
    origin = json.loads(told["genwerk"])
    assert (origin["source"], origin["to"], origin["run"]) == ("photo.png", "blond hair", "hair")
    assert origin["source_sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert told["Software"].startswith("Genwerk ")
    assert told["Description"] == origin["note"]
    assert "what it shows was changed to blond hair" in origin["note"]


def test_an_animation_is_translated_frame_by_frame(two: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    frames = [Image.fromarray(noise.integers(100 + i, 150, (9, 12, 3), "uint8")) for i in (0, 10, 20)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=[70, 80, 90], lossless=True)
    main(["translate", str(two), str(tmp_path / "a.webp"), "--out", f"{tmp_path}/made/"])
    with Image.open(tmp_path / "made" / "a.webp") as image:
        found = []
        for i in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(i)
            found.append((round(np.asarray(image).mean() / 255, 2), image.info["duration"]))
    assert found == [(0.7, 70), (0.7, 80), (0.7, 90)]


def test_an_animation_may_be_named(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [Image.new("RGB", (9, 9), (k, k, k)) for k in (80, 120)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    main(["translate", str(two), str(tmp_path / "in.gif"), "--out", str(tmp_path / "out.gif")])
    with Image.open(tmp_path / "out.gif") as made:
        assert made.n_frames == 2  # type: ignore[attr-defined]
    whole = (tmp_path / "in.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as an image" in stopped(capsys, two, tmp_path / "cut.gif", "--out", tmp_path / "no.gif")


def test_frames_are_smoothed_where_that_is_asked_for(two: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(110, 140, (3, 9, 12, 3), "uint8")
    for i, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{i}.png")
    for name, words in {"plain": [], "smooth": ["--smooth", "0.5"]}.items():
        main(["translate", str(two), str(folder), "--out", f"{tmp_path / name}/", *words])
    plain, smooth = (
        np.stack([np.asarray(Image.open(tmp_path / name / f"{i}.png")).astype(float) for i in range(3)])
        for name in ("plain", "smooth")
    )
    expected = [plain[0], (plain[0] + plain[1]) / 2, plain[0] / 4 + plain[1] / 4 + plain[2] / 2]
    assert abs(smooth - expected).max() <= 0.5


def test_sixteen_bits_and_transparency_come_through(two: Path, photo: Path, tmp_path: Path) -> None:
    clear = np.dstack([np.asarray(Image.open(photo)), np.full((21, 33), 120, "uint8")])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    main(["translate", str(two), str(tmp_path / "clear.png"), "--out", str(tmp_path / "made.png")])
    with Image.open(tmp_path / "made.png") as image:
        assert image.mode == "RGBA"
        assert (np.asarray(image)[..., 3] == 120).all()
    main(["translate", str(two), str(photo), "--bits", "16", "--out", str(tmp_path / "deep.png")])
    header = (tmp_path / "deep.png").read_bytes()[24:26]
    assert header == bytes([16, 2])  # bits a value, and RGB


def test_in_python_images_of_any_size_are_taken(hair: Path, two: Path, photo: Path) -> None:
    run = genwerk.open_run(hair)
    x = torch.rand(2, 3, 19, 30) / 4 + 0.4
    made = run.translate(x, to=["red hair", "blond hair"])
    assert made.x.shape == x.shape
    assert torch.equal(made.originals, x)
    assert made.x.mean((1, 2, 3)).tolist() == pytest.approx([0.5, 0.7], abs=1e-3)
    assert "no photo" in made.origin["note"]
    with pytest.raises(BadInput, match="name one as to: black hair"):
        run.translate(x)
    other = genwerk.open_run(two)
    assert other.translate(photo).x.mean() == pytest.approx(0.7, abs=2e-3)
    assert other.translate(Image.open(photo), to="dark").x.mean() == pytest.approx(0.3, abs=2e-3)
    with pytest.raises(BadInput, match="of several sizes"):
        other.translate([Image.new("RGB", (4, 5)), Image.new("RGB", (5, 5))])
    batch = darker().batch()[:6]
    assert other.translate(batch.x).labels == ["light"] * 6
