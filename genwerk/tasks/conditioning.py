"""What every verb begins with: whether the model can."""

from __future__ import annotations

from torch import Tensor

import genwerk.families  # noqa: F401  (registers who can do what)
from genwerk.core.abilities import ABILITIES, abilities
from genwerk.core.errors import Unsupported
from genwerk.core.model import Model
from genwerk.core.spec import Batch


def require(model: Model, verb: str, *needed: str) -> None:
    """Raise :class:`Unsupported`, naming what is missing and who has it, unless ``model`` has all ``needed``."""
    for ability in needed:
        if ability not in abilities(model):
            able = sorted(cls.__name__ for _, cls in Model.registry.values() if issubclass(cls, ABILITIES[ability]))
            raise Unsupported(
                f"{verb} needs a model with {ABILITIES[ability].phrase}, which {type(model).__name__} lacks"
                + (f"; these have it: {', '.join(able)}" if able else "")
            )


def conditions(model: Model, batch: Batch) -> Tensor | None:
    """The conditions of ``batch``, where ``model`` is; a BadInput where it needs some and the batch has none."""
    values = model.condition.check(batch.condition, model)
    return None if values is None else values.to(model.device)
