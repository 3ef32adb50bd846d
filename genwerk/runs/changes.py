"""What may change when a run goes on, and what must stay as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from genwerk.core.errors import BadInput
from genwerk.data import Splits
from genwerk.data.parts import changed
from genwerk.runs.card import flat
from genwerk.runs.config import Change, Origin
from genwerk.runs.loading import Stored
from genwerk.training.settings import Recipe, to_json


def going_on(stored: Stored, recipe: Recipe, splits: Splits, now: Origin) -> Origin:
    """The run's origin with what changes from here on; a BadInput names what may not change."""
    run, was = stored.run, stored.origin

    def refuse(what: str, then: Any, wanted: Any) -> BadInput:
        return BadInput(f"{run} was trained with {what} {then!r}, not {wanted!r}; keep it, or choose another ‹out›")

    averages = stored.recipe.train.ema, recipe.train.ema
    if averages[0].keys() != averages[1].keys():  # averages that were not kept cannot be made up
        raise refuse("train.ema", *averages)
    old, new = flat(to_json(stored.recipe)), flat(to_json(recipe))
    other = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k) and not k.startswith("evaluate."))
    started = [key for key in other if key.endswith(".momentum") and 0 in (old.get(key), new.get(key))]
    for key in (*filter(_kept, other), *started):  # an optimiser without momentum has none to go on with
        raise refuse(key, old.get(key), new.get(key))
    settings = {k: f"{json.dumps(old.get(k))} -> {json.dumps(new.get(k))}" for k in other}
    if what := changed(stored.data, splits):
        settings["data"] = what.removesuffix(".")
    if was.processes != now.processes:
        settings["processes"] = f"{was.processes} -> {now.processes}"
    changes = (*was.changes, Change(round=stored.round, settings=settings)) if settings else was.changes
    return replace(now, from_runs=was.from_runs, changes=changes)


DRAWING = ("holdout", "validation", "seed", "test", "group", "jitter")
"""Settings of the data by which examples come into one part or another, or are themselves drawn."""


def _kept(key: str) -> bool:
    """Whether a setting must stay as it was for a run to go on, for what has been trained depends on it."""
    section, _, rest = key.partition(".")
    if section == "model":  # the lengths of stages are compared by themselves
        return not rest.endswith("rounds") or "." in rest
    return rest in DRAWING if section == "data" else rest == "seed" or rest.endswith((".name", ".decay"))
