"""Sounds as a user has them: a folder is checked and trained on, sampled by label, and a recording completed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from genwerk.cli import main

Genwerk = Callable[..., str]
RATE, LENGTH = 1000, 40
LOW, HIGH = 50, 200
PATTERN = r"^(\d)_"
QUIET = (
    "--train.sample-every",
    0,
    "--train.evaluate-every",
    0,
    "--evaluate.samples",
    0,
    "--evaluate.importance-samples",
    1,
)


def tone(hertz: int, loud: float, samples: int = LENGTH) -> NDArray[np.float64]:
    return loud * np.sin(2 * math.pi * hertz / RATE * np.arange(samples))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of two heights, 3_... low and 7_... high, of many loudnesses."""
    path = tmp_path_factory.mktemp("tones")
    for i, loud in enumerate(np.linspace(0.2, 0.9, 40)):
        for digit, hertz in ((3, LOW), (7, HIGH)):
            soundfile.write(path / f"{digit}_{i}.wav", tone(hertz, loud), RATE)
    return path


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of one height alone, so that a tone's beginning tells all of it."""
    path = tmp_path_factory.mktemp("low")
    for i, loud in enumerate(np.linspace(0.2, 0.9, 40)):
        soundfile.write(path / f"3_{i}.flac", tone(LOW, loud), RATE)
    return path


