"""Multi-objective multitask problems of CEC 2017: nine pairs of tasks.

Yuan et al., Evolutionary Multitasking for Multiobjective Continuous Optimization: Benchmark Problems, Performance
Metrics and Baseline Results, 2017, arXiv:1706.02766. A name says how the tasks' optima intersect (complete, partial,
no intersection) and how similar their landscapes are (high, medium, low similarity): PIMS has partial intersection and
medium similarity.

The first variables of a task, in [0, 1], place a solution along the front; the tail z of the others places it at the
distance q(z) >= 1 from the origin, and q = 1 is optimal. Three pairs multiply a tail by a matrix that is published as
data: it is read from a user's file, or replaced by a seeded one in a problem whose name says so.

In the unified space [0, 1]^D the optimum of most tasks lies within 0.03 of the centre in every coordinate of the tail,
so that whatever emits about 0.5 looks clever. The shifted problems move the optimum of both tasks by one seeded vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.core.problem import Problem

from genwerk.core.errors import BadFile, BadInput, reason
from genwerk.evolve.multitask.problem import MultitaskProblem
from genwerk.evolve.problems import problem
from genwerk.evolve.problems.fronts import POINTS, octant

Array = npt.NDArray[Any]

# --- distances q of the tail z (..., d), least where they are 1 -------------------------------------------------------


def sphere(z: Array) -> Array:
    return 1 + np.square(z).sum(-1)


def mean(z: Array) -> Array:
    return 1 + 9 * np.abs(z).mean(-1)


def rosenbrock(z: Array) -> Array:
    now, then = z[..., :-1], z[..., 1:]
    return 1 + (100 * np.square(np.square(now) - then) + np.square(1 - now)).sum(-1)


def rastrigin(z: Array) -> Array:
    return 1 + (np.square(z) - 10 * np.cos(2 * np.pi * z) + 10).sum(-1)


def ackley(z: Array) -> Array:
    spread, waves = np.sqrt(np.square(z).mean(-1)), np.cos(2 * np.pi * z).mean(-1)
    return 21 + np.e - 20 * np.exp(-0.2 * spread) - np.exp(waves)


def griewank(z: Array) -> Array:
    root = np.sqrt(np.arange(1, z.shape[-1] + 1))
    return 2 + np.square(z).sum(-1) / 4000 - np.cos(z / root).prod(-1)


# --- shapes of the front: objectives of the first variables and of q --------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """Objectives of the first variables (n, lead) and of distances (n,), and how many of each there are."""

    lead: int
    objectives: int
    of: Callable[[Array, Array], Array]


def _circle(x: Array, q: Array) -> Array:
    angle = np.pi / 2 * x[:, 0]
    return q[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def _convex(x: Array, q: Array) -> Array:
    return np.stack([x[:, 0], q * (1 - np.sqrt(x[:, 0] / q))], 1)


def _concave(x: Array, q: Array) -> Array:
    first = x.mean(1)
    return np.stack([first, q * (1 - np.square(first / q))], 1)


def _ball(x: Array, q: Array) -> Array:
    a, b = np.pi / 2 * x.T
    return q[:, None] * np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], 1)


CIRCLE, CONVEX, CONCAVE = Shape(1, 2, _circle), Shape(1, 2, _convex), Shape(1, 2, _concave)
BALL, CONCAVE_OF_TWO = Shape(2, 3, _ball), Shape(2, 2, _concave)


# --- tasks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Definition:
    """A task: variables, bounds of the tail, q of z = M (x - S) and shape of the front."""

    variables: int
    low: float
    high: float
    distance: Callable[[Array], Array]
    shape: Shape
    optimum: tuple[float, ...] = ()
    """S, or nothing for 0."""
    matrix: str = ""
    """Name of M, or nothing for the identity."""

    @property
    def tail(self) -> int:
        return self.variables - self.shape.lead

    @property
    def centre(self) -> Array:
        """The tail's optimum, in fractions of its bounds."""
        best = np.array(self.optimum or (0.0,) * self.tail) + (self.distance is rosenbrock)
        return np.asarray((best - self.low) / (self.high - self.low))


