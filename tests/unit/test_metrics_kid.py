"""Kernel distance against brute force, torchmetrics and moments known beforehand."""

import itertools

import pytest
import torch
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from genwerk.metrics.kid import kernel_distance, squared_mmd


def normal(n: int, d: int, seed: int, mean: float = 0.0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + mean


def test_against_loops():
    a, b = normal(6, 3, 0), normal(5, 3, 1, mean=1.0)

    def k(x: Tensor, y: Tensor) -> float:
        return (sum(float(p * q) for p, q in zip(x, y, strict=True)) / 3 + 1) ** 3

    within_a = sum(k(x, y) for x, y in itertools.permutations(a, 2)) / 30
    within_b = sum(k(x, y) for x, y in itertools.permutations(b, 2)) / 20
    between = sum(k(x, y) for x in a for y in b) / 30
    assert squared_mmd(a, b).item() == pytest.approx(within_a + within_b - 2 * between, rel=1e-12)


def test_against_torchmetrics():
    a, b = normal(200, 10, 2), normal(200, 10, 3, mean=0.5)
    assert squared_mmd(a, b).item() == pytest.approx(poly_mmd(a, b, degree=3, gamma=None, coef=1.0).item(), rel=1e-10)


def test_normal_distributions_of_known_distance():
    """In one dimension the kernel compares moments: 3 (dE x)^2 + 3 (dE x^2)^2 + (dE x^3)^2, here with mean 0 and 1."""
    found = kernel_distance(normal(5000, 1, 4), normal(5000, 1, 5, mean=1.0), subset_size=500)
    truth = 3 * 1**2 + 3 * 1**2 + 4**2
    assert abs(found.mean - truth) < 4 * found.standard_error < 0.3 * truth


def test_unbiased_for_equal_distributions():
    values = torch.tensor([kernel_distance(normal(60, 4, 2 * i), normal(60, 4, 2 * i + 1)).mean for i in range(100)])
    assert abs(values.mean()) < 3 * values.std() / 10
    assert (values < 0).any()


def test_standard_error_is_the_spread_over_repeated_experiments():
    found = [
        kernel_distance(normal(300, 4, 2 * i), normal(300, 4, 2 * i + 1, mean=0.7), subset_size=60) for i in range(80)
    ]
    spread = torch.tensor([f.mean for f in found]).std().item()
    told = sum(f.standard_error for f in found) / len(found)
    assert told == pytest.approx(spread, rel=0.35)


def test_seed_decides_the_subsets():
    a, b = normal(200, 4, 0), normal(200, 4, 1)
    assert kernel_distance(a, b, seed=1) == kernel_distance(a, b, seed=1)
    assert kernel_distance(a, b, seed=1) != kernel_distance(a, b, seed=2)


def test_too_few_rows_are_named():
    with pytest.raises(ValueError, match="needs 4 rows"):
        kernel_distance(torch.zeros(3, 2), torch.zeros(9, 2))
    with pytest.raises(ValueError, match="of 2 and of 3 dimensions"):
        kernel_distance(torch.zeros(9, 2), torch.zeros(9, 3))
