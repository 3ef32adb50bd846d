"""What every verb begins with: whether the model can."""

from __future__ import annotations

from torch import Tensor

from genwerk import recipes
from genwerk.core.abilities import ABILITIES, abilities
from genwerk.core.errors import Unsupported, called
from genwerk.core.model import Model, family
from genwerk.core.spec import Batch


def require(model: Model, verb: str, *needed: str) -> None:
    """Raise :class:`Unsupported` unless ``model`` has all ``needed``: what is missing, and the recipes that have it."""
    for ability in needed:
        if ability not in abilities(model):
            raise Unsupported(
                f"{verb} needs a model with {ABILITIES[ability].phrase}, which {called(model)} lacks"
                + (f"; recipes with it: {', '.join(able)}" if (able := recipes_with(ability)) else ""),
                ability,
            )


def recipes_with(ability: str) -> list[str]:
    """Names of the recipes, but for references, whose models have ``ability`` on the data that they are shown with."""
    shown = (entry for _, entry in sorted(recipes.REGISTRY.items()) if not entry.reference)
    return [entry.name for entry in shown if ability in abilities(family(entry.make(entry.spec).model))]


def conditions(model: Model, batch: Batch) -> Tensor | None:
    """The conditions of ``batch``, where ``model`` is; a BadInput where it needs some and the batch has none."""
    values = model.condition.check(batch.condition, model)
    return None if values is None else values.to(model.device)
