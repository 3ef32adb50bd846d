"""Local principal component analysis, the model of RM-MEDA.

Zhang, Zhou & Jin, RM-MEDA: a regularity model-based multiobjective estimation of distribution algorithm, 2008, IEEE
Transactions on Evolutionary Computation 12(1): the Pareto set of m objectives is pieces of (m - 1)-dimensional planes.
"""

from __future__ import annotations

import numpy as np

from genwerk.evolve.operators.operator import Array, RunByRun


class LocalPCA(RunByRun):
    """``clusters`` of solutions, each near a plane on which proposals are uniform, to a quarter beyond its solutions.

    A proposal leaves the plane by Gaussian noise with the mean variance that the cluster has across it.
    """

    name = "local PCA"

    def __init__(self, clusters: int = 5, iterations: int = 50) -> None:
        self.clusters, self.iterations = clusters, iterations

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        d, k = x.shape[1], min(self.clusters, len(x))
        q = min(f.shape[1] - 1, d)
        means, axes, noise = x[rng.choice(len(x), k, replace=False)], np.zeros((k, d, q)), np.ones(k)
        for _ in range(self.iterations):
            away = x[:, None] - means
            across = (away**2).sum(-1) - (np.einsum("nkd,kdq->nkq", away, axes) ** 2).sum(-1)
            nearest, before = across.argmin(axis=1), means.copy()
            for i in range(k):
                near = x[nearest == i]
                if len(near) < 2:
                    means[i], axes[i], noise[i] = near[0] if len(near) else x[rng.integers(len(x))], 0, 1
                    continue
                means[i] = near.mean(axis=0)
                singular, directions = np.linalg.svd(near - means[i], full_matrices=False)[1:]
                variance = np.r_[singular**2 / (len(near) - 1), np.zeros(d)][:d]
                axes[i] = np.vstack([directions, np.zeros((q, d))])[:q].T
                noise[i] = variance[q:].sum() / max(d - q, 1)
            if np.abs(means - before).max() < 1e-5:
                break
        along = np.einsum("nd,ndq->nq", x - means[nearest], axes[nearest])
        low = np.array([along[nearest == i].min(axis=0, initial=np.inf) for i in range(k)])
        high = np.array([along[nearest == i].max(axis=0, initial=-np.inf) for i in range(k)])
        extent = np.where(np.isfinite(low), high - low, 0)
        volume = extent.prod(axis=1)
        of = rng.choice(k, n, p=volume / volume.sum() if volume.sum() > 0 else None)
        place = np.where(extent > 0, low, 0)[of] + extent[of] * rng.uniform(-0.25, 1.25, (n, q))
        plane = means[of] + np.einsum("nq,ndq->nd", place, axes[of])
        return plane + np.sqrt(noise[of])[:, None] * rng.standard_normal((n, d))
