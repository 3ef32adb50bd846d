"""What a page asks that is no command: which runs there are, what a recipe offers, what a point of a latent space is.

It is asked of a worker (:mod:`genwerk.studio.worker`), whose working directory is the root, so that the server needs no
network library.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from genwerk import tasks
from genwerk.cli.helping import Section
from genwerk.cli.rendering import plain_json
from genwerk.cli.training import PARTS, parts_of
from genwerk.commands import COMMANDS
from genwerk.commands import command as data
from genwerk.commands.training import Train
from genwerk.core.abilities import Decodes, abilities
from genwerk.core.condition import NoCondition
from genwerk.core.errors import BadInput, naming
from genwerk.core.files import read_json
from genwerk.core.model import Model
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.data.sources import BUILT_INS
from genwerk.evaluation.report import Report
from genwerk.recipes import find
from genwerk.runs.card import flat
from genwerk.runs.checkpoints import checkpoints_in, samples_in
from genwerk.runs.config import read_config
from genwerk.runs.opened import OpenRun, outline
from genwerk.runs.page import PICTURES, read_events, status
from genwerk.studio.forms import TERMINALS, described, forms
from genwerk.studio.places import SHOWN, Root, kind_of
from genwerk.tasks import steering
from genwerk.tasks.fitting import WANTS, fits, offers

IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Folder for files that are read again at once: nothing of it waits for a disk."""
KEPT = 3
"""Models that stay open, the last ones that were asked for."""
FILES = 500
"""Files of a run that are listed."""
FEW, RANGE, WIDER = 24, 3.0, 0.25
"""Latent dimensions that a page begins with, how far from 0 a slider goes where no data tell, and how much farther than
the data where they do, as a fraction of their range."""


