"""Perceptual path length, and the similarities in which it is measured.

Karras, Laine & Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, 2019, arXiv:1812.04948,
section 4.1: how much a generated image changes along a short piece of the path between two latents. Drastic changes
mean that factors of variation are entangled.

Done differently: the caller gives the similarity (the paper's is LPIPS, whose weights are a download), without whose
name a figure means nothing; the short step is taken in double precision, for 1e-4 of a single-precision latent is
hardly more than its rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from genwerk.metrics.features import Extractor

Similarity = Callable[[Tensor, Tensor], Tensor]
"""Distance with shape (n,) between two batches of examples with shape (n, ...): 0 for equal ones, differentiable."""

Move = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The point at fraction t, with shape (n,), of the path from a to b, both with shape (n, ...)."""

EPSILON = 1e-4
"""Length of the piece, as a fraction of the path between two latents."""
SMALLEST = 4
"""Side in pixels of the smallest image in the pyramid of :func:`pixels`."""


@dataclass(frozen=True)
class PathLength:
    """Mean of the squared speed along paths, without its extremes, and the standard error of that mean."""

    mean: float
    standard_error: float
    pairs: int
    """Number of paths that count."""


def path_lengths(
    decode: Callable[[Tensor], Tensor],
    start: Tensor,
    end: Tensor,
    t: Tensor,
    similarity: Similarity,
    move: Move,
    *,
    epsilon: float = EPSILON,
) -> Tensor:
    """d(G(move(a, b, t)), G(move(a, b, t + epsilon))) / epsilon^2 for each pair (a, b), with shape (n,): eqs. 2 and 3.

    ``start`` and ``end`` are latents with shape (n, ...), ``t`` in [0, 1) has shape (n,); t = 0 measures at the end
    points alone. ``similarity`` grows with the square of a small difference, as LPIPS and squared errors do.
    """
    a, b, place = start.double(), end.double(), t.double()
    here, there = (decode(move(a, b, at).to(start.dtype)) for at in (place, place + epsilon))
    return similarity(here, there) / epsilon**2


def trimmed_mean(lengths: Tensor) -> PathLength:
    """The mean of ``lengths``, shape (n,), without those below the 1st and above the 99th percentile."""
    values = lengths.double()
    low = values.quantile(0.01, interpolation="lower")
    high = values.quantile(0.99, interpolation="higher")
    kept = values[(values >= low) & (values <= high)]
    error = kept.std().item() / len(kept) ** 0.5 if len(kept) > 1 else float("nan")
    return PathLength(kept.mean().item(), error, len(kept))


# --- similarities -----------------------------------------------------------------------------------------------------


def pixels(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference, for images averaged over a pyramid of halved sizes down to 4 pixels, with shape (n,).

    The small sizes see where a shape is before its edges meet, which plain squared error does not.
    """
    scales = [(a - b).square().flatten(1).mean(1)]
    while a.dim() == 4 and min(a.shape[2:]) >= 2 * SMALLEST:
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
        scales.append((a - b).square().flatten(1).mean(1))
    return torch.stack(scales).mean(0)


def in_features(extractor: Extractor) -> Similarity:
    """Squared Euclidean distance between the extractor's features of two batches."""

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (extractor.network(a) - extractor.network(b)).square().sum(1)

    return distance
