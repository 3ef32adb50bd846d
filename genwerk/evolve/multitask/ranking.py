"""Nondominated sorting and crowding distance of several runs at once: Deb et al., A Fast and Elitist Multiobjective
Genetic Algorithm: NSGA-II, IEEE Transactions on Evolutionary Computation, 2002."""

from __future__ import annotations

import numpy as np

from genwerk.evolve.multitask.problem import Array, Evaluated


def nondomination_ranks(found: Evaluated, enough: int) -> Array:
    """Rank (runs, n) of each solution, 0 for what nothing dominates; feasible ones dominate others (section VI).

    Fronts are peeled off until every run has ``enough`` solutions ranked; the rest share the next rank.
    """
    f, violation = found
    runs, n, _ = f.shape
    no_worse, better = np.ones((runs, n, n), bool), np.zeros((runs, n, n), bool)
    for objective in np.moveaxis(f, -1, 0):
        no_worse &= objective[:, :, None] <= objective[:, None, :]
        better |= objective[:, :, None] < objective[:, None, :]
    dominates = no_worse & better
    if violation.any():
        here, there = violation[:, :, None], violation[:, None, :]
        dominates = (here < there) | ((here == there) & dominates)
    matrix = dominates.astype(np.float32)
    above = matrix.sum(1)  # how many that are left dominate each
    rank, left, level = np.zeros((runs, n), int), np.ones((runs, n), bool), 0
    while (n - left.sum(1)).min() < enough:
        front = left & (above == 0)
        left &= ~front
        above -= (front[:, None, :].astype(np.float32) @ matrix)[:, 0]
        level += 1
        rank[left] = level
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
    rank = nondomination_ranks(found, n)
    return np.lexsort((-crowding_distances(found.f, rank), rank), axis=-1)[:, :n]
