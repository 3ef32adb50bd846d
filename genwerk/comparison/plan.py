"""What is to be compared: written down before anything is trained, so that a comparison that was killed goes on alike.

A folder of a comparison holds ``plan.json``, ``runs/`` (those trained for it), ``measured/`` (a file for each run),
``pictures/`` and the report.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from genwerk import __version__
from genwerk.comparison.advice import SHORT_LIST, suggestions, wanted
from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.files import make_folder, read_json, write_atomically
from genwerk.core.printable import count
from genwerk.data import Splits, open_data
from genwerk.data.settings import DataConfig
from genwerk.evaluation.report import Measuring
from genwerk.recipes import find
from genwerk.tasks.fitting import fit
from genwerk.training import speed
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.runtime import Device, Runtime, pick_device
from genwerk.training.settings import Recipe, from_json, to_json

PLAN = "plan.json"
POINTS = 6
"""Checkpoints of a training that are kept, evenly spaced, to follow quality over time."""
REHEARSAL = 8.0
"""Seconds for which the speed of a recipe is measured."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be compared, and how it is measured."""

    runs: tuple[str, ...] = ()
    """Folders of runs that are there already; else ``recipes`` are trained on ``data``."""
    data: DataConfig = field(default_factory=DataConfig)
    recipes: tuple[str, ...] = ()
    seeds: int = 3
    """How often each recipe is trained, with the seeds from 0 on."""
    minutes: float | None = None
    """Minutes of training a run: of the processor, or of the GPU."""
    examples: int | None = None
    """Training examples that each run draws, in place of minutes; with neither, recipes have their own lengths."""
    threads: int = 1
    """Threads of each training on the processor."""
    jobs: int = 1
    """Trainings at once."""
    evaluate: EvaluateConfig = field(default_factory=lambda: EvaluateConfig(minutes=2.0))
    """How each run is measured: all with as many samples as the slowest can make in these minutes."""
    reach: float | None = None
    """Distance whose first crossing is timed; None is the median of those that the contestants end with."""
    common: bool = False
    """Whether runs on different data are compared on the test examples that they share."""
    device: Device = "auto"

    def __post_init__(self) -> None:
        if self.minutes is not None and self.examples is not None:
            raise BadInput("‹minutes› and ‹examples› both bound training; name one of them")
        if bool(self.runs) == bool(self.recipes):
            raise BadInput(
                "name two runs or more, or data and recipes to train on them, as in genwerk compare ‹data› digits "
                "‹recipes› vae,gan,realnvp"
            )
        ignored = {"data": self.data.source, "minutes": self.minutes, "examples": self.examples}
        if self.runs and (name := next((name for name, value in ignored.items() if value), None)):
            raise BadInput(f"‹{name}› is for recipes that are to be trained, and runs are named; leave it out")
        named = self.runs or self.recipes
        if twice := next((name for name in named if named.count(name) > 1), None):
            raise BadInput(f"{twice} is named twice; name each once")
        if len(named) < 2:
            raise BadInput(f"only {named[0]} is named; a comparison needs two or more")
        for name in self.recipes:
            find(name)


@dataclass(frozen=True)
class Contestant:
    """One run of a comparison."""

    name: str
    """What it stands for in the table."""
    recipe: str
    seed: int
    run: Path
    settings: Recipe | None = None
    """What it is trained with; None where it is there already."""
    first: bool = True
    """Whether it is the first run of its name, which alone is shown."""

    @property
    def key(self) -> str:
        """What its files are called."""
        return f"{self.name}-{self.seed}"


