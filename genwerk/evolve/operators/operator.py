"""What proposes new solutions: an operator is fitted to a pool of evaluated solutions, then asked for new ones.

Everything has a leading axis of runs: R optimisations of one problem that go on side by side, each with its own
random numbers, share an operator, whose networks are trained in one batched product. A single run is R = 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rngs = Sequence[np.random.Generator]
"""A generator a run; what a run is proposed depends on no other's, beyond rounding."""


@dataclass(frozen=True)
class Pool:
    """``n`` evaluated solutions of each of ``runs`` optimisations."""

    x: Array
    """Decisions with shape (runs, n, d), each variable scaled by its bounds to [0, 1]."""
    f: Array
    """Objectives with shape (runs, n, m), to be minimised."""
    fitness: Array
    """A rank of each solution with shape (runs, n), lower is better, in which violated constraints count."""

    @property
    def runs(self) -> int:
        return self.x.shape[0]

    def best(self, k: int) -> Pool:
        """The ``k`` fittest solutions of each run, the fittest first."""
        order = np.argsort(self.fitness, axis=1, kind="stable")[:, :k]
        rows = np.arange(self.runs)[:, None]
        return Pool(self.x[rows, order], self.f[rows, order], self.fitness[rows, order])


class Operator(ABC):
    """Proposes new solutions from a pool; its settings are those of the constructor, its state what ``fit`` learns."""

    @abstractmethod
    def fit(self, pool: Pool, rngs: Rngs) -> Mapping[str, Array]:
        """Learn from ``pool``; figures to be logged, each with shape (runs,)."""

    @abstractmethod
    def propose(self, n: int, rngs: Rngs) -> Array:
        """New solutions with shape (runs, n, d), in the units of :attr:`Pool.x`; they may lie outside [0, 1]."""

    def score(self, x: Array) -> Array | None:
        """How good the operator takes solutions ``x`` (runs, n, d) to be, higher is better, with shape (runs, n); None
        where it has no opinion. By it surplus proposals are filtered before any is evaluated."""
        return None
