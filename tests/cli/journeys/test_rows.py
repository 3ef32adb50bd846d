"""What came from where: rows with their file or number and label, sheets with names, and what a model has not seen."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from genwerk.cli import main
from genwerk.commands.results import Examples
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.recipes import recipe
from genwerk.runs.training import Training
from genwerk.training.events import RoundDone
from genwerk.training.protocol import EvaluateConfig

Genwerk = Callable[..., str]
RNG = np.random.default_rng(0)
QUICK = ("--evaluate.samples", "0", "--train.evaluate-every", "0", "--train.sample-every", "0")


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small pictures: cats are dark at the left, dogs at the right; one is all white."""
    folder = tmp_path_factory.mktemp("pets")
    for i in range(24):
        name = ("cat", "dog")[i % 2]
        pixels = RNG.integers(150, 200, (8, 8), np.uint8)
        pixels[:, :4] //= 4 if name == "cat" else 1
        pixels[:, 4:] //= 4 if name == "dog" else 1
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    Image.new("L", (8, 8), 255).save(folder / "cat" / "white.png")
    return folder


@pytest.fixture(scope="module")
def vae(pets: Path) -> Path:
    run = pets.parent / "vae"
    main(["train", "cvae", "--data", str(pets), "--rounds", "40", *QUICK, "--out", str(run)])
    return run


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table of people, and a run that makes ages and incomes of heights."""
    folder = tmp_path_factory.mktemp("people")
    rows = [f"{h:.2f},{20 + 30 * u:.1f},{v:.1f}" for h, u, v in RNG.uniform(size=(60, 3)) * [0.5, 1, 9] + [1.5, 0, 1]]
    (folder / "people.csv").write_text("height,age,income\n" + "\n".join(rows) + "\n999,99,99\n")
    run, asked = folder / "run", ("--data", str(folder / "people.csv"), "--data.covariates", "height")
    main(["train", "cmaf", *asked, "--rounds", "4", *QUICK, "--out", str(run)])
    return folder / "people.csv", run


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_outliers_and_classes_of_ones_own_pictures_name_their_files(vae: Path, pets: Path, genwerk: Genwerk) -> None:
    found = json.loads(genwerk("outliers", vae, "--input", pets, "--importance-samples", 2, "--json"))["examples"]
    assert len(found) == 25
    assert (found[0]["file"], found[0]["label"]) == ("cat/white.png", "cat")
    assert all(row["file"].startswith(row["label"]) for row in found)
    assert "cat/white.png  cat" in genwerk("outliers", vae, "--input", pets, "--importance-samples", 2, "--show", 1)


def test_codes_have_named_columns_and_active_dimensions(vae: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    said = genwerk("encode", vae, "--input", "train", "--out", tmp_path / "codes.csv")
    assert "latent dimensions are active" in said
    rows = read(tmp_path / "codes.csv")
    assert list(rows[0])[:4] == ["file", "label", "z0", "z1"]
    assert all(row["file"].startswith(row["label"]) for row in rows)


def test_the_most_active_dimensions_are_traversed_unasked(vae: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    said = genwerk("traverse", vae, "--steps", 3, "--label", "cat", "--out", tmp_path / "way.png")
    told = json.loads(Image.open(tmp_path / "way.png").info["genwerk"])
    assert told["dims"].startswith("(")
    assert told["label"] == "cat"
    assert "held still: label cat" in said


def test_samples_of_several_classes_are_named_below(vae: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("sample", vae, "-n", 4, "--prior", "even", "--out", tmp_path / "both.png")
    genwerk("sample", vae, "-n", 4, "--label", "cat", "--out", tmp_path / "cats.png")
    named, bare = (Image.open(tmp_path / f"{name}.png") for name in ("both", "cats"))
    assert named.height > bare.height
    genwerk("sample", vae, "-n", 2, "--prior", "even", "--out", f"{tmp_path}/each/")
    told = [json.loads(Image.open(tmp_path / "each" / f"0000{i}.png").info["genwerk"])["label"] for i in (0, 1)]
    assert told == ["cat", "dog"]


def test_rows_of_a_table_are_known_by_their_number(table: tuple[Path, Path], genwerk: Genwerk) -> None:
    people, run = table
    found = json.loads(genwerk("outliers", run, "--input", people, "--json"))["examples"]
    assert (found[0]["row"], found[0]["height"]) == (60, 999)
    assert {row["row"] for row in found} == set(range(61))
    assert {row["part"] for row in found} == {"train", "validation", "test"}
    trained = sum(row["part"] == "train" for row in found)
    assert f"{trained} of these 61 examples were trained on" in genwerk("outliers", run, "--input", people)
    held_out = genwerk("outliers", run, "--input", "test", "--show", 0)
    assert "trained on" not in held_out


def test_the_neighbours_of_samples_are_told_row_by_row(
    table: tuple[Path, Path], genwerk: Genwerk, tmp_path: Path
) -> None:
    people, run = table
    near = json.loads(genwerk("nearest", run, "-n", 2, "--k", 3, "--out", tmp_path / "near.csv", "--json"))["samples"]
    found, training = read(tmp_path / "near.csv"), read(people)
    assert list(found[0]) == ["sample", "rank", "row", "height", "distance", "age", "income"]
    assert [(row["sample"], row["rank"]) for row in found] == [(s, r) for s in "01" for r in "0123"]
    for row in found:
        if row["rank"] == "0":
            assert (row["row"], row["distance"]) == ("", "")
        else:
            known = near[int(row["sample"])]["nearest"][int(row["rank"]) - 1]
            assert (int(row["row"]), float(row["distance"])) == (known["row"], known["distance"])
            assert float(row["income"]) == float(training[int(row["row"])]["income"])


def test_a_column_of_the_data_keeps_its_name_beside_what_is_known() -> None:
    spec = DataSpec(kind="table", shape=(2,), columns=("row", "b"))
    found = Examples([Batch(torch.tensor([[1.0, 2.0]]))], spec, 1, known={"row": [7]}, headed=True)
    names, rows = found.table()
    assert (names, list(rows)) == (["row_", "row", "b"], [[7, 1.0, 2.0]])


def test_a_small_error_has_its_digits(table: tuple[Path, Path], genwerk: Genwerk, tmp_path: Path) -> None:
    small = tmp_path / "small.csv"
    small.write_text("a,b,c\n" + "".join(f"{a:.9f},{b:.9f},{c:.9f}\n" for a, b, c in RNG.normal(size=(40, 3)) / 1e4))
    genwerk("train", "autoencoder", "--data", small, "--rounds", 2, *QUICK, "--out", tmp_path / "run")
    said = genwerk("reconstruct", tmp_path / "run", "--out", tmp_path / "made.csv")
    assert 1e-12 < float(re.search(r"mean squared error (\S+) per value", said)[1]) < 1e-6  # type: ignore[index]


def test_a_condition_far_from_the_training_data_is_doubted(
    table: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["sample", str(table[1]), "-n", "2", "--covariates", "1.8"])
    assert capsys.readouterr().err == ""
    main(["sample", str(table[1]), "-n", "2", "--covariates", "5000"])
    assert "height is 5000, and in training it was from 1.5" in capsys.readouterr().err


def test_a_run_whose_training_is_not_over_says_so(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = pets.parent / "early"
    splits = open_data(DataConfig(source=str(pets)))
    settings = recipe("vae-flow", splits.spec)
    short = replace(settings.train, rounds=3, evaluate_every=0, sample_every=0)
    settings = replace(settings, data=splits.settings, train=short, evaluate=EvaluateConfig(samples=0))
    with Training("vae-flow", settings, splits, run) as training:
        for event in training:
            if isinstance(event, RoundDone) and event.round == 1:
                training.trainer.stop()
    main(["sample", str(run), "-n", "2"])
    assert (
        "not over: it stands in stage 1 of 2 (autoencoder), round 1 of 6; later stages are untrained"
        in capsys.readouterr().err
    )
    main(["train", "vae-flow", "--data", str(pets), "--out", str(run), "--resume"])
    capsys.readouterr()
    main(["sample", str(run), "-n", "2"])
    assert capsys.readouterr().err == ""


def test_json_is_one_object_and_all_that_is_printed(
    vae: Path, pets: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def found(*arguments: object) -> tuple[dict[str, Any], str]:
        main([*map(str, arguments), "--json"])
        printed = capsys.readouterr()
        return json.loads(printed.out), printed.err

    drawn, _ = found("sample", vae, "-n", 2, "--prior", "even", "--out", tmp_path / "two.png")
    (sheet,) = drawn["files"]
    assert (sheet["path"], sheet["n"], sheet["origin"]["seed"]) == (str(tmp_path / "two.png"), 2, 0)
    assert sheet["examples"] == [{"label": "cat"}, {"label": "dog"}]
    assert "without its noise (--observation" in drawn["notes"][0]
    coded, _ = found("encode", vae, "-n", 3)
    table, picture = coded["files"]
    assert table["columns"][:3] == ["file", "label", "z0"]
    assert sum(picture["groups"].values()) == table["n"]
    assert len(coded["activity"]) == len(table["columns"]) - 2
    assert found("doctor")[0]["findings"]
    assert found("figure")[0]
    settings = ("--rounds", "2", "--out", tmp_path / "run", "--evaluate.samples", "0")
    trained, said = found("train", "mixture", "--data", pets, *settings)
    assert (trained["run"], "training mixture" in said) == (str(tmp_path / "run"), True)
    with pytest.raises(SystemExit):
        main(["sample", str(tmp_path), "--json"])
    assert capsys.readouterr().out == ""
