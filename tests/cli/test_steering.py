"""Steering commands as a user types them, on a small GAN, a VAE and a generator of two styles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from steered import IMAGE, TwoStyles, TwoStylesConfig

from genwerk.cli import main
from genwerk.data import DataConfig, open_data
from genwerk.evaluation import extractor
from genwerk.runs import store
from genwerk.training.settings import Recipe, TrainConfig
from genwerk.training.trainer import Trainer

Genwerk = Callable[..., str]
DIGITS = open_data(DataConfig(source="digits"))
QUICK = ["--evaluate.samples", "0", "--train.evaluate-every", "0", "--train.sample-every", "0"]


@pytest.fixture(scope="module", autouse=True)
def _quick_classifier() -> Iterator[None]:
    """A classifier of the digits that is good enough after a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "CLASSIFIER_TRAINING", replace(extractor.CLASSIFIER_TRAINING, rounds=150))
        yield


def trained(folder: Path, recipe: str, *more: str, rounds: int = 30) -> Path:
    main(["train", recipe, "--data", "digits", "--out", str(folder / recipe), "--rounds", str(rounds), *QUICK, *more])
    return folder / recipe


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    few = ("--train.batch-size", "64")
    return trained(tmp_path_factory.mktemp("runs"), "gan", *few, rounds=300)  # until it makes more than one digit


@pytest.fixture(scope="module")
def cgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs"), "cgan")


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs"), "vae")


def styled(path: Path, config: TwoStylesConfig) -> Path:
    """A run folder of a generator of two styles, whose training is over."""
    recipe, model = Recipe(model=config, data=DataConfig(source="digits")), TwoStyles(config)
    described, trainer = (
        store.describe("two-styles", recipe, IMAGE),
        Trainer(model, DIGITS.train, TrainConfig(optim={})),
    )
    trainer.position.converged = True
    store.Checkpoints(path, described).save(model, trainer.state())
    (path / "config.json").write_text(json.dumps(described))
    return path


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return styled(tmp_path_factory.mktemp("runs") / "styles", TwoStylesConfig())


def drawn(*numbers: int) -> torch.Tensor:
    return TwoStyles().sample(8, seed=0)[list(numbers)]


def test_samples_are_joined_where_there_is_no_encoder(gan: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("sample", gan, "-n", 1, "--seed", 2, "--first", 5, "--out", tmp_path / "five.npz")
    genwerk("interpolate", gan, 5, 8, "--seed", 2, "--steps", 4, "--out", tmp_path / "way.npz")
    way, five = (np.load(tmp_path / f"{name}.npz")["x"] for name in ("way", "five"))
    assert way.shape == (4, 1, 8, 8)
    np.testing.assert_allclose(way[0], five[0], atol=1e-5)


def test_styles_are_joined_by_a_line(styles: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("interpolate", styles, 3, 4, "--steps", 3, "--out", tmp_path / "way.npz")
    ends = drawn(3, 4).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "way.npz")["x"][[0, 2]], ends, atol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "way.npz")["x"][1], ends.mean(0), atol=1e-5)


