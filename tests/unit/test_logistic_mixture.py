"""The discretised mixture of logistics, against scipy's logistic distribution and its own sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import logistic
from torch import Tensor

from genwerk.nn.autoregressive.logistic_mixture import NARROWEST, log_prob, logits, size, unpack


def parameters(n: int, components: int, channels: int, *space: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (n, size(components, channels), *space)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def values(n: int, channels: int, levels: int, *space: int) -> tuple[Tensor, Tensor]:
    """Random symbols, and the values in [-1, 1] that they stand for."""
    symbols = torch.randint(levels, (n, channels, *space), generator=torch.Generator().manual_seed(1))
    return symbols, symbols.double() * 2 / (levels - 1) - 1


def by_the_book(p: Tensor, symbols: Tensor, levels: int) -> float:
    """Joint probability of one pixel's ``symbols`` (c,) under parameters (size,), by loops."""
    channels, per = len(symbols), size(1, len(symbols))
    rows = p.view(-1, per).numpy()
    weights = np.exp(rows[:, 0]) / np.exp(rows[:, 0]).sum()
    x, half = symbols.numpy() * 2 / (levels - 1) - 1, 1 / (levels - 1)
    total = 0.0
    for weight, row in zip(weights, rows, strict=True):
        mean, log_s, a = (
            row[1 : 1 + channels].copy(),
            row[1 + channels : 1 + 2 * channels],
            np.tanh(row[1 + 2 * channels :]),
        )
        if channels == 3:
            mean[1] += a[0] * x[0]
            mean[2] += a[1] * x[0] + a[2] * x[1]
        for i in range(channels):
            cut = logistic(mean[i], np.exp(max(log_s[i], NARROWEST)))
            upper = 1.0 if symbols[i] == levels - 1 else cut.cdf(x[i] + half)
            lower = 0.0 if symbols[i] == 0 else cut.cdf(x[i] - half)
            weight = weight * (upper - lower)
        total += weight
    return float(total)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [2, 5, 17, 256])
def test_the_joint_is_the_mixture_of_differences_of_the_distribution_function(channels: int, levels: int) -> None:
    p = parameters(40, 4, channels)
    symbols, x = values(40, channels, levels)
    symbols[0], symbols[1] = 0, levels - 1
    x[0], x[1] = -1, 1
    found = log_prob(p, x, levels).sum(1).exp()
    expected = torch.tensor([by_the_book(a, b, levels) for a, b in zip(p, symbols, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_the_levels_of_a_channel_are_log_probabilities_and_those_of_log_prob(channels: int, levels: int) -> None:
    p = parameters(5, 3, channels, 2, 3, scale=3.0)
    symbols, x = values(5, channels, levels, 2, 3)
    direct = log_prob(p, x, levels)
    assert direct.shape == x.shape
    for i in range(channels):
        found = logits(p, x[:, :i], channels, levels)
        assert found.shape == (5, levels, 2, 3)
        torch.testing.assert_close(found.exp().sum(1), torch.ones(5, 2, 3, dtype=torch.float64), rtol=0, atol=1e-12)
        torch.testing.assert_close(found.gather(1, symbols[:, i : i + 1]), direct[:, i : i + 1], rtol=1e-10, atol=1e-10)


def test_a_single_pixel_is_one_of_a_map() -> None:
    p = parameters(2, 4, 3, 2, 3)
    _, x = values(2, 3, 17, 2, 3)
    whole = logits(p, x[:, :2], 3, 17)
    torch.testing.assert_close(logits(p[..., 1, 2], x[:, :2, 1, 2], 3, 17), whole[..., 1, 2])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_tails_are_exact_in_float32(channels: int) -> None:
    """Means far outside, scales as narrow as they go: finite, near float64, with gradients that are finite."""
    p = parameters(64, 3, channels, scale=12.0)
    _, x = values(64, channels, 256)
    exact = log_prob(p, x, 256)
    assert exact.min() < -2_000
    rough = p.float().requires_grad_()
    found = log_prob(rough, x.float(), 256)
    torch.testing.assert_close(found.double(), exact, rtol=3e-3, atol=3e-3)
    (gradient,) = torch.autograd.grad(found.sum(), rough)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    assert logits(rough, x[:, : channels - 1].float(), channels, 256).isfinite().all()


def test_a_far_level_has_the_density_of_the_tail() -> None:
    """100 scales from the mean, log p = log(width / scale) - distance / scale, to the first order in the width."""
    p = torch.tensor([[0.0, -1.0, -5.0]], dtype=torch.float64)
    per_scale, width = np.exp(5), 2 / 65535
    x = torch.tensor([[100 / per_scale - 1]], dtype=torch.float64)
    expected = np.log(width * per_scale) - 100
    assert log_prob(p, x, 65536).item() == pytest.approx(expected, abs=1e-3)
    assert log_prob(p.float(), x.float(), 65536).item() == pytest.approx(expected, abs=2e-2)


def test_half_precision_is_widened_before_anything_is_computed() -> None:
    p = parameters(8, 3, 3).bfloat16()
    _, x = values(8, 3, 256)
    assert torch.equal(log_prob(p, x.float(), 256), log_prob(p.float(), x.float(), 256))
    assert unpack(p, 3).mean.dtype == torch.float32