class Plan:
    """The plan in ``folder`` for ``request``: taken up where it is there already, and else made.

    Recipes, seeds and runs may be added to a plan; a BadInput says what else is different, or what else stands in the
    folder.
    """

    def __init__(self, folder: Path, request: Request) -> None:
        self.folder, self.request = folder, request
        self.settings = dict[str, Recipe]()
        """What each recipe is trained with; those that cannot be trained are in :attr:`refused`."""
        self.refused = dict[str, str]()
        path = folder / PLAN
        if path.exists():
            self._take_up(read_json(path))
        elif folder.exists() and any(not p.name.startswith(".") for p in folder.iterdir()):
            raise BadInput(f"{folder} is a folder of something else; choose a new one with ‹out›")

    def _take_up(self, found: dict[str, Any]) -> None:
        if found.get("library") != "genwerk" or found.get("what") != "comparison":
            raise BadInput(f"{self.folder / PLAN} is not the plan of a comparison; choose another folder with ‹out›")
        before: Request = from_json(Request, found.get("request"), str(self.folder / PLAN))
        now = self.request
        before = replace(before, jobs=now.jobs)
        grown = before.seeds <= now.seeds and {*before.recipes, *before.runs} <= {*now.recipes, *now.runs}
        same = replace(before, recipes=now.recipes, runs=now.runs, seeds=now.seeds) if grown else before
        if same != now:
            old, new = to_json(before), to_json(now)
            name = next(name for name in new if old[name] != to_json(same)[name] or new[name] != to_json(same)[name])
            raise BadInput(
                f"{self.folder} holds a comparison with other settings: ‹{name}› was {_shown(old[name])} and is "
                f"{_shown(new[name])}; only recipes, seeds and runs can be added, so choose another folder with ‹out›"
            )
        where = str(self.folder / PLAN)
        self.settings = from_json(dict[str, Recipe], found.get("recipes"), f"{where}.recipes")
        self.refused = from_json(dict[str, str], found.get("refused"), f"{where}.refused")

    def write(self) -> None:
        """Write the plan down."""
        make_folder(self.folder)
        values = {
            "library": "genwerk",
            "what": "comparison",
            "version": __version__,
            "request": to_json(self.request),
            "recipes": {name: to_json(recipe) for name, recipe in self.settings.items()},
            "refused": self.refused,
        }
        write_atomically(self.folder / PLAN, json.dumps(values, indent=1).encode())

    def making(self, splits: Splits) -> Iterator[Measuring]:
        """Settle what each recipe is trained with that has no place in the plan yet; some are timed for that.

        A BadInput names a recipe that the data do not suit, before anything is written.
        """
        names = [name for name in self.request.recipes if name not in self.settings | self.refused]
        fitting(names, splits)
        runtime = Runtime(pick_device(self.request.device))
        for done, name in enumerate(names):
            yield Measuring(what=f"speed of {name}", step=1, steps=1, done=done, total=len(names), seconds_left=None)
            try:
                self.settings[name] = lengthened(find(name).make(splits.spec), self.request, splits, runtime)
            except BadSetting:
                raise
            except ValueError as error:
                self.refused[name] = error.sentence if isinstance(error, BadInput) else str(error)
            self.write()
        self.write()

    @property
    def contestants(self) -> Iterator[Contestant]:
        """The runs that are to be trained, the first seed of all before the second of any."""
        for seed in range(self.request.seeds):
            for name in self.request.recipes:
                if name in self.settings:
                    settings = self.settings[name]
                    settings = replace(settings, train=replace(settings.train, seed=seed))
                    run = self.folder / "runs" / f"{name}-{seed}"
                    yield Contestant(name, name, seed, run, settings, first=seed == 0)


def _shown(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "none"


def fitting(names: Sequence[str], splits: Splits) -> None:
    """Refuse the first of the recipes ``names`` that cannot be trained on the data, in a BadInput that says why."""
    for name in names:
        try:
            fit(find(name), splits.spec)
        except BadSetting:
            raise
        except ValueError as error:
            why = error.sentence if isinstance(error, BadInput) else str(error)
            raise BadInput(f"the recipe {name} cannot take part: {why}") from None


def lengthened(recipe: Recipe, request: Request, splits: Splits, runtime: Runtime) -> Recipe:
    """``recipe`` on the data of ``request``, as long as that says, with checkpoints to follow its quality by."""
    recipe, train = replace(recipe, data=splits.settings), splits.train
    if request.examples is not None:
        recipe, rounds = speed.scaled(recipe, train, request.examples / speed.drawn(recipe, train))
    elif request.minutes is not None:
        on_cpu = runtime.device.type == "cpu"
        threads = torch.get_num_threads()
        torch.set_num_threads(request.threads)
        try:
            recipe, rounds = speed.lasting(
                recipe,
                train,
                request.minutes,
                runtime,
                budget=min(REHEARSAL, 6 * request.minutes),
                clock=time.process_time if on_cpu else time.perf_counter,
            )
        finally:
            torch.set_num_threads(threads)
    else:
        rounds = speed.rounds(recipe, train)
    every = max(1, -(-rounds // POINTS))
    return replace(recipe, train=replace(recipe.train, save_every=every, keep=POINTS))


def budget(request: Request) -> str:
    """How training was bounded, in words; empty where the runs were there already."""
    if not request.recipes:
        return ""
    if request.examples is not None:
        return f"{request.examples:,} training examples per run"
    if request.minutes is not None:
        place = "of the processor" if pick_device(request.device).type == "cpu" else "of the GPU"
        length = f"{request.minutes:g} minutes" if request.minutes >= 1 else f"{60 * request.minutes:.3g} seconds"
        return f"{length} {place} per run, {count(request.threads, 'thread')}"
    return f"each recipe's own length, {count(request.threads, 'thread')}"


def suggested(data: DataConfig) -> tuple[str, ...]:
    """The recipes that are suggested for some data."""
    train = open_data(data).train
    return tuple(each.fit.entry.name for each in suggestions(train.spec, len(train), wanted(data))[:SHORT_LIST])
