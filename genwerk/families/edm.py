"""EDM: a diffusion model whose network has inputs and targets of unit variance at every noise level.

T. Karras, M. Aittala, T. Aila, S. Laine: Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
arXiv:2206.00364, table 1, column "ours".

Done differently: the network is given the place of ln sigma between that of the least and of the most noise, from 0 to
999, and not ln(sigma) / 4, so that it is the same network as DDPM's; there is no augmentation and no churn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from genwerk.core.model import Loss
from genwerk.core.spec import Batch, DataSpec
from genwerk.diffusion.edm import Preconditioning, from_preserving
from genwerk.diffusion.parameterisation import Estimate
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Geometric, Level, Process
from genwerk.families.diffusion import DiffusionConfig, DiffusionModel

STEPS = 1000
"""Levels that the noise in between is counted by."""


@dataclass(frozen=True, kw_only=True)
class EDMConfig(DiffusionConfig):
    """Settings of an EDM."""

    sigma_data: float = 0.5
    """Standard deviation of the data, in [-1, 1] where they are images."""
    p_mean: float = -1.2
    """Mean of ln sigma in training."""
    p_std: float = 1.2
    """Standard deviation of ln sigma in training."""
    sigma_min: float = 0.002
    """Standard deviation of the noise at which sampling ends."""
    sigma_max: float = 80.0
    """Standard deviation of the noise from which it starts."""
    sampling: Diffusion = field(default_factory=lambda: Diffusion(sampler="heun", steps=18, spacing="karras"))
    """Default sampling options."""


class EDM(DiffusionModel, config=EDMConfig):
    """x = x0 + sigma eps, and D(x, sigma) = c_skip x + c_out F(c_in x, c_noise)."""

    def __init__(self, config: EDMConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: EDMConfig = config
        self.process = Process(Geometric(sigma_min=config.sigma_min, sigma_max=config.sigma_max), STEPS)
        self.scaled = Preconditioning(sigma_data=config.sigma_data, p_mean=config.p_mean, p_std=config.p_std)

    def objective(self, batch: Batch, eps: Tensor, u: Tensor, extra: Tensor | None = None) -> Loss:
        """Equation 8: the squared error of F, which the weights of section 5 make equal at all levels."""
        x0 = self.centred(batch.x)
        normal = torch.special.ndtri(u.double().clamp(1e-6, 1 - 1e-6)).to(x0)
        sigma = self.scaled.sigma(normal).view(-1, *[1] * (x0.dim() - 1))
        x = x0 + sigma * eps
        error = (self._network(x, sigma, batch.condition, extra) - self.scaled.target(x0, x, sigma)).square()
        return error.mean(), {"mse": (error.detach() / self.scaled.weight(sigma)).mean()}

    def _network(self, x: Tensor, sigma: Tensor, condition: Tensor | None, extra: Tensor | None = None) -> Tensor:
        """F of x with a ``sigma`` that broadcasts to it; ``extra`` channels are not scaled."""
        span = torch.tensor([self.config.sigma_min, self.config.sigma_max]).log().tolist()
        place = (sigma.log() - span[0]) / (span[1] - span[0]) * (STEPS - 1)
        t = place.expand(len(x), *place.shape[1:]).flatten()
        return self.network_output(self.scaled.c_in(sigma) * x, t, condition, extra).to(x.dtype)

    def output(self, x: Tensor, level: Level, condition: Tensor | None, extra: Tensor | None = None) -> Tensor:
        unscaled, sigma = from_preserving(x, level)
        return self._network(unscaled, sigma.view(*[1] * x.dim()), condition, extra)

    def estimate(self, output: Tensor, x: Tensor, level: Level) -> Estimate:
        unscaled, sigma = from_preserving(x, level)
        x0 = self.scaled.denoised(output, unscaled, sigma)
        return Estimate(x0, (x - level.alpha * x0) / level.sigma)
