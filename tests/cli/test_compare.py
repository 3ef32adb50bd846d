"""`genwerk compare` and `genwerk demo` as a person types them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genwerk.cli.parsing import parsed
from genwerk.commands.comparing import FAMILIES, Compare
from genwerk.recipes import REGISTRY
from genwerk.runs import store
from genwerk.runs.train import train

Genwerk = Callable[..., str]
FEW = ("--samples", 100, "--evaluate.examples", 50, "--importance-samples", 2, "--evaluate.minutes", "None")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train("mixture", "ring", out=folder / "mixture", rounds=5, evaluate=False, progress=False)
    for seed in (0, 1):
        train("realnvp", "ring", out=folder / f"flow-{seed}", rounds=20, seed=seed, evaluate=False, progress=False)
    return folder


def asked(*words: object) -> Compare:
    command = parsed(["compare", *map(str, words)]).command
    assert isinstance(command, Compare)
    return command


def test_runs_are_compared_into_a_report(genwerk: Genwerk, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    said = genwerk("compare", runs / "mixture", runs / "flow-0", runs / "flow-1", *FEW, "--out", out)
    for name in ("html", "md", "csv", "json"):
        assert f"wrote {out / f'report.{name}'}" in said
    assert "realnvp" in said
    assert (out / "report.html").read_text().count("<img") > 0
    printed = json.loads(
        genwerk("compare", runs / "mixture", runs / "flow-0", runs / "flow-1", *FEW, "--out", out, "--json")
    )
    stored = json.loads((out / "report.json").read_text())
    assert [each["seed"] for each in printed["measured"]] == [each["seed"] for each in stored["measured"]] == [0, 0, 1]
    assert {file["path"] for file in printed["files"]} >= {str(out / "report.html")}


def test_recipes_are_trained_alike_and_compared(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    out = tmp_path / "report"
    request = ("--data", "ring", "--recipes", "mixture,realnvp", "--seeds", 1, "--examples", 1000, *FEW, "--jobs", 2)
    said = genwerk("compare", *request, "--out", out)
    assert "wrote" in said
    assert {path.name for path in (out / "runs").iterdir() if path.is_dir()} == {"mixture-0", "realnvp-0"}
    report = json.loads((out / "report.json").read_text())
    assert report["command"] == "genwerk compare --data ring --recipes mixture,realnvp --examples 1000 --seeds 1 " + (
        "--jobs 2 --evaluate.examples 50 --evaluate.samples 100 --evaluate.importance-samples 2 "
        f"--evaluate.minutes None --out {out}"
    )
    assert asked(*shlex.split(report["command"])[2:]) == asked(*request, "--out", out)
    for run in report["measured"]:
        assert not Path(run["run"]).is_absolute()
    first, again = out / "runs" / "realnvp-0", tmp_path / "again"
    genwerk("train", "--config", first / "config.json", "--no-evaluate", "--out", again)
    weights = [store.load_model(store.find(run / "last")).state_dict() for run in (first, again)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    with_one_more = (*request[:2], "--recipes", "mixture", "realnvp", "wavenet", *request[4:])
    before = (out / "plan.json").read_bytes()
    said = refused("compare", *with_one_more, "--out", out)
    assert "the recipe wavenet cannot take part" in said
    assert (out / "plan.json").read_bytes() == before


def test_recipes_go_apart_or_joined_by_commas() -> None:
    apart = asked("--data", "ring", "--recipes", "mixture", "realnvp").request()
    assert apart == asked("--data", "ring", "--recipes", "mixture,realnvp").request()


def test_without_recipes_those_that_are_suggested_take_part() -> None:
    assert len(asked("--data", "digits").request().recipes) > 1


def test_mistakes_are_told_in_a_sentence(refused: Genwerk, runs: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "report")
    assert "name two runs or more" in refused("compare", *out)
    assert "only" in refused("compare", runs / "mixture", *out)
    assert "a is not a folder" in refused("compare", "a", "b", *out)
    assert "gam" in refused("compare", "--data", "ring", "--recipes", "mixture,gam", *out)
    assert "--minutes and --examples both bound" in refused(
        "compare", "--data", "ring", "--recipes", "mixture,gan", "--minutes", 1, "--examples", 5, *out
    )
    assert not (tmp_path / "report").exists()
    (tmp_path / "letter.txt").write_text("dear")
    assert "is a folder of something else; choose a new one with --out" in refused(
        "compare", runs / "mixture", runs / "flow-0", "--out", tmp_path
    )


def test_the_demo_compares_one_recipe_of_each_kind() -> None:
    assert set(FAMILIES) <= REGISTRY.keys()
