"""Parameterisations, loss weights, EDM's preconditioning and guidance against round trips, sums and exact denoisers."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from genwerk.diffusion.edm import Preconditioning, from_preserving
from genwerk.diffusion.guidance import guide, guided
from genwerk.diffusion.parameterisation import Prediction, clamped, estimate, loss_weight, noised, target
from genwerk.diffusion.schedule import Cosine, Level, Process, ScaledLinear

KINDS: tuple[Prediction, ...] = get_args(Prediction)
PROCESS = Process()


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [0, 300, 999])
def test_data_and_noise_are_found_again(kind: Prediction, t: int) -> None:
    _, alpha, sigma = PROCESS.level(t)
    x0, eps = drawn(4, 3, 8, 8), drawn(4, 3, 8, 8, seed=1)
    x = noised(x0, eps, alpha, sigma)
    found = estimate(kind, target(kind, x0, eps, alpha, sigma), x, alpha, sigma)
    torch.testing.assert_close(found.x0, x0, rtol=0, atol=1e-11)
    torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_levels_do_as_numbers_do(kind: Prediction) -> None:
    t = torch.tensor([5, 500, 900])
    alpha, sigma = (part.double() for part in PROCESS.alpha_sigma(t))
    x, output = drawn(3, 2, 4, 4), drawn(3, 2, 4, 4, seed=1)
    together = estimate(kind, output, x, alpha, sigma)
    for i in range(3):
        alone = estimate(kind, output[i], x[i], alpha[i].item(), sigma[i].item())
        torch.testing.assert_close(together.x0[i], alone.x0)
        torch.testing.assert_close(together.eps[i], alone.eps)


def test_velocity_is_the_derivative_by_the_angle() -> None:
    """With alpha = cos and sigma = sin of an angle, v is dx / d angle (Salimans & Ho 2022, appendix D)."""
    x0, eps, angle = drawn(6), drawn(6, seed=1), torch.tensor(0.7, dtype=torch.float64)
    derivative = torch.func.jacfwd(lambda a: noised(x0, eps, a.cos(), a.sin()))(angle)
    torch.testing.assert_close(target("v", x0, eps, angle.cos(), angle.sin()), derivative)


def test_an_estimate_has_the_precision_of_x() -> None:
    x = drawn(2, 3, dtype=torch.float32)
    for kind in KINDS:
        found = estimate(kind, x.bfloat16(), x, 0.6, 0.8)
        assert found.x0.dtype == found.eps.dtype == torch.float32


def test_a_clamped_estimate_still_makes_up_x() -> None:
    _, alpha, sigma = PROCESS.level(700)
    x = drawn(5, 3)
    found = clamped(estimate("eps", drawn(5, 3, seed=1), x, alpha, sigma), x, alpha, sigma)
    assert found.x0.abs().max() == 1
    torch.testing.assert_close(noised(*found, alpha, sigma), x)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_weighs_the_error_of_the_data(kind: Prediction, gamma: float) -> None:
    """Whatever is predicted, the weighted error of the output is min(SNR, gamma) times that of the data."""
    x0, eps, wrong = drawn(7, 3, 4, 4), drawn(7, 3, 4, 4, seed=1), drawn(7, 3, 4, 4, seed=2)
    alpha_bar = PROCESS.alpha_bar[[0, 10, 100, 300, 500, 800, 999], None, None, None]
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    x = noised(x0, eps, alpha, sigma)
    aim = target(kind, x0, eps, alpha, sigma)
    weighted = loss_weight("min-snr", kind, alpha, sigma, gamma) * (aim + wrong - aim).square()
    error = (estimate(kind, aim + wrong, x, alpha, sigma).x0 - x0).square()
    snr = alpha**2 / sigma**2
    torch.testing.assert_close(weighted, snr.clamp(max=gamma) * error, rtol=1e-9, atol=1e-12)


def test_uniform_weights_are_one() -> None:
    alpha, sigma = PROCESS.alpha_sigma(torch.tensor([0, 999]))
    assert torch.equal(loss_weight("uniform", "v", alpha, sigma), torch.ones(2, 1, 1, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_finite_at_every_level_of_every_process(kind: Prediction) -> None:
    for process in (Process(), Process(ScaledLinear()), Process(Cosine())):
        weight = loss_weight("min-snr", kind, *process.alpha_sigma(torch.arange(1000)))
        assert weight.isfinite().all()
        assert weight.min() > 0
        assert weight.max() <= 5


# --- EDM --------------------------------------------------------------------------------------------------------------

SIGMAS = [0.002, 0.1, 0.5, 3.0, 80.0]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_network_of_edm_sees_and_is_asked_for_unit_variance(sigma: float) -> None:
    edm, level = Preconditioning(sigma_data=0.7), torch.tensor(sigma, dtype=torch.float64)
    x0 = 0.7 * drawn(200_000)
    x = x0 + sigma * drawn(200_000, seed=1)
    assert (edm.c_in(level) * x).var().item() == pytest.approx(1, abs=0.02)
    assert edm.target(x0, x, level).var().item() == pytest.approx(1, abs=0.02)
    assert (edm.weight(level) * edm.c_out(level) ** 2).item() == pytest.approx(1)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_edms_best_network_is_silent_on_gaussian_data(sigma: float) -> None:
    """The exact denoiser of N(0, sigma_data²) is c_skip x; the target is uncorrelated with what the network sees."""
    edm, level = Preconditioning(sigma_data=0.7), torch.tensor(sigma, dtype=torch.float64)
    x0 = 0.7 * drawn(200_000)
    x = x0 + sigma * drawn(200_000, seed=1)
    exact = 0.7**2 / (0.7**2 + sigma**2) * x
    torch.testing.assert_close(edm.denoised(torch.zeros_like(x), x, level), exact)
    assert (edm.target(x0, x, level) * edm.c_in(level) * x).mean().item() == pytest.approx(0, abs=0.02)
    torch.testing.assert_close(edm.denoised(edm.target(x0, x, level), x, level), x0, rtol=0, atol=1e-9)


def test_edms_noise_levels_are_log_normal() -> None:
    edm = Preconditioning()
    log_sigma = edm.sigma(drawn(100_000)).log()
    assert log_sigma.mean().item() == pytest.approx(-1.2, abs=0.02)
    assert log_sigma.std().item() == pytest.approx(1.2, abs=0.02)


def test_levels_are_carried_from_the_variance_preserving_process_to_edm() -> None:
    x0, eps, level = drawn(5), drawn(5, seed=1), PROCESS.level(400)
    x = noised(x0, eps, level.alpha, level.sigma)
    unscaled, sigma = from_preserving(x, level)
    torch.testing.assert_close(unscaled, x0 + sigma * eps)


# --- guidance ---------------------------------------------------------------------------------------------------------


def test_guidance_goes_from_the_unconditional_through_the_conditional() -> None:
    c, u = drawn(3, 2, 4, 4), drawn(3, 2, 4, 4, seed=1)
    torch.testing.assert_close(guided(c, u, 0.0), u)
    torch.testing.assert_close(guided(c, u, 1.0), c)
    torch.testing.assert_close(guided(c, u, 7.5), u + 7.5 * (c - u))


def test_rescaled_guidance_has_the_spread_of_the_conditional_output() -> None:
    c, u = drawn(3, 2, 4, 4), drawn(3, 2, 4, 4, seed=1)
    for i, example in enumerate(guided(c, u, 7.5, rescale=1.0)):
        assert example.std().item() == pytest.approx(c[i].std().item())
    halfway = (guided(c, u, 7.5) + guided(c, u, 7.5, rescale=1.0)) / 2
    torch.testing.assert_close(guided(c, u, 7.5, rescale=0.5), halfway)


def test_rescaled_guidance_is_that_of_diffusers() -> None:
    pytest.importorskip("diffusers")
    module = pytest.importorskip("diffusers.guiders.guider_utils", exc_type=ImportError)
    c, u = drawn(3, 2, 4, 4), drawn(3, 2, 4, 4, seed=1)
    torch.testing.assert_close(guided(c, u, 7.5, 0.7), module.rescale_noise_cfg(guided(c, u, 7.5), c, 0.7))


@pytest.mark.parametrize("scale, rows", [(0.5, [2]), (1.0, [2]), (3.0, [4])])
def test_guidance_runs_as_one_batch_and_only_where_it_counts(scale: float, rows: list[int]) -> None:
    asked = []

    def network(x: Tensor, level: Level, condition: Tensor) -> Tensor:
        asked.append(len(x))
        return x * condition[:, None] + level.sigma

    x, yes, no = drawn(2, 5), drawn(2, seed=1), drawn(2, seed=2)
    level = PROCESS.level(500)
    output = guide(network, yes, no, scale)(x, level)
    assert asked == rows
    c, u = network(x, level, yes), network(x, level, no)
    torch.testing.assert_close(output, c if scale <= 1 else u + scale * (c - u))


def test_the_unconditional_half_comes_first() -> None:
    seen = []

    def network(x: Tensor, level: Level, condition: Tensor) -> Tensor:
        seen.append(condition)
        return x

    guide(network, torch.tensor([7, 8]), torch.tensor([0, 0]), 2.0)(drawn(2, 5), PROCESS.level(5))
    assert seen[0].tolist() == [0, 0, 7, 8]
