"""Vendi score: how many different examples a set amounts to.

Friedman and Dieng, "The Vendi Score: A Diversity Evaluation Metric for Machine Learning", 2023, arXiv:2210.02410,
eq. 1, with the cosine of features as the similarity.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genwerk.metrics.spread import of_mean


def vendi_score(features: Tensor) -> float:
    """Effective number of different rows of ``features`` with shape (n, d): from 1 (all alike) to min(n, d).

    It is the exponential of the entropy of the eigenvalues of the similarities divided by n. Rows are scaled to length
    1, so that the eigenvalues of the (n, n) similarities are those of a (d, d) product; a row of zeros has no direction
    and is refused.
    """
    x = _directions(features)
    small = x.T @ x if x.shape[1] < len(x) else x @ x.T
    share = torch.linalg.eigvalsh(small / len(x)).clamp(min=0)
    return float(torch.special.entr(share / share.sum()).sum().exp())


def vendi_error(features: Tensor) -> float:
    """Standard error of :func:`vendi_score` when the rows of ``features`` are drawn again.

    From the entropy's derivative by the weight of each row x of length 1, up to sign and constant ``x.log(K) x``, K the
    mean of ``x x'``.
    """
    x = _directions(features)
    share, vectors = torch.linalg.eigh(x.T @ x / len(x))
    along = share.where(share > 0, 1.0).log()
    return vendi_score(features) * of_mean((x @ vectors).square() @ along)


def _directions(features: Tensor) -> Tensor:
    """Rows scaled to length 1, in float64."""
    if features.ndim != 2 or len(features) < 1:
        raise ValueError(f"features have the shape {tuple(features.shape)}; expected (n, d) with at least 1 row")
    x = features.double()
    length = x.norm(dim=1, keepdim=True)
    if not bool((length > 0).all()):
        raise ValueError("a row of features is all zeros, so it is similar to nothing, itself included")
    directions: Tensor = x / length
    return directions
