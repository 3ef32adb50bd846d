"""A comparison: what is planned, trained and measured, what a kill leaves, and what is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import forkserver
import numpy as np
import pytest
import torch

import genwerk
from genwerk import recipes
from genwerk.commands.choosing import command, tried
from genwerk.comparison import comparing, measuring
from genwerk.comparison.advice import suggestions
from genwerk.comparison.comparing import Comparing, given, timed
from genwerk.comparison.plan import Plan, Request, lengthened
from genwerk.comparison.result import Measured, Point, comparison_from, to_plain
from genwerk.comparison.training import reason, stands
from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.evaluation.report import Report
from genwerk.runs.train import train
from genwerk.training import speed
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.runtime import Runtime

QUICK: dict[str, Any] = {"evaluate": EvaluateConfig(samples=200, examples=100, importance_samples=2, minutes=None)}
CPU = Runtime(torch.device("cpu"))


def compared(folder: Path, **request: Any) -> Comparing:
    found = Comparing(folder, Request(**{**QUICK, **request}))
    for _ in found:
        pass
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on the ring: a mixture, two flows that differ in their seed, and one that is a flow of other settings."""
    folder = tmp_path_factory.mktemp("runs")
    few: dict[str, Any] = {"evaluate": False, "progress": False}
    train("mixture", "ring", out=folder / "mixture", rounds=5, **few)
    for seed in (0, 1):
        train("realnvp", "ring", out=folder / f"flow-{seed}", seed=seed, rounds=20, **few)
    train("realnvp", "ring", out=folder / "wider", rounds=20, batch_size=64, **few)
    train("autoencoder", "digits", out=folder / "autoencoder", rounds=5, **few)
    return folder


# --- what takes part --------------------------------------------------------------------------------------------------


def test_runs_that_differ_in_their_seed_are_one_contestant(runs: Path) -> None:
    found = given([runs / "flow-0", runs / "flow-1", runs / "wider", runs / "mixture"])
    assert [(each.name, each.seed) for each in found] == [("flow-0", 0), ("flow-0", 1), ("wider", 0), ("mixture", 0)]
    alone = given([runs / "flow-0", runs / "flow-1", runs / "mixture"])
    assert [(each.name, each.seed) for each in alone] == [("realnvp", 0), ("realnvp", 1), ("mixture", 0)]


def test_contestants_have_names_of_their_own_whatever_folders_are_called(runs: Path, tmp_path: Path) -> None:
    for name, source in (("a/x", "flow-0"), ("b/x", "wider"), ("c/realnvp", "mixture")):
        shutil.copytree(runs / source, tmp_path / name)
    found = given([tmp_path / "a/x", tmp_path / "b/x"])
    assert [each.name for each in found] == ["a-x", "b-x"]
    found = given([tmp_path / "a/x", tmp_path / "c/realnvp", runs / "mixture"])
    assert [each.name for each in found] == ["x", "realnvp", "mixture"]  # two mixtures of one seed
    with pytest.raises(BadInput, match=r"are one run; name it once"):
        given([tmp_path / "a/x", tmp_path / "b/../a/x"])


def test_equal_examples_are_as_many_rounds_as_draw_them() -> None:
    splits = open_data(DataConfig(source="ring"))
    request = Request(data=splits.settings, recipes=("realnvp", "gan"), examples=10_000)
    for name in request.recipes:
        recipe = lengthened(recipes.find(name).make(splits.spec), request, splits, CPU)
        assert speed.drawn(recipe, splits.train) == pytest.approx(10_000, rel=0.02)
        assert recipe.train.save_every * 6 >= speed.rounds(recipe, splits.train) > recipe.train.save_every * 4


def test_equal_minutes_are_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = dict[str, Any]()

    def lasting(recipe: Any, data: Any, minutes: float, runtime: Any, **more: Any) -> tuple[Any, int]:
        asked.update(more, minutes=minutes, threads=torch.get_num_threads())
        return recipe, 60

    monkeypatch.setattr(speed, "lasting", lasting)
    splits, before = open_data(DataConfig(source="ring")), torch.get_num_threads()
    request = Request(data=splits.settings, recipes=("realnvp", "gan"), minutes=0.5, threads=2)
    recipe = lengthened(recipes.find("gan").make(splits.spec), request, splits, CPU)
    assert (asked["clock"], asked["minutes"], asked["threads"]) == (time.process_time, 0.5, 2)
    assert (torch.get_num_threads(), recipe.train.save_every) == (before, 10)


# --- figures ----------------------------------------------------------------------------------------------------------


