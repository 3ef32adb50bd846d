"""From data to continuous values and back, with the log-determinant, so that likelihoods are of the data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn

from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.core.noise import own_uniform
from genwerk.core.spec import DataSpec
from genwerk.nn.flows.transform import Transformed, summed
from genwerk.nn.units import NetworkUnits


@dataclass(frozen=True, kw_only=True)
class PixelTransform(Component):
    """Settings of how dequantised pixels, in (0, 1), reach the whole line."""

    @abstractmethod
    def stretch(self, v: Tensor, rest: Tensor) -> Transformed:
        """y of ``v`` and of ``rest`` = 1 - v, computed apart so that neither loses digits near 1; log |det dy/dv|."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """v of y."""


@dataclass(frozen=True, kw_only=True)
class LogitTransform(PixelTransform, kind="logit"):
    """logit(alpha + (1 - 2 alpha) v)."""

    logit_alpha: float = 0.05
    """alpha: how far the logit keeps from black and white, as a fraction of the range."""

    def __post_init__(self) -> None:
        if not 0 < self.logit_alpha < 0.5:
            raise BadInput(f"logit_alpha is {self.logit_alpha}; it must lie between 0 and 0.5, such as 0.05")

    def stretch(self, v: Tensor, rest: Tensor) -> Transformed:
        alpha, left = self.logit_alpha, 1 - 2 * self.logit_alpha
        log_below, log_above = (alpha + left * v).log(), (alpha + left * rest).log()
        return log_below - log_above, summed(log(left) - log_below - log_above)

    def inverse(self, y: Tensor) -> Tensor:
        return (torch.sigmoid(y) - self.logit_alpha) / (1 - 2 * self.logit_alpha)


@dataclass(frozen=True, kw_only=True)
class CentreTransform(PixelTransform, kind="none"):
    """v - 1/2, which fills no more than the unit cube."""

    def stretch(self, v: Tensor, rest: Tensor) -> Transformed:
        return v - 0.5, v.new_zeros(len(v))

    def inverse(self, y: Tensor) -> Tensor:
        return y + 0.5


class Preprocessing(nn.Module, ABC):
    """Data in their own units to values on the whole line, and back."""

    scored: str
    """What the likelihood is of, for reports."""
    random: bool
    """Whether :meth:`forward` draws, and takes uniform numbers of the data's shape to do so."""

    @abstractmethod
    def forward(self, x: Tensor, u: Tensor | None = None) -> Transformed:
        """y, and what is to be added to log p(y) for log p(x) in the units of :class:`HasLikelihood`."""

    @abstractmethod
    def place(self, x: Tensor) -> Tensor:
        """y of an example without drawing: each pixel in the middle of its level."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """The example at ``y``, within the range of the data; undoes :meth:`place`."""

    def fit(self, x: Tensor) -> None:
        """Take what is needed from all training examples as they are stored."""


class Continuous(Preprocessing):
    """Values that are continuous already, in the ``units`` of networks; the density is in the data's own units."""

    random = False

    def __init__(self, units: NetworkUnits, names: Sequence[str] = (), scored: str = "") -> None:
        super().__init__()
        self.standardise, self.names, self.scored = units, names, scored

    def forward(self, x: Tensor, u: Tensor | None = None) -> Transformed:
        return self.standardise(x), torch.as_tensor(self.standardise.log_det(), device=x.device).expand(len(x))

    def place(self, x: Tensor) -> Tensor:
        y: Tensor = self.standardise(x)
        return y

    def inverse(self, y: Tensor) -> Tensor:
        return self.standardise.inverse(y)

    def fit(self, x: Tensor) -> None:
        """Fit the units; without a range, a BadInput names a column that never changes, for it has no density."""
        if len(x) == 1 and not self.standardise.range:
            raise BadInput("there is 1 row to train on, and a density takes two that differ or more; add rows")
        still = [] if self.standardise.range else (x.amin(0) == x.amax(0)).flatten().nonzero().flatten().tolist()
        if still:
            name = repr(self.names[still[0]]) if self.names else f"{still[0] + 1}"
            more = f" (and {len(still) - 1} more)" if len(still) > 1 else ""
            raise BadInput(f"the column {name}{more} never changes, so it has no density; leave it out of the table")
        self.standardise.fit(x)


class Pixels(Preprocessing):
    """Stored levels spread by noise over [0, 1], then to the whole line by a logit, or only centred.

    Level k of ``levels`` becomes (k + u) / levels for u uniform on [0, 1): uniform dequantisation (Theis, van den Oord
    & Bethge, 2016, arXiv:1511.01844). Its density, per level, is on average a lower bound of the level's probability.
    In training the noise is drawn anew at every look; elsewhere it belongs to the picture.
    """

    scored, random = "the stored levels spread uniformly (uniform dequantisation)", True

    def __init__(self, spec: DataSpec, transform: PixelTransform) -> None:
        super().__init__()
        self.levels, self.transform, self.dims = spec.levels, transform, spec.dims

    def forward(self, x: Tensor, u: Tensor | None = None) -> Transformed:
        u = own_uniform(x, self.levels) if u is None else u
        level = x * (self.levels - 1)
        y, by_value = self.transform.stretch(
            (level + u) / self.levels, (self.levels - 1 - level + (1 - u)) / self.levels
        )
        return y, by_value - self.dims * log(self.levels)

    def place(self, x: Tensor) -> Tensor:
        level = x * (self.levels - 1)
        return self.transform.stretch((level + 0.5) / self.levels, (self.levels - 0.5 - level) / self.levels)[0]

    def inverse(self, y: Tensor) -> Tensor:
        v = self.transform.inverse(y)
        return ((v * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)
