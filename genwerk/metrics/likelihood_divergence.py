"""Feature likelihood divergence: how likely held-out examples are under a density built of the generated ones.

Jiralerspong et al., "Feature Likelihood Divergence: Evaluating the Generalization of Generative Models Using Samples",
2023, arXiv:2302.04440, section 3. A Gaussian stands at every generated example; their widths are fitted to the training
examples, so a copy of one gets a narrow Gaussian that is of no use to the test examples.

Where we differ: the authors' code descends with Adam for at most 50 steps, we take the steps of
expectation-maximisation, which have no rate, until a step gains less than 5e-4 nats a dimension.
"""

from __future__ import annotations

from math import log, pi
from statistics import stdev

import torch
from torch import Tensor

from genwerk.metrics.frechet import check_parts

CHUNK_BYTES = 32 * 2**20
"""Memory that one block of distances may take."""
STEPS = 50
"""Most steps of the fit."""
TOLERANCE = 5e-4
"""Gain of a step, in nats a dimension, below which the fit has ended."""
HALVES = 6
"""Random halves of the generated examples whose differences make the standard error."""
NARROWEST = -40.0
"""Least logarithm of a variance, in units of the features' own: that of the copy of a training example."""


class Divergence:
    """The divergence of any ``centres`` generated examples, given features of training and test examples.

    Features have shape (n, d) each and are brought to mean 0 and variance 1 over ``test``. The reference puts the
    Gaussians on one half of the training examples, taken with ``seed``, and fits them to the other; it is worth as much
    as the generated ones where it has as many, so take at most half as many of these as of training examples.
    """

    def __init__(self, train: Tensor, test: Tensor, centres: int, *, seed: int = 0) -> None:
        check_parts(train, test, test, 4)
        self._mean, spread = test.double().mean(0), test.double().std(0)
        self._spread = spread.where(spread > 0, 1.0)
        self._train, self._test = self._scaled(train), self._scaled(test)
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
        half = min(len(train) // 2, centres)
        real, others = self._train[order[:half]], self._train[order[half:]]
        self._some, self._seed = order[len(train) // 2 :], seed
        self.reference = _nats_per_dim(self._test, real, _log_variances(others, real))

    def _scaled(self, x: Tensor) -> Tensor:
        return ((x.double() - self._mean) / self._spread).float()

    def of(self, fake: Tensor) -> float:
        """100 times the nats a dimension by which the test examples are less likely under the generated ones than under
        training examples in their place; 0 is as good as real data, and lower is better."""
        check_parts(self._train, self._test, fake, 4)
        fake = self._scaled(fake)
        return 100 * (_nats_per_dim(self._test, fake, _log_variances(self._train, fake)) - self.reference)

    def error(self, fake: Tensor) -> float:
        """Standard error when the generated examples are drawn again: how random halves of them differ, each fitted to
        the same half of the training examples (Shao and Wu, "A General Theory for Jackknife Variance Estimation", 1989:
        what halves without repetition differ by is the error of the whole). A bootstrap would repeat examples, and two
        Gaussians at one place are one; errors measured on Gaussians are 0.7 to 0.9 of the true ones."""
        fake, train = self._scaled(fake), self._train[self._some]
        generator, found = torch.Generator().manual_seed(self._seed), []
        for _ in range(HALVES):
            half = fake[torch.randperm(len(fake), generator=generator)[: max(1, len(fake) // 2)]]
            found.append(100 * _nats_per_dim(self._test, half, _log_variances(train, half)))
        return stdev(found)


def feature_likelihood_divergence(train: Tensor, test: Tensor, fake: Tensor, *, seed: int = 0) -> float:
    """The :class:`Divergence` of the features ``fake`` with shape (n, d), lower being better and 0 as good as real
    data; take half as many generated as training examples to compare with the paper."""
    check_parts(train, test, fake, 4)
    return Divergence(train, test, len(fake), seed=seed).of(fake)


def _log_variances(x: Tensor, centres: Tensor) -> Tensor:
    """Logarithms of the variances with shape (m,) of equally weighted Gaussians at ``centres`` with shape (m, d) that
    make ``x`` with shape (n, d) likeliest.

    A broad Gaussian of weight 1 about the mean of ``x`` is fitted along, so that rows far from all centres do not
    decide alone how wide those are; it is no part of the density.
    """
    d, middle = x.shape[1], x.mean(0, keepdim=True)
    least = torch.cat([_squared(part, x).amin(1) for part in centres.split(_rows(x))])
    found = torch.cat([((least + 1e-3) / d).log(), torch.zeros(1)]).clamp(min=NARROWEST)
    before = -float("inf")
    for _ in range(STEPS):
        mass, spread, gained = torch.zeros(len(found)), torch.zeros(len(found)), 0.0
        for rows in x.split(_rows(centres)):
            squared = torch.cat([_squared(rows, centres), 0.81 * _squared(rows, middle)], 1)
            density = _densities(squared, found, d)
            density[:, :-1] -= log(len(centres))
            whole = density.logsumexp(1, keepdim=True)
            share = density.sub_(whole).exp_()
            mass += share.sum(0)
            spread += share.mul_(squared).sum(0)
            gained += whole.sum().item()
        update = (spread / (d * mass.clamp(min=1e-30))).log().clamp(min=NARROWEST)
        found = update.where(mass > 1e-6, found)  # a Gaussian that no row belongs to stays as it is
        gained /= len(x) * d
        if gained - before < TOLERANCE:
            break
        before = gained
    return found[:-1]


def _nats_per_dim(x: Tensor, centres: Tensor, log_variances: Tensor) -> float:
    """Mean negative log-likelihood of ``x``, in nats a dimension."""
    total = 0.0
    for rows in x.split(_rows(centres)):
        density = _densities(_squared(rows, centres), log_variances, x.shape[1])
        total += float((density.logsumexp(1) - log(len(centres))).sum())
    return -total / x.numel()


def _densities(squared: Tensor, log_variances: Tensor, d: int) -> Tensor:
    """Log-density of each row under each isotropic Gaussian, of their squared distances with shape (n, m)."""
    return -0.5 * (squared * (-log_variances).exp() + d * (log_variances + log(2 * pi)))


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances with shape (n, m)."""
    return torch.cdist(a, b).square()


def _rows(other: Tensor) -> int:
    """How many rows to compare at once with all of ``other``."""
    return max(1, CHUNK_BYTES // (4 * len(other)))
