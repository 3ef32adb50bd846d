"""Fréchet distance between Gaussians fitted to two sets of features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017,
arXiv:1706.08500, eq. 6 (after Dowson and Landau, 1982). Only in the features of Inception is this the FID.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genwerk.metrics.spread import of_mean


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean with shape (d,) and unbiased covariance with shape (d, d), in float64, of features with shape (n, d)."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"features have the shape {tuple(features.shape)}; a Gaussian is fitted to (n, d) with at least 2 rows"
        )
    x = features.double()
    mean = x.mean(0)
    centred = x - mean
    return mean, centred.T @ centred / (len(x) - 1)


def check_comparable(a: Tensor, b: Tensor) -> None:
    """Features of two sets must have the same dimensions."""
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"features of {a.shape[-1]} and of {b.shape[-1]} dimensions cannot be compared; use one extractor"
        )


def check_parts(train: Tensor, test: Tensor, fake: Tensor, least: int) -> None:
    """Features of training, test and generated examples must have the same dimensions, and ``least`` rows each."""
    check_comparable(train, test)
    check_comparable(train, fake)
    if min(len(train), len(test), len(fake)) < least:
        raise ValueError(
            f"there are {len(train)} training, {len(test)} test and {len(fake)} generated examples; at least {least} "
            "of each are needed"
        )


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared 2-Wasserstein distance of the Gaussians fitted to ``a`` with shape (n, d) and ``b`` with shape (m, d).

    ``|mean_a - mean_b|^2 + tr(cov_a) + tr(cov_b) - 2 tr (cov_a cov_b)^(1/2)``, in squared units of the features.
    It is biased upwards, the more so the fewer the examples, so compare figures of equal n and m only.
    """
    check_comparable(a, b)
    (mean_a, cov_a), (mean_b, cov_b) = moments(a), moments(b)
    cross = trace_of_root(cov_a, cov_b)
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(distance.item(), 0.0)


def frechet_error(a: Tensor, b: Tensor) -> float:
    """Standard error of :func:`frechet_distance` when the rows of ``a`` are drawn again and ``b`` stays as it is.

    From the distance's derivative by the weight of each row x of ``a``, up to a constant
    ``2 (x - mean_a).(mean_a - mean_b) + |x - mean_a|^2 - |T^(1/2) (x - mean_a)|^2``, where T is the linear map that
    takes the Gaussian of ``a`` to that of ``b``.
    """
    (mean_a, cov_a), (mean_b, cov_b) = moments(a), moments(b)
    root = _root(cov_b)
    values, vectors = torch.linalg.eigh(root @ cov_a @ root)
    there = values > values[-1].clamp(min=0) * len(root) * torch.finfo(root.dtype).eps
    x = a.double() - mean_a
    moved = (x @ (root @ vectors)).square() @ (values.where(there, 1.0).rsqrt() * there)
    return of_mean(2 * x @ (mean_a - mean_b) + x.square().sum(1) - moved)


def trace_of_root(cov_a: Tensor, cov_b: Tensor) -> Tensor:
    """Trace of the square root of ``cov_a @ cov_b``, for covariances of any rank.

    The eigenvalues of the product are the squared singular values of ``cov_a^(1/2) cov_b^(1/2)``; taking these directly
    needs no square root of a non-symmetric matrix, and loses no digits to squaring.
    """
    singular: Tensor = torch.linalg.svdvals(_root(cov_a) @ _root(cov_b))
    return singular.sum()


def _root(cov: Tensor) -> Tensor:
    """Symmetric square root of a covariance; eigenvalues that are nothing but rounding count as zero."""
    values: Tensor
    vectors: Tensor
    values, vectors = torch.linalg.eigh(cov)
    rounding = values[-1].clamp(min=0) * len(cov) * torch.finfo(cov.dtype).eps
    roots = values.where(values > rounding, 0).sqrt()
    return (vectors * roots) @ vectors.T
