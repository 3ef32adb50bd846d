"""What a page asks that is no command: which runs there are, what a recipe offers, what a point of a latent space is.

It is asked of a worker (:mod:`genwerk.studio.worker`), whose working directory is the root, so that the server needs no
network library.
"""

from __future__ import annotations

import inspect
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from genwerk import tasks
from genwerk.cli.helping import Section
from genwerk.cli.parsing import parsed
from genwerk.cli.rendering import plain_json
from genwerk.cli.training import PARTS, parts_of
from genwerk.commands import COMMANDS, optimising
from genwerk.commands import command as data
from genwerk.commands.data import Data
from genwerk.commands.results import names
from genwerk.commands.training import Train
from genwerk.core.abilities import Decodes, abilities
from genwerk.core.condition import NoCondition
from genwerk.core.errors import BadInput, naming
from genwerk.core.files import read_json
from genwerk.core.locks import writer
from genwerk.core.model import Model
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.data.sources import BUILT_INS
from genwerk.evaluation.report import Report
from genwerk.modalities.writers import grid, opaque
from genwerk.recipes import find
from genwerk.runs.card import flat
from genwerk.runs.checkpoints import checkpoints_in, samples_in
from genwerk.runs.config import read_config
from genwerk.runs.opened import OpenRun, outline
from genwerk.runs.page import PICTURES, read_events, status
from genwerk.studio.forms import TERMINALS, described, forms, options_of, training_words, words
from genwerk.studio.places import SHOWN, Root, kind_of
from genwerk.studio.showing import data_url, gif, png, shown, spoken
from genwerk.tasks import steering
from genwerk.tasks.fitting import WANTS, fits, offers

KEPT = 3
"""Models that stay open, the last ones that were asked for."""
FILES = 500
"""Files of a run that are listed."""
POINTS, CODES, ACROSS, SMALL = 100, 400, 20, 40
"""Points that are decoded at a time and examples on a map of codes, at most; pictures in a row of the sheet of a map,
and their longer side in pixels, at most."""
ANIMATED, TABLE = 192, 81
"""Height of an animation in pixels, at least; and pictures in a table of styles, at most."""
FEW, RANGE, WIDER = 24, 3.0, 0.25
"""Latent dimensions that a page begins with, how far from 0 a slider goes where no data tell, and how much farther than
the data where they do, as a fraction of their range."""
SILENT = 10.0
"""Seconds without an event after which a training without a process of this machine counts as stopped."""


@dataclass(frozen=True)
class Codes:
    """The codes of examples, these, and what is known of each."""

    z: Tensor
    x: Tensor
    known: Mapping[str, Sequence[Any]]

    def chosen(self, of: Mapping[str, Any]) -> Tensor | None:
        """Which examples are of a class (``label``) or among ``rows``; None where neither is said."""
        if (label := of.get("label")) is not None:
            found = torch.tensor([name == label for name in self.known.get("label", ())])
            return found if len(found) else torch.zeros(len(self.z), dtype=torch.bool)
        if (rows := of.get("rows")) is None:
            return None
        if not isinstance(rows, list) or not all(isinstance(row, int) for row in rows):
            raise BadInput("‹rows› are no numbers of examples on the map")
        return torch.tensor([i in rows for i in range(len(self.z))])


