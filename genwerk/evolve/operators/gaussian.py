"""Gaussians of good solutions: of the fittest, and of neighbours in objective space."""

from __future__ import annotations

import numpy as np

from genwerk.evolve.operators.operator import Array, RunByRun, neighbourhood, tournament


def gaussian(x: Array, n: int, rng: np.random.Generator) -> Array:
    """``n`` samples of the Gaussian with mean and covariance of the rows of ``x`` (k, d), in O(n k d) steps."""
    mean = x.mean(axis=0)
    return mean + rng.standard_normal((n, len(x))) @ (x - mean) / np.sqrt(max(len(x) - 1, 1))


class Gaussian(RunByRun):
    """One Gaussian of the ``k`` fittest solutions."""

    name = "Gaussian"

    def __init__(self, k: int = 50) -> None:
        self.k = k

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        return gaussian(x[np.argsort(fitness, kind="stable")[: self.k]], n, rng)


class LocalGaussian(RunByRun):
    """Gaussians of ``k`` neighbours in objective space, ``each`` samples from one."""

    name = "local Gaussian"

    def __init__(self, k: int = 20, each: int = 10) -> None:
        self.k, self.each = k, each

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        each = self.each * siblings
        centres = tournament(fitness, -(-n // each), rng)
        return np.vstack([gaussian(x[neighbourhood(f, c, self.k)], each, rng) for c in centres])[:n]
