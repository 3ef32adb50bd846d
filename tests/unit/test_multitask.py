"""Evolutionary multitasking: sorting, inertial differential evolution, donors, and runs by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

pytest.importorskip("pymoo")

from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.optimize import minimize
from pymoo.problems import get_problem
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from scipy.stats import kstest, truncnorm
from torch import nn

from genwerk.core.errors import BadInput, BadSetting
from genwerk.evolve.algorithms import ALGORITHMS, algorithm
from genwerk.evolve.measures import igd
from genwerk.evolve.multitask.coordinator import Pool
from genwerk.evolve.multitask.donors import GAN, Constant, Donor, NoDonor, Raw, Transfer
from genwerk.evolve.multitask.emtgs import EMTGS, inertial_offspring, truncated_normal
from genwerk.evolve.multitask.gan import Adam, GANTransfer
from genwerk.evolve.multitask.mfea import tournament
from genwerk.evolve.multitask.problem import Evaluated, MultitaskProblem
from genwerk.evolve.multitask.ranking import best, crowding_distances, nondomination_ranks
from genwerk.evolve.multitask.variation import polynomial_mutation, simulated_binary
from genwerk.evolve.problems import find, front

NAMES = ("emtgs", "ide", "mo-mfea")
DONORS = {"raw": Raw(), "constant": Constant(), "individual": GAN(), "transposed": GAN(reading="transposed")}


def three_tasks() -> MultitaskProblem:
    return MultitaskProblem("three", [get_problem("bnh"), get_problem("zdt1", n_var=5), get_problem("dtlz2", n_var=6)])


# --- sorting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3])
def test_ranks_and_crowding_are_those_of_pymoo(m: int) -> None:
    f = np.random.default_rng(m).random((3, 60, m)).round(2)  # with ties
    rank = nondomination_ranks(Evaluated(f, np.zeros((3, 60))))
    for run in range(3):
        _, expected = NonDominatedSorting().do(f[run], return_rank=True)
        assert rank[run].tolist() == expected.tolist()
    f = np.random.default_rng(m).random((3, 60, m))
    rank = nondomination_ranks(Evaluated(f, np.zeros((3, 60))))
    crowding = crowding_distances(f, rank)
    for run in range(3):
        for level in range(rank[run].max() + 1):
            own = rank[run] == level
            if own.sum() > 2:  # pymoo's has other values for one and two
                np.testing.assert_allclose(crowding[run, own] / m, calc_crowding_distance(f[run, own]), rtol=1e-9)


def test_feasible_solutions_come_first_then_the_least_violation() -> None:
    f = np.array([[[0.0, 0.0], [3.0, 3.0], [1.0, 1.0], [2.0, 2.0]]])
    assert best(Evaluated(f, np.array([[5.0, 0.0, 1.0, 0.0]])), 4).tolist() == [[3, 1, 2, 0]]


# --- inertial differential evolution ----------------------------------------------------------------------------------


def test_inertial_offspring_by_hand() -> None:
    x, base, previous = np.array([0.4, 0.9, 0.2]), np.array([0.5, 0.6, 0.1]), np.array([0.2, 0.1, 0.8])
    child = inertial_offspring(x, x, base, previous, np.array([0.5]), np.array([True, True, False]))
    np.testing.assert_allclose(
        child, [0.5 + 0.5 * 0.2, 1.0, 0.2]
    )  # 0.6 + 0.5 x 0.8 = 1.0; the last is the individual's
    child = inertial_offspring(x, base, base, previous, np.array([1.0]), np.array([False, True, True]))
    np.testing.assert_allclose(child, [0.5, 1.0, 0.0])  # 1.4 and -0.5 are clipped; the first is the base's


def test_children_without_transfer_are_the_formula_of_the_members_drawn() -> None:
    """Every child is base + F (x - previous) in the coordinates of the mutant, for some base, F and previous member."""
    run = algorithm("ide", pop_size=4, crossover_rate=1.0, elitism=1.0, mutations=0).coordinate(
        find("cims-substitute"), [0]
    )
    run.run(8)
    old = [pool.u for pool in run.pools]
    run.run(16)
    pools = [pool.u for pool in run.pools]
    children = run.ask()
    for task in range(2):
        for x, child in zip(pools[task][0], children[task][0], strict=True):
            inside = (child > 0) & (child < 1)
            fits = []
            for previous in old[task][0]:
                step, difference = (child - pools[task][0][0])[inside], (x - previous)[inside]
                scale = step @ difference / max(difference @ difference, 1e-30)
                if 0 <= scale <= 1:
                    fits.append(np.abs(step - scale * difference).max())
            assert min(fits) < 1e-9


def test_scale_is_a_truncated_normal() -> None:
    drawn = truncated_normal(np.random.default_rng(0).random(4000))
    assert kstest(drawn, truncnorm(-2.5, 2.5, loc=0.5, scale=0.2).cdf).pvalue > 0.01


# --- donors -----------------------------------------------------------------------------------------------------------


def pools(runs: int, tasks: int, n: int, d: int, seed: int = 0) -> list[Pool]:
    rng = np.random.default_rng(seed)
    nothing = Evaluated(np.zeros((runs, n, 2)), np.zeros((runs, n)))
    return [Pool(rng.random((runs, n, d)), nothing) for _ in range(tasks)]


def test_donors_give_what_their_names_say() -> None:
    populations, partner = pools(2, 2, 5, 3), np.array([[4, 3, 2, 1, 0], [0, 0, 0, 0, 0]])
    rngs = [np.random.default_rng(seed) for seed in range(2)]
    raw = Raw().build(2, 5, 3, rngs).give(populations, 0, 1, partner)
    np.testing.assert_array_equal(raw[0], populations[1].u[0, ::-1])
    np.testing.assert_array_equal(raw[1], populations[1].u[1, :1].repeat(5, 0))
    assert (Constant(value=0.3).build(2, 5, 3, rngs).give(populations, 0, 1, partner) == 0.3).all()
    assert NoDonor().build(2, 5, 3, rngs) is None
    assert set(Donor.kinds) == {"raw", "constant", "none", "gan"}


@pytest.mark.parametrize("reading", ["individual", "transposed"])
def test_a_gan_of_a_pair_learns_in_every_lane_by_itself(reading: str) -> None:
    populations, partner = pools(2, 2, 20, 6), np.zeros((2, 20), int)

    def trained(runs: list[int]) -> np.ndarray:
        transfer = GANTransfer(GAN(reading=reading), 2, 20, 6, [np.random.default_rng(run) for run in runs])
        before = [each.detach().clone() for each in transfer.generator]
        own = [Pool(each.u[runs], Evaluated(each.found.f[runs], each.found.violation[runs])) for each in populations]
        transfer.learn(own, 1)
        assert all((one != other).any() for one, other in zip(before, transfer.generator, strict=True))
        return transfer.give(own, 0, 1, partner[runs])

    together = trained([0, 1])
    assert together.shape == (2, 20, 6)
    assert together.min() > 0
    assert together.max() < 1
    np.testing.assert_allclose(together[:1], trained([0]), atol=1e-4)
    np.testing.assert_allclose(together[1:], trained([1]), atol=1e-4)


def test_networks_are_those_of_torch() -> None:
    transfer = GANTransfer(GAN(), 2, 20, 6, [np.random.default_rng(0)])
    x = torch.rand(2, 20, 6)
    for lane in range(2):
        w = [each[lane].detach().squeeze(0) for each in transfer.generator]
        layers = [nn.Linear(6, 6), nn.LeakyReLU(0.5), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.LeakyReLU(0.5)]
        net = nn.Sequential(*layers, nn.BatchNorm1d(6), nn.Linear(6, 6), nn.Sigmoid())
        for at, first in ((0, 0), (3, 4), (6, 8)):
            net[at].weight.data, net[at].bias.data = w[first].T, w[first + 1]
        torch.testing.assert_close(transfer._generate(x, training=True)[lane], net(x[lane]))
        v = [each[lane].detach() for each in transfer.discriminator]
        score = nn.Sequential(nn.Linear(6, 6), nn.LeakyReLU(0.5), nn.BatchNorm1d(6), nn.Linear(6, 1))
        score[0].weight.data, score[0].bias.data = v[0].T, v[1][0]
        score[3].weight.data, score[3].bias.data = v[4].T, v[5][0]
        torch.testing.assert_close(transfer._score(x, torch.ones(2, 20, 6))[lane], score(x[lane]))


def test_adam_is_algorithm_1_of_its_paper() -> None:
    weights, expected = torch.ones(3, dtype=torch.float64), np.ones(3)
    adam, m, v = Adam(([weights], 0.1, (0.7, 0.9))), np.zeros(3), np.zeros(3)
    for t in range(1, 6):
        g = np.array([1.0, -2.0, 0.1 * t])
        adam.update([torch.from_numpy(g)])
        m, v = 0.7 * m + 0.3 * g, 0.9 * v + 0.1 * g**2
        expected -= 0.1 * m / (1 - 0.7**t) / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-12)


def test_the_discriminator_of_the_public_implementations_cannot_tell_where_a_batch_lies() -> None:
    """It normalises real and generated batches apart, just before its last layer: their mean logits are equal."""
    transfer = GANTransfer(GAN(), 2, 20, 6, [np.random.default_rng(0)])
    transfer.learn(pools(1, 2, 20, 6), 1)
    everything = torch.ones(2, 10, 6)
    near, far = (transfer._score(centre + 0.1 * torch.rand(2, 10, 6), everything) for centre in (0.1, 0.9))
    torch.testing.assert_close(near.mean(1), far.mean(1))


def test_padding_is_not_transferred() -> None:
    """The first task of NILS has 25 variables: children of the second get coordinates 25 to 49 from their own task."""
    run = algorithm("emtgs", pop_size=10, transfer_rate=1.0, adaptive=False, mutations=0).coordinate(find("nils"), [0])
    run.run(20)

    class Unknown(Transfer):
        def give(self, pools: Sequence[Pool], task: int, source: int, partner: np.ndarray) -> np.ndarray:
            return np.full_like(pools[task].u, np.nan)

    run.transfer = Unknown()
    seen = [np.isnan(u).any((0, 1)) for u in run.ask()]
    assert seen[0].any()
    assert not seen[1][25:].any()
    assert seen[1][:25].any()


# --- runs -------------------------------------------------------------------------------------------------------------


def test_all_are_registered() -> None:
    assert set(NAMES) <= set(ALGORITHMS)


@pytest.mark.parametrize("donor", DONORS)
def test_a_run_follows_from_its_seed_whatever_runs_beside_it(donor: str) -> None:
    problem, config = find("cims-substitute"), algorithm("emtgs", pop_size=20, donor=DONORS[donor])
    together = config.coordinate(problem, [5, 6, 7])
    together.run(280)
    for lane, seed in enumerate([5, 6, 7]):
        alone = config.coordinate(problem, [seed])
        alone.run(280)
        for one, other in zip(together.pools, alone.pools, strict=True):
            np.testing.assert_allclose(one.u[lane], other.u[0], atol=1e-4 if "GAN" in str(DONORS[donor]) else 0)
    assert not np.allclose(together.pools[0].u[0], together.pools[0].u[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [40, 100, 111])
def test_evaluations_are_counted_exactly(name: str, budget: int) -> None:
    problem, count = find("cims-substitute"), [0, 0]

    def counted(x: np.ndarray, task: int) -> Evaluated:
        count[task] += x.shape[-2]
        return MultitaskProblem.evaluate_task(problem, x, task)

    problem.evaluate_task = counted
    run = algorithm(name, pop_size=20).coordinate(problem, [0, 1])
    run.run(budget)
    assert count == [(budget + 1) // 2, budget // 2]
    assert run.evaluations == budget


@pytest.mark.parametrize("name", NAMES)
def test_ask_and_tell_of_pymoo_give_what_arrays_give(name: str) -> None:
    problem, config = find("nils"), algorithm(name, pop_size=12)
    run = config.build(problem, 3)
    evaluations = 0
    while evaluations < 72:
        asked = run.ask()
        assert asked.get("X")[:, 0].tolist() == [0, 1] * 12
        asked.set("F", problem.evaluate(asked.get("X")))
        run.tell(infills=asked)
        evaluations += len(asked)
    arrays = config.coordinate(problem, [3])
    arrays.run(72)
    for (x, f), pool, task in zip(problem.split(*run.pop.get("X", "F")), arrays.pools, range(2), strict=True):
        np.testing.assert_array_equal(x, problem.decode(pool.u[0], task))
        np.testing.assert_allclose(f, pool.found.f[0], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_minimize_gives_the_nondominated_feasible_solutions_of_each_of_three_tasks(name: str) -> None:
    problem = three_tasks()
    result = minimize(problem, algorithm(name, pop_size=20).make(problem), ("n_eval", 600), seed=1, save_history=True)
    assert result.algorithm.evaluator.n_eval == 600
    assert len(result.history) == 10
    assert not result.CV.any()
    for (x, f), task in zip(problem.split(result.X, result.F), problem.tasks, strict=True):
        assert len(f) > 3
        np.testing.assert_allclose(task.evaluate(x, return_values_of=["F"]), f)
        assert len(NonDominatedSorting().do(f, only_non_dominated_front=True)) == len(f)
    again = minimize(problem, algorithm(name, pop_size=20).make(problem), ("n_eval", 600), seed=1)
    np.testing.assert_array_equal(result.X, again.X)


@pytest.mark.parametrize("name", NAMES)
def test_each_solves_an_easy_pair(name: str) -> None:
    problem = MultitaskProblem("easy", [get_problem("zdt1", n_var=5), get_problem("zdt2", n_var=5)])
    run = algorithm(name, pop_size=50).coordinate(problem, [0, 1])
    run.run(10_000)
    for pool, task in zip(run.pools, problem.tasks, strict=True):
        for f in pool.found.f:
            assert igd(f, front(task)) < 0.1


def test_the_transfer_rate_follows_who_survives() -> None:
    run = algorithm("emtgs", pop_size=50).coordinate(find("cims-substitute"), [0, 1])
    assert isinstance(run, EMTGS)
    run.run(200)
    run.ask()
    crossing = [each.copy() for each in run._crossing]
    for _ in range(40):
        run.note([crossing[0], ~crossing[1]])  # in task 1 only those with a donor survive, in task 2 only the others
    np.testing.assert_allclose(run.rates, [[0.95, 0.05]] * 2)
    assert run.shares(0) == {"task 1 transfer": 0.95, "task 2 transfer": 0.05}


def test_a_fixed_rate_stays_and_without_donor_nothing_crosses() -> None:
    fixed = algorithm("emtgs", pop_size=50, adaptive=False, transfer_rate=0.3).coordinate(find("cihs"), range(4))
    fixed.run(300)
    assert (fixed.rates == 0.3).all()
    assert np.mean([each.mean() for each in fixed._crossing]) == pytest.approx(0.3, abs=0.06)
    alone = algorithm("ide", pop_size=50).coordinate(find("cihs"), [0])
    alone.run(300)
    assert not np.any(alone._crossing)
    assert alone.shares(0) == {}


def test_tell_without_ask_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(BadInput, match="tell takes the values"):
        algorithm("ide").coordinate(find("cihs"), [0]).tell([Evaluated(np.zeros((1, 1, 2)), np.zeros((1, 1)))] * 2)
    with pytest.raises(BadInput, match="emtgs solves several tasks together, and ZDT1 is a single problem"):
        algorithm("emtgs").build(find("zdt1"), 0)
    for name, setting in (("emtgs", "transfer_rate"), ("emtgs", "elitism"), ("mo-mfea", "rmp")):
        with pytest.raises(BadSetting, match=f"{setting} is 1.5"):
            algorithm(name, **{setting: 1.5})


# --- operators of MO-MFEA ---------------------------------------------------------------------------------------------


def test_simulated_binary_crossover_by_hand() -> None:
    first, second = np.array([0.2, 0.2, 0.2, 0.2]), np.array([0.6, 0.6, 0.6, 0.6])
    chance, kind = np.array([0.5, 0.1, 0.5**4, 0.5**4]), np.array([0.6, 0.1, 0.6, 0.9])
    child = simulated_binary(first, second, chance, kind, 2)
    np.testing.assert_allclose(child, [0.2, 0.2, 0.3, 0.5])  # beta 1; the first parent's; beta 0.5 and -0.5


def test_polynomial_mutation_by_hand() -> None:
    x, chance = np.full(5, 0.5), np.array([0.0, 0.05, 0.2, 0.35, 0.9])  # below 2 / 5: its 0, 1/8, 1/2 and 7/8, and not
    mutated = polynomial_mutation(x, chance, eta=1, expected=2)
    np.testing.assert_allclose(mutated, [0.0, 0.25, 0.5, 0.75, 0.5])
    np.testing.assert_array_equal(polynomial_mutation(x, chance, eta=1, expected=0), x)


def test_the_better_of_two_wins() -> None:
    assert tournament(np.array([0.95, 0.1]), np.array([0.3, 0.6]), 10).tolist() == [3, 1]
