"""A recipe trained into a run folder, and a run folder as a model: the first of the library's three depths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from genwerk import interop, recipes
from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.data import DataConfig, Splits, open_data
from genwerk.runs import store
from genwerk.runs.training import Run, Training
from genwerk.training import runtime
from genwerk.training.runtime import Device
from genwerk.training.settings import Recipe


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
        raise BadInput("this recipe has no data of its own; name some with ‹data›")
    return settings
