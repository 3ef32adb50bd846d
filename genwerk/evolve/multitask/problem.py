"""A multitask problem: several pymoo problems that are solved together, in one unified space of variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from genwerk.core.errors import BadInput

Array = npt.NDArray[Any]


class Evaluated(NamedTuple):
    """What is known of solutions of one task: of a single run (n, ...) or of several (runs, n, ...)."""

    f: Array
    """Objectives (..., n, m), to be minimised."""
    violation: Array
    """Constraint violation (..., n), 0 for what is feasible."""


@dataclass(frozen=True)
class MultitaskProblem:
    """Tasks that share the unified space [0, 1]^D, where D is the largest number of variables of a task.

    A task of d variables reads the first d coordinates, scaled to its bounds. The other D - d are padding: they vary
    like the rest, are never evaluated, and are not transferred (:mod:`genwerk.evolve.multitask.coordinator`).
    Objectives may differ in number. Raises BadInput for fewer than two tasks and for bounds that span no interval.
    """

    name: str
    tasks: Sequence[Any]
    """A pymoo Problem each, of real variables."""

    def __post_init__(self) -> None:
        if len(self.tasks) < 2:
            raise BadInput(f"{self.name} has {len(self.tasks)} task; a multitask problem has two or more")
        for number, task in enumerate(self.tasks, 1):
            if task.vtype is not None and task.vtype is not float:
                raise BadInput(f"task {number} of {self.name} has variables of type {task.vtype.__name__}, not float")
            if task.xl is None or task.xu is None or not np.isfinite(task.xu - task.xl).all():
                raise BadInput(f"task {number} of {self.name} has no finite lower and upper bound of every variable")
            if (task.xl >= task.xu).any():
                raise BadInput(f"task {number} of {self.name} has a lower bound that is not below its upper bound")

    @property
    def variables(self) -> int:
        """D, the number of dimensions of the unified space."""
        return max(task.n_var for task in self.tasks)

    def decode(self, u: Array, task: int) -> Array:
        """Variables (..., d) of a task from unified coordinates (..., D)."""
        problem = self.tasks[task]
        return np.asarray(problem.xl + u[..., : problem.n_var] * (problem.xu - problem.xl))

    def evaluate(self, x: Array, task: int) -> Evaluated:
        """Evaluate variables (..., n, d) of a task in one call of its problem.

        Violation is the sum over constraints of how far g exceeds 0 and |h| exceeds 1e-4, as in pymoo.
        """
        found = self.tasks[task].evaluate(x.reshape(-1, x.shape[-1]), return_values_of=["F", "G", "H"])
        f, g, h = (np.asarray(each, float).reshape(*x.shape[:-1], -1) for each in found)
        return Evaluated(f, np.maximum(g, 0).sum(-1) + np.maximum(np.abs(h) - 1e-4, 0).sum(-1))