def test_time_to_a_quality_is_that_of_the_first_checkpoint_that_reaches_it() -> None:
    def run(name: str, *distances: float) -> Measured:
        points = [
            Point(round=i, examples=i, cpu_seconds=10.0 * i, seconds=0.0, distance=d)
            for i, d in enumerate(distances, 1)
        ]
        return Measured(
            contestant=name,
            recipe=name,
            seed=0,
            run=name,
            family="",
            abilities=(),
            condition="",
            likelihood="",
            rounds=1,
            settings={},
            report=Report(figures=()),
            curve=tuple(points),
        )

    quick, slow, never = timed([run("a", 3, 1), run("b", 4, 3, 2), run("c", 9, 8)], None)
    seconds = [each.efficiency["seconds to quality"] for each in (quick, slow, never)]
    assert [each.value for each in seconds[:2]] == [20, 30]  # the median of 1, 2 and 8 is 2
    assert seconds[2].value != seconds[2].value
    assert seconds[2].verdict == "not reached"
    assert timed([quick], 3.0)[0].efficiency["seconds to quality"].value == 20  # the figure there is stays the first
    (asked,) = timed([run("a", 3, 1)], 3.0)
    assert asked.efficiency["seconds to quality"].value == 10


def test_runs_are_compared_alike_and_read_back(runs: Path, tmp_path: Path) -> None:
    found = compared(tmp_path / "report", runs=tuple(str(runs / name) for name in ("mixture", "flow-0", "flow-1")))
    comparison = found.comparison
    assert comparison is not None
    assert comparison.contestants == ("mixture", "realnvp")
    assert [each.seed for each in comparison.of("realnvp")] == [0, 1]
    for each in comparison.measured:
        distance = each.figure("frechet_distance")
        assert distance is not None
        assert "200 samples, 100 held-out" in distance.note
        assert each.figure("nll") is not None
        assert each.figure("training_cpu_seconds") is not None
        assert each.figure("sampling_latency") is not None
        assert each.pictures.keys() == ({"samples"} if each.seed == 0 else set())
        assert all((tmp_path / "report" / path).stat().st_size > 1000 for path in each.pictures.values())
        assert each.command.startswith("genwerk train")
    mixture = genwerk.open_run(runs / "mixture")
    alone = mixture.evaluate(samples=200, examples=100, importance_samples=2)
    assert alone["nll"].value == comparison.of("mixture")[0].report["nll"].value
    plain = json.loads(json.dumps(to_plain(comparison)))
    assert to_plain(comparison_from(plain)) == plain


def test_a_model_that_does_not_sample_has_the_figures_that_it_can_have(runs: Path, tmp_path: Path) -> None:
    train("vae", "digits", out=tmp_path / "vae", rounds=5, evaluate=False, progress=False)
    request = {"runs": (str(runs / "autoencoder"), str(tmp_path / "vae"))}
    comparison = compared(tmp_path / "report", **request).comparison
    assert comparison is not None
    (plain,) = comparison.of("autoencoder")
    assert "samples" not in plain.abilities
    assert plain.figure("frechet_distance") is None
    assert plain.figure("reconstruction_mse") is not None
    assert not plain.curve
    assert {"reconstructions"} <= plain.pictures.keys()


def test_slow_sampling_sets_the_number_for_all_unless_it_is_very_slow(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "FEWEST", 100)
    folder = tmp_path / "report"
    folder.mkdir()
    names = tuple(str(runs / name) for name in ("mixture", "flow-0", "wider"))
    timed_ = replace(QUICK["evaluate"], minutes=2.0)
    Plan(folder, Request(evaluate=timed_, runs=names)).write()
    (folder / "pace.json").write_text(json.dumps({"mixture": 200, "flow-0": 150, "wider": 40}))
    comparison = compared(folder, runs=names, evaluate=timed_).comparison
    assert comparison is not None
    counts = [each.figure("frechet_distance").note.split(",")[0] for each in comparison.measured]  # type: ignore[union-attr]
    assert [note.split(" samples")[0] for note in counts] == ["150", "150", "40"]
    assert any("wider makes only 40 samples" in note for note in comparison.notes)


# --- a comparison that is stopped -------------------------------------------------------------------------------------

TIMES = ("efficiency", "growth", "curve", "command", "machine", "budget")


