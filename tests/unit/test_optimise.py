"""Optimisation in Python: exact budgets, answers known beforehand, penalties, all kinds of problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.core.problem import ElementwiseProblem, Problem
from pymoo.problems import get_problem

import genwerk
from genwerk.core.errors import BadInput, BadSetting
from genwerk.evolve.algorithms import ALGORITHMS, algorithm
from genwerk.evolve.archive import Archive, Columns, Outcome
from genwerk.evolve.evaluating import NONE_YET, Evaluating, outcomes
from genwerk.evolve.optimise import Optimising, Progress
from genwerk.evolve.source import OfFunction, Source
from genwerk.evolve.survival import spea2_fitness

Array = np.ndarray[Any, Any]


class Counted(Problem):
    """ZDT1 of 5 variables, which counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__(n_var=5, n_obj=2, xl=0.0, xu=1.0)
        self.of, self.asked = get_problem("zdt1", n_var=5), list[Array]()

    def _evaluate(self, x: Array, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self.asked.extend(x)
        out["F"] = self.of.evaluate(x)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("picture", "animation"):
        monkeypatch.setattr(f"genwerk.evolve.drawing.{name}", lambda of, path: path)


def single(name: str) -> bool:
    try:
        ALGORITHMS[name]().build(Counted(), 0)
    except BadInput:
        return False
    return True


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if single(name)])
def test_every_algorithm_keeps_to_its_budget_and_goes_on_as_if_it_had_been_longer(name: str, tmp_path: Path) -> None:
    problem, whole, settings = Counted(), Counted(), {"pop_size": 12}
    genwerk.optimise(problem, name, evaluations=29, runs=2, out=tmp_path / "a", **settings)
    assert len(problem.asked) == 58
    found = genwerk.optimise(problem, name, evaluations=41, runs=2, out=tmp_path / "a", **settings)
    assert len(problem.asked) == 82
    at_once = genwerk.optimise(whole, name, evaluations=41, runs=2, out=tmp_path / "b", **settings)
    for own, other in zip(found.fronts, at_once.fronts, strict=True):
        np.testing.assert_array_equal(own[0].x, other[0].x)
    assert {row.tobytes() for row in problem.asked} == {row.tobytes() for row in whole.asked}


def test_runs_are_those_of_pymoo_with_their_seeds() -> None:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    problem = get_problem("zdt2", n_var=5)
    found = genwerk.optimise(problem, "nsga2", evaluations=120, seed=3, runs=2, pop_size=20)
    for run, seed in enumerate((3, 4)):
        expected = minimize(problem, NSGA2(pop_size=20), ("n_eval", 120), seed=seed)
        np.testing.assert_array_equal(found.fronts[run][0].f, expected.F[np.lexsort(expected.F.T[::-1])])


def test_measures_are_of_the_known_front() -> None:
    """A single run of a single evaluation at f = (a, b): its hypervolume is a rectangle, its IGD a mean distance."""
    found = genwerk.optimise("zdt1", "nsga2", variables=2, evaluations=1, reference=(3, 12))
    ((front,),) = found.fronts
    a, b = front.f[0]
    known = np.stack([t := np.linspace(0, 1, 10_000), 1 - np.sqrt(t)], 1)
    measured = found.figures["measured"]
    assert measured["hv"]["median"] == pytest.approx((3 - a) * (12 - b))
    assert measured["igd"]["median"] == pytest.approx(np.linalg.norm(known - front.f, axis=1).mean(), rel=1e-4)
    assert found.figures["solutions"] == [[1]]


def test_progress_is_told_and_points_are_few() -> None:
    events = list[Progress]()
    found = genwerk.optimise(
        "zdt1", "nsga2", evaluations=1200, runs=2, variables=3, pop_size=8, on_progress=events.append
    )
    assert [event.evaluations for event in events] == [16 * i for i in range(1, 151)]
    assert events[-1].total == found.evaluations == 2400
    points = [point.evaluations for point in found.curve.points]
    assert len(points) <= 51
    assert points[0] == 8
    assert points[-1] == 1200


