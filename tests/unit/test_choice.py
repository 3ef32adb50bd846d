"""From a table that is soon learned by heart to the model that is used: the one that was best on rows kept apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import genwerk
from genwerk.cli import main
from genwerk.data import open_data
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.runs import store
from genwerk.runs.training import Run
from genwerk.tasks import log_likelihood
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig

ENTROPY = 8 * 1.4189385
"""Of a row of eight independent standard normal values, in nats."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("small")
    x = torch.randn(240, 8, generator=torch.Generator().manual_seed(0)).numpy()
    path = folder / "rows.csv"
    path.write_text("\n".join(",".join(f"{v:.4f}" for v in row) for row in x))
    splits = open_data(DataConfig(source=str(path), holdout=0.25, validation=0.4))
    train = TrainConfig(rounds=2000, batch_size=64, log_every=0, optim={"model": OptimConfig(lr=1e-3)})
    recipe = Recipe(model=MAFConfig(layers=2, widths=(64,)), train=train, evaluate=EvaluateConfig(samples=0))
    return genwerk.train(recipe, splits, out=folder / "run", device="cpu")


def fresh(model: genwerk.Model) -> float:
    data = Dataset(x=torch.randn(2000, 8, generator=torch.Generator().manual_seed(1)), spec=model.spec)
    return -log_likelihood(model, data).nats


def test_training_ends_when_it_learns_by_heart_and_the_best_round_is_the_model(run: Run) -> None:
    chosen, last = store.find(run.path), store.find(run.path / "last")
    assert chosen.round < last.round < 2000
    used, ended = fresh(run.model), fresh(genwerk.load(run.path / "last", device="cpu"))
    assert used == fresh(genwerk.load(run.path, device="cpu"))
    assert ENTROPY < used < ENTROPY + 2
    assert ended > used + 2


def test_it_is_said_which_round_was_chosen_and_that_training_went_past_it(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen, last = store.find(run.path), store.find(run.path / "last")
    which = f"The weights are those of round {chosen.round:,} of {last.round:,}, the best of "
    assert run.report is not None
    assert run.report.notes[0].startswith(which)
    assert run.report.notes[1].startswith("Training went past its best")
    assert which in (run.path / "card.md").read_text()
    main(["evaluate", str(run.path), "--samples", "0", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["notes"][:2] == list(run.report.notes[:2])
    main(["evaluate", str(run.path / "last"), "--samples", "0"])
    assert f"those of round {last.round:,}, the newest; round {chosen.round:,} is the best" in capsys.readouterr().out


def test_no_lines_of_rounds_are_logged_where_none_are_asked_for(run: Run) -> None:
    events = [json.loads(line)["event"] for line in (run.path / "events.jsonl").read_text().splitlines()]
    assert "round" not in events
    assert "evaluated" in events


def test_the_test_part_is_not_looked_at_before_the_end(run: Run, tmp_path: Path) -> None:
    """Training with test rows of another world chooses the same round."""
    splits = open_data(replace(run.recipe.data))
    elsewhere = replace(splits, test=replace(splits.test, x=splits.test.x + 1e3))
    assert isinstance(elsewhere, Splits)
    train = replace(run.recipe.train, rounds=40, evaluate_every=10)
    runs = [
        genwerk.train(replace(run.recipe, train=train), parts, out=tmp_path / str(i), device="cpu")
        for i, parts in enumerate((splits, elsewhere))
    ]
    assert store.find(runs[0].path).round == store.find(runs[1].path).round
    assert runs[0].report is not None
    assert runs[1].report is not None
    assert runs[0].report["NLL"].value < runs[1].report["NLL"].value
