"""How near generated examples come to the training examples, beside how near held-out examples come.

None of these figures proves that a model copies, nor that it does not: compare them with those of other models on the
same data, and look at the nearest pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import nan, sqrt

import torch
from torch import Tensor

from genwerk.metrics.frechet import check_parts
from genwerk.metrics.spread import of_mean, of_median

CLUSTERED = 10_000
"""Training examples at most among which clusters are sought."""
SHARE = 0.05
"""Share of the generated examples that a cell must hold for C_T to compare in it."""


@dataclass(frozen=True)
class Memorisation:
    """Distances of generated and of held-out (test) examples to their nearest training example."""

    ratio: float
    """Median distance of generated examples divided by that of test examples: 1 where they are as near."""
    nearer_than_any_test: float
    """Fraction of generated examples that are nearer to a training example than any test example is."""
    authenticity: float
    """Fraction of generated examples that are farther from their nearest training example than that one is from its own
    nearest (AuthPct as a fraction): Alaa et al., "How Faithful is your Synthetic Data?", 2022, arXiv:2102.08921,
    section 4.3."""
    copying: float
    """Meehan et al., "A Non-Parametric Test to Detect Data-Copying in Generative Models", 2020, arXiv:2004.05675, C_T:
    standard deviations by which generated examples are farther from the training data than test examples are. Well
    below 0 points to copying, well above to underfitting."""


@dataclass(frozen=True)
class Near:
    """Where some examples lie among the training examples, a row each."""

    distance: Tensor
    """To the nearest training example."""
    row: Tensor
    """Which one that is."""
    authentic: Tensor
    """Whether it is farther away than from its own nearest training example."""
    cell: Tensor
    """In which cell the example lies."""
    within: Tensor
    """Distance to the nearest training example of that cell; infinite where it has none."""

    def __getitem__(self, rows: slice) -> Near:
        return Near(*(getattr(self, each.name)[rows] for each in fields(self)))

    def __len__(self) -> int:
        return len(self.distance)


class Neighbourhood:
    """Training examples, by features with shape (n, d), among which others lie: in ``cells`` k-means clusters, found
    with ``seed`` on at most :data:`CLUSTERED` of them."""

    def __init__(self, train: Tensor, *, cells: int = 5, seed: int = 0) -> None:
        from sklearn.cluster import KMeans

        self.train = train.cpu()
        some = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:CLUSTERED]
        found = KMeans(min(cells, len(some)), n_init=1, random_state=seed).fit(self.train[some].double().numpy())
        self._centres = torch.from_numpy(found.cluster_centers_).to(train.dtype)
        self._cells = self._cell(self.train)

    def _cell(self, x: Tensor) -> Tensor:
        return torch.cat([torch.cdist(part, self._centres).argmin(1) for part in x.split(CLUSTERED)])

    def near(self, of: Tensor) -> Near:
        """Where the examples with features ``of``, shape (m, d), lie."""
        of = of.cpu().to(self.train.dtype)
        distance, row = nearest(self.train, of)
        found, again = row.unique(return_inverse=True)
        cell, within = self._cell(of), distance.clone()
        for each in cell[away := self._cells[row] != cell].unique().tolist():
            of_cell, members = away & (cell == each), self.train[self._cells == each]
            within[of_cell] = nearest(members, of[of_cell])[0] if len(members) else float("inf")
        return Near(distance, row, distance > own(self.train, found)[again], cell, within)


def memorisation(train: Tensor, test: Tensor, fake: Tensor, *, cells: int = 5, seed: int = 0) -> Memorisation:
    """The figures for features of training, test and generated examples, with shape (n, d) each.

    ``cells`` are the clusters of the training features, found with ``seed``, within which C_T compares.
    """
    check_parts(train, test, fake, 2)
    among = Neighbourhood(train, cells=cells, seed=seed)
    return compared(among.near(fake), among.near(test))[0]


def compared(fake: Near, test: Near) -> tuple[Memorisation, Memorisation]:
    """The figures of generated beside test examples, and their standard errors when the former are drawn again."""
    median, nearer = test.distance.median().item(), (fake.distance < test.distance.min()).double()
    authentic, (copying, error) = fake.authentic.double(), _copying(fake, test)
    ratio, of_ratio = nan, nan
    if median > 0:
        ratio, of_ratio = fake.distance.median().item() / median, of_median(fake.distance) / median
    return (
        Memorisation(ratio, nearer.mean().item(), authentic.mean().item(), copying),
        Memorisation(of_ratio, of_mean(nearer), of_mean(authentic), error),
    )


def nearest(among: Tensor, of: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the nearest row of ``among``, and which it is, with shape (n,) each, for every row of ``of``."""
    distance, row = _neighbours(among, of, 1)
    return distance[:, 0], row[:, 0]


def own(among: Tensor, rows: Tensor) -> Tensor:
    """Distance with shape (n,) of the ``rows`` of ``among`` to the nearest other row."""
    return _neighbours(among, among[rows], 2)[0][:, 1]


def _neighbours(among: Tensor, of: Tensor, k: int) -> tuple[Tensor, Tensor]:
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(among.cpu().numpy())
    distance, row = fitted.kneighbors(of.cpu().numpy())
    return torch.from_numpy(distance).double(), torch.from_numpy(row)


def _copying(fake: Near, test: Near) -> tuple[float, float]:
    """C_T of generated examples, and its standard error; nan where no cell holds enough of all three.

    In each cell, the Mann-Whitney statistic of the distances to the cell's training examples is standardised as under
    equal distributions; cells with at least :data:`SHARE` of the generated examples are averaged with the fraction of
    the test examples in them as the weight.
    """
    total, variance, weight = 0.0, 0.0, 0
    for cell in test.cell.unique().tolist():
        made, judged = fake.within[fake.cell == cell], test.within[test.cell == cell]
        n, m = len(made), len(judged)
        if n < max(1.0, SHARE * len(fake)) or judged.isinf().any():
            continue
        ordered = judged.sort().values
        below = torch.searchsorted(ordered, made) + torch.searchsorted(ordered, made, right=True)
        farther = below.double() / (2 * m)  # share of the test examples that each is farther than, ties by halves
        in_deviations = sqrt(12 * n * m / (n + m + 1))
        total += m * in_deviations * (farther.mean().item() - 0.5)
        variance += (m * in_deviations * of_mean(farther)) ** 2
        weight += m
    return (total / weight, sqrt(variance) / weight) if weight else (nan, nan)
