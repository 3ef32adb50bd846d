"""Samplers against diffusers' schedulers, and against a Gaussian whose probability-flow equation is solved on paper."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from math import log2, sqrt
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from genwerk.core.noise import BatchNoise, SeededNoise, Seeds
from genwerk.diffusion.parameterisation import Estimate, estimate, noised
from genwerk.diffusion.samplers import SAMPLERS, Frame, Predict, SamplerName, begin, denoise, invert, renoised
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import CLEAN, Level, Process, ScaledLinear, Spacing, path, repaint

LINEAR = Process()
STABLE = Process(ScaledLinear())
MEAN, STD = 0.7, 0.4


def eps_of(x: Tensor, t: float) -> Tensor:
    """A smooth function of x and time with no meaning, that stands for a network."""
    return 0.6 * x + 0.3 * torch.sin(3 * x + t / 150) - 0.1 * x.flip(1).cos()


def network(x: Tensor, level: Level) -> Estimate:
    return estimate("eps", eps_of(x, level.t), x, level.alpha, level.sigma)


def rounded(x: Tensor, level: Level) -> Estimate:
    """The network asked at whole times, as DPM-Solver++ in diffusers asks it on Karras steps."""
    return estimate("eps", eps_of(x, round(level.t)), x, level.alpha, level.sigma)


def gaussian(x: Tensor, level: Level) -> Estimate:
    """The exact noise of x under data from N(MEAN, STD²)."""
    _, alpha, sigma = level
    eps = sigma * (x - alpha * MEAN) / ((alpha * STD) ** 2 + sigma**2)
    return estimate("eps", eps, x, alpha, sigma)


def gaussian_flow(x: Tensor, here: Level, there: Level) -> Tensor:
    """Where the exact probability-flow equation takes x: its standard score does not change."""
    scale = [sqrt((level.alpha * STD) ** 2 + level.sigma**2) for level in (here, there)]
    return there.alpha * MEAN + scale[1] * (x - here.alpha * MEAN) / scale[0]


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def arrived(frames: object) -> Frame:
    *_, frame = frames  # type: ignore[misc]
    return frame


def benchmark() -> ModuleType:
    """The benchmark of sampler order, with its exact score of a ring."""
    pytest.importorskip("diffusers")
    path = Path(__file__).parents[2] / "benchmarks" / "sampler_order.py"
    spec = spec_from_file_location("sampler_order", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- against diffusers ------------------------------------------------------------------------------------------------

STABLE_BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
LINEAR_BETAS = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}
PNDM = {"skip_prk_steps": True, "set_alpha_to_one": False}
CASES = [
    ("DDIMScheduler", {"clip_sample": False}, Diffusion(sampler="ddim", spacing="leading"), network),
    (
        "DDIMScheduler",
        {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1},
        Diffusion(sampler="ddim", spacing="leading", offset=1, final="first"),
        network,
    ),
    (
        "DDIMScheduler",
        {"clip_sample": False, "timestep_spacing": "trailing"},
        Diffusion(sampler="ddim", spacing="trailing"),
        network,
    ),
    ("PNDMScheduler", PNDM, Diffusion(sampler="pndm", spacing="leading", final="first"), network),
    (
        "PNDMScheduler",
        PNDM | {"steps_offset": 1},
        Diffusion(sampler="pndm", spacing="leading", offset=1, final="first"),
        network,
    ),
    ("EulerDiscreteScheduler", {}, Diffusion(sampler="euler", spacing="linspace"), network),
    (
        "EulerDiscreteScheduler",
        {"timestep_spacing": "leading", "steps_offset": 1},
        Diffusion(sampler="euler", spacing="leading", offset=1),
        network,
    ),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}, Diffusion(sampler="euler", spacing="karras"), network),
    ("HeunDiscreteScheduler", {}, Diffusion(sampler="heun", spacing="linspace"), network),
    (
        "HeunDiscreteScheduler",
        {"timestep_spacing": "leading", "steps_offset": 1},
        Diffusion(sampler="heun", spacing="leading", offset=1),
        network,
    ),
    ("HeunDiscreteScheduler", {"use_karras_sigmas": True}, Diffusion(sampler="heun", spacing="karras"), network),
    ("DPMSolverMultistepScheduler", {}, Diffusion(sampler="dpmpp2m", spacing="even"), network),
    (
        "DPMSolverMultistepScheduler",
        {"use_karras_sigmas": True},
        Diffusion(sampler="dpmpp2m", spacing="karras"),
        rounded,
    ),
    (
        "DPMSolverMultistepScheduler",
        {"use_lu_lambdas": True},
        Diffusion(sampler="dpmpp2m", spacing="log-snr"),
        rounded,
    ),
    ("UniPCMultistepScheduler", {}, Diffusion(sampler="unipc", spacing="even"), network),
]


def rounded_as(alpha_bar: Tensor) -> Process:
    """DDPM's process with diffusers' table, in which float32 leaves 1 - 0.9999 three good digits."""
    process = Process()
    vars(process)["alpha_bar"] = alpha_bar.double()
    return process


def label(case: object) -> str | None:
    return f"{case[0]}-{case[2].spacing}-{case[2].offset}" if isinstance(case, tuple) else None


@pytest.mark.parametrize("process, betas", [(STABLE, STABLE_BETAS), (LINEAR, LINEAR_BETAS)], ids=["stable", "linear"])
@pytest.mark.parametrize(
    "steps, case",
    [(50, case) for case in CASES] + [(20, case) for case in CASES if case[2].sampler != "heun"],
    ids=label,
)
def test_a_sampler_is_that_of_diffusers(
    steps: int,
    case: tuple[str, dict[str, object], Diffusion, Predict],
    process: Process,
    betas: dict[str, object],
) -> None:
    diffusers = pytest.importorskip("diffusers")
    name, settings, sampling, predict = case
    scheduler = getattr(diffusers, name)(**betas, **settings)
    if process is LINEAR:
        process = rounded_as(scheduler.alphas_cumprod)
    scheduler.set_timesteps(steps)
    eps = drawn(2, 3, 4, 4)
    x = eps * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x = scheduler.step(eps_of(scheduler.scale_model_input(x, t), float(t)), t, x).prev_sample
    sampling = replace(sampling, steps=steps)
    levels = sampling.levels(process)
    start = begin(sampling.sampler, eps, levels[0], sampling.spacing)
    ours = arrived(denoise(predict, start, levels, sampling.sampler)).x
    torch.testing.assert_close(ours, x, rtol=1e-5, atol=1e-5)


class Repeated:
    """The same random numbers as a generator gives one tensor at a time."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self.shape, self.generator, self.asked = shape, torch.Generator().manual_seed(seed), 0

    def normal(self, *shape: int) -> Tensor:
        assert shape == self.shape[1:]
        self.asked += 1
        return torch.randn(self.shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        raise AssertionError("no sampler asks for uniform numbers")


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_is_that_of_diffusers(variance: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    x = eps = drawn(2, 3, 4, 4)
    scheduler = diffusers.DDPMScheduler(clip_sample=False, variance_type=f"fixed_{variance}")
    scheduler.set_timesteps(200)
    generator = torch.Generator().manual_seed(7)
    for t in scheduler.timesteps:
        x = scheduler.step(eps_of(x, float(t)), t, x, generator=generator).prev_sample
    noise = Repeated((2, 3, 4, 4), 7)
    levels = path(LINEAR, 200, "leading")
    ours = arrived(denoise(network, eps, levels, "ddpm", noise=noise, variance=variance)).x  # type: ignore[arg-type]
    torch.testing.assert_close(ours, x, rtol=1e-5, atol=1e-5)
    assert noise.asked == 199


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_eta_is_that_of_diffusers(eta: float) -> None:
    diffusers = pytest.importorskip("diffusers")
    x = eps = drawn(2, 3, 4, 4)
    scheduler = diffusers.DDIMScheduler(**STABLE_BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(50)
    generator = torch.Generator().manual_seed(7)
    for t in scheduler.timesteps:
        x = scheduler.step(eps_of(x, float(t)), t, x, eta=eta, generator=generator).prev_sample
    levels = path(STABLE, 50, "leading", offset=1, final="first")
    ours = arrived(denoise(network, eps, levels, "ddim", noise=Repeated((2, 3, 4, 4), 7), eta=eta)).x
    torch.testing.assert_close(ours, x, rtol=1e-5, atol=1e-5)


# --- against what is known on paper -----------------------------------------------------------------------------------


def error(sampler: SamplerName, spacing: Spacing, steps: int) -> float:
    """Greatest distance to the exact solution at the least noise of training, in float64."""
    levels = path(STABLE, steps, spacing)[:-1]
    x = drawn(64, 1, dtype=torch.float64)
    exact = gaussian_flow(x, levels[0], levels[-1])
    return (arrived(denoise(gaussian, x, levels, sampler)).x - exact).abs().max().item()


@pytest.mark.parametrize(
    "sampler, spacing, order",
    [
        ("ddim", "log-snr", 1),
        ("ddim", "karras", 1),
        ("euler", "log-snr", 1),
        ("heun", "log-snr", 2),
        ("heun", "karras", 2),
        ("dpmpp2m", "log-snr", 2),
        ("dpmpp2m", "karras", 2),
        ("pndm", "log-snr", 2),
    ],
)
def test_a_sampler_comes_to_the_exact_solution_with_its_order(
    sampler: SamplerName, spacing: Spacing, order: float
) -> None:
    coarse, fine = error(sampler, spacing, 101), error(sampler, spacing, 201)
    assert log2(coarse / fine) == pytest.approx(order, abs=0.25)
    assert fine < 0.02**order * 2


def test_the_corrector_of_unipc_gains_an_order() -> None:
    coarse, fine = error("unipc", "log-snr", 21), error("unipc", "log-snr", 81)
    assert log2(coarse / fine) / 2 > 2.8
    assert fine < error("dpmpp2m", "log-snr", 81) / 5


DETERMINISTIC = [name for name, sampler in SAMPLERS.items() if not sampler.stochastic]


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_the_clean_end_is_reached(sampler: SamplerName) -> None:
    levels = path(STABLE, 200)
    x = drawn(64, 1, dtype=torch.float64)
    exact = gaussian_flow(x, levels[0], CLEAN)
    end = arrived(denoise(gaussian, x, levels, sampler))
    torch.testing.assert_close(end.x, exact, rtol=0, atol=0.02)
    torch.testing.assert_close(end.x, end.x0, rtol=0, atol=1e-3)


def test_ddpm_steps_are_draws_of_the_textbook_posterior() -> None:
    alpha_bar, z = LINEAR.alpha_bar, Repeated((3, 5), 1).normal(5).double()
    x = drawn(3, 5, seed=2, dtype=torch.float64)
    for t in (1, 500, 999):
        here, there = alpha_bar[t], alpha_bar[t - 1]
        beta = 1 - here / there
        x0 = gaussian(x, LINEAR.level(t)).x0
        mean = there.sqrt() * beta / (1 - here) * x0 + (here / there).sqrt() * (1 - there) / (1 - here) * x
        for variance, expected in [("small", (1 - there) / (1 - here) * beta), ("large", beta)]:
            frames = denoise(
                gaussian,
                x,
                [LINEAR.level(t), LINEAR.level(t - 1)],
                "ddpm",
                noise=Repeated((3, 5), 1),
                variance=variance,  # type: ignore[arg-type]
            )
            torch.testing.assert_close(arrived(frames).x, mean + expected.sqrt() * z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sampler, eta", [("ddpm", 0.0), ("ddim", 1.0), ("ddim", 0.5)])
def test_stochastic_samplers_reproduce_the_data(sampler: SamplerName, eta: float) -> None:
    noise = BatchNoise(20_000, torch.Generator().manual_seed(3))
    x = arrived(denoise(gaussian, drawn(20_000, 1), path(STABLE, 200), sampler, noise=noise, eta=eta)).x
    assert x.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert x.std().item() == pytest.approx(STD, rel=0.02)


def test_added_noise_leads_to_the_distribution_of_the_noisier_level() -> None:
    here, there = STABLE.level(200), STABLE.level(600)
    x0 = torch.full((100_000, 1), 2.0)
    x = noised(x0, drawn(100_000, 1), here.alpha, here.sigma)
    up = renoised(x, here, there, BatchNoise(100_000, torch.Generator().manual_seed(1)))
    assert up.mean().item() == pytest.approx(2 * there.alpha, abs=0.01)
    assert up.std().item() == pytest.approx(there.sigma, rel=0.01)


def test_repaint_fills_in_what_goes_with_the_known() -> None:
    """Two values with correlation 0.9, of which the first is known: the second has mean 0.9 and variance 0.19."""
    covariance = torch.tensor([[1, 0.9], [0.9, 1]])
    known = torch.tensor([True, False])

    def predict(x: Tensor, level: Level) -> Estimate:
        _, alpha, sigma = level
        precision = torch.linalg.inv(alpha**2 * covariance + sigma**2 * torch.eye(2))
        return estimate("eps", sigma * x @ precision, x, alpha, sigma)

    def filled(levels: list[Level]) -> Tensor:
        noise = BatchNoise(4000, torch.Generator().manual_seed(5))

        def after(x: Tensor, level: Level) -> Tensor:
            return torch.where(known, noised(torch.ones_like(x), noise.normal(2), level.alpha, level.sigma), x)

        return arrived(denoise(predict, drawn(4000, 2), levels, "ddpm", noise=noise, after=after)).x

    plain, harmonised = filled(path(STABLE, 50)), filled(repaint(path(STABLE, 50), 5, 8))
    assert harmonised[:, 0].unique().item() == 1
    assert harmonised[:, 1].mean().item() == pytest.approx(0.9, abs=0.06)
    assert harmonised[:, 1].var().item() == pytest.approx(0.19, abs=0.04)
    assert abs(plain[:, 1].mean().item() - 0.9) > abs(harmonised[:, 1].mean().item() - 0.9)


def test_heun_in_few_steps_is_no_worse_than_euler() -> None:
    """Unguarded, the mean of a step from sigma 14 to 1 throws points off the ring by as much as its radius."""
    order = benchmark()
    x = drawn(200, 2, dtype=torch.float64)
    exact = order.theirs("DDIMScheduler", {"clip_sample": False}, order.Ring(), x, 1000)
    distances = {
        name: (order.ours(name, "log-snr", order.Ring(), x, 5) - exact).norm(dim=1).mean() for name in ("euler", "heun")
    }
    assert distances["heun"] <= distances["euler"] < 0.25


def test_few_steps_come_closer_than_those_of_diffusers() -> None:
    order = benchmark()
    x = drawn(200, 2, dtype=torch.float64)
    exact = order.theirs("DDIMScheduler", {"clip_sample": False}, order.Ring(), x, 1000)
    for name, scheduler, settings in order.SCHEDULERS.values():
        for steps in (5, 10, 20, 50):
            ours = order.ours(name, SAMPLERS[name].spacing, order.Ring(), x, steps) - exact
            theirs = order.theirs(scheduler, settings, order.Ring(), x, steps) - exact
            assert ours.norm(dim=1).mean() < theirs.norm(dim=1).mean(), (name, steps)


@pytest.mark.parametrize("sampler", [name for name in DETERMINISTIC if name != "unipc"])
def test_inversion_finds_the_noise_from_which_the_sampler_itself_comes_here(sampler: SamplerName) -> None:
    levels = path(STABLE, 20)
    x = drawn(4, 3, 4, 4, dtype=torch.float64)
    end = arrived(denoise(gaussian, x, levels, sampler)).x
    torch.testing.assert_close(invert(gaussian, end, levels, sampler, rounds=60), x, rtol=1e-7, atol=1e-7)
    usual, improved = ((invert(gaussian, end, levels, sampler, rounds=n) - x).abs().max() for n in (0, 4))
    assert improved < usual / 20


# --- the loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_an_example_does_not_depend_on_its_batch(sampler: SamplerName) -> None:
    def trajectory(n: int, first: int) -> list[Tensor]:
        noise = SeededNoise(n, Seeds(7, first))
        start = noise.normal(3, 4, 4)
        levels = repaint(path(STABLE, 6), 3, 2)
        return [frame.x[-1] for frame in denoise(network, start, levels, sampler, noise=noise)]

    for alone, beside in zip(trajectory(1, 12), trajectory(3, 10), strict=True):
        assert torch.equal(alone, beside)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_one_step_is_possible_and_frames_are_one_a_step(sampler: SamplerName) -> None:
    noise = SeededNoise(2, 0)
    for steps in (1, 2, 5):
        levels = path(STABLE, steps)
        frames = list(denoise(network, drawn(2, 3, 4, 4), levels, sampler, noise=noise))
        assert [frame.level for frame in frames] == levels[1:]
        assert all(frame.x.isfinite().all() for frame in frames)
    assert list(denoise(network, drawn(2, 3, 4, 4), path(STABLE, 5, strength=0), sampler)) == []


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_deterministic_samplers_ask_for_no_noise(sampler: SamplerName) -> None:
    noise = Repeated((2, 3), 0)
    arrived(denoise(network, drawn(2, 3), path(STABLE, 5), sampler, noise=noise))
    assert noise.asked == 0


@pytest.mark.parametrize("sampler, passes", [("ddim", 20), ("pndm", 21), ("heun", 39), ("dpmpp2m", 20)])
def test_a_sampler_costs_its_number_of_passes(sampler: SamplerName, passes: int) -> None:
    asked = []

    def predict(x: Tensor, level: Level) -> Estimate:
        assert level.sigma > 0
        asked.append(level)
        return network(x, level)

    arrived(denoise(predict, drawn(1, 3), path(STABLE, 20), sampler))
    assert len(asked) == passes


def test_steps_are_taken_in_float32_whatever_the_networks_precision() -> None:
    def half(x: Tensor, level: Level) -> Estimate:
        assert x.dtype == torch.float32
        return Estimate(*(part.bfloat16() for part in network(x, level)))

    for sampler in SAMPLERS:
        frames = denoise(half, drawn(1, 3).bfloat16(), path(STABLE, 4), sampler, noise=SeededNoise(1, 0))
        assert all(frame.x.dtype == torch.float32 for frame in frames)


def test_what_is_done_after_a_step_is_seen_by_the_next() -> None:
    frames = list(denoise(network, drawn(1, 3), path(STABLE, 4), "ddim", after=lambda x, level: x * 0 + level.sigma))
    assert all((frame.x == torch.tensor(frame.level.sigma)).all() for frame in frames)


@pytest.mark.parametrize("sampler, eta", [("euler", 0.5), ("ddim", 1.5), ("ddim", -0.1)])
def test_an_eta_that_means_nothing_is_refused(sampler: SamplerName, eta: float) -> None:
    with pytest.raises(ValueError, match="eta"):
        next(denoise(network, drawn(1, 3), path(STABLE, 4), sampler, eta=eta))


def test_the_large_variance_is_refused_in_few_steps() -> None:
    noise = SeededNoise(1, 0)
    with pytest.raises(ValueError, match="variance small"):
        next(denoise(network, drawn(1, 3), path(STABLE, 99), "ddpm", noise=noise, variance="large"))
    next(denoise(network, drawn(1, 3), path(STABLE, 102), "ddpm", noise=noise, variance="large"))
