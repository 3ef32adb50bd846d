"""Mode coverage of mixtures whose answer is known."""

from math import exp, log

import pytest
import torch
from torch import Tensor

from genwerk.metrics import mode_coverage

CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def around(counts: list[int], std: float = 0.5) -> Tensor:
    centres = CENTRES.repeat_interleave(torch.tensor(counts), 0)
    return centres + std * torch.randn(centres.shape, generator=torch.Generator().manual_seed(0))


def test_exact_samples():
    """Of two-dimensional normal points, 1 - exp(-9 / 2) lie within 3 standard deviations."""
    found = mode_coverage(around([5000] * 4), CENTRES, 0.5)
    assert (found.modes, found.of) == (4, 4)
    assert found.quality == pytest.approx(1 - exp(-4.5), abs=3e-3)
    assert found.entropy == pytest.approx(log(4), abs=1e-4)
    assert found.kl == pytest.approx(0, abs=1e-4)


def test_uneven_and_missing_modes():
    found = mode_coverage(CENTRES.repeat_interleave(torch.tensor([30, 10, 0, 0]), 0), CENTRES, 0.5)
    entropy = -(0.75 * log(0.75) + 0.25 * log(0.25))
    assert (found.modes, found.quality) == (2, 1)
    assert found.entropy == pytest.approx(entropy)
    assert found.kl == pytest.approx(log(4) - entropy)


def test_the_threshold_includes_its_border():
    x = torch.tensor([[1.5, 0.0], [10.0, 1.6]])
    assert mode_coverage(x, CENTRES, 0.5).modes == 1
    assert mode_coverage(x, CENTRES, 0.5, threshold=4).modes == 2


def test_no_sample_counts():
    found = mode_coverage(torch.full((5, 2), 5.0), CENTRES, 0.5)
    assert (found.modes, found.quality, found.kl) == (0, 0, float("inf"))


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"\(5, 3\); expected \(n, 2\)"):
        mode_coverage(torch.zeros(5, 3), CENTRES, 0.5)
