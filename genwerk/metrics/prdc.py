"""Precision, recall, density and coverage of generated examples, from nearest neighbours in feature space.

Precision and recall: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019,
arXiv:1904.06991, eq. 1 and 2. Density and coverage: Naeem et al., "Reliable Fidelity and Diversity Metrics for
Generative Models", 2020, arXiv:2002.09797, eq. 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor

from genwerk.metrics.frechet import check_comparable
from genwerk.metrics.spread import of_mean

CHUNK_BYTES = 16 * 2**20
"""Memory that one block of distances may take."""
PARTS, PART, REPEATS = 10, 50, 4
"""Parts at most that samples are cut into to tell how recall and coverage spread, rows at least of one, and how often
they are cut."""
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
    return _figures(_counted(real, fake, k), k)


def prdc_with_errors(real: Tensor, fake: Tensor, k: int = 5, *, seed: int = 0) -> tuple[PRDC, PRDC]:
    """The four figures, and their standard errors when ``fake`` is drawn again and ``real`` stays as it is.

    Precision and density are means over the rows of ``fake``, whose own spread tells. Recall and coverage are not, and
    repeated rows, which are neighbours at no distance, would shrink the balls, so there is no bootstrap of them: random
    parts of ``fake`` are each compared with the same random part of ``real``, as many times smaller as they are, and
    the errors of a part fall with the root of how many there are (Politis and Romano, "Large Sample Confidence Regions
    Based on Subsamples under Minimal Assumptions", 1994). nan where there are fewer than two parts of :data:`PART`
    rows.
    """
    found = _counted(real, fake, k)
    parts = min(PARTS, min(len(real), len(fake)) // PART)
    recall = coverage = nan
    if parts > 1:
        generator = torch.Generator().manual_seed(seed)
        squares = torch.zeros(2, dtype=torch.float64)
        for _ in range(REPEATS):
            some_real = real[torch.randperm(len(real), generator=generator)[: len(real) // parts].to(real.device)]
            groups = torch.randperm(len(fake), generator=generator)[: len(fake) // parts * parts].view(parts, -1)
            shares = [[x.double().mean() for x in _counted(some_real, fake[g.to(fake.device)], k)[2:]] for g in groups]
            squares += torch.tensor(shares, dtype=torch.float64).var(0)
        recall, coverage = (squares / REPEATS / parts).sqrt().tolist()
    return _figures(found, k), PRDC(of_mean(found[0]), recall, of_mean(found[1]) / k, coverage)


def _figures(counted: tuple[Tensor, Tensor, Tensor, Tensor], k: int) -> PRDC:
    (precise, inside, recalled, covered), (_, m, n, _) = ([int(each.sum()) for each in counted], map(len, counted))
    return PRDC(precise / m, recalled / n, inside / (k * m), covered / n)


def _counted(real: Tensor, fake: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whether each row of ``fake`` is inside the ball of a row of ``real``, and of how many; whether each row of
    ``real`` is inside the ball of a row of ``fake``, and whether its own ball holds one."""
    check_comparable(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(
            f"k is {k} for {len(real)} real and {len(fake)} fake examples; it must be 1 or more, and less than either"
        )
    centre = real.double().mean(0)
    real, fake = real.double() - centre, fake.double() - centre
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    inside = torch.zeros(len(fake), dtype=torch.long, device=fake.device)
    # as large as they will be: small tensors made between the blocks would keep memory from being taken again
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool, device=real.device)
    for rows, distances in _blocks(real, fake):
        in_real = distances <= real_radius[rows, None]
        inside += in_real.sum(0)
        covered[rows] = in_real.any(1)
        recalled[rows] = (distances <= fake_radius).any(1)
    return inside > 0, inside, recalled, covered


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
