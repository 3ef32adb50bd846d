"""Training a GAN on a folder of one's own images, as a user types it, and the mistakes that end in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Genwerk = Callable[..., str]


def folder(path: Path, images: int, size: tuple[int, int] = (16, 16)) -> Path:
    path.mkdir()
    random = np.random.default_rng(0)
    for i in range(images):
        pixels = random.integers(0, 256, (*reversed(size), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


def test_wgan_on_a_folder_of_images(tmp_path: Path, genwerk: Genwerk) -> None:
    data, run = folder(tmp_path / "my_folder", 120, (20, 18)), tmp_path / "run"
    said = genwerk("train", "wgan", "--data", data, "--out", run, "--rounds", 1, "--evaluate.samples", 0)
    assert "120" in said
    genwerk("sample", run, "-n", 4, "--out", tmp_path / "four.png")
    assert Image.open(tmp_path / "four.png").size[0] > 2 * 20
    genwerk("sample", run / "best", "-n", 4, "--out", tmp_path / "best.png")
    assert (tmp_path / "best.png").exists()


def test_one_image_is_said_to_be_one_and_trains(tmp_path: Path, genwerk: Genwerk) -> None:
    data = folder(tmp_path / "one", 1)
    assert "one example in all" in genwerk("train", "gan", "--data", data, "--out", tmp_path / "run", "--rounds", 2)


def test_illegal_pairs(tmp_path: Path, refused: Genwerk) -> None:
    data = folder(tmp_path / "data", 12)
    out = ("--data", data, "--out", tmp_path / "run", "--rounds", 1)
    assert "couples" in refused("train", "wgan-gp", *out, "--model.norm", "batch")
    said = refused("train", "wgan", *out, "--model.objective.head", "sigmoid")
    assert "--model.objective.head is a setting of least-squares, and --model.objective is wasserstein" in said
    assert "; did you mean wasserstein?" in refused("train", "wgan", *out, "--model.objective", "wassermann")
    assert "labels" in refused("train", "cgan", *out)
    assert not (tmp_path / "run").exists()


def test_an_image_size_that_a_style_generator_cannot_have(tmp_path: Path, refused: Genwerk) -> None:
    data = folder(tmp_path / "data", 12, (30, 30))
    said = refused("train", "stylegan", "--data", data, "--out", tmp_path / "run")
    assert "30x30" in said
    assert "--data.size 32" in said


def test_a_figure_that_is_none(refused: Genwerk, genwerk: Genwerk) -> None:
    assert "gan-1d" in refused("figure", "mona-lisa")
    assert "critic-meter" in genwerk("figure")
