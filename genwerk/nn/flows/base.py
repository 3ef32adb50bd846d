"""Base densities of flows: latents that are simple to draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.component import Component
from genwerk.core.noise import Noise


class Base(nn.Module, ABC):
    """A density of latents with shape (n, d)."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.dims = dims

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Nats an example, with shape (n,)."""

    @abstractmethod
    def draw(self, noise: Noise) -> Tensor:
        """A latent for each example of ``noise``, with shape (n, d)."""

    def centre(self, z: Tensor) -> Tensor:
        """What ``z`` shrinks to as the temperature falls to 0: the mode."""
        return torch.zeros_like(z)


class Normal(Base):
    """Independent standard normal values."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square().sum(1) + self.dims * log(2 * pi))

    def draw(self, noise: Noise) -> Tensor:
        return noise.normal(self.dims)


class Logistic(Base):
    """Independent standard logistic values, whose tails are heavier (NICE, section 3.4)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return (F.logsigmoid(z) + F.logsigmoid(-z)).sum(1)

    def draw(self, noise: Noise) -> Tensor:
        u = noise.uniform(self.dims)
        return torch.logit(u.clamp(EDGE, 1 - EDGE))


class Mixture(Base):
    """``components`` Gaussians with learned weights, means and variances, spread at random to begin with."""

    def __init__(self, dims: int, components: int) -> None:
        super().__init__(dims)
        if components < 1:
            raise ValueError(f"components is {components}; a mixture needs 1 or more")
        self.weight = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, dims))
        self.log_scale = nn.Parameter(torch.zeros(components, dims))

    def log_prob(self, z: Tensor) -> Tensor:
        scale = self.log_scale.clamp(-BOUND, BOUND)
        squared = ((z[:, None] - self.mean) * (-scale).exp()).square().sum(2)
        log_p = -0.5 * (squared + self.dims * log(2 * pi)) - scale.sum(1)
        return torch.logsumexp(log_p + self.weight.log_softmax(0), 1)

    def draw(self, noise: Noise) -> Tensor:
        edges = self.weight.softmax(0).cumsum(0)[:-1]
        k = (noise.uniform()[:, None] >= edges).sum(1)
        scale = self.log_scale.clamp(-BOUND, BOUND).exp()
        return self.mean[k] + scale[k] * noise.normal(self.dims)

    def centre(self, z: Tensor) -> Tensor:
        return self.mean[torch.cdist(z, self.mean).argmin(1)]


EDGE = 1e-7
"""Least distance of a uniform number from 0 and 1 when its logit is taken."""
BOUND = 7.0
"""Greatest logarithm of a component's standard deviation, either way."""


@dataclass(frozen=True, kw_only=True)
class BaseConfig(Component):
    """Settings of the density of a latent."""

    @abstractmethod
    def build(self, dims: int) -> Base:
        """The density of ``dims`` values."""


@dataclass(frozen=True, kw_only=True)
class NormalBase(BaseConfig, kind="normal"):
    """Independent standard normal values."""

    def build(self, dims: int) -> Base:
        return Normal(dims)


@dataclass(frozen=True, kw_only=True)
class LogisticBase(BaseConfig, kind="logistic"):
    """Independent standard logistic values, whose tails are heavier."""

    def build(self, dims: int) -> Base:
        return Logistic(dims)


@dataclass(frozen=True, kw_only=True)
class MixtureBase(BaseConfig, kind="mixture"):
    """A learned mixture of Gaussians."""

    components: int = 10
    """Gaussians."""

    def build(self, dims: int) -> Base:
        return Mixture(dims, self.components)
