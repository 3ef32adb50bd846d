"""The training loop: exact resume, micro-batches, processes, averages, schedules, and failures that lose nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from duel import SETTINGS, SPEC, Duel, DuelConfig, data, trainer
from torch import nn

from genwerk.core.model import Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.spec import Batch
from genwerk.runs import store
from genwerk.training.choice import Choice, Judged
from genwerk.training.descent import Diverged, micro_batches
from genwerk.training.events import Evaluated, RoundDone, Saved, StageDone, Stopped
from genwerk.training.players import PlayerState, learning_rate
from genwerk.training.runtime import Runtime
from genwerk.training.settings import OptimConfig, WatchdogConfig
from genwerk.training.trainer import Trainer


def resumed(folder: Path, checkpoint: Path) -> Trainer:
    stored = store.find(checkpoint)
    again = trainer(folder, stored.recipe.train)
    again.model.load_state_dict(store.load_model(stored, averaged=False).state_dict())
    again.resume(store.load_state(stored))
    return again


@pytest.mark.parametrize("stop", [1, 5, 6, 7, 11, 12])
def test_resume_is_bit_exact(tmp_path: Path, stop: int) -> None:
    whole = trainer().fit().state_dict()
    first = trainer(tmp_path)
    for event in first:
        if isinstance(event, RoundDone) and event.round == stop:
            first.stop()
        if isinstance(event, Saved):
            path = event.path
    rest = resumed(tmp_path, path).fit().state_dict()
    assert all(torch.equal(whole[k], rest[k]) for k in whole)


def test_an_optimiser_that_is_fresh_in_a_stage_remembers_none_of_the_steps_before() -> None:
    """RMSProp's average counts its steps: of 12, 6 are in the second stage; the critic's Adam has taken two a round."""
    played = trainer()
    played.fit()
    steps = {name: int(player.optimizer_tensors()["0.step"]) for name, player in played.players.items()}
    assert steps == {"critic": 24, "generator": 6}


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    runs = [trainer(settings=replace(SETTINGS, seed=s)).fit().state_dict() for s in (0, 0, 1)]
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert not torch.equal(runs[0]["generator.weight"], runs[2]["generator.weight"])


def test_micro_batches_give_the_gradient_of_the_whole_batch() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        ends = []
        for micro in (None, 3, 1):
            run = trainer(settings=replace(SETTINGS, micro_batch=micro))
            run.model.critic[2].p = 0.0
            run.data = replace(run.data, x=run.data.x.double())
            ends.append(run.fit().state_dict())
    finally:
        torch.set_default_dtype(torch.float32)
    for end in ends[1:]:
        for name, value in end.items():
            torch.testing.assert_close(value, ends[0][name], rtol=1e-9, atol=1e-11)


def test_micro_batches_cut_every_row_once() -> None:
    x = torch.arange(10.0).reshape(5, 2)
    parts = list(micro_batches((Batch(x), x[:, 0], None), 2))
    assert [share for _, share in parts] == [0.4, 0.4, 0.2]
    assert torch.equal(torch.cat([p[0].x for p, _ in parts]), x)
    assert torch.equal(torch.cat([p[1] for p, _ in parts]), x[:, 0])
    assert all(p[2] is None for p, _ in parts)


def test_rows_of_a_turn_are_as_many_as_its_examples() -> None:
    with pytest.raises(ValueError, match="number 8, 3; expected one an example"):
        next(micro_batches((torch.zeros(8), torch.zeros(3)), None))


@pytest.mark.parametrize("coupled", [False, True])
def test_what_is_not_a_row_is_not_cut_even_where_it_is_as_long_as_the_batch(coupled: bool) -> None:
    run, table, seen = trainer(settings=replace(SETTINGS, micro_batch=3)), torch.arange(8.0), []
    run._stream(run.stages[0])

    def loss(x: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        seen.append((len(x), table))
        return x.mean(), {}

    def features(x: torch.Tensor, table: torch.Tensor) -> list[torch.Tensor]:
        return [loss(x, table)[0].expand(len(x))]

    rows = torch.zeros(8, 3)
    if coupled:
        turn = Turn(None, lambda x: (x.mean(), {}), rows, features=features, table=table)
    else:
        turn = Turn(None, loss, rows, table=table)
    run._take(turn, run.stages[0])
    assert [n for n, _ in seen] == [3, 3, 2]
    assert all(whole is table for _, whole in seen)


def test_only_the_player_whose_turn_it_is_moves() -> None:
    run = trainer()
    stream = run._stream(run.stages[0])
    stream.begin(0, 0)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    run._take(Turn("critic", run.model.critic_loss, stream.next_batch().x, stream.normal(2)), run.stages[0])
    after = run.model.state_dict()
    assert not torch.equal(before["critic.0.weight"], after["critic.0.weight"])
    assert torch.equal(before["generator.weight"], after["generator.weight"])
    assert run.model.generator.weight.grad is None


def test_averaged_weights_follow_the_half_life() -> None:
    run = trainer(settings=replace(SETTINGS, rounds=2, ema={"generator": 8.0}, ema_warmup=False))
    start = run.model.generator.weight.detach().clone()
    weights = []
    for event in run:
        if isinstance(event, RoundDone):
            weights.append(run.model.generator.weight.detach().clone())
    first = start.lerp(weights[0], 1 - 0.5 ** (8 / 8))
    expected = first.lerp(weights[1], 1 - 0.5 ** (5 / 8))
    torch.testing.assert_close(run.players["generator"].average[0], expected)
    with run.averaged() as model:
        torch.testing.assert_close(model.generator.weight.detach(), expected)
    assert torch.equal(run.model.generator.weight, weights[1])


def test_averages_forget_the_first_weights_quickly() -> None:
    player = trainer(settings=replace(SETTINGS, ema={"generator": 1e6})).players["generator"]
    weights = [player.average_weight(8) for player.steps in (1, 2, 10, 10_000_000)]
    assert weights == pytest.approx([9 / 11, 9 / 12, 9 / 20, 1 - 0.5 ** (8 / 1e6)])


def test_events_tell_the_whole_story(tmp_path: Path) -> None:
    settings = replace(SETTINGS, evaluate_every=4, save_every=5)
    scores = iter([3.0, 2.0, 4.0, 5.0])
    events = list(trainer(tmp_path, settings, evaluate=lambda *_: Judged({"score": next(scores)}, "score")))
    assert [e.round for e in events if isinstance(e, RoundDone)] == list(range(1, 13))
    assert [(e.round, e.best) for e in events if isinstance(e, Evaluated)] == [
        (4, True),
        (6, True),  # a stage is judged at its end,
        (10, True),  # and the next one anew
        (12, False),
    ]
    assert [(e.round, e.best) for e in events if isinstance(e, Saved)] == [
        (4, True),
        (5, False),
        (6, True),
        (10, True),
        (12, False),
    ]
    assert [e.stage for e in events if isinstance(e, StageDone)] == ["first", "second"]
    assert events[-1].steps == {"critic": 24, "generator": 12}
    assert events[-1].examples == 2 * 8 * 6 + 2 * 5 * 6
    assert store.Checkpoints(tmp_path, {}).best().name == "00000010"


JUDGED = replace(SETTINGS, rounds=40, evaluate_every=2, patience=3, save_every=7)


def valley(model: Duel, *_: object) -> Judged:
    """Falls until the sixth round, rises, and is lowest at the fifteenth of those that its weights remember."""
    played = int(model.played)
    return Judged({"score": abs(played - 6) + 2.0 if played < 13 else abs(played - 15) + 1.5}, "score")


def test_a_stage_that_gets_worse_ends_and_hands_its_best_weights_on(tmp_path: Path) -> None:
    run = trainer(tmp_path, JUDGED, evaluate=valley)
    events = list(run)
    first, second = (e for e in events if isinstance(e, StageDone))
    assert (first.round, first.choice.round, first.choice.best, first.choice.past) == (12, 6, 2.0, True)
    assert [e.round for e in events if isinstance(e, Evaluated)] == list(range(2, 27, 2))
    assert (second.choice.round, second.choice.best) == (20, 2.5)  # the 14th that weights of round 6 remember
    assert second.round == 26
    assert run.position.impatient
    assert int(run.finished().played) == 14
    chosen = store.load_model(store.find(tmp_path / "checkpoints" / "00000020")).state_dict()
    assert all(torch.equal(v, run.model.state_dict()[k]) for k, v in chosen.items())


@pytest.mark.parametrize("stop", [5, 6, 7, 11, 12, 13, 20, 25, 26])
def test_choosing_and_patience_are_bit_exact_over_a_resume(tmp_path: Path, stop: int) -> None:
    whole = trainer(tmp_path / "whole", JUDGED, evaluate=valley)
    whole.fit()
    first = trainer(tmp_path / "cut", JUDGED, evaluate=valley)
    for event in first:
        if isinstance(event, RoundDone) and event.round == stop:
            first.stop()
        if isinstance(event, Saved):
            path = event.path
    rest = resumed(tmp_path / "cut", path)
    rest.judging.evaluate = valley
    rest.fit()
    assert (rest.choice, rest.position) == (whole.choice, whole.position)
    assert all(torch.equal(v, rest.finished().state_dict()[k]) for k, v in whole.finished().state_dict().items())


def test_a_short_run_is_not_ended_by_noise(tmp_path: Path) -> None:
    short = replace(JUDGED, rounds=60, evaluate_every=None, patience=2)
    worse = lambda model, *_: Judged({"score": 1.0 + int(model.played)}, "score")  # noqa: E731
    run = trainer(tmp_path, short, evaluate=worse, validation=data(2))
    events = list(run)
    assert [e.round for e in events if isinstance(e, Evaluated)] == [20, 30, 50, 60]
    assert [e.round for e in events if isinstance(e, StageDone)] == [30, 60]


def test_figures_of_samples_choose_and_end_nothing(tmp_path: Path) -> None:
    run = trainer(tmp_path, JUDGED, evaluate=lambda *x: replace(valley(*x), steady=False))
    events = list(run)
    assert [(e.round, e.choice.round) for e in events if isinstance(e, StageDone)] == [(20, 6), (40, 22)]
    assert int(run.finished().played) == 22


def test_a_checkpoint_of_before_there_was_a_choice_goes_on(tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(SETTINGS, rounds=4))
    run.fit()
    state = store.load_state(store.find(run.checkpoints.newest()))
    del state.figures["choice"], state.figures["position"]["impatient"]
    again = trainer(tmp_path)
    again.resume(replace(state, figures=state.figures | {"best": 2.0}))
    assert again.choice == Choice()


@pytest.mark.parametrize(
    ("rounds", "examples", "steady", "every"),
    [
        (300, 50, True, 20),
        (300, 1000, True, 125),
        (300, 50, False, 30),
        (100_000, 1000, True, 2500),
        (1, 1, True, 20),
    ],
)
def test_evaluations_are_spread_over_a_stage(rounds: int, examples: int, steady: bool, every: int) -> None:
    settings = replace(SETTINGS, rounds=2 * rounds, batch_size=128)
    run = trainer(settings=settings, evaluate=valley, validation=data(examples))
    assert run.judging.every(run.stages[0], steady, 128) == every
    run.judging.settings = replace(settings, evaluate_every=11)
    assert run.judging.every(run.stages[0], steady, 128) == 11


def test_a_stage_ends_when_its_algorithm_says_so() -> None:
    class Patient(Duel):
        def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
            yield Turn(None, self.statistics, stream.next_batch())
            self.played += 1

        def stages(self, rounds: int) -> list[Stage]:
            return [replace(s, converged=lambda: bool(self.played % 3 == 0)) for s in super().stages(rounds)]

    events = list(Trainer(Patient(DuelConfig(), SPEC), data(), SETTINGS))
    ends = [e for e in events if isinstance(e, StageDone)]
    assert [(e.round, e.converged) for e in ends] == [(3, True), (6, True)]


def test_a_loss_that_is_not_finite_names_player_round_and_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"critic.*round 5.*00000004"):
        trainer(tmp_path, replace(SETTINGS, save_every=2, watchdog=WatchdogConfig(action="stop")), explode=4).fit()
    assert store.Checkpoints(tmp_path, {}).newest().name == "00000004"


def test_a_signal_saves_and_ends(tmp_path: Path) -> None:
    run, seen = trainer(tmp_path), []
    with run.stopping_on(signal.SIGTERM):
        for event in run:
            seen.append(event)
            if event.round == 3 and isinstance(event, RoundDone):
                os.kill(os.getpid(), signal.SIGTERM)
    assert isinstance(seen[-1], Stopped)
    assert isinstance(seen[-2], Saved)
    assert seen[-1].round == 3


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_learning_rate_schedules(schedule: str) -> None:
    optim = OptimConfig(lr=2.0, schedule=schedule, final=0.25, warmup=4)  # type: ignore[arg-type]
    rates = [learning_rate(optim, r, 24) for r in range(25)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    middle = {"constant": 2.0, "linear": 1.25, "cosine": 1.25}[schedule]
    end = 2.0 if schedule == "constant" else 0.5
    assert rates[14] == pytest.approx(middle)
    assert rates[24] == pytest.approx(end)
    held = [learning_rate(replace(optim, hold=0.5), r, 24) for r in range(25)]
    assert held[:13] == [0.5, 1.0, 1.5, *[2.0] * 10]
    assert held[18] == pytest.approx(middle)
    assert held[24] == pytest.approx(end)


@pytest.mark.parametrize("decay,shrunk", [("all", {"0.weight", "1.weight"}), ("matrices", {"1.weight"})])
def test_gains_and_biases_decay_only_where_all_do(decay: str, shrunk: set[str]) -> None:
    module = nn.Sequential(nn.LayerNorm(3, bias=False), nn.Linear(3, 1, bias=False))
    optim = OptimConfig(name="adamw", weight_decay=1.0, decay=decay)  # type: ignore[arg-type]
    player = PlayerState("model", module, optim, {p: name for name, p in module.named_parameters()})
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    for p in player.parameters:
        p.grad = torch.zeros_like(p)
    player.optimizer.step()
    assert {name for name, p in module.named_parameters() if not torch.equal(p, before[name])} == shrunk
    player.load_optimizer(player.optimizer_tensors(), "state")  # each parameter finds its own again


def test_unknown_players_in_the_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"player 'model'; Duel has critic, generator"):
        trainer(settings=replace(SETTINGS, optim={"model": OptimConfig()}))


WORKER = """
import sys, torch
sys.path.insert(0, {tests!r})
from duel import SETTINGS, trainer
from test_clip import coupled
from genwerk.training import runtime
torch.set_default_dtype(torch.float64)

def learned(place):
    run = trainer(settings=SETTINGS, runtime=place)
    run.model.critic[2].p = 0.0
    run.data = run.data.__class__(x=run.data.x.double(), spec=run.data.spec)
    run.fit()
    contrast = coupled(runtime=place)
    contrast.fit()
    return run.model.state_dict() | {{f"clip {{name}}": p.grad for name, p in contrast.model.named_parameters()}}

place = runtime.start("cpu")
two = learned(place)
if place.main:
    torch.save([learned(runtime.Runtime(torch.device("cpu"))), two], {out!r})
runtime.finish()
"""


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """The game, and CLIP, whose loss couples the examples of both."""
    out, script = tmp_path / "ends.pt", tmp_path / "worker.py"
    script.write_text(WORKER.format(tests=str(Path(__file__).parent), out=str(out)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = torch.load(out, weights_only=True)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-10, atol=1e-12)


def test_bfloat16_runs_and_keeps_weights_in_float32() -> None:
    run = trainer(settings=replace(SETTINGS, precision="bfloat16"), runtime=Runtime(torch.device("cpu"), "bfloat16"))
    assert all(v.dtype in (torch.float32, torch.int64) and v.isfinite().all() for v in run.fit().state_dict().values())
