"""Classes and outliers as a user meets them: figures of the run's own data, answers about one's own, and sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwerk.cli import main
from genwerk.data import DataConfig, open_data

Genwerk = Callable[..., str]
QUICK = ["--evaluate.samples", "0", "--evaluate.examples", "20"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "cmixture"
    main(["train", "cmixture", "--data", "digits", *QUICK, "--model.model.components", "1", "--out", str(path)])
    return path


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "vae"
    main(["train", "vae", "--data", "digits", *QUICK, "--rounds", "4", "--out", str(path)])
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one's own: six of the held-out zeros and sevens in a folder each, and beside it one turned over."""
    test = open_data(DataConfig(source="digits")).test
    batch, folder = test.batch(), tmp_path_factory.mktemp("mine")
    assert batch.condition is not None
    for c in (0, 7):
        for i, x in enumerate(batch.x[batch.condition == c][:6]):
            target = folder / "named" / str(c) / f"{i}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((x[0] * 255).byte().numpy()).save(target)
    (folder / "bare").mkdir()
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(folder / "bare" / "flat.png")
    Image.open(folder / "named" / "7" / "0.png").save(folder / "bare" / "seven.png")
    return folder


def test_a_run_is_measured_on_its_own_held_out_data(run: Path, genwerk: Genwerk) -> None:
    said = genwerk("classify", run)
    assert "on 175 held-out examples, 10 classes" in said
    assert "fitted on 87 of them; on the other 88" in said
    found = json.loads(genwerk("classify", run, "--json"))
    assert found["accuracy"] > 0.95
    assert found["temperature"] > 1
    assert found["after"]["nll"] < found["before"]["nll"]
    assert sum(b["count"] for b in found["before"]["bins"]) == 88
    other = json.loads(genwerk("classify", run, "-n", 50, "--prior", "train", "--json"))
    assert (other["examples"], other["fitted_on"]) == (50, 25)


def test_a_report_holds_the_accuracy(run: Path) -> None:
    figures = json.loads((run / "report.json").read_text())["figures"]
    assert {"bayes_accuracy", "calibration_error"} <= set(figures)


def test_ones_own_pictures_get_their_classes(run: Path, mine: Path, genwerk: Genwerk) -> None:
    found = json.loads(genwerk("classify", run, "--input", mine / "named", "--json"))
    rows = found["examples"]
    assert [row["prediction"] for row in rows] == [row["label"] for row in rows] == ["0"] * 6 + ["7"] * 6
    assert [Path(row["file"]).parent.name for row in rows] == ["0"] * 6 + ["7"] * 6
    assert found["accuracy"] == 1
    sure = np.array([row["probabilities"] for row in rows])
    np.testing.assert_allclose(sure.sum(1), 1)
    tempered = json.loads(genwerk("classify", run, "--input", mine / "named", "--temperature", 50, "--json"))
    assert np.mean([max(row["probabilities"]) for row in tempered["examples"]]) < sure.max(1).mean()
    said = genwerk("classify", run, "--input", mine / "named", "--show", 5)
    assert "accuracy 1.0000 on 12 examples" in said
    assert "and 7 more" in said
    one = genwerk("classify", run, "--input", mine / "bare" / "seven.png")
    assert "7 1.0000" in one
    assert "accuracy" not in one
    assert "accuracy 0.0000" in genwerk("classify", run, "--input", mine / "bare" / "seven.png", "--label", "8")


def test_outliers_come_first(run: Path, mine: Path, genwerk: Genwerk) -> None:
    found = json.loads(genwerk("outliers", run, "--input", mine / "bare", "--json"))
    assert found["exact"]
    assert found["reference"] == 175
    flat, seven = found["examples"]
    assert (flat["file"], seven["file"]) == ("flat.png", "seven.png")
    assert flat["typicality_p"] == pytest.approx(1 / 176)
    assert flat["typicality"] == pytest.approx(abs(flat["log_prob"] - found["mean"]))
    assert flat["log_prob"] < seven["log_prob"]
    assert seven["typicality_p"] > 0.01
    said = genwerk("outliers", run, "--input", mine / "bare", "--show", 1)
    assert "ranks among 175 held-out examples" in said
    assert "and 1 more" in said
    assert "AUROC against them: " in said
    said = genwerk("outliers", run, "--show", 1)
    assert "ranks among 175 held-out examples" in said
    assert "AUROC" not in said


