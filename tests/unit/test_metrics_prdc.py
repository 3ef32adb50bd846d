"""Precision, recall, density and coverage against their definitions written as loops."""

import pytest
import torch
from torch import Tensor

from genwerk.metrics import prdc as module_function
from genwerk.metrics.prdc import PRDC, prdc


def normal(n: int, d: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(real: Tensor, made: Tensor, k: int) -> PRDC:
    def radius(x: Tensor, i: int) -> float:
        return sorted((x[i] - x[j]).norm().item() for j in range(len(x)) if j != i)[k - 1]

    n, m = len(real), len(made)
    near_real = [[(real[i] - made[j]).norm().item() <= radius(real, i) for j in range(m)] for i in range(n)]
    near_made = [[(real[i] - made[j]).norm().item() <= radius(made, j) for j in range(m)] for i in range(n)]
    return PRDC(
        precision=sum(any(near_real[i][j] for i in range(n)) for j in range(m)) / m,
        recall=sum(map(any, near_made)) / n,
        density=sum(map(sum, near_real)) / (k * m),
        coverage=sum(map(any, near_real)) / n,
    )


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_against_loops(k, scale):
    real, made = normal(20, 3, 0), normal(15, 3, 1, scale)
    assert prdc(real, made, k) == by_loops(real, made, k)


def test_far_apart_and_the_same():
    x = normal(50, 4, 2)
    assert prdc(x, x + 100) == PRDC(0, 0, 0, 0)
    same = prdc(x, x)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)


def test_samples_that_are_all_one_real_example():
    """Collapse onto one training example: precise, yet it recalls none but that one."""
    real = normal(100, 4, 3) + 1000
    found = prdc(real, real[7].expand(30, 4))
    assert found.precision == 1
    assert found.recall == 0.01
    assert found.coverage < 0.2


def test_perfect_samples_have_density_one():
    found = prdc(normal(2000, 2, 4), normal(2000, 2, 5))
    assert found.density == pytest.approx(1, abs=0.05)
    assert found.coverage == pytest.approx(1 - 0.5**5, abs=0.02)


def test_blocks_do_not_change_the_figures(monkeypatch):
    real, made = normal(101, 8, 6), normal(57, 8, 7)
    whole = prdc(real, made)
    monkeypatch.setitem(prdc.__globals__, "CHUNK_BYTES", 8 * 57 * 10)
    assert prdc(real, made) == whole


def test_bad_k_is_named():
    assert module_function is prdc
    with pytest.raises(ValueError, match="k is 5 for 5 real and 9 fake"):
        prdc(torch.zeros(5, 2), torch.zeros(9, 2))
    with pytest.raises(ValueError, match="of 2 and of 3 dimensions"):
        prdc(torch.zeros(9, 2), torch.zeros(9, 3))
