"""The pairs of CEC 2017 against formulas written out one variable at a time, and the problem that holds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pymoo")

from pymoo.core.problem import Problem
from pymoo.problems import get_problem

from genwerk.core.errors import BadFile, BadInput
from genwerk.evolve.multitask.problem import MultitaskProblem
from genwerk.evolve.problems import find, front
from genwerk.evolve.problems.cec2017 import NAMES, PAIRS, SUBSTITUTES, needs_matrix, substitute

PUBLISHABLE = [name for name in NAMES if not (name in PAIRS and needs_matrix(name))]

# --- formulas of the report, variable by variable ---------------------------------------------------------------------

Numbers = Sequence[float]


def circle(x: Numbers, q: float) -> list[float]:
    return [q * math.cos(math.pi * x[0] / 2), q * math.sin(math.pi * x[0] / 2)]


def convex(x: Numbers, q: float) -> list[float]:
    return [x[0], q * (1 - math.sqrt(x[0] / q))]


def concave(x: Numbers, q: float) -> list[float]:
    return [x[0], q * (1 - (x[0] / q) ** 2)]


def two(x: Numbers, q: float) -> list[float]:
    return concave([(x[0] + x[1]) / 2], q)


def ball(x: Numbers, q: float) -> list[float]:
    a, b = math.pi * x[0] / 2, math.pi * x[1] / 2
    return [q * math.cos(a) * math.cos(b), q * math.cos(a) * math.sin(b), q * math.sin(a)]


def sphere(z: Numbers) -> float:
    return 1 + sum(v**2 for v in z)


def mean(z: Numbers) -> float:
    return 1 + 9 / len(z) * sum(abs(v) for v in z)


def rosenbrock(z: Numbers) -> float:
    return 1 + sum(100 * (z[i] ** 2 - z[i + 1]) ** 2 + (1 - z[i]) ** 2 for i in range(len(z) - 1))


def rastrigin(z: Numbers) -> float:
    return 1 + sum(v**2 - 10 * math.cos(2 * math.pi * v) + 10 for v in z)


def ackley(z: Numbers) -> float:
    n = len(z)
    root, waves = math.sqrt(sum(v**2 for v in z) / n), sum(math.cos(2 * math.pi * v) for v in z) / n
    return 21 + math.e - 20 * math.exp(-0.2 * root) - math.exp(waves)


def griewank(z: Numbers) -> float:
    product = math.prod(math.cos(v / math.sqrt(i)) for i, v in enumerate(z, 1))
    return 2 + sum(v**2 for v in z) / 4000 - product


def times(matrix: str, z: Numbers) -> list[float]:
    rows = substitute(matrix, len(z)).tolist()
    return [sum(m * v for m, v in zip(row, z, strict=True)) for row in rows]


def minus(z: Numbers, *shift: tuple[int, float]) -> list[float]:
    repeated = [value for n, value in shift for _ in range(n)]
    return [v - s for v, s in zip(z, repeated, strict=True)]


EXPECTED: dict[str, list[tuple[int, float, float, Callable[[list[float]], list[float]]]]] = {
    "cihs": [
        (50, -100, 100, lambda x: circle(x, sphere(x[1:]))),
        (50, -100, 100, lambda x: concave(x, mean(x[1:]))),
    ],
    "cims-substitute": [
        (10, -5, 5, lambda x: concave(x, rosenbrock(x[1:]))),
        (10, -5, 5, lambda x: circle(x, mean(times("M_cm2", minus(x[1:], (9, 1)))))),
    ],
    "cils": [(50, -2, 2, lambda x: circle(x, rastrigin(x[1:]))), (50, -1, 1, lambda x: convex(x, ackley(x[1:])))],
    "pihs": [
        (50, -100, 100, lambda x: convex(x, sphere(x[1:]))),
        (50, -100, 100, lambda x: convex(x, rastrigin(minus(x[1:], (39, 0), (10, 0.1))))),
    ],
    "pims-substitute": [
        (50, 0, 1, lambda x: circle(x, sphere(times("M_pm1", minus(x[1:], (24, 0), (25, 0.2)))))),
        (50, 0, 1, lambda x: concave(x, rastrigin(times("M_pm2", x[1:])))),
    ],
    "pils": [
        (50, -50, 50, lambda x: circle(x, griewank(x[1:]))),
        (50, -100, 100, lambda x: circle(x, ackley(minus(x[1:], (24, 0), (25, 20))))),
    ],
    "nihs": [(50, -80, 80, lambda x: circle(x, rosenbrock(x[1:]))), (50, -80, 80, lambda x: convex(x, sphere(x[1:])))],
    "nims-substitute": [
        (20, -20, 20, lambda x: ball(x, rosenbrock(x[2:]))),
        (20, -20, 20, lambda x: two(x, sphere(times("M_nm2", x[2:])))),
    ],
    "nils": [
        (25, -50, 50, lambda x: ball(x, griewank(minus(x[2:], (23, 20))))),
        (50, -100, 100, lambda x: two(x, ackley(x[2:]))),
    ],
}

OPTIMA = {
    "cihs": ([0] * 49, [0] * 49),
    "cims-substitute": ([1] * 9, [1] * 9),
    "cils": ([0] * 49, [0] * 49),
    "pihs": ([0] * 49, [0] * 39 + [0.1] * 10),
    "pims-substitute": ([0] * 24 + [0.2] * 25, [0] * 49),
    "pils": ([0] * 49, [0] * 24 + [20] * 25),
    "nihs": ([1] * 49, [0] * 49),
    "nims-substitute": ([1] * 18, [0] * 18),
    "nils": ([20] * 23, [0] * 48),
}
"""The tails of which q = 1."""


@pytest.mark.parametrize("name", EXPECTED)
def test_objectives_are_the_report_s(name: str) -> None:
    problem, rng = find(name), np.random.default_rng(0)
    for task, (variables, low, high, objectives) in zip(problem.tasks, EXPECTED[name], strict=True):
        lead = task.definition.shape.lead
        assert task.n_var == variables
        assert task.xl.tolist() == [0] * lead + [low] * (variables - lead)
        assert task.xu.tolist() == [1] * lead + [high] * (variables - lead)
        x = rng.uniform(task.xl, task.xu, (20, variables))
        expected = [objectives(row) for row in x.tolist()]
        np.testing.assert_allclose(task.evaluate(x), expected, rtol=1e-12)


@pytest.mark.parametrize("name", EXPECTED)
def test_known_optima_lie_on_the_front(name: str) -> None:
    for shifted in (False, True):
        problem = find(name + "-shifted" * shifted)
        for task, tail in zip(problem.tasks, OPTIMA[name], strict=True):
            definition = task.definition
            offset = task.offset - np.array(definition.optimum or 0.0) if shifted else 0.0
            lead = np.random.default_rng(1).random((50, definition.shape.lead))
            x = np.hstack([lead, np.tile(np.array(tail) + offset, (50, 1))])
            assert ((x >= task.xl) & (x <= task.xu)).all()
            f, points = task.evaluate(x), front(task)
            assert points is not None
            gaps = np.linalg.norm(f[:, None] - points[None], axis=2).min(1)
            assert gaps.max() < (1e-3 if f.shape[1] == 2 else 0.01)


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_better_than_the_front(name: str) -> None:
    for task in find(name).tasks:
        points, f = front(task), task.evaluate(np.random.default_rng(2).uniform(task.xl, task.xu, (500, task.n_var)))
        assert points is not None
        assert len(points) == 10_000 if task.n_obj == 2 else len(points) == 10_011
        assert not (f[:, None] <= points[None, ::50] - 1e-9).all(2).any()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_shift_moves_both_tasks_alike_and_keeps_their_optima_inside(name: str) -> None:
    moved = [
        (task.offset - np.array(task.definition.optimum or 0.0)) / (task.definition.high - task.definition.low)
        for task in find(f"{name}-shifted").tasks
    ]
    common = min(map(len, moved))
    np.testing.assert_allclose(moved[0][:common], moved[1][:common], atol=1e-12)
    assert np.abs(moved[0]).max() <= 0.3 + 1e-12
    for task, by in zip(find(name).tasks, moved, strict=True):
        optimum = task.definition.centre + by
        assert optimum.min() >= 0.1 - 1e-12
        assert optimum.max() <= 0.9 + 1e-12
    other = find(name, shifted=True, shift_seed=1).tasks[0].offset
    assert not np.allclose(other, find(f"{name}-shifted").tasks[0].offset)


def test_matrices_come_from_a_file(tmp_path: Path) -> None:
    from scipy.io import savemat

    rng = np.random.default_rng(3)
    matrices = {"M_pm1": rng.random((49, 49)), "M_pm2": rng.random((49, 49))}
    np.savez(tmp_path / "m.npz", **matrices)
    savemat(tmp_path / "m.mat", matrices)
    x = rng.random((5, 50))
    expected = [task.evaluate(x) for task in find("pims", matrices=matrices).tasks]
    for file in ("m.npz", "m.mat"):
        found = [task.evaluate(x) for task in find("pims", matrices=tmp_path / file).tasks]
        np.testing.assert_array_equal(found, expected)


def test_what_is_wrong_with_matrices_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cims needs the published matrix M_cm2"):
        find("cims")
    with pytest.raises(BadInput, match=r"M_cm2 has shape \(2, 2\); expected 9 x 9"):
        find("cims", matrices={"M_cm2": np.eye(2)})
    np.savez(tmp_path / "objects.npz", M_cm2=np.array([{}], dtype=object))
    (tmp_path / "damaged.mat").write_bytes(b"nothing of the kind")
    for name in ("objects.npz", "damaged.mat", "absent.npz"):
        with pytest.raises(BadFile, match=f"{name} cannot be read"):
            find("cims", matrices=tmp_path / name)


def test_substitutes_are_conditioned_as_the_published_matrices() -> None:
    for name, size, condition in (("M_cm2", 9, 7), ("M_pm1", 49, 303), ("M_pm2", 49, 437), ("M_nm2", 18, 825)):
        matrix = substitute(name, size)
        assert np.linalg.cond(matrix) == pytest.approx(condition, rel=0.02)
        assert matrix.min() >= SUBSTITUTES[name][1]


# --- the problem that holds the tasks ---------------------------------------------------------------------------------


def test_to_pymoo_it_is_one_problem() -> None:
    problem = find("nils")
    assert (problem.n_var, problem.n_obj, problem.dims) == (51, 3, 50)
    u = np.random.default_rng(4).random((6, 50))
    x = np.insert(u, 0, [0, 1, 1, 0, 1, 0], axis=1)
    f = problem.evaluate(x)
    first, second = problem.tasks
    np.testing.assert_allclose(f[[0, 3, 5]], first.evaluate(u[[0, 3, 5], :25] * (first.xu - first.xl) + first.xl))
    np.testing.assert_allclose(f[[1, 2, 4], :2], second.evaluate(u[[1, 2, 4]] * (second.xu - second.xl) + second.xl))
    assert np.isnan(f[[1, 2, 4], 2]).all()
    (x1, f1), (x2, f2) = problem.split(x, f)
    assert (x1.shape, f1.shape, x2.shape, f2.shape) == ((3, 25), (3, 3), (3, 50), (3, 2))
    np.testing.assert_allclose(f1, first.evaluate(x1))
    np.testing.assert_allclose(f2, second.evaluate(x2))


def test_constraints_become_one_violation() -> None:
    bnh = get_problem("bnh")
    problem = MultitaskProblem("bnh and zdt1", [bnh, get_problem("zdt1", n_var=2)])
    x = np.random.default_rng(5).random((20, 3))
    x[:, 0] = np.arange(20) % 2
    g = problem.evaluate(x, return_values_of=["G"])
    own = bnh.evaluate(problem.decode(x[::2, 1:], 0), return_values_of=["G"])
    np.testing.assert_allclose(g[::2, 0], np.maximum(own, 0).sum(1))
    assert g.max() > 0
    assert not g[1::2].any()


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([get_problem("zdt1")], "mine has 1 task; a multitask problem has two or more"),
        ([get_problem("zdt1"), Problem(2, 2, xl=0, xu=1, vtype=int)], "task 2 of mine has variables that are not real"),
        ([get_problem("zdt1"), Problem(2, 2)], "task 2 of mine lacks a finite lower and upper bound"),
        ([get_problem("zdt1"), Problem(2, 2, xl=0, xu=np.inf)], "task 2 of mine lacks a finite lower and upper bound"),
        ([Problem(2, 2, xl=1, xu=1), get_problem("zdt1")], "task 1 of mine has a lower bound that is not below"),
    ],
)
def test_tasks_that_cannot_be_are_refused(tasks: list[Problem], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        MultitaskProblem("mine", tasks)
