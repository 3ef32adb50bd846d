"""What a page asks that is no command: which runs there are, what a recipe offers, how data are understood; and, of
:mod:`genwerk.studio.points`, what a point of a latent space is.

It is asked of a worker (:mod:`genwerk.studio.worker`), whose working directory is the root, so that the server needs no
network library.
"""

from __future__ import annotations

import inspect
import json
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.cli.helping import Section
from genwerk.cli.parsing import parsed
from genwerk.cli.rendering import plain_json
from genwerk.cli.training import PARTS, parts_of
from genwerk.commands import COMMANDS, optimising
from genwerk.commands import command as data
from genwerk.commands.data import Data
from genwerk.commands.training import Train
from genwerk.core.abilities import abilities
from genwerk.core.condition import NoCondition
from genwerk.core.errors import BadInput, BadSetting, naming
from genwerk.core.files import read_json
from genwerk.core.locks import writer
from genwerk.core.model import Model
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.data.sources import BUILT_INS
from genwerk.evaluation.report import Report
from genwerk.recipes import find
from genwerk.runs.card import flat
from genwerk.runs.checkpoints import checkpoints_in, samples_in
from genwerk.runs.config import read_config
from genwerk.runs.opened import OpenRun, outline
from genwerk.runs.page import PICTURES, read_events, status
from genwerk.runs.planning import affordable
from genwerk.studio.forms import described, forms, options_of, training_words, words
from genwerk.studio.offered import TERMINALS
from genwerk.studio.places import SHOWN, Root, kind_of
from genwerk.studio.points import Points, latent_size
from genwerk.studio.showing import shown, spoken
from genwerk.tasks.fitting import WANTS, fits, offers

KEPT = 3
"""Models that stay open, the last ones that were asked for."""
KNOWN, LONG = 16, 5.0
"""Data whose specs are remembered, and seconds in which a training of them is looked at before it begins."""
MORE, STATM = 4 * 2**30, Path("/proc/self/statm")
"""Bytes of memory that may be taken by that, and where Linux tells how much there is."""
FILES = 500
"""Files of a run that are listed."""
SILENT = 10.0
"""Seconds without an event after which a training without a process of this machine counts as stopped."""


