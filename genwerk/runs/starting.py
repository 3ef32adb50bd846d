"""A training that starts from another run's weights: on data that are read as that run's were, by a model they fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model, build
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Dataset, Splits, palette
from genwerk.data.parts import arranged, like
from genwerk.runs.card import flat
from genwerk.runs.checkpoints import sha256
from genwerk.runs.config import Start
from genwerk.runs.loading import Stored, load_model
from genwerk.training.settings import to_json


def reading(own: DataConfig, spec: DataSpec) -> DataConfig:
    """Settings by which data of any source are read as those of ``spec``: at its size, rate and colour.

    What else ``own`` says, the run's settings, holds on; the source is still to be named.
    """
    return replace(like(own, spec), source="")


def matched(splits: Splits, stored: Stored) -> Splits:
    """``splits`` with columns, classes, words and colours as the run counts them; a BadInput says what does not fit."""
    wanted, source, run = stored.spec, splits.settings.source, stored.run

    def alike(part: Dataset) -> Dataset:
        part = arranged(part, wanted, source)
        return part if wanted.vocabulary is None else part.read(wanted.vocabulary)

    splits = splits.each(alike)
    if wanted.palette and splits.spec.palette != wanted.palette:
        splits = palette.bring(splits, wanted.palette)
    found = splits.spec
    for what in ("kind", "shape", "levels", "nominal", "sample_rate"):
        if getattr(found, what) != getattr(wanted, what):
            raise BadInput(f"{source} holds {found}, and the weights of {run} fit only {wanted}")
    return splits


def started(stored: Stored, config: Config, spec: DataSpec) -> Model:
    """The model of ``config`` for data of ``spec``, with the run's weights; a BadInput says why they do not fit."""
    run, source = stored.run, load_model(stored)
    if type(config) is not type(stored.recipe.model):
        raise BadInput(f"{run} is a run of {stored.name}, whose weights fit no other family; leave out the recipe")
    model = build(config, spec)
    _same_condition(source, model, run)
    given, needed = source.state_dict(), model.state_dict()
    if {name: t.shape for name, t in given.items()} != {name: t.shape for name, t in needed.items()}:
        was, now = flat(to_json(stored.recipe.model)), flat(to_json(config))
        other = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
        differ = ", ".join(f"‹model.{key}› is {now.get(key)} and was {was.get(key)}" for key in other[:5])
        raise BadInput(
            f"the weights of {run} do not fit: {differ or 'the data are others'}; leave out the recipe and these "
            "settings, to take the run's own"
        )
    model.load_state_dict(given)
    return model


def _same_condition(source: Model, model: Model, run: Path) -> None:
    """Refuse data whose conditions mean something else than those of the ``run``."""
    was, now = source.spec, model.spec
    if source.condition.classes and was.classes != now.classes:
        new = [name for name in now.classes if name not in was.classes]
        which = f"have the class {new[0]!r}, which {run} has never seen" if new else "have no labels"
        raise BadInput(f"the data {which}; its classes are {', '.join(was.classes)}")
    if was.covariates != now.covariates:
        raise BadInput(
            f"the data have {model.condition.noun or 'no covariates'}, and {run} was trained with "
            f"{source.condition.noun or 'none'}; name the same by ‹data.covariates›"
        )


def start(stored: Stored, path: Path) -> Start:
    """What a run that starts from ``stored``, named as ``path``, remembers of it."""
    weights = sha256(stored.folder / "model.safetensors")
    return Start(run=str(path), recipe=stored.name, round=stored.round, sha256=weights)
