"""Points of known Pareto fronts."""

from __future__ import annotations

import inspect
from itertools import count
from math import comb
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import Problem
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions

Array = NDArray[np.float64]
POINTS = 10_000
"""Points of a front that distances are measured from."""
OBJECTIVES = 20
"""Objectives beyond which no such number of points covers a front."""


def lattice(m: int, n: int) -> Array:
    """The coarsest simplex lattice of at least ``n`` points (Das & Dennis, 1998) with shape (points, m)."""
    partitions = next(h for h in count(1) if comb(h + m - 1, m - 1) >= n)
    return cast(Array, get_reference_directions("das-dennis", m, n_partitions=partitions))


def sphere(angles: Array) -> Array:
    """Points of the unit sphere's positive part (n, m) from ``angles`` (n, m - 1) in units of a right angle."""
    cos, sin = np.cos(angles * np.pi / 2), np.sin(angles * np.pi / 2)
    one = np.ones((len(angles), 1))
    return np.hstack([one, np.cumprod(cos, axis=1)])[:, ::-1] * np.hstack([one, sin[:, ::-1]])


def octant(m: int, n: int) -> Array:
    """About ``n`` points of the unit sphere's positive part, a simplex lattice projected on it."""
    points = lattice(m, n)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _dtlz5(problem: Problem, n: int) -> Array:
    angles = np.full((n, problem.n_obj - 1), 0.5)
    angles[:, 0] = np.linspace(0, 1, n)
    return sphere(angles)


def _dtlz7(problem: Problem, n: int) -> Array:
    """Of a grid of about ``4 n`` points those that no other dominates (about a quarter with three objectives)."""
    m = problem.n_obj
    axis = np.linspace(0, 1, round((4 * n) ** (1 / (m - 1))))
    head = np.stack(np.meshgrid(*[axis] * (m - 1)), axis=-1).reshape(-1, m - 1)
    last = 2 * (m - (head / 2 * (1 + np.sin(3 * np.pi * head))).sum(axis=1))
    f = np.hstack([head, last[:, None]])
    return cast(Array, f[NonDominatedSorting().do(f, only_non_dominated_front=True)])


def front(problem: Problem, n: int = POINTS) -> Array | None:
    """About ``n`` points of the Pareto front of ``problem`` with shape (points, m); None where it is not known, or has
    more than :data:`OBJECTIVES` objectives.

    It is never looked up on the network, as pymoo does for some problems.
    """
    if problem.n_obj > OBJECTIVES:
        return None
    if hasattr(problem, "sample_front"):
        return cast(Array, problem.sample_front(n))
    name = type(problem).__name__
    if name in ("DTLZ5", "DTLZ6") and problem.n_obj == 3:
        return _dtlz5(problem, n)
    if name == "DTLZ7":
        return _dtlz7(problem, n)
    asked = inspect.signature(problem._calc_pareto_front).parameters
    if "ref_dirs" in asked:
        return cast(Array, problem._calc_pareto_front(lattice(problem.n_obj, n)))
    for count_of in ("n_pareto_points", "n_points"):
        if count_of in asked:
            return cast(Array, problem._calc_pareto_front(**{count_of: n}))
    return None
