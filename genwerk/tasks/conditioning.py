"""What every verb asks first: whether the model can, and what it is told."""

from __future__ import annotations

import torch
from torch import Tensor

import genwerk.families  # noqa: F401  (registers who can do what)
from genwerk.core.abilities import ABILITIES, abilities, condition_of, told_numbers, told_what
from genwerk.core.errors import Unsupported
from genwerk.core.model import Model
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.spec import Batch, Prior, numbers


def require(model: Model, verb: str, *needed: str) -> None:
    """Raise :class:`Unsupported`, naming what is missing and who has it, unless ``model`` has all ``needed``."""
    for ability in needed:
        if ability not in abilities(model):
            able = sorted(cls.__name__ for _, cls in Model.registry.values() if issubclass(cls, ABILITIES[ability]))
            raise Unsupported(
                f"{verb} needs a model with {ABILITIES[ability].phrase}, which {type(model).__name__} lacks"
                + (f"; these have it: {', '.join(able)}" if able else "")
            )


def condition_for(model: Model, batch: Batch) -> Tensor | None:
    """The batch's condition where the model takes one; its absence is one sentence."""
    if (kind := told_what(model)) == "none":
        return None
    if (condition := condition_of(model, batch)) is None:
        if kind == "vector":
            wanted = numbers(model.spec.given)
            raise ValueError(f"this {type(model).__name__} is told {wanted}, and the examples lack them")
        option = "--label" if kind == "label" else "--prompt"
        raise ValueError(f"this {type(model).__name__} was trained with a {kind}; give one with {option}")
    return condition.to(model.device)


CLASSES = 1
"""The use of seeds beside those of the examples: to draw classes."""


def asked(
    model: Model,
    n: int,
    label: int | None = None,
    text: Tensor | None = None,
    given: Tensor | None = None,
    *,
    prior: Prior = "train",
    seeds: Seeds,
) -> Tensor | None:
    """The condition of each of ``n`` samples that ``seeds`` names.

    Without a ``label`` classes are drawn as often as they are in the training data, or each in turn where ``prior`` is
    "even" or nobody counted them.
    """
    kind = told_what(model)
    if label is not None and kind != "label":
        raise ValueError(f"this {type(model).__name__} is not told a label; leave out --label")
    if text is not None and kind != "text":
        raise ValueError(f"this {type(model).__name__} is not told a text; leave out --prompt")
    if given is not None and kind != "vector":
        raise ValueError(f"this {type(model).__name__} is not told numbers; leave out --given")
    if kind == "none":
        return None
    number = torch.arange(seeds.first, seeds.first + n)
    if kind == "vector":
        if given is None:
            raise ValueError(f"this {type(model).__name__} is told {numbers(model.spec.given)}; give them with --given")
        condition = told_numbers(model, given, model.spec.given)[number % len(given)]
    elif kind == "label" and label is not None:
        condition = torch.full((n,), label)
    elif kind == "label" and (prior == "even" or not model.spec.counted):
        condition = number % len(model.spec.classes)
    elif kind == "label":
        condition = model.spec.drawn_class(SeededNoise(n, seeds.beside(CLASSES)).uniform())
    elif text is None:
        raise ValueError(f"this {type(model).__name__} is told what to make; give a text with --prompt")
    else:
        condition = text[number % len(text)]
    return condition.to(model.device)