def test_a_function_and_its_constraints() -> None:
    calls = list[Array]()

    def objectives(x: Array) -> tuple[float, float]:
        calls.append(x)
        return float(x[0]), float(1 - x[0] + x[1])

    found = genwerk.optimise(
        objectives, "nsga2", lower=0, upper=[1, 2], constraints=lambda x: 0.5 - x[0], evaluations=40, pop_size=8
    )
    assert len(calls) == 41  # the middle of the bounds tells how many objectives there are
    assert found.figures["constraints"] == 1
    assert all(front.x[:, 0].min() >= 0.5 for front in found.fronts[0])
    assert np.ptp([x[1] for x in calls]) > 1


def test_a_failed_evaluation_is_worse_than_all_that_its_run_has_seen() -> None:
    problem = OfFunction(lambda x: (x[0], 3 - x[0]), np.zeros(1), np.ones(1) * 3, lambda x: x - 2)
    problem.functions = (lambda x: (x[0], 3 - x[0]) if x[0] != 1.5 else 1 / 0, problem.functions[1])
    evaluate = Evaluating(problem, problem, Archive(Columns(1, 2, 1)))
    x = np.array([[1.5], [1.0], [2.5], [1.5]])
    (found,) = evaluate([0], 0, [x])
    assert found["F"].tolist() == [[NONE_YET, NONE_YET], [1, 2], [2.5, 0.5], [4.0, 3.5]]
    assert (found["G"] > 0).reshape(-1).tolist() == [True, False, True, True]
    assert found["G"][3] > found["G"][2]
    ((why, times),) = evaluate.failures.items()
    assert (why.partition(" (")[0], times) == ("ZeroDivisionError: division by zero", 2)
    (other,) = evaluate([1], 0, [x[:1]])
    assert other["F"].tolist() == [[NONE_YET, NONE_YET]]  # a run knows of no other
    (priced,) = Evaluating(problem, problem, Archive(Columns(1, 2, 1)), penalty=7)([0], 0, [x])
    assert priced["F"].tolist() == [[7, 7], [1, 2], [2.5, 0.5], [7, 7]]


def test_what_is_infeasible_dominates_nothing_that_is_feasible() -> None:
    fitness = spea2_fitness(np.array([[0.0, 0], [1, 1], [0.5, 2], [2, 3]]), np.array([1.0, 0, 0, 0]))
    assert (fitness[1:3] < 1).all()
    assert 1 < fitness[3] < fitness[0]


