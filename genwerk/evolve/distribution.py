"""RM-MEDA and IM-MOEA, the field's own algorithms that sample a model of good solutions.

RM-MEDA: Zhang, Zhou & Jin, 2008, IEEE Transactions on Evolutionary Computation 12(1).
IM-MOEA: Cheng, Jin, Narukawa & Sendhoff, A multiobjective evolutionary algorithm using Gaussian process-based inverse
modeling, 2015, IEEE Transactions on Evolutionary Computation 19(6).

As in PlatEMO, the hyperparameters of IM-MOEA's Gaussian processes (linear kernel through the origin, of variables as
the problem has them) are fixed, and what they predict outside the bounds is drawn anew, uniformly within them: clipped,
it would drift to a corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from genwerk.evolve.algorithms import AlgorithmConfig
from genwerk.evolve.gmoea import GenerativeAlgorithm
from genwerk.evolve.mating import GenerativeMating, Portfolio, bounds, clipped_and_mutated
from genwerk.evolve.operators.local_pca import LocalPCA
from genwerk.evolve.operators.operator import Array, RunByRun
from genwerk.evolve.problems.fronts import lattice
from genwerk.evolve.survival import PrunedCrowding, subpopulations


@dataclass(frozen=True, kw_only=True)
class RMMEDAConfig(AlgorithmConfig, kind="rm-meda"):
    """Sampling of local principal components (Zhang, Zhou & Jin, 2008)."""

    clusters: int = 5
    """Pieces of the Pareto set."""

    def make(self, problem: Problem) -> Algorithm:
        mating = GenerativeMating(Portfolio([LocalPCA(self.clusters)], finish=lambda x, _: np.clip(x, 0, 1)), memory=0)
        return GenerativeAlgorithm(self.pop_size, mating, PrunedCrowding())


NOISE = 0.01
"""Standard deviation of the noise in IM-MOEA's Gaussian processes."""


class InverseModels(RunByRun):
    """Of each subpopulation and objective, linear models that predict ``group`` random variables from the objective.

    Offspring are copies of a subpopulation's solutions, in which these variables are predicted from values of the
    objective all over its range, extended by half on both sides, with the model's own uncertainty.
    """

    name = "inverse models"

    def __init__(self, vectors: int, group: int, low: Array, span: Array) -> None:
        self.vectors, self.group, self.low, self.span = vectors, group, low, span
        """``low`` and ``span`` are the lower bound and the range of each variable, in the problem's units."""

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        m, belongs = f.shape[1], subpopulations(f, lattice(f.shape[1], self.vectors))
        made = list[Array]()
        for part in (np.flatnonzero(belongs == each) for each in np.unique(belongs)):
            if len(part) < 2 * m:  # too few for models: mutated alone
                made.append(x[part])
                continue
            sizes = len(part) // m + (rng.permutation(m) < len(part) % m)
            made += [self.offspring(x[part], f[part, j], size, rng) for j, size in enumerate(sizes)]
        return np.vstack(made)

    def offspring(self, x: Array, f: Array, n: int, rng: np.random.Generator) -> Array:
        parents = rng.permutation(len(x))[:n] if len(x) >= n else rng.integers(len(x), size=n)
        made, wanted = x[parents], np.linspace(1.5 * f.min() - 0.5 * f.max(), 1.5 * f.max() - 0.5 * f.min(), n)
        f = f[parents]
        uncertainty = 1 / (1 + f @ f / NOISE**2)  # of the weight, whose prior is standard normal
        deviation = np.sqrt(NOISE**2 + wanted**2 * uncertainty)
        for j in rng.permutation(x.shape[1])[: self.group]:
            weight = uncertainty * (f @ (self.low[j] + self.span[j] * x[parents, j])) / NOISE**2
            predicted = weight * wanted + rng.random() * deviation * rng.standard_normal(n)
            predicted = (predicted - self.low[j]) / self.span[j]
            within = (predicted >= 0) & (predicted <= 1)
            made[:, j] = np.where(within, predicted, rng.random(n))
        return made


class BySubpopulation(Survival):
    """Of each subpopulation the best by rank and crowding distance, at most its share of a population of ``pop_size``.

    Where too few are feasible, all that are, and of the others those with the smallest violation.
    """

    def __init__(self, vectors: int, pop_size: int) -> None:
        super().__init__(filter_infeasible=False)
        self.vectors, self.pop_size, self.within = vectors, pop_size, RankAndCrowding()

    def _do(self, problem: Problem, pop: Population, *args: Any, n_survive: int, **kwargs: Any) -> Population:
        violation = pop.get("CV")[:, 0]
        if (violation > 0).any() and (violation <= 0).sum() < n_survive:
            return pop[np.argsort(np.maximum(violation, 0), kind="stable")[:n_survive]]
        pop, vectors = pop[violation <= 0], lattice(problem.n_obj, self.vectors)
        belongs, share = subpopulations(pop.get("F"), vectors), -(-self.pop_size // len(vectors))
        parts = [pop[belongs == each] for each in np.unique(belongs)]
        kept = [self.within.do(problem, part, n_survive=min(share, len(part)), **kwargs) for part in parts]
        return Population.create(*[each for part in kept for each in part])


class AsManyOffspring(GenerativeAlgorithm):
    """A generation has as many offspring as the population has solutions, which may be fewer than ``pop_size``."""

    def _infill(self) -> Population:
        self.n_offsprings = len(self.pop)
        return super()._infill()


@dataclass(frozen=True, kw_only=True)
class IMMOEAConfig(AlgorithmConfig, kind="im-moea"):
    """Inverse models from objectives to decisions (Cheng et al., 2015)."""

    vectors: int = 10
    """Reference vectors, each with a subpopulation; rounded up to a simplex lattice."""
    group: int = 3
    """Variables that a model predicts."""

    def make(self, problem: Problem) -> Algorithm:
        models = InverseModels(self.vectors, self.group, *bounds(problem))
        mating = GenerativeMating(Portfolio([models], finish=clipped_and_mutated), memory=0)
        return AsManyOffspring(self.pop_size, mating, BySubpopulation(self.vectors, self.pop_size))
