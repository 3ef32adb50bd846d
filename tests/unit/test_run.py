"""Training into a run folder: what may change on the way and is written down, what is refused, what is left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from duel import SETTINGS, SPEC, DuelConfig, data
from safetensors.torch import load_file, save
from test_store import put

import genwerk
from genwerk.core.errors import BadFile, BadInput
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.runs import store
from genwerk.runs.training import Training
from genwerk.training.choice import Judged
from genwerk.training.events import RoundDone, Saved
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, WatchdogConfig

CONSTANT = replace(
    SETTINGS,
    optim={"critic": OptimConfig(lr=0.01), "generator": OptimConfig(name="rmsprop", momentum=0.5)},
    save_every=2,
)


def splits(part: Dataset | None = None, **settings: Any) -> Splits:
    part = part or data()
    known = {"train": f"{len(part)}:{part.fingerprint()}"}
    return Splits(
        train=part, validation=part, test=part, settings=DataConfig(source="made", **settings), fingerprints=known
    )


def training(
    path: Path, train: TrainConfig = CONSTANT, *, name: str = "duel", what: Splits | None = None, **more: Any
) -> Training:
    config = more.pop("config", DuelConfig())
    return Training(
        name, Recipe(model=config, train=train, evaluate=EvaluateConfig(samples=0)), what or splits(), path, **more
    )


def play(path: Path, train: TrainConfig = CONSTANT, *, until: int | None = None, **more: Any) -> Training:
    with training(path, train, **more) as run:
        for event in run:
            if until is not None and isinstance(event, RoundDone) and event.round == until:
                run.trainer.stop()
        run.conclude()
    return run


def weights(path: Path) -> bytes:
    return (store.find(path / "last").folder / "model.safetensors").read_bytes()


def config(path: Path) -> Any:
    return json.loads((path / "config.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    play(path)
    return path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def test_a_finished_run_is_extended_to_the_bits_of_a_longer_one(tmp_path: Path) -> None:
    """In one stage, for the first of two is as long as half of all."""
    recipe = genwerk.recipe("autoencoder")
    small = replace(recipe.model, network=replace(recipe.model.network, widths=(4,)), latent=2)
    train = replace(recipe.train, rounds=4, optim={"model": OptimConfig()}, batch_size=16)
    recipe = replace(
        recipe, model=small, data=DataConfig(source="digits", limit=50), train=train, evaluate=EvaluateConfig(samples=0)
    )
    genwerk.train(recipe, out=tmp_path / "short")
    genwerk.train(recipe, out=tmp_path / "short", resume=True, rounds=9)
    genwerk.train(replace(recipe, train=replace(train, rounds=9)), out=tmp_path / "long")
    assert store.find(tmp_path / "short" / "last").folder.name == "00000009"
    assert weights(tmp_path / "short") == weights(tmp_path / "long")
    changes = config(tmp_path / "short")["origin"]["changes"]
    assert changes == [{"round": 4, "settings": {"train.rounds": "4 -> 9"}}]
    assert "from round 4: train.rounds 4 -> 9" in (tmp_path / "short" / "card.md").read_text()


def test_only_the_last_stage_of_a_finished_run_can_be_longer(run: Path) -> None:
    before = (run / "config.json").read_bytes()
    with pytest.raises(BadInput, match=r"stage 'first' of .* is over after 6 rounds"):
        training(run, replace(CONSTANT, rounds=20), resume=True)
    play(run, replace(CONSTANT, rounds=13), resume=True)  # 6 and 7
    assert store.find(run).folder.name == "00000013"
    assert (run / "config.json").read_bytes() != before


def test_fewer_rounds_than_were_played_are_refused(run: Path) -> None:
    with pytest.raises(BadInput, match="ask for 6 or more"):
        training(run, replace(CONSTANT, rounds=10), resume=True)


def test_what_changes_on_the_way_is_recorded_from_its_round_on(tmp_path: Path) -> None:
    play(tmp_path / "run", until=3)
    other = replace(CONSTANT, batch_size=4, optim=CONSTANT.optim | {"critic": OptimConfig(lr=0.001)})
    again = play(tmp_path / "run", other, resume=True)
    settings = {"train.batch_size": "8 -> 4", "train.optim.critic.lr": "0.01 -> 0.001"}
    assert again.changes == settings
    assert again.notes[0] == "From round 12 on, train.batch_size: 8 -> 4."
    for path in (tmp_path / "run", store.find(tmp_path / "run").folder):
        assert config(path)["origin"]["changes"] == [{"round": 3, "settings": settings}]


REFUSED: dict[str, Callable[[Path], Training]] = {
    "the recipe 'duel', not 'gan'": lambda p: training(p, name="gan", resume=True),
    "model.width 4, not 5": lambda p: training(p, config=DuelConfig(width=5), resume=True),
    "train.seed 0, not 1": lambda p: training(p, replace(CONSTANT, seed=1), resume=True),
    "train.optim.generator.name 'rmsprop', not 'adam'": lambda p: training(
        p, replace(CONSTANT, optim=CONSTANT.optim | {"generator": OptimConfig()}), resume=True
    ),
    "train.ema {'generator': 20.0}, not {}": lambda p: training(p, replace(CONSTANT, ema={}), resume=True),
    "train.ema {'generator': 20.0}, not {'critic': 5.0": lambda p: training(
        p, replace(CONSTANT, ema={"critic": 5.0, "generator": 5.0}), resume=True
    ),
    "played all its 12 rounds, so train.batch_size would change nothing": lambda p: training(
        p, replace(CONSTANT, batch_size=4), resume=True
    ),
    "data.seed 0, not 1": lambda p: training(p, what=splits(seed=1), resume=True),
    "so data would change nothing": lambda p: training(p, what=splits(data(36)), resume=True),
    "holds a run already": lambda p: training(p),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_may_not_change_is_refused_and_nothing_written(finished: Path, message: str) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.name != ".lock"}
    with pytest.raises(BadInput, match=message):
        REFUSED[message](finished)
    assert before == {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.name != ".lock"}


def test_the_last_evaluation_is_in_the_last_save(tmp_path: Path) -> None:
    """A kill after the last save finds all done: the best is that of a run which was not killed."""
    scores = iter([3.0, 1.0])
    with training(tmp_path / "run", replace(CONSTANT, evaluate_every=8)) as run:
        run.trainer.judging.evaluate = lambda *_: Judged({"score": next(scores)}, "score")
        for event in run:
            if isinstance(event, Saved) and event.round == 12:
                assert event.best
                break
    with training(tmp_path / "run", replace(CONSTANT, evaluate_every=8), resume=True) as again:
        assert list(again.trainer) == []
        assert again.trainer.choice.best == 1.0
    assert store.find(tmp_path / "run" / "best").folder.name == "00000012"


def test_figures_of_other_examples_do_not_compare(tmp_path: Path) -> None:
    """Validation data that are near to what a model says at first, and then others: what was the best is so no more."""
    rows = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    table = tmp_path / "table.csv"
    recipe = genwerk.recipe("maf", DataSpec(kind="table", shape=(2,)))
    recipe = replace(recipe, train=replace(recipe.train, evaluate_every=2, save_every=2))
    for rounds, more in ((4, []), (8, [9 * rows + 50])):
        table.write_text("\n".join(["x,y", *(f"{x},{y}" for part in [rows, *more] for x, y in part.tolist())]))
        genwerk.train(recipe, str(table), out=tmp_path / "run", rounds=rounds, resume=bool(more), device="cpu")
    assert store.find(tmp_path / "run").round > 4


def test_a_finished_run_can_be_measured_again(run: Path) -> None:
    (run / "report.json").unlink()
    play(run, resume=True)
    assert (run / "report.json").exists()
    assert not config(run)["origin"]["changes"]


@pytest.mark.parametrize("line", [b"\0\0\0\0", b"\n", b"null\n", b'{"a": 1}\n', b"\xff\xfe\n", b'{"event": "rou'])
def test_damaged_lines_of_the_log_are_dropped_and_said(run: Path, line: bytes) -> None:
    whole = (run / "events.jsonl").read_text()
    with (run / "events.jsonl").open("ab") as file:
        file.write(line)
    with pytest.warns(UserWarning, match="1 damaged lines"):
        play(run, replace(CONSTANT, rounds=13), resume=True)
    said = (run / "events.jsonl").read_text()
    assert said.startswith(whole)
    assert all("round" in json.loads(found) for found in said.splitlines())


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs" / "run"
    exploding = replace(CONSTANT, watchdog=WatchdogConfig(action="off"))
    for start in (
        lambda: training(path, config=DuelConfig(width=-1)),
        lambda: training(path, replace(CONSTANT, optim={"nobody": OptimConfig()})),
        lambda: play(path, exploding, config=DuelConfig(explode=0)),
    ):
        with pytest.raises((ValueError, RuntimeError)):
            start()
        assert not list(tmp_path.iterdir())
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(BadInput, match="TensorBoard is not installed"):
        training(path, tensorboard=True)
    assert not list(tmp_path.iterdir())
    play(path, until=1)


def test_a_run_without_a_checkpoint_can_be_begun_anew(tmp_path: Path) -> None:
    with training(tmp_path / "run") as run:
        next(iter(run))
    assert config(tmp_path / "run")["name"] == "duel"
    play(tmp_path / "run", name="another")
    assert config(tmp_path / "run")["name"] == "another"


def test_a_second_writer_is_refused_before_it_looks(tmp_path: Path) -> None:
    with training(tmp_path / "run") as first:
        for resume in (False, True):
            with pytest.raises(BadInput, match="being written by another process"):
                training(tmp_path / "run", resume=resume)
        for _ in first:
            pass
        with pytest.raises(BadInput, match="being written by another process"):
            training(tmp_path / "run", resume=True)
        first.conclude()
    with pytest.raises(BadInput, match="holds a run already"):
        training(tmp_path / "run")


def test_a_folder_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BadInput, match="folder of something else"):
        training(tmp_path)
    (tmp_path / "config.json").write_text('{"architectures": 5}')
    with pytest.raises(BadInput, match="folder of something else"):
        training(tmp_path, resume=True)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "thesis.txt"}


def test_no_link_in_a_run_folder_is_written_through(run: Path) -> None:
    precious = run.parent / "precious"
    precious.write_text("thesis")
    for name in ("events.jsonl", "card.md", "report.json"):
        (run / name).unlink()
        (run / name).symlink_to(precious)
    with pytest.warns(UserWarning, match="damaged"):
        play(run, replace(CONSTANT, rounds=13), resume=True)
    assert precious.read_text() == "thesis"
    assert not any((run / name).is_symlink() for name in ("events.jsonl", "card.md", "report.json"))


STATES: dict[str, dict[str, Any]] = {
    "position is 'None'; expected an object": {"position": None},
    "position.round is 'x'; expected a whole number": {"position": {"round": "x"}},
    "expected counts from 0": {"position": {"stage": -1}},
    "a stage below 2": {"position": {"stage": 7}},
    "steps are": {"steps": {"critic": 1}},
    "threads is 1000000": {"threads": 10**6},
    "choice is 'low'": {"choice": "low"},
    "watchdog lacks": {"watchdog": {}},
}


@pytest.mark.parametrize("message", STATES)
def test_figures_of_another_kind_are_refused(run: Path, message: str) -> None:
    state = json.loads((store.find(run).folder / "trainer" / "state.json").read_text())
    put(run, "trainer/state.json", json.dumps(state | STATES[message]).encode())
    with pytest.raises(BadInput, match=message):
        training(run, resume=True)


TENSORS = {
    r"'0.exp_avg' has shape \(1,\); expected \(4, 3\)": {"optim.critic.0.exp_avg": torch.zeros(1)},
    "'0.step' is not finite": {"optim.critic.0.step": torch.tensor(torch.nan)},
    "surplus tensor '99.step'": {"optim.critic.99.step": torch.tensor(1.0)},
    "surplus tensor '0.sum'": {"optim.critic.0.sum": torch.zeros(4, 3)},
    "surplus tensor 'optim.nobody.0.step'": {"optim.nobody.0.step": torch.tensor(1.0)},
    "surplus tensor 'x'": {"x": torch.tensor(1.0)},
}


@pytest.mark.parametrize("message", TENSORS)
def test_optimiser_tensors_of_another_kind_are_refused(run: Path, message: str) -> None:
    tensors = load_file(store.find(run).folder / "trainer" / "state.safetensors")
    put(run, "trainer/state.safetensors", save(tensors | TENSORS[message]))
    with pytest.raises(BadFile, match=message):
        training(run, resume=True)


@pytest.mark.parametrize("name", ["adam", "adamw", "adamax", "sgd", "rmsprop", "adagrad"])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_every_optimiser_goes_on_to_the_same_bits(tmp_path: Path, name: Any, momentum: float) -> None:
    optim = OptimConfig(name=name, momentum=momentum)
    settings = replace(CONSTANT, rounds=6, optim={"critic": optim, "generator": optim})
    play(tmp_path / "a", settings)
    play(tmp_path / "b", settings, until=4)
    play(tmp_path / "b", settings, resume=True)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_data_that_changed_are_said_and_recorded(run: Path) -> None:
    again = play(run, replace(CONSTANT, rounds=13), what=splits(data(40)), resume=True)
    assert "37 training examples and not 40" in again.changes["data"]
    assert config(run)["origin"]["changes"][0]["settings"]["data"] == again.changes["data"]


def test_another_number_of_processes_is_said_and_recorded(run: Path) -> None:
    path = store.find(run).folder / "config.json"
    described = config(path.parent)
    described["origin"]["processes"] = 2
    put(run, "config.json", json.dumps(described).encode())
    again = play(run, replace(CONSTANT, rounds=13), resume=True)
    assert again.changes["processes"] == "2 -> 1"


def test_a_player_may_have_dots_in_its_name(tmp_path: Path) -> None:
    """As the discriminator of an autoencoder in a two-stage model, whose name begins with that of another player."""
    assert SPEC.dims == 3
    with training(tmp_path / "a") as run:
        for _ in run:
            pass
        trainer = run.trainer
    state = trainer.state()
    renamed = {"critic": "generator.critic", "generator": "generator"}
    trainer.players = {renamed[name]: player for name, player in trainer.players.items()}
    state = trainer.state()
    trainer.resume(state)
    again = trainer.state()
    assert again.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(state.tensors[k], again.tensors[k]) for k in state.tensors)
