"""Increasing functions of one value, with parameters from a network: what couplings and autoregressive flows apply.

Parameters have shape (n, size, *shape) for values with shape (n, *shape). All zeros are the identity, so that a flow
whose networks end in zeros begins as one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import expm1, inf, log

import torch
from torch import Tensor
from torch.nn import functional as F

from genwerk.core.component import Component
from genwerk.nn.flows.transform import Transformed


class Monotone(ABC):
    """A family of increasing functions."""

    size: int
    """Parameters a value."""

    def seen(self, x: Tensor) -> Tensor:
        """The values ``x`` as the networks see them that give other values' parameters."""
        return x

    @abstractmethod
    def forward(self, x: Tensor, parameters: Tensor) -> Transformed:
        """y and log dy/dx, each with the shape of ``x``."""

    @abstractmethod
    def inverse(self, y: Tensor, parameters: Tensor) -> Transformed:
        """x and log dx/dy, each with the shape of ``y``."""


class Additive(Monotone):
    """y = x + t, which changes no volume (Dinh et al., NICE, 2015, arXiv:1410.8516).

    Networks see no further than ``tail_bound``, if there is one (:class:`Affine`).
    """

    size = 1

    def __init__(self, tail_bound: float | None = None) -> None:
        if tail_bound is not None and not 0 < tail_bound < inf:
            raise ValueError(f"the tail bound is {tail_bound}; expected a number of deviations above 0, such as 5")
        self.tail_bound = tail_bound

    def seen(self, x: Tensor) -> Tensor:
        return x if self.tail_bound is None else x.clamp(-self.tail_bound, self.tail_bound)

    def forward(self, x: Tensor, parameters: Tensor) -> Transformed:
        return x + parameters[:, 0], torch.zeros_like(x)

    def inverse(self, y: Tensor, parameters: Tensor) -> Transformed:
        return y - parameters[:, 0], torch.zeros_like(y)


