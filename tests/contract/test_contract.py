"""What every family promises, asked of every registered recipe."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from cases import Case, recipes
from stepping import assert_log_prob_is_that_of_the_logits, assert_steps_equal_the_pass

from genwerk.core.condition import Label
from genwerk.core.model import Config, Model, build
from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import Characters
from genwerk.recipes import REGISTRY
from genwerk.runs import loading, store
from genwerk.testing.contract import PROMISES
from genwerk.training.trainer import Trainer


def each(fact: str) -> pytest.MarkDecorator:
    """Ask a test of every recipe of whose model ``fact`` is true."""
    names = recipes(fact)
    assert names, f"no recipe is left of which it is true that it {fact}"
    return pytest.mark.parametrize("case", names, indirect=True)


GIVEN = [(recipe, promise) for promise in PROMISES for recipe in recipes(promise)]


@pytest.mark.parametrize("case,promise", GIVEN, indirect=["case"])
def test_promise(case: Case, promise: str, tmp_path: Path) -> None:
    PROMISES[promise].check(case, tmp_path)


def test_every_promise_is_given_by_some_recipe() -> None:
    assert {promise for _, promise in GIVEN} == set(PROMISES)


FOREIGN = (
    DataSpec(kind="table", shape=(3,), columns=("a", "b", "c")),
    DataSpec(kind="audio", shape=(1, 400), sample_rate=8_000),
    DataSpec(kind="latent", shape=(4, 8, 8)),
    DataSpec(kind="image", shape=(1, 8, 8)),
    DataSpec(kind="text", shape=(12,), vocabulary=Characters(symbols=tuple("abcdef "), length=12)),
)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_data_of_any_kind_are_taken_or_refused_in_words(name: str) -> None:
    """A refusal is a sentence that somebody wrote, and no mishap inside a function."""
    for spec in FOREIGN:
        try:
            with torch.device("meta"):
                build(REGISTRY[name].make(spec).model, spec)
        except NotImplementedError:  # a buffer that is computed has no place on "meta"; until there nothing was refused
            pass
        except ValueError as refusal:
            if not str(traceback.extract_tb(refusal.__traceback__)[-1].line).startswith(
                ("raise ValueError(", "raise BadInput(")
            ):
                raise


# --- abilities --------------------------------------------------------------------------------------------------------


@each("draws classes")
def test_a_class_that_is_not_named_is_drawn_as_often_as_in_training(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Label] = []
    real = Label.drawn
    monkeypatch.setattr(Label, "drawn", lambda label, u: drawn.append(label) or real(label, u))
    case.model.sample(2, seed=3)
    assert len(drawn) == 1


@each("is autoregressive")
def test_cached_steps_are_the_parallel_pass(case: Case) -> None:
    network = deepcopy(case.model.network).double()
    assert_steps_equal_the_pass(network, case.batch[:3].condition)
    assert_log_prob_is_that_of_the_logits(network, case.batch[:3].condition)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", sorted(REGISTRY), indirect=True)
def test_weights_of_another_model_are_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = store.describe(case.entry.name, case.recipe, case.entry.spec)
    trainer = Trainer(case.model, case.data, case.recipe.train)
    stored = store.find(store.Checkpoints(tmp_path, described).save(case.model, trainer.state()))
    real = loading.build

    def longer(config: Config, spec: DataSpec) -> Model:
        model = real(config, spec)
        model.register_buffer("stranger", torch.zeros(3))
        return model

    def wider(config: Config, spec: DataSpec) -> Model:
        model = real(config, spec)
        name = next(name for name, value in model.state_dict().items() if value.dim())
        owner, leaf = model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        value = getattr(owner, leaf)
        other = value.new_empty(value.shape[0] + 1, *value.shape[1:])
        learned = isinstance(value, torch.nn.Parameter)
        delattr(owner, leaf)
        if learned:
            owner.register_parameter(leaf, torch.nn.Parameter(other))
        else:
            owner.register_buffer(leaf, other)
        return model

    for wrong, fault in ((longer, "lacks tensor 'stranger'"), (wider, "the configuration says")):
        monkeypatch.setattr("genwerk.core.model.build", wrong)
        with pytest.raises(ValueError, match=rf"model\.safetensors.* {fault}"):
            store.load_model(stored)


# --- two processes ----------------------------------------------------------------------------------------------------

WORKER = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {tests!r})
from cases import REGISTRY, Case, Trainer, double_precision, fresh, prepared, store_end, unmagnified, without_dropout
from genwerk.training import runtime
place = runtime.start("cpu")
alone = runtime.Runtime(torch.device("cpu"))
cases = map(without_dropout, map(prepared, sorted(REGISTRY)))
chosen = [c for c in cases if not c.couples_over_processes and c.recipe.train.batch_size != 1]  # one is not shared

def learn(c, runtime):
    with double_precision():
        settings = unmagnified(c.recipe.train, rounds=2)
        return Trainer(fresh(c.recipe, c.entry.spec), c.double, settings, runtime=runtime).fit()

for i, c in enumerate(chosen):
    together = learn(c, place)
    if place.main:
        store_end({out!r} + "/2", c.entry.name, together)
    if i % 2 == place.rank:
        store_end({out!r} + "/1", c.entry.name, learn(c, alone))
place.barrier()
runtime.finish()
at_work = [name.read_text() for name in Path("/proc/self/task").glob("*/comm")]  # on Linux
assert not [name for name in at_work if "gloo" in name], "a group that is kept aborts now and then while Python ends"
"""


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    for processes in "12":
        (tmp_path / processes).mkdir()
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(tests=str(Path(__file__).parent), out=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[:3000] + done.stderr[-1000:]
    one, two = (sorted((tmp_path / n).glob("*.pt")) for n in "12")
    assert [p.name for p in one] == [p.name for p in two]
    assert one
    for a, b in zip(one, two, strict=True):
        expected, found = torch.load(a, weights_only=True), torch.load(b, weights_only=True)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-8, msg=f"{a.name}: {name}")
