"""Palettes as a user meets them: told by `data check`, kept in the run, and imposed on pictures of other colours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genwerk.cli import main
from genwerk.data import open_data
from genwerk.runs import store
from genwerk.runs.opened import OpenRun

Genwerk = Callable[..., str]

ASKED = ["--data", "sprites", "--data.limit", "64", "--data.size", "8"]
QUICK = ["--rounds", "4", "--evaluate.samples", "0", "--evaluate.importance-samples", "2", "--evaluate.examples", "20"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "vae"
    main(["train", "vae", *ASKED, "--data.palette", "6", "--out", str(path), *QUICK])
    return path


def picture(path: Path, pixels: object) -> Path:
    Image.fromarray(np.array(pixels, np.uint8)).save(path)
    return path


def test_data_check_says_what_a_palette_costs(genwerk: Genwerk) -> None:
    said = genwerk("data", "check", "sprites", "--palette", "6")
    assert "6 colours" in said
    assert "clustered in CIE Lab to 6" in said
    assert "PSNR" in said
    found = json.loads(genwerk("data", "check", "sprites", "--palette", "16", "--tolerance", "90", "--json"))
    assert any("within 90 a channel" in note for note in found["notes"])


def test_grey_images_have_no_palette(refused: Genwerk, tmp_path: Path) -> None:
    said = refused("train", "vae", "--data", "digits", "--data.palette", "4", "--out", tmp_path / "run")
    assert "--data.colour rgb" in said


def test_the_run_keeps_its_palette_and_its_data_have_it_again(run: Path) -> None:
    stored = store.find(run)
    again = open_data(stored.recipe.data)
    assert len(stored.spec.palette) == 6
    assert again.spec == stored.spec
    said: list[str] = []
    opened = OpenRun(run, "cpu", None, said.append)
    assert torch.equal(opened.splits.train.x, again.train.x)
    assert torch.equal(opened.examples("test", 8, None)[0].x, again.test.batch(slice(8)).x)
    assert said == []


def test_a_picture_takes_the_colours_of_the_run_and_is_told_of(run: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    colours = np.array(store.find(run).spec.palette)
    pixels = colours[np.arange(64).reshape(8, 8) % 6]
    assert "outside" not in genwerk("reconstruct", run, "--input", picture(tmp_path / "own.png", pixels))
    near = pixels.copy()
    near[0, :3] += np.where(near[0, :3] > 127, -2, 2)
    strange = picture(tmp_path / "near.png", near)
    assert "3 of 64 pixels" in genwerk("reconstruct", run, "--input", strange)
    opened = OpenRun(run, "cpu", None, lambda _: None)
    x = opened.examples(str(strange), 1, None)[0].x
    assert torch.equal((x[0].permute(1, 2, 0) * 255).round().int(), torch.from_numpy(pixels).int())


def test_a_folder_takes_the_colours_of_the_run(run: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    colours = np.array(store.find(run).spec.palette)
    for i, change in enumerate((0, 1)):
        picture(tmp_path / f"{i}.png", np.abs(colours[np.arange(64).reshape(8, 8) % 6] - change))
    assert "64 of 128 pixels" in genwerk("reconstruct", run, "--input", tmp_path)


def test_other_data_are_measured_in_the_colours_of_the_run(run: Path, tmp_path: Path) -> None:
    colours = np.array(store.find(run).spec.palette)
    rng = np.random.default_rng(0)
    for i in range(10):
        picture(tmp_path / f"{i}.png", rng.integers(0, 256, (8, 8, 3)))
    said: list[str] = []
    splits = OpenRun(run, "cpu", str(tmp_path), said.append).splits
    assert splits.spec.palette == tuple(map(tuple, colours.tolist()))
    for part in (splits.train, splits.test):
        shown = set(map(tuple, part.x.permute(0, 2, 3, 1).reshape(-1, 3).tolist()))
        assert shown <= set(splits.spec.palette)
    assert splits.test is splits.train  # other data are all measured
    (line,) = said
    assert "640 of 640" in line
    assert "outside the run's palette of 6" in line


def test_an_indexed_folder_trains_without_a_word_on_palettes(genwerk: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "colormap.txt").write_text("255 255 255\n200 0 0\n0 0 200")
    rows = np.random.default_rng(0).integers(0, 3, (20, 64))
    (tmp_path / "pixel_color.txt").write_text("\n".join(" ".join(map(str, row)) for row in rows))
    out = tmp_path / "runs" / "indexed"
    genwerk("train", "vae", "--data", tmp_path, "--out", out, *QUICK)
    assert store.find(out).spec.palette == ((255, 255, 255), (200, 0, 0), (0, 0, 200))
    assert "outside" not in genwerk("reconstruct", out)