def test_where_all_together_fail_each_is_evaluated_alone() -> None:
    def objectives(x: Array) -> Array:
        if (x > 0.9).any():
            raise ArithmeticError("no")
        return np.hstack([x, 1 - x])

    problem = OfFunction(objectives, np.zeros(1), np.ones(1), vectorised=True)
    found = outcomes(problem, np.array([[0.25], [0.95], [0.5]]))
    assert [each.values for each in found] == [(0.25, 0.75), (), (0.5, 0.5)]
    assert found[1].failure.startswith("ArithmeticError: no (test_optimise.py, line ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_failures(value: float) -> None:
    problem = OfFunction(lambda x: (x[0], value if x[0] > 0.5 else 0.0), np.zeros(1), np.ones(1))
    assert outcomes(problem, np.array([[0.2], [0.8]])) == [
        Outcome((0.2, 0.0)),
        Outcome((0.8, pytest.approx(value, nan_ok=True)), f"f1 is {value}"),
    ]


class Elementwise(ElementwiseProblem):
    def __init__(self) -> None:
        super().__init__(n_var=2, n_obj=2, xl=0, xu=1)

    def _evaluate(self, x: Array, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        if x[0] > 0.8:
            raise ValueError
        out["F"] = [x[0], 1 - x[0] + x[1]]


def test_problems_of_pymoo_that_evaluate_one_at_a_time() -> None:
    found = genwerk.optimise(Elementwise(), "nsga2", evaluations=40, pop_size=8)
    (why,) = found.failures
    assert why.startswith("ValueError (test_optimise.py, line ")
    assert found.fronts[0][0].x[:, 0].max() <= 0.8


def test_what_is_refused() -> None:
    with pytest.raises(BadInput, match="the problem is 3"):
        genwerk.optimise(3)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="lower is missing"):
        genwerk.optimise(lambda x: (1, 2), "nsga2")
    with pytest.raises(BadInput, match="single objective"):
        genwerk.optimise(Problem(n_var=2, xl=0, xu=1), "nsga2")
    with pytest.raises(BadSetting, match="runs is 0"):
        genwerk.optimise("zdt1", "nsga2", runs=0)
    with pytest.raises(BadInput, match="no setting 'lr'"):
        genwerk.optimise("zdt1", "nsga2", lr=1)


def test_a_source_is_made_again_anywhere(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("lower, upper = [0, 1], [1, 2]\ndef objectives(x): return x[0], x[1], 1\n")
    source = Source(problem=str(tmp_path / "mine.py")).counted()
    assert (source.objectives, source.constraints, source.name) == (3, 0, "mine")
    problem = source.load()
    assert problem.xl.tolist() == [0, 1]
    assert Source(problem="dtlz2", variables=7, objectives=4).load().n_obj == 4
    assert algorithm("nsga2", pop_size=8).pop_size == 8


def test_an_optimisation_is_looked_at_before_its_folder_is_made(tmp_path: Path) -> None:
    from genwerk.evolve.optimise import Request

    source = Source(problem="bnh")
    with pytest.raises(BadInput, match="moead does not solve BNH"):
        list(Optimising(Request(source=source, algorithm="moead"), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_changed_function_does_not_go_on_with_the_values_of_the_old_one(tmp_path: Path) -> None:
    of = {"lower": [0.0], "upper": [1.0], "pop_size": 8, "out": tmp_path / "out"}
    genwerk.optimise(lambda x: (x[0], 1 - x[0]), "nsga2", evaluations=8, **of)
    genwerk.optimise(lambda x: (x[0], 1 - x[0]), "nsga2", evaluations=16, **of)
    for changed in (lambda x: (x[0], 2 - x[0]), lambda x: (x[-1], 1 - x[0])):
        with pytest.raises(BadInput, match="the problem has changed since"):
            genwerk.optimise(changed, "nsga2", evaluations=24, **of)
    with pytest.raises(BadInput, match="the problem has changed since"):
        genwerk.optimise(lambda x: (x[0], 1 - x[0]), "nsga2", evaluations=24, **{**of, "upper": [2.0]})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"evaluations": 60.5}, "evaluations.*whole number"),
        ({"seed": -1}, "seed.*0 or more"),
        ({"jobs": 0}, "jobs.*1 or more"),
        ({"penalty": float("nan")}, "penalty.*finite"),
        ({"reference": (1.0, float("nan"))}, "reference.*finite"),
        ({"constraints": lambda x: x}, "constraints.*goes with a function"),
        ({"lower": 0.0}, "lower.*goes with a function"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        genwerk.optimise("zdt1", "nsga2", **{"evaluations": 8, **settings})


@pytest.mark.parametrize("name", ["gmoea", "im-moea"])
def test_what_is_feasible_survives_before_what_is_not(name: str) -> None:
    """Of 200 solutions 120 are feasible, and none of the others is among the 100 that are left."""
    survival = algorithm(name).build(Counted(), 0).survival
    rng = np.random.default_rng(0)
    f, g = rng.random((200, 2)), np.where(np.arange(200) < 120, -1.0, 1.0)[:, None]
    f[120:] *= 0.1
    found = Population.new(X=rng.random((200, 5)), F=f, G=g, H=np.zeros((200, 0)))
    kept = survival.do(Counted(), found, n_survive=100, random_state=rng)
    assert (kept.get("CV") <= 0).all()
    few = survival.do(Counted(), found[60:], n_survive=100, random_state=rng)
    assert (few.get("CV") <= 0).sum() == 60
    assert len(few) == 100


@pytest.mark.parametrize("name", ["gmoea", "im-moea"])
@pytest.mark.parametrize("scale, shift", [(1.0, -5.0), (1e9, 0.0)])
def test_objectives_of_any_sign_and_scale(name: str, scale: float, shift: float) -> None:
    found = genwerk.optimise(
        lambda x: (scale * x[0] + shift, scale * (1 - x[0] + x[1:].sum()) + shift),
        name, lower=[0.0] * 4, upper=[1.0] * 4, evaluations=400, pop_size=40,
    )  # fmt: skip
    assert len(found.fronts[0][0].f) >= 20


def test_a_population_whose_last_batch_is_one_solution() -> None:
    assert genwerk.optimise("zdt1", "gmoea-published", evaluations=90, pop_size=41, epochs=1).evaluations == 90
