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
    """``n`` evaluated solutions of each of ``runs`` optimisations, and ``k`` that did not survive."""

    x: Array
    """Decisions with shape (runs, n, d), each variable scaled by its bounds to [0, 1]."""
    f: Array
    """Objectives with shape (runs, n, m), to be minimised."""
    fitness: Array
    """A rank of each solution with shape (runs, n), lower is better, in which violated constraints count."""
    lost: Array
    """Decisions that were evaluated and given up of late, with shape (runs, k, d); k may be 0."""
    lost_f: Array
    """Their objectives, with shape (runs, k, m)."""

    @property
    def runs(self) -> int:
        return len(self.x)


class Operator(ABC):
    """Proposes new solutions from a pool; its settings are those of the constructor, its state what ``fit`` learns."""

    name: str
    """What its share is called."""

    @abstractmethod
    def fit(self, pool: Pool, rngs: Rngs) -> Mapping[str, Array]:
        """Learn from ``pool``; figures to be logged, each with shape (runs,)."""

    @abstractmethod
    def propose(self, n: Sequence[int], rngs: Rngs, siblings: int = 1) -> list[Array]:
        """``n[r]`` new solutions of each run r with shape (n[r], d), in the units of :attr:`Pool.x`; they may lie
        outside [0, 1].

        Each ``siblings`` in a row, which divide ``n[r]``, come from the same parents or of the same place of the front,
        so that a choice among them moves the front and does not thin it.
        """

    def score(self, x: Array) -> Array | None:
        """How good the operator takes solutions ``x`` (runs, n, d) to be, higher is better, with shape (runs, n); None
        where it has no opinion. By it surplus proposals are filtered before any is evaluated."""
        return None


class RunByRun(Operator):
    """An operator that looks at each run alone."""

    pool: Pool

    def fit(self, pool: Pool, rngs: Rngs) -> Mapping[str, Array]:
        self.pool = pool
        return {}

    def propose(self, n: Sequence[int], rngs: Rngs, siblings: int = 1) -> list[Array]:
        runs = zip(self.pool.x, self.pool.f, self.pool.fitness, n, rngs, strict=True)
        return [self.of_run(x, f, fitness, k, rng, siblings)[:k] if k else x[:0] for x, f, fitness, k, rng in runs]

    @abstractmethod
    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int) -> Array:
        """``n`` new solutions or more with shape (n, d), from decisions ``x``, objectives ``f`` and ``fitness``."""


def tournament(fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> NDArray[np.intp]:
    """``n`` indices, each the fitter of two that are drawn at random, the same for ``siblings`` in a row."""
    a, b = rng.integers(len(fitness), size=(2, -(-n // siblings)))
    return np.repeat(np.where(fitness[a] <= fitness[b], a, b), siblings)[:n]


def neighbourhood(f: Array, centre: int, k: int) -> NDArray[np.intp]:
    """The ``k`` solutions whose objectives, scaled by their standard deviation, are nearest to solution ``centre``."""
    scaled = (f - f[centre]) / (f.std(axis=0) + 1e-12)
    return np.argsort((scaled**2).sum(axis=1), kind="stable")[:k]
