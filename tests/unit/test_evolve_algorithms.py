"""Algorithms that propose by models: exact counts, seeds, runs together, and that each is what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.moo.spea2 import SPEA2
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize
from pymoo.util.ref_dirs import get_reference_directions

from genwerk.core.errors import BadInput
from genwerk.evolve.algorithms import algorithm
from genwerk.evolve.distribution import InverseModels
from genwerk.evolve.mating import GenerativeMating
from genwerk.evolve.problems import find
from genwerk.evolve.survival import NichedSelection, SPEA2Selection, finite
from genwerk.evolve.together import Together

OWN = {"gmoea": {}, "gmoea-published": {"epochs": 2}, "rm-meda": {}, "im-moea": {}}


@pytest.mark.parametrize("name", OWN)
def test_a_run_among_others_is_the_run_alone(name: str) -> None:
    problem, config = find("immoea-f1", n_var=5), algorithm(name, pop_size=20, **OWN[name])
    three = Together(config, problem, [3, 4, 5], 100).run()  # in more of them rounding turns a choice between equals
    alone = Together(config, problem, [4], 100).run()
    assert [each.evaluator.n_eval for each in [*three, *alone]] == [100] * 4
    assert np.allclose(three[1].pop.get("X"), alone[0].pop.get("X"), atol=1e-4)
    assert not np.allclose(three[0].pop.get("X")[:5], alone[0].pop.get("X")[:5], atol=1e-3)


@pytest.mark.parametrize("host", [NSGA2, SPEA2, SMSEMOA])
def test_generative_mating_serves_pymoos_algorithms(host: type) -> None:
    problem = find("zdt1", n_var=5)
    run = [
        minimize(problem, host(pop_size=20, mating=GenerativeMating()), ("n_eval", 100), seed=7, save_history=history)
        for history in (False, True)
    ]
    assert np.array_equal(run[0].F, run[1].F)  # the seed decides, and copies for the history disturb nothing
    assert run[0].algorithm.evaluator.n_eval == 100
    assert len(run[1].history) == 5
    assert sum(run[0].algorithm.mating.shares.values()) == pytest.approx(1)
    assert np.isfinite(run[0].algorithm.mating.figures["discriminator loss"])


@pytest.mark.parametrize("failure", [np.nan, np.inf, -np.inf])
def test_generative_mating_goes_on_where_objectives_or_constraints_are_not_finite(failure: float) -> None:
    class Failing(Problem):
        def _evaluate(self, x: np.ndarray, out: dict[str, np.ndarray], *args: object, **kwargs: object) -> None:
            out["F"] = np.where(x[:, 1:2] < 0.3, failure, np.stack([x[:, 0], 1 - x[:, 0] + x[:, 1]], axis=1))
            out["G"] = np.where(x[:, 2:] < 0.1, failure, x[:, 2:] - 0.9)

    problem = Failing(n_var=3, n_obj=2, n_ieq_constr=1, xl=0, xu=1)
    result = minimize(problem, NSGA2(pop_size=20, mating=GenerativeMating()), ("n_eval", 100), seed=0)
    assert result.algorithm.evaluator.n_eval == 100


def test_what_is_not_finite_counts_as_worse_than_all_else() -> None:
    values = np.array([[0.0, np.nan, 3.0], [2.0, np.inf, 3.0], [-np.inf, np.nan, np.nan]])
    assert np.array_equal(finite(values), [[0, 1, 3], [2, 1, 3], [4, 1, 4]])


def test_what_mating_cannot_serve_is_refused() -> None:
    host = MOEAD(get_reference_directions("das-dennis", 2, n_partitions=9))
    host.mating = GenerativeMating()
    with pytest.raises(BadInput, match="MOEAD mates chosen parents; take NSGA2, SPEA2 or SMSEMOA"):
        minimize(find("zdt1"), host, ("n_eval", 30), seed=0)
    for bounds, vtype, why in (((0, 1), int, "integer"), ((0, np.inf), float, "no bounds"), ((1, 1), float, "xl < xu")):
        problem = Problem(n_var=3, n_obj=2, xl=bounds[0], xu=bounds[1], vtype=vtype)
        with pytest.raises(BadInput, match=why):
            minimize(problem, NSGA2(pop_size=10, mating=GenerativeMating()), ("n_eval", 30), seed=0)


def test_im_moea_keeps_a_tenth_of_the_population_size_where_all_solutions_are_in_one_direction() -> None:
    sizes = [len(each.pop) for (each,) in Together(algorithm("im-moea"), find("immoea-f2"), [100], 600)]
    assert sizes[0] == 100
    assert all(10 <= size <= 100 for size in sizes)


def test_inverse_models_go_through_the_origin_of_the_variables_as_the_problem_has_them() -> None:
    low, span, rng = np.full(4, -1.0), np.full(4, 4.0), np.random.default_rng(0)
    f = np.linspace(0.2, 0.8, 20)
    x = (2 * f[:, None] - low) / span
    made = low + span * InverseModels(10, 3, low, span).offspring(x, f, 20, rng)
    wanted = np.linspace(-0.1, 1.1, 20)
    assert (np.abs(made - 2 * wanted[:, None]) < 0.1).all(axis=0).sum() == 3


def test_a_mating_without_memory_remembers_nothing_that_was_given_up() -> None:
    for memory, least, most in ((0, 0, 0), (30, 30, 30)):
        mating = GenerativeMating(memory=memory)
        result = minimize(find("zdt1", n_var=5), NSGA2(pop_size=20, mating=mating), ("n_eval", 100), seed=0)
        assert least <= len(result.algorithm.mating.lost) == len(result.algorithm.mating.lost_f) <= most


def population(f: np.ndarray) -> Population:
    made = Population.new(X=np.arange(len(f), dtype=float)[:, None])
    made.set("F", f, "G", np.zeros((len(f), 0)), "H", np.zeros((len(f), 0)))
    made.set("CV", np.zeros((len(f), 1)))
    return made


def test_niches_keep_what_a_part_that_is_reached_sooner_dominates() -> None:
    """40 solutions crowd at one end of a front, whose other end is a single one; the crowd dominates all between."""
    crowd = np.stack([t := np.linspace(0, 0.02, 40), 1 - t], axis=1)
    between = np.stack([t := np.linspace(0.3, 2, 10), np.full_like(t, 1.05)], axis=1)
    problem, all_of = find("zdt1"), population(np.vstack([crowd, [[2.0, 0.0]], between]))
    kept = {
        share: NichedSelection(vectors=10, share=share)._do(problem, all_of, n_survive=20).get("X")[:, 0]
        for share in (0.0, 0.5)
    }
    assert all(len(np.unique(x)) == 20 for x in kept.values())
    assert (kept[0.0] <= 40).all()
    assert (kept[0.5] > 40).sum() >= 3


def test_without_a_share_for_niches_it_is_the_selection_of_spea2() -> None:
    f = np.random.default_rng(0).random((60, 3))
    problem, pop = find("dtlz2"), population(f)
    plain = SPEA2Selection()._do(problem, pop, n_survive=25).get("X")[:, 0]
    np.testing.assert_array_equal(NichedSelection(share=0.0)._do(problem, pop, n_survive=25).get("X")[:, 0], plain)
