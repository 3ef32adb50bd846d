"""What a network predicts (the noise, the data or their velocity), conversions between these, and loss weights.

Noise: Ho et al. 2020, arXiv:2006.11239. Velocity: Salimans & Ho 2022, arXiv:2202.00512. min-SNR: Hang et al. 2023,
arXiv:2303.09556. ``alpha`` and ``sigma`` are numbers, or tensors that broadcast to x.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

Prediction = Literal["eps", "v", "x0"]
Weighting = Literal["uniform", "min-snr"]
Factor = TypeVar("Factor", float, Tensor)

GAMMA = 5.0
"""Signal-to-noise ratio at which min-SNR clips the weight of an error of the data."""


class Estimate(NamedTuple):
    """A network's estimate of both parts of x = alpha x0 + sigma eps, each with the shape of x."""

    x0: Tensor
    eps: Tensor


def noised(x0: Tensor, eps: Tensor, alpha: Factor, sigma: Factor) -> Tensor:
    """x = alpha x0 + sigma eps."""
    return alpha * x0 + sigma * eps


def target(kind: Prediction, x0: Tensor, eps: Tensor, alpha: Factor, sigma: Factor) -> Tensor:
    """What the network should return."""
    if kind == "eps":
        return eps
    return x0 if kind == "x0" else alpha * eps - sigma * x0


def estimate(kind: Prediction, output: Tensor, x: Tensor, alpha: Factor, sigma: Factor) -> Estimate:
    """Data and noise of a network's ``output`` on ``x``, in the precision of ``x``; alpha and sigma are above 0."""
    output = output.to(x.dtype)
    if kind == "eps":
        return Estimate((x - sigma * output) / alpha, output)
    if kind == "x0":
        return Estimate(output, (x - alpha * output) / sigma)
    return Estimate(alpha * x - sigma * output, sigma * x + alpha * output)


def clamped(estimated: Estimate, x: Tensor, alpha: Factor, sigma: Factor, bound: float = 1.0) -> Estimate:
    """The estimate with its data clamped to [-``bound``, ``bound``] and consistent noise: for pixels, not latents."""
    x0 = estimated.x0.clamp(-bound, bound)
    return Estimate(x0, (x - alpha * x0) / sigma)


def loss_weight(weighting: Weighting, kind: Prediction, alpha: Tensor, sigma: Tensor, gamma: float = GAMMA) -> Tensor:
    """Factor on the squared error of the network's output at each level, with the shape of ``alpha``.

    "uniform" is 1 whatever is predicted. "min-snr" weighs the error of the data, in whichever form it is predicted, by
    min(SNR, ``gamma``): an error of v is 1 / sigma of the data's, one of eps alpha / sigma.
    """
    if weighting == "uniform":
        return torch.ones_like(alpha)
    snr = (alpha / sigma).square()
    if kind == "x0":
        return snr.clamp(max=gamma)
    if kind == "v":
        return snr.clamp(max=gamma) * sigma.square()
    return (gamma / snr).clamp(max=1)
