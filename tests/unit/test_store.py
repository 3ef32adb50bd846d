"""A run on disk: atomic, checked, refused when wrong; nothing is executed and nothing is lost."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from duel import SETTINGS, SPEC, Duel, DuelConfig, data
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

import genwerk
from genwerk.core.errors import BadFile
from genwerk.runs import store
from genwerk.runs.checkpoints import score_of, sha256
from genwerk.training.choice import Judged
from genwerk.training.settings import Recipe, TrainConfig, from_json, to_json
from genwerk.training.trainer import Trainer


class Bomb:
    """Unpickling it leaves a trace."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch exploded",)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("store") / "run"
    config = DuelConfig()
    recipe = Recipe(model=config, train=SETTINGS)
    described = store.describe("duel", recipe, SPEC)
    run.mkdir()
    (run / "config.json").write_text(json.dumps(described))
    Trainer(Duel(config, SPEC), data(), SETTINGS, checkpoints=store.Checkpoints(run, described, keep=2)).fit()
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-r", trained, tmp_path / "run"], check=True)
    return tmp_path / "run"


def same(a: Duel, b: Duel) -> bool:
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_load_gives_the_averaged_weights_and_is_strict(run: Path) -> None:
    stored = store.find(run)
    averaged, raw = store.load_model(stored), store.load_model(stored, averaged=False)
    assert not averaged.training
    average = store.load_state(stored).averages["generator.weight"]
    assert torch.equal(averaged.generator.weight, average)
    assert not torch.equal(raw.generator.weight, average)
    assert torch.equal(averaged.critic[0].weight, raw.critic[0].weight)


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "manifest.json", "trainer/state.json", "trainer/state.safetensors"]
)
def test_a_checkpoint_truncated_at_any_byte_is_noticed(run: Path, file: str) -> None:
    checkpoint = store.find(run).folder
    path = checkpoint / file
    whole = path.read_bytes()
    for end in [*range(0, len(whole) - 1, max(1, len(whole) // 60)), len(whole) - 1]:
        path.write_bytes(whole[:end])
        if file == "manifest.json" and whole[:end].strip() == whole.strip():
            continue
        assert store.check(checkpoint) is not None
        with pytest.raises(ValueError, match=r"intact|damaged"):
            store.find(run)
    path.write_bytes(whole)
    assert store.check(checkpoint) is None


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1), bit=st.integers(0, 7), file=st.sampled_from(["model.safetensors", "config.json"]))
def test_every_flipped_bit_is_noticed(trained: Path, position: float, bit: int, file: str) -> None:
    checkpoint = store.find(trained).folder
    path = checkpoint / file
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[int(position * (len(whole) - 1))] ^= 1 << bit
    try:
        path.write_bytes(flipped)
        assert store.check(checkpoint) is not None
    finally:
        path.write_bytes(whole)


def test_loading_walks_back_to_the_newest_intact_checkpoint(run: Path) -> None:
    stored = store.find(run)
    older = stored.folder.with_name("00000003")
    subprocess.run(["cp", "-r", stored.folder, older], check=True)
    (stored.folder / "model.safetensors").write_bytes(b"gone")
    with pytest.warns(UserWarning, match="using round 3"):
        assert store.find(run).folder == older


def test_foreign_newer_and_broken_configurations_are_refused_by_name(run: Path) -> None:
    path = run / "config.json"
    config = json.loads(path.read_text())
    changed = {
        "was not written by Genwerk": {"architectures": ["BertModel"]},
        "reads up to 2": {**config, "format": 3},
        "which this version of Genwerk does not have": config | {"recipe": {"model": {"$type": "os.system"}}},
        r"train.rounds is '1e12'; expected a whole number": config
        | {"recipe": {**config["recipe"], "train": {"rounds": "1e12"}}},
        "unknown field 'surprise'": config | {"spec": {**config["spec"], "surprise": 1}},
    }
    for message, content in changed.items():
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            store.find(run)
    whole = json.dumps(config)
    for end in range(0, len(whole), 97):
        path.write_text(whole[:end])
        with pytest.raises(ValueError, match=r"damaged|not written by Genwerk"):
            store.find(run)


@pytest.mark.parametrize("name", ["model.pt", "weights.ckpt", "pytorch_model.bin", "m.pkl"])
def test_pickles_are_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=f"pickled weights .{name}"):
        store.find(folder)
    assert not (tmp_path / "exploded").exists()


