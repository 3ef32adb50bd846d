"""Mean, spread and range of rows that are seen a part at a time, in float64.

T. F. Chan, G. H. Golub, R. J. LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979.
Parts are joined by their means and variances, never by sums of squares, so columns far from zero lose no digits.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class Moments:
    """Moments of all rows added so far, each flattened to d values.

    ``covariance`` (by n, not n - 1) has shape (d, d), or holds the variances alone, (d,), unless ``full``.
    """

    def __init__(self, parts: Iterable[Tensor] = (), *, full: bool = False) -> None:
        self.full, self.n = full, 0
        self.mean = self.covariance = self.least = self.greatest = torch.zeros(0, dtype=torch.float64)
        for part in parts:
            self.add(part)

    def add(self, part: Tensor) -> None:
        """Take in rows with shape (m, ...), m at least 1."""
        x = part.detach().cpu().flatten(1).double()
        least, greatest = x.amin(0), x.amax(0)
        mean, covariance = x.mean(0), x.var(0, correction=0)
        if self.full:
            x = x - mean
            covariance = x.T @ x / len(x)
        if self.n:
            n, step = self.n + len(x), mean - self.mean
            between = torch.outer(step, step) if self.full else step.square()
            old, new = self.n / n, len(x) / n
            mean = self.mean + step * new
            covariance = self.covariance * old + covariance * new + between * (old * new)
            least, greatest = torch.minimum(self.least, least), torch.maximum(self.greatest, greatest)
        self.mean, self.covariance, self.least, self.greatest = mean, covariance, least, greatest
        self.n += len(x)

    @property
    def std(self) -> Tensor:
        """Standard deviation of each value over the rows with shape (d,); 1 where it is 0."""
        spread = (self.covariance.diagonal() if self.full else self.covariance).sqrt()
        return spread.where(spread > 0, 1.0)
