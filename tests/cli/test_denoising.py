"""Diffusion models and CLIP as a user meets them: prompts, samplers, edits, and sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwerk.cli import main

Genwerk = Callable[..., str]
QUICK = [
    "--evaluate.samples",
    "0",
    "--evaluate.examples",
    "20",
    "--evaluate.importance-samples",
    "1",
    "--train.evaluate-every",
    "0",
]
SCENES = ["--data", "scenes", "--data.size", "16", "--data.limit", "64"]
TINY = ["--model.autoencoder.widths", "8", "16", "--model.prior.network.widths", "16", "32"]
NARROW = ["--model.network.widths", "16", "32"]
ROUNDS = ["--rounds", "2", "--model.text-rounds", "2", "--model.prior-rounds", "2"]
FEW = ["--steps", "3"]


@pytest.fixture(scope="module")
def ddpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "cddpm"
    main(["train", "cddpm", "--data", "digits", *QUICK, *NARROW, "--rounds", "3", "--out", str(path)])
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "words"
    main(["train", "latent-diffusion", *SCENES, *QUICK, *TINY, *ROUNDS, "--out", str(path)])
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "clip"
    main(["train", "clip", *SCENES, *QUICK, "--rounds", "3", "--out", str(path)])
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_samples_are_drawn_as_asked(ddpm: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    for sampler in ("ddpm", "ddim", "pndm", "euler", "heun", "dpmpp2m"):
        genwerk("sample", ddpm, "-n", 2, "--sampler", sampler, *FEW, "--out", tmp_path / f"{sampler}.png")
    assert not np.array_equal(pixels(tmp_path / "ddim.png"), pixels(tmp_path / "ddpm.png"))
    folder = tmp_path / "wide"
    genwerk("sample", ddpm, "-n", 2, *FEW, "--size", "16x8", "--label", 3, "--guidance", 2, "--out", folder)
    assert Image.open(folder / "00000.png").size == (16, 8)
    genwerk(
        "sample", ddpm, "-n", 1, *FEW, "--label", 3, "--guidance", 3, "--negative", 8, "--out", tmp_path / "away.npz"
    )
    genwerk("sample", ddpm, "-n", 1, *FEW, "--label", 3, "--guidance", 3, "--out", tmp_path / "to.npz")
    assert not np.array_equal(*(np.load(tmp_path / f"{name}.npz")["x"] for name in ("away", "to")))


def test_a_picture_of_words(words: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    red, blue = "a small red ring on the left side", "a large blue star at the top"
    genwerk("sample", words, "-n", 3, *FEW, "--prompt", red, blue, "--out", tmp_path / "both")
    genwerk("sample", words, "-n", 1, *FEW, "--prompt", red, blue, "--first", 1, "--out", tmp_path / "one")
    second, alone = pixels(tmp_path / "both" / "00001.png"), pixels(tmp_path / "one" / "00001.png")
    assert np.abs(second.astype(int) - alone.astype(int)).max() <= 1
    told = json.loads(Image.open(tmp_path / "one" / "00001.png").info["genwerk"])
    assert (told["prompt"], told["seed"], told["index"]) == (blue, 0, 1)
    assert "captions of held-out examples" in genwerk("sample", words, "-n", 2, *FEW)


def test_edits_completions_and_what_happens_on_the_way(words: Path, ddpm: Path, genwerk: Genwerk) -> None:
    genwerk("image-to-image", words, "-n", 2, "--strength", 0.5, *FEW, "--prompt", "a red star")
    assert (words / "out" / "image-to-image.png").is_file()
    said = genwerk("complete", words, "-n", 2, "-k", 2, "--known", "top-half", *FEW, "--resamples", 2)
    assert "completions.png" in said
    assert "log-likelihood" not in said
    genwerk("complete", ddpm, "-n", 2, "-k", 1, "--known", "left-half", *FEW, "--resamples", 1)
    genwerk("watch", words, "-n", 2, "--frames", 4, "--prompt", "a red star")
    genwerk("watch", ddpm, "-n", 2, "--frames", 4, "--label", 3)
    genwerk("interpolate", ddpm, 0, 1, "--steps", 3)
    genwerk("interpolate", words, "a red star", "a blue ring", "--texts", "--steps", 3)
    genwerk("reconstruct", words, "-n", 2)


def test_texts_and_pictures_find_each_other(clip: Path, genwerk: Genwerk) -> None:
    found = json.loads(genwerk("zero-shot", clip, "-n", 20, "--prompts", "a red star", "a blue ring", "--json"))
    assert sum(found["counts"].values()) == 20
    assert found["accuracy"] is None
    said = genwerk("zero-shot", clip, "-n", 20)
    assert "got their own caption of" in said
    genwerk("search", clip, "a red star", "-n", 20, "-k", 4)
    assert (clip / "out" / "search.png").is_file()


def test_a_picture_of_words_is_shown_beside_those_it_was_learned_from(words: Path, genwerk: Genwerk) -> None:
    assert "of 2 samples look like copies" in genwerk("nearest", words, "-n", 2, "-k", 3)
    assert pixels(words / "out" / "nearest.png").shape[1] > pixels(words / "out" / "nearest.png").shape[0]


def test_a_player_that_a_setting_takes_away_needs_no_optimiser(genwerk: Genwerk, tmp_path: Path) -> None:
    run = tmp_path / "alone"
    asked = ["train", "autoencoder-kl", *SCENES, *QUICK, "--model.widths", 8, 16, "--model.adversarial", 0]
    genwerk(*asked, "--rounds", 2, "--out", run)
    genwerk(*asked, "--rounds", 3, "--out", run, "--resume")
    assert list(json.loads((run / "config.json").read_text())["recipe"]["train"]["optim"]) == ["model"]


def test_mistakes_are_told_in_a_sentence(ddpm: Path, words: Path, clip: Path, refused: Genwerk, tmp_path: Path) -> None:
    assert "from 1 to 1000" in refused("sample", ddpm, "--steps", 0)
    assert "from 1 to 1000" in refused("sample", ddpm, "--steps", 1001)
    assert "strength is 1.5" in refused("image-to-image", words, "--strength", 1.5, "--prompt", "a star")
    long = refused("sample", words, "--prompt", "zyx " * 60)
    assert "there is room for 75" in long
    assert "zyx" in long
    assert "expected WIDTHxHEIGHT" in refused("sample", ddpm, "--size", "big")
    assert "take multiples of 2" in refused("sample", words, "--prompt", "a", "--size", "15x16")
    assert "leave out --prompt" in refused("sample", ddpm, "--prompt", "a star")
    assert "takes no label; leave out --label" in refused("sample", words, "--label", 3, "--prompt", "a star")
    assert "there is no class 'cat'" in refused("sample", ddpm, "--negative", "cat")
    assert "needs a model with a way to sample" in refused("sample", clip)
    assert "search needs a model with a common space of examples and texts" in refused("search", ddpm, "a star")
    mask = tmp_path / "mask.png"
    Image.new("L", (5, 7)).save(mask)
    refused("train", "latent-diffusion", "--data", str(tmp_path / "nothing"))
    assert "captions" in refused("train", "clip", "--data", "digits", "--out", str(tmp_path / "c"))
