"""A mixture of logistic densities cut into the levels of a pixel (Salimans et al., PixelCNN++, 2017, section 2.1, 2.2).

All functions are of ``parameters`` with shape (n, :func:`size`, *space), and of values ``x`` with shape (n, c, *space),
where ``space`` is (h, w), or nothing for a single pixel. Values run from -1 to 1 in ``levels`` equal steps (2 or more).
The component is drawn once a pixel; within it the mean of a channel is moved by the channels before it:

    mean_g = m_g + a r,    mean_b = m_b + b r + c g,

and the mass of a level is the logistic distribution function at its upper edge less that at its lower one, the lowest
and the highest level reaching to infinity. It is computed in logarithms by

    log(S(b) - S(a)) = log S(b) + log S(-a) + log(1 - exp(a - b)),    S(z) = 1 / (1 + exp(-z)),

which loses nothing however far in the tail a level lies, so that no approximation stands in and masses sum to 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NARROWEST = -7.0
"""Least logarithm of a scale, in units of half the range of values."""


class Mixture(NamedTuple):
    """Components of one pixel each, in float32 or better."""

    log_weight: Tensor
    """Log-probabilities of the components with shape (n, k, *space)."""
    mean: Tensor
    """Means with shape (n, k, c, *space), before the earlier channels move them."""
    log_scale: Tensor
    """Logarithms of the scales with shape (n, k, c, *space)."""
    coefficient: Tensor
    """How far earlier channels move the later, in (-1, 1) with shape (n, k, c (c - 1) / 2, *space): channel 1 by
    channel 0, then 2 by 0, 2 by 1, and so on."""


def size(components: int, channels: int) -> int:
    """Parameters of a pixel: 10 a component for red, green and blue, 3 for grey."""
    return components * (1 + 2 * channels + channels * (channels - 1) // 2)


def unpack(parameters: Tensor, channels: int) -> Mixture:
    """The mixture that a network's output describes, whatever numbers these are."""
    if parameters.dtype in (torch.bfloat16, torch.float16):
        parameters = parameters.float()
    sizes = [1, channels, channels, channels * (channels - 1) // 2]
    weight, mean, log_scale, coefficient = parameters.unflatten(1, (-1, sum(sizes))).split(sizes, dim=2)
    return Mixture(weight[:, :, 0].log_softmax(1), mean, log_scale.clamp(min=NARROWEST), coefficient.tanh())


def log_prob(parameters: Tensor, x: Tensor, levels: int) -> Tensor:
    """Log-probability of every channel of ``x`` given those before it in its pixel, in nats, with the shape of x."""
    mixture = unpack(parameters, x.shape[1])
    joint = (mixture.log_weight.unsqueeze(2) + _by_component(mixture, x, levels).cumsum(2)).logsumexp(1)
    return torch.cat([joint[:, :1], joint[:, 1:] - joint[:, :-1]], dim=1)


def logits(parameters: Tensor, earlier: Tensor, channels: int, levels: int) -> Tensor:
    """Log-probabilities of all levels of the channel that follows ``earlier``, with shape (n, levels, *space).

    ``earlier`` are the values of the channels before it with shape (n, i, *space), where i may be 0. They say which
    component the pixel is likely to be of: each is weighted anew by the probability that it gave them.
    """
    mixture, channel = unpack(parameters, channels), earlier.shape[1]
    log_w = (mixture.log_weight + _by_component(mixture, earlier, levels).sum(2)).log_softmax(1)
    mean = _mean(mixture, earlier, channel).unsqueeze(-1)
    per_scale = mixture.log_scale[:, :, channel].neg().exp().unsqueeze(-1)
    step = 2 / (levels - 1)
    edges = torch.arange(0.5, levels - 1, device=mean.device, dtype=mean.dtype) * step - 1
    z = (edges - mean) * per_scale  # with shape (n, k, *space, levels - 1)
    below = F.logsigmoid(z)
    inner = (below[..., 1:] + (below - z)[..., :-1]) + _log1mexp(step * per_scale)
    log_p = torch.cat([below[..., :1], inner, (below - z)[..., -1:]], dim=-1)
    return (log_w.unsqueeze(-1) + log_p).logsumexp(1).movedim(-1, 1)


def _mean(mixture: Mixture, x: Tensor, channel: int) -> Tensor:
    """Means of ``channel`` given the channels of ``x`` before it, with shape (n, k, *space)."""
    first = channel * (channel - 1) // 2
    moved = mixture.coefficient[:, :, first : first + channel] * x[:, None, :channel]
    return mixture.mean[:, :, channel] + moved.sum(2)


def _by_component(mixture: Mixture, x: Tensor, levels: int) -> Tensor:
    """Log-probability of each channel of ``x`` under each component, with shape (n, k, channels of x, *space)."""
    channels, half = x.shape[1], 1 / (levels - 1)
    if not channels:
        return mixture.mean[:, :, :0]
    mean = torch.stack([_mean(mixture, x, i) for i in range(channels)], dim=2)
    per_scale, x = mixture.log_scale[:, :, :channels].neg().exp(), x.unsqueeze(1)
    lowest, highest = x < half - 1, x > 1 - half
    under_upper = F.logsigmoid((x + half - mean) * per_scale).masked_fill(highest, 0)
    over_lower = F.logsigmoid((mean - x + half) * per_scale).masked_fill(lowest, 0)
    return under_upper + over_lower + _log1mexp(2 * half * per_scale).masked_fill(lowest | highest, 0)


def _log1mexp(d: Tensor) -> Tensor:
    """log(1 - exp(-d)) for d > 0."""
    return torch.log(-torch.expm1(-d))
