"""A wrapper of any operator that works on whitened decisions, so that it knows neither centre nor corner.

A network that puts out about 0 then proposes the mean of the pool, one that puts out standard normal numbers its
Gaussian. Scaling or shifting a variable scales and shifts what is proposed, and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from genwerk.evolve.operators.operator import Array, Operator, Pool, Rngs

SHRINKAGE = 0.1
"""Share of the covariance that is taken from its diagonal alone, for a pool may have fewer solutions than variables."""


class Whitened(Operator):
    """``inner`` on decisions whitened by mean and covariance of the pool's solutions, those given up among them.

    Covariance C = L Lᵀ, of which a share ``shrinkage`` is its diagonal; z = L⁻¹ (x - mean).
    """

    mean: Array
    factor: Array
    """L, with shape (runs, d, d)."""

    def __init__(self, inner: Operator, shrinkage: float = SHRINKAGE) -> None:
        self.inner, self.shrinkage, self.name = inner, shrinkage, inner.name

    def fit(self, pool: Pool, rngs: Rngs) -> Mapping[str, Array]:
        x = np.concatenate([pool.x, pool.lost], axis=1)
        self.mean = x.mean(axis=1, keepdims=True)
        covariance = (x - self.mean).transpose(0, 2, 1) @ (x - self.mean) / x.shape[1]
        variance = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 1e-16)
        diagonal = np.eye(x.shape[2]) * variance[:, None]
        self.factor = np.linalg.cholesky((1 - self.shrinkage) * covariance + (self.shrinkage + 1e-6) * diagonal)
        return self.inner.fit(replace(pool, x=self.whiten(pool.x), lost=self.whiten(pool.lost)), rngs)

    def whiten(self, x: Array) -> Array:
        return np.asarray(
            np.linalg.solve(self.factor, (x - self.mean).transpose(0, 2, 1)).transpose(0, 2, 1), np.float64
        )

    def propose(self, n: Sequence[int], rngs: Rngs, siblings: int = 1) -> list[Array]:
        made = self.inner.propose(n, rngs, siblings)
        return [mean + z @ factor.T for mean, factor, z in zip(self.mean, self.factor, made, strict=True)]

    def score(self, x: Array) -> Array | None:
        return self.inner.score(self.whiten(x))
