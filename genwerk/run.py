"""Training into a run folder, and what comes of it: the first of the library's three depths."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genwerk import interop, recipes, runtime, store
from genwerk.data import Data, Splits, open_data
from genwerk.data.parts import changed
from genwerk.evaluation import Report, evaluate, judge
from genwerk.events import (
    Collapsed,
    Evaluated,
    Event,
    RolledBack,
    RoundDone,
    Sampled,
    Saved,
    StageDone,
    Stopped,
    Watched,
)
from genwerk.files import write_atomically
from genwerk.model import Model, build
from genwerk.pictures import write_examples
from genwerk.printable import printable
from genwerk.runtime import Device
from genwerk.settings import Recipe, Train, to_json
from genwerk.trainer import Trainer


@dataclass(frozen=True)
class Run:
    """A trained model with the folder it lives in."""

    model: Model
    path: Path
    recipe: Recipe
    report: Report | None
    """What was measured at the end; None where training was stopped before."""


def load(path: Path | str, *, device: Device = "auto") -> Model:
    """The chosen model of a run folder (its newest for ``RUN/last``), or that of a folder of diffusers or transformers.

    Chosen is the best of the last stage by its held-out figure, and the newest where there is none.
    """
    if interop.recognised(Path(path)):
        return interop.load(Path(path), device=runtime.pick_device(device))
    with store.reading(path) as stored:
        return store.load_model(stored, device=runtime.pick_device(device))


def train(
    recipe: str | Recipe,
    data: str | Data | Splits | None = None,
    *,
    out: Path | str | None = None,
    seed: int | None = None,
    resume: bool = False,
    device: Device = "auto",
) -> Run:
    """Train a recipe on data, writing a run folder: ``genwerk.train("vae", data="photos/", out="runs/photos")``.

    ``recipe`` is a registered name or a whole :class:`~genwerk.recipe.Recipe`; ``data`` anything that
    :func:`~genwerk.data.open_data` understands (None: the recipe's own). ``out`` defaults to ``runs/<name>``;
    ``resume`` goes on where that folder stands.
    """
    name = recipe if isinstance(recipe, str) else type(recipe.model).__name__.removesuffix("Config").lower()
    splits = data if isinstance(data, Splits) else open_data(_settings(recipe, data))
    full = recipes.find(recipe).make(splits.spec) if isinstance(recipe, str) else recipe
    if seed is not None:
        full = replace(full, train=replace(full.train, seed=seed))
    training = Training(name, full, splits, Path(out or f"runs/{name}"), resume=resume, device=device)
    for _ in training:
        pass
    training.conclude()
    return training.run


def _settings(recipe: str | Recipe, data: str | Data | None) -> Data:
    if isinstance(data, Data):
        return data
    own = recipe.data if isinstance(recipe, Recipe) else recipes.find(recipe).make(recipes.find(recipe).spec).data
    settings = own if data is None else replace(own, source=data)
    if not settings.source:
        raise ValueError("this recipe has no data of its own; name some with --data")
    return settings


def _present(train: Train, model: Model, name: str) -> Train:
    """``train`` without those players of the recipe ``name`` that ``model``, as its settings are now, does not have."""
    if name not in recipes.REGISTRY:
        return train
    gone = recipes.recipe(name, model.spec).train.optim.keys() - model.players().keys()
    optim = {player: settings for player, settings in train.optim.items() if player not in gone}
    ema = {player: half_life for player, half_life in train.ema.items() if player not in gone}
    return replace(train, optim=optim, ema=ema)


class Training:
    """One training of a recipe into a folder: iterate for its events, then :meth:`conclude`, then read ``run``.

    The folder receives the configuration, event log, sample pictures and checkpoints, and in the end the report and the
    card. ``resume`` goes on where the folder stands, and starts where there is nothing yet. Only one process may write
    a folder at a time.
    """

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        splits: Splits,
        path: Path,
        *,
        resume: bool = False,
        device: Device = "auto",
        tensorboard: bool = False,
    ) -> None:
        self.name, self.path, self.splits, self.tensorboard = name, path, splits, tensorboard
        self.runtime = runtime.start(device, recipe.train.precision)
        if (path / "config.json").exists() and not resume:
            raise ValueError(
                f"{path} holds a run already; go on with it by --resume, or choose another folder with --out"
            )
        if (
            path.is_dir()
            and any(path.iterdir())
            and not (path / "config.json").exists()
            and not (path / ".lock").exists()
        ):
            raise ValueError(f"{path} is a folder of something else; choose a new one with --out")
        self.recipe = replace(recipe, data=splits.settings)
        self.resumed = self._newest() if resume else None
        if self.resumed is not None and (what := changed(self.resumed.data, splits)):
            splits = self.splits = replace(splits, notes=(what, *splits.notes))
        torch.manual_seed(recipe.train.seed)
        model = build(recipe.model, splits.spec) if self.resumed is None else self._stored_model(self.resumed)
        recipe = self.recipe = replace(self.recipe, train=_present(recipe.train, model, name))
        config = store.describe(name, self.recipe, splits.spec, splits.fingerprints)
        self.trainer = Trainer(
            model,
            splits.train,
            recipe.train,
            runtime=self.runtime,
            validation=splits.validation,
            evaluate=partial(judge, seed=recipe.evaluate.seed),
            checkpoints=store.Checkpoints(path, config, recipe.train.keep),
        )
        if self.resumed is not None:
            self.trainer.resume(store.load_state(self.resumed))
        self._config = config
        self._report: Report | None = None
        self.stopped = False

    def _newest(self) -> store.Stored | None:
        """The checkpoint to go on from; None where there is none yet."""
        if not (self.path / "config.json").exists() or not any((self.path / "checkpoints").glob("[0-9]*")):
            return None
        stored = store.find(self.path / "last")
        if (old := to_json(stored.recipe.model)) != (new := to_json(self.recipe.model)):
            field = next(k for k in {**old, **new} if old.get(k) != new.get(k))
            raise ValueError(
                f"{self.path} was trained with model.{field} = {old.get(field)!r}, not {new.get(field)!r}; "
                "resume with the same model, or choose another --out"
            )
        if stored.spec != self.splits.spec:
            raise ValueError(
                f"{self.path} was trained on {stored.spec}, not {self.splits.spec}; resume with the same data"
            )
        return stored

    @staticmethod
    def _stored_model(stored: store.Stored) -> Model:
        return store.load_model(stored, averaged=False).train()

    @property
    def run(self) -> Run:
        """The outcome: the chosen model with its averaged weights, in evaluation mode."""
        return Run(self.trainer.finished(), self.path, self.recipe, self._report)

    def __iter__(self) -> Iterator[Event]:
        if not self.runtime.main:
            yield from self.trainer
            return
        with store.only_writer(self.path):
            write_atomically(self.path / "config.json", json.dumps(self._config, indent=1).encode())
            recorder = Recorder(self)
            for event in self.trainer:
                recorder(event)
                self.stopped = isinstance(event, Stopped)
                yield event
            recorder.close()

    def conclude(self) -> None:
        """Measure the model and write the report and the card, unless training was stopped before its end."""
        if self.stopped or not self.runtime.main:
            return
        told = store.find(self.path).told
        self._report = evaluate(self.trainer.finished(), self.splits, self.recipe.evaluate, told=told)
        report = json.dumps(self._report.to_json(), indent=1).encode()
        write_atomically(self.path / "report.json", report)
        written = printable(card(self.name, self.recipe, self.splits, self._report))
        write_atomically(self.path / "card.md", written.encode())


class Recorder:
    """Writes events down: ``events.jsonl``, ``samples/``, and TensorBoard's log where it is asked for."""

    def __init__(self, training: Training) -> None:
        self.training, self.every = training, training.recipe.train.log_every
        self.log = training.path / "events.jsonl"
        self._forget_after(training.trainer.position.round)
        self.file = self.log.open("a")
        self.started = time.monotonic()
        self.writer: Any = None
        if training.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ValueError("TensorBoard is not installed; type: pip install 'genwerk[tensorboard]'") from None
            self.writer = SummaryWriter(str(training.path / "tensorboard"))

    def _forget_after(self, round: int) -> None:
        """Drop lines that a killed process wrote after the checkpoint we go on from."""
        if self.log.exists():
            lines = self.log.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["round"] <= round]
            write_atomically(self.log, "".join(kept).encode())

    def __call__(self, event: Event) -> None:
        match event:
            case RoundDone(round=round, metrics=metrics) if self.every and round % self.every == 0:
                self._line(event, "round", {k: v.item() for k, v in metrics.items()})
            case Evaluated(figures=figures, best=best):
                self._line(event, "evaluated", figures, best=best)
            case Sampled(what=what, batch=batch):
                name, seed = self.training.name, self.training.recipe.train.seed
                origin = {"recipe": name, "run": self.training.path.name, "round": event.round, "seed": seed}
                stem = self.training.path / "samples" / f"{event.round:08d}"
                spec = self.training.splits.spec
                self._line(event, what, {}, file=write_examples(stem, batch, spec, origin).name)
            case Saved(path=path, best=best):
                self._line(event, "saved", {}, file=path.name, best=best)
            case StageDone(converged=converged, choice=choice):
                self._line(event, "stage done", {}, converged=converged, chosen=choice.round)
            case Watched(figures=figures):
                self._line(event, "watched", figures)
            case Collapsed(reason=reason, action=action):
                self._line(event, "collapsed", {}, reason=reason, action=action)
            case RolledBack(to_round=to_round, retry=retry):
                self._line(event, "rolled back", {}, to_round=to_round, retry=retry)

    def _line(self, event: Event, kind: str, figures: Mapping[str, float], **more: Any) -> None:
        where = {"event": kind, "stage": event.stage, "round": event.round, "examples": event.examples}
        seconds = round(time.monotonic() - self.started, 3)
        self.file.write(json.dumps({**where, "seconds": seconds, **figures, **more}) + "\n")
        self.file.flush()
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(f"{kind}/{name}", value, event.round)

    def close(self) -> None:
        self.file.close()
        if self.writer is not None:
            self.writer.close()


def card(name: str, recipe: Recipe, splits: Splits, report: Report) -> str:
    """The run's README: what it is, on what, with which figures, and how to make it again."""
    settings = "\n".join(f"| {k} | {v} |" for k, v in to_json(recipe.model).items() if k != "$type")
    notes = "\n".join(f"* {note}" for note in splits.notes)
    return f"""# {name}

Trained by Genwerk on {recipe.data.source}: {len(splits.train)} training, {len(splits.validation)} validation and \
{len(splits.test)} test examples ({splits.spec}).

{notes}

## Figures

{report.markdown()}

## Settings

| {type(recipe.model).__name__} | |
|---|---|
{settings}

To train it again: `genwerk train {name} --data {recipe.data.source} --train.rounds {recipe.train.rounds} \
--train.seed {recipe.train.seed}`; every setting stands in `config.json`.
"""