def put(run: Path, name: str, content: bytes) -> None:
    """Another content for a file of the newest checkpoint, with the sum that goes with it."""
    checkpoint = max((run / "checkpoints").iterdir())
    (checkpoint / name).write_bytes(content)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


CONTENTS = {
    "is not finite": {"mean": torch.tensor([0.0, math.nan, 0.0])},
    "holds torch.float32; expected torch.int64": {"played": torch.tensor(0.0)},
    "the surplus tensor 'ema.nobody'": {"ema.nobody": torch.zeros(1)},
    "the surplus tensor 'ema.mean'": {"ema.mean": torch.zeros(3)},
    r"tensor 'ema.generator.bias' has shape \(1,\)": {"ema.generator.bias": torch.zeros(1)},
}


@pytest.mark.parametrize("message", CONTENTS)
def test_sums_prove_no_content(run: Path, message: str) -> None:
    path = store.find(run).folder / "model.safetensors"
    put(run, "model.safetensors", save(load_file(path) | CONTENTS[message]))
    with pytest.raises(BadFile, match=message):
        store.load_model(store.find(run))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("layers", 10_000_000, "describes a larger model than the weights beside it"),
        ("width", 10**11, "describes a larger model than the weights beside it"),
        ("width", 5, "has shape"),
        ("width", 10**30, "describes no model that can be built"),
        ("width", -1, "describes no model that can be built"),
    ],
)
def test_no_more_is_built_than_the_file_holds(run: Path, field: str, value: int, message: str) -> None:
    config = json.loads((run / "config.json").read_text())
    config["recipe"]["model"][field] = value
    put(run, "config.json", json.dumps(config).encode())
    with pytest.raises(BadFile, match=message):
        store.load_model(store.find(run))


def test_a_manifest_that_is_a_folder_is_passed_over(run: Path) -> None:
    newest = run / "checkpoints" / "00000013"
    shutil.copytree(run / "checkpoints" / "00000012", newest)
    (newest / "manifest.json").unlink()
    (newest / "manifest.json").mkdir()
    with pytest.warns(UserWarning, match="using round 12.*is a folder"):
        assert store.find(run).folder.name == "00000012"


def test_a_run_of_the_first_layout_still_loads() -> None:
    """Written at commit 06bfe69 by `genwerk train vae --data ring --data.limit 200 --model.widths 8 --model.latent 2
    --model.likelihood gaussian --rounds 6 --train.batch-size 16 --train.save-every 3 --train.evaluate-every 3
    --evaluate.samples 0`, and what its decoder gave then."""
    model = genwerk.load(Path(__file__).parent / "format1")
    made = model.decode(torch.tensor([[0.0, 0.0], [1.0, -1.0]]))
    then = [[-0.10755934566259384, 0.1110319197177887], [-0.10348562151193619, 0.04455554485321045]]
    torch.testing.assert_close(made.float(), torch.tensor(then))
    assert model.sample(5, seed=0).shape == (5, 2)


def test_a_run_of_the_first_layout_goes_on_and_is_judged_anew(tmp_path: Path) -> None:
    """What it was judged by then are other examples, whose figures do not compare."""
    shutil.copytree(Path(__file__).parent / "format1", tmp_path / "run")
    before = store.find(tmp_path / "run")
    genwerk.train("vae", out=tmp_path / "run", resume=True, rounds=12, device="cpu")
    found = store.find(tmp_path / "run")
    assert found.round > before.round
    assert found.notes[0].startswith(f"The weights are those of round {found.round} of 12, the best of ")


def test_a_pickle_in_place_of_the_weights_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    put(run, "model.safetensors", pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="not a safetensors file"):
        store.load_model(store.find(run))
    assert not (run / "exploded").exists()


