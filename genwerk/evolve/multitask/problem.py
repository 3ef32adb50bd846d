"""A multitask problem: several pymoo problems that are solved together, in one unified space of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pymoo.core.problem import Problem

from genwerk.core.errors import BadInput

Array = npt.NDArray[Any]


class Evaluated(NamedTuple):
    """What is known of solutions of one task: of a single run (n, ...) or of several (runs, n, ...)."""

    f: Array
    """Objectives (..., n, m), to be minimised."""
    violation: Array
    """Constraint violation (..., n), 0 for what is feasible."""


class MultitaskProblem(Problem):
    """Tasks that share the unified space [0, 1]^D, where D is the largest number of variables of a task.

    A task of d variables reads the first d coordinates, scaled to its bounds. The other D - d are padding: they vary
    like the rest, are never evaluated, and are not transferred (:mod:`genwerk.evolve.multitask.emtgs`).

    To pymoo it is one problem, whose solutions (n, 1 + D) begin with the number of the task that they are of, from 0.
    Objectives (n, largest m) of a task with fewer are padded with NaN; where tasks have constraints, the one g is their
    total violation. Raises BadInput for fewer than two tasks, for variables other than real ones and for bounds that
    span no interval.
    """

    def __init__(self, name: str, tasks: Sequence[Problem]) -> None:
        self.label, self.tasks = name, list(tasks)
        if len(tasks) < 2:
            raise BadInput(f"{name} has {len(tasks)} task; a multitask problem has two or more")
        for number, task in enumerate(tasks, 1):
            if hasattr(task, "vars") or task.vtype not in (None, float):
                raise BadInput(f"task {number} of {name} has variables that are not real numbers")
            if task.xl is None or task.xu is None or not np.isfinite(task.xu - task.xl).all():
                raise BadInput(f"task {number} of {name} lacks a finite lower and upper bound of every variable")
            if (task.xl >= task.xu).any():
                raise BadInput(f"task {number} of {name} has a lower bound that is not below its upper bound")
        self.dims = max(task.n_var for task in tasks)
        """D, the number of dimensions of the unified space."""
        constrained = any(task.has_constraints() for task in tasks)
        super().__init__(
            n_var=1 + self.dims,
            n_obj=max(task.n_obj for task in tasks),
            n_ieq_constr=int(constrained),
            xl=np.zeros(1 + self.dims),
            xu=np.array([len(tasks) - 1.0] + [1.0] * self.dims),
        )

    def name(self) -> str:
        return self.label

    def decode(self, u: Array, task: int) -> Array:
        """Variables (..., d) of a task, in its own units, from unified coordinates (..., D)."""
        problem = self.tasks[task]
        return np.asarray(problem.xl + u[..., : problem.n_var] * (problem.xu - problem.xl))

    def evaluate_task(self, x: Array, task: int) -> Evaluated:
        """Evaluate variables (..., n, d) of a task in one call of its problem.

        Violation is the sum over constraints of how far g exceeds 0 and |h| exceeds 1e-4, as in pymoo.
        """
        found = self.tasks[task].evaluate(x.reshape(-1, x.shape[-1]), return_values_of=["F", "G", "H"])
        f, g, h = (np.asarray(each, float).reshape(*x.shape[:-1], np.shape(each)[-1]) for each in found)
        return Evaluated(f, np.maximum(g, 0).sum(-1) + np.maximum(np.abs(h) - 1e-4, 0).sum(-1))

    def rows(self, x: Array) -> list[Array]:
        """Indices of the solutions (n, 1 + D) that are of each task."""
        return [np.flatnonzero(x[:, 0] == task) for task in range(len(self.tasks))]

    def split(self, x: Array, f: Array) -> list[tuple[Array, Array]]:
        """Variables (n, d) in a task's own units and objectives (n, m), of each task, from solutions of the problem."""
        return [
            (self.decode(x[index, 1:], task), f[index, : self.tasks[task].n_obj])
            for task, index in enumerate(self.rows(x))
        ]

    def _evaluate(self, x: Array, out: dict[str, Array], *args: object, **kwargs: object) -> None:
        out["F"], violation = np.full((len(x), self.n_obj), np.nan), np.zeros((len(x), 1))
        for task, index in enumerate(self.rows(x)):
            if len(index):
                found = self.evaluate_task(self.decode(x[index, 1:], task), task)
                out["F"][index, : found.f.shape[1]], violation[index, 0] = found
        if self.n_ieq_constr:
            out["G"] = violation
