"""Commands that train: show, train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from genwerk.commands.command import TRAINING, AtLeast, Command, Internal, Named, Positional
from genwerk.commands.results import Figures, Note, Result
from genwerk.core.errors import BadInput
from genwerk.core.marks import Common
from genwerk.runs.session import Device, Session

if TYPE_CHECKING:
    from genwerk.core.spec import DataSpec
    from genwerk.data import Splits
    from genwerk.data.settings import DataConfig
    from genwerk.runs.training import Training
    from genwerk.training.settings import Recipe


@dataclass(frozen=True, kw_only=True)
class Show(Command):
    """Print a recipe: what it is for, and every setting."""

    group = TRAINING

    recipe: Annotated[str, Positional()]
    """Name of a recipe, or a run folder."""

    def run(self, session: Session) -> Iterator[Figures]:
        from inspect import getdoc

        from genwerk.recipes import find
        from genwerk.runs import store
        from genwerk.training.settings import to_json

        if Path(self.recipe).is_dir():
            stored = store.find(self.recipe)
            name, text = stored.name, f"{self.recipe}: a run of {stored.name} on {stored.spec}"
            settings = to_json(stored.recipe)
        else:
            entry = find(self.recipe)
            name, text, settings = entry.name, getdoc(entry.make) or "", to_json(entry.make(entry.spec))
        yield Figures({"name": name, **settings}, [Note(text + "\n"), Figures(settings)])


@dataclass(frozen=True)
class Changes:
    """What a user wants otherwise than a recipe has it."""

    apply: Callable[[Recipe, bool], Recipe]
    """A recipe with them; the flag says whether it is fitted to the data already, or may still change by that."""
    names: frozenset[str]
    """The settings that they name, such as ``data.source``."""


@dataclass(frozen=True, kw_only=True)
class Train(Command):
    """Train a recipe on your data into a run folder (`genwerk train RECIPE --help` lists its settings)."""

    group = TRAINING
    recipe: Annotated[str, Positional()]
    """Name of a recipe; `genwerk recipes` lists them. With --from, or --config FILE that names one, it may be left
    out."""
    from_run: Annotated[Path | None, Named("from")] = None
    """Start from the weights of this run (RUN, or RUN/last); without a recipe, also with its settings."""
    out: Annotated[Path | None, Common()] = None
    """Run folder to write (default: runs/RECIPE)."""
    minutes: Annotated[float | None, Common()] = None
    """Approximate length of training in minutes: its speed is measured first, and sets the rounds of all stages."""
    resume: Annotated[bool, Common()] = False
    """Continue the run in the folder (or start one, where there is none yet)."""
    lr: Annotated[float | None, Common()] = None
    """Peak learning rate of every player (--train.optim.PLAYER.lr sets that of one)."""
    epochs: Annotated[float | None, Common(), AtLeast(0)] = None
    """Length as passes over the training examples, in place of --rounds; of the first stage, where there are more."""
    config: Path | None = None
    """File of settings, as JSON or TOML: a run's config.json, or all that `genwerk show RECIPE --json` prints, or some
    of it; without a recipe, that which it names."""
    device: Annotated[Device, Common()] = "auto"
    """Where to compute; auto is the first GPU, else the CPU."""
    devices: int = 1
    """Number of processes, one per GPU (or as many on the CPU)."""
    tensorboard: bool = False
    """Also write TensorBoard's log into the run folder."""
    evaluate: bool = True
    """Measure the model when training has ended; `genwerk evaluate RUN` does so later."""
    from_settings: Annotated[bool, Internal()] = False
    """Whether the settings too are those of the run to start from, and not the recipe's."""
    changes: Annotated[Any, Internal()] = Changes(lambda recipe, _: recipe, frozenset())

    def start(self, spec: DataSpec | None = None) -> Recipe:
        """The recipe, or that of the run to start from, for data of ``spec`` (None: those it is shown with)."""
        from genwerk.recipes import find
        from genwerk.runs import store

        if self.from_settings and self.from_run is not None:
            return store.find(self.from_run).recipe
        entry = find(self.recipe)
        return entry.make(spec or entry.spec)

    def settled(self, recipe: Recipe, fitted: bool) -> Recipe:
        """``recipe`` with all that is asked of it: a file's settings, then the learning rate, then single settings."""
        from genwerk.runs.planning import one_length
        from genwerk.training import overlay, speed
        from genwerk.training.overrides import overridden

        if self.minutes is not None:
            speed.possible(self.minutes)
        one_length(
            epochs=self.epochs, minutes=self.minutes, rounds=True if "train.rounds" in self.changes.names else None
        )
        if self.config is not None:
            recipe = overlay.updated(recipe, overlay.read(self.config)[1], f"{self.config}: recipe")
        if self.lr is not None:
            recipe = overridden(recipe, {"lr": self.lr})
        changed: Recipe = self.changes.apply(recipe, fitted)
        return changed

    def opened(self, settings: DataConfig) -> Splits:
        """The data that ``settings`` name."""
        from genwerk.data import open_data

        if not settings.source:
            raise BadInput(
                f"{self.recipe} has no data of its own; name some with ‹data›: a folder of images or sounds, or a table"
            )
        return open_data(settings)

    def fitted(self, settings: Recipe) -> tuple[Recipe, Splits]:
        """The recipe fitted to the data that ``settings`` name, with all that is asked of it, and these data."""
        from genwerk.runs.planning import fitted

        return fitted(settings.data, self.start, self.settled, self.opened)

    def run(self, session: Session) -> Iterator[Result]:
        from genwerk.comparison.advice import hints
        from genwerk.recipes import find
        from genwerk.runs.planning import planned
        from genwerk.runs.training import Training
        from genwerk.training import runtime

        out = self.out or Path("runs") / self.recipe
        try:
            plan = planned(
                out,
                self.start,
                self.settled,
                self.opened,
                resume=self.resume,
                from_run=self.from_run,
                other_data="data.source" in self.changes.names,
                epochs=self.epochs,
                minutes=self.minutes,
                device=self.device,
            )
            yield from (Note(said) for said in (plan.note, plan.caution) if said)
            with Training(
                self.recipe,
                plan.recipe,
                plan.splits,
                out,
                resume=self.resume,
                device=self.device,
                tensorboard=self.tensorboard,
                from_run=self.from_run,
            ) as training:
                if training.runtime.main and not plan.going_on and self.from_run is None:
                    yield from map(Note, hints(find(self.recipe), plan.recipe, plan.splits.spec))
                yield from played(training, evaluate=self.evaluate)
        finally:
            runtime.finish(together=False)


def played(training: Training, *, evaluate: bool = True) -> Iterator[Result]:
    """A training to be played, then what came of it unless it was stopped; ``evaluate`` says whether to measure it."""
    from genwerk.runs.checkpoints import samples_in

    yield training
    if training.stopped or not training.runtime.main:
        return
    report = None
    if evaluate:
        yield Note("measuring the model; if this is stopped, the figures so far are kept")
        evaluation = training.evaluation()
        yield evaluation
        report = evaluation.report
    training.conclude(report, evaluate=False)
    if report is not None:
        yield Figures.of(report)
    yield Note(f"run     {training.path}", whole=True)
    for newest in samples_in(training.path)[-1:]:
        yield Note(f"samples {newest}", whole=True)
    yield Note(f"curves  {training.path / 'curves.png'}", whole=True)
    yield Note(f"page    {training.path / 'index.html'}", whole=True)
    yield Note(f"card    {training.path / 'card.md'}", whole=True)
