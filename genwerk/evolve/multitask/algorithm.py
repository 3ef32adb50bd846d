"""A multitask algorithm as one of pymoo's: it asks for solutions of all tasks and is told what they are worth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from genwerk.core.errors import BadInput
from genwerk.evolve.algorithms import AlgorithmConfig
from genwerk.evolve.multitask.coordinator import Coordinator
from genwerk.evolve.multitask.problem import Array, Evaluated, MultitaskProblem
from genwerk.evolve.multitask.ranking import nondomination_ranks


@dataclass(frozen=True, kw_only=True)
class MultitaskConfig(AlgorithmConfig):
    """Settings that all multitask algorithms share; ``pop_size`` is that of each task."""

    @abstractmethod
    def coordinate(self, problem: MultitaskProblem, seeds: Sequence[int | np.random.Generator]) -> Coordinator:
        """The algorithm in arrays, one run for each seed, which costs far less than as many runs one by one."""

    def make(self, problem: Problem) -> Algorithm:
        return MultitaskAlgorithm(self)


class MultitaskAlgorithm(Algorithm):
    """One run of a multitask algorithm on a :class:`MultitaskProblem`, to be used as any algorithm of pymoo.

    Solutions of the tasks take turns in what it asks for; where a budget ends, the first of them may be told alone.
    ``opt`` has the nondominated solutions of every task: ``problem.split(result.X, result.F)`` parts them.
    """

    def __init__(self, config: MultitaskConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def _setup(self, problem: Problem, **kwargs: Any) -> None:
        if not isinstance(problem, MultitaskProblem):
            name = self.config.kind
            raise BadInput(f"{name} solves several tasks together, and {problem.name()} is a single problem")
        self.coordinator = self.config.coordinate(problem, [self.random_state])

    @property
    def shares(self) -> Mapping[str, float]:
        """Figures of the last generation by name."""
        return self.coordinator.shares(0)

    def _infill(self) -> Population:
        asked = [np.insert(u[0], 0, task, axis=1) for task, u in enumerate(self.coordinator.ask())]
        return Population.new("X", np.stack(asked, 1).reshape(-1, self.problem.n_var))

    _initialize_infill = _infill

    def _advance(self, infills: Population | None = None, **kwargs: Any) -> None:
        found = [Evaluated(f[None], violation[None]) for f, violation in self._by_task(infills)]
        self.coordinator.tell(found)
        x, f, violation = [], [], []
        for task, pool in enumerate(self.coordinator.pools):
            x.append(np.insert(pool.u[0], 0, task, axis=1))
            f.append(np.full((len(x[-1]), self.problem.n_obj), np.nan))
            f[-1][:, : pool.found.f.shape[-1]] = pool.found.f[0]
            violation.append(pool.found.violation[0, :, None])
        values = {"G": np.concatenate(violation)} if self.problem.n_ieq_constr else {}
        self.pop = Population.new(X=np.concatenate(x), F=np.concatenate(f), **values)

    _initialize_advance = _advance

    def _by_task(self, pop: Population) -> list[tuple[Array, Array]]:
        """Objectives (n, m) and violation (n,) of each task's solutions."""
        x, f, violation = pop.get("X", "F", "CV")
        index = self.problem.rows(x)
        return [(f[own, : task.n_obj], violation[own, 0]) for own, task in zip(index, self.problem.tasks, strict=True)]

    def _set_optimum(self) -> None:
        index = self.problem.rows(self.pop.get("X"))
        first = [nondomination_ranks(Evaluated(f[None], cv[None]))[0] == 0 for f, cv in self._by_task(self.pop)]
        self.opt = self.pop[np.concatenate([own[best] for own, best in zip(index, first, strict=True)])]