class DistanceTask(Problem):
    """One task as a vectorised pymoo problem.

    ``matrix`` is M, None for the identity; ``shift`` (tail,) moves the optimum, in fractions of the tail's bounds.
    """

    def __init__(self, definition: Definition, matrix: Array | None = None, shift: Array | None = None) -> None:
        self.definition, self.matrix = definition, matrix
        width = definition.high - definition.low
        self.offset = np.array(definition.optimum or 0.0) + (0.0 if shift is None else shift * width)
        lead, low, high = definition.shape.lead, definition.low, definition.high
        super().__init__(
            n_var=definition.variables,
            n_obj=definition.shape.objectives,
            xl=np.array([0.0] * lead + [low] * definition.tail),
            xu=np.array([1.0] * lead + [high] * definition.tail),
        )

    def _evaluate(self, x: Array, out: dict[str, Array], *args: object, **kwargs: object) -> None:
        shape = self.definition.shape
        z = x[:, shape.lead :] - self.offset
        out["F"] = shape.of(
            x[:, : shape.lead], self.definition.distance(z if self.matrix is None else z @ self.matrix.T)
        )

    def sample_front(self, n: int = POINTS) -> Array:
        """Points of the front q = 1: uniform in the first variable, or a lattice on the octant of the sphere."""
        shape = self.definition.shape
        if shape.objectives == 3:
            return octant(3, n)
        return shape.of(np.repeat(np.linspace(0, 1, n)[:, None], shape.lead, 1), np.ones(n))


PAIRS: dict[str, tuple[Definition, Definition]] = {
    "cihs": (Definition(50, -100, 100, sphere, CIRCLE), Definition(50, -100, 100, mean, CONCAVE)),
    "cims": (
        Definition(10, -5, 5, rosenbrock, CONCAVE),
        Definition(10, -5, 5, mean, CIRCLE, (1.0,) * 9, "M_cm2"),
    ),
    "cils": (Definition(50, -2, 2, rastrigin, CIRCLE), Definition(50, -1, 1, ackley, CONVEX)),
    "pihs": (
        Definition(50, -100, 100, sphere, CONVEX),
        Definition(50, -100, 100, rastrigin, CONVEX, (0.0,) * 39 + (0.1,) * 10),
    ),
    "pims": (
        Definition(50, 0, 1, sphere, CIRCLE, (0.0,) * 24 + (0.2,) * 25, "M_pm1"),
        Definition(50, 0, 1, rastrigin, CONCAVE, (), "M_pm2"),
    ),
    "pils": (
        Definition(50, -50, 50, griewank, CIRCLE),
        Definition(50, -100, 100, ackley, CIRCLE, (0.0,) * 24 + (20.0,) * 25),
    ),
    "nihs": (Definition(50, -80, 80, rosenbrock, CIRCLE), Definition(50, -80, 80, sphere, CONVEX)),
    "nims": (
        Definition(20, -20, 20, rosenbrock, BALL),
        Definition(20, -20, 20, sphere, CONCAVE_OF_TWO, (), "M_nm2"),
    ),
    "nils": (
        Definition(25, -50, 50, griewank, BALL, (20.0,) * 23),
        Definition(50, -100, 100, ackley, CONCAVE_OF_TWO),
    ),
}
"""The pairs by name, as published."""

SUBSTITUTES = {"M_cm2": (253, -1.0), "M_pm1": (403, -1.0), "M_pm2": (921, 0.0), "M_nm2": (806, -1.0)}
"""Seed of the matrix that stands in for a published one, and least value of its uniform entries; the largest is 1.
Seeds were chosen for a condition number near that of the published matrix: 7, 303, 437 and 825."""


def needs_matrix(name: str) -> bool:
    """Whether the pair is defined by a matrix that is published as data."""
    return any(task.matrix for task in PAIRS[name])


