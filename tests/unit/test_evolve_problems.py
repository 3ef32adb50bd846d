"""Problems of optimisation and their fronts: points of the Pareto set lie on the front, neighbours do not beat them."""

from __future__ import annotations

import numpy as np
import pytest
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from genwerk.core.errors import BadInput
from genwerk.evolve.algorithms import ALGORITHMS, algorithm
from genwerk.evolve.measures import hypervolume, igd, reference_point
from genwerk.evolve.multitask.algorithm import MultitaskConfig
from genwerk.evolve.problems import PROBLEMS, find, front
from genwerk.evolve.problems.immoea import IMMOEA, INSTANCES

IMMOEAS = [(name, interior) for name in INSTANCES for interior in (False, True)]


@pytest.mark.parametrize("name,interior", IMMOEAS)
def test_the_pareto_set_lies_on_the_front_and_nothing_near_is_better(name: str, interior: bool) -> None:
    problem, rng = IMMOEA(name, interior=interior), np.random.default_rng(0)
    x = problem.pareto_set(rng.random((200, problem.n_obj - 1)))
    f = problem.evaluate(x)
    assert f.shape == (200, problem.n_obj)
    assert (x >= problem.xl).all()
    assert (x <= problem.xu).all()
    if problem.n_obj == 3:
        assert np.allclose((f**2).sum(axis=1), 1)
    else:  # f2 as the paper's front has it
        assert np.allclose(f[:, 1], 1 - f[:, 0] ** (0.5 if name in ("f1", "f5", "f9", "f10") else 2))
    moved = np.clip(
        x + 0.05 * rng.standard_normal(x.shape) * (np.arange(30) >= problem.n_obj - 1), problem.xl, problem.xu
    )
    worse = problem.evaluate(moved)
    assert (worse >= f - 1e-9).all()  # the head is the same, so only the distance grows
    assert (worse.sum(axis=1) > f.sum(axis=1)).mean() > 0.9


@pytest.mark.parametrize("name,interior", IMMOEAS)
def test_the_sampled_front_is_the_front(name: str, interior: bool) -> None:
    problem = IMMOEA(name, interior=interior)
    points = front(problem)
    assert 10_000 <= len(points) < 10_200
    dense = problem.evaluate(problem.pareto_set(np.random.default_rng(1).random((3000, problem.n_obj - 1))))
    nondominated = dense[NonDominatedSorting().do(dense, only_non_dominated_front=True)]
    some = points[:: len(points) // 1000]
    assert igd(some, nondominated) < 0.05
    assert igd(nondominated, some) < 0.05


def test_what_stands_at_the_corner() -> None:
    """The origin alone, and lines along the corner, score what a collapsed population scores."""
    f2 = IMMOEA("f2")
    assert igd(f2.evaluate(np.zeros((1, 30))), front(f2)) == pytest.approx(0.6095, abs=1e-4)
    assert igd(IMMOEA("f2", interior=True).evaluate(np.full((1, 30), -0.5)), front(f2)) > 3
    f4, edge = IMMOEA("f4"), np.zeros((100, 30))
    edge[:, 1] = np.linspace(0, 1, 100)
    assert igd(f4.evaluate(edge), front(f4)) == pytest.approx(0.541, abs=1e-3)


@pytest.mark.parametrize("name", ["zdt1", "zdt3", "zdt6", "dtlz2", "dtlz5", "dtlz6", "dtlz7"])
def test_fronts_of_pymoos_problems(name: str) -> None:
    """Evaluated Pareto-optimal solutions lie on the sampled front, which has no other points."""
    problem, points = find(name), front(find(name), 1000)
    assert 500 < len(points) < 1200
    x = (
        np.zeros((3_000, problem.n_var))
        if name in ("zdt1", "zdt3", "zdt6", "dtlz6", "dtlz7")
        else np.full((3_000, problem.n_var), 0.5)
    )
    x[:, : problem.n_obj - 1] = np.random.default_rng(0).random((len(x), problem.n_obj - 1))
    f = problem.evaluate(x)
    assert igd(f, points) < 0.05
    if name in ("dtlz2", "dtlz5", "dtlz6", "zdt1"):  # all of these solutions are optimal
        assert igd(points, f) < 0.05


def test_every_problem_has_its_size_and_bounds() -> None:
    for name in PROBLEMS:
        if name.removesuffix("-shifted") in ("cims", "pims", "nims"):  # need matrices of the user
            continue
        problem = find(name)
        assert problem.n_obj > 1
        assert np.isfinite(problem.xl).all()
        assert (problem.xu > problem.xl).all()
        points = front(problem, 200)
        assert points is None or points.shape[1] == problem.n_obj


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="no problem called 'immoea-f11'; did you mean immoea-f1"):
        find("immoea-f11")
    with pytest.raises(BadInput, match="no algorithm called 'nsga'; did you mean nsga2"):
        algorithm("nsga")
    with pytest.raises(BadInput, match="cannot be made of n_obj"):
        find("zdt1", n_obj=3)


def test_hypervolume_is_exact_up_to_five_objectives_and_close_beyond() -> None:
    corner = np.full((1, 5), 0.5)
    assert hypervolume(corner, np.ones(5)) == (pytest.approx(0.5**5), "exact")
    value, how = hypervolume(np.full((1, 6), 0.5), np.ones(6))
    assert value == pytest.approx(0.5**6, rel=0.01)
    assert how.startswith("approximate")
    assert np.allclose(reference_point(np.array([[0.0, 2.0], [1.0, 0.0]])), [1.1, 2.2])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_take_ask_and_tell_and_count_evaluations(name: str) -> None:
    several = issubclass(ALGORITHMS[name], MultitaskConfig)
    problem = find("cihs") if several else find("zdt1", n_var=6)
    found = []
    for _ in range(2):
        running = algorithm(name, pop_size=10 if several else 20).build(problem, seed=1)
        while running.evaluator.n_eval < 60:
            running.evaluator.eval(problem, asked := running.ask())
            running.tell(infills=asked)
        assert running.evaluator.n_eval == 60 or name == "im-moea"  # whose generations differ in size
        found.append(running.pop.get("F"))
    assert np.array_equal(*found)
