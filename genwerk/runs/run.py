"""A recipe trained into a run folder, and a run folder as a model: the first of the library's three depths."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from genwerk import interop, recipes
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Splits, open_data
from genwerk.runs import store
from genwerk.runs.training import Run, Training
from genwerk.tasks.inputs import Examples
from genwerk.training import runtime
from genwerk.training.events import Event
from genwerk.training.overrides import overridden, rounds_of
from genwerk.training.runtime import Device
from genwerk.training.settings import Recipe
from genwerk.training.trainer import Trainer

Data: TypeAlias = Examples | str | PathLike[str] | DataConfig | Splits
"""What a model is trained on: arrays and the like, a path or the name of built-in data, or data that are opened."""


def load(path: Path | str, *, device: Device = "auto") -> Model:
    """The chosen model of a run folder (its newest for ``RUN/last``), or that of a folder of diffusers or transformers.

    Chosen is the best of the last stage by its held-out figure, and the newest where there is none.
    """
    if interop.recognised(Path(path)):
        return interop.load(Path(path), device=runtime.pick_device(device))
    with store.reading(path) as stored:
        return store.load_model(stored, device=runtime.pick_device(device))


def train(
    recipe: str | Recipe | Config,
    data: Data | None = None,
    *,
    out: Path | str | None = None,
    rounds: int | None = None,
    epochs: float | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    resume: bool = False,
    device: Device = "auto",
    on_event: Callable[[Event], object] | None = None,
    **settings: object,
) -> Run:
    """Train a recipe on data, writing a run folder: ``genwerk.train("vae", images, rounds=2000, latent=8)``.

    ``recipe`` is a registered name, a whole :class:`Recipe`, or the settings of a model, as ``VAEConfig(latent=8)``.
    ``data`` are arrays, tensors, a DataFrame, a list of images, a map-style data set, (x, y)
    (:func:`genwerk.data.memory.found_in`), a path or the name of built-in data; None are the recipe's own. ``out``
    defaults to ``runs/<name>``.

    ``epochs`` are passes over the training data, a round counted as one batch. Any other setting is given by its name,
    alone or in full: ``latent=8``, ``size=32``, ``**{"train.optim.model.clip_norm": 1.0}``; ``lr`` is that of every
    player. ``on_event`` is called with each :class:`Event`.

    ``resume`` goes on where that folder stands; what is not named then (a recipe known by its name, data, settings) is
    the run's own, and more ``rounds`` extend a run that has finished.

    Ctrl-C, or a notebook's interrupt, stops after the round being played, saves, and raises KeyboardInterrupt.
    """
    named: dict[str, object] = {"train.rounds": rounds, "lr": lr, "train.batch_size": batch_size, "train.seed": seed}
    named = {name: value for name, value in named.items() if value is not None} | settings
    start, name = _start(recipe)
    path = Path(out or f"runs/{name}")
    going_on = resume and isinstance(recipe, str) and (path / "config.json").exists()
    if going_on:
        start = store.read_config(path / "config.json")[1]
    splits = data if isinstance(data, Splits) else _opened(overridden(start, named, fitted=False).data, data)
    if isinstance(recipe, (str, Config)) and not going_on:
        start, _ = _start(recipe, splits.spec)
    full = overridden(start, named)
    if epochs is not None:
        full = overridden(full, {"train.rounds": rounds_of(full, epochs, len(splits.train))})
    with Training(name, full, splits, path, resume=resume, device=device) as training:
        with _interruptible(training.trainer):
            for event in training:
                if on_event is not None:
                    on_event(event)
        if training.trainer.stopped_by is not None:
            raise KeyboardInterrupt(
                f"stopped and saved at round {training.trainer.position.round:,} in {path}; resume=True goes on"
            )
        training.conclude()
        return training.run


def _start(recipe: str | Recipe | Config, spec: DataSpec | None = None) -> tuple[Recipe, str]:
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
def _interruptible(trainer: Trainer) -> Iterator[None]:
    """While inside, Ctrl-C asks for an end; only the main thread hears it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with trainer.stopping_on(signal.SIGINT):
        yield
