"""What is measured of an optimisation while it goes on: the fronts of its runs, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from pymoo.core.algorithm import Algorithm
from pymoo.core.problem import Problem

from genwerk.evolve import measures, problems

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Front:
    """The feasible solutions of a population that none of it dominates, by their first objective."""

    x: Array
    """Variables (n, d), in the problem's own units."""
    f: Array
    """Objectives (n, m)."""


@dataclass(frozen=True)
class Point:
    """How things stand after some evaluations."""

    evaluations: int
    """Of the run that has had most."""
    fronts: Sequence[Sequence[Front]]
    """Of each run, one of each task."""
    figures: Mapping[str, Sequence[float]]
    """Values of all runs by name: igd, hv, share of SBX, ..."""

    def mean(self, name: str) -> float:
        """The mean of a figure over all runs."""
        return fmean(self.figures[name])


class Curve:
    """Points, measured by :meth:`measure`, of all tasks of ``problem``, of which most have one alone.

    Distances are from 10,000 points of the front where that is known. The reference point of the hypervolume is
    ``reference``, or that of the front (:func:`measures.reference_point`), or the same of the first populations.
    """

    def __init__(self, problem: Problem, reference: Sequence[float] = ()) -> None:
        self.problem, self.points = problem, list[Point]()
        self.tasks: list[Problem] = getattr(problem, "tasks", None) or [problem]
        self.known = [problems.front(task) for task in self.tasks]
        given = np.array(reference) if reference else None
        self.references = [
            given if given is not None else None if f is None else measures.reference_point(f) for f in self.known
        ]
        self.reference_of = "given" if reference else "the known front" if self.known[0] is not None else ""
        self.how = ""
        """How the hypervolume was found."""

    def split(self, algorithm: Algorithm, failed: set[bytes], *, best: bool = True) -> list[Front]:
        """The front of each task in an algorithm's population, or all of it that is feasible, without failures."""
        found = algorithm.opt if best else algorithm.pop
        x, f = np.asarray(found.get("X"), dtype=float), np.asarray(found.get("F"), dtype=float)
        keep = found.get("FEAS").reshape(-1) & np.array([row.tobytes() not in failed for row in x], dtype=bool)
        parts = self.problem.split(x[keep], f[keep]) if hasattr(self.problem, "tasks") else [(x[keep], f[keep])]
        return [Front(x[order], f[order]) for x, f in parts for order in [np.lexsort(f.T[::-1])]]

    def measure(self, evaluations: int, algorithms: Sequence[Algorithm], failed: set[bytes]) -> Point:
        """The point at which the ``algorithms`` of all runs stand, which is added to the others."""
        for i, reference in enumerate(self.references):
            if reference is None:
                first = np.vstack([self.split(each, failed, best=False)[i].f for each in algorithms])
                if len(first):
                    self.references[i] = measures.reference_point(first)
                    self.reference_of = f"the populations after {evaluations:,} evaluations"
        fronts = [self.split(each, failed) for each in algorithms]
        figures: dict[str, list[float]] = {}
        for own in fronts:
            for i, front in enumerate(own):
                task = f"task {i + 1} " if len(self.tasks) > 1 else ""
                for name, value in self._measured(i, front).items():
                    figures.setdefault(task + name, []).append(value)
        for each in algorithms:
            for name, value in shares(each).items():
                figures.setdefault(f"share of {name}", []).append(value)
        self.points.append(Point(evaluations, fronts, figures))
        return self.points[-1]

    def _measured(self, task: int, front: Front) -> dict[str, float]:
        known, reference, found = self.known[task], self.references[task], {}
        if known is not None:
            found["igd"] = measures.igd(front.f, known) if len(front.f) else float("nan")
        if reference is not None:
            found["hv"], self.how = measures.hypervolume(front.f, reference) if len(front.f) else (0.0, self.how)
        return found


def shares(algorithm: Algorithm) -> Mapping[str, float]:
    """The share of each operator in the last generation of an algorithm; empty where none has proposed yet."""
    of = getattr(algorithm, "shares", None)
    found = getattr(getattr(algorithm, "mating", None), "shares", None) if of is None else of
    return found if isinstance(found, Mapping) and any(found.values()) else {}