def test_weights_of_another_shape_are_refused_before_they_are_read(run: Path) -> None:
    stored = store.find(run)
    with pytest.raises(ValueError, match=r"has shape \(3,\), the configuration says \(5,\)"):
        store.load_model(store.Stored(stored.folder, "duel", stored.recipe, type(SPEC)(kind="table", shape=(5,))))


def test_a_manifest_cannot_reach_outside_its_folder(run: Path) -> None:
    checkpoint = store.find(run).folder
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    secret = run / "config.json"
    manifest["files"]["../../config.json"] = {"bytes": secret.stat().st_size, "sha256": sha256(secret)}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="outside its folder"):
        store.find(run)


def test_a_full_disk_is_one_sentence_and_harms_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = store.find(run)
    checkpoints = store.Checkpoints(run, {}, keep=2)
    trainer = Trainer(store.load_model(stored, averaged=False), data(), SETTINGS, checkpoints=checkpoints)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ValueError, match=r"needs \d+ MB and 0 MB are free"):
        checkpoints.save(trainer.model, trainer.state())
    assert store.find(run).folder == stored.folder
    assert not list(run.glob("checkpoints/.tmp-*"))


class Killed(BaseException):
    """As a kill -9: nothing that comes after it reaches the disk, tidying up neither."""


TOUCHING = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
"""What Python audits of the calls that change a file system; os.fsync, which it does not, is watched by itself."""
left: list[float] = [math.inf]
"""Calls that a save may still make before it is killed."""


def watch(event: str, _: object = None) -> None:
    if event in TOUCHING and left[0] < math.inf:
        left[0] -= 1
        if left[0] < 0:
            raise Killed


sys.addaudithook(watch)


