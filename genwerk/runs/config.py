"""What the ``config.json`` of a run says: recipe, data, version, and where the run comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import genwerk.recipes  # noqa: F401  (registers what a run may name)
from genwerk import __version__
from genwerk.core import plugins
from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import read_json
from genwerk.core.modality import modality_of
from genwerk.core.model import Config, Model, weightless
from genwerk.core.spec import DataSpec
from genwerk.runs.formats import FORMAT, current
from genwerk.training.settings import REGISTRY, Recipe, from_json, to_json


@dataclass(frozen=True, kw_only=True)
class Change:
    """Settings that a run was resumed with, other than before."""

    round: int
    """The round that had been played last."""
    settings: dict[str, str]
    """Name of each setting, and its value before and after."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights of another run that training started from."""

    run: str
    """Its folder, as it was named."""
    recipe: str
    round: int
    """The round whose weights they are."""
    sha256: str
    """Of the file of these weights."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a run comes from beside its recipe."""

    processes: int = 1
    """Number of processes that train it."""
    from_runs: tuple[Start, ...] = ()
    """Runs that led to it, each started from the weights of the one before; it started from those of the last."""
    changes: tuple[Change, ...] = ()
    """Where settings changed on the way, oldest first."""


def describe(
    name: str,
    recipe: Recipe,
    spec: DataSpec,
    data: Mapping[str, str] | None = None,
    origin: Origin = Origin(),
) -> dict[str, Any]:
    """The content of ``config.json``; plug-ins are those that the run cannot be opened without."""
    return {
        "library": "genwerk",
        "format": FORMAT,
        "version": __version__,
        "name": name,
        "recipe": to_json(recipe),
        "spec": to_json(spec),
        "condition": type(weightless(recipe.model, spec).condition).__name__,
        "data": dict(data or {}),
        "origin": to_json(origin),
        "plugins": plugins.sources(kinds_of(name, recipe, spec)),
    }


def kinds_of(name: str, recipe: Recipe, spec: DataSpec) -> Iterator[object]:
    """The classes and functions by which a run is described."""
    yield type(spec.modality)
    yield type(weightless(recipe.model, spec).condition)
    if name in REGISTRY:
        yield REGISTRY[name].make

    def within(value: Any) -> Iterator[object]:
        if isinstance(value, Config):
            yield Model.registry[type(value).__name__][1]
        if is_dataclass(value):
            yield type(value)
            for f in fields(value):
                yield from within(getattr(value, f.name))

    yield from within(recipe)


def check_condition(model: Model, path: Path) -> None:
    """Raise MissingPlugin where the run of a ``config.json`` has a condition of a plug-in that is not loaded, and
    ``model``, built without that, another."""
    config = read_json(path)
    if config.get("condition", type(model.condition).__name__) != type(model.condition).__name__:
        plugins.require(from_json(tuple[str, ...], config.get("plugins", []), f"{path}: plugins"), str(path))


def read_origin(path: Path) -> Origin:
    """What a ``config.json`` says of where its run comes from."""
    origin: Origin = from_json(Origin, read_json(path).get("origin", {}), f"{path}: origin")
    return origin


def read_config(path: Path) -> tuple[str, Recipe, DataSpec, dict[str, str]]:
    """Recipe name, recipe, spec and fingerprints of the data of a ``config.json``; a BadFile says what is wrong."""
    config = read_json(path)
    if config.get("library") != "genwerk":
        raise BadFile(f"{path} was not written by Genwerk; point at a folder that `genwerk train` made")
    config = current(config)
    if config.get("format") != FORMAT:
        raise BadFile(
            f"{path} has format {config.get('format')!r} and this Genwerk ({__version__}) reads up to {FORMAT}; "
            f"the run was written by version {config.get('version')!r}: install that one or a newer one"
        )
    name = from_json(str, config.get("name"), f"{path}: name")
    try:
        recipe = from_json(Recipe, config.get("recipe"), f"{path}: recipe")
        spec = from_json(DataSpec, config.get("spec"), f"{path}: spec")
        modality_of(spec)
    except BadInput:
        plugins.require(from_json(tuple[str, ...], config.get("plugins", []), f"{path}: plugins"), str(path))
        raise
    return name, recipe, spec, from_json(dict[str, str], config.get("data", {}), f"{path}: data")
