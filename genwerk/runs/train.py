"""A recipe trained on data into a run folder: the first of the library's three depths."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias

from genwerk import recipes
from genwerk.core.errors import BadInput, Caution, naming
from genwerk.core.model import Config
from genwerk.core.printable import printable
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Splits, open_data
from genwerk.runs import store
from genwerk.runs.planning import one_length, planned
from genwerk.runs.progress import Progress, opening
from genwerk.runs.run import Run
from genwerk.runs.training import Training
from genwerk.tasks.inputs import Examples
from genwerk.training.events import Event
from genwerk.training.overrides import overridden
from genwerk.training.runtime import Device
from genwerk.training.settings import Recipe
from genwerk.training.trainer import Trainer

Data: TypeAlias = Examples | str | PathLike[str] | DataConfig | Splits
"""What a model is trained on: arrays and the like, a path or the name of built-in data, or data that are opened."""


def train(
    recipe: str | Recipe | Config | None = None,
    data: Data | None = None,
    *,
    from_run: Path | str | None = None,
    out: Path | str | None = None,
    rounds: int | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    resume: bool = False,
    device: Device = "auto",
    evaluate: bool = True,
    progress: bool | Literal["auto"] = "auto",
    on_event: Callable[[Event], object] | None = None,
    **settings: object,
) -> Run:
    """Train a recipe on data, writing a run folder: ``genwerk.train("vae", images, rounds=2000, latent=8)``.

    ``recipe`` is a registered name, a whole :class:`Recipe`, or the settings of a model, as ``VAEConfig(latent=8)``.
    ``data`` are arrays, tensors, a DataFrame, a list of images, a map-style data set, (x, y)
    (:func:`genwerk.data.memory.found_in`), a path or the name of built-in data; None are the recipe's own. ``out``
    defaults to ``runs/<name>``.

    ``from_run`` is a run whose weights it starts from (:class:`Training`); without a recipe its settings are the run's,
    and without data its data too.

    The length is that of the recipe, or ``rounds``, ``epochs`` (passes of the first stage over the training
    data), or about ``minutes`` on this machine. Any other setting is given by its name, alone or in full:
    ``latent=8``, ``size=32``, ``**{"train.optim.model.clip_norm": 1.0}``; ``lr`` is that of every player.

    ``evaluate`` says whether the model is measured in the end (:meth:`Run.evaluate` does so later).
    ``progress`` shows a bar, and what is to be said of the data: by default on a terminal and in a notebook.
    ``on_event`` is called with each :class:`Event`.

    ``resume`` goes on where that folder stands; what is not named then (a recipe known by its name, data, settings) is
    the run's own, and more ``rounds`` extend a run that has finished.

    Ctrl-C, or a notebook's interrupt, stops after the round being played, saves, and raises KeyboardInterrupt.
    """
    named: dict[str, object] = {"train.rounds": rounds, "lr": lr, "train.batch_size": batch_size, "train.seed": seed}
    named = {name: value for name, value in named.items() if value is not None} | settings
    one_length(rounds=rounds, epochs=epochs, minutes=minutes)
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, (int, float))):
        raise BadInput(f"minutes is {minutes!r}; expected a number above 0")
    source = None if from_run is None else store.find(from_run)
    if recipe is None and source is None:
        raise BadInput("name a recipe, such as 'vae', or a run to start from, as ‹from_run›")
    first = source.recipe if recipe is None and source is not None else recipe
    name = source.name if recipe is None and source is not None else _name(first)
    path = Path(out or f"runs/{name}")
    plan = planned(
        path,
        lambda spec: _made(first, spec),
        lambda recipe, fitted: overridden(recipe, named, fitted=fitted),
        lambda settings: data if isinstance(data, Splits) else _opened(settings, data),
        resume=resume,
        whole=not isinstance(recipe, str),
        from_run=from_run,
        other_data=data is not None,
        epochs=epochs,
        minutes=minutes,
        device=device,
    )
    if plan.caution:
        warnings.warn(Caution(plan.caution), stacklevel=2)
    weights = None if from_run is None else Path(from_run)
    with Training(name, plan.recipe, plan.splits, path, resume=resume, device=device, from_run=weights) as training:
        with _interruptible(training.trainer), _followed(training, progress, plan.note) as show:
            for event in training:
                show(event)
                if on_event is not None:
                    on_event(event)
        if training.trainer.stopped_by is not None:
            raise KeyboardInterrupt(
                f"stopped and saved at round {training.trainer.position.round:,} in {path}; resume=True goes on"
            )
        training.conclude(evaluate=evaluate)
        return training.run


def _name(recipe: object) -> str:
    """What a run of ``recipe``, given in any form, is called; a BadInput where it is in none."""
    if isinstance(recipe, str):
        return recipes.find(recipe).name
    if not isinstance(recipe, (Recipe, Config)):
        raise BadInput(
            f"the recipe is {recipe!r}; expected a name, such as 'vae', a Recipe, or the settings of a model"
        )
    model = recipe.model if isinstance(recipe, Recipe) else recipe
    return type(model).__name__.removesuffix("Config").lower()


def _made(recipe: str | Recipe | Config | None, spec: DataSpec | None) -> Recipe:
    """The recipe as it is before settings are changed, for data of ``spec``.

    The settings of a model are trained as the recipe of their family is, where there is one of that name.
    """
    if isinstance(recipe, Recipe):
        return recipe
    entry = recipes.REGISTRY.get(_name(recipe))
    if isinstance(recipe, Config):
        return Recipe(model=recipe) if entry is None else replace(entry.make(spec or entry.spec), model=recipe)
    assert entry is not None
    return entry.make(spec or entry.spec)


def _opened(settings: DataConfig, data: object) -> Splits:
    """The parts of ``data``, read by ``settings``, which name them where there are none."""
    if isinstance(data, DataConfig):
        return open_data(data)
    if isinstance(data, (str, PathLike)):
        return open_data(replace(settings, source=str(data)))
    if data is None and not settings.source:
        raise BadInput("this recipe has no data of its own; pass some as ‹data›: arrays, a folder, or a table")
    return open_data(settings, data)


@contextmanager
def _followed(training: Training, progress: bool | Literal["auto"], note: str) -> Iterator[Callable[[Event], object]]:
    """What takes the events of ``training`` and shows them below ``note``, where that is asked for."""
    from rich.console import Console

    console = Console()
    if console.is_jupyter and find_spec("ipywidgets") is None:  # without which rich shows no bar in a notebook
        console = Console(force_jupyter=False, force_terminal=False)
        progress = progress is not False
    if not training.runtime.main or not (console.is_terminal or console.is_jupyter if progress == "auto" else progress):
        yield lambda _: None
        return

    def say(text: str) -> None:
        console.out(printable(naming(text, str)), highlight=False)

    for line in ([note] if note else []) + [*opening(training)]:
        say(line)
    with Progress(training, say, console) as bar:
        yield bar


@contextmanager
def _interruptible(trainer: Trainer) -> Iterator[None]:
    """While inside, Ctrl-C asks for an end; only the main thread hears it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with trainer.stopping_on(signal.SIGINT):
        yield
