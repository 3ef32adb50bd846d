"""Several runs of a multitask algorithm in lockstep: ask for offspring of every task, evaluate them, tell.

Each task has a population of its own in the unified space, and a solution is only ever evaluated on its own task. Runs
share arrays and nothing else: a run's result follows from its seed. One run is the case of one seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genwerk.core.errors import BadInput
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


class Coordinator(ABC):
    """Base of multitask algorithms: one population a task, and as many runs as there are ``seeds``.

    A seed may be a generator of random numbers, which is then used up.
    """

    def __init__(self, problem: MultitaskProblem, pop_size: int, seeds: Sequence[int | np.random.Generator]) -> None:
        self.problem, self.pop_size = problem, pop_size
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

    def note(self, survived: list[Array]) -> None:  # noqa: B027
        """Take note of which offspring (runs, n) of each task were kept; ``self.pools`` are the new ones."""

    def shares(self, run: int) -> Mapping[str, float]:
        """What is to be logged of a run, by name."""
        return {}

    def uniform(self, *shape: int) -> Array:
        """Uniform numbers (runs, *shape), of each run's own generator."""
        return np.stack([rng.random(shape) for rng in self.rngs])

    def ask(self) -> list[Array]:
        """Unified coordinates (runs, n, D) of each task that are to be evaluated; the same ones until told."""
        if not self._asked:
            size = self.pop_size, self.problem.dims
            self._asked = self.offspring() if self.pools else [self.uniform(*size) for _ in self.problem.tasks]
        return self._asked

    def tell(self, found: Sequence[Evaluated]) -> None:
        """Give what the solutions asked for are worth, task by task, and select the next populations.

        Of a task's n solutions only the first may have been evaluated, as where a budget ends.
        """
        made = [u[:, : each.violation.shape[1]] for u, each in zip(self._asked, found, strict=False)]
        if [u.shape[:2] for u in made] != [each.violation.shape for each in found] or len(made) < len(self._asked):
            raise BadInput("tell takes the values of what ‹ask› gave, for every task and run")
        pools, survived = [], []
        for task, (u, new) in enumerate(zip(made, found, strict=True)):
            old = self.pools[task] if self.pools else Pool(u[:, :0], Evaluated(new.f[:, :0], new.violation[:, :0]))
            everything = np.concatenate([old.u, u], 1)
            merged = Evaluated(*(np.concatenate(each, 1) for each in zip(old.found, new, strict=True)))
            index = best(merged, min(self.pop_size, everything.shape[1]))
            pools.append(Pool(rows(everything, index), Evaluated(*(rows(each, index) for each in merged))))
            kept = np.zeros(everything.shape[:2], bool)
            np.put_along_axis(kept, index, True, 1)
            survived.append(kept[:, old.u.shape[1] :])
        first, self.pools, self._asked = not self.pools, pools, []
        self.generation += 1
        self.evaluations += sum(u.shape[1] for u in made)
        if not first:
            self.note(survived)

    def run(self, evaluations: int) -> None:
        """Ask, evaluate and tell until each run has had exactly ``evaluations`` over all tasks.

        Tasks have equal numbers; of a number that they do not divide, the first tasks get one more.
        """
        tasks = len(self.problem.tasks)
        while (left := evaluations - self.evaluations) > 0:
            cuts = [(left + tasks - 1 - task) // tasks for task in range(tasks)]
            self.tell(
                [
                    self.problem.evaluate_task(self.problem.decode(u[:, :cut], task), task)
                    for task, (u, cut) in enumerate(zip(self.ask(), cuts, strict=True))
                ]
            )
