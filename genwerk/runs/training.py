"""One training into a run folder: what is written, what may change on a resume, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genwerk import recipes
from genwerk.core.errors import BadInput, called
from genwerk.core.files import read_json, write_atomically
from genwerk.core.model import Model, build, stages, weightless
from genwerk.data import Splits
from genwerk.data.attributes import without_attributes
from genwerk.data.pairing import have_files
from genwerk.evaluation.evaluate import Evaluation, check_sweep, measured
from genwerk.evaluation.extractor import settled
from genwerk.evaluation.quick import judge
from genwerk.evaluation.report import Report
from genwerk.runs import starting, store
from genwerk.runs.card import write_outcome
from genwerk.runs.changes import going_on
from genwerk.runs.page import update_page
from genwerk.runs.recorder import Recorder
from genwerk.runs.run import Run
from genwerk.runs.store import Origin
from genwerk.training import runtime
from genwerk.training.events import Event, Stopped
from genwerk.training.runtime import Device
from genwerk.training.settings import Recipe, TrainConfig
from genwerk.training.trainer import Trainer


def _check_pairs(model: Model, splits: Splits) -> None:
    """Refuse two domains where the model would make sources of its own of the images of both."""
    settings = splits.settings
    if not (model.condition.derived and settings.to):
        return
    if not have_files(settings):
        raise BadInput(
            f"{called(model)} learns from pairs, and {settings.source} and {settings.to} are domains unless "
            "‹data.pairing› is name, which pairs them row by row; say so, or leave out ‹to› to learn from images and "
            "sources made of them"
        )
    if settings.pairing == "none":
        raise BadInput(
            f"{called(model)} learns from pairs, and ‹data.pairing› none takes {settings.source} and {settings.to} as "
            "domains; leave it out"
        )
    raise BadInput(
        f"{called(model)} learns from pairs, and no file of {settings.source} is called as one of {settings.to} is; "
        "give the two files of a pair one name, or leave out ‹to› to learn from images and sources made of them"
    )


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

    ``from_run`` is a run (``RUN``, ``RUN/last``) whose weights it starts from; the optimisers are new. Its weights must
    fit the model, and what ``splits`` hold be as that run's data were. It counts for a start alone: a resume goes on
    from the folder's own weights.
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
        from_run: Path | None = None,
    ) -> None:
        self.name, self.path, self.splits, self.from_run = name, path, splits, from_run
        self.writer = _tensorboard() if tensorboard else None
        self.runtime = runtime.start(device, recipe.train.precision)
        self.resume, self.stopped, self._written = resume, False, False
        self._report: Report | None = None
        self.source: store.Stored | None = None
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
            raise BadInput(f"{self.path} is a folder of something else; choose a new one with ‹out=FOLDER›")
        begun = store.begun(self.path)
        if begun and not resume:
            raise BadInput(
                f"{self.path} holds a run already; continue it with ‹resume=True›, or choose another folder with "
                "‹out=FOLDER›"
            )
        self.resumed = store.find(self.path / "last") if begun else None
        if self.resumed is None and self.from_run is not None:
            self.source = store.find(self.from_run)
            self.splits = starting.matched(self.splits, self.source)
        elif self.resumed is not None and self.resumed.origin.from_runs:
            self.splits = starting.matched(self.splits, self.resumed)
        if self.resumed is not None and not self.resumed.spec.attributes:  # perhaps begun before captions told any
            self.splits = self.splits.each(without_attributes)
        if self.resumed is not None and self.resumed.name != self.name:
            raise BadInput(
                f"{self.path} was trained with the recipe {self.resumed.name!r}, not {self.name!r}; name that, or "
                "choose another ‹out›"
            )
        if self.resumed is not None and self.resumed.spec != self.splits.spec:
            raise BadInput(
                f"{self.path} was trained on {self.resumed.spec}, not {self.splits.spec}; resume with the same data"
            )

    def _open(self, recipe: Recipe) -> None:
        """The trainer, where the folder stands."""
        model = weightless(recipe.model, self.splits.spec)
        _check_pairs(model, self.splits)
        self.recipe = replace(recipe, train=_present(recipe.train, model, self.name))
        if self.splits.spec.modality.measured:
            settled(self.splits.spec, recipe.evaluate.features)
        check_sweep(model, recipe.evaluate)
        self.origin = Origin(processes=self.runtime.world)
        if self.source is not None and self.from_run is not None:
            known = self.source.origin.from_runs
            self.origin = replace(self.origin, from_runs=(*known, starting.start(self.source, self.from_run)))
        if self.resumed is not None:
            self._same_start(self.resumed.origin)
            self.origin = going_on(self.resumed, self.recipe, self.splits, self.origin)
        self._config = store.describe(self.name, self.recipe, self.splits.spec, self.splits.fingerprints, self.origin)
        torch.manual_seed(recipe.train.seed)
        if self.source is not None:
            model = starting.started(self.source, recipe.model, self.splits.spec)
        elif self.resumed is None:
            model = build(recipe.model, self.splits.spec)
        else:
            longer = replace(self.resumed.recipe, model=recipe.model)
            model = store.load_model(replace(self.resumed, recipe=longer), averaged=False).train()
        model.recipe = self.name
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

    def _same_start(self, was: Origin) -> None:
        """Refuse a resume that names another run to start from than this one did."""
        if self.from_run is None or (was.from_runs and was.from_runs[-1].run == str(self.from_run)):
            return
        did = f"started from {was.from_runs[-1].run}" if was.from_runs else "began with weights of its own"
        raise BadInput(f"{self.path} {did}; leave out ‹from›, or choose another ‹out›")

    def _resume(self, stored: store.Stored) -> None:
        self.trainer.resume(store.load_state(stored))
        before = stages(stored.recipe.model, stored.spec, stored.recipe.train.rounds)
        now, wanted = self.trainer.position.stage, self.trainer.stages
        for was, stage in zip(before[:now], wanted, strict=False):
            if was.rounds != stage.rounds:
                raise BadInput(
                    f"the stage {was.name!r} of {self.path} is over after {was.rounds:,} rounds, and what comes after "
                    f"builds on it; only the stage that is being played, {wanted[now].name!r}, can be made longer"
                )
        if self.trainer.over and self.changes and self.trainer.position.impatient:
            raise BadInput(
                f"{self.path} ended at round {stored.round:,}, for its figure on validation examples was no better; "
                "to go on anyway: ‹train.patience› 0"
            )
        if self.trainer.over and self.changes:
            raise BadInput(
                f"{self.path} has played all its {self.trainer.rounds:,} rounds, so {next(iter(self.changes))} would "
                "change nothing; ask for more rounds too, with ‹rounds›"
            )

    @property
    def notes(self) -> list[str]:
        """What changes with this resume, a sentence each."""
        said = []
        if self.source is not None:
            run = f"{self.from_run}, a run of {self.source.name}"
            said.append(f"It starts from the weights of round {self.source.round:,} of {run}.")
        said += [f"From round {self.trainer.position.round} on, {k}: {v}." for k, v in self.changes.items()]
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
        return Run(self.trainer.finished(), self.path, self.recipe, self._report, self.splits)

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

    def evaluation(self) -> Evaluation:
        """What measures the chosen model, to be played before :meth:`conclude` takes its report."""
        notes = store.find(self.path).notes
        return Evaluation(self.trainer.finished(), self.splits, self.recipe.evaluate, notes=notes)

    def conclude(self, report: Report | None = None, *, evaluate: bool = True) -> None:
        """Write the report and the card, unless training was stopped before its end.

        The report is ``report``, else what is measured now (until a KeyboardInterrupt, which is raised again); where
        that is not to be, there is only the card.
        """
        if self.runtime.main and not self.stopped:
            if report is None and evaluate:
                evaluation = self.evaluation()
                try:
                    report = measured(evaluation)
                except KeyboardInterrupt:
                    self.conclude(evaluation.report)
                    raise
            self._report = report
            self._write_config()
            write_outcome(self.path, self.name, self.recipe, self.splits, report, self.origin)
            update_page(self.path, report)
        self.close()


def _tensorboard() -> Any:
    """The class that writes TensorBoard's log."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise BadInput("TensorBoard is not installed; type: pip install 'genwerk[tensorboard]'") from None
    return SummaryWriter
