"""The preconditioning of EDM: inputs and targets of the network have unit variance at every noise level.

Karras, Aittala, Aila & Laine, Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
arXiv:2206.00364, table 1. Here x = x0 + sigma eps, unscaled; ``sigma`` is a number or a tensor that broadcasts to x.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genwerk.diffusion.schedule import Level


@dataclass(frozen=True, kw_only=True)
class Preconditioning:
    """D(x, sigma) = c_skip x + c_out F(c_in x, c_noise), with the noise levels and the loss weight of its training."""

    sigma_data: float = 0.5
    """Standard deviation of the data."""
    p_mean: float = -1.2
    """Mean of ln sigma in training."""
    p_std: float = 1.2
    """Standard deviation of ln sigma in training."""

    def sigma(self, normal: Tensor) -> Tensor:
        """Noise levels to train on, log-normal, of standard ``normal`` numbers."""
        return (self.p_mean + self.p_std * normal).exp()

    def c_skip(self, sigma: Tensor) -> Tensor:
        return self.sigma_data**2 / self._variance(sigma)

    def c_out(self, sigma: Tensor) -> Tensor:
        return sigma * self.sigma_data / self._variance(sigma).sqrt()

    def c_in(self, sigma: Tensor) -> Tensor:
        return 1 / self._variance(sigma).sqrt()

    def weight(self, sigma: Tensor) -> Tensor:
        """Weight on the squared error of D that weighs that of F equally everywhere: 1 / c_out²."""
        return 1 / self.c_out(sigma).square()

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """D of a network's ``output`` F."""
        return self.c_skip(sigma) * x + self.c_out(sigma) * output

    def target(self, x0: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """What F should return."""
        return (x0 - self.c_skip(sigma) * x) / self.c_out(sigma)

    def _variance(self, sigma: Tensor) -> Tensor:
        return sigma.square() + self.sigma_data**2


def from_preserving(x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
    """x and sigma as EDM has them, of ``x`` = alpha x0 + sigma eps at ``level``."""
    return x / level.alpha, torch.tensor(level.ratio, dtype=x.dtype, device=x.device)
