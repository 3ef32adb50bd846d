"""Environmental selection of SPEA2, on arrays.

Zitzler, Laumanns & Thiele, SPEA2: improving the strength Pareto evolutionary algorithm, 2001, TIK report 103.
Distances are taken after each objective is scaled by its range. Violated constraints rank below all that is feasible.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from scipy.spatial.distance import cdist

from genwerk.evolve.problems.fronts import lattice

Array = NDArray[np.float64]


def beyond(least: Array, most: Array) -> Array:
    """What a failure counts as, by column: as much worse than the worst value as that is than the best, or by 1."""
    return most + np.where(most > least, most - least, 1.0)


def finite(values: Array) -> Array:
    """``values`` (n, m), to be minimised, with :func:`beyond` where they are not finite."""
    known = np.isfinite(values)
    if known.all():
        return values
    most = values.max(axis=0, initial=-np.inf, where=known)
    least = np.minimum(values.min(axis=0, initial=np.inf, where=known), most)
    some = np.isfinite(most)
    return np.where(known, values, beyond(np.where(some, least, 0), np.where(some, most, 0)))


def dominance(f: Array) -> NDArray[np.bool_]:
    """Whether solution i dominates solution j of objectives ``f`` (n, m), with shape (n, n)."""
    worse = (f[:, None] > f[None]).any(-1)
    return cast(NDArray[np.bool_], ~worse & worse.T)


def distances(f: Array) -> Array:
    """Euclidean distances of objectives ``f`` (n, m), each scaled by its range, with shape (n, n)."""
    scaled = f / np.maximum(np.ptp(f, axis=0), 1e-12)
    return cast(Array, cdist(scaled, scaled))


def spea2_fitness(f: Array, cv: Array, density_of_dominance: bool = False) -> Array:
    """Fitness of solutions with objectives ``f`` (n, m) and constraint violation ``cv`` (n,), lower is better.

    It is below 1 for what is feasible and nondominated. ``density_of_dominance`` is a defect of GMOEA's code, whose
    density sorts a row of the dominance matrix where the distances to neighbours should stand.
    """
    beats = dominance(f) & (cv <= 0)[:, None]
    strength = beats.sum(axis=1)
    raw = (beats * strength[:, None]).sum(axis=0)
    k = min(int(np.sqrt(len(f))), len(f) - 1)
    neighbours = beats.astype(float) if density_of_dominance else distances(f)
    fitness = raw + 1 / (np.partition(neighbours, k, axis=1)[:, k] + 2)
    return np.where(cv > 0, fitness[cv <= 0].max(initial=0) + 1 + cv, fitness)


def truncate(f: Array, n: int) -> NDArray[np.intp]:
    """Indices of the ``n`` solutions that are left when the one nearest to another is removed, again and again."""
    d = distances(f)
    np.fill_diagonal(d, np.inf)
    left = np.ones(len(f), bool)
    for _ in range(len(f) - n):
        i = int(d.min(axis=1).argmin())
        j = int(d[i].argmin())
        nearer = [*np.sort(d[i])] < [*np.sort(d[j])]  # the two are as near to each other; then their next neighbours
        gone = i if nearer else j
        left[gone], d[gone], d[:, gone] = False, np.inf, np.inf
    return np.flatnonzero(left)


def select(f: Array, cv: Array, n: int, density_of_dominance: bool = False) -> tuple[NDArray[np.intp], Array]:
    """Indices of the ``n`` solutions that survive, and the fitness of all, of which they are chosen."""
    fitness = spea2_fitness(f, cv, density_of_dominance)
    best = np.flatnonzero((fitness < 1) & (cv <= 0))
    if len(best) > n:
        return best[truncate(f[best], n)], fitness
    return np.argsort(fitness, kind="stable")[:n], fitness


class SPEA2Selection(Survival):
    """:func:`select` as a survival of pymoo."""

    def __init__(self, density_of_dominance: bool = False) -> None:
        super().__init__(filter_infeasible=False)
        self.density_of_dominance = density_of_dominance

    def _do(self, problem: Problem, pop: Population, *args: Any, n_survive: int, **kwargs: Any) -> Population:
        f, cv = pop.get("F", "CV")
        return pop[select(f, cv[:, 0], n_survive, self.density_of_dominance)[0]]


def subpopulations(f: Array, vectors: Array) -> NDArray[np.intp]:
    """For each of the objectives ``f`` (n, m) the nearest by angle of ``vectors`` (k, m)."""
    f = f - np.minimum(f.min(axis=0), 0)  # angles are those of what is not negative
    unit = f / (np.linalg.norm(f, axis=1, keepdims=True) + 1e-12)
    return np.argmax(unit @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T, axis=1)


class NichedSelection(Survival):
    """SPEA2's selection, which leaves a share of the places to niches: each keeps its own best, dominated or not.

    Where a part of the front is reached far sooner than the rest, it dominates nearly all that is on the way to the
    others, and selection by dominance alone gives these up. Niches are those of ``vectors`` to which objectives are
    nearest by angle (as in IM-MOEA), from the ideal point and in units of the range of all: that of what is
    nondominated shrinks to the part that was reached first. What violates a constraint has no niche.
    """

    def __init__(self, vectors: int = 10, share: float = 0.9) -> None:
        super().__init__(filter_infeasible=False)
        self.vectors, self.share = vectors, share

    def _do(self, problem: Problem, pop: Population, *args: Any, n_survive: int, **kwargs: Any) -> Population:
        (f, cv), vectors = pop.get("F", "CV"), lattice(problem.n_obj, self.vectors)
        order, fitness = select(f, cv[:, 0], min(n_survive, len(pop)))
        feasible = cv[:, 0] <= 0
        known = f[feasible] if feasible.any() else f
        scaled = (f - known.min(axis=0)) / np.maximum(np.ptp(known, axis=0), 1e-12)
        niche, each = subpopulations(scaled, vectors), int(self.share * n_survive / len(vectors))
        members = [np.flatnonzero((niche == i) & feasible) for i in np.unique(niche[feasible])] if each else []
        own = [part[select(f[part], cv[part, 0], min(each, len(part)))[0]] for part in members]
        kept = np.unique(np.concatenate([np.empty(0, int), *own]))
        others = np.concatenate([order, np.argsort(fitness, kind="stable")])
        _, first = np.unique(others, return_index=True)
        others = others[np.sort(first)]
        return pop[np.concatenate([kept, others[~np.isin(others, kept)]])[:n_survive]]


def crowding(f: Array) -> Array:
    """Crowding distance of objectives ``f`` (n, m), each scaled by its range; ends are infinite (Deb et al., 2002)."""
    total = np.zeros(len(f))
    for column in f.T:
        order = np.argsort(column, kind="stable")
        gap = np.diff(column[order], prepend=-np.inf, append=np.inf)
        total[order] += (gap[:-1] + gap[1:]) / max(np.ptp(column), 1e-12)
    return total


class PrunedCrowding(Survival):
    """Rank, then crowding distance, by which the last front loses one solution at a time, as in RM-MEDA.

    pymoo's own pruning, ``RankAndCrowding(crowding_func="pcd")`` of 0.6.2, writes beyond its arrays with 3 objectives.
    """

    def __init__(self) -> None:
        super().__init__(filter_infeasible=True)

    def _do(self, problem: Problem, pop: Population, *args: Any, n_survive: int, **kwargs: Any) -> Population:
        f, kept = pop.get("F"), np.empty(0, int)
        for front in NonDominatedSorting().do(f, n_stop_if_ranked=n_survive):
            while len(kept) + len(front) > n_survive:
                front = np.delete(front, crowding(f[front]).argmin())
            kept = np.append(kept, front)
        return pop[kept]