class Questions:
    """Answers, by their names as methods, its own and those of its ``points``; models are kept open."""

    def __init__(self, root: Path) -> None:
        self.root = Root(root)
        self._open: OrderedDict[tuple[str, int], OpenRun] = OrderedDict()
        self.points = Points(self._opened)
        self._specs: OrderedDict[DataConfig, DataSpec] = OrderedDict()

    # --- what there is ------------------------------------------------------------------------------------------------

    def commands(self) -> list[dict[str, Any]]:
        """Every command of the page with its fields, without those of a model."""
        return [described(name) for name in COMMANDS if name not in TERMINALS and COMMANDS[name] is not Train]

    def builtin(self) -> list[dict[str, str]]:
        """Data that need no file."""
        return [{"name": name} for name in BUILT_INS]

    def reading(self) -> list[dict[str, Any]]:
        """The settings of how data are read, as sections of fields."""
        offered = [each for each in options_of(Data, None) if each.name.startswith("data.")]
        return forms([Section("data", "", tuple(offered), ())], without=["data.source"])

    def optimising(self) -> dict[str, Any]:
        """Problems and algorithms of optimisation by name, and what each is."""
        listed = optimising.listing().values
        return {
            name: {key: spoken(about) for key, about in listed[name].items()} for name in ("problems", "algorithms")
        }

    def front(self, problem: str, variables: int | None = None, objectives: int | None = None) -> dict[str, Any]:
        """Points of the Pareto front of each task of a problem by its name; None where it is not known."""
        from genwerk.evolve.problems import PROBLEMS, front
        from genwerk.evolve.source import Source

        if problem not in PROBLEMS:
            raise BadInput(f"there is no problem called {problem!r}")
        found = Source(problem=problem, variables=variables, objectives=objectives).load()
        known = [front(task) for task in getattr(found, "tasks", None) or [found]]
        return {"fronts": [None if each is None else optimising.thinned(sorted(each.tolist())) for each in known]}

    def recipes(self, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Recipes: all, or those that fit the data that ``source`` names, the best first with why."""
        if not source:
            found = [
                {
                    "name": each.entry.name,
                    "summary": spoken(each.entry.summary),
                    "family": each.family,
                    "kinds": each.kinds,
                }
                | {"does": each.does, "by": each.by, "why": ""}
                for each in offers()
            ]
            return {"data": None, "recipes": found}
        from genwerk.comparison.advice import suggestions, wanted

        settings = settings_of(source)
        splits = open_data(settings)
        self._know(settings, splits.spec)
        spec, train = splits.spec, splits.train
        first = {each.fit.entry.name: each.why for each in suggestions(spec, len(train), wanted(settings))}
        fitting = {each.entry.name: each for each in fits(spec)}
        recipes = [
            {
                "name": name,
                "summary": spoken(of.entry.summary),
                "family": of.family,
                "kinds": [spec.kind],
                "does": of.does,
            }
            | {"by": of.by, "why": first.get(name, "")}
            for name, of in ((name, fitting[name]) for name in [*first, *(n for n in fitting if n not in first)])
        ]
        said = {
            "spec": str(spec),
            "kind": spec.kind,
            "train": len(train),
            "validation": 0 if splits.validation is train else len(splits.validation),
            "test": 0 if splits.test is train else len(splits.test),
            "classes": spec.classes[:50],
            "class_count": len(spec.classes),
            "notes": [naming(note, str) for note in splits.notes],
            "skipped": [f"{each.name}: {each.reason}" for each in splits.skipped[:50]],
            "columns": spec.columns,
            "shape": spec.shape,
            "examples": shown(train.batch(spread(len(train), 24 if spec.modality.one_per_file else 8)), spec),
        }
        return {"data": said, "recipes": recipes}

    def _know(self, settings: DataConfig, spec: DataSpec) -> None:
        """Note what data were, by which a training of them is looked at before it begins."""
        self._specs[settings] = spec
        while len(self._specs) > KNOWN:
            self._specs.popitem(last=False)

    def recipe(self, name: str, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A recipe with all its settings as fields, fitted to the data that ``source`` names."""
        entry, command = find(name), Train(recipe=name)
        settings = command.start()
        if source:
            config = settings_of(source)
            own = {name.partition(".")[2]: getattr(config, name.partition(".")[2]) for name in source}
            settings, splits = command.fitted(replace(settings, data=replace(settings.data, **own)))
            self._know(settings.data, splits.spec)
        of_training = [each for each in data.options(Train) if not each.has(data.Positional)]
        parts: list[Section] = [Section("options", "", tuple(of_training), ())]
        for part, about in PARTS.items():
            parts += parts_of(getattr(settings, part), part, about)
        return {"name": name, "about": inspect.getdoc(entry.make) or "", "sections": forms(parts)}

    def trained(self, values: Mapping[str, Any], uploads: Mapping[str, str]) -> None:
        """Refuse a training that is asked for with settings that cannot be, before it waits for its turn."""
        command = parsed(training_words(self.root, values, uploads)).command
        data.check(command)
        if not isinstance(command, Train):
            return
        if command.epochs == 0:
            raise BadSetting("epochs", "is 0; expected a number above 0")
        settings = command.settled(command.start(), fitted=False)
        if settings.data not in self._specs and settings.data.source in BUILT_INS and not settings.data.to:
            self._know(settings.data, open_data(settings.data).spec)
        if (spec := self._specs.get(settings.data)) is not None:
            with limited(LONG):
                affordable(command.settled(command.start(spec), fitted=True), spec)

    # --- runs ---------------------------------------------------------------------------------------------------------

    def runs(self, ended: Mapping[str, float]) -> list[dict[str, Any]]:
        """Every run below the root, the newest first; ``ended`` is when trainings of them were over that this studio
        has started."""
        found = []
        for path in self.root.runs():
            with suppress(BadInput, OSError, ValueError):
                found.append(self._about(path, ended.get(self._name(path), 0.0)))
        return sorted(found, key=lambda each: str(each["changed"]), reverse=True)

    def _about(self, path: Path, ended: float) -> dict[str, Any]:
        config = read_json(path / "config.json")
        state, stands = _stands(path, ended)
        newest = [each for each in samples_in(path) if each.suffix in PICTURES][-1:]
        spec, source = config.get("spec"), str(flat(config).get("recipe.data.source", ""))
        changed = max(each.stat().st_mtime for each in (path / "config.json", path / "events.jsonl") if each.exists())
        return {
            "run": self._name(path),
            "recipe": config.get("name"),
            "data": Path(source).name if Path(source).is_absolute() else source,
            "kind": spec.get("kind", "image") if isinstance(spec, Mapping) else "",
            "state": state,
            "stands": stands,
            "picture": self._url(path, newest[0]) if newest else None,
            "changed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(changed)),
        }

    def run(self, run: str, ended: float = 0.0) -> dict[str, Any]:
        """All that a page shows of one run, and the commands that it can be used with: none before its first weights
        are saved."""
        path = self.root.run(run)
        model = outline(path) if checkpoints_in(path / "checkpoints") else None
        able = abilities(model) if model is not None else frozenset()
        report = None
        if (path / "report.json").is_file():
            found = Report.from_json(read_json(path / "report.json"))
            columns, rows = found.table()
            report = {"columns": list(columns), "rows": [list(row) for row in rows], "notes": list(found.lines())}
        return {
            **self._about(path, ended),
            "does": [want for want, ability in WANTS.items() if ability in able],
            "abilities": sorted(able),
            "spec": self._spec(read_config(path / "config.json")[2], model),
            "latent": latent_size(model),
            "commands": [described(name, model) for name in self._usable(able, model)] if model is not None else [],
            "settings": [[name, told(value)] for name, value in flat(read_json(path / "config.json")).items()],
            "report": report,
            "samples": [self._url(path, each) for each in samples_in(path)[-24:]],
            "files": [
                {"name": str(each.relative_to(path)), "url": self._url(path, each), "kind": kind_of(each)}
                for each in sorted(path.rglob("*"))[:FILES]
                if each.is_file() and each.suffix in SHOWN and "checkpoints" not in each.parts
            ],
        }

    def state(self, run: str, ended: float = 0.0) -> dict[str, Any]:
        """How a run stands, and whether it has weights to be used."""
        path = self.root.run(run)
        state, stands = _stands(path, ended)
        ready = bool(checkpoints_in(path / "checkpoints"))
        return {"state": state, "stands": stands, "ready": ready, "held": writer(path) is not None}

    @staticmethod
    def _usable(able: frozenset[str], model: Model) -> list[str]:
        """Commands that open a run and need nothing that the model lacks."""
        return [
            name
            for name, command in COMMANDS.items()
            if name not in TERMINALS
            and data.opens(command)
            and command.conditioned in ("", model.condition.option)
            and all(any(one in able for one in need.split(" or ")) for need in command.needs)
        ]

    @staticmethod
    def _spec(spec: DataSpec, model: Model | None) -> dict[str, Any]:
        condition = NoCondition() if model is None else model.condition
        return {
            "said": str(spec),
            "kind": spec.kind,
            "shape": spec.shape,
            "classes": spec.classes[:200],
            "class_count": len(spec.classes),
            "columns": spec.columns,
            "condition": condition.option,
            "choices": list(getattr(condition, "choices", spec.classes if condition.classes else ()))[:200],
        }

    # --- inside -------------------------------------------------------------------------------------------------------

    def _opened(self, run: str) -> OpenRun:
        """The run, as it was opened before unless it has other weights by now."""
        path = self.root.run(run)
        stamp = max((each.stat().st_mtime_ns for each in checkpoints_in(path / "checkpoints")), default=0)
        key = (run, stamp)
        if key not in self._open:
            self._open[key] = OpenRun(path, "auto", None, lambda _: None)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root.path).as_posix()

    def _url(self, run: Path, file: Path) -> dict[str, str]:
        return {"run": self._name(run), "name": file.relative_to(run).as_posix()}


