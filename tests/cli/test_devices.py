"""An evaluation that several processes share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
import torch

from genwerk.core.errors import BadInput
from genwerk.evaluation.evaluate import Evaluation
from genwerk.evaluation.samples import common_pace
from genwerk.runs.opened import OpenRun
from genwerk.runs.train import train
from genwerk.training import runtime
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.runtime import Runtime

Genwerk = Callable[..., str]
FEW = ("--samples", "101", "--evaluate.examples", "50", "--importance-samples", "2", "--evaluate.minutes", "None")
NUMBERS = ("value", "spread", "floor", "noise", "reference")
FAILING = """
import os
from genwerk.core.errors import BadInput
from genwerk.evaluation import evaluate

def drawn(*_, **__):
    raise BadInput("the second process has no samples")

if os.environ.get("RANK") == "1":
    evaluate.drawn = drawn
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "vae"
    train("vae", "ring", out=folder, rounds=5, evaluate=False, progress=False)
    return folder


def shared(*words: object) -> subprocess.CompletedProcess[str]:
    """What two processes of a command, which share a processor, come to."""
    command = [sys.executable, "-m", "genwerk", "evaluate", *map(str, words), "--devices", "2"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_two_processes_find_the_figures_of_one(genwerk: Genwerk, run: Path) -> None:
    alone = json.loads(genwerk("evaluate", run, *FEW, "--json"))
    written = json.loads((run / "report.json").read_text())
    (run / "report.json").unlink()
    done = shared(run, *FEW, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    together, again = json.loads(done.stdout), json.loads((run / "report.json").read_text())
    for one, two in ((alone["figures"], together["figures"]), (written["figures"], again["figures"])):
        assert [*two] == [*one]
        for key in ("reconstruction_mse", "high_quality", "frechet_distance", "precision"):
            assert two[key]["note"] == one[key]["note"]  # of as many examples
        for key, figure in one.items():
            values = {name: figure[name] for name in NUMBERS if figure[name] is not None}
            assert {name: two[key][name] for name in values} == pytest.approx(values, rel=1e-4, abs=1e-6), key


def test_where_one_process_fails_all_end_with_its_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    done = shared(run, *FEW, "--plugin", tmp_path / "failing.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "genwerk: the second process has no samples\n"


def test_processes_that_cannot_be_had_are_refused(refused: Genwerk, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--devices is 0; it must be 1 or more" in refused("evaluate", run, "--devices", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert "--devices is 2, and PyTorch sees fewer GPUs: 1" in refused("evaluate", run, "--devices", 2)
    monkeypatch.setattr("genwerk.training.launcher.launch", lambda processes, _: 40 + processes)
    with pytest.raises(SystemExit, match="42"):
        runtime.relaunch(2, [], "cpu")


def test_more_processes_than_examples_are_refused(run: Path) -> None:
    opened, cpu = OpenRun(run, "cpu", None, lambda _: None), torch.device("cpu")
    settings = EvaluateConfig(samples=50, examples=20)
    with pytest.raises(BadInput, match="devices is 21, and there are only 20 examples to share"):
        Evaluation(opened.model, opened.splits, settings, runtime=Runtime(cpu, world=21))
    Evaluation(opened.model, opened.splits, settings, runtime=Runtime(cpu, world=20))


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 6, 100])
def test_processes_share_all_rows_evenly(n: int, world: int) -> None:
    shares = [Runtime(torch.device("cpu"), rank=rank, world=world).share(n) for rank in range(world)]
    assert [*chain.from_iterable(shares)] == [*range(n)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_processes_have_time_for_more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row takes a second: in a minute two processes get through twice as many."""
    now = 0.0

    def sleep(rows: int) -> None:
        nonlocal now
        now += rows

    monkeypatch.setattr("genwerk.evaluation.samples.perf_counter", lambda: now)
    monkeypatch.setattr(Runtime, "agree", lambda _, value: value)
    one, two = (common_pace(sleep, 1000, 1.0, Runtime(torch.device("cpu"), world=world)) for world in (1, 2))
    assert (one.rows, two.rows) == (50, 100)
    assert (one.seconds, two.seconds) == (1000, 500)
