"""A newcomer asks which recipe to take: for what there is, and for their own data."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from genwerk.tasks import fitting
from tests.cli.conftest import Genwerk


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A small table of numbers with labels."""
    draw, path = random.Random(0), tmp_path / "people.csv"
    rows = [f"{draw.gauss(170, 9):.1f},{draw.gauss(70, 8):.1f},{'mf'[i % 2]}" for i in range(60)]
    path.write_text("\n".join(["height,weight,label", *rows]))
    return path


def test_recipes_are_grouped_by_what_they_can_do(genwerk: Genwerk) -> None:
    lines = genwerk("recipes").splitlines()
    start = lines.index("sample by label, score by a bound, encode")
    assert lines[start + 1].split()[:2] == ["cvae", "any"]
    assert not any("mnist" in line.split()[0] for line in lines if line.startswith("  "))


def test_a_word_and_a_kind_narrow_the_list(genwerk: Genwerk, refused: Genwerk) -> None:
    found = {
        each["recipe"]: each for each in json.loads(genwerk("recipes", "maf", "--kind", "table", "--json"))["recipes"]
    }
    assert {"maf", "cmaf", "spline-maf"} <= found.keys()
    assert "vae" not in found
    assert "glow" not in found
    assert found["cmaf"]["does"] == ["sample", "score exactly", "encode"]
    assert "--kind is 'smell'; expected audio, image, table" in refused("recipes", "--kind", "smell")


def test_references_are_listed_when_they_are_asked_for(
    genwerk: Genwerk, refused: Genwerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "REGISTRY", {name: fitting.REGISTRY[name] for name in ("vae", "vae-mnist")})
    assert "--all adds references" in refused("recipes", "mnist")
    lines = genwerk("recipes", "mnist", "--all").splitlines()
    assert lines[0] == "sample, score by a bound, encode (references)"
    assert lines[1].split()[:2] == ["vae-mnist", "image"]


def test_what_fits_my_table(genwerk: Genwerk, people: Path) -> None:
    found = json.loads(genwerk("recipes", "--data", people, "--json"))
    assert [each["recipe"] for each in found["suggested"]][:2] == ["cmixture", "cspline-maf"]
    assert found["suggested"][0]["command"] == f"genwerk train cmixture --data {people}"
    fits = {each["recipe"]: each for each in found["recipes"]}
    assert "pixelcnn" not in fits
    assert (fits["maf"]["score"], fits["vae"]["score"], fits["gan"]["score"]) == ("exact", "bound", "")
    assert fits["cvae"]["by"] == ["label"]
    timed = [name for name, each in fits.items() if each["minutes"] is not None]
    assert timed == [each["recipe"] for each in found["suggested"]]
    assert all(fits[name]["minutes"] > 0 for name in timed)


def test_flags_of_training_choose_what_is_read(genwerk: Genwerk, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("\n".join(["height,weight,age", *(f"{i}.5,{i * i % 7},{i % 5}.1" for i in range(60))]))
    typed = genwerk("recipes", "covariates", "--data", numbers, "--data.covariates", "height")
    assert typed.splitlines()[0].startswith(f"{numbers}: table 2, 1 covariate (height)")
    assert f"genwerk train cspline-maf --data {numbers} --data.covariates height" in typed


def test_what_does_not_fit_is_refused(refused: Genwerk, people: Path) -> None:
    assert "no recipe that mentions 'pixelcnn' can be trained on these data" in refused(
        "recipes", "pixelcnn", "--data", people
    )


def test_data_check_says_what_to_begin_with(genwerk: Genwerk, people: Path) -> None:
    said = genwerk("data", "check", people)
    assert f"to begin with: genwerk train cmixture --data {people} (few rows" in said
    assert f"genwerk recipes --data {people}" in said


def test_training_without_labels_that_are_there_hints_at_the_conditional_recipe(
    genwerk: Genwerk, people: Path, tmp_path: Path
) -> None:
    said = genwerk("train", "vae", "--data", people, "--rounds", 2, "--out", tmp_path / "run", "--evaluate.samples", 0)
    assert "these data carry labels, which vae does not use; cvae is conditioned on them" in said
