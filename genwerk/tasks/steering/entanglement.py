"""How entangled a generator's latent spaces are, by path length and linear separability.

Karras, Laine & Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, 2019, arXiv:1812.04948,
section 4; the measures themselves stand in :mod:`genwerk.metrics.ppl` and :mod:`genwerk.metrics.separability`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genwerk.core.abilities import abilities
from genwerk.core.model import Model
from genwerk.core.noise import Seeds
from genwerk.metrics.ppl import PathLength, Similarity, path_lengths, pixels, trimmed_mean
from genwerk.metrics.separability import Separability, linear_separability, one_against_rest
from genwerk.tasks import in_batches, lerp, slerp
from genwerk.tasks.steering.latents import Space, decoder, latents_of_prior, steady, usual_conditions


@dataclass(frozen=True)
class Entanglement:
    """Figures of one latent space; smaller is better for all."""

    space: Space
    full: PathLength
    """Path length at places drawn uniformly from the way between two latents."""
    ends: PathLength
    """Path length at the ends, which are latents as the prior draws them."""
    separability: Separability | None
    """Of the classes; None where no classifier was given."""


def entanglement(
    model: Model,
    *,
    similarity: Similarity = pixels,
    classify: Callable[[Tensor], Tensor] | None = None,
    pairs: int = 1000,
    samples: int = 4000,
    seed: int = 0,
) -> list[Entanglement]:
    """The figures of z, along arcs, and of w, along lines, where the model has styles.

    ``pairs`` paths are measured (the paper: 100,000), and ``classify``, from examples to class logits, judges
    ``samples`` (200,000). A model of classes has one a path, as often as in training. Both
    spaces see the same draws.
    """
    if pairs < 1 or samples < 1:
        raise ValueError(f"pairs is {pairs} and samples is {samples}; both must be 1 or more")
    spaces: list[Space] = ["z", "w"] if "styles" in abilities(model) else ["z"]
    with steady(model):
        return [
            Entanglement(
                space,
                path_length(model, space, similarity, pairs=pairs, seed=seed),
                path_length(model, space, similarity, pairs=pairs, ends=True, seed=seed),
                None if classify is None else separability(model, space, classify, samples=samples, seed=seed),
            )
            for space in spaces
        ]


def path_length(
    model: Model, space: Space, similarity: Similarity = pixels, *, pairs: int = 1000, ends: bool = False, seed: int = 0
) -> PathLength:
    """Perceptual path length in ``space``; ``ends`` measures at t = 0 alone."""
    starts, stops = (latents_of_prior(model, pairs, space, seed=Seeds(seed, first)) for first in (0, pairs))
    t = torch.rand(pairs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * (not ends)
    decode, move = decoder(model, space), slerp if space == "z" else lerp

    def lengths(start: Tensor, end: Tensor, t: Tensor, c: Tensor | None) -> Tensor:
        return path_lengths(lambda z: decode(z, c), start, end, t, similarity, move)

    with steady(model):
        return trimmed_mean(in_batches(lengths, starts, stops, t.to(starts.device), usual_conditions(model, pairs)))


def separability(
    model: Model, space: Space, classify: Callable[[Tensor], Tensor], *, samples: int = 4000, seed: int = 0
) -> Separability:
    """Linear separability in ``space`` of the classes that ``classify`` sees, each against all others."""
    z = latents_of_prior(model, samples, space, seed=seed)
    decode = decoder(model, space)
    with steady(model):
        logits = in_batches(lambda z, c: classify(decode(z, c)), z, usual_conditions(model, samples))
    return linear_separability((z if space == "z" else z[:, 0]).flatten(1), one_against_rest(logits))
