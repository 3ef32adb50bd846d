"""Kernel distance between two sets of features.

Bińkowski et al., "Demystifying MMD GANs", 2018, arXiv:1801.01401. Only in the features of Inception is this the paper's
KID; the formula is the same for any.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genwerk.metrics.frechet import check_comparable


@dataclass(frozen=True)
class KernelDistance:
    """Mean of the squared maximum mean discrepancy over subsets, and the standard error of that mean."""

    mean: float
    standard_error: float


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """``(a.b / d + 1)^3`` for every pair of rows, with shape (n, m)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy of two sets of features (Gretton et al., 2012, eq. 3).

    Pairs of a row with itself are left out, so the figure may be negative when the distributions are equal.
    """

    def off_diagonal(k: Tensor) -> Tensor:
        return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))

    return off_diagonal(kernel(a, a)) + off_diagonal(kernel(b, b)) - 2 * kernel(a, b).mean()


def kernel_distance(
    a: Tensor, b: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy between features ``a`` with shape (n, d) and ``b`` with shape (m, d).

    The mean over ``subsets`` pairs of random subsets of ``subset_size`` rows, drawn without replacement with ``seed``;
    a subset is at most half of the smaller set. The subsets overlap, so their standard deviation s is turned into the
    standard error of the mean by the rule of subsampling: s sqrt(size / (n - size)), n the rows of the smaller set
    (exact for a statistic that is a mean of rows; an overestimate when both distributions are equal).
    """
    n = min(len(a), len(b))
    check_comparable(a, b)
    if n < 4 or subsets < 2:
        raise ValueError(f"a kernel distance needs 4 rows and 2 subsets or more; there are {n} and {subsets}")
    size = min(subset_size, n // 2)
    generator = torch.Generator().manual_seed(seed)

    def subset(x: Tensor) -> Tensor:
        return x[torch.randperm(len(x), generator=generator)[:size].to(x.device)].double()

    values = torch.stack([squared_mmd(subset(a), subset(b)) for _ in range(subsets)])
    return KernelDistance(values.mean().item(), values.std().item() * (size / (n - size)) ** 0.5)
