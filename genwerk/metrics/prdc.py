"""Precision, recall, density and coverage of generated examples, from nearest neighbours in feature space.

Precision and recall: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019,
arXiv:1904.06991, eq. 1 and 2. Density and coverage: Naeem et al., "Reliable Fidelity and Diversity Metrics for
Generative Models", 2020, arXiv:2002.09797, eq. 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from genwerk.metrics.frechet import check_comparable

CHUNK_BYTES = 16 * 2**20
"""Memory that one block of distances may take."""
ROUNDING = 1e-13
"""What rounding may add to a squared distance, as a fraction of the largest squared norm: equal rows are at no
distance, and an example lies in its own ball."""


@dataclass(frozen=True)
class PRDC:
    """Four fractions; all but density lie in [0, 1], and density is 1 in expectation for a perfect model."""

    precision: float
    """Fraction of fake examples inside the ball of some real example."""
    recall: float
    """Fraction of real examples inside the ball of some fake example."""
    density: float
    """How many real balls a fake example lies in, divided by k."""
    coverage: float
    """Fraction of real examples whose ball holds some fake example."""


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """The four figures for features ``real`` with shape (n, d) and ``fake`` with shape (m, d).

    The ball of an example reaches up to and including its ``k``-th nearest other example of the same set.
    """
    check_comparable(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(
            f"k is {k} for {len(real)} real and {len(fake)} fake examples; it must be 1 or more, and less than either"
        )
    centre = real.double().mean(0)
    real, fake = real.double() - centre, fake.double() - centre
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    precise = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    recalled = covered = inside = 0
    for rows, distances in _blocks(real, fake):
        in_real = distances <= real_radius[rows, None]
        precise |= in_real.any(0)
        covered += int(in_real.any(1).sum())
        inside += int(torch.count_nonzero(in_real))
        recalled += int((distances <= fake_radius).any(1).sum())
    n, m = len(real), len(fake)
    return PRDC(int(precise.sum()) / m, recalled / n, inside / (k * m), covered / n)


def _radii(x: Tensor, k: int) -> Tensor:
    """Squared distance with shape (n,) of each row to its k-th nearest other row, and what rounding may add to it."""
    from sklearn.neighbors import NearestNeighbors

    rows = x.cpu().numpy()
    nearest = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows).kneighbors()[0]
    return torch.from_numpy(nearest[:, -1]).to(x.device).square() + ROUNDING * x.square().sum(1).max()


def _blocks(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances from all rows of ``a`` to all of ``b``, a block of rows of ``a`` at a time.

    They are |a|^2 + |b|^2 - 2 a.b, as one product of rows that end in their squares.
    """
    a_square, b_square = a.square().sum(1, keepdim=True), b.square().sum(1, keepdim=True)
    left = torch.cat([-2 * a, a_square, torch.ones_like(a_square)], 1)
    right = torch.cat([b, torch.ones_like(b_square), b_square], 1).T
    step = max(1, CHUNK_BYTES // (8 * len(b)))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        yield rows, left[rows] @ right
