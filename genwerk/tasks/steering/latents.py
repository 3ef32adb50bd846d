"""Latents of a generator by their numbers, the spaces they live in, and what is made of them.

A latent lives in one of three spaces: ``z`` is that of the prior, with shape (n, *model.latent_shape); ``w`` and ``w+``
are those of styles, with shape (n, layers, d), the same at every layer in w and each their own in w+.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from genwerk.core.abilities import HasLatentPrior, Styles, abilities
from genwerk.core.model import Model
from genwerk.core.noise import Seed, Seeds
from genwerk.tasks import LatentPath, in_batches, interpolate_latents, require

Space = Literal["z", "w", "w+"]

Decode = Callable[[Tensor, Tensor | None], Tensor]
"""What takes latents of a space and conditions (or None) to examples."""


def latents(
    model: Model, numbers: Sequence[int], space: Space = "z", condition: Tensor | None = None, *, seed: int = 0
) -> Tensor:
    """The latents of the samples of ``seed`` with these ``numbers``: those that ``sample`` draws, counted from 0.

    In z their shape is (n, *latent_shape), in w (n, layers, d).
    """
    require(model, "steering", "has-latent-prior")
    assert isinstance(model, HasLatentPrior)
    if not numbers:
        raise ValueError("name one sample or more by its number")
    with torch.no_grad():
        z = torch.cat([model.prior(1, seed=Seeds(seed, i)) for i in numbers])
        return z if space == "z" else styled(model, f"the space {space}").map(z, same(model, len(z), condition))


def latents_of_prior(model: Model, n: int, space: Space = "z", *, seed: Seed = 0) -> Tensor:
    """``n`` latents of the prior, drawn by ``seed``; styles are those of usual conditions."""
    require(model, "steering", "has-latent-prior")
    assert isinstance(model, HasLatentPrior)
    z = model.prior(n, seed=seed)
    return z if space == "z" else in_batches(styled(model, f"the space {space}").map, z, usual_conditions(model, n))


def usual_conditions(model: Model, n: int) -> Tensor | None:
    """``n`` conditions, the same at every call, as often as in the training data; None for an unconditional model."""
    found = model.condition.or_drawn(None, lambda: torch.rand(n, generator=torch.Generator().manual_seed(0)), model)
    return None if found is None else found.to(model.device)


def decoder(model: Model, space: Space) -> Decode:
    """The model's decoder of latents of ``space``; styles have their condition in them already."""
    require(model, "steering", "has-latent-prior")
    assert isinstance(model, HasLatentPrior)
    if space == "z":
        return model.decode
    synthesise = styled(model, f"the space {space}").synthesise

    def decode(w: Tensor, condition: Tensor | None = None) -> Tensor:  # noqa: ARG001
        return synthesise(w)

    return decode


def same(model: Model, n: int, condition: Tensor | None) -> Tensor | None:
    """``n`` times the ``condition``, with one row, which must be given to a conditional model and to no other."""
    if condition is None:
        return model.condition.check(None, model)
    found = model.condition.draw(n, Seeds(0), model, condition)
    return None if found is None else found.to(model.device)


def home(model: Model) -> Space:
    """The space in which a model is best steered: w where it has styles, else z."""
    return "w" if "styles" in abilities(model) else "z"


@contextmanager
def steady(model: Model) -> Iterator[None]:
    """The model in evaluation mode with weights that take no gradient, and as it was afterwards."""
    training, learning = model.training, [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for p in learning:
        p.requires_grad_(False)
    try:
        yield
    finally:
        model.train(training)
        for p in learning:
            p.requires_grad_(True)


def styled(model: Model, verb: str) -> Styles:
    """``model`` as one that has styles; ``verb`` is refused where it has none."""
    require(model, verb, "styles")
    assert isinstance(model, Styles)
    return model


def interpolate(
    model: Model,
    start: Tensor,
    end: Tensor,
    steps: int = 9,
    *,
    space: Space = "z",
    path: LatentPath | None = None,
    condition: Tensor | None = None,
) -> Tensor:
    """The examples on the way from each latent of ``start`` to each of ``end``, with shape (n, steps, *spec.shape).

    Both ends are included. ``path`` None takes an arc in z, whose prior is empty around its centre, and a line among
    styles, where nothing else has a meaning.
    """
    if space != "z" and path == "sphere":
        raise ValueError(f"styles have no sphere to keep to: in {space} the path is a line")
    with steady(model):
        usual: LatentPath = "sphere" if space == "z" else "line"
        return interpolate_latents(decoder(model, space), start, end, steps, path or usual, lambda _: condition)
