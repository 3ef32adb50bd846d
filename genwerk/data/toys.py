"""Two-dimensional toy densities whose truth is known: each can be sampled, evaluated exactly, and has known entropy.

A model's divergence from the truth is then a number: KL(truth || model) = -entropy - mean of the model's log density
over samples of the truth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from math import e, log, pi

import numpy as np
import torch
from torch import Tensor

from genwerk.data.columns import table_found
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig


class Toy(ABC):
    """A density on the plane."""

    @abstractmethod
    def sample(self, n: int, seed: int) -> Tensor:
        """``n`` independent points, float64 with shape (n, 2)."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats at the points ``x`` with shape (n, 2), float64 with shape (n,)."""

    @property
    @abstractmethod
    def entropy(self) -> float:
        """Differential entropy in nats."""

    def entropy_of(self, column: str) -> float | None:
        """That of one of the columns, x or y, alone; None where it is not known."""
        return None


class Gaussians(Toy):
    """An equal mixture of round Gaussians of standard deviation ``std`` at ``centres``, of shape (k, 2)."""

    def __init__(self, centres: Tensor, std: float) -> None:
        self.centres, self.std = centres.double(), std

    def sample(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        which = torch.randint(len(self.centres), (n,), generator=generator)
        return self.centres[which] + self.std * torch.randn(n, 2, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self._log_joint(x), dim=1)

    def _log_joint(self, x: Tensor) -> Tensor:
        """Log of weight times density of every component, with shape (n, k)."""
        squared = ((x.double()[:, None] - self.centres) / self.std).square().sum(2)
        return -0.5 * squared - log(2 * pi * self.std**2 * len(self.centres))

    @cached_property
    def entropy(self) -> float:
        """H(x) = H(k) + H(x | k) - H(k | x), the last by Gauss-Hermite quadrature about every centre."""
        nodes, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(64))
        offsets = self.std * torch.cartesian_prod(nodes, nodes)
        weight = (weights[:, None] * weights).flatten() / (2 * pi)
        doubt = 0.0
        for k, centre in enumerate(self.centres):
            doubt -= float(weight @ self._log_joint(centre + offsets).log_softmax(1)[:, k]) / len(self.centres)
        return log(len(self.centres)) + log(2 * pi * e * self.std**2) - doubt


class Parabola(Toy):
    """y ~ N(0, 4), x | y ~ N(y^2 / 4, 1): figure 1 of MAF (Papamakarios et al. 2017, arXiv:1705.07057)."""

    entropy = log(2 * pi * e) + log(2)

    def sample(self, n: int, seed: int) -> Tensor:
        noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)).double()
        y = 2 * noise[:, 1]
        return torch.stack([y.square() / 4 + noise[:, 0], y], dim=1)

    def log_prob(self, x: Tensor) -> Tensor:
        x, y = x.double().unbind(1)
        return -0.5 * (x - y.square() / 4).square() - y.square() / 8 - log(4 * pi)

    def entropy_of(self, column: str) -> float | None:
        return 0.5 * log(8 * pi * e) if column == "y" else None


class Crescents(Toy):
    """Two interleaved half circles of radius 1, blurred by Gaussian noise: "two moons" with a density.

    A point is uniform on one of the two arcs, plus noise of standard deviation ``std``. The density is therefore a
    Gaussian averaged over the angle; that integral is taken by Gauss-Legendre quadrature, exact to float64 for a
    ``std`` of 0.05 or more, and the entropy by summation over a grid as fine as the blur (error below 1e-6).
    """

    def __init__(self, std: float = 0.1) -> None:
        self.std = std
        nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(256))
        self._arcs = self._place(torch.cat([(nodes + 1) / 2, (nodes + 1) / 2]), torch.arange(512) < 256)
        self._log_weight = (torch.cat([weights, weights]) / 4).log()

    @staticmethod
    def _place(turn: Tensor, upper: Tensor) -> Tensor:
        """The points at ``turn`` in [0, 1] along the upper or the lower arc, with shape (n, 2)."""
        cos, sin = (pi * turn).cos(), (pi * turn).sin()
        return torch.stack([torch.where(upper, cos, 1 - cos), torch.where(upper, sin, 0.5 - sin)], dim=1)

    def sample(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        upper = torch.rand(n, generator=generator) < 0.5
        arc = self._place(torch.rand(n, generator=generator).double(), upper)
        return arc + self.std * torch.randn(n, 2, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        constant = self._log_weight - log(2 * pi * self.std**2)
        parts = x.double().split(4096)
        return torch.cat(
            [torch.logsumexp(constant - 0.5 * (torch.cdist(p, self._arcs) / self.std) ** 2, dim=1) for p in parts]
        )

    @cached_property
    def entropy(self) -> float:
        step, reach = self.std / 4, 8 * self.std
        x = torch.arange(-1 - reach, 2 + reach, step, dtype=torch.float64)
        y = torch.arange(-0.5 - reach, 1 + reach, step, dtype=torch.float64)
        log_p = self.log_prob(torch.cartesian_prod(x, y))
        return -float((log_p.exp() * log_p).sum()) * step**2


class Checkerboard(Toy):
    """Uniform on the eight dark squares, each of side 2, of a 4 x 4 board on [-4, 4]^2."""

    entropy = log(8 * 2**2)

    def sample(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        column = torch.randint(4, (n,), generator=generator)
        row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
        return 2 * (torch.stack([column, row], dim=1) - 2 + torch.rand(n, 2, generator=generator).double())

    def log_prob(self, x: Tensor) -> Tensor:
        square = (x.double() / 2).floor()
        dark = (square.sum(1) % 2 == 0) & (square >= -2).all(1) & (square < 2).all(1)
        return torch.where(dark, -self.entropy, -torch.inf).double()


def _circle(radius: float) -> Tensor:
    """Eight points spread evenly on a circle, with shape (8, 2)."""
    angle = 2 * pi * torch.arange(8, dtype=torch.float64) / 8
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


_LATTICE = 2 * torch.arange(-2, 3, dtype=torch.float64)

TOYS: dict[str, Toy] = {
    # The rings and the grid of WGAN-GP's toy experiments (Gulrajani et al. 2017, arXiv:1704.00028) and their scales.
    "ring": Gaussians(_circle(2 / 1.414), 0.02 / 1.414),
    "grid": Gaussians(torch.cartesian_prod(_LATTICE, _LATTICE) / 2.828, 0.05 / 2.828),
    # "8gaussians" of FFJORD (Grathwohl et al. 2018, arXiv:1810.01367); neighbours are 6.1 deviations apart.
    "gaussians8": Gaussians(_circle(4 / 1.414), 0.5 / 1.414),
    "parabola": Parabola(),
    "crescents": Crescents(),
    "checkerboard": Checkerboard(),
}


def open_toy(name: str, settings: DataConfig) -> Found:
    """20,000 training and 5,000 test points of the toy ``name``, drawn with the seed of ``settings``.

    Where one column is a covariate, the entropy is that of the other given it: H(x | y) = H(x, y) - H(y).
    """
    toy = TOYS[name]
    x = toy.sample(25_000, settings.seed).numpy()
    note = f"Points of the toy density {name}, drawn with seed {settings.seed}; entropy {toy.entropy:.4f} nats."
    found = table_found(x[:20_000], x[20_000:], None, None, ("x", "y"), settings, name=name, notes=(note,))
    assert found.test is not None
    own = [toy.entropy_of(column) for column in found.train.spec.covariates]
    entropy = None if None in own else toy.entropy - sum(h for h in own if h is not None)
    return replace(found, train=replace(found.train, entropy=entropy), test=replace(found.test, entropy=entropy))
