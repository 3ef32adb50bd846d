"""What every family promises of its training and its recipe: each function fails by an assertion where a :class:`Case`
does not keep it. Its folder is an empty one."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genwerk.core.abilities import abilities
from genwerk.runs import store
from genwerk.testing.case import Case, double_precision, fresh, unmagnified
from genwerk.testing.promise import promise
from genwerk.training.events import RoundDone, Saved
from genwerk.training.runtime import Runtime
from genwerk.training.settings import Recipe, from_json, to_json
from genwerk.training.trainer import Trainer


def sees_examples_apart(case: Case) -> str | None:
    """Models whose loss is a mean over examples."""
    return "examples of a batch are coupled by design" if case.couples_examples else None


@promise()
def every_parameter_of_a_player_gets_a_gradient(case: Case, _: Path) -> None:
    """Within a few rounds a gradient reaches every parameter that requires one.

    Remedy: use the parameter in a loss, remove it, or set ``requires_grad=False``; look for ``detach`` and ``no_grad``.
    """
    assert not case.unreached, f"no gradient reaches {sorted(case.unreached)[:3]}"


@promise()
def resume_is_bit_exact_at_a_random_round(case: Case, folder: Path) -> None:
    """A training that is stopped at any round and resumed ends with the same weights to the bit.

    Remedy: keep what outlives a round in a registered buffer, and draw noise in ``turns`` from torch's generator.
    """
    stop = random.Random(case.entry.name).choice(case.rounds[:-1] or case.rounds)
    checkpoints = store.Checkpoints(folder, store.describe(case.entry.name, case.recipe, case.entry.spec))
    first = Trainer(fresh(case.recipe, case.entry.spec), case.data, case.recipe.train, checkpoints=checkpoints)
    for event in first:
        if isinstance(event, RoundDone) and event.round == stop:
            first.stop()
        if isinstance(event, Saved):
            path = event.path
    stored = store.find(path)
    rest = Trainer(store.load_model(stored, averaged=False), case.data, stored.recipe.train)
    rest.resume(store.load_state(stored))
    expected, found = case.model.state_dict(), rest.fit().state_dict()
    assert all(torch.equal(v, found[k]) for k, v in expected.items())


@promise(sees_examples_apart)
def micro_batches_change_nothing(case: Case, _: Path) -> None:
    """A batch cut into micro-batches gives the same weights.

    Remedy: let the loss be a mean over examples, and pass what is not a row as a keyword of ``Turn``; where a loss
    couples examples by design, name what does so in ``couples``.
    """
    ends = []
    with double_precision():
        for micro in (None, 3):
            settings = unmagnified(case.recipe.train, rounds=2, micro_batch=micro)
            ends.append(Trainer(fresh(case.recipe, case.entry.spec), case.double, settings).fit().state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-6, atol=1e-8)


@promise()
def bfloat16_trains(case: Case, _: Path) -> None:
    """Two rounds in bfloat16 leave every parameter finite.

    Remedy: compute logarithms, exponentials and sums of many terms in float32.
    """
    settings = replace(case.recipe.train, precision="bfloat16", rounds=2)
    cpu = Runtime(torch.device("cpu"), "bfloat16")
    model = Trainer(fresh(case.recipe, case.entry.spec), case.data, settings, runtime=cpu).fit()
    assert all(p.isfinite().all() for p in model.parameters())


@promise()
def save_and_load_give_the_same_model(case: Case, folder: Path) -> None:
    """A model that was saved and loaded has the same tensors, samples and codes.

    Remedy: register every tensor as a parameter or a buffer, and build the rest from the config alone.
    """
    described = store.describe(case.entry.name, case.recipe, case.entry.spec)
    trainer = Trainer(case.model, case.data, case.recipe.train)
    path = store.Checkpoints(folder, described).save(case.model, trainer.state())
    loaded: Any = store.load_model(store.find(path))
    case.model.eval()
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in case.model.state_dict().items())
    if "samples" in abilities(case.model):
        condition = case.batch[:3].condition
        assert torch.equal(case.model.sample(3, condition, seed=1), loaded.sample(3, condition, seed=1))
    if "encodes" in abilities(case.model):
        x = case.batch.x
        assert torch.equal(case.model.encode(x, case.condition), loaded.encode(x, case.condition))


@promise()
def the_recipe_survives_json(case: Case, _: Path) -> None:
    """The recipe is the same after it was written to JSON and read.

    Remedy: let configs be frozen dataclasses of plain values: numbers, strings, booleans, tuples, other configs.
    """
    assert from_json(Recipe, json.loads(json.dumps(to_json(case.recipe)))) == case.recipe


@promise()
def the_recipe_says_what_it_is(case: Case, _: Path) -> None:
    """The first line of the recipe's docstring is a sentence of more than 20 characters.

    Remedy: write one, with a full stop.
    """
    assert len(case.entry.summary) > 20
    assert case.entry.summary.endswith(".")
