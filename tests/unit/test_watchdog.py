"""Collapse: seen in time, told in words, undone by going back, and never seen where all is well."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import torch
from duel import trainer as duel
from torch import Tensor, nn

from genwerk.cli.progress import follow
from genwerk.core.abilities import Samples
from genwerk.core.model import Config, Loss, Model, Player, TrainingStream, Turn, Turns
from genwerk.core.noise import SeededNoise, mix
from genwerk.core.options import Options
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.runs import store
from genwerk.runs.training import Training
from genwerk.training.choice import Judged
from genwerk.training.descent import Diverged
from genwerk.training.events import Collapsed, Event, RolledBack, RoundDone, Saved, Stopped, Watched
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.runtime import Runtime
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, WatchdogConfig
from genwerk.training.trainer import Trainer
from genwerk.training.watchdog import (
    DISTANCE,
    ENTROPY,
    NOT_FINITE,
    SPREAD,
    Watchdog,
    components,
    energy_distance,
    entropy,
    mean_distance,
)

SPEC = DataSpec(kind="table", shape=(2,))


@dataclass(frozen=True, kw_only=True)
class GambleConfig(Config):
    """A game that learns standard normal data at once, and gambles once on being ruined."""

    at: int = -1
    """Round in which it gambles; -1 never."""
    chance: float = 0.0
    """It is ruined if the mean of that round's uniform noise is less: 0 never, 1 always."""
    ruin: Literal["same", "nan"] = "same"
    """The generator comes to make one point, or its loss is not a number."""


class Scale(nn.Module):
    def __init__(self, start: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.full((2,), start))


