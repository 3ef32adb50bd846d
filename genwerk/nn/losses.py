"""Likelihoods of data given a decoder's output, and distances of codes to their prior, in nats.

Every likelihood counts images in nats of their stored levels (see :class:`HasLikelihood`), summed over all dimensions,
so that likelihoods, bounds and bits per dimension of different families are comparable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log, pi
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.abilities import ScoredAs
from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.core.noise import Noise
from genwerk.core.spec import DataSpec

FLOOR = 1e-3
"""Smallest standard deviation or scale, in units of black to white, or of one standard deviation of a table's column.

A quarter of one 8-bit level: narrower adds nothing to an image's likelihood, and keeps a table's finite."""

Sigma = float | Literal["learned", "each"]

# --- likelihoods ----------------------------------------------------------------------------------------------------


class Likelihood(nn.Module, ABC):
    """p(x | parameters), where ``parameters`` are a decoder's output.

    Leading dimensions broadcast: parameters with shape (..., *parameters_shape) and x with shape (..., *spec.shape)
    give (...). Channels (columns, for tables) of the parameters come first: all of one kind, then all of the next.
    """

    scored: str
    """What the nats are of, for reports."""
    scored_as: ScoredAs = "stored"
    """As in :class:`genwerk.core.abilities.HasLikelihood`."""

    def __init__(self, spec: DataSpec, parameters_per_value: int = 1) -> None:
        super().__init__()
        if not spec.modality.numeric:
            raise BadInput(
                "this family learns images, sounds or tables, not text; `genwerk recipes` lists those that learn it"
            )
        self.spec, self.range = spec, spec.modality.units(centred=False).range
        self.parameters_shape = (parameters_per_value * spec.shape[0], *spec.shape[1:])
        """Shape of the decoder's output for one example."""

    @abstractmethod
    def observe(self, x: Tensor, u: Tensor) -> Tensor:
        """What is scored in place of ``x``: binarised, dequantised, or as it is; ``u`` is uniform on [0, 1) like x."""

    @abstractmethod
    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-likelihood in nats of an observed ``x``, summed over its dimensions."""

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Expected example, within the range of the data."""

    @abstractmethod
    def sample(self, parameters: Tensor, noise: Noise) -> Tensor:
        """A draw of x for each of the parameters with shape (n, *parameters_shape), within the range of the data."""

    def _sum(self, by_value: Tensor) -> Tensor:
        return by_value.flatten(-len(self.spec.shape)).sum(-1)

    def _in_range(self, x: Tensor) -> Tensor:
        return x if self.range is None else x.clamp(*self.range)


class Bernoulli(Likelihood):
    """Black or white pixels; the parameter is the logit of white.

    Grey pixels are binarised dynamically (Salakhutdinov & Murray, 2008): white with probability x, anew at every look.
    """

    scored_as = "binary"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if not spec.modality.has_levels:
            raise BadInput(f"the Bernoulli likelihood is for images; for {spec} take ‹model.likelihood› gaussian")
        binary = spec.levels == 2
        self.scored = "binary pixels" if binary else "pixels binarised at random (dynamic binarisation)"

    def observe(self, x: Tensor, u: Tensor) -> Tensor:
        return (u < x).to(x.dtype)

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        start = -len(self.spec.shape)
        logits, x = parameters.flatten(start), x.flatten(start)
        return torch.einsum("...d,...d->...", logits, x) - F.softplus(logits).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid()

    def sample(self, parameters: Tensor, noise: Noise) -> Tensor:
        return (noise.uniform(*self.spec.shape) < parameters.sigmoid()).to(parameters.dtype)


class Gaussian(Likelihood):
    """Independent normal values around the decoder's output.

    ``sigma`` is their standard deviation: a number fixes it, ``learned`` learns one for all values, ``each`` takes one
    a value from the decoder. Image pixels are spread uniformly over their level, so that the density is of continuous
    data, and are counted per level.
    """

    def __init__(self, spec: DataSpec, sigma: Sigma = "learned") -> None:
        super().__init__(spec, 2 if sigma == "each" else 1)
        self.sigma = sigma
        if sigma == "learned":
            self.raw_sigma = nn.Parameter(torch.tensor(log(0.25) if spec.modality.has_levels else 0.0))
        self.levelled = spec.modality.has_levels
        self.scored = "pixels spread uniformly over their level" if self.levelled else "values as they are"
        self.level = 1 / (spec.levels - 1) if self.levelled else 1.0

    def observe(self, x: Tensor, u: Tensor) -> Tensor:
        return x + (u - 0.5) * self.level if self.levelled else x

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        mean, log_sigma = self._split(parameters)
        by_value = -0.5 * ((x - mean) * torch.exp(-log_sigma)) ** 2 - log_sigma
        return self._sum(by_value) + self.spec.dims * (log(self.level) - 0.5 * log(2 * pi))

    def mean(self, parameters: Tensor) -> Tensor:
        return self._in_range(self._split(parameters)[0])

    def sample(self, parameters: Tensor, noise: Noise) -> Tensor:
        mean, log_sigma = self._split(parameters)
        return self._in_range(mean + log_sigma.exp() * noise.normal(*self.spec.shape).to(mean))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        if self.sigma == "each":
            mean, raw = parameters.chunk(2, dim=-len(self.spec.shape))
            return mean, floored(raw)
        if self.sigma == "learned":
            return parameters, floored(self.raw_sigma)
        return parameters, parameters.new_tensor(log(self.sigma))


