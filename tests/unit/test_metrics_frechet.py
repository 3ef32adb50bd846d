"""Fréchet distance against answers known beforehand."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torchmetrics.image.fid import _compute_fid

from genwerk.metrics.frechet import frechet_distance, moments


def features(n: int, d: int, seed: int) -> Tensor:
    """Correlated features, with shape (n, d), whose covariance commutes with no other's."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing + seed


def exactly(mean: list[float], cov: list[list[float]], n: int = 50) -> Tensor:
    """Features whose sample mean and covariance are just these."""
    white = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    white = torch.linalg.qr(white - white.mean(0)).Q * (n - 1) ** 0.5
    return white @ torch.linalg.cholesky(torch.tensor(cov, dtype=torch.float64)).T + torch.tensor(mean).double()


def test_gaussians_of_known_moments():
    """Diagonal covariances: |difference of means|^2 + sum (std - std)^2 = 25 + 1 + 4."""
    a, b = exactly([0, 0], [[4, 0], [0, 9]]), exactly([3, 4], [[1, 0], [0, 25]], n=80)
    assert frechet_distance(a, b) == pytest.approx(30, rel=1e-12)


def test_covariances_that_do_not_commute():
    """In two dimensions tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt det AB); here tr AB = 11 and det AB = 15."""
    a, b = exactly([0, 0], [[2, 1], [1, 3]]), exactly([0, 0], [[1, 0], [0, 3]])
    assert frechet_distance(a, b) == pytest.approx(5 + 4 - 2 * (11 + 2 * 15**0.5) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("d", [1, 7, 64])
def test_agrees_with_scipy_and_torchmetrics(d):
    a, b = features(500, d, 1), features(400, d, 2)
    (mean_a, cov_a), (mean_b, cov_b) = moments(a), moments(b)
    root = scipy.linalg.sqrtm((cov_a @ cov_b).numpy()).real
    by_scipy = float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace()) - 2 * np.trace(root)
    assert frechet_distance(a, b) == pytest.approx(by_scipy, rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(_compute_fid(mean_a, cov_a, mean_b, cov_b).item(), rel=1e-9)


def test_fewer_examples_than_dimensions():
    """Two covariances of rank 1, variances 2 and 18 along directions 60 degrees apart: the root's trace is 6 cos 60."""
    u = torch.zeros(100, dtype=torch.float64)
    v = u.clone()
    u[3], v[3], v[70] = 1, 0.5, 0.75**0.5
    a, b = torch.stack([u, -u]), 3 * torch.stack([v, -v])
    assert frechet_distance(a, b) == pytest.approx(2 + 18 - 2 * 6 * 0.5, rel=1e-12)


@pytest.mark.parametrize("n", [20, 500])
def test_same_features_and_shifted_ones(n):
    a = features(n, 64, 3)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(a, a + 2) == pytest.approx(4 * 64, rel=1e-9)


def test_symmetric_and_independent_of_precision():
    a, b = features(300, 16, 4), features(200, 16, 5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)
    assert frechet_distance(a.float(), b.float()) == pytest.approx(frechet_distance(a, b), rel=1e-5)


def test_bad_features_are_named():
    with pytest.raises(ValueError, match=r"\(1, 3\).*at least 2 rows"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="of 3 and of 4 dimensions"):
        frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4))
