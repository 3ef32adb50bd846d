"""DDPM: noise is added to the data in many small steps, and a network learns to predict it.

J. Ho, A. Jain, P. Abbeel: Denoising Diffusion Probabilistic Models, 2020, arXiv:2006.11239. schedule "cosine": Nichol &
Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, arXiv:2102.09672. prediction "v": Salimans & Ho,
Progressive Distillation for Fast Sampling of Diffusion Models, 2022, arXiv:2202.00512. weighting "min-snr": Hang et
al., 2023, arXiv:2303.09556. Guidance: Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, arXiv:2207.12598.

Done differently: samples take 20 steps of DPM-Solver++ by default and not 1,000 ancestral ones (--sampler ddpm --steps
1000); the last step is to the data and not to its mean given x_1; tables get a fully connected network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, pi

import torch
from torch import Tensor

from genwerk.core.abilities import BoundsLikelihood
from genwerk.core.model import Loss
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.spec import Batch, DataSpec
from genwerk.diffusion.parameterisation import (
    Estimate,
    Prediction,
    Weighting,
    clamped,
    estimate,
    loss_weight,
    noised,
    target,
)
from genwerk.diffusion.schedule import Level, Linear, Process, Schedule
from genwerk.families.diffusion import DiffusionConfig, DiffusionModel


@dataclass(frozen=True, kw_only=True)
class DDPMConfig(DiffusionConfig):
    """Settings of a DDPM."""

    schedule: Schedule = field(default_factory=Linear)
    """How noise grows from step to step."""
    steps: int = 1000
    """The paper's T: steps of the noising process."""
    prediction: Prediction = "eps"
    """What the network puts out: the noise, the velocity alpha eps - sigma x, or the data."""
    weighting: Weighting = "uniform"
    """How squared errors of the output at different levels are weighed against each other."""


class DDPM(DiffusionModel, BoundsLikelihood, config=DDPMConfig):
    """The simple objective of equation 14, and the bound of equation 5 that it descends from."""

    def __init__(self, config: DDPMConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: DDPMConfig = config
        self.process = Process(config.schedule, config.steps)

    # --- training -----------------------------------------------------------------------------------------------------

    def objective(self, batch: Batch, eps: Tensor, u: Tensor, extra: Tensor | None = None) -> Loss:
        """Algorithm 1: the squared error of the output, a value."""
        x0 = self.centred(batch.x)
        t = (u * self.config.steps).long()
        alpha, sigma = self.process.alpha_sigma(t, x0.dim())
        x = noised(x0, eps, alpha, sigma)
        output = self.network_output(x, t, batch.condition, extra)
        kind = self.config.prediction
        error = (output - target(kind, x0, eps, alpha, sigma)).square()
        weight = loss_weight(self.config.weighting, kind, alpha, sigma)
        return (weight * error).mean(), {"mse": error.mean()}

    # --- what the network says ----------------------------------------------------------------------------------------

    def output(self, x: Tensor, level: Level, condition: Tensor | None, extra: Tensor | None = None) -> Tensor:
        return self.network_output(x, torch.full((len(x),), level.t, device=x.device), condition, extra)

    def estimate(self, output: Tensor, x: Tensor, level: Level) -> Estimate:
        return estimate(self.config.prediction, output, x, level.alpha, level.sigma)

    # --- the bound ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def log_prob_bound(
        self, x: Tensor, importance_samples: int = 1, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        """Equation 5 with the smaller variances of section 3.2, from so many of its T - 1 middle terms.

        The first and the last term are taken once each, the former by one draw of x_1.
        """
        noise, y = SeededNoise(len(x), seed, x.device), self.centred(x)
        c, steps = self.optional(condition), self.config.steps
        alpha, sigma = (values.flatten() for values in self.process.alpha_sigma(torch.arange(steps, device=x.device)))
        last_term = 0.5 * (sigma[-1] ** 2 - 1 - 2 * sigma[-1].log() + (alpha[-1] * y).square()).flatten(1).sum(1)
        bound = -last_term
        # middle terms: half the difference of the signal-to-noise ratios times the squared error of the data
        snr = (alpha / sigma).square()
        lot = noise.uniform(importance_samples)
        for k in range(importance_samples if steps > 1 else 0):
            t = 1 + ((k + lot[:, k]) / importance_samples * (steps - 1)).long().clamp(max=steps - 2)
            error = (y - self._guess(y, t, noise.normal(*y.shape[1:]), c)).square().flatten(1).sum(1)
            bound = bound - 0.5 * (snr[t - 1] - snr[t]) * error * (steps - 1) / importance_samples
        first = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        guess = self._guess(y, first, noise.normal(*y.shape[1:]), c)
        volume = 0.0 if self.spec.modality.has_levels else self.centred.log_det()
        nats: Tensor = bound + self._first_term(y, guess, sigma[0]) + volume
        return nats

    def _guess(self, y: Tensor, t: Tensor, eps: Tensor, condition: Tensor | None) -> Tensor:
        """The network's estimate of the data ``y``, noised to times ``t`` with shape (n,)."""
        alpha, sigma = self.process.alpha_sigma(t, y.dim())
        x = noised(y, eps, alpha, sigma)
        output = self.network_output(x, t, condition)
        found = estimate(self.config.prediction, output, x, alpha, sigma)
        return clamped(found, x, alpha, sigma).x0 if self.centred.columns.range else found.x0

    def _first_term(self, y: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """log p(x_0 | x_1) with shape (n,): of the stored levels (equation 13), or the density of what has none."""
        if not self.spec.modality.has_levels:
            log_p = -0.5 * ((y - mean) / std).square() - std.log() - 0.5 * log(2 * pi)
            return log_p.flatten(1).sum(1)
        half = 1 / (self.spec.levels - 1)  # of a level's width in [-1, 1]
        above = torch.where(y > 1 - half / 2, torch.inf, (y - mean + half) / std)
        below = torch.where(y < -1 + half / 2, -torch.inf, (y - mean - half) / std)
        return _log_between(below.double(), above.double()).flatten(1).sum(1).to(y.dtype)


def _log_between(below: Tensor, above: Tensor) -> Tensor:
    """log of the standard normal probability between two values, accurate in both tails."""
    swap = below > 0
    low, high = torch.where(swap, -above, below), torch.where(swap, -below, above)
    log_high, log_low = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    between: Tensor = log_high + torch.log1p(-(log_low - log_high).exp())
    return between