class Gamble(Model, Samples, config=GambleConfig):
    """G(z) = s z; ``s`` is pulled to 1, where samples are the data, or to 0 when the gamble was lost."""

    def __init__(self, config: GambleConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.generator, self.discriminator = Scale(0.5), nn.Linear(2, 1)
        self.register_buffer("played", torch.tensor(0))
        self.register_buffer("ruined", torch.tensor(False))
        self.drawn: list[int] = []

    def players(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        self.drawn.append(n)
        return SeededNoise(n, seed, self.device).normal(2) * self.generator.by.detach()

    def discriminator_loss(self, x: Tensor) -> Loss:
        return self.discriminator(x).square().mean(), {"accuracy": torch.tensor(0.5)}

    def generator_loss(self, z: Tensor) -> Loss:
        scale = self.generator.by + 0 * z.mean()
        if self.config.ruin == "nan":
            return (scale - 1).square().sum() * torch.where(self.ruined, math.nan, 1.0), {}
        return (scale - torch.where(self.ruined, 0.0, 1.0)).square().sum(), {}

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch = stream.next_batch()
        luck = yield Turn(None, lambda u: (u.mean(), {"luck": u.mean()}), stream.uniform())
        if int(self.played) == self.config.at:
            self.ruined |= luck["luck"] < self.config.chance
        yield Turn("discriminator", self.discriminator_loss, batch.x)
        yield Turn("generator", self.generator_loss, stream.normal(2))
        self.played += 1


def distance(model: Model, *_: Dataset) -> Judged:
    return Judged({"distance": 1.0 + float((model.generator.by - 1).square().sum())}, "distance", steady=False)


SGD = OptimConfig(name="sgd", lr=0.1)
WATCH = WatchdogConfig(every=2, patience=3, samples=64, warmup_rounds=10_000)
SETTINGS = TrainConfig(
    rounds=40,
    batch_size=8,
    optim={"discriminator": SGD, "generator": SGD},
    ema={"generator": 4.0},
    save_every=5,
    evaluate_every=5,
    sample_every=0,
    watchdog=WATCH,
)
UNLUCKY = GambleConfig(at=20, chance=0.5)


def made(n: int = 200) -> Dataset:
    return Dataset(x=torch.randn(n, 2, generator=torch.Generator().manual_seed(0)), spec=SPEC)


def gamble(
    folder: Path | None,
    config: GambleConfig = UNLUCKY,
    settings: TrainConfig = SETTINGS,
    *,
    runtime: Runtime | None = None,
    measured: bool = True,
) -> Trainer:
    torch.manual_seed(0)
    model = Gamble(config, SPEC)
    described = store.describe("gamble", Recipe(model=config, train=settings), SPEC)
    checkpoints = None if folder is None else store.Checkpoints(folder, described, keep=50)
    evaluate = distance if measured else None
    return Trainer(model, made(), settings, runtime=runtime, checkpoints=checkpoints, evaluate=evaluate)


def unlucky_seed() -> int:
    """A seed that loses the gamble at first and wins it when it is tried again."""

    def lost(seed: int) -> bool:
        generator = torch.Generator().manual_seed(mix(mix(seed, 0), 0, UNLUCKY.at))
        return bool(torch.rand(8, generator=generator).mean() < UNLUCKY.chance)

    return next(seed for seed in range(100) if lost(seed) and not lost(mix(seed, 1)))


LOST = replace(SETTINGS, seed=unlucky_seed())


def of(kind: type, events: list[Event]) -> list[Event]:
    return [e for e in events if isinstance(e, kind)]


# --- a collapse and its end -------------------------------------------------------------------------------------------


def test_a_collapse_is_seen_within_patience_rolled_back_and_survived(tmp_path: Path) -> None:
    run = gamble(tmp_path, settings=LOST)
    events = list(run)
    (collapsed,), (back,) = of(Collapsed, events), of(RolledBack, events)
    below = next(e.round for e in of(Watched, events) if e.figures[SPREAD] < WATCH.min_diversity)
    assert collapsed.action == "rollback"
    assert collapsed.round == below + (WATCH.patience - 1) * WATCH.every
    assert "nearly the same" in collapsed.reason
    assert (back.to_round, back.retry) == (20, 1)
    assert run.rounds == run.position.round == 40 + collapsed.round - 20
    assert [e.round for e in of(RoundDone, events)] == list(range(1, run.rounds + 1))
    assert run.players["generator"].optimizer.param_groups[0]["lr"] == 0.1 * WATCH.lr_factor
    torch.testing.assert_close(run.finished().generator.by, torch.ones(2), atol=0.01, rtol=0)


def test_without_a_watchdog_the_same_game_ends_in_ruin(tmp_path: Path) -> None:
    run = gamble(tmp_path, settings=replace(LOST, watchdog=replace(WATCH, action="off")), measured=False)
    events = list(run)
    assert not of(Watched, events)
    assert not of(Collapsed, events)
    assert run.finished().generator.by.abs().max() < 0.05


def test_a_rollback_restores_weights_averages_and_optimisers_to_the_bit(tmp_path: Path) -> None:
    adam = {"discriminator": SGD, "generator": OptimConfig(lr=0.1)}
    run = gamble(tmp_path, settings=replace(LOST, optim=adam, rounds=100))
    for event in run:
        if isinstance(event, RolledBack):
            home, now = store.find(tmp_path / "checkpoints" / f"{event.to_round:08d}"), run.state()
            then = store.load_state(home)
            weights = store.load_model(home, averaged=False).state_dict()
            assert all(torch.equal(v, run.model.state_dict()[k]) for k, v in weights.items())
            assert then.tensors.keys() == now.tensors.keys() != set()
            assert all(torch.equal(v, now.tensors[k]) for k, v in then.tensors.items())
            assert all(torch.equal(v, now.averages[k]) for k, v in then.averages.items())
            assert now.figures["steps"] == then.figures["steps"]
            return
    pytest.fail("nothing was rolled back")


def test_a_loss_that_is_nan_once_is_survived(tmp_path: Path) -> None:
    run = gamble(tmp_path, replace(UNLUCKY, ruin="nan"), LOST)
    events = list(run)
    (collapsed,) = of(Collapsed, events)
    assert collapsed.reason == "the loss of 'generator' became nan in round 21"
    assert run.rounds == run.position.round == 41
    assert len(of(RolledBack, events)) == 1
    torch.testing.assert_close(run.finished().generator.by, torch.ones(2), atol=0.01, rtol=0)


def test_a_loss_that_is_always_nan_ends_after_the_retries_and_says_so(tmp_path: Path) -> None:
    run, events = gamble(tmp_path, GambleConfig(at=20, chance=1.0, ruin="nan")), []
    with pytest.raises(Diverged, match=r"'generator' became nan in round 24 \(after 3 rollbacks\); the last good .*23"):
        events.extend(run)
    assert run.position.retries == 3


def test_a_collapse_that_comes_back_stops_after_the_retries(tmp_path: Path) -> None:
    run = gamble(tmp_path, GambleConfig(at=20, chance=1.0), replace(SETTINGS, rounds=200))
    events = list(run)
    assert [e.action for e in of(Collapsed, events)] == ["rollback"] * 3 + ["stop"]
    assert [e.retry for e in of(RolledBack, events)] == [1, 2, 3]
    assert isinstance(events[-1], Stopped)
    assert isinstance(events[-2], Saved)
    assert store.Checkpoints(tmp_path, {}).best().name == "00000020"


def test_stop_saves_and_ends_and_warn_goes_on(tmp_path: Path) -> None:
    stopped = list(gamble(tmp_path / "a", settings=replace(LOST, watchdog=replace(WATCH, action="stop"))))
    assert [type(e) for e in stopped[-3:]] == [Collapsed, Saved, Stopped]
    assert stopped[-3].action == "stop"
    warned = gamble(tmp_path / "b", settings=replace(LOST, watchdog=replace(WATCH, action="warn")))
    told = of(Collapsed, list(warned))
    assert {e.action for e in told} == {"warn"}
    assert warned.position.round == 40
    assert all(b.round - a.round >= WATCH.patience * WATCH.every for a, b in pairwise(told))


def test_without_a_checkpoint_a_collapse_is_told_and_a_nan_raised() -> None:
    told = of(Collapsed, list(gamble(None, settings=LOST)))
    assert {e.action for e in told} == {"warn"}
    with pytest.raises(Diverged, match="no checkpoint had been saved yet"):
        gamble(None, replace(UNLUCKY, ruin="nan"), LOST).fit()


# --- exact history ----------------------------------------------------------------------------------------------------


def resumed(folder: Path, checkpoint: Path, *, measured: bool = True) -> Trainer:
    stored = store.find(checkpoint)
    again = gamble(folder, stored.recipe.model, stored.recipe.train, measured=measured)
    again.model.load_state_dict(store.load_model(stored, averaged=False).state_dict())
    again.resume(store.load_state(stored))
    return again


@pytest.mark.parametrize("ruin", ["same", "nan"])
def test_resume_from_every_checkpoint_is_bit_exact_across_a_rollback(tmp_path: Path, ruin: str) -> None:
    whole = gamble(tmp_path / "whole", replace(UNLUCKY, ruin=ruin), LOST)
    saved = [event.path for event in whole if isinstance(event, Saved)]
    assert whole.position.retries == 1
    assert len(saved) >= 8
    expected = whole.finished().state_dict()
    for i, last in enumerate(saved[:-1]):
        folder = tmp_path / f"{i}"
        for path in saved[: i + 1]:
            shutil.copytree(path, folder / "checkpoints" / path.name)
        found = resumed(folder, folder / "checkpoints" / last.name)
        assert all(torch.equal(v, expected[k]) for k, v in found.fit().state_dict().items())
        assert vars(found.position) == vars(whole.position)


@pytest.mark.parametrize("stop", [19, 21, 24, 31, 36])
@pytest.mark.parametrize("measured", [True, False])
def test_a_stop_at_any_round_changes_nothing(tmp_path: Path, stop: int, measured: bool) -> None:
    whole = gamble(tmp_path / "whole", settings=LOST, measured=measured)
    expected = whole.fit().state_dict()
    assert whole.position.retries == 1
    first = gamble(tmp_path / "cut", settings=LOST, measured=measured)
    for event in first:
        if isinstance(event, RoundDone) and event.round == stop:
            first.stop()
        if isinstance(event, Saved):
            path = event.path
    rest = resumed(tmp_path / "cut", path, measured=measured)
    assert all(torch.equal(v, expected[k]) for k, v in rest.fit().state_dict().items())
    assert rest.position.round == whole.position.round


WORKER = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {tests!r})
torch.set_default_dtype(torch.float64)
from test_watchdog import LOST, gamble
from genwerk.training import runtime

def play(name, place):
    run = gamble(Path({out!r}) / name, settings=LOST, runtime=place)
    run.data = run.data.__class__(x=run.data.x.double(), spec=run.data.spec)
    run.fit()
    assert run.position.retries == 1
    torch.save(dict(run.model.state_dict()), Path({out!r}) / f"{{place.world}}{{place.rank}}.pt")

place = runtime.start("cpu")
play("two", place)
if place.main:
    play("one", runtime.Runtime(torch.device("cpu")))
place.barrier()
runtime.finish()
"""


def test_two_processes_roll_back_together_and_as_one_does(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(tests=str(Path(__file__).parent), out=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    one, first, second = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("10", "20", "21"))
    for name, value in one.items():
        torch.testing.assert_close(first[name], value, rtol=1e-9, atol=1e-12)
        assert torch.equal(first[name], second[name])


# --- what is looked at ------------------------------------------------------------------------------------------------


def test_figures_of_a_generator_of_known_scale() -> None:
    model, dog = Gamble(GambleConfig(), SPEC), Watchdog(replace(WATCH, samples=200), made())
    for scale in (0.05, 1.0, 3.0):
        nn.init.constant_(model.generator.by, scale)
        figures = dog.look(model, {}, 7)
        assert figures[SPREAD] == pytest.approx(scale, rel=0.1)
        assert figures[NOT_FINITE] == 0.0
        assert figures[DISTANCE] == pytest.approx(math.sqrt(2 * (1 + scale**2)) - 1 - scale, abs=0.05)
    nn.init.constant_(model.generator.by, math.nan)
    assert dog.look(model, {}, 7) == {NOT_FINITE: 1.0}


def test_a_pluggable_classifier_gives_the_entropy_of_its_histogram() -> None:
    quadrants = lambda x: (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0)  # noqa: E731
    dog = Watchdog(replace(WATCH, samples=200), made(), features=lambda x: x, classes=quadrants)
    assert dog.look(Gamble(GambleConfig(), SPEC), {}, 0)[ENTROPY] == pytest.approx(math.log(4), abs=0.03)


def test_distances_and_entropy_agree_with_their_definitions() -> None:
    x, y = torch.randn(7, 3), torch.randn(5, 3) + 1
    within = [[(a - b).norm() for i, a in enumerate(s) for j, b in enumerate(s) if i != j] for s in (x, y)]
    across = torch.stack([(a - b).norm() for a in x for b in y]).mean()
    means = [torch.stack(w).mean() for w in within]
    assert mean_distance(x) == pytest.approx(means[0].item(), rel=1e-5)
    assert energy_distance(x, y) == pytest.approx((2 * across - means[0] - means[1]).item(), rel=1e-4)
    assert entropy(torch.tensor([0, 0, 3, 3, 5, 5])) == pytest.approx(math.log(3))
    assert entropy(torch.tensor([2, 2])) == 0.0


def test_components_keep_distances_where_they_are_all_there_and_drop_the_least_first() -> None:
    x = torch.randn(50, 4) * torch.tensor([5.0, 1e-3, 4.0, 3.0])
    torch.testing.assert_close(torch.pdist(components(x, 4)(x)), torch.pdist(x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.pdist(components(x, 3)(x)), torch.pdist(x[:, [0, 2, 3]]), rtol=1e-3, atol=1e-2)


def test_a_look_costs_one_batch_of_samples_and_the_data_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run, read = gamble(None, GambleConfig(), replace(SETTINGS, rounds=9), measured=False), []
    subset = Dataset.subset
    monkeypatch.setattr(Dataset, "subset", lambda self, n, seed=0: read.append(n) or subset(self, n, seed))
    looks = of(Watched, list(run))
    assert [e.round for e in looks] == [2, 4, 6, 8]
    assert sum(run.model.drawn) == 4 * WATCH.samples + 64
    assert read == [WATCH.samples]


def test_gradient_norms_are_reported_when_asked_for() -> None:
    run = duel(settings=replace(SETTINGS, rounds=6, optim={}, ema={}, log_every=3, watchdog=WatchdogConfig(every=2)))
    told = []
    for event in run:
        if isinstance(event, RoundDone) and "critic gradient norm" in event.metrics:
            told.append(event.round)
            for name, player in run.players.items():
                norm = torch.cat([p.grad.flatten() for p in player.parameters]).norm()
                torch.testing.assert_close(event.metrics[f"{name} gradient norm"], norm)
    assert told == [2, 3, 4, 6]


# --- the rules --------------------------------------------------------------------------------------------------------


def verdicts(looks: list[dict[str, float]], norm: float = 1.0, start: int = 0, **watch: float) -> list[bool]:
    dog = Watchdog(WatchdogConfig(**watch), made())  # type: ignore[arg-type]
    return [dog.verdict(f, {"generator": norm}, start + 250 * i) is not None for i, f in enumerate(looks)]


def test_samples_that_are_alike_count_once_they_were_not_or_late() -> None:
    low, high = {SPREAD: 0.05}, {SPREAD: 0.9}
    assert verdicts([low] * 8) == [False] * 8
    assert verdicts([low] * 4, start=5001) == [False, False, True, True]
    assert verdicts([high, low, low, low]) == [False, False, False, True]
    assert verdicts([high, low, low, high, low, low]) == [False] * 6
    assert verdicts([{SPREAD: 0.2}, low, low, low]) == [False] * 4


def test_the_discriminator_has_won_only_if_nobody_else_learns_or_samples_are_off() -> None:
    won = {SPREAD: 1.0, "accuracy": 1.0}
    assert verdicts([won | {DISTANCE: 0.5}] * 3) == [False, False, True]
    assert verdicts([won | {DISTANCE: 0.3}] * 9) == [False] * 9
    assert verdicts([won] * 3, norm=1e-7) == [False, False, True]
    assert verdicts([won] * 9, norm=1e-3) == [False] * 9
    assert verdicts([{SPREAD: 1.0, "score gap": 40.0}] * 9, norm=1e-7) == [False] * 9
    assert verdicts([won, won, won | {"accuracy": 0.99}, won, won], norm=1e-7) == [False] * 5


def test_values_that_are_not_finite_count_at_once() -> None:
    assert verdicts([{NOT_FINITE: 0.01}]) == [True]


def test_a_held_out_figure_counts_when_it_explodes_and_samples_show_it() -> None:
    def told(figures: list[float], off: float) -> bool:
        dog, best = Watchdog(WatchdogConfig(), made()), math.inf
        for figure in figures:
            dog.evaluated(figure, best)
            best = min(best, figure)
        return dog.verdict({SPREAD: 1.0, DISTANCE: off}, {}, 0) is not None

    assert told([1.0, 11.0, 12.0, 13.0], 0.5)
    assert told([1.0, math.nan, math.nan, math.nan], 0.5)
    assert not told([1.0, 11.0, 12.0, 13.0], 0.3)
    assert not told([1.0, 11.0, 12.0, 9.0], 0.5)
    assert not told([-1.0, 11.0, 12.0, 13.0], 0.5)


def test_a_model_with_one_player_is_not_watched() -> None:
    class Alone(Gamble):
        def players(self) -> Mapping[str, nn.Module]:
            return {"model": self}

        def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
            stream.next_batch()
            yield Turn("model", self.generator_loss, stream.normal(2))
            return None

    settings = replace(SETTINGS, optim={}, ema={})
    assert not of(Watched, list(Trainer(Alone(GambleConfig(), SPEC), made(), settings)))


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"patience": 0}, {"lr_factor": 0.0}, {"lr_factor": 2.0}])
def test_settings_that_make_no_sense_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"watchdog.{next(iter(wrong))}"):
        WatchdogConfig(**wrong)  # type: ignore[arg-type]


# --- what is written and told -----------------------------------------------------------------------------------------


def test_a_run_writes_and_tells_what_happened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = Splits(train=made(), validation=made(50), test=made(50), settings=DataConfig(source="made"))
    recipe = Recipe(model=UNLUCKY, train=LOST, evaluate=EvaluateConfig(samples=50))
    training = Training("gamble", recipe, splits, tmp_path / "run", device="cpu")
    follow(training)
    lines = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    (collapsed,) = [line for line in lines if line["event"] == "collapsed"]
    (back,) = [line for line in lines if line["event"] == "rolled back"]
    assert collapsed["action"] == "rollback"
    assert back["retry"] == 1
    assert back["to_round"] <= 20 < back["round"]
    assert any(SPREAD in line for line in lines if line["event"] == "watched")
    said = " ".join(capsys.readouterr().out.split())
    assert f"collapsed: {collapsed['reason']}" in said
    assert f"back to round {back['to_round']}, retry 1 of 3, learning rates times 0.5" in said
