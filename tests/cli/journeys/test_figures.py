"""Figures of a run: measured after a training or later, left by Ctrl-C, read by a person and by a program."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from genwerk.cli import main, progress
from genwerk.cli.rendering import as_json
from genwerk.evaluation import evaluate
from tests.cli.conftest import Genwerk

QUICK = ("--model.components", 2, "--evaluate.samples", 200)


def people(path: Path, seed: int = 0) -> Path:
    """A table of heights and weights."""
    rows = np.random.default_rng(seed).normal((170, 70), (8, 10), (200, 2))
    path.write_text("height,weight\n" + "\n".join(f"{a:.3f},{b:.3f}" for a, b in rows))
    return path


@pytest.fixture
def run(tmp_path: Path, genwerk: Genwerk) -> Path:
    genwerk("train", "mixture", "--data", people(tmp_path / "people.csv"), *QUICK, "--out", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def left(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that a signal ends; returns what it printed."""

    def call(code: int, *arguments: object) -> str:
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert end.value.code == code
        return capsys.readouterr().out

    return call


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals], None]:
    """Makes the sampling of an evaluation, which the likelihood comes before, send a signal to this process."""

    def by(number: signal.Signals) -> None:
        def interrupting(*arguments: object, **more: object) -> Iterator[object]:
            os.kill(os.getpid(), number)
            yield

        monkeypatch.setattr(evaluate, "drawn", interrupting)

    return by


def test_a_run_is_measured_later(tmp_path: Path, genwerk: Genwerk) -> None:
    data, run = people(tmp_path / "people.csv"), tmp_path / "run"
    said = genwerk("train", "mixture", "--data", data, *QUICK, "--out", run, "--no-evaluate")
    assert "measuring" not in said
    assert not (run / "report.json").exists()
    assert f"Not measured yet: `genwerk evaluate {run}` measures it" in (run / "card.md").read_text()
    report = json.loads(genwerk("evaluate", run, "--samples", 200, "--json"))
    assert json.loads((run / "report.json").read_text()) == report
    assert list(report) == ["complete", "figures", "extractor", "notes", "labels", "sweep"]
    assert report["complete"] is True
    assert {"nll", "frechet_distance", "kernel_distance", "precision", "recall"} <= set(report["figures"])
    figure = report["figures"]["frechet_distance"]
    named = ["name", "value", "spread", "unit", "note", "floor", "noise", "reference", "verdict"]
    assert list(figure) == named
    assert figure["name"] == "Fréchet distance"
    assert figure["noise"] > figure["floor"] >= 0
    assert "| Fréchet distance |" in (run / "card.md").read_text()


def test_figures_of_other_data_and_of_other_weights_leave_the_report_alone(
    tmp_path: Path, run: Path, genwerk: Genwerk
) -> None:
    before = (run / "report.json").read_bytes(), (run / "card.md").read_bytes()
    genwerk("evaluate", run, "--data", people(tmp_path / "others.csv", 1), "--samples", 50)
    genwerk("evaluate", run / "last", "--samples", 50)
    assert ((run / "report.json").read_bytes(), (run / "card.md").read_bytes()) == before
    genwerk("evaluate", run, "--samples", 50)
    assert (run / "report.json").read_bytes() != before[0]


def test_what_it_costs_is_measured_when_asked(run: Path, genwerk: Genwerk) -> None:
    costs = {"parameters", "sampling_latency", "samples_per_second", "growth_with_batch"}
    costs |= {"training_cpu_seconds", "training_examples_per_second", "peak_training_memory"}
    assert not costs & set(json.loads(genwerk("evaluate", run, "--samples", 50, "--json"))["figures"])
    report = json.loads(genwerk("evaluate", run, "--samples", 50, "--efficiency", "--json"))
    assert costs <= set(report["figures"])
    assert json.loads((run / "report.json").read_text()) == report
    log = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert report["figures"]["training_cpu_seconds"]["value"] == log[-1]["cpu_seconds"]


def test_a_run_that_cannot_be_written_is_measured_all_the_same(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "report.json").unlink()
    (run / "report.json").mkdir()
    main(["evaluate", str(run), "--samples", "50"])
    said = capsys.readouterr()
    assert "Fréchet distance" in said.out
    assert re.match(r"genwerk: .*report\.json cannot be written: .*\n$", said.err)


def test_ctrl_c_leaves_the_figures_so_far(
    run: Path, left: Callable[..., str], interrupted: Callable[[signal.Signals], None]
) -> None:
    before = (run / "report.json").read_bytes()
    interrupted(signal.SIGINT)
    said = left(130, "evaluate", run)
    assert re.search(r"^NLL +\d", said, re.MULTILINE)
    assert "distance" not in said
    assert "stopped before its end" in said
    assert (run / "report.json").read_bytes() == before
    report = json.loads(left(130, "evaluate", run, "--json"))
    assert report["complete"] is False
    assert list(report["figures"]) == ["nll", "components", "bic_of_the_training_data"]


def test_ctrl_c_in_the_evaluation_of_a_training_ends_with_its_card(
    tmp_path: Path, left: Callable[..., str], interrupted: Callable[[signal.Signals], None]
) -> None:
    interrupted(signal.SIGTERM)
    run = tmp_path / "run"
    said = left(143, "train", "mixture", "--data", people(tmp_path / "people.csv"), *QUICK, "--out", run)
    assert f"card    {run / 'card.md'}" in said
    assert json.loads((run / "report.json").read_text())["complete"] is False
    assert "stopped before its end" in (run / "card.md").read_text()


def test_figures_are_read_in_80_columns(run: Path, genwerk: Genwerk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "console", lambda: Console(width=80))
    said = genwerk("evaluate", run, "--samples", 50)
    table = said[: said.index("NLL: exact")].splitlines()
    assert max(map(len, table)) <= 80
    assert table[0].split() == ["figure", "value", "floor", "noise", "verdict"]
    assert "…" not in said
    assert re.search(r"^Fréchet distance +\S+ +\S+ +\S+ +\w+", said, re.MULTILINE)


def test_the_time_that_figures_may_take_is_a_number(run: Path, refused: Genwerk) -> None:
    assert "expected" in refused("evaluate", run, "--minutes", -1)


def test_json_holds_no_number_that_is_none() -> None:
    found = as_json({"figures": {"a": float("nan"), "b": [1.5, float("-inf"), (2, float("inf"))]}, "n": 3})
    assert json.loads(found, parse_constant=pytest.fail) == {
        "figures": {"a": None, "b": [1.5, None, [2, None]]},
        "n": 3,
    }
