"""How close few steps come to the exact solution: our samplers against the diffusers class of the same name.

    pip install diffusers==0.42.1
    OMP_NUM_THREADS=1 python benchmarks/sampler_order.py [--spacings]

The data are a ring of eight Gaussians, of which the best possible network is known, so that nothing is trained and all
error is the sampler's. From the same 2,000 starting points, each sampler runs at its own default spacing; the figure is
the mean distance of its points to those of diffusers' DDIM with all 1,000 steps. The process is the linear one of DDPM.
diffusers' classes are built with the process, without clipping (the data are no pixels), and otherwise with their
defaults; PNDM also with skip_prk_steps, as Stable Diffusion runs it. All arithmetic is float64, and the sigma-space
classes start from the very point that the others do. ``--spacings`` shows each of ours on every spacing instead.

DDPM has no solution to come to: the second table is the energy distance of its points to as many of the data, and of
these to others of the data.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from math import pi
from typing import get_args

import diffusers
import torch
from torch import Tensor

from genwerk.core.noise import BatchNoise
from genwerk.diffusion.parameterisation import Estimate, estimate
from genwerk.diffusion.samplers import SAMPLERS, SamplerName, denoise
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Level, Linear, Process, Spacing, path

STEPS = (5, 10, 20, 50, 100)
POINTS, SEED = 2000, 0
STD = 0.08
SCHEDULE = Linear()
PROCESS = Process(SCHEDULE)
DETERMINISTIC: tuple[SamplerName, ...] = ("ddim", "euler", "heun", "pndm", "dpmpp2m")
ANGLES = torch.arange(8, dtype=torch.float64) * pi / 4
CENTRES = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)

SCHEDULERS: dict[str, tuple[SamplerName, str, dict[str, object]]] = {
    "DDIMScheduler": ("ddim", "DDIMScheduler", {"clip_sample": False}),
    "EulerDiscreteScheduler": ("euler", "EulerDiscreteScheduler", {}),
    "HeunDiscreteScheduler": ("heun", "HeunDiscreteScheduler", {}),
    "PNDMScheduler": ("pndm", "PNDMScheduler", {}),
    "PNDMScheduler, skip_prk": ("pndm", "PNDMScheduler", {"skip_prk_steps": True}),
    "DPMSolverMultistepScheduler": ("dpmpp2m", "DPMSolverMultistepScheduler", {}),
}


class Ring:
    """The exact noise of x under the ring's data, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, x: Tensor, level: Level) -> Estimate:
        self.asked += 1
        _, alpha, sigma = level
        variance = (alpha * STD) ** 2 + sigma**2
        away = x[:, None] - alpha * CENTRES
        share = (-away.square().sum(-1) / (2 * variance)).softmax(1)
        eps = sigma * (share[..., None] * away).sum(1) / variance
        return estimate("eps", eps, x, alpha, sigma)


def theirs(name: str, settings: dict[str, object], ring: Ring, x: Tensor, steps: int) -> Tensor:
    """``x`` after ``steps`` steps of a diffusers scheduler."""
    scheduler = getattr(diffusers, name)(
        num_train_timesteps=PROCESS.steps,
        beta_start=SCHEDULE.beta_start,
        beta_end=SCHEDULE.beta_end,
        beta_schedule="linear",
        **settings,
    )
    scheduler.set_timesteps(steps)
    if float(scheduler.init_noise_sigma) > 1:
        x = x * (1 + scheduler.sigmas[0].double().square()).sqrt()
    for t in scheduler.timesteps:
        eps = ring.predict(scheduler.scale_model_input(x, t), PROCESS.level(float(t))).eps
        x = scheduler.step(eps, t, x).prev_sample.double()
    return x


def ours(name: SamplerName, spacing: Spacing, ring: Ring, x: Tensor, steps: int) -> Tensor:
    """``x`` after ``steps`` steps of our sampler."""
    *_, last = denoise(ring.predict, x, path(PROCESS, steps, spacing), name)
    return last.x


def energy(x: Tensor, y: Tensor) -> float:
    """Energy distance of two samples: zero where they are of one distribution, but for chance."""
    return (2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean()).item()


def data(seed: int) -> Tensor:
    """Points of the ring."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(8, (POINTS,), generator=generator)
    return CENTRES[which] + STD * torch.randn(POINTS, 2, generator=generator, dtype=torch.float64)


def ancestral(x: Tensor) -> None:
    """Print DDPM's table."""
    real = data(SEED + 1)
    mine, others = [], []
    for steps in STEPS:
        noise = BatchNoise(POINTS, torch.Generator().manual_seed(SEED))
        *_, last = denoise(Ring().predict, x, path(PROCESS, steps, SAMPLERS["ddpm"].spacing), "ddpm", noise=noise)
        mine.append(energy(last.x, real))
        torch.manual_seed(SEED)
        others.append(energy(theirs("DDPMScheduler", {"clip_sample": False}, Ring(), x, steps), real))
    floor = energy(data(SEED + 2), real)
    print(f"\n| energy distance (data: {floor:.4f}) | " + " | ".join(f"{n} steps" for n in STEPS) + " |")
    print("|---" * (len(STEPS) + 1) + "|")
    for name, distances in ((f"genwerk ddpm, {SAMPLERS['ddpm'].spacing}", mine), ("diffusers DDPMScheduler", others)):
        print(f"| {name} | " + " | ".join(f"{distance:.4f}" for distance in distances) + " |")


def row(name: str, run: Callable[[Ring, int], Tensor], solution: Tensor) -> list[float]:
    """Print and return the distances to the solution, with the network's passes in brackets."""
    distances, cells = [], []
    for steps in STEPS:
        ring = Ring()
        distances.append((run(ring, steps) - solution).norm(dim=1).mean().item())
        cells.append(f"{distances[-1]:.4f} ({ring.asked})")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return distances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spacings", action="store_true", help="each of our samplers on every spacing")
    spacings = parser.parse_args().spacings

    x = torch.randn(POINTS, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED))
    solution = theirs("DDIMScheduler", {"clip_sample": False}, Ring(), x, PROCESS.steps)
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, {platform.machine()}, seed {SEED}\n")
    print("| sampler | " + " | ".join(f"{n} steps" for n in STEPS) + " |")
    print("|---" * (len(STEPS) + 1) + "|")

    if spacings:
        for name in DETERMINISTIC:
            for spacing in get_args(Spacing):
                row(
                    f"{name}, {spacing}",
                    lambda ring, n, name=name, spacing=spacing: ours(name, spacing, ring, x, n),
                    solution,
                )
        return

    mine = {
        name: row(
            f"genwerk {name}, {SAMPLERS[name].spacing}",
            lambda ring, n, name=name: ours(name, SAMPLERS[name].spacing, ring, x, n),
            solution,
        )
        for name in DETERMINISTIC
    }
    others = {
        label: row(
            f"diffusers {label}",
            lambda ring, n, name=name, settings=settings: theirs(name, settings, ring, x, n),
            solution,
        )
        for label, (_, name, settings) in SCHEDULERS.items()
    }
    ancestral(x)
    worse = [
        f"{label} at {n} steps"
        for label, (name, _, _) in SCHEDULERS.items()
        for n, a, b in zip(STEPS, mine[name], others[label], strict=True)
        if a > b
    ]
    print(f"\nours is farther than the class of its name: {', '.join(worse) or 'nowhere'}")
    default, best = mine[Diffusion().sampler][STEPS.index(10)], min(d[STEPS.index(10)] for d in others.values())
    print(f"10 steps of our default: {default:.4f}; the best of diffusers' defaults: {best:.4f}")


if __name__ == "__main__":
    main()