def without_times(path: Path) -> Any:
    """A report as JSON but for what takes time, and where it lies."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in TIMES}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return plain(json.loads(path.read_text().replace(str(path.parent), "REPORT")))


def test_measuring_that_was_left_anywhere_goes_on_to_the_same_report(runs: Path, tmp_path: Path) -> None:
    names = tuple(str(runs / name) for name in ("mixture", "flow-0"))
    compared(tmp_path / "whole", runs=names)
    events = 0
    for stop in range(1, 40, 7):
        for events, _ in enumerate(Comparing(tmp_path / "cut", Request(**QUICK, runs=names)), 1):
            if events == stop:
                break
    compared(tmp_path / "cut", runs=names)
    assert events
    assert without_times(tmp_path / "cut/report.json") == without_times(tmp_path / "whole/report.json")


def distances(comparing: Comparing) -> list[float]:
    assert comparing.comparison is not None
    assert not comparing.comparison.failed
    found = [each.figure("frechet_distance") for each in comparing.comparison.measured]
    return [each.value for each in found if each is not None]


def test_what_was_measured_counts_for_the_same_weights_only(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was trained on, or that another has replaced, is measured again, and so is one whose file is none."""
    monkeypatch.setattr(measuring, "COSTS", 0.01)
    run, names = tmp_path / "run", (str(runs / "mixture"), str(tmp_path / "run"))
    shutil.copytree(runs / "flow-0", run)
    flow = distances(compared(tmp_path / "report", runs=names))
    shutil.rmtree(run)
    shutil.copytree(runs / "wider", run)
    wider = distances(compared(tmp_path / "report", runs=names))
    assert wider == distances(compared(tmp_path / "other", runs=names))
    assert (wider[0], wider[1] != flow[1]) == (flow[0], True)
    path = tmp_path / "report/measured/realnvp-0.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"measured": kept["measured"] | {"report": []}}))
    assert distances(compared(tmp_path / "report", runs=names)) == wider
    before = path.stat().st_mtime_ns
    assert distances(compared(tmp_path / "report", runs=names)) == wider
    assert path.stat().st_mtime_ns == before


def typed(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "genwerk", "compare", "--data", "ring", "--recipes", "realnvp,mixture"]
    command += ["--examples", "20000", "--seeds", "2", "--samples", "200"]
    return [*command, "--evaluate.examples", "100", "--evaluate.minutes", "None", "--out", str(folder)]


