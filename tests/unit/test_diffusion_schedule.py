"""Noising processes and sampling paths against known values, diffusers' tables, and textbook sums."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from math import inf
from typing import get_args

import pytest
import torch

from genwerk.diffusion.schedule import (
    CLEAN,
    NOISIEST,
    Cosine,
    Geometric,
    Linear,
    Process,
    ScaledLinear,
    Schedule,
    Spacing,
    path,
    repaint,
)

STABLE = Process(ScaledLinear())
SPACINGS: tuple[Spacing, ...] = get_args(Spacing)
BETAS = {"beta_start": 0.001, "beta_end": 0.015}
NAMES = {"linear": "linear", "scaled-linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}


def test_stable_diffusions_process_has_its_published_values() -> None:
    known = {
        0: 0.99914998,
        1: 0.99829602,
        10: 0.99043131,
        100: 0.89422315,
        250: 0.67379230,
        500: 0.27633247,
        750: 0.05616980,
        999: 0.00466010,
    }
    for t, value in known.items():
        assert STABLE.alpha_bar[t].item() == pytest.approx(value, rel=2e-6, abs=1e-8)
    assert STABLE.level(0).ratio == pytest.approx(0.029168, abs=1e-6)
    assert STABLE.level(999).ratio == pytest.approx(14.614647, rel=1e-6)


def test_ddpms_and_the_cosine_process_have_their_published_values() -> None:
    linear = Process().alpha_bar
    assert linear[0].item() == pytest.approx(0.9999, abs=1e-12)
    assert linear[100].item() == pytest.approx(0.89514136, abs=1e-6)
    assert linear[500].item() == pytest.approx(0.07779665, abs=1e-6)
    assert linear[999].item() == pytest.approx(4.036e-5, rel=1e-4)
    assert Process(Cosine()).alpha_bar[500].item() == pytest.approx(0.49228504, abs=1e-6)


@pytest.mark.parametrize("schedule", NAMES)
def test_a_process_is_that_of_diffusers(schedule: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    kind = Schedule.of(schedule)
    process = Process(kind(**{field.name: BETAS[field.name] for field in fields(kind)}))
    theirs = diffusers.DDPMScheduler(beta_schedule=NAMES[schedule], **BETAS).alphas_cumprod
    torch.testing.assert_close(process.alpha_bar.float(), theirs, rtol=2e-5, atol=1e-9)


def test_the_geometric_process_goes_from_sigma_to_sigma_by_equal_factors() -> None:
    process = Process(Geometric(sigma_min=0.01, sigma_max=100.0), 5)
    assert [process.level(t).ratio for t in range(5)] == pytest.approx([0.01, 0.1, 1.0, 10.0, 100.0])
    assert process.at_log_snr(0.0).t == pytest.approx(2)


def test_levels_agree_with_the_tables_that_training_uses() -> None:
    t = torch.tensor([0, 7, 999])
    alpha, sigma = STABLE.alpha_sigma(t)
    assert alpha.shape == sigma.shape == (3, 1, 1, 1)
    assert alpha.dtype == torch.float32
    for i, level in enumerate(map(STABLE.level, t.tolist())):
        assert level.alpha == pytest.approx(alpha[i].item(), rel=1e-6)
        assert level.sigma == pytest.approx(sigma[i].item(), rel=1e-6)
        assert level.alpha**2 + level.sigma**2 == pytest.approx(1, abs=1e-14)
    assert STABLE.alpha_sigma(t, dims=2)[0].shape == (3, 1)


def test_tables_made_while_sampling_serve_training() -> None:
    process, weight = Process(steps=10), torch.ones(2, 1, 1, 1, requires_grad=True)
    with torch.inference_mode():
        process.alpha_sigma(torch.tensor([3]))
    alpha, sigma = process.alpha_sigma(torch.tensor([3, 9]))
    (weight * alpha * sigma).sum().backward()
    torch.testing.assert_close(weight.grad, alpha * sigma)


def test_a_level_is_found_again_by_its_log_snr() -> None:
    for t in (0, 3, 500, 999):
        again = STABLE.at_log_snr(STABLE.level(t).log_snr)
        assert again == pytest.approx(STABLE.level(t), rel=1e-9, abs=1e-9)
    assert STABLE.level(1).ratio < STABLE.level(1.5).ratio < STABLE.level(2).ratio
    assert CLEAN.log_snr == inf


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
@pytest.mark.parametrize("schedule", Schedule.kinds)
def test_every_path_falls_from_the_noisiest_to_the_clean_end(schedule: str, steps: int, spacing: Spacing) -> None:
    process = Process(Schedule.of(schedule)())
    levels, noisiest = path(process, steps, spacing), process.level(process.steps - 1)
    assert len(levels) == steps + 1
    assert levels[-1] == CLEAN
    assert all(a.sigma > b.sigma and a.t > b.t for a, b in pairwise(levels))
    if spacing in ("karras", "log-snr"):
        assert levels[0].log_snr == pytest.approx(max(noisiest.log_snr, NOISIEST))
    elif spacing not in ("leading", "inner"):
        assert levels[0] == noisiest


def test_stable_diffusions_steps() -> None:
    levels = path(STABLE, 50, "leading", offset=1, final="first")
    assert [level.t for level in levels] == [*range(981, 0, -20), 0]
    assert levels[-1].alpha ** 2 == pytest.approx(0.99915, abs=1e-12)


def test_karras_steps_have_their_published_values() -> None:
    levels = path(STABLE, 10, "karras")
    known = [14.6146, 9.1029, 5.4784, 3.1686, 1.7494, 0.9141, 0.4469, 0.2014, 0.0819, 0.0292, 0]
    assert [level.ratio for level in levels] == pytest.approx(known, abs=6e-5)
    assert [round(level.t) for level in levels] == [999, 916, 815, 687, 523, 327, 146, 41, 7, 0, -1]


def test_log_snr_steps_are_equal_strides_of_lambda() -> None:
    strides = [b.log_snr - a.log_snr for a, b in pairwise(path(STABLE, 12, "log-snr")[:-1])]
    assert strides == pytest.approx([strides[0]] * 11)


@pytest.mark.parametrize("steps", [3, 16, 30, 50])
@pytest.mark.parametrize(
    "spacing, name, settings",
    [
        ("leading", "DDIMScheduler", {"timestep_spacing": "leading"}),
        ("trailing", "DDIMScheduler", {"timestep_spacing": "trailing"}),
        ("linspace", "EulerDiscreteScheduler", {"timestep_spacing": "linspace"}),
        ("even", "DPMSolverMultistepScheduler", {"timestep_spacing": "linspace"}),
    ],
)
def test_times_are_those_of_diffusers(spacing: Spacing, name: str, settings: dict[str, str], steps: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = getattr(diffusers, name)(**settings)
    scheduler.set_timesteps(steps)
    ours = [level.t for level in path(Process(), steps, spacing)[:-1]]
    assert ours == pytest.approx(scheduler.timesteps.tolist(), abs=1e-4)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_as_many_steps_as_in_training_are_those_of_training(spacing: Spacing) -> None:
    assert [level.t for level in path(Process(steps=40), 40, spacing, offset=1)] == list(range(39, -2, -1))


@pytest.mark.parametrize("strength, remaining", [(0, 0), (0.01, 0), (0.29, 14), (0.5, 25), (0.8, 40), (1, 50)])
def test_strength_enters_where_stable_diffusion_does(strength: float, remaining: int) -> None:
    whole = path(STABLE, 50, "leading", offset=1)
    assert path(STABLE, 50, "leading", offset=1, strength=strength) == whole[50 - remaining :]


def test_repaint_walks_every_stretch_as_often_as_asked() -> None:
    a, b, c, d, end = path(STABLE, 4)
    assert repaint([a, b, c, d, end], 2, 3) == [a, b, c, a, b, c, a, b, c, d, end, c, d, end, c, d, end]
    assert repaint([a, b, c, d, end], 3, 2) == [a, b, c, d, a, b, c, d, end, d, end]
    assert repaint([a, b, c], 1, 1) == [a, b, c]


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"steps": 0}, "1 to 1000"),
        ({"steps": 1001}, "1 to 1000"),
        ({"steps": 50, "strength": 1.2}, "strength"),
        ({"steps": 50, "strength": -0.1}, "strength"),
        ({"steps": 999, "spacing": "leading", "offset": 2}, "offset"),
    ],
)
def test_a_path_that_cannot_be_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        path(STABLE, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Linear, ScaledLinear])
@pytest.mark.parametrize("betas", [{"beta_start": 0.0}, {"beta_start": 0.1, "beta_end": 0.01}, {"beta_end": 1.0}])
def test_a_process_that_cannot_be_is_refused(kind: type[Schedule], betas: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="noising process"):
        kind(**betas)
    with pytest.raises(ValueError, match="noising process"):
        Process(steps=0)
    with pytest.raises(ValueError, match="must rise from above 0"):
        Geometric(sigma_min=2.0, sigma_max=1.0)


def test_repaint_needs_a_jump() -> None:
    with pytest.raises(ValueError, match="RePaint"):
        repaint(path(STABLE, 4), 0, 1)
