"""Inverse regression: decisions as a function of objectives, which is asked for objectives that nobody has yet.

After Cheng, Jin, Narukawa & Sendhoff, 2015 (IM-MOEA), with local ridge regressions of all variables in place of
Gaussian processes of single ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from genwerk.evolve.operators.operator import Array, Pool, Rngs, RunByRun, neighbourhood, tournament


class InverseRegression(RunByRun):
    """Ridge regressions among ``k`` neighbours in objective space and as many that were given up; ``each`` proposals
    from one.

    What was given up shows which way is better: solutions that survive differ little in that. A proposal's objectives
    lie on a line through two neighbours, up to ``beyond`` times their distance outside, and up to ``ahead`` standard
    deviations nearer to the ideal; to the decisions that these predict comes a sample of the neighbours' residuals.
    """

    name = "inverse regression"

    def __init__(
        self, k: int = 20, each: int = 10, ridge: float = 1e-2, beyond: float = 1.0, ahead: float = 0.0
    ) -> None:
        self.k, self.each, self.ridge, self.beyond, self.ahead = k, each, ridge, beyond, ahead

    def fit(self, pool: Pool, rngs: Rngs) -> Mapping[str, Array]:
        """Solutions that were given up join the pool, with infinite fitness."""
        x, f = np.concatenate([pool.x, pool.lost], axis=1), np.concatenate([pool.f, pool.lost_f], axis=1)
        fitness = np.pad(pool.fitness, ((0, 0), (0, pool.lost.shape[1])), constant_values=np.inf)
        return super().fit(replace(pool, x=x, f=f, fitness=fitness), rngs)

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        kept = np.isfinite(fitness)
        scaled = f / (f[kept].std(axis=0) + 1e-12)
        (x, lost), (f, lost_f) = (x[kept], x[~kept]), (scaled[kept], scaled[~kept])
        made = []
        for centre in tournament(fitness[kept], -(-n // (self.each * siblings)), rng):
            near = neighbourhood(f, centre, self.k)
            worse = np.argsort(((lost_f - f[centre]) ** 2).sum(axis=1), kind="stable")[: self.k]
            made.append(
                self.near(np.vstack([x[near], lost[worse]]), np.vstack([f[near], lost_f[worse]]), siblings, rng)
            )
        return np.vstack(made)[:n]

    def near(self, x: Array, f: Array, siblings: int, rng: np.random.Generator) -> Array:
        """Proposals from solutions of which the first ``k`` survived."""
        k, n, mean, f = min(self.k, len(x)), self.each, x.mean(axis=0), f - f.mean(axis=0)
        weights = np.linalg.solve(f.T @ f + self.ridge * len(x) * np.eye(f.shape[1]), f.T @ (x - mean))
        residuals = (x - mean - f @ weights)[:k]
        a, b = rng.integers(k, size=(2, n))
        along = rng.uniform(-self.beyond, 1 + self.beyond, (n, 1))
        wanted = f[a] * along + f[b] * (1 - along) - self.ahead * rng.random((n, 1)) * f.std(axis=0)
        noise = rng.standard_normal((n * siblings, k)) @ (residuals - residuals.mean(axis=0)) / np.sqrt(k - 1)
        return mean + residuals.mean(axis=0) + np.repeat(wanted, siblings, axis=0) @ weights + noise