class DiscretisedLogistic(Likelihood):
    """A logistic density cut into the levels of a pixel, with one learned scale a channel.

    Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow, 2016, arXiv:1606.04934, section 5;
    black and white take the tails (Salimans et al., 2017, arXiv:1701.05517).
    """

    scored = "stored pixel levels"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if not spec.modality.has_levels:
            raise BadInput(f"the logistic likelihood is for images; for {spec} take ‹model.likelihood› gaussian")
        self.half_level = 0.5 / (spec.levels - 1)
        self.raw_scale = nn.Parameter(torch.full((spec.shape[0], 1, 1), log(0.1)))

    def observe(self, x: Tensor, u: Tensor) -> Tensor:
        return x

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        scale = floored(self.raw_scale).exp()
        upper, lower = (x - parameters + self.half_level) / scale, (x - parameters - self.half_level) / scale
        below, above = F.logsigmoid(upper), F.logsigmoid(-lower)  # log P(X < upper edge), log P(X > lower edge)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which cancels nowhere
        inside = below + above + torch.log(-torch.expm1(-2 * self.half_level / scale))
        return self._sum(torch.where(x < self.half_level, below, torch.where(x > 1 - self.half_level, above, inside)))

    def mean(self, parameters: Tensor) -> Tensor:
        return self._in_range(parameters)

    def sample(self, parameters: Tensor, noise: Noise) -> Tensor:
        u, most = noise.uniform(*self.spec.shape).to(parameters), self.spec.levels - 1
        x = parameters + floored(self.raw_scale).exp() * torch.logit(u, eps=1e-7)
        return self._in_range((x * most).round() / most)


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig(Component):
    """Settings of a distribution of the data given a code."""

    @abstractmethod
    def build(self, spec: DataSpec) -> Likelihood:
        """The likelihood of data of ``spec``."""


@dataclass(frozen=True, kw_only=True)
class BernoulliConfig(LikelihoodConfig, kind="bernoulli"):
    """Black or white pixels, drawn from grey ones anew at every look."""

    def build(self, spec: DataSpec) -> Likelihood:
        return Bernoulli(spec)


@dataclass(frozen=True, kw_only=True)
class GaussianConfig(LikelihoodConfig, kind="gaussian"):
    """Independent normal values around the decoder's output."""

    sigma: Sigma = "learned"
    """Standard deviation: a number (1 is black to white, or a table column's standard deviation), one learned for all
    values, or one for each value from the decoder."""

    def __post_init__(self) -> None:
        if not isinstance(self.sigma, str) and not self.sigma > 0:
            raise ValueError(f"sigma is {self.sigma}; it must be above 0, or one of learned, each")

    def build(self, spec: DataSpec) -> Likelihood:
        return Gaussian(spec, self.sigma)


@dataclass(frozen=True, kw_only=True)
class LogisticConfig(LikelihoodConfig, kind="logistic"):
    """A logistic density cut into the stored levels of a pixel."""

    def build(self, spec: DataSpec) -> Likelihood:
        return DiscretisedLogistic(spec)


def floored(raw: Tensor) -> Tensor:
    """log sqrt(FLOOR^2 + exp(2 raw)): a log scale that falls smoothly to its floor and keeps a gradient there."""
    return 0.5 * torch.logaddexp(2 * raw, raw.new_tensor(2 * log(FLOOR)))


# --- codes against their prior --------------------------------------------------------------------------------------


def bounded_log_var(log_var: Tensor) -> Tensor:
    """A log variance kept within [-30, 20], where its exponential is safe in single precision."""
    return log_var.clamp(-30, 20)


def reparametrise(mean: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    """Draws z = mean + sigma eps with shape (n, k, d), for ``eps`` with shape (n, k, d)."""
    return mean[:, None] + (0.5 * log_var).exp()[:, None] * eps


def log_prior_ratio(z: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    """log p(z) - log q(z | x) of reparametrised draws, with shape (n, k); the constants of the two cancel."""
    return 0.5 * (eps**2 - z**2).sum(-1) + 0.5 * log_var.sum(-1)[:, None]


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) of each dimension, in nats (Kingma & Welling, 2014, appendix B)."""
    return 0.5 * (log_var.exp() + mean**2 - 1 - log_var)


Kernel = Literal["imq", "rbf"]

BANDWIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Scales of the kernels, relative to the expected squared distance of two draws from N(0, I)."""


def mmd(x: Tensor, y: Tensor, kernel: Kernel = "imq", *, unbiased: bool = True) -> Tensor:
    """Squared maximum mean discrepancy of two samples with shapes (n, d) and (m, d); a scalar.

    Gretton et al., A Kernel Two-Sample Test, 2012: the means of k(x, x') and k(y, y') less twice the mean of k(x, y).
    ``unbiased`` leaves the pairs of a point with itself out of the means (U-statistic, which may fall below 0);
    otherwise they stay in (V-statistic, at least 0). The kernel is a mean over :data:`BANDWIDTHS` s of
    C / (C + r^2) (``imq``) or exp(-r^2 / C) (``rbf``), with r the distance and C = 2 d s; so k(x, x) = 1.
    """
    if unbiased and min(len(x), len(y)) < 2:
        raise ValueError("the unbiased MMD needs two examples or more on either side; take a larger batch")
    self_pairs = [_kernel(a, a, kernel) for a in (x, y)]
    if unbiased:
        within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in self_pairs]
    else:
        within = [k.mean() for k in self_pairs]
    return within[0] + within[1] - 2 * _kernel(x, y, kernel).mean()


def _kernel(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """Kernel values of all pairs with shape (n, m)."""
    squared = ((x[:, None] - y[None]) ** 2).sum(-1)
    scales = [2 * x.shape[1] * s for s in BANDWIDTHS]
    terms = [c / (c + squared) if kernel == "imq" else torch.exp(-squared / c) for c in scales]
    return torch.stack(terms).mean(0)