def settings_of(source: Mapping[str, Any]) -> DataConfig:
    """How data are read, as was filled in: settings of ``data.`` by their names."""
    offered = [each for each in options_of(Data, None) if each.name.startswith("data.") or each.name == "action"]
    found = parsed(words(offered, {**source, "action": "check"}, ["data"])).command
    assert isinstance(found, Data)
    return found.data


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """What is inside, or as much of it as can be done in so many ``seconds``, with :data:`MORE` memory."""
    try:
        import resource
    except ImportError:  # on Windows
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError

    before, memory = signal.signal(signal.SIGALRM, late), resource.getrlimit(resource.RLIMIT_AS)
    taken = int(STATM.read_text().split()[0]) * resource.getpagesize() if STATM.exists() else None
    if taken is not None and memory[0] == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (taken + MORE, memory[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with suppress(TimeoutError):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.signal(signal.SIGALRM, before)


def told(value: Any) -> str:
    """A setting as a person reads it."""
    return "-" if value is None else str(value) if not isinstance(value, bool) else "yes" if value else "no"


def spread(n: int, most: int) -> Tensor:
    """The numbers of at most ``most`` of ``n`` examples, from all over them, for classes may follow each other."""
    return torch.arange(min(n, most)) * n // min(n, most)


def _stands(run: Path, ended: float) -> tuple[str, str]:
    """Whether the training of ``run`` goes on, and where it stands; one whose process was killed is stopped: at once
    where nothing was written since a training ``ended`` that this studio has started."""
    events = list(read_events(run / "events.jsonl"))
    state, stands = status(events)
    if state == "going on" and writer(run) is None:
        written = (run / "events.jsonl").stat().st_mtime
        if time.time() - written <= SILENT and written > ended:
            return state, stands
        return status([*events, {**events[-1], "event": "stopped"}])
    return state, stands


def answer(of: Questions, name: str, values: Mapping[str, Any]) -> Any:
    """The answer to a question by its name, as plain values; a BadInput where there is no such question."""
    asked: Callable[..., Any] | None = None
    if not name.startswith("_"):
        asked = getattr(of, name, None) or getattr(of.points, name, None)
    if not callable(asked):
        raise BadInput(f"there is no question {name!r}")
    try:
        inspect.signature(asked).bind(**values)
    except TypeError:
        raise BadInput(f"this is not how {name!r} is asked") from None
    return json.loads(json.dumps(plain_json(asked(**values)), default=_tensor))


def _tensor(value: object) -> Any:
    return value.tolist() if isinstance(value, Tensor) else str(value)
