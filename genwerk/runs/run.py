"""Training into a run folder, and what comes of it: the first of the library's three depths."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genwerk import interop, recipes
from genwerk.core.errors import BadFile, BadInput, Unwritable
from genwerk.core.files import open_own, open_regular, parse_json, read_json, write_atomically
from genwerk.core.model import Model, build
from genwerk.core.printable import printable
from genwerk.data import DataConfig, Splits, open_data
from genwerk.data.parts import changed
from genwerk.evaluation.report import Report, evaluate, judge
from genwerk.runs import store
from genwerk.runs.card import card, flat
from genwerk.runs.store import Change, Origin
from genwerk.training import runtime
from genwerk.training.events import (
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
from genwerk.training.runtime import Device
from genwerk.training.settings import Recipe, TrainConfig, to_json
from genwerk.training.trainer import Trainer


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
    data: str | DataConfig | Splits | None = None,
    *,
    out: Path | str | None = None,
    rounds: int | None = None,
    seed: int | None = None,
    resume: bool = False,
    device: Device = "auto",
) -> Run:
    """Train a recipe on data, writing a run folder: ``genwerk.train("vae", data="photos/", out="runs/photos")``.

    ``recipe`` is a registered name or a whole :class:`Recipe`; ``data`` anything that
    :func:`open_data` understands (None: the recipe's own). ``out`` defaults to ``runs/<name>``.
    ``resume`` goes on where that folder stands; what is not named then (a recipe known by its name, data, rounds, seed)
    is the run's own, and more ``rounds`` extend a run that has finished.
    """
    name = recipe if isinstance(recipe, str) else type(recipe.model).__name__.removesuffix("Config").lower()
    path = Path(out or f"runs/{name}")
    if resume and isinstance(recipe, str) and (path / "config.json").exists():
        recipe = store.read_config(path / "config.json")[1]
    splits = data if isinstance(data, Splits) else open_data(_settings(recipe, data))
    full = recipes.find(recipe).make(splits.spec) if isinstance(recipe, str) else recipe
    own = full.train
    train = replace(own, rounds=own.rounds if rounds is None else rounds, seed=own.seed if seed is None else seed)
    full = replace(full, train=train)
    with Training(name, full, splits, path, resume=resume, device=device) as training:
        for _ in training:
            pass
        training.conclude()
        return training.run


def _settings(recipe: str | Recipe, data: str | DataConfig | None) -> DataConfig:
    if isinstance(data, DataConfig):
        return data
    own = recipe.data if isinstance(recipe, Recipe) else recipes.find(recipe).make(recipes.find(recipe).spec).data
    settings = own if data is None else replace(own, source=data)
    if not settings.source:
        raise BadInput("this recipe has no data of its own; name some with --data")
    return settings


def _present(train: TrainConfig, model: Model, name: str) -> TrainConfig:
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
    card. It is locked from the start, before anything in it is looked at, until all is concluded or :meth:`close` (or
    the end of a ``with``); nothing is written before the first round has been played.

    ``resume`` goes on where the folder stands, and starts where there is nothing yet. The recipe, the model, how the
    data fall into parts, the seed, the optimisers' kinds and the players that keep averages stay as they were, or a
    BadInput says which does not. Other settings may change, more rounds included, and data may have grown: ``changes``
    says what is different from here on, and so do ``config.json`` and the card. Only the stage that is being played,
    the last of a finished run, can be made longer; what depends on a stage's length, such as a falling learning rate,
    is from there on as for the new length.
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
        self.name, self.path, self.splits = name, path, splits
        self.writer = _tensorboard() if tensorboard else None
        self.runtime = runtime.start(device, recipe.train.precision)
        self.stopped = self._written = False
        self._report: Report | None = None
        self._lock = ExitStack()
        try:
            self._take(resume)
            self._open(replace(recipe, data=splits.settings))
        except BaseException:
            self.close()
            raise

    def _take(self, resume: bool) -> None:
        """Lock the folder, then look what is in it: ``resumed`` is the checkpoint to go on from, if there is one."""
        fault = None
        if self.runtime.main:
            try:
                self._lock.enter_context(store.only_writer(self.path))
            except (ValueError, OSError) as error:
                fault = error
        if self.runtime.any(fault is not None):
            raise fault or BadInput("the first process could not begin")
        if (self.path / "config.json").exists():
            mine = read_json(self.path / "config.json").get("library") == "genwerk"
        else:
            mine = all(p.name.startswith(".") for p in self.path.iterdir())
        if not mine:
            raise BadInput(f"{self.path} is a folder of something else; choose a new one with --out")
        begun = store.begun(self.path)
        if begun and not resume:
            raise BadInput(
                f"{self.path} holds a run already; go on with it by --resume, or choose another folder with --out"
            )
        self.resumed = store.find(self.path / "last") if begun else None
        if self.resumed is not None and self.resumed.name != self.name:
            raise BadInput(
                f"{self.path} was trained with the recipe {self.resumed.name!r}, not {self.name!r}; name that, or "
                "choose another --out"
            )
        if self.resumed is not None and self.resumed.spec != self.splits.spec:
            raise BadInput(
                f"{self.path} was trained on {self.resumed.spec}, not {self.splits.spec}; resume with the same data"
            )

    def _open(self, recipe: Recipe) -> None:
        """The trainer, where the folder stands."""
        with torch.device("meta"):
            model = build(recipe.model, self.splits.spec)
        self.recipe = replace(recipe, train=_present(recipe.train, model, self.name))
        self.origin = Origin(processes=self.runtime.world)
        if self.resumed is not None:
            self.origin = _going_on(self.resumed, self.recipe, self.splits, self.origin)
        self._config = store.describe(self.name, self.recipe, self.splits.spec, self.splits.fingerprints, self.origin)
        torch.manual_seed(recipe.train.seed)
        if self.resumed is None:
            model = build(recipe.model, self.splits.spec)
        else:
            longer = replace(self.resumed.recipe, model=recipe.model)
            model = store.load_model(replace(self.resumed, recipe=longer), averaged=False).train()
        self.trainer = Trainer(
            model,
            self.splits.train,
            self.recipe.train,
            runtime=self.runtime,
            validation=self.splits.validation,
            evaluate=partial(judge, seed=self.recipe.evaluate.seed),
            checkpoints=store.Checkpoints(self.path, self._config, self.recipe.train.keep),
        )
        if self.resumed is not None:
            self._resume(self.resumed)

    def _resume(self, stored: store.Stored) -> None:
        self.trainer.resume(store.load_state(stored))
        with torch.device("meta"):
            before = build(stored.recipe.model, stored.spec).stages(stored.recipe.train.rounds)
        now, stages = self.trainer.position.stage, self.trainer.stages
        for was, wanted in zip(before[:now], stages, strict=False):
            if was.rounds != wanted.rounds:
                raise BadInput(
                    f"the stage {was.name!r} of {self.path} is over after {was.rounds:,} rounds, and what comes after "
                    f"builds on it; only the stage that is being played, {stages[now].name!r}, can be made longer"
                )
        if self.trainer.over and self.changes and self.trainer.position.impatient:
            raise BadInput(
                f"{self.path} ended at round {stored.round:,}, for its figure of validation examples was no better; "
                "to go on nevertheless: --train.patience 0"
            )
        if self.trainer.over and self.changes:
            raise BadInput(
                f"{self.path} has played all its {self.trainer.rounds:,} rounds, so {next(iter(self.changes))} would "
                "change nothing; ask for more rounds too, with --rounds"
            )

    @property
    def notes(self) -> list[str]:
        """What changes with this resume, a sentence each."""
        said = [f"From round {self.trainer.position.round} on, {k}: {v}." for k, v in self.changes.items()]
        if self.resumed is not None and not self.resumed.data:
            said.append(
                "A run of version 0.1 held out other examples: some of those now held out have been trained on."
            )
        if "train.rounds" in self.changes and any(o.schedule != "constant" for o in self.recipe.train.optim.values()):
            said.append("Falling learning rates go on as if the new length had been planned from the start.")
        return said

    @property
    def changes(self) -> dict[str, str]:
        """Settings of training that differ from those before this resume, as "old -> new"."""
        known = () if self.resumed is None else self.resumed.origin.changes
        return {k: v for change in self.origin.changes[len(known) :] for k, v in change.settings.items()}

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.close()
        if self.writer is not None:
            self.writer.close()

    @property
    def run(self) -> Run:
        """The outcome: the chosen model with its averaged weights, in evaluation mode."""
        return Run(self.trainer.finished(), self.path, self.recipe, self._report)

    def __iter__(self) -> Iterator[Event]:
        recorder = None
        try:
            for event in self.trainer:
                if self.runtime.main:
                    self._write_config()
                    recorder = recorder or Recorder(self)
                    recorder(event)
                self.stopped = isinstance(event, Stopped)
                yield event
        except BaseException:
            self.close()
            raise
        finally:
            if recorder is not None:
                recorder.close()
        if self.stopped:
            self.close()

    def _write_config(self) -> None:
        if not self._written:
            write_atomically(self.path / "config.json", json.dumps(self._config, indent=1).encode())
            self._written = True

    def conclude(self) -> None:
        """Measure the model and write the report and the card, unless training was stopped before its end."""
        if self.runtime.main and not self.stopped:
            model, notes = self.trainer.finished(), store.find(self.path).notes
            self._report = evaluate(model, self.splits, self.recipe.evaluate, notes=notes)
            self._write_config()
            write_atomically(self.path / "report.json", json.dumps(self._report.to_json(), indent=1).encode())
            written = printable(card(self.name, self.recipe, self.splits, self._report, self.origin))
            write_atomically(self.path / "card.md", written.encode())
        self.close()


def _tensorboard() -> Any:
    """The class that writes TensorBoard's log."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise BadInput("TensorBoard is not installed; type: pip install 'genwerk[tensorboard]'") from None
    return SummaryWriter


def _going_on(stored: store.Stored, recipe: Recipe, splits: Splits, now: Origin) -> Origin:
    """The run's origin with what changes from here on; a BadInput names what may not change."""
    run, was = stored.folder.parent.parent, stored.origin

    def refuse(what: str, then: Any, wanted: Any) -> BadInput:
        return BadInput(f"{run} was trained with {what} {then!r}, not {wanted!r}; keep it, or choose another --out")

    old, new = flat(to_json(stored.recipe)), flat(to_json(recipe))
    other = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k) and not k.startswith("evaluate."))
    for key in other:
        if _kept(key):
            raise refuse(key, old.get(key), new.get(key))
    settings = {k: f"{json.dumps(old.get(k))} -> {json.dumps(new.get(k))}" for k in other}
    if what := changed(stored.data, splits):
        settings["data"] = what.removesuffix(".")
    if was.processes != now.processes:
        settings["processes"] = f"{was.processes} -> {now.processes}"
    changes = (*was.changes, Change(round=stored.round, settings=settings)) if settings else was.changes
    return replace(now, changes=changes)