def test_a_bound_is_said_to_be_one(vae: Path, mine: Path, genwerk: Genwerk) -> None:
    asked = ("outliers", vae, "--input", mine / "bare", "--examples", 20, "--importance-samples", 3)
    assert not json.loads(genwerk(*asked, "--json"))["exact"]
    said = " ".join(genwerk(*asked).split())
    assert "log p(x) ≥" in said
    assert "with 20 held-out examples the least possible p is 0.095 two-sided, of log p(x), and 0.048 of the" in said


def test_a_model_that_cannot_is_one_sentence(vae: Path, mine: Path, refused: Genwerk) -> None:
    said = refused("classify", vae, "--input", mine / "bare")
    assert "classify needs a model with an exact likelihood" in said
    assert "recipes with it: cglow, cmaf, cmixture, cpixelcnn, crealnvp, cspline-maf" in said


def test_a_model_without_classes_is_one_sentence(tmp_path: Path, genwerk: Genwerk, refused: Genwerk) -> None:
    genwerk("train", "mixture", "--data", "ring", *QUICK, "--rounds", 2, "--out", tmp_path / "ring")
    said = refused("classify", tmp_path / "ring")
    assert "classify needs a model that is conditioned on the label, and mixture is not; no recipe has it on" in said
    genwerk("train", "autoencoder", "--data", "digits", *QUICK, "--rounds", 2, "--out", tmp_path / "plain")
    assert "scoring outliers needs a model with an exact likelihood" in refused(
        "outliers", tmp_path / "plain", "--input", "test"
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["classify", "--label", "ten", "--input", "named"], "there is no class 'ten'"),
        (["classify", "--temperature", "0", "--input", "named"], "the temperature is 0.0"),
        (["classify", "-n", "1"], "cannot be halved"),
        (["classify", "-n", "0"], "-n is 0; expected 1 or more"),
        (["classify", "--input", "nowhere"], "nowhere"),
        (["outliers", "--input", "bare", "--importance-samples", "0"], "0 importance samples"),
        (["outliers", "--input", "bare", "--examples", "0"], "asked for 0 examples"),
    ],
)
def test_mistakes_are_one_sentence(run: Path, mine: Path, refused: Genwerk, asked: list[str], words: str) -> None:
    arguments = [str(mine / a) if a in ("named", "bare", "nowhere") else a for a in asked]
    assert words in refused(arguments[0], run, *arguments[1:])


def test_data_that_have_changed_under_a_run_are_one_sentence(
    tmp_path: Path, genwerk: Genwerk, refused: Genwerk
) -> None:
    source, out = tmp_path / "trees.csv", tmp_path / "trees"
    x = np.random.default_rng(0).normal(size=(200, 2))

    def write(label: list[str] | None) -> None:
        rows = [f"{a},{b}" + (f",{label[i]}" if label else "") for i, (a, b) in enumerate(x)]
        source.write_text("\n".join(["height,width" + (",label" if label else ""), *rows]))

    write(["ash", "elm"] * 100)
    genwerk("train", "cmixture", "--data", source, *QUICK, "--rounds", 2, "--out", out)
    assert "2 classes" in genwerk("classify", out)
    write(["ash", "oak"] * 100)
    assert "has the class 'oak', which this model has never seen" in refused("classify", out)
    write(None)
    assert "the model was trained on ash, elm" in refused("classify", out)


def test_a_class_without_training_examples_is_one_sentence(tmp_path: Path, refused: Genwerk) -> None:
    said = refused("train", "cmixture", "--data", "digits", "--data.limit", 3, "--out", tmp_path / "few")
    assert "has no training example" in said


def test_unlabelled_data_cannot_train_it(tmp_path: Path, refused: Genwerk) -> None:
    said = refused("train", "cmixture", "--data", "ring", "--out", tmp_path / "ring")
    assert "needs labels and the data carry none" in said