class Questions:
    """Answers, by their names as methods; models are kept open."""

    def __init__(self, root: Path) -> None:
        self.root = Root(root)
        self._open: OrderedDict[tuple[str, int], OpenRun] = OrderedDict()

    # --- what there is ------------------------------------------------------------------------------------------------

    def commands(self) -> list[dict[str, Any]]:
        """Every command of the page with its fields, without those of a model."""
        return [described(name) for name in COMMANDS if name not in TERMINALS and COMMANDS[name] is not Train]

    def builtin(self) -> list[dict[str, str]]:
        """Data that need no file."""
        return [{"name": name} for name in BUILT_INS]

    def recipes(self, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Recipes: all, or those that fit the data that ``source`` names, the best first with why."""
        if not source:
            found = [
                {"name": each.entry.name, "summary": each.entry.summary, "family": each.family, "kinds": each.kinds}
                | {"does": each.does, "by": each.by, "why": ""}
                for each in offers()
            ]
            return {"data": None, "recipes": found}
        from genwerk.comparison.advice import suggestions, wanted

        settings = DataConfig(**source)
        splits = open_data(settings)
        spec, train = splits.spec, splits.train
        first = {each.fit.entry.name: each.why for each in suggestions(spec, len(train), wanted(settings))}
        fitting = {each.entry.name: each for each in fits(spec)}
        recipes = [
            {"name": name, "summary": of.entry.summary, "family": of.family, "kinds": [spec.kind], "does": of.does}
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
            "columns": spec.columns,
            "notes": [naming(note, str) for note in splits.notes],
            "skipped": [f"{each.name}: {each.reason}" for each in splits.skipped[:50]],
            "examples": self._shown(train.batch(slice(24 if spec.modality.one_per_file else 8)), spec),
        }
        return {"data": said, "recipes": recipes}

    def recipe(self, name: str, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A recipe with all its settings as fields, fitted to the data that ``source`` names."""
        entry, command = find(name), Train(recipe=name)
        settings = command.start()
        if source:
            settings, _ = command.fitted(replace(settings, data=replace(settings.data, **source)))
        own = [each for each in data.options(Train) if not each.has(data.Positional)]
        parts: list[Section] = [Section("options", "", tuple(own), ())]
        for part, about in PARTS.items():
            parts += parts_of(getattr(settings, part), part, about)
        return {"name": name, "about": inspect.getdoc(entry.make) or "", "sections": forms(parts)}

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
        state, stands = status(list(read_events(path / "events.jsonl")))
        newest = [each for each in samples_in(path) if each.suffix in PICTURES][-1:]
        spec = config.get("spec")
        changed = max(each.stat().st_mtime for each in (path / "config.json", path / "events.jsonl") if each.exists())
        return {
            "run": self._name(path),
            "recipe": config.get("name"),
            "data": flat(config).get("recipe.data.source"),
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
            "commands": [described(name, model) for name in self._usable(able)] if model is not None else [],
            "settings": [[name, str(value)] for name, value in flat(read_json(path / "config.json")).items()],
            "report": report,
            "samples": [self._url(path, each) for each in samples_in(path)[-24:]],
            "files": [
                {"name": str(each.relative_to(path)), "url": self._url(path, each), "kind": kind_of(each)}
                for each in sorted(path.rglob("*"))[:FILES]
                if each.is_file() and each.suffix in SHOWN and "checkpoints" not in each.parts
            ],
        }

    @staticmethod
    def _usable(able: frozenset[str]) -> list[str]:
        """Commands that open a run and need nothing that the model lacks."""
        return [
            name
            for name, command in COMMANDS.items()
            if name not in TERMINALS
            and data.opens(command)
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
            points = torch.tensor(z, dtype=torch.get_default_dtype()).reshape(len(z), *model.latent_shape)
            if not points.isfinite().all():
                raise BadInput("‹z› holds something that is no finite number")
        elif source is not None:
            points = opened.latent(source, label, "z")
        elif "encodes" in abilities(model) and not tasks.lacks_encoder(model):
            batch, _ = opened.examples("test", max(samples) + 1, label)
            points = tasks.encode(model, batch.select(torch.tensor(list(samples))))
        else:
            points = steering.latents(model, list(samples), "z", condition, seed=seed)
        if condition is None and model.condition.classes:
            condition = torch.zeros(len(points), dtype=torch.int64)
        x = tasks.decode(model, points, condition if condition is None else condition[:1].expand(len(points)))
        return {
            "z": [[round(value, 4) for value in row] for row in points.flatten(1).tolist()],
            "shown": [self._shown(Batch(each.unsqueeze(0)), opened.spec) for each in x],
        }

    def example(self, run: str, row: int = 0) -> dict[str, Any]:
        """A held-out example of a run's data."""
        opened = self._opened(run)
        batch = opened.one(str(row), None)
        return {"shown": self._shown(Batch(batch.x), opened.spec)}

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

    @staticmethod
    def _shown(batch: Batch, spec: DataSpec) -> dict[str, Any]:
        """Examples as a page shows them: a picture, a sound, lines of text, or rows of a table."""
        modality, batch = spec.modality, batch.to("cpu")
        if modality.is_text:
            return {"texts": modality.lines(batch.shown)}
        if not modality.one_per_file:
            columns, rows = modality.records([batch])
            return {"columns": list(columns), "rows": plain_json([list(row) for row in rows])}
        with TemporaryDirectory(dir=IN_MEMORY) as folder:
            path = Path(folder) / f"shown{modality.endings[0]}"
            path = modality.write_one(path, batch.x[0], {}) if len(batch) == 1 else modality.write(path, batch, {})
            kind = {"image": "image/png", "sound": "audio/wav"}[kind_of(path)]
            return {kind.partition("/")[0]: f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root.path).as_posix()

    def _url(self, run: Path, file: Path) -> dict[str, str]:
        return {"run": self._name(run), "name": file.relative_to(run).as_posix()}


def answer(of: Questions, name: str, values: Mapping[str, Any]) -> Any:
    """The answer to a question by its name, as plain values; a BadInput where there is no such question."""
    asked: Callable[..., Any] | None = None if name.startswith("_") else getattr(of, name, None)
    if not callable(asked):
        raise BadInput(f"there is no question {name!r}")
    return json.loads(json.dumps(plain_json(asked(**values)), default=_tensor))


def _tensor(value: object) -> Any:
    return value.tolist() if isinstance(value, Tensor) else str(value)