class Questions:
    """Answers, by their names as methods; models are kept open."""

    def __init__(self, root: Path) -> None:
        self.root = Root(root)
        self._open: OrderedDict[tuple[str, int], OpenRun] = OrderedDict()
        self._maps: dict[OpenRun, Codes] = {}

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

    def recipe(self, name: str, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A recipe with all its settings as fields, fitted to the data that ``source`` names."""
        entry, command = find(name), Train(recipe=name)
        settings = command.start()
        if source:
            config = settings_of(source)
            own = {name.partition(".")[2]: getattr(config, name.partition(".")[2]) for name in source}
            settings, _ = command.fitted(replace(settings, data=replace(settings.data, **own)))
        of_training = [each for each in data.options(Train) if not each.has(data.Positional)]
        parts: list[Section] = [Section("options", "", tuple(of_training), ())]
        for part, about in PARTS.items():
            parts += parts_of(getattr(settings, part), part, about)
        return {"name": name, "about": inspect.getdoc(entry.make) or "", "sections": forms(parts)}

    def trained(self, values: Mapping[str, Any], uploads: Mapping[str, str]) -> None:
        """Refuse a training that is asked for with settings that cannot be, before it waits for its turn."""
        parsed(training_words(self.root, values, uploads))

    # --- runs ---------------------------------------------------------------------------------------------------------

    def runs(self) -> list[dict[str, Any]]:
        """Every run below the root, the newest first."""
        found = []
        for path in self.root.runs():
            with suppress(BadInput, OSError, ValueError):
                found.append(self._about(path))
        return sorted(found, key=lambda each: str(each["changed"]), reverse=True)

    def _about(self, path: Path) -> dict[str, Any]:
        config = read_json(path / "config.json")
        state, stands = _stands(path)
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

    def run(self, run: str) -> dict[str, Any]:
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
            **self._about(path),
            "does": [want for want, ability in WANTS.items() if ability in able],
            "abilities": sorted(able),
            "spec": self._spec(read_config(path / "config.json")[2], model),
            "latent": self._latent(model),
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

    def state(self, run: str) -> dict[str, Any]:
        """How a run stands, and whether it has weights to be used."""
        path = self.root.run(run)
        state, stands = _stands(path)
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

    @staticmethod
    def _latent(model: Model | None) -> int:
        """How many numbers a point of the latent space has that a page can move; 0 where there are none."""
        if not isinstance(model, Decodes) or getattr(model, "discrete", False):
            return 0
        size = 1
        for side in model.latent_shape:
            size *= side
        return size

    # --- latents ------------------------------------------------------------------------------------------------------

    def latent(
        self,
        run: str,
        z: Sequence[Sequence[float]] | None = None,
        samples: Sequence[int] = (0,),
        seed: int = 0,
        label: str | None = None,
        source: str | None = None,
    ) -> dict[str, Any]:
        """What the points ``z`` of a latent space are; without any, samples by their numbers, or an example encoded."""
        opened = self._opened(run)
        model = opened.model
        if not self._latent(model):
            raise BadInput("this model has no latent space to move in")
        assert isinstance(model, Decodes)
        condition = opened.conditions(label)
        if z is not None:
            points = self._points(model, z)
        elif source is not None:
            points = opened.latent(source, label, "z")
        elif "encodes" in abilities(model) and not tasks.lacks_encoder(model):
            batch, _ = opened.examples("test", max(samples) + 1, label)
            points = tasks.encode(model, batch.select(torch.tensor(list(samples))))
        else:
            points = steering.latents(model, list(samples), "z", condition, seed=seed)
        x = self._decode(model, points, condition)
        return {
            "z": [[round(value, 4) for value in row] for row in points.flatten(1).tolist()],
            "shown": [shown(Batch(each.unsqueeze(0)), opened.spec) for each in x],
        }

    def codes(self, run: str, n: int = CODES) -> dict[str, Any]:
        """The map of codes: held-out examples (samples, of a model without an encoder) in the plane of their first two
        principal components, with a sheet of small pictures of them."""
        found = self._codes(run, n)
        opened, spec = self._opened(run), self._opened(run).spec
        flat = tasks.pca_2d(found.z)
        sheet = None
        if spec.modality.has_pixels:
            side = min(SMALL, max(spec.shape[1:]))
            small = torch.nn.functional.interpolate(opaque(found.x), size=(side, side), mode="area")
            sheet = data_url(png(grid(small, ACROSS, gap=0, scale=1)), "image/png")
        else:
            side = 0
        of = {name: values for name, values in found.known.items() if name != "label"}  # which stands in a list apart
        lines = spec.modality.lines(Batch(found.x).shown) if spec.modality.is_text else names(of)
        named = found.known.get("label")
        classes = list(dict.fromkeys(sorted(named, key=spec.classes.index))) if named else []
        return {
            "x": [round(value, 4) for value in flat[:, 0].tolist()],
            "y": [round(value, 4) for value in flat[:, 1].tolist()],
            "names": lines or [str(i) for i in range(len(flat))],
            "labels": [classes.index(name) for name in named] if named else [],
            "classes": classes,
            "sheet": sheet,
            "side": side,
            "across": ACROSS,
            "encoded": "encodes" in abilities(opened.model) and not tasks.lacks_encoder(opened.model),
        }

    def direction(self, run: str, plus: Mapping[str, Any], minus: Mapping[str, Any], n: int = CODES) -> dict[str, Any]:
        """The mean code of some examples of the map less that of others: each a class (``label``), ``rows`` of the map,
        or neither, which is all the others."""
        found = self._codes(run, n)
        more, less = found.chosen(plus), found.chosen(minus)
        if more is None:
            if less is None:
                raise BadInput("choose what is to be added, or what is to be taken away")
            more = ~less
        less = ~more if less is None else less
        if not more.any() or not less.any():
            raise BadInput("none of the examples on the map is one of these; choose others")
        z = torch.cat([found.z[more], found.z[less]])
        present = torch.arange(len(z)) < more.sum()
        way = steering.attribute_direction(steering.Labelled(z, present.to(z.device)))
        return {"z": [round(value, 4) for value in way.flatten().tolist()], "of": [int(more.sum()), int(less.sum())]}

    def film(self, run: str, z: Sequence[Sequence[float]], label: str | None = None) -> dict[str, Any]:
        """The points ``z`` of a latent space as an animation, there and back."""
        opened, frames = self._opened(run), self._decoded(run, z, label)
        if not opened.spec.modality.has_pixels:
            raise BadInput("only images make an animation")
        scale = max(1, -(-ANIMATED // frames.shape[2]))
        pictures = [grid(each.unsqueeze(0), gap=0, scale=scale) for each in frames]
        told = {**opened.origin, "label": label, "z": [[round(float(v), 4) for v in z[i]] for i in (0, -1)]}
        return {"image": data_url(gif([*pictures, *pictures[-2:0:-1]], json.dumps(plain_json(told))), "image/gif")}

    def styled(
        self,
        run: str,
        rows: Sequence[int],
        columns: Sequence[int] = (),
        level: steering.Level = "coarse",
        psi: float = 1.0,
        label: str | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """The samples of those numbers with their styles nearer to the mean by ``psi``; and with ``columns`` the table
        of each row's sample with the styles at ``level`` of each column's."""
        opened, spec = self._opened(run), self._opened(run).spec
        numbers = [*rows, *columns]
        if not all(isinstance(i, int) and 0 <= i < 10**9 for i in numbers):
            raise BadInput("the numbers of samples are whole and from 0 on")
        if not rows or (len(rows) + 1) * (len(columns) + 1) > TABLE:
            raise BadInput(f"a table has 1 to {TABLE} pictures; choose other samples")
        condition = opened.conditions(label)
        sizes = steering.styled(opened.model, "mixing styles").style_sizes
        levels = [each for each in get_args(steering.Level) if steering.layers_of(each, sizes)]
        if not columns:
            made = steering.truncate(opened.model, rows, [psi], condition, seed=seed)[:, 0]
            return {"levels": levels, "rows": [shown(Batch(each[None]), spec) for each in made]}
        mixed = steering.mix(opened.model, rows, columns, level, condition, psi=psi, seed=seed)
        parts = (mixed.rows, mixed.columns, mixed.table.flatten(0, 1))
        of_rows, of_columns, table = ([shown(Batch(each[None]), spec) for each in part] for part in parts)
        return {"levels": levels, "rows": of_rows, "columns": of_columns, "table": table}

    def example(self, run: str, row: int = 0) -> dict[str, Any]:
        """A held-out example of a run's data."""
        opened = self._opened(run)
        batch = opened.one(str(row), None)
        return {"shown": shown(Batch(batch.x), opened.spec)}

    def axes(self, run: str) -> dict[str, Any]:
        """Which latent dimensions to begin with, and how far each goes: those that vary most over held-out examples."""
        opened = self._opened(run)
        size = self._latent(opened.model)
        low, high = torch.full((size,), -RANGE), torch.full((size,), RANGE)
        if "encodes" in abilities(opened.model):
            with suppress(BadInput, ValueError):
                low, high = tasks.latent_span(opened.model, opened.splits.test, examples=500)
                low, high = low - WIDER * (high - low), high + WIDER * (high - low)
                low, high = low.clamp(max=0), high.clamp(min=0)  # the origin is among them
        order = (high - low).argsort(descending=True)[:FEW].tolist()
        return {"dims": order, "low": low[order].tolist(), "high": high[order].tolist(), "size": size}

    # --- inside -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _points(model: Decodes, z: Sequence[Sequence[float]]) -> Tensor:
        if not 0 < len(z) <= POINTS:
            raise BadInput(f"1 to {POINTS} points are decoded at a time")
        points = torch.tensor(z, dtype=torch.get_default_dtype()).reshape(len(z), *model.latent_shape)
        if not points.isfinite().all():
            raise BadInput("‹z› holds something that is no finite number")
        return points

    @staticmethod
    def _decode(model: Model, points: Tensor, condition: Tensor | None) -> Tensor:
        """What is decoded from ``points`` under the first row of a condition, of classes the first where none is."""
        if condition is None and model.condition.classes:
            condition = torch.zeros(len(points), dtype=torch.int64)
        return tasks.decode(model, points, condition if condition is None else condition[:1].expand(len(points)))

    def _decoded(self, run: str, z: Sequence[Sequence[float]], label: str | None) -> Tensor:
        opened = self._opened(run)
        if not self._latent(opened.model):
            raise BadInput("this model has no latent space to move in")
        assert isinstance(opened.model, Decodes)
        return self._decode(opened.model, self._points(opened.model, z), opened.conditions(label))

    def _codes(self, run: str, n: int) -> Codes:
        """The codes of a map, as they were found before unless the run has other weights by now."""
        opened = self._opened(run)
        model = opened.model
        if not self._latent(model):
            raise BadInput("this model has no latent space to move in")
        if opened not in self._maps:
            number = min(n, CODES)
            if "encodes" in abilities(model) and not tasks.lacks_encoder(model):
                batch, known = opened.examples("test", number, None)
                found = Codes(tasks.encode(model, batch), batch.x, known)
            else:
                z = steering.latents(model, list(range(number)), "z")
                found = Codes(z, self._decode(model, z, None), {"sample": list(range(number))})
            self._maps = {opened: found}
        return self._maps[opened]

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


def told(value: Any) -> str:
    """A setting as a person reads it."""
    return "-" if value is None else str(value) if not isinstance(value, bool) else "yes" if value else "no"


def spread(n: int, most: int) -> Tensor:
    """The numbers of at most ``most`` of ``n`` examples, from all over them, for classes may follow each other."""
    return torch.arange(min(n, most)) * n // min(n, most)


def _stands(run: Path) -> tuple[str, str]:
    """Whether the training of ``run`` goes on, and where it stands; one whose process was killed is stopped."""
    events = list(read_events(run / "events.jsonl"))
    state, stands = status(events)
    if state == "going on" and writer(run) is None and time.time() - (run / "events.jsonl").stat().st_mtime > SILENT:
        return status([*events, {**events[-1], "event": "stopped"}])
    return state, stands


def answer(of: Questions, name: str, values: Mapping[str, Any]) -> Any:
    """The answer to a question by its name, as plain values; a BadInput where there is no such question."""
    asked: Callable[..., Any] | None = None if name.startswith("_") else getattr(of, name, None)
    if not callable(asked):
        raise BadInput(f"there is no question {name!r}")
    try:
        inspect.signature(asked).bind(**values)
    except TypeError:
        raise BadInput(f"this is not how {name!r} is asked") from None
    return json.loads(json.dumps(plain_json(asked(**values)), default=_tensor))


def _tensor(value: object) -> Any:
    return value.tolist() if isinstance(value, Tensor) else str(value)