@pytest.mark.slow
def test_a_comparison_killed_five_times_gives_the_same_report(tmp_path: Path) -> None:
    subprocess.run(typed(tmp_path / "whole"), check=True, capture_output=True)
    generator = random.Random(0)
    for _ in range(5):
        process = subprocess.Popen(typed(tmp_path / "cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(generator.uniform(3, 15))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(typed(tmp_path / "cut"), check=True, capture_output=True)
    assert without_times(tmp_path / "cut/report.json") == without_times(tmp_path / "whole/report.json")


def test_a_training_ends_with_the_comparison_that_was_killed(tmp_path: Path) -> None:
    endless = typed(tmp_path / "cut")
    endless[endless.index("20000")] = "2000000000"
    process = subprocess.Popen(endless, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run, deadline = tmp_path / "cut/runs/realnvp-0", time.monotonic() + 300
    while not (run / "events.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    child = int((run / ".lock").read_text())
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the training goes on")


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_plan_takes_more_recipes_and_seeds_and_nothing_else(tmp_path: Path) -> None:
    first = Request(data=DataConfig(source="ring"), recipes=("mixture", "realnvp"), examples=100, seeds=2)
    Plan(tmp_path, first).write()
    Plan(tmp_path, replace(first, recipes=("mixture", "realnvp", "gan"), seeds=3))
    with pytest.raises(BadInput, match=r"seeds was 2 and is 1"):
        Plan(tmp_path, replace(first, seeds=1))
    with pytest.raises(BadInput, match=r"recipes was mixture, realnvp and is gan, maf"):
        Plan(tmp_path, replace(first, recipes=("gan", "maf")))
    with pytest.raises(BadInput, match=r"examples was 100 and is 200"):
        Plan(tmp_path, replace(first, examples=200))


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, "name two runs or more"),
        ({"runs": ("a",)}, "only a is named"),
        ({"runs": ("a", "a")}, "a is named twice"),
        ({"recipes": ("vae", "gan"), "runs": ("a", "b")}, "name two runs or more"),
        ({"recipes": ("vae", "gan"), "minutes": 1.0, "examples": 5}, "both bound training"),
        ({"runs": ("a", "b"), "data": DataConfig(source="ring")}, "data is for recipes that are to be trained"),
        ({"runs": ("a", "b"), "examples": 5}, "examples is for recipes that are to be trained"),
        ({"recipes": ("vae", "gam")}, "there is no recipe called 'gam'"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_done(request_: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        Request(**request_)


@pytest.mark.parametrize("damage", [{"recipes": []}, {"refused": ["a"]}, {"request": None}, {"recipes": {"vae": 3}}])
def test_a_plan_that_is_damaged_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    request = Request(recipes=("vae", "gan"))
    Plan(tmp_path, request).write()
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(BadInput, match=r"plan\.json"):
        Plan(tmp_path, request)


def test_paces_that_are_damaged_are_refused(runs: Path, tmp_path: Path) -> None:
    names = (str(runs / "mixture"), str(runs / "flow-0"))
    Plan(tmp_path, Request(**QUICK, runs=names)).write()
    (tmp_path / "pace.json").write_text('{"mixture": "fast"}')
    with pytest.raises(BadInput, match=r"pace\.json\.mixture is 'fast'"):
        compared(tmp_path, runs=names)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="is a folder of something else"):
        Plan(tmp_path, Request(recipes=("vae", "gan")))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_runs_on_other_data_are_refused_or_compared_on_what_they_share(runs: Path, tmp_path: Path) -> None:
    few: dict[str, Any] = {"rounds": 5, "evaluate": False, "progress": False}
    table = tmp_path / "table.csv"
    torch.manual_seed(0)
    lines = [f"{a:.4f},{b:.4f}" for a, b in torch.randn(600, 2).tolist()]
    table.write_text("\n".join(["a,b", *lines[:500]]))
    train("mixture", str(table), out=tmp_path / "before", **few)
    table.write_text("\n".join(["a,b", *lines]))
    train("realnvp", str(table), out=tmp_path / "after", **few)
    two = (str(tmp_path / "after"), str(tmp_path / "before"))
    with pytest.raises(BadInput, match=r"other data than .* \(it has .*\); .* name common") as refused:
        compared(tmp_path / "refused", runs=(two[0], str(runs / "mixture")))
    assert "have changed" not in str(refused.value)
    with pytest.raises(BadInput, match="share no test example"):
        compared(tmp_path / "none", runs=(two[0], str(runs / "mixture")), common=True)


def test_data_that_have_changed_under_a_comparison_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    lines = [f"{i},{i * i % 97}" for i in range(600)]
    table.write_text("\n".join(["a,b", *lines[:500]]))
    request: dict[str, Any] = {"recipes": ("mixture", "realnvp"), "seeds": 1, "examples": 500}
    request["data"] = DataConfig(source=str(table))
    folder = tmp_path / "report"
    plan = Plan(folder, Request(**QUICK, **request))
    for _ in plan.making(open_data(DataConfig(source=str(table)))):
        pass
    train(next(plan.contestants).settings, out=folder / "runs/mixture-0", evaluate=False, progress=False)
    table.write_text("\n".join(["a,b", *lines]))
    with pytest.raises(BadInput, match=r"mixture-0 is of other data: it has .* examples.*; choose another folder"):
        compared(folder, **request)


def test_a_run_that_is_being_trained_is_refused(runs: Path) -> None:
    from genwerk.runs.store import only_writer

    with only_writer(runs / "flow-0"):
        code = "import sys; from pathlib import Path; from genwerk.comparison.comparing import given; "
        code += "given([Path(sys.argv[1])])"
        other = forkserver.run(runs, "flow-0", code=code)
    assert "is being trained now" in other.stderr


# --- a training by itself ---------------------------------------------------------------------------------------------


def test_how_far_a_training_is_stands_at_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    assert stands(log) == (0, 1, None)
    lines = [
        {"event": "plan", "stage": "train", "round": 0, "rounds": 400},
        {"event": "round", "stage": "train", "round": 100, "seconds": 50.0},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert stands(log) == (100, 400, 150.0)


def test_why_a_training_failed_is_what_it_said_last(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("round 5\ngenwerk: the disk is full\n\n")
    assert reason(log, 2) == "the disk is full"
    assert reason(log, -9) == "its process was ended by signal 9, as for want of memory"
    log.write_text("")
    assert reason(log, 3) == "its process ended with exit code 3"


def test_a_recipe_that_does_not_fit_the_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    splits = open_data(DataConfig(source="ring"))
    request = Request(data=splits.settings, recipes=("mixture", "superres"), examples=1000)
    with pytest.raises(BadInput, match="the recipe superres cannot take part"):
        list(Plan(tmp_path / "out", request).making(splits))
    assert not (tmp_path / "out").exists()


def test_a_table_of_few_rows_is_compared_by_its_likelihood(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 2)).round(3)
    (tmp_path / "few.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    names = ("mixture", "vae")
    for name in names:
        train(name, str(tmp_path / "few.csv"), out=tmp_path / name, rounds=5, evaluate=False, progress=False)
    found = compared(tmp_path / "out", runs=tuple(str(tmp_path / name) for name in names)).comparison
    assert found is not None
    assert not found.failed
    likelihoods = [(each.contestant, each.report.figures[0].key, each.curve) for each in found.measured]
    assert likelihoods == [("mixture", "nll", ()), ("vae", "nll_bound", ())]


def test_large_images_are_made_small_in_the_command_to_begin_with() -> None:
    spec = DataSpec(kind="image", shape=(3, 64, 64))
    data = DataConfig(source="photos")
    assert tried(data, spec).size == 32
    assert tried(replace(data, size=64), spec).size == 64
    assert tried(data, replace(spec, shape=(3, 32, 32))) == data
    (first, *_) = suggestions(spec, 76)
    assert "--data photos --data.size 32" in command(first, data)
