"""Other libraries' folders as a user meets them: opened by the same verbs, written by one command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwerk.cli import main

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")
from pipelines import opened, saved  # noqa: E402

Genwerk = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion of random weights, as diffusers writes it."""
    return saved(tmp_path_factory.mktemp("tiny-sd"))


def test_a_folder_of_stable_diffusion_makes_the_picture_that_diffusers_makes(
    folder: Path, genwerk: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genwerk.core.noise import generator

    monkeypatch.chdir(tmp_path)
    said = genwerk("sample", folder, "--prompt", "a cat", "-n", 2, "--steps", 4, "--guidance", 7.5, "--seed", 3)
    assert "wrote out/samples.png" in said
    genwerk("sample", folder, "--prompt", "a cat", "-n", 2, "--steps", 4, "--seed", 3, "--out", tmp_path / "each")
    theirs = opened(folder)
    for i in range(2):
        one = theirs("a cat", num_inference_steps=4, generator=generator(3, i)).images[0]
        ours = np.asarray(Image.open(tmp_path / "each" / f"{i:05d}.png"))
        assert np.abs(ours.astype(int) - np.asarray(one).astype(int)).max() <= 1
    told = json.loads(Image.open(tmp_path / "each" / "00000.png").info["genwerk"])
    assert told["model"] == "saved"
    assert told["prompt"] == "a cat"


def test_a_run_is_exported_and_opens_there_and_here(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    sizes = ["--model.autoencoder.widths", "8", "16", "--model.prior.network.widths", "16", "32"]
    rounds = ["--rounds", "2", "--model.text-rounds", "2", "--model.prior-rounds", "2"]
    quick = ["--evaluate.samples", "0", "--evaluate.examples", "8", "--train.evaluate-every", "0"]
    data = ["--data", "scenes", "--data.size", "16", "--data.limit", "32"]
    run = tmp_path / "run"
    main(["train", "latent-diffusion", *data, *quick, *sizes, *rounds, "--out", str(run)])
    said = genwerk("export", run, "--to", "diffusers")
    assert str(run / "diffusers") in said
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(run / "diffusers")
    assert theirs.unet.config.cross_attention_dim == 64
    for source, name in ((run, "own"), (run / "diffusers", "exported")):
        genwerk("sample", source, "-n", 1, "--prompt", "a red star", "--steps", 3, "--out", tmp_path / name)
    own, exported = (np.asarray(Image.open(tmp_path / n / "00000.png")).astype(int) for n in ("own", "exported"))
    assert np.abs(own - exported).max() <= 1
    assert "new" in refused("export", run, "--to", "diffusers")


def test_mistakes_are_told_in_a_sentence(folder: Path, refused: Genwerk, tmp_path: Path) -> None:
    assert "--prompt" in refused("sample", folder)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    assert "FluxPipeline" in refused("sample", tmp_path, "--prompt", "a cat")
