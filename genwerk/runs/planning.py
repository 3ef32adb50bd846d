"""What a training is to be: which recipe with which settings, on which data, how long, and what is said of that.

The command line and Python say the same things in words of their own; what follows from them is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TypeAlias

from genwerk.core.errors import BadInput, attributed, check_finite
from genwerk.core.memory import free_memory
from genwerk.core.model import growing, stages, weightless
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Splits
from genwerk.data.hub import allow
from genwerk.runs import starting, store
from genwerk.training import runtime, speed
from genwerk.training.overrides import overridden, places, rounds_of, value_at
from genwerk.training.runtime import Device
from genwerk.training.settings import Recipe

Make: TypeAlias = Callable[[DataSpec | None], Recipe]
"""The recipe for data of a spec; for None it is as it is shown before there are any."""
Change: TypeAlias = Callable[[Recipe, bool], Recipe]
"""A recipe with the settings asked for; the flag says whether it is fitted to the data, or may still change by that."""
Open: TypeAlias = Callable[[DataConfig], Splits]
"""The data that settings name."""


BYTES = 4
"""Bytes of a number in a batch, and of a weight."""
SHORT = 0.01
"""Fraction of a recipe's own rounds below which a training is called too short."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe and its data, ready for a :class:`~genwerk.runs.training.Training`."""

    recipe: Recipe
    splits: Splits
    going_on: bool
    """Whether the folder holds a run already, which goes on."""
    note: str = ""
    """How many rounds the minutes asked for are; empty where none were."""
    caution: str = ""
    """What was asked for and does not count, or does not do; empty where all is well."""


def planned(
    path: Path,
    make: Make,
    change: Change,
    open: Open,
    *,
    resume: bool = False,
    whole: bool = False,
    from_run: Path | str | None = None,
    other_data: bool = False,
    epochs: object = None,
    minutes: float | None = None,
    device: Device = "auto",
) -> Plan:
    """What is trained into ``path``.

    Where ``resume`` finds a run there, its settings hold unless the recipe is given as a ``whole``. Else a run to start
    from, ``from_run``, says how data are read, and which, unless ``other_data`` are named. ``epochs`` and ``minutes``
    (:func:`speed.lasting`) are lengths in place of the recipe's rounds; minutes change none of a run that goes on.
    """
    going_on = resume and (path / "config.json").exists()
    stored = going_on and not whole
    start = store.read_config(path / "config.json")[1] if stored else make(None)
    source = None if from_run is None or going_on else store.find(from_run)
    if source is not None:
        own = source.recipe.data
        start = replace(start, data=starting.reading(own, source.spec) if other_data else own)
    recipe = change(start, stored)
    if (stored or source is not None) and not other_data:
        allow(recipe.data.source)
        allow(recipe.data.to)
    if stored:
        splits = open(recipe.data)
    else:
        recipe, splits = fitted(recipe.data, make, change, open)
        affordable(recipe, splits.spec)
    if epochs is not None:
        recipe = overridden(recipe, {"train.rounds": rounds_of(recipe, epochs, splits)})
    if minutes is None:
        return Plan(recipe=recipe, splits=splits, going_on=going_on)
    if going_on:
        caution = f"{path} keeps the length with which it began; for another, name ‹rounds›"
        return Plan(recipe=recipe, splits=splits, going_on=True, caution=caution)
    here = runtime.start(device, recipe.train.precision)
    usual = sum(stage.rounds for stage in stages(recipe.model, splits.spec, recipe.train.rounds))
    recipe, rounds = speed.lasting(recipe, splits.train, minutes, here)
    are = "minute is" if minutes == 1 else "minutes are"
    note = f"{minutes:g} {are} about {rounds:,} rounds here"
    short = f"{rounds / usual:.2%} of this recipe's {usual:,} rounds teach it next to nothing; give it more ‹minutes›"
    return Plan(
        recipe=recipe, splits=splits, going_on=False, note=note, caution=short if rounds < SHORT * usual else ""
    )


def fitted(data: DataConfig, make: Make, change: Change, open: Open) -> tuple[Recipe, Splits]:
    """The recipe for the data that ``data`` name, with the settings asked for, and these data."""
    splits = open(data)
    return change(replace(make(splits.spec), data=data), True), splits


def affordable(recipe: Recipe, spec: DataSpec) -> None:
    """Refuse a model that data of ``spec`` do not fit, and what no training of it here has the memory for: its weights,
    or a batch, which is in main memory first."""
    check_finite(recipe.model, "model")
    free = free_memory()
    size, one = recipe.train.batch_size, BYTES * prod(spec.shape)
    if size * one > free:
        raise BadInput(
            f"‹train.batch_size› is {size:,}, which takes {size * one / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} "
            "are free; take fewer"
        )

    def fits(_: int, values: int) -> None:
        if values * BYTES > free:
            raise BadInput(
                f"the weights of this model take more than the {free / 1e9:,.1f} GB of memory that are free; make it "
                "smaller"
            )

    try:
        with growing(fits):
            weightless(recipe.model, spec)
    except ValueError as error:
        within = {place.name: value_at(recipe, place) for place in places(recipe) if place.path[0] == "model"}
        raise attributed(error, within) from None


def one_length(**lengths: object) -> None:
    """Refuse two lengths of a training, by their names; None is no length."""
    if len(named := [name for name, length in lengths.items() if length is not None]) > 1:
        raise BadInput(f"‹{named[0]}› and ‹{named[1]}› are both lengths of training; name one of them")
