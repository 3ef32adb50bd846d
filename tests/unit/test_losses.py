"""Likelihoods sum to one, and distances equal their closed forms."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from genwerk.core.spec import DataSpec
from genwerk.nn.losses import (
    BANDWIDTHS,
    FLOOR,
    Bernoulli,
    DiscretisedLogistic,
    Gaussian,
    GaussianConfig,
    Likelihood,
    bounded_log_var,
    floored,
    gaussian_kl,
    mmd,
)

PIXEL = DataSpec(kind="image", shape=(1, 1, 1), levels=17)
COLOUR = DataSpec(kind="image", shape=(3, 4, 5), levels=256)
TABLE = DataSpec(kind="table", shape=(3,))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def levels_of(spec: DataSpec) -> Tensor:
    """Every value of a pixel, with shape (levels, 1, 1, 1)."""
    return torch.linspace(0, 1, spec.levels, dtype=torch.float64).view(-1, 1, 1, 1)


@pytest.mark.parametrize("location", [-3.0, 0.0, 0.03, 0.5, 1.0, 7.0])
@pytest.mark.parametrize("log_scale", [-12.0, -3.0, 0.0])
def test_discretised_logistic_sums_to_one_over_levels(location: float, log_scale: float) -> None:
    likelihood = DiscretisedLogistic(PIXEL).double()
    with torch.no_grad():
        likelihood.raw_scale.fill_(log_scale)
    log_p = likelihood.log_prob(torch.full((17, 1, 1, 1), location, dtype=torch.float64), levels_of(PIXEL))
    assert log_p.isfinite().all()
    torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_discretised_logistic_is_a_difference_of_distribution_functions() -> None:
    likelihood = DiscretisedLogistic(PIXEL).double()
    location, scale = 0.4, floored(likelihood.raw_scale).exp().squeeze()
    edges = torch.cat([torch.tensor([-torch.inf]), torch.arange(16) / 16 + 1 / 32, torch.tensor([torch.inf])]).double()
    expected = torch.sigmoid((edges - location) / scale).diff()
    log_p = likelihood.log_prob(torch.full((17, 1, 1, 1), location, dtype=torch.float64), levels_of(PIXEL))
    torch.testing.assert_close(log_p.exp(), expected)


def test_discretised_logistic_keeps_a_gradient_far_from_the_data() -> None:
    parameters = torch.full((1, 1, 1, 1), 50.0, requires_grad=True)
    DiscretisedLogistic(PIXEL).log_prob(parameters, torch.zeros(1, 1, 1, 1)).sum().backward()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()
    assert parameters.grad.item() < 0


def test_bernoulli_sums_to_one_and_looks_with_the_pixels_probability() -> None:
    likelihood, logits = Bernoulli(PIXEL), torch.tensor([-40.0, -1.0, 0.0, 3.0, 40.0]).view(-1, 1, 1, 1)
    both = [likelihood.log_prob(logits, torch.full_like(logits, x)).exp() for x in (0.0, 1.0)]
    torch.testing.assert_close(both[0] + both[1], torch.ones(5))
    x = torch.tensor([0.0, 0.25, 1.0]).view(-1, 1, 1, 1).expand(3, 1, 1, 20_000)
    observed = likelihood.observe(x, torch.rand(x.shape, generator=torch.Generator().manual_seed(0)))
    assert set(observed.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(observed.mean((1, 2, 3)), torch.tensor([0.0, 0.25, 1.0]), atol=0.02, rtol=0)


@pytest.mark.parametrize("sigma", [0.2, "learned", "each"])
def test_gaussian_counts_the_density_of_dequantised_pixels_per_level(sigma: float | str) -> None:
    likelihood = Gaussian(PIXEL, sigma).double()
    parameters = torch.tensor([0.3, -1.0][: likelihood.parameters_shape[0]]).double().view(1, -1, 1, 1)
    n = 40_001  # the density per level integrates to 1 over level numbers, which are 16 x
    x = torch.linspace(-6, 7, n, dtype=torch.float64).view(-1, 1, 1, 1)
    density = likelihood.log_prob(parameters.expand(n, -1, -1, -1), x).exp()
    torch.testing.assert_close(torch.trapezoid(density, 16 * x.flatten()), torch.tensor(1.0, dtype=torch.float64))


def test_dequantised_pixels_stay_within_their_level() -> None:
    x, u = torch.tensor([0.0, 0.5, 1.0]).view(-1, 1, 1, 1), torch.tensor([0.0, 0.5, 0.999]).view(-1, 1, 1, 1)
    observed = Gaussian(PIXEL).observe(x, u) * 16
    torch.testing.assert_close(observed.flatten(), torch.tensor([-0.5, 8.0, 16.499]))


@pytest.mark.parametrize("sigma", [0.7, "learned", "each"])
def test_gaussian_on_tables_is_the_normal_density(sigma: float | str) -> None:
    likelihood = Gaussian(TABLE, sigma)
    x, parameters = torch.randn(6, 3), torch.randn(6, *likelihood.parameters_shape)
    scale = {0.7: torch.tensor(0.7), "learned": torch.tensor(1.0)}.get(sigma, floored(parameters[:, 3:]).exp())
    expected = Normal(parameters[:, :3], scale).log_prob(x).sum(1)
    torch.testing.assert_close(likelihood.log_prob(parameters, x), expected)
    torch.testing.assert_close(likelihood.mean(parameters), parameters[:, :3])


@pytest.mark.parametrize(
    "likelihood", [Bernoulli(COLOUR), Gaussian(COLOUR), Gaussian(COLOUR, "each"), DiscretisedLogistic(COLOUR)]
)
def test_draws_broadcast_and_dimensions_add_up(likelihood: Likelihood) -> None:
    x = torch.randint(0, 256, (2, 3, 4, 5)) / 255
    x = likelihood.observe(x, torch.rand(2, 3, 4, 5))
    parameters = torch.randn(2, 7, *likelihood.parameters_shape)
    log_p = likelihood.log_prob(parameters, x[:, None])
    each = torch.stack([likelihood.log_prob(parameters[:, k], x) for k in range(7)], dim=1)
    assert log_p.shape == (2, 7)
    torch.testing.assert_close(log_p, each)
    mean = likelihood.mean(parameters)
    assert mean.shape == (2, 7, 3, 4, 5)
    assert 0 <= mean.min() <= mean.max() <= 1


def test_scale_floor_is_smooth() -> None:
    raw = torch.tensor([-60.0, log(FLOOR), 0.0, 5.0], dtype=torch.float64, requires_grad=True)
    scale = floored(raw).exp()
    torch.testing.assert_close(scale, (FLOOR**2 + (2 * raw).exp()).sqrt())
    assert (torch.autograd.grad(scale.sum(), raw)[0] > 0).all()


def test_likelihoods_refuse_data_they_are_not_of() -> None:
    with pytest.raises(ValueError, match="gaussian"):
        Bernoulli(TABLE)
    with pytest.raises(ValueError, match="gaussian"):
        DiscretisedLogistic(TABLE)
    with pytest.raises(ValueError, match="text"):
        Gaussian(DataSpec(kind="text", shape=(20,)))
    with pytest.raises(ValueError, match="above 0"):
        GaussianConfig(sigma=0.0)


def test_kl_equals_torch_distributions() -> None:
    mean, log_var = torch.randn(5, 4), torch.randn(5, 4)
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl(mean, log_var), expected)
    joint = kl_divergence(
        Independent(Normal(mean, (0.5 * log_var).exp()), 1), Independent(Normal(torch.zeros(5, 4), torch.ones(5, 4)), 1)
    )
    torch.testing.assert_close(gaussian_kl(mean, log_var).sum(1), joint)
    assert gaussian_kl(mean, bounded_log_var(torch.full((5, 4), 1e9))).isfinite().all()


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_equals_brute_force(kernel: str, unbiased: bool) -> None:
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64) + 1

    def k(a: Tensor, b: Tensor) -> Tensor:
        r2, scales = (a - b).square().sum(), [2 * 3 * s for s in BANDWIDTHS]
        return torch.stack([c / (c + r2) if kernel == "imq" else (-r2 / c).exp() for c in scales]).mean()

    def mean(a: Tensor, b: Tensor, within: bool) -> Tensor:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (within and unbiased and i == j)]
        return torch.stack([k(a[i], b[j]) for i, j in pairs]).mean()

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    torch.testing.assert_close(mmd(x, y, kernel, unbiased=unbiased), expected)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_nothing_between_equals_and_does_not_shrink_with_the_batch(kernel: str) -> None:
    x = torch.randn(300, 4)
    with pytest.raises(ValueError, match="two examples"):
        mmd(x, x[:1], kernel)
    assert mmd(x, x, kernel, unbiased=False).abs() < 1e-6
    same = torch.stack([mmd(torch.randn(100, 4), torch.randn(100, 4), kernel) for _ in range(40)])
    assert same.mean().abs() < 4 * same.std() / 40**0.5  # unbiased: zero on average
    small, large = (mmd(torch.randn(n, 4), torch.randn(n, 4) + 1, kernel) for n in (100, 1000))
    assert 0.5 < small / large < 2
    assert large > 10 * same.mean().abs()
