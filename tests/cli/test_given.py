"""Numbers that a model is told, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genwerk.cli import main
from genwerk.runs.opened import OpenRun

Genwerk = Callable[..., str]
GIVEN = ["--data.covariates", "height,weight"]
QUICK = ["--rounds", "80", "--evaluate.samples", "0", "--model.layers", "2"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Columns a and b that follow height and weight, but for noise."""
    random = np.random.default_rng(0)
    told = random.normal([1.75, 75.0], [0.1, 12.0], (300, 2))
    made = told / [0.1, 12.0] + random.normal(size=(300, 2))
    rows = np.column_stack([made[:, 0], told, made[:, 1]])
    path = tmp_path_factory.mktemp("data") / "table.csv"
    np.savetxt(path, rows, delimiter=",", header="a,height,weight,b", comments="")
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "cmaf"
    main(["train", "cmaf", "--data", str(table), *GIVEN, *QUICK, "--out", str(path)])
    return path


def test_the_check_says_what_is_told(table: Path, genwerk: Genwerk) -> None:
    said = genwerk("data", "check", table, "--covariates", "height,weight")
    assert "a table of 2 columns, 2 covariates (height, weight)" in said
    found = json.loads(genwerk("data", "check", table, "--covariates", "1", "--json"))
    assert (found["covariates"], found["shape"]) == (["height"], [3])


def test_samples_are_asked_for_by_numbers(run: Path, tmp_path: Path, genwerk: Genwerk) -> None:
    means = []
    for given in ("1.55,51", "1.95,99"):
        genwerk("sample", run, "-n", 200, "--covariates", given, "--out", tmp_path / "made.csv", "--overwrite")
        lines = (tmp_path / "made.csv").read_text().splitlines()
        assert (lines[0], len(lines)) == ("a,height,weight,b", 201)
        means.append(np.loadtxt(lines[1:], delimiter=",", usecols=(0, 3)).mean(0))
    assert (means[1] - means[0] > 1).all()  # 4 in truth, after the shortest of trainings


def test_commands_tell_rows_their_own_numbers(run: Path, table: Path, genwerk: Genwerk) -> None:
    report = json.loads(genwerk("evaluate", run, "--samples", 0, "--json"))
    assert next(iter(report["figures"])) == "nll"
    for said in (genwerk("reconstruct", run), genwerk("reconstruct", run, "--input", table)):
        assert float(said.split("mean squared error ")[1].split()[0]) < 1e-10
    for command in (
        ["interpolate", run, 0, 1],
        ["traverse", run, "--dims", 0, 1],
        ["encode", run],
        ["nearest", run, "-n", 4],
    ):
        assert "wrote" in genwerk(*command)
    assert "AUROC" in genwerk("outliers", run, "--input", table, "--show", 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            [],
            "conditioned on 2 covariates (height, weight): give --covariates\n",
        ),
        (["--covariates", "1.8"], "expected 2 covariates (height, weight)"),
        (["--covariates", "1.8,75,3"], "expected 2 covariates (height, weight)"),
        (["--covariates", "1.8,nan"], "expected 2 covariates (height, weight)"),
        (["--covariates", "tall,75"], "expected 2 covariates (height, weight), finite and joined by commas"),
        (["--prompt", "tall"], "leave out --prompt"),
    ],
)
def test_wrong_numbers_are_one_sentence(run: Path, refused: Genwerk, arguments: list[str], said: str) -> None:
    assert said in refused("sample", run, "-n", 3, *arguments)


def test_what_numbers_cannot_do_is_one_sentence(run: Path, refused: Genwerk) -> None:
    assert "conditioned on the label, and cmaf is not" in refused("classify", run)
    assert "encode instead" in refused("project", run)


def test_no_option_is_named_that_the_command_lacks(
    run: Path, refused: Genwerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenRun, "one", lambda opened, *_: opened.model.condition.check(None, opened.model))
    said = refused("interpolate", run, 0, 1)
    assert "2 covariates (height, weight), which this command takes from examples alone: name some that carry" in said


def test_the_space_in_which_examples_are_encoded_may_be_named(run: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    for name, space in (("unasked", []), ("named", ["--space", "z"])):
        genwerk("interpolate", run, 0, 1, *space, "--out", tmp_path / f"{name}.csv")
    assert (tmp_path / "named.csv").read_text() == (tmp_path / "unasked.csv").read_text()


def test_what_cannot_be_told_is_one_sentence(table: Path, tmp_path: Path, refused: Genwerk) -> None:
    train = ["train", "cmaf", "--data", table, "--out", tmp_path / "run"]
    assert "no column 'size'" in refused(*train, "--data.covariates", "size")
    assert "nothing is left" in refused(*train, "--data.covariates", "a,b,height,weight")
    assert "--data.covariates" in refused(*train)
    assert "needs labels" in refused("train", "cvae", *train[2:], *GIVEN)
