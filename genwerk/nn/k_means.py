"""k-means clustering.

D. Arthur, S. Vassilvitskii: k-means++: the advantages of careful seeding, 2007 (section 2.2, and the greedy choice of
its section 6). S. Lloyd: Least squares quantization in PCM, 1982.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor


def k_means(v: Tensor, k: int, generator: torch.Generator, rounds: int = 30) -> Tensor:
    """Cluster of each row of ``v`` (n, d), numbered from 0, with shape (n,).

    Every new centre is the best of 2 + log k rows drawn with probability proportional to the squared distance from the
    nearest centre; then come at most ``rounds`` of Lloyd's algorithm. There are fewer than ``k`` clusters where there
    are fewer distinct rows.
    """

    def draw(shares: Tensor, n: int) -> Tensor:
        sums = shares.cumsum(0)
        u = torch.rand(n, generator=generator, dtype=torch.float64).to(v.device)
        return torch.searchsorted(sums, u * sums[-1], right=True).clamp_max(len(shares) - 1)

    def distances(centres: Tensor) -> Tensor:
        squares = v.square().sum(1, keepdim=True) + centres.square().sum(1) - 2 * v @ centres.mT
        return squares.clamp_min(0)

    centres = v[draw(torch.ones_like(v[:, 0]), 1)]
    nearest = distances(centres)[:, 0]
    while len(centres) < k:
        tries = v[draw(nearest, 2 + int(log(k)))]
        gained = torch.minimum(nearest[:, None], distances(tries))
        best = gained.sum(0).argmin()
        if not bool(gained[:, best].sum() < nearest.sum()):
            break
        centres, nearest = torch.cat([centres, tries[best][None]]), gained[:, best]
    label = distances(centres).argmin(1)
    for _ in range(rounds):
        sums = torch.zeros_like(centres).index_add_(0, label, v)
        counts = torch.bincount(label, minlength=len(centres))[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
        before, label = label, distances(centres).argmin(1)
        if torch.equal(before, label):
            break
    return label
