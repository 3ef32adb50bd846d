"""How near generated examples come to the training examples, beside how near held-out examples come.

None of these figures proves that a model copies, nor that it does not: compare them with those of other models on the
same data, and look at the nearest pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from genwerk.metrics.frechet import check_parts


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


def memorisation(train: Tensor, test: Tensor, fake: Tensor, *, cells: int = 5, seed: int = 0) -> Memorisation:
    """The figures for features of training, test and generated examples, with shape (n, d) each.

    ``cells`` are the k-means clusters of the training features, found with ``seed``, within which C_T compares.
    """
    check_parts(train, test, fake, 2)
    own, _ = nearest(train)
    of_test, _ = nearest(train, test)
    of_fake, which = nearest(train, fake)
    median = of_test.median()
    return Memorisation(
        ratio=float(of_fake.median() / median) if median > 0 else float("nan"),
        nearer_than_any_test=(of_fake < of_test.min()).double().mean().item(),
        authenticity=(of_fake > own[which]).double().mean().item(),
        copying=copying(train, test, fake, cells=cells, seed=seed),
    )


def nearest(among: Tensor, of: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance to the nearest row of ``among``, and which it is, with shape (n,) each, for every row of ``of``.

    Without ``of``, of every row of ``among`` to its nearest other row.
    """
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(among.double().cpu().numpy())
    distance, row = fitted.kneighbors(None if of is None else of.double().cpu().numpy())
    return torch.from_numpy(distance[:, 0]), torch.from_numpy(row[:, 0])


def copying(train: Tensor, test: Tensor, fake: Tensor, *, cells: int = 5, seed: int = 0, share: float = 0.05) -> float:
    """C_T of generated examples; nan where no cell holds enough of all three.

    In each cell, the Mann-Whitney statistic of the distances to the cell's training examples is standardised as under
    equal distributions; cells with at least ``share`` of the generated examples are averaged with the fraction of the
    test examples in them as the weight.
    """
    from sklearn.cluster import KMeans

    found = KMeans(cells, n_init=1, random_state=seed).fit(train.double().cpu().numpy())
    in_train, in_test, in_fake = (
        torch.from_numpy(found.predict(part.double().cpu().numpy())) for part in (train, test, fake)
    )
    total, weight = 0.0, 0
    for cell in range(cells):
        members, judged, made = train[in_train == cell], test[in_test == cell], fake[in_fake == cell]
        if len(made) < max(1.0, share * len(fake)) or not len(judged) or not len(members):
            continue
        total += len(judged) * _standardised(nearest(members, made)[0], nearest(members, judged)[0])
        weight += len(judged)
    return total / weight if weight else float("nan")


def _standardised(a: Tensor, b: Tensor) -> float:
    """The Mann-Whitney statistic of ``a`` being greater than ``b``, in its standard deviations under equality."""
    from scipy.stats import mannwhitneyu

    n, m = len(a), len(b)
    u = float(mannwhitneyu(a.numpy(), b.numpy()).statistic)
    return (u - n * m / 2) / sqrt(n * m * (n + m + 1) / 12)
