"""Models that emit symbols, as a user meets them: sharpened samples, completed pictures, sounds without end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from genwerk.cli import main

Genwerk = Callable[..., str]
QUICK = ["--rounds", "4", "--evaluate.samples", "0", "--evaluate.examples", "20", "--train.batch-size", "8"]


@pytest.fixture(scope="module")
def sprites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "sprites"
    small = ["--model.width", "8", "--model.layers", "2", "--model.head", "16"]
    main(["train", "pixelcnn", "--data", "sprites", "--data.limit", "64", *QUICK, *small, "--out", str(path)])
    return path


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voice")
    for i in range(12):
        soundfile.write(folder / f"{i}.wav", 0.3 * np.sin(np.arange(400) * (0.1 + 0.01 * i)), 2000)
    path = folder / "run"
    main(["train", "wavenet", "--data", str(folder), *QUICK, "--out", str(path)])
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A picture of one's own, in a colour that the sprites do not have."""
    pixels = np.full((16, 16, 3), (250, 128, 114), np.uint8)
    path = tmp_path / "mine.png"
    Image.fromarray(pixels).save(path)
    return path


def test_ones_own_picture_is_completed_several_times(sprites: Path, mine: Path, genwerk: Genwerk) -> None:
    said = genwerk("complete", sprites, "--input", mine, "--known", "top-half", "-k", 3)
    assert "256 of 256 pixels" in said
    assert "outside the run's palette of 16" in said
    assert said.count("nats") == 1
    assert "particles" not in said, "nothing known follows the hole"
    with Image.open(sprites / "out" / "completions.png") as sheet:
        assert json.loads(sheet.info["genwerk"])["known"] == "top-half"  # type: ignore[attr-defined]
        assert sheet.width > 4 * sheet.height


def test_a_hole_in_the_middle_is_filled_by_particles(
    sprites: Path, mine: Path, tmp_path: Path, genwerk: Genwerk
) -> None:
    mask = np.full((16, 16), 255, np.uint8)
    mask[6:8, 6:10] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    asked = ("--input", mine, "--known", tmp_path / "mask.png", "-k", 2, "--particles", 6)
    assert "of 6 particles" in genwerk("complete", sprites, *asked)
    found = json.loads(genwerk("complete", sprites, *asked, "--json"))
    assert found["particles"] == 6
    assert 1 <= found["examples"][0]["ess"] <= 6
    assert np.shape([row["log_prob"] for row in found["examples"]]) == (1, 2)


def test_samples_can_be_sharpened(sprites: Path, tmp_path: Path, genwerk: Genwerk) -> None:
    plain, likeliest = tmp_path / "plain.npz", tmp_path / "likeliest.npz"
    genwerk("sample", sprites, "-n", 3, "--out", plain)
    genwerk("sample", sprites, "-n", 3, "--temperature", 0, "--out", likeliest)
    assert len(np.unique(np.load(likeliest)["x"], axis=0)) == 1
    assert len(np.unique(np.load(plain)["x"], axis=0)) == 3


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["sample", "--top-p", "1.5"], "top-p is 1.5"),
        (["sample", "--temperature", "-1"], "temperature is -1"),
        (["sample", "--seconds", "2"], "no --seconds; they have --temperature, --top-k, --top-p, --particles"),
        (["complete", "--known", "top-half", "-k", "0"], "-k is 0; expected 1 or more"),
        (["complete", "--known", "top-half", "--particles", "0"], "asked for 0 particles"),
        (["complete", "--known", "sideways"], "expected top-half"),
    ],
)
def test_mistakes_are_one_sentence(sprites: Path, refused: Genwerk, asked: list[str], words: str) -> None:
    assert words in refused(asked[0], sprites, *asked[1:])


def test_a_model_without_symbols_has_no_temperature(tmp_path: Path, genwerk: Genwerk, refused: Genwerk) -> None:
    genwerk("train", "vae", "--data", "digits", *QUICK, "--out", tmp_path / "vae")
    said = refused("sample", tmp_path / "vae", "--temperature", 0.5)
    assert "this model's samples have no --temperature; they have --observation" in said


def test_a_sound_is_as_long_as_it_is_asked_to_be(voice: Path, tmp_path: Path, genwerk: Genwerk) -> None:
    genwerk("sample", voice, "-n", 1, "--seconds", 0.5, "--out", tmp_path / "long.wav")
    genwerk("sample", voice, "-n", 1, "--out", tmp_path / "usual.wav")
    long, rate = soundfile.read(tmp_path / "long.wav")
    usual, _ = soundfile.read(tmp_path / "usual.wav")
    assert (rate, len(long), len(usual)) == (2000, 1000, 400)
    assert np.array_equal(long[:400], usual), "the longer sound of a seed begins as the shorter"


def test_a_sound_of_no_length_is_refused(voice: Path, refused: Genwerk) -> None:
    assert "hold no sample" in refused("sample", voice, "--seconds", 0)
