"""A newcomer asks which recipe to take: for what there is, and for their own data."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from compared import comparison, figure, measured
from PIL import Image

from genwerk.comparison.result import to_plain
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
    assert lines[start + 1].split()[:4] == ["cvae", "audio", "image", "table"]
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
    first = found["suggested"][0]
    assert first["command"] == f"genwerk train {first['recipe']} --data {people}"
    assert " on wine.csv, place " in first["why"]
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
    assert typed.splitlines()[0].startswith(f"{numbers}: a table of 2 columns, 1 covariate (height)")
    assert typed.splitlines()[-1].startswith("genwerk train c")
    assert typed.splitlines()[-1].endswith(f"--data {numbers} --data.covariates height")


def test_what_does_not_fit_is_refused(refused: Genwerk, people: Path) -> None:
    assert "no recipe that mentions 'pixelcnn' can be trained on these data" in refused(
        "recipes", "pixelcnn", "--data", people
    )


def test_data_check_says_what_to_begin_with(genwerk: Genwerk, people: Path) -> None:
    said = genwerk("data", "check", people)
    assert re.search(f"to begin with: genwerk train c[a-z-]+ --data {people} \\(coverage .* place 1", said)
    assert f"genwerk recipes --data {people}" in said


def test_data_check_says_what_large_images_cost(genwerk: Genwerk, tmp_path: Path) -> None:
    for i in range(20):
        Image.new("RGB", (90, 80), (12 * i, 80, 200)).save(tmp_path / f"{i}.png")
    hint = "for a first trial in minutes set --data.size to 32"
    assert hint in genwerk("data", "check", tmp_path)
    assert hint not in genwerk("data", "check", tmp_path, "--size", "64")


def test_which_family_is_measured_on_the_most_alike_data(genwerk: Genwerk, people: Path) -> None:
    found = json.loads(genwerk("choose", "--data", people, "--json"))
    assert (found["want"], found["figure"], found["train"]) == ("samples", "coverage", 48)
    assert found["measured_on"]["kind"] == "table"
    first, *others = found["choices"]
    assert first["recipe"] == f"c{first['measured_as']}"
    assert first["figures"]["coverage"]["first"] == 1
    assert first["command"] == f"genwerk train {first['recipe']} --data {people}"
    said = genwerk("choose", "--data", people)
    lines = said.splitlines()
    assert lines[0] == f"{people}: a table of 2 columns, 2 classes; 48 to train on; wanted: samples"
    assert lines[1].startswith(f"most alike of the data measured: {found['measured_on']['source']} (a table ")
    assert lines[3].split()[:4] == ["recipe", "measured", "as", "place"]
    assert [line.split()[0] for line in lines[4 : 5 + len(others)]] == [each["recipe"] for each in found["choices"]]
    assert f"{first['recipe']} (measured as {first['measured_as']}) made the samples most like real examples" in said
    assert f"genwerk compare --recipes {first['recipe']}," in said


def test_what_is_wanted_of_a_model_changes_who_is_chosen_from(genwerk: Genwerk, refused: Genwerk, people: Path) -> None:
    scored = json.loads(genwerk("choose", "--data", people, "--want", "likelihood", "--json"))
    assert scored["figure"] == "nll"
    assert "gan" not in {each["measured_as"] for each in scored["choices"]}
    coded = json.loads(genwerk("choose", "--data", people, "--want", "codes", "--json"))
    assert all(each["latent"] for each in coded["choices"])
    assert "name them with --data" in refused("choose")


def test_where_nothing_of_the_kind_was_measured_opinions_are_called_so(genwerk: Genwerk, tmp_path: Path) -> None:
    beeps = tmp_path / "beeps"
    beeps.mkdir()
    for i in range(12):
        soundfile.write(beeps / f"{i}.wav", np.sin(np.arange(400) * (0.1 + 0.02 * i)), 2000)
    said = genwerk("choose", "--data", beeps)
    assert "nothing that tells was measured on data of this kind; these are opinions" in said
    assert "rule of thumb: made for sound" in said


def test_my_own_comparison_counts(genwerk: Genwerk, refused: Genwerk, tmp_path: Path, people: Path) -> None:
    own = tmp_path / "own"
    genwerk("train", "vae", "--data", people, "--rounds", 2, "--out", own / "runs" / "vae-0", "--no-evaluate")
    run = measured("vae", 0, figure("coverage", 0.25))
    found = comparison(run, kind="table", data="a table of 2 columns", source="mine", examples={"train": 48})
    (own / "report.json").write_text(json.dumps(to_plain(found)))
    said = genwerk("choose", "--data", people, "--compared", own)
    assert "most alike of the data measured: mine (a table of 2 columns; 48 examples" in said
    assert "cvae (measured as vae) made the samples most like real examples: coverage 0.25" in said
    assert "none/report.json does not exist" in refused("choose", "--data", people, "--compared", "none")


def test_training_without_labels_that_are_there_hints_at_the_conditional_recipe(
    genwerk: Genwerk, people: Path, tmp_path: Path
) -> None:
    said = genwerk("train", "vae", "--data", people, "--rounds", 2, "--out", tmp_path / "run", "--evaluate.samples", 0)
    assert "these data carry labels, which vae does not use; cvae is conditioned on them" in said