def substitute(matrix: str, size: int) -> Array:
    """The seeded matrix (size, size) that stands in for the published one."""
    seed, least = SUBSTITUTES[matrix]
    return np.random.default_rng(seed).uniform(least, 1, (size, size))


def read_matrices(path: Path) -> dict[str, Array]:
    """All arrays of a .npz or .mat file by name; nothing is unpickled. Raises BadFile where it cannot be read."""
    try:
        if path.suffix == ".mat":
            from scipy.io import loadmat

            return {name: each for name, each in loadmat(path).items() if isinstance(each, np.ndarray)}
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # readers of damaged files raise whatever their formats make them
        raise BadFile(f"{path} cannot be read as .npz or .mat: {reason(error)}") from error


def _shift(pair: tuple[Definition, Definition], seed: int) -> Array:
    """What a shifted pair's optimum is moved by, for each coordinate of the longer tail, in fractions of the bounds.

    Uniform in [-0.3, 0.3], narrowed to where the moved optimum of every task stays within [0.1, 0.9].
    """
    rng = np.random.default_rng(seed)
    least, most = (np.full(max(task.tail for task in pair), end) for end in (-0.3, 0.3))
    for task in pair:
        least[: task.tail] = np.maximum(least[: task.tail], 0.1 - task.centre)
        most[: task.tail] = np.minimum(most[: task.tail], 0.9 - task.centre)
    return rng.uniform(least, most)


def cec2017(
    name: str, *, shifted: bool = False, shift_seed: int = 0, matrices: Mapping[str, Array] | Path | str | None = None
) -> MultitaskProblem:
    """A pair of tasks by its name, of :data:`NAMES`: ``cihs``, ``cims``, ``cims-substitute``.

    ``shifted`` moves the optimum of both tasks by one seeded vector. ``matrices`` holds those that CIMS (M_cm2), PIMS
    (M_pm1, M_pm2) and NIMS (M_nm2) need, or names a .npz or .mat file of them; their substitutes need none. Raises
    BadInput for another name and where a matrix is missing or of another size.
    """
    plain = name.removesuffix("-substitute")
    if plain not in PAIRS or (plain != name and not needs_matrix(plain)):
        raise BadInput(f"there is no multitask problem {name}; there are {', '.join(NAMES)}")
    pair = PAIRS[plain]
    shift = _shift(pair, shift_seed) if shifted else np.zeros(50)
    given = read_matrices(Path(matrices)) if isinstance(matrices, (str, Path)) else dict(matrices or {})

    def matrix(task: Definition) -> Array | None:
        if not task.matrix:
            return None
        if plain != name:
            return substitute(task.matrix, task.tail)
        if task.matrix not in given:
            raise BadInput(
                f"{name} needs the published matrix {task.matrix} ({task.tail} x {task.tail}): ‹matrices› takes a "
                f".npz or .mat file of it; {name}-substitute has a seeded one in its place"
            )
        found = np.ascontiguousarray(given[task.matrix], float)  # one order, for the same rounding
        if found.shape != (task.tail, task.tail) or not np.isfinite(found).all():
            raise BadInput(f"{task.matrix} has shape {found.shape}; expected {task.tail} x {task.tail} finite numbers")
        return found

    tasks = [DistanceTask(task, matrix(task), shift[: task.tail]) for task in pair]
    return MultitaskProblem(name + "-shifted" * shifted, tasks)


NAMES = (*PAIRS, *(f"{name}-substitute" for name in PAIRS if needs_matrix(name)))
"""Every name of :func:`cec2017`; each has a shifted version beside it."""
ABOUT = "two tasks of two or three objectives (CEC 2017; Yuan, Ong, Feng et al., 2017)"
SHIFTED = "the same pairs with optima moved off the centre"
for _name in NAMES:
    problem(_name, ABOUT)(partial(cec2017, _name))
for _name in NAMES:
    problem(f"{_name}-shifted", SHIFTED)(partial(cec2017, _name, shifted=True))
