"""Directions of a latent space along which an attribute comes and goes.

By means: Larsen et al., Autoencoding beyond Pixels using a Learned Similarity Metric, 2016, arXiv:1512.09300, section
4.2.1. By the normal of a hyperplane: Karras, Laine & Aila, 2019, arXiv:1812.04948, section 4.2.

Done differently: either way a direction is as long as the attribute is far, so that an amount of 1 leads from the
typical latent without the attribute to the typical one with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from genwerk.core.model import Model
from genwerk.core.spec import Batch
from genwerk.metrics.separability import linear_svm
from genwerk.tasks import encode, in_batches
from genwerk.tasks.steering.latents import Space, decoder, latents_of_prior, steady, usual_conditions

By = Literal["means", "svm"]


@dataclass(frozen=True)
class Labelled:
    """Latents of which it is known whether they have an attribute."""

    latents: Tensor
    """With shape (n, ...), of one space."""
    present: Tensor
    """Boolean, with shape (n,)."""


def labelled_codes(model: Model, batch: Batch, labels: Tensor | None, label: int) -> Labelled:
    """Latents of examples with ``labels``, and whether each is of the class ``label``, for a model that encodes."""
    if labels is None:
        raise ValueError("the data carry no labels, so that no example is known to have the attribute")
    return Labelled(encode(model, batch), labels == label)


def labelled_draws(
    model: Model,
    classify: Callable[[Tensor], Tensor],
    label: int,
    *,
    n: int = 2000,
    space: Space = "z",
    seed: int = 0,
) -> Labelled:
    """Latents of the prior, and whether ``classify`` (examples to class logits) finds the class ``label`` in each.

    A model of classes makes each as often as it is in the training data. In w and w+ the latents are one
    style each, with shape (n, d).
    """
    z = latents_of_prior(model, n, space, seed=seed)
    decode = decoder(model, space)
    with steady(model):
        found = in_batches(lambda z, c: classify(decode(z, c)), z, usual_conditions(model, n)).argmax(1)
    return Labelled(z if space == "z" else z[:, 0], found == label)


def attribute_direction(known: Labelled, by: By = "means") -> Tensor:
    """From latents without an attribute to those with it, in the shape of one latent.

    ``means`` is the difference of the two means; ``svm`` the normal of a linear support vector machine, as long as the
    means are apart along it. The normal disregards what merely goes along with the attribute in the data.
    """
    present = known.present.to(known.latents.device)
    if present.all() or not present.any():
        raise ValueError(
            f"{int(present.sum())} of {len(present)} examples have the attribute; a direction needs some with and some "
            "without"
        )
    apart = known.latents[present].mean(0) - known.latents[~present].mean(0)
    if by == "means":
        return apart
    normal = linear_svm(known.latents.flatten(1), present).normal.view_as(apart)
    return normal * (normal * apart).sum()


def edit(
    model: Model,
    latent: Tensor,
    direction: Tensor,
    amounts: Sequence[float],
    *,
    space: Space = "z",
    condition: Tensor | None = None,
) -> Tensor:
    """What each latent becomes as it moves by each amount of ``direction``, with shape (n, len(amounts), *spec.shape).

    Among styles a direction with shape (d,) moves every layer, one with shape (layers, d) each its own way.
    """
    if not amounts:
        raise ValueError("name one amount or more by which to move")
    decode = decoder(model, space)
    moved = torch.stack([latent + amount * direction for amount in amounts], 1)
    c = None if condition is None else condition.repeat_interleave(len(amounts))
    with steady(model):
        made = in_batches(decode, moved.flatten(0, 1), c)
    return made.reshape(*moved.shape[:2], *made.shape[1:])
