"""IMMOEA F1-F10: problems whose Pareto sets are straight or curved lines of linked variables, and harder variants.

Cheng, Jin, Narukawa & Sendhoff, A multiobjective evolutionary algorithm using Gaussian process-based inverse modeling,
2015, IEEE Transactions on Evolutionary Computation 19(6), the test instances; also called IMF1-IMF10.

The tail variables x_2..x_n depend on x_1 (j = 2..n; from 3 where there are three objectives). The distance t_j of a
tail variable from the Pareto set is
    linear (F1-F4):  t_j = (1 + 5 j/n) x_j - x_1,        Pareto set x_j = x_1 / (1 + 5 j/n)
    power (F5-F10):  t_j = x_j^(1 / (1 + 3 j/n)) - x_1,  Pareto set x_j = x_1^(1 + 3 j/n).

On all ten the corner x = 0 is Pareto optimal, so an operator that drifts to the lower bounds looks clever. The interior
version of each keeps its front and moves the set off the corner: tail variables begin at -0.5 (-5 for F9 and F10, whose
tail is [0, 10]), and the power is odd, sign(x_j) |x_j|^(1 / (1 + 3 j/n)), by which it is defined and increasing on both
sides of 0 and the Pareto set is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import Problem

from genwerk.core.errors import BadSetting
from genwerk.evolve.problems.fronts import octant, sphere

Array = NDArray[np.float64]
Shape = Literal["convex", "concave", "multimodal", "sphere"]


def mean_square(t: Array) -> Array:
    return 1 + 9 * (t**2).mean(axis=1)


def sum_square(t: Array) -> Array:
    return (t**2).sum(axis=1)


def griewank(t: Array) -> Array:
    return 2 + (t**2).sum(axis=1) / 4000 - np.cos(t / np.sqrt(np.arange(1, t.shape[1] + 1))).prod(axis=1)


def rastrigin(t: Array) -> Array:
    return 1 + (10 + t**2 - 10 * np.cos(2 * np.pi * t)).sum(axis=1)


INSTANCES: dict[str, tuple[Shape, Callable[[Array], Array], bool, float]] = {
    "f1": ("convex", mean_square, True, 1),
    "f2": ("concave", mean_square, True, 1),
    "f3": ("multimodal", mean_square, True, 1),
    "f4": ("sphere", sum_square, True, 1),
    "f5": ("convex", mean_square, False, 1),
    "f6": ("concave", mean_square, False, 1),
    "f7": ("multimodal", mean_square, False, 1),
    "f8": ("sphere", sum_square, False, 1),
    "f9": ("convex", griewank, False, 10),
    "f10": ("convex", rastrigin, False, 10),
}
"""Of each problem the front's shape, the distance function, whether its variables are linked linearly, and the upper
bound of the tail."""


class IMMOEA(Problem):
    """The problem ``name``, "f1" to "f10", of ``n_var`` variables; ``interior`` puts the Pareto set off the corner."""

    def __init__(self, name: str, n_var: int = 30, interior: bool = False) -> None:
        self.shape, self.distance, self.linear, upper = INSTANCES[name]
        self.angles = 2 if self.shape == "sphere" else 1
        if n_var <= self.angles:
            raise BadSetting("n_var", f"is {n_var}; immoea-{name} needs {self.angles + 1} or more")
        lower = -0.5 * upper if interior else 0.0
        tail = n_var - self.angles
        super().__init__(
            n_var=n_var,
            n_obj=self.angles + 1,
            xl=np.array([0.0] * self.angles + [lower] * tail),
            xu=np.array([1.0] * self.angles + [float(upper)] * tail),
            vtype=float,
        )

    @property
    def _j(self) -> Array:
        """j / n of the tail's variables."""
        return np.arange(self.angles + 1, self.n_var + 1) / self.n_var

    def _evaluate(self, x: Array, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        first, tail = x[:, :1], x[:, self.angles :]
        if self.linear:
            t = (1 + 5 * self._j) * tail - first
        else:
            t = np.sign(tail) * np.abs(tail) ** (1 / (1 + 3 * self._j)) - first
        out["F"] = self._objectives(x[:, : self.angles], self.distance(t))

    def _objectives(self, head: Array, g: Array) -> Array:
        """Objectives (n, m) of solutions with first variables ``head`` (n, m - 1) and distance ``g`` (n,)."""
        f1 = head[:, 0]
        if self.shape == "sphere":
            return sphere(head) * (1 + g)[:, None]
        if self.shape == "multimodal":
            f1 = 1 - np.exp(-4 * f1) * np.sin(6 * np.pi * f1) ** 6
        return np.stack([f1, g * (1 - (f1 / g) ** (0.5 if self.shape == "convex" else 2))], axis=1)

    def pareto_set(self, head: Array) -> Array:
        """The Pareto-optimal solutions (n, n_var) with first variables ``head`` (n, m - 1) in [0, 1]."""
        first = head[:, :1]
        return np.hstack([head, first / (1 + 5 * self._j) if self.linear else first ** (1 + 3 * self._j)])

    def sample_front(self, n: int) -> Array:
        """About ``n`` points of the front: uniform in f_1, or a simplex lattice on the sphere."""
        if self.shape == "sphere":
            return octant(3, n)
        f1 = np.linspace(0.2807753191 if self.shape == "multimodal" else 0, 1, n)
        return np.stack([f1, 1 - f1 ** (0.5 if self.shape == "convex" else 2)], axis=1)