def test_pictures_are_projected_and_then_joined(styles: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    grey = np.zeros((8, 8), np.uint8)
    grey[:4], grey[4:] = 51, 153
    Image.fromarray(grey).save(tmp_path / "mine.png")
    asked = ("--input", tmp_path / "mine.png", "--out", tmp_path / "found.npz")
    found = json.loads(genwerk("project", styles, *asked, "--json"))
    assert found["space"] == "w"
    assert found["examples"][0]["file"] == "mine.png"
    assert found["examples"][0]["distance"] < 1e-6
    np.testing.assert_allclose(np.load(tmp_path / "found.npz")["x"][0, 0], grey / 255, atol=1e-3)
    codes = np.loadtxt(tmp_path / "found.latents.csv", delimiter=",", skiprows=1, usecols=range(1, 5))
    np.testing.assert_allclose(codes, [0.2, 0.6, 0.2, 0.6], atol=1e-3)
    arguments = ["interpolate", styles, tmp_path / "mine.png", 7, "--project", "--steps", 2]
    genwerk(*arguments, "--out", tmp_path / "way.npz")
    way = np.load(tmp_path / "way.npz")["x"]
    np.testing.assert_allclose(way[0, 0], grey / 255, atol=1e-3)
    np.testing.assert_allclose(way[1], drawn(7)[0], atol=1e-5)


def test_a_mixing_table_has_its_sources_along_the_edges(styles: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("mix", styles, "--rows", 0, 1, "--columns", 2, 3, 4, "--out", tmp_path / "table.npz")
    table = np.load(tmp_path / "table.npz")["x"].reshape(5, 4, 1, 8, 8)
    np.testing.assert_allclose(table[0, 1:], drawn(2, 3, 4), atol=1e-6)
    np.testing.assert_allclose(table[[1, 2, 3, 4], 0], drawn(0, 1, 0, 1), atol=1e-6)
    np.testing.assert_allclose(table[2, 3, :, :, :4], drawn(4)[0, :, :, :4], atol=1e-6)
    np.testing.assert_allclose(table[2, 3, :, :, 4:], drawn(1)[0, :, :, 4:], atol=1e-6)
    np.testing.assert_allclose(table[4, 3, :, :, 4:], drawn(4)[0, :, :, 4:], atol=1e-6)
    said = genwerk("mix", styles, "--rows", 0, "--columns", 2, "--layers", "fine")
    assert Image.open(said.split()[-1]).info["parameters"].startswith("recipe: two-styles")


def test_truncation_is_a_row_a_sample(styles: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("truncate", styles, "--psi", 0, 0.5, 1, "--rows", 6, 2, "--out", tmp_path / "psi.npz")
    made = np.load(tmp_path / "psi.npz")["x"].reshape(2, 3, 1, 8, 8)
    np.testing.assert_allclose(made[:, 0], np.full((2, 1, 8, 8), 0.5), atol=1e-6)
    np.testing.assert_allclose(made[:, 2], drawn(6, 2), atol=1e-6)


def test_attributes_are_edited_with_and_without_an_encoder(vae: Path, gan: Path, genwerk: Genwerk) -> None:
    for run, more in ((vae, []), (vae, ["--by", "svm"]), (gan, ["-n", 500])):
        said = genwerk("edit", run, "--attribute", 1, "--input", 3, "--amounts", -1, 0, 1, *more)
        assert Path(said.split("wrote ")[1].strip()).exists()


def test_entanglement_is_measured_in_every_space(styles: Path, genwerk: Genwerk) -> None:
    few = ["--pairs", 20, "--samples", 300]
    found = json.loads(genwerk("entanglement", styles, *few, "--similarity", "pixels", "--json"))
    assert [row["space"] for row in found["spaces"]] == ["z", "w"]
    assert all(row["path_length"] > 0 and row["separability"] >= 1 for row in found["spaces"])
    said = genwerk("entanglement", styles, *few)
    assert "path length in features, over 20 paths" in said


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_steered_is_said(
    gan: Path, cgan: Path, styles: Path, refused: Genwerk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    untracked = styled(tmp_path / "untracked", TwoStylesConfig(tracked=False))
    assert "tracked no mean style" in refused("truncate", untracked, "--psi", 0.5)
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "large.png")
    large = refused("project", gan, "--input", tmp_path / "large.png")
    assert "is 40x30 pixels and this model makes 8x8" in large
    assert "--resize" in large
    assert "number of the first example is -2" in refused("mix", styles, "--rows", -2, "--columns", 0)
    assert "number of the first example is -1" in refused("interpolate", gan, -1, 2)
    assert "no class 'eleven'" in refused("edit", gan, "--attribute", "eleven")
    assert "mixing styles needs a model with styles, which gan lacks; recipes with it: stylegan" in refused(
        "mix", gan, "--rows", 0, "--columns", 1
    )
    assert "truncation needs" in refused("truncate", gan)
    assert "--project" in refused("interpolate", gan, tmp_path / "large.png", 3)
    assert "the path is a line" in refused("interpolate", styles, 1, 2, "--path", "sphere")
    assert "conditioned on the class: give --label" in refused("interpolate", cgan, 1, 2)
    assert "needs a model with styles" in refused("interpolate", gan, 1, 2, "--space", "w")


def test_an_image_of_another_size_is_fitted_when_asked(gan: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40), 90, np.uint8)).save(tmp_path / "large.png")
    said = genwerk("project", gan, "--input", tmp_path / "large.png", "--resize", "--steps", 5)
    assert "mean distance" in said