DRAWING = ("holdout", "validation", "seed", "test", "group", "jitter")
"""Settings of the data by which examples come into one part or another, or are themselves drawn."""


def _kept(key: str) -> bool:
    """Whether a setting must stay as it was for a run to go on."""
    section, _, rest = key.partition(".")
    if section == "model":  # the lengths of stages are compared by themselves
        return not rest.endswith("rounds") or "." in rest
    return rest in DRAWING if section == "data" else rest == "seed" or rest.endswith(".name")


class Recorder:
    """Writes events down: ``events.jsonl``, ``samples/``, and TensorBoard's log where it is asked for."""

    def __init__(self, training: Training) -> None:
        self.training, self.every = training, training.recipe.train.log_every
        self.log = training.path / "events.jsonl"
        self._forget_after(0 if training.resumed is None else store.round_of(training.resumed.folder))
        self.file = open_own(self.log, os.O_APPEND)
        self.started = time.monotonic()
        self.writer = None if training.writer is None else training.writer(str(training.path / "tensorboard"))

    def _forget_after(self, round: int) -> None:
        """Drop lines that a killed process wrote after the checkpoint we go on from, and say which are damaged."""
        if not self.log.exists():
            return
        kept, damaged = list[bytes](), 0
        with open_regular(self.log) as file:
            for line in file:
                try:
                    where = parse_json(line, str(self.log)).get("round")
                except BadFile:
                    where = None
                damaged += not isinstance(where, int)
                if isinstance(where, int) and where <= round:
                    kept.append(line.rstrip(b"\n") + b"\n")
        if damaged:
            warnings.warn(f"{damaged} damaged lines of {self.log} are dropped; the checkpoints decide", stacklevel=2)
        write_atomically(self.log, b"".join(kept))

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
                for link in stem.parent.glob(f"{stem.name}.*"):
                    if link.is_symlink():  # what it leads to may be somebody's
                        link.unlink()
                spec = self.training.splits.spec
                self._line(event, what, {}, file=spec.modality.write(stem, batch, origin).name)
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
        try:
            self.file.write(json.dumps({**where, "seconds": seconds, **figures, **more}).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise Unwritable(
                f"{self.log} cannot be written ({error.strerror}); make room and go on with --resume"
            ) from None
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(f"{kind}/{name}", value, event.round)

    def close(self) -> None:
        self.file.close()
        if self.writer is not None:
            self.writer.close()