@pytest.fixture(scope="module")
def spoken(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "cvae"
    options = ["--data.label-pattern", PATTERN, "--out", run, "--rounds", 300, *QUIET]
    main([str(a) for a in ["train", "cvae", "--data", folder, *options]])
    return run


@pytest.fixture(scope="module")
def mixture(low: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "mixture"
    main([str(a) for a in ["train", "mixture", "--data", low, "--out", run]])
    return run


def pitch(x: NDArray[np.float64]) -> float:
    """The frequency in hertz that is strongest over all sounds with shape (n, time)."""
    return float((np.abs(np.fft.rfft(x)) ** 2).mean(0).argmax()) * RATE / x.shape[1]


def test_check_says_what_was_understood(folder: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    said = genwerk("data", "check", folder, "--label-pattern", PATTERN, "--out", tmp_path / "some.wav")
    assert "sounds of 40 samples, 1000 Hz, 2 classes; 70 to train on, 4 to choose the weights" in said
    assert "classes: 3, 7" in said
    assert len(soundfile.read(tmp_path / "some.wav")[0]) == 64 * LENGTH + 63 * 200
    assert (tmp_path / "some.waves.png").exists()
    found = json.loads(genwerk("data", "check", folder, "--rate", 500, "--seconds", 0.02, "--json"))
    assert (found["shape"], found["train"] + found["validation"] + found["test"], found["classes"]) == (
        [1, 10],
        160,
        [],
    )


def test_samples_of_a_label_are_sounds_of_that_label(spoken: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    for digit, hertz in (("3", LOW), ("7", HIGH)):
        genwerk("sample", spoken, "-n", 10, "--label", digit, "--out", tmp_path / f"{digit}.wav")
        x, rate = soundfile.read(tmp_path / f"{digit}.wav")
        assert rate == RATE
        each = np.pad(x, (0, 200)).reshape(10, LENGTH + 200)
        assert not each[:, LENGTH:].any()
        assert pitch(each[:, :LENGTH]) == hertz


def test_sounds_carry_their_origin(spoken: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("sample", spoken, "-n", 3, "--seed", 5, "--out", tmp_path / "each")
    assert len(list((tmp_path / "each").glob("*.wav"))) == 3
    with soundfile.SoundFile(tmp_path / "each" / "00002.wav") as file:
        origin = {"recipe": "cvae", "run": "cvae", "round": 300, "seed": 5, "index": 2, "observation": "mean"}
        found = json.loads(file.comment)
        assert found.pop("label") in "0123456789"
        assert found == origin
        third = file.read()
    genwerk("sample", spoken, "-n", 1, "--seed", 5, "--first", 2, "--out", tmp_path / "one.flac")
    assert np.abs(soundfile.read(tmp_path / "one.flac")[0] - third).max() < 1e-3


def test_a_folder_of_some_classes_keeps_their_meaning(
    spoken: Path, genwerk: Genwerk, refused: Genwerk, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("7_a", "7_b"):
        soundfile.write(tmp_path / "mine" / f"{name}.wav", tone(HIGH, 0.5), RATE)
    by_name = genwerk("reconstruct", spoken, "--input", tmp_path / "mine", "--out", tmp_path / "a.wav")
    by_label = genwerk("reconstruct", spoken, "--input", tmp_path / "mine", "--label", 7, "--out", tmp_path / "b.wav")
    assert by_name.splitlines()[-1] == by_label.splitlines()[-1]
    soundfile.write(tmp_path / "mine" / "8_c.wav", tone(HIGH, 0.5), RATE)
    assert "--label" in refused("reconstruct", spoken, "--input", tmp_path / "mine")
    soundfile.write(tmp_path / "mine.wav", tone(HIGH, 0.5), RATE)
    assert "--label" in refused("reconstruct", spoken, "--input", tmp_path / "mine.wav")


@pytest.mark.parametrize(
    "known, given", [("first-half", slice(0, 20)), ("last-half", slice(20, 40)), ("0.03s", slice(0, 30))]
)
def test_ones_own_recording_is_completed(
    mixture: Path, genwerk: Genwerk, tmp_path: Path, known: str, given: slice
) -> None:
    whole = tone(LOW, 0.5)
    mine = np.zeros(LENGTH)
    mine[given] = whole[given]
    soundfile.write(tmp_path / "mine.wav", np.stack([mine, mine], 1), RATE, subtype="FLOAT")
    genwerk(
        "complete", mixture, "--known", known, "--input", tmp_path / "mine.wav", "-k", 3, "--out", tmp_path / "done.wav"
    )
    done = np.pad(soundfile.read(tmp_path / "done.wav")[0], (0, 200)).reshape(3, -1)[:, :LENGTH]
    assert np.abs(done - whole)[:, given].max() < 1e-4
    assert np.abs(done - whole).max() < 0.05


def test_a_long_recording_of_another_rate_is_completed_piece_by_piece(
    mixture: Path, genwerk: Genwerk, tmp_path: Path
) -> None:
    x = 0.5 * np.sin(2 * math.pi * LOW / 4000 * np.arange(8 * LENGTH))
    soundfile.write(tmp_path / "mine.ogg", x, 4000)
    genwerk(
        "complete", mixture, "--known", "first-half", "--input", tmp_path / "mine.ogg", "-k", 1, "--out", tmp_path / "z"
    )
    assert len(list((tmp_path / "z").glob("*.wav"))) == 2


@pytest.mark.parametrize(
    "known, words",
    [("top-half", "first-half, last-half"), ("1s", "1,000 samples of 40"), ("0s", "0 samples"), ("1e3s", "0.25s")],
)
def test_what_cannot_be_known_is_refused(mixture: Path, refused: Genwerk, known: str, words: str) -> None:
    assert words in refused("complete", mixture, "--known", known)


def test_mistakes_are_one_sentence(folder: Path, mixture: Path, refused: Genwerk, tmp_path: Path) -> None:
    for pattern, words in (("(", "regular expression"), ("x", "no group"), ("(x)", "none of the 80 files")):
        assert words in refused("data", "check", folder, "--label-pattern", pattern)
        assert words in refused("train", "cvae", "--data", folder, "--data.label-pattern", pattern)
    assert "rate" in refused("data", "check", folder, "--rate", 3)
    assert "seconds" in refused("data", "check", folder, "--seconds", -1)
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    assert "bad.wav" in refused("complete", mixture, "--known", "0.01s", "--input", tmp_path / "bad.wav")
