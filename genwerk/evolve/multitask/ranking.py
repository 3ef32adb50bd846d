"""Nondominated sorting and crowding distance of several runs at once: Deb et al., A Fast and Elitist Multiobjective
Genetic Algorithm: NSGA-II, IEEE Transactions on Evolutionary Computation, 2002."""

from __future__ import annotations

import moocore
import numpy as np

from genwerk.evolve.multitask.problem import Array, Evaluated


def nondomination_ranks(found: Evaluated) -> Array:
    """Rank (runs, n) of each solution, 0 for what nothing dominates.

    Feasible solutions come before others (section VI), and those in the order of their violation.
    """
    return np.stack([_ranks(f, violation) for f, violation in zip(*found, strict=True)])


def _ranks(f: Array, violation: Array) -> Array:
    feasible = violation == 0
    if feasible.all() and len(f):
        return np.asarray(moocore.pareto_rank(f))
    rank = np.zeros(len(f), int)
    if feasible.any():
        rank[feasible] = moocore.pareto_rank(f[feasible])
    _, rank[~feasible] = np.unique(violation[~feasible], return_inverse=True)
    rank[~feasible] += rank[feasible].max(initial=-1) + 1
    return rank


def crowding_distances(f: Array, rank: Array) -> Array:
    """Crowding distance (runs, n) within each front; infinite at the ends of a front in any objective."""
    distance = np.zeros(rank.shape)
    for objective in np.moveaxis(f, -1, 0):
        order = np.lexsort((objective, rank), axis=-1)
        value, front = (np.take_along_axis(each, order, -1) for each in (objective, rank))
        new = np.diff(front, axis=-1) > 0
        edge = np.ones((*rank.shape[:-1], 1), bool)
        first, last = np.concatenate([edge, new], -1), np.concatenate([new, edge], -1)
        index = np.arange(rank.shape[-1])
        start = np.maximum.accumulate(np.where(first, index, 0), -1)
        end = np.minimum.accumulate(np.where(last, index, index[-1])[..., ::-1], -1)[..., ::-1]
        span = np.take_along_axis(value, end, -1) - np.take_along_axis(value, start, -1)
        gap = np.zeros_like(value)
        gap[..., 1:-1] = value[..., 2:] - value[..., :-2]
        gap = np.where(first | last, np.inf, gap / np.where(span > 0, span, 1))
        np.put_along_axis(distance, order, np.take_along_axis(distance, order, -1) + gap, -1)
    return distance


def best(found: Evaluated, n: int) -> Array:
    """Indices (runs, n) of the ``n`` best of each run: by rank, then by crowding distance, the less crowded first."""
    rank = nondomination_ranks(found)
    return np.lexsort((-crowding_distances(found.f, rank), rank), axis=-1)[:, :n]
