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
from genwerk.runs import starting, store
from genwerk.runs.progress import Progress, opening
from genwerk.runs.run import Run
from genwerk.runs.training import Training
from genwerk.tasks.inputs import Examples
from genwerk.training import runtime, speed
from genwerk.training.events import Event
from genwerk.training.overrides import overridden, rounds_of
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
    lengths = {"rounds": rounds, "epochs": epochs, "minutes": minutes}
    if len(both := [name for name, value in lengths.items() if value is not None]) > 1:
        raise BadInput(f"{' and '.join(both)} are lengths of training; name one of them")
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, (int, float))):
        raise BadInput(f"minutes is {minutes!r}; expected a number above 0")
    named = {name: value for name, value in named.items() if value is not None} | settings
    source = None if from_run is None else store.find(from_run)
    if recipe is None and source is None:
        raise BadInput("name a recipe, such as 'vae', or a run to start from, as ‹from_run›")
    start, name = (source.recipe, source.name) if recipe is None and source is not None else _start(recipe)
    if source is not None:
        own = source.recipe.data
        start = replace(start, data=own if data is None else starting.reading(own, source.spec))
    path = Path(out or f"runs/{name}")
    going_on = resume and isinstance(recipe, str) and (path / "config.json").exists()
    if going_on:
        start = store.read_config(path / "config.json")[1]
    splits = data if isinstance(data, Splits) else _opened(overridden(start, named, fitted=False).data, data)
    if isinstance(recipe, (str, Config)) and not going_on:
        start, _ = _start(recipe, splits.spec)
    full = overridden(start, named)
    if epochs is not None:
        full = overridden(full, {"train.rounds": rounds_of(full, epochs, splits)})
    if minutes is not None and going_on:
        warnings.warn(Caution(f"{path} keeps the length with which it began; for another, name ‹rounds›"), stacklevel=2)
    elif minutes is not None:
        full, _ = speed.lasting(full, splits.train, minutes, runtime.start(device, full.train.precision))
    weights = None if from_run is None else Path(from_run)
    with Training(name, full, splits, path, resume=resume, device=device, from_run=weights) as training:
        with _interruptible(training.trainer), _followed(training, progress) as show:
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


def _start(recipe: str | Recipe | Config | None, spec: DataSpec | None = None) -> tuple[Recipe, str]:
    """The recipe as it is before settings are changed, for data of ``spec``, and its name.

    The settings of a model are trained as the recipe of their family is, where there is one of that name.
    """
    if isinstance(recipe, str):
        entry = recipes.find(recipe)
        return entry.make(spec or entry.spec), recipe
    if not isinstance(recipe, (Recipe, Config)):
        raise BadInput(
            f"the recipe is {recipe!r}; expected a name, such as 'vae', a Recipe, or the settings of a model"
        )
    model = recipe.model if isinstance(recipe, Recipe) else recipe
    name = type(model).__name__.removesuffix("Config").lower()
    if isinstance(recipe, Recipe):
        return recipe, name
    if (own := recipes.REGISTRY.get(name)) is None:
        return Recipe(model=model), name
    return replace(own.make(spec or own.spec), model=model), name


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
def _followed(training: Training, progress: bool | Literal["auto"]) -> Iterator[Callable[[Event], object]]:
    """What takes the events of ``training`` and shows them, where that is asked for."""
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

    for line in opening(training):
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
