"""What every verb begins with: whether the model can."""

from __future__ import annotations

from torch import Tensor

from genwerk.core.abilities import ABILITIES, abilities
from genwerk.core.errors import Unsupported, called
from genwerk.core.model import Model
from genwerk.core.spec import Batch
from genwerk.tasks.fitting import recipes_with


def require(model: Model, verb: str, *needed: str, by: str = "") -> None:
    """Raise :class:`Unsupported` unless ``model`` has all ``needed`` and, where ``by`` is given, that condition.

    The sentence says what is missing, and which recipes have all of it on the data that the model is of.
    """
    lacking = next((ability for ability in needed if ability not in abilities(model)), None)
    if lacking is None and by in ("", model.condition.option):
        return
    why = (
        f"{verb} needs a model that is conditioned on the {by}, and {called(model)} is not"
        if lacking is None
        else f"{verb} needs a model with {ABILITIES[lacking].phrase}, which {called(model)} lacks"
    )
    able = recipes_with(model.spec, *needed, by=by)
    those = f"recipes with it: {', '.join(able)}" if able else f"no recipe has it on these data ({model.spec})"
    raise Unsupported(f"{why}; {those}", *needed, by=by)


def conditions(model: Model, batch: Batch) -> Tensor | None:
    """The conditions of ``batch``, where ``model`` is; a BadInput where it needs some and the batch has none."""
    values = model.condition.check(batch.condition, model)
    return None if values is None else values.to(model.device)
