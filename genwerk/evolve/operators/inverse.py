"""Inverse regression: decisions as a function of objectives, which is asked for objectives that nobody has yet.

After Cheng, Jin, Narukawa & Sendhoff, 2015 (IM-MOEA), with local ridge regressions of all variables in place of
Gaussian processes of single ones.
"""

from __future__ import annotations

import numpy as np

from genwerk.evolve.operators.operator import Array, RunByRun, neighbourhood, tournament


class InverseRegression(RunByRun):
    """Ridge regressions among ``k`` neighbours in objective space, ``each`` proposals from one.

    A proposal's objectives lie on a line through two neighbours, up to a quarter beyond them, and up to ``ahead``
    standard deviations nearer to the ideal; to the decisions that these predict comes a sample of the residuals.
    """

    name = "inverse regression"

    def __init__(self, k: int = 20, each: int = 10, ridge: float = 1e-2, ahead: float = 0.0) -> None:
        self.k, self.each, self.ridge, self.ahead = k, each, ridge, ahead

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        centres = tournament(fitness, -(-n // (self.each * siblings)), rng)
        scaled = f / (f.std(axis=0) + 1e-12)
        made = [self.near(x[i], scaled[i], siblings, rng) for i in (neighbourhood(f, c, self.k) for c in centres)]
        return np.vstack(made)[:n]

    def near(self, x: Array, f: Array, siblings: int, rng: np.random.Generator) -> Array:
        k, n, mean, f = len(x), self.each, x.mean(axis=0), f - f.mean(axis=0)
        weights = np.linalg.solve(f.T @ f + self.ridge * k * np.eye(f.shape[1]), f.T @ (x - mean))
        residuals = x - mean - f @ weights
        a, b = rng.integers(k, size=(2, n))
        along = rng.uniform(-0.25, 1.25, (n, 1))
        wanted = f[a] * along + f[b] * (1 - along) - self.ahead * rng.random((n, 1)) * f.std(axis=0)
        noise = rng.standard_normal((n * siblings, k)) @ residuals / np.sqrt(k - 1)
        return mean + np.repeat(wanted, siblings, axis=0) @ weights + noise
