"""Watching a training: how long it will be, what is seen of it, and what a run folder shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from genwerk.data import DataConfig, open_data
from genwerk.recipes import REGISTRY
from genwerk.runs import store
from genwerk.runs.planning import planned
from genwerk.training import speed

Genwerk = Callable[..., str]
QUIET = ("--evaluate.samples", 0, "--train.evaluate-every", 0)


def test_a_length_in_minutes_becomes_rounds_that_stay(genwerk: Genwerk, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = genwerk("train", "autoencoder-mixture", "--data", "digits", "--minutes", 0.01, "--out", run, *QUIET)
    (rounds,) = re.findall(r"0.01 minutes are about ([\d,]+) rounds here", said)
    assert f"parameters, {rounds} rounds" in said
    recipe = store.find(run).recipe
    autoencoder, prior = recipe.train.rounds, recipe.model.prior_rounds
    assert autoencoder + prior == int(rounds.replace(",", ""))
    assert f"2 stages: autoencoder {autoencoder:,}, prior {prior:,} (--model.prior-rounds)" in said
    card = (run / "card.md").read_text()
    assert f"--model.prior-rounds {prior} --train.rounds {autoencoder}" in card
    assert "keeps the length with which it began" in genwerk(
        *("train", "autoencoder-mixture", "--data", "digits", "--minutes", 9, "--out", run, "--resume")
    )
    assert store.find(run).recipe == recipe


@pytest.mark.parametrize(("rounds", "said"), [(59, "0.98% of this recipe's 6,000 rounds teach it next"), (60, "")])
def test_minutes_that_teach_next_to_nothing_are_met_with_a_caution(
    rounds: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits, entry = open_data(DataConfig(source="digits", limit=50)), REGISTRY["gan"]
    monkeypatch.setattr(speed, "lasting", lambda recipe, *_: (recipe, rounds))
    plan = planned(
        Path("run"), lambda spec: entry.make(spec or entry.spec), lambda r, _: r, lambda _: splits, minutes=1
    )
    assert plan.caution[: len(said) or None] == said


@pytest.mark.parametrize(
    "asked,said",
    [
        (("--minutes", 0), "--minutes is 0; expected more than 0"),
        (("--minutes", -3), "--minutes is -3; expected more than 0"),
        (("--minutes", "nan"), "--minutes is nan; expected more than 0"),
        (("--minutes", 1e9), "at most 527,040 (a year)"),
        (("--minutes", 1, "--rounds", 5), "name one of them"),
    ],
)
def test_a_length_that_cannot_be_is_refused(
    asked: tuple[object, ...], said: str, refused: Genwerk, tmp_path: Path
) -> None:
    assert said in refused("train", "vae", "--data", "digits", "--out", tmp_path / "run", *asked)
    assert not (tmp_path / "run").exists()


def test_the_first_picture_of_each_stage_comes_early(genwerk: Genwerk, tmp_path: Path) -> None:
    run = tmp_path / "run"
    genwerk(
        *("train", "autoencoder-mixture", "--data", "digits", "--rounds", 40, "--model.prior-rounds", 20),
        *("--out", run, *QUIET),
    )
    assert sorted(p.stem for p in (run / "samples").iterdir()) == ["00000004", "00000042", "00000060"]


def points(run: Path) -> int:
    """Points of the curve of the loss on the page of ``run``."""
    (found,) = re.findall(r'<b>loss</b>.*?class="training" points="([^"]*)"', (run / "index.html").read_text())
    return len(found.split())


def test_a_run_has_a_page_that_goes_on_with_it(genwerk: Genwerk, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = genwerk("train", "vae", "--data", "digits", "--rounds", 20, "--out", run, *QUIET)
    assert said.index(f"to watch it: {run / 'index.html'}, {run / 'curves.png'}") < said.index("measuring")
    assert f"page    {run / 'index.html'}" in said
    page = (run / "index.html").read_text()
    assert "Trained for 20 rounds" in page
    assert "bits/dim" in page
    assert "samples/00000020.png" in page
    assert "genwerk sample" in page
    before = points(run)
    with (run / "events.jsonl").open("a") as file:
        file.write("{damaged\n")
    genwerk("train", "vae", "--out", run, "--resume", "--rounds", 30, *QUIET)
    assert "Trained for 30 rounds" in (run / "index.html").read_text()
    assert (before, points(run)) == (20, 30)
