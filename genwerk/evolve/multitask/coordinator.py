"""Several runs of a multitask algorithm in lockstep: ask for offspring of every task, evaluate them, tell.

Each task has a population of its own in the unified space, and a solution is only ever evaluated on its own task. Runs
share arrays and nothing else: a run's result follows from its seed. One run is the case of one seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genwerk.core.errors import BadInput, BadSetting
from genwerk.evolve.multitask.problem import Array, Evaluated, MultitaskProblem
from genwerk.evolve.multitask.ranking import best


def rows(array: Array, index: Array) -> Array:
    """Rows ``index`` (runs, k) of every run of ``array`` (runs, n, ...)."""
    return np.asarray(array[np.arange(len(array))[:, None], index])


@dataclass(frozen=True)
class Pool:
    """A task's population, sorted by nondomination rank and then by crowding distance."""

    u: Array
    """Unified coordinates (runs, n, D)."""
    found: Evaluated
    """What they are worth on the task."""

    @classmethod
    def best_of(cls, u: Array, found: Evaluated, n: int) -> tuple[Pool, Array]:
        """The ``n`` best of each run, and their indices (runs, n)."""
        index = best(found, n)
        return cls(rows(u, index), Evaluated(*(rows(each, index) for each in found))), index


class Coordinator(ABC):
    """Base of multitask algorithms; ``seeds`` has one seed a run."""

    def __init__(self, problem: MultitaskProblem, population: int, seeds: Sequence[int]) -> None:
        if population < 2:
            raise BadSetting("population", f"is {population}; expected 2 or more solutions a task")
        self.problem, self.population = problem, population
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        self.pools: list[Pool] = []
        """A population a task; empty before the first ``tell``."""
        self.evaluations = 0
        """Evaluations of one run, over all tasks."""
        self.generation = 0
        """How often it has been told."""
        self._asked: list[Array] = []

    @abstractmethod
    def offspring(self) -> list[Array]:
        """Unified coordinates (runs, n, D) of the next solutions of each task, from ``self.pools``."""

    def learn(self, survived: list[Array]) -> None:
        """Take note of which offspring (runs, n) of each task were kept; the new pools stand."""

    def uniform(self, *shape: int) -> Array:
        """Uniform numbers (runs, *shape), of each run's own generator."""
        return np.stack([rng.random(shape) for rng in self.rngs])

    def ask(self, most: int | None = None) -> list[Array]:
        """Variables (runs, n, d) of each task that are to be evaluated, ``most`` a task at most; again until told."""
        if not self._asked:
            first = not self.pools
            size = self.population, self.problem.variables
            made = [self.uniform(*size) for _ in self.problem.tasks] if first else self.offspring()
            self._asked = [u[:, :most] for u in made]
        return [self.problem.decode(u, task) for task, u in enumerate(self._asked)]

    def tell(self, found: Sequence[Evaluated]) -> None:
        """Give what the solutions last asked for are worth, task by task, and select the next populations."""
        if [each.violation.shape for each in found] != [u.shape[:2] for u in self._asked]:
            raise BadInput(f"{self.problem.name}: tell what was asked for, {[u.shape[:2] for u in self._asked]}")
        pools, survived = [], []
        for task, (u, new) in enumerate(zip(self._asked, found, strict=True)):
            old = self.pools[task] if self.pools else Pool(u[:, :0], Evaluated(new.f[:, :0], new.violation[:, :0]))
            merged = Evaluated(*(np.concatenate(each, 1) for each in zip(old.found, new, strict=True)))
            everything = np.concatenate([old.u, u], 1)
            pool, kept = Pool.best_of(everything, merged, min(self.population, everything.shape[1]))
            alive = np.zeros(everything.shape[:2], bool)
            np.put_along_axis(alive, kept, True, 1)
            pools.append(pool)
            survived.append(alive[:, old.u.shape[1] :])
        first, self.pools, self._asked = not self.pools, pools, []
        self.generation += 1
        self.evaluations += sum(each.shape[1] for each in survived)
        if not first:
            self.learn(survived)

    def run(self, evaluations: int) -> None:
        """Ask, evaluate and tell until each run has had ``evaluations`` in all tasks together, an equal number a task.

        The last generation is cut to fit; what is left over below one a task is not spent.
        """
        tasks = range(len(self.problem.tasks))
        while (most := (evaluations - self.evaluations) // len(tasks)) > 0:
            self.tell([self.problem.evaluate(x, task) for task, x in zip(tasks, self.ask(most), strict=True)])

    def results(self) -> list[list[Any]]:
        """A pymoo Result for each task of each run: ``pop``, and of its nondominated feasible ones ``opt, X, F, CV``."""
        from pymoo.core.population import Population
        from pymoo.core.result import Result

        found = []
        for run in range(len(self.rngs)):
            found.append([Result() for _ in self.pools])
            for task, (result, pool) in enumerate(zip(found[-1], self.pools, strict=True)):
                x, f, violation = self.problem.decode(pool.u[run], task), pool.found.f[run], pool.found.violation[run]
                result.problem, result.algorithm = self.problem.tasks[task], self
                result.pop = Population.new(X=x, F=f, CV=violation[:, None])
                first = _nondominated(f, violation)
                result.opt, result.X, result.F, result.CV = (
                    result.pop[first],
                    x[first],
                    f[first],
                    violation[first, None],
                )
        return found


def _nondominated(f: Array, violation: Array) -> Array:
    """Which of a run's solutions are of the first front; if none is feasible, those of the least violation."""
    from genwerk.evolve.multitask.ranking import nondomination_ranks

    return np.asarray(nondomination_ranks(Evaluated(f[None], violation[None]), 1)[0] == 0)
