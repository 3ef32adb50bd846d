"""Training a GAN on a folder of one's own images, as a user types it, and the mistakes that end in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwerk.cli import main

Fails = Callable[..., str]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run a command that must end with exit code 2; returns what it said, without line breaks."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        assert stop.value.code == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return " ".join(said.split())

    return call


def folder(path: Path, images: int, size: tuple[int, int] = (16, 16)) -> Path:
    path.mkdir()
    random = np.random.default_rng(0)
    for i in range(images):
        pixels = random.integers(0, 256, (*reversed(size), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


def test_wgan_on_a_folder_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = folder(tmp_path / "my_folder", 120, (20, 18)), tmp_path / "run"
    main(["train", "wgan", "--data", str(data), "--out", str(run), "--rounds", "1", "--evaluate.samples", "0"])
    main(["sample", str(run), "-n", "4", "--out", str(tmp_path / "four.png")])
    assert "120" in capsys.readouterr().out
    assert Image.open(tmp_path / "four.png").size[0] > 2 * 20
    main(["sample", str(run / "best"), "-n", "4", "--out", str(tmp_path / "best.png")])
    assert (tmp_path / "best.png").exists()


def test_one_image_is_said_to_be_one_and_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(tmp_path / "one", 1)
    main(["train", "gan", "--data", str(data), "--out", str(tmp_path / "run"), "--rounds", "2"])
    assert "one example in all" in capsys.readouterr().out


def test_illegal_pairs(tmp_path: Path, fails: Fails) -> None:
    data = folder(tmp_path / "data", 12)
    out = ("--data", data, "--out", tmp_path / "run", "--rounds", 1)
    assert "couples" in fails("train", "wgan-gp", *out, "--model.norm", "batch")
    assert "critic must be unbounded" in fails("train", "wgan", *out, "--model.head", "sigmoid")
    assert "labels" in fails("train", "cgan", *out)
    assert not (tmp_path / "run").exists()


def test_an_image_size_that_a_style_generator_cannot_have(tmp_path: Path, fails: Fails) -> None:
    data = folder(tmp_path / "data", 12, (30, 30))
    said = fails("train", "stylegan", "--data", data, "--out", tmp_path / "run")
    assert "30x30" in said
    assert "--data.size 32" in said


def test_a_figure_that_is_none(fails: Fails, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gan-1d" in fails("figure", "mona-lisa")
    main(["figure"])
    assert "critic-meter" in capsys.readouterr().out