@pytest.mark.parametrize("again", [False, True], ids=["a new round", "the same round again"])
def test_a_kill_at_any_call_leaves_a_whole_copy(run: Path, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """Killed at every call to the file system in turn: what is found is whole, before tidying up and after."""
    stored = store.find(run)
    checkpoints = store.Checkpoints(run, json.loads((stored.folder / "config.json").read_text()), keep=1)
    trainer = Trainer(store.load_model(stored, averaged=False), data(), SETTINGS, checkpoints=checkpoints)
    trainer.position.round = now = 12 if again else 99
    kept, fsync = run.parent / "kept", os.fsync
    shutil.copytree(run / "checkpoints", kept)

    def watched(handle: int) -> None:
        watch("open")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    kills = 0
    while True:
        shutil.rmtree(run / "checkpoints")
        shutil.copytree(kept, run / "checkpoints")
        left[0] = kills
        try:
            checkpoints.save(trainer.model, trainer.state(), 1.0)
        except Killed:
            kills += 1
        else:
            break
        finally:
            left[0] = math.inf
        assert store.round_of(store.find(run).folder) in (12, now)
        with store.only_writer(run):
            found = store.find(run)
        assert store.round_of(found.folder) in (12, now)
        assert not list((run / "checkpoints").glob(".*"))
    assert kills > 20
    assert [p.name for p in (run / "checkpoints").iterdir()] == [f"{now:08d}"]
    assert score_of(run / "checkpoints" / f"{now:08d}") == 1.0


def test_a_complete_copy_of_a_killed_writer_is_adopted(run: Path) -> None:
    folder = run / "checkpoints"
    (folder / "00000012").rename(folder / ".tmp-7-00000012")
    assert store.find(run).folder == folder / "00000012", "by who reads, too"
    (folder / "00000012").rename(folder / ".tmp-7-00000012")
    with store.only_writer(run):
        assert store.find(run).folder == folder / "00000012"


def saving(run: Path, *rounds: tuple[int, int, float | None]) -> store.Checkpoints:
    """Checkpoints of a run that is saved once more after each of ``rounds``, in a stage, with a score."""
    stored = store.find(run)
    checkpoints = store.Checkpoints(run, json.loads((stored.folder / "config.json").read_text()), keep=2)
    trainer = Trainer(store.load_model(stored, averaged=False), data(), SETTINGS, checkpoints=checkpoints)
    trainer.position.stage_round = 1
    for trainer.position.round, trainer.position.stage, score in rounds:
        trainer.choice.take(Judged({"score": 9.0 if score is None else score}, "score"), trainer.position.round, 7)
        checkpoints.save(trainer.model, trainer.state(), score)
    return checkpoints


def names(run: Path) -> list[int]:
    return sorted(int(p.name) for p in (run / "checkpoints").iterdir())


def test_the_newest_and_the_best_are_kept_and_the_best_is_what_a_run_stands_for(run: Path) -> None:
    best = saving(run, (20, 0, 3.0), (21, 0, None), (22, 0, 1.0), (23, 0, None), (24, 0, None), (25, 0, None)).best()
    assert names(run) == [22, 24, 25]
    assert best is not None
    assert best.name == "00000022"
    assert store.find(run) == store.find(run / "best")
    assert store.find(run).folder == best
    assert "those of round 22 of 25, the best of 6 evaluations by the score of 7 valid" in store.find(run).notes[0]
    assert "went past its best" in store.find(run).notes[1]
    assert "was 1 at round 22 and 9 at round 25" in store.find(run).notes[1]
    assert store.find(run / "last").round == 25
    assert "the newest; round 22 is the best" in store.find(run / "last").notes[0]


def test_the_best_is_of_the_last_stage(run: Path) -> None:
    saving(run, (20, 0, 1.0), (30, 1, None))
    assert names(run) == [20, 30]
    assert store.find(run).round == 30
    saving(run, (31, 1, 5.0), (32, 1, None))
    assert store.find(run).round == 31
    assert names(run) == [31, 32]


def test_a_damaged_best_gives_way_to_the_newest_with_a_word(run: Path) -> None:
    saving(run, (20, 0, 1.0), (21, 0, None))
    (run / "checkpoints" / "00000020" / "model.safetensors").write_bytes(b"gone")
    with pytest.warns(UserWarning, match=r"using round 21: .*00000020"):
        assert store.find(run).round == 21


def test_a_run_that_measured_nothing_stands_for_its_newest(run: Path) -> None:
    assert store.find(run) == store.find(run / "best") == store.find(run / "last")
    assert store.find(run).notes == ()


def test_a_checkpoint_that_is_read_is_not_removed(run: Path) -> None:
    with store.reading(run) as stored:
        config = json.loads((stored.folder / "config.json").read_text())
        trainer = Trainer(store.load_model(stored, averaged=False), data(), SETTINGS)
        checkpoints = store.Checkpoints(run, config, keep=1)
        trainer.position.round = 13
        checkpoints.save(trainer.model, trainer.state())
        assert store.check(stored.folder) is None
    trainer.position.round = 14
    checkpoints.save(trainer.model, trainer.state())
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["00000014"]


def test_a_lock_that_is_a_link_is_not_followed(run: Path) -> None:
    precious = run.parent / "precious"
    precious.write_text("thesis")
    (run / ".lock").symlink_to(precious)
    with pytest.raises(ValueError, match="is a link"), store.only_writer(run):
        pass
    assert precious.read_text() == "thesis"


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with pytest.warns(UserWarning, match="without locks"), store.only_writer(tmp_path / "run"):
        (tmp_path / "run" / "config.json").touch()


def test_a_writer_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    with store.only_writer(tmp_path / "runs" / "run"):
        pass
    assert not list(tmp_path.iterdir())


def test_one_writer_at_a_time_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    hold = "import sys,time; from pathlib import Path; from genwerk.runs import store\n"
    hold += "with store.only_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(ValueError, match=f"pid {other.pid}"), store.only_writer(tmp_path / "run"):
        pass
    other.kill()
    other.wait()
    with store.only_writer(tmp_path / "run"):
        pass


def test_settings_survive_json_exactly_and_bad_ones_are_named() -> None:
    recipe = Recipe(model=DuelConfig(explode=3), train=SETTINGS)
    assert from_json(Recipe, json.loads(json.dumps(to_json(recipe)))) == recipe
    for value, message in [
        ({"rounds": 1.5}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"optim": {"model": {"name": "lion"}}}, "optim.model.name.*one of adam"),
        ({"optim": {"model": {"betas": [0.9]}}}, "a list of 2"),
        ([], "an object"),
    ]:
        with pytest.raises(ValueError, match=message):
            from_json(TrainConfig, value)