class Affine(Additive):
    """y = exp(s) x + t with |s| < ``bound`` (Dinh et al., RealNVP, 2017, arXiv:1605.08803, with a bound on s).

    Functions in a row multiply their slopes, and what a network has learned it carries on beyond its data in straight
    lines, which multiply too: a value 9 deviations from the mean has come out at 60,000. With a ``tail_bound`` b all of
    this is so on [-b, b]; beyond, y has slope 1 (linear tails, as splines have them), and networks see the value b. So
    far values move by no more than constants, one a layer, which add up.
    """

    size = 2

    def __init__(self, bound: float = 3.0, tail_bound: float | None = None) -> None:
        super().__init__(tail_bound)
        self.bound = bound

    def forward(self, x: Tensor, parameters: Tensor) -> Transformed:
        s, t = self._bounded(parameters)
        if self.tail_bound is None:
            return torch.addcmul(t, s.exp(), x), s
        held = self.seen(x)
        return torch.addcmul(t, s.exp(), held) + (x - held), torch.where(x.abs() < self.tail_bound, s, 0.0)

    def inverse(self, y: Tensor, parameters: Tensor) -> Transformed:
        s, t = self._bounded(parameters)
        if self.tail_bound is None:
            return (y - t) * (-s).exp(), -s
        y, edge = y - t, self.tail_bound * s.exp()
        held = y.clamp(-edge, edge)
        return held * (-s).exp() + (y - held), torch.where(y.abs() < edge, -s, 0.0)

    def _bounded(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        raw, t = parameters.unbind(1)
        return self.bound * torch.tanh(raw / self.bound), t


class Spline(Monotone):
    """Quotients of quadratics between ``bins`` + 1 knots on [-tail_bound, tail_bound], and the identity beyond.

    Durkan, Bekasov, Murray & Papamakarios, Neural Spline Flows, 2019, arXiv:1906.04032, section 3.1. No bin is narrower
    or flatter than a thousandth of the interval, no slope at a knot less than a thousandth.
    """

    def __init__(self, bins: int = 8, tail_bound: float = 3.0) -> None:
        self.bins, self.tail_bound, self.size = bins, tail_bound, 3 * bins - 1

    def forward(self, x: Tensor, parameters: Tensor) -> Transformed:
        return self._apply(x, parameters, inverse=False)

    def inverse(self, y: Tensor, parameters: Tensor) -> Transformed:
        return self._apply(y, parameters, inverse=True)

    def _knots(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Edges with shape (bins + 1, ...) and sizes with shape (bins, ...) of bins from raw numbers (bins, ...)."""
        sizes = 2 * self.tail_bound * (LEAST + (1 - LEAST * self.bins) * raw.softmax(0))
        return F.pad(sizes.cumsum(0), [0, 0] * (raw.dim() - 1) + [1, 0]) - self.tail_bound, sizes

    def _apply(self, value: Tensor, parameters: Tensor, inverse: bool) -> Transformed:
        raw = parameters.movedim(1, 0).to(value.dtype)
        x, widths = self._knots(raw[: self.bins])
        y, heights = self._knots(raw[self.bins : 2 * self.bins])
        inner = LEAST + F.softplus(raw[2 * self.bins :] + UNIT)
        slopes = F.pad(inner, [0, 0] * (raw.dim() - 1) + [1, 1], value=1.0)
        inside = value.abs() < self.tail_bound
        held = torch.where(inside, value, 0.0)
        edges = y if inverse else x
        k = (held >= edges[1:-1]).sum(0, keepdim=True)
        x_k, y_k, w, h, d0, d1 = (
            t.gather(0, i)[0] for t, i in ((x, k), (y, k), (widths, k), (heights, k), (slopes, k), (slopes, k + 1))
        )
        s = h / w
        bend = d0 + d1 - 2 * s
        if inverse:
            rise = held - y_k
            a, b, c = h * (s - d0) + rise * bend, h * d0 - rise * bend, -s * rise
            t = (2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())).clamp(0, 1)
            found = x_k + t * w
        else:
            t = (held - x_k) / w
            found = y_k + h * (s * t.square() + d0 * t * (1 - t)) / (s + bend * t * (1 - t))
        slope = s.square() * (d1 * t.square() + 2 * s * t * (1 - t) + d0 * (1 - t).square())
        log_slope = slope.log() - 2 * (s + bend * t * (1 - t)).log()
        log_slope = torch.where(inside, -log_slope if inverse else log_slope, 0.0)
        return torch.where(inside, found, value), log_slope


LEAST = 1e-3
"""Least width and height of a spline's bin, as a share of the interval, and least slope at a knot."""
UNIT = log(expm1(1 - LEAST))
"""What softplus turns into a slope of 1."""


@dataclass(frozen=True, kw_only=True)
class MonotoneConfig(Component):
    """Settings of a family of increasing functions."""

    @abstractmethod
    def build(self, tail_bound: float | None) -> Monotone:
        """The family; ``tail_bound`` is where the linear tails begin of one that has no such bound of its own."""


@dataclass(frozen=True, kw_only=True)
class AdditiveConfig(MonotoneConfig, kind="additive"):
    """A value moves by a shift."""

    def build(self, tail_bound: float | None) -> Monotone:
        return Additive(tail_bound)


@dataclass(frozen=True, kw_only=True)
class AffineConfig(MonotoneConfig, kind="affine"):
    """A value moves by a scale and a shift."""

    bound: float = 3.0
    """Greatest logarithm of the scale, either way."""

    def build(self, tail_bound: float | None) -> Monotone:
        return Affine(self.bound, tail_bound)


@dataclass(frozen=True, kw_only=True)
class SplineConfig(MonotoneConfig, kind="spline"):
    """A value moves along a rational-quadratic spline."""

    bins: int = 8
    """Bins between the knots."""
    tail_bound: float = 3.0
    """Half the side of the interval in which values move, in standard deviations of a column."""

    def build(self, tail_bound: float | None) -> Monotone:
        return Spline(self.bins, self.tail_bound)
