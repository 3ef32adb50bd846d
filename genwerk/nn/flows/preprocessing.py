"""From data to continuous values and back, with the log-determinant, so that likelihoods are of the data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor, nn

from genwerk.core.noise import own_uniform
from genwerk.core.spec import DataSpec
from genwerk.nn.flows.transform import Transformed, summed
from genwerk.nn.units import NetworkUnits

PixelTransform = Literal["none", "logit"]


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
        """Fit the units; without a range, a ValueError names a column that never changes, for it has no density."""
        still = [] if self.standardise.range else (x.amin(0) == x.amax(0)).flatten().nonzero().flatten().tolist()
        if still:
            name = repr(self.names[still[0]]) if self.names else f"{still[0] + 1}"
            more = f" (and {len(still) - 1} more)" if len(still) > 1 else ""
            raise ValueError(f"the column {name}{more} never changes, so it has no density; leave it out of the table")
        self.standardise.fit(x)


class Pixels(Preprocessing):
    """Stored levels spread by noise over [0, 1], then to the whole line by a logit, or only centred.

    Level k of ``levels`` becomes (k + u) / levels for u uniform on [0, 1): uniform dequantisation (Theis, van den Oord
    & Bethge, 2016, arXiv:1511.01844). Its density, per level, is on average a lower bound of the level's probability.
    ``pixel_transform`` "logit" takes logit(a + (1 - 2a) v) with a = ``logit_alpha``; "none" takes v - 1/2. In training
    the noise is drawn anew at every look; elsewhere it belongs to the picture.
    """

    scored, random = "the stored levels spread uniformly (uniform dequantisation)", True

    def __init__(self, spec: DataSpec, pixel_transform: PixelTransform = "logit", logit_alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < logit_alpha < 0.5:
            raise ValueError(f"logit_alpha is {logit_alpha}; it must lie between 0 and 0.5, such as 0.05")
        self.levels, self.transform, self.alpha, self.dims = spec.levels, pixel_transform, logit_alpha, spec.dims

    def forward(self, x: Tensor, u: Tensor | None = None) -> Transformed:
        u = own_uniform(x, self.levels) if u is None else u
        level = x * (self.levels - 1)
        y, by_value = self._stretch((level + u) / self.levels, (self.levels - 1 - level + (1 - u)) / self.levels)
        return y, by_value - self.dims * log(self.levels)

    def place(self, x: Tensor) -> Tensor:
        level = x * (self.levels - 1)
        return self._stretch((level + 0.5) / self.levels, (self.levels - 0.5 - level) / self.levels)[0]

    def inverse(self, y: Tensor) -> Tensor:
        v = y + 0.5 if self.transform == "none" else (torch.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha)
        return ((v * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)

    def _stretch(self, v: Tensor, rest: Tensor) -> Transformed:
        """y of v in (0, 1) and of ``rest`` = 1 - v, computed apart so that neither loses digits near 1."""
        if self.transform == "none":
            return v - 0.5, v.new_zeros(len(v))
        below, above = self.alpha + (1 - 2 * self.alpha) * v, self.alpha + (1 - 2 * self.alpha) * rest
        log_below, log_above = below.log(), above.log()
        return log_below - log_above, summed(log(1 - 2 * self.alpha) - log_below - log_above)
