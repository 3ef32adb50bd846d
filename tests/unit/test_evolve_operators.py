"""Operators on pools whose answer is known: lines, planes, scaled and shifted variables, and runs that never mix."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pymoo.core.population import Population

from genwerk.core.errors import Unsupported
from genwerk.evolve.gmoea import Defects, GMOEAPublishedConfig, PublishedGAN
from genwerk.evolve.mating import Portfolio
from genwerk.evolve.operators.gan import GAN
from genwerk.evolve.operators.gaussian import Gaussian, LocalGaussian
from genwerk.evolve.operators.inverse import InverseRegression
from genwerk.evolve.operators.lanes import BatchNorm, Linear
from genwerk.evolve.operators.local_pca import LocalPCA
from genwerk.evolve.operators.of_recipe import OfRecipe
from genwerk.evolve.operators.operator import Array, Operator, Pool
from genwerk.evolve.operators.variation import DE, SBX, crossover, mutation
from genwerk.evolve.operators.whitening import Whitened
from genwerk.evolve.problems import find
from genwerk.evolve.survival import PrunedCrowding, crowding, dominance, select, spea2_fitness, truncate

OPERATORS = {
    "sbx": SBX, "de": DE, "gaussian": Gaussian, "local gaussian": LocalGaussian, "inverse": InverseRegression,
    "local pca": LocalPCA, "gan": lambda: GAN(steps=8), "whitened gan": lambda: Whitened(GAN(steps=8)),
}  # fmt: skip


def rngs(runs: int = 2) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(runs)]


def pool(runs: int = 2, n: int = 30, d: int = 4) -> Pool:
    """Solutions near a line from which x_1 is the first objective, and lost ones all over."""
    drawn = np.random.default_rng(9)
    first = drawn.random((runs, n, 1))
    x = np.concatenate([first, 0.3 + 0.4 * first * np.arange(1, d) / d], axis=2) + 0.01 * drawn.random((runs, n, d))
    f = np.concatenate([first, 1 - first], axis=2)
    lost = drawn.random((runs, 40, d))
    return Pool(x, f, drawn.random((runs, n)), lost, np.stack([lost[..., 0], 2 - lost[..., 0]], axis=2))


@pytest.mark.parametrize("name", OPERATORS)
def test_proposals_have_their_shape_and_depend_on_their_run_alone(name: str) -> None:
    both, given = pool(), OPERATORS[name]()
    given.fit(both, drawn := rngs())
    made = given.propose([6, 9], drawn, 3)
    assert [each.shape for each in made] == [(6, 4), (9, 4)]
    alone = OPERATORS[name]()
    second = Pool(*(getattr(both, each)[1:] for each in ("x", "f", "fitness", "lost", "lost_f")))
    alone.fit(second, own := rngs()[1:])
    assert np.allclose(alone.propose([9], own, 3)[0], made[1], atol=1e-5)


@pytest.mark.parametrize("name", ["gan", "local pca", "gaussian", "inverse"])
def test_whitened_operators_follow_scaled_and_shifted_variables(name: str) -> None:
    """What is proposed for affinely transformed decisions is what was proposed, transformed."""
    plain, scale, shift = pool(), np.array([0.1, 2.0, 5.0, 0.5]), np.array([0.3, -1.0, 4.0, 0.0])
    moved = Pool(plain.x * scale + shift, plain.f, plain.fitness, plain.lost * scale + shift, plain.lost_f)
    made = []
    for each in (plain, moved):
        operator: Operator = Whitened(OPERATORS[name]())
        operator.fit(each, drawn := rngs())
        made.append(operator.propose([20, 20], drawn))
    assert np.allclose(made[1], np.array(made[0]) * scale + shift, atol=2e-3)
    assert not np.allclose(made[0], made[1], atol=0.1)


def test_models_of_a_line_stay_on_it() -> None:
    x = np.linspace(0.2, 0.8, 50)[None, :, None] * np.array([1.0, 0.5, -1.0]) + np.array([0.0, 0.2, 1.0])
    line = Pool(x, np.stack([x[..., 0], 1 - x[..., 0]], axis=2), np.zeros((1, 50)), x[:, :0], x[:, :0, :2])
    for operator in (LocalPCA(clusters=2), InverseRegression(ridge=1e-9), Gaussian(), LocalGaussian()):
        operator.fit(line, drawn := rngs(1))
        made = operator.propose([40], drawn)[0]
        assert np.allclose(made[:, 1], 0.2 + 0.5 * made[:, 0], atol=1e-3), operator.name
        assert np.ptp(made[:, 0]) > 0.3, operator.name


def test_inverse_regression_learns_from_what_was_given_up_which_way_is_better() -> None:
    """Survivors on a line where x_2 = 0.5; given up is what has more of x_2, which no survivor differs in."""
    first = np.linspace(0, 1, 40)
    x = np.stack([first, np.full(40, 0.5)], axis=1)[None]
    lost = x + np.array([0.0, 0.3])
    f = np.stack([first, 1 - first], axis=1)[None]
    made = {}
    for given_up in (40, 0):
        operator, drawn = InverseRegression(ahead=1.0), rngs(1)
        operator.fit(Pool(x, f, np.zeros((1, 40)), lost[:, :given_up], f[:, :given_up] + 0.5), drawn)
        made[given_up] = operator.propose([60], drawn)[0]
    assert np.allclose(made[0][:, 1], 0.5)
    assert (made[40][:, 1] < 0.5).mean() > 0.9
    assert made[40][:, 0].min() < 0.1
    assert made[40][:, 0].max() > 0.9


def test_the_discriminator_tells_good_from_given_up_and_the_generator_begins_as_the_gaussian() -> None:
    operator, both = GAN(steps=200), pool()
    untrained = GAN(steps=0)
    untrained.fit(both, drawn := rngs())
    gaussians, untouched = LocalGaussian(), copy.deepcopy(drawn)
    gaussians.fit(both, untouched)
    assert untrained.score(both.x) is None
    assert np.allclose(untrained.propose([50, 50], drawn), gaussians.propose([50, 50], untouched), atol=1e-6)
    figures = operator.fit(both, rngs())
    good, bad = operator.score(both.x), operator.score(both.lost)
    assert good is not None
    assert bad is not None
    assert ((good[:, :, None] > bad[:, None]).mean(axis=(1, 2)) > 0.8).all()
    assert figures["discriminator loss"].shape == (2,)


def test_layers_of_runs_are_layers_of_each() -> None:
    linear, norm = Linear(3, 5, rngs()), BatchNorm(2, 5)
    x = torch.randn(2, 8, 3)
    made = norm(linear(x))
    for r in range(2):
        one = torch.nn.functional.linear(x[r], linear.weight[r].T, linear.bias[r, 0])
        assert torch.allclose(made[r], torch.nn.functional.batch_norm(one, None, None, training=True), atol=1e-5)
    reference = torch.nn.BatchNorm1d(5)
    reference(linear(x)[0])
    assert torch.allclose(norm.mean[0, 0], reference.running_mean, atol=1e-6)
    assert torch.allclose(norm.var[0, 0], reference.running_var, atol=1e-6)


def test_shares_follow_survival_and_none_vanishes() -> None:
    portfolio = Portfolio([SBX(), DE()], least=0.1, pace=0.5)
    for _ in range(20):
        portfolio.propose(pool(), 30, rngs())
        portfolio.credit(np.full((2, 2), 15), np.array([[12, 1], [1, 12]]))
    assert portfolio.shares is not None
    assert np.allclose(portfolio.shares, [[0.9, 0.1], [0.1, 0.9]], atol=0.03)
    _, sources = portfolio.propose(pool(), 100, rngs())
    assert (sources[0] == 0).sum() > 80 > 20 > (sources[1] == 0).sum()


class Upwards(Operator):
    """Judges by the first variable."""

    name = "upwards"

    def fit(self, pool: Pool, rngs: object) -> dict[str, Array]:
        return {}

    def propose(self, n: object, rngs: object, siblings: int = 1) -> list[Array]:
        raise AssertionError

    def score(self, x: Array) -> Array:
        return x[..., 0]


def test_a_judge_picks_the_best_of_the_surplus() -> None:
    means = []
    for surplus in (1, 5):
        x, _ = Portfolio([SBX()], judge=Upwards(), surplus=surplus).propose(pool(), 200, rngs())
        means.append(x[..., 0].mean())
    assert means[1] > means[0] + 0.05


def test_mutation_stays_inside_and_crossover_keeps_the_middle() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((1000, 10))
    moved = mutation(x, rng)
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert (moved != x).mean() == pytest.approx(0.1, abs=0.02)
    a, b = np.full((20_000, 1), 0.4), np.full((20_000, 1), 0.6)
    wide, narrow = crossover(a, b, rng, 20), crossover(a, b, rng, 20, narrow=True)
    assert wide.mean() == pytest.approx(0.5, abs=0.005)
    assert wide.max() > 0.61
    assert narrow.max() <= 0.6 + 1e-12  # the defect: never beyond the parents


def published(**defects: bool) -> PublishedGAN:
    gan = PublishedGAN(GMOEAPublishedConfig(epochs=1, defects=Defects(**defects)))
    gan.propose(pool(1, 20), 10, rngs(1))
    return gan


def test_the_scrambled_covariance_is_of_the_numbers_in_another_order() -> None:
    gan = published()
    gan.real = 0.5 + 0.2 * (gan.real - 0.5)  # so that nothing is clipped
    real, mean = gan.real[0], gan.real[0].mean(axis=0)
    cov = [np.cov(gan.latent(200_000, rngs(1), scrambled)[0].T) for scrambled in (False, True)]
    assert np.allclose(cov[0], np.cov(real.T), atol=2e-4)
    assert np.allclose(cov[1], np.cov(real.reshape(4, 10)), atol=2e-4)
    assert not np.allclose(*cov, atol=1e-3)
    assert np.allclose(gan.latent(100_000, rngs(1), False)[0].mean(axis=0), mean, atol=0.02)


@pytest.mark.parametrize("defect", ["scrambled_covariance", "stale_labels", "density_of_dominance", "narrow_crossover"])
def test_each_defect_changes_a_run(defect: str) -> None:
    problem, ends = find("immoea-f1", n_var=5), []
    for flawed in (False, True):
        config = GMOEAPublishedConfig(pop_size=20, epochs=2, defects=Defects(**{defect: flawed}))
        running = config.build(problem, 0)
        for _ in range(8):
            running.evaluator.eval(problem, asked := running.ask())
            running.tell(infills=asked)
        ends.append(running.pop.get("X"))
    assert ends[0].shape == ends[1].shape
    assert not np.allclose(*ends)


def test_selection_by_brute_force() -> None:
    f = np.random.default_rng(3).random((40, 2))
    beats = dominance(f)
    for i in range(40):
        for j in range(40):
            assert beats[i, j] == (bool((f[i] <= f[j]).all()) and bool((f[i] < f[j]).any()))
    fitness = spea2_fitness(f, np.zeros(40))
    assert np.array_equal(fitness < 1, ~beats.any(axis=0))
    cv = np.zeros(40)
    cv[:20] = 1 + np.arange(20)
    kept, with_violation = select(f, cv, 25)
    assert {*range(20, 40)} | {0, 1, 2, 3, 4} == {*kept}  # all that is feasible, then the least violated
    assert with_violation[:20].min() > with_violation[20:].max()
    grid = np.array([0.0, 0.1, 0.5, 0.52, 1.0])
    assert truncate(np.stack([grid, 1 - grid], axis=1), 4).tolist() in ([0, 1, 2, 4], [0, 1, 3, 4])


def test_crowding_and_its_pruning() -> None:
    f = np.stack([np.array([0.0, 0.1, 0.2, 0.6, 1.0]), 1 - np.array([0.0, 0.1, 0.2, 0.6, 1.0])], axis=1)
    assert np.allclose(crowding(f)[1:-1], 2 * np.array([0.2, 0.5, 0.8]))
    kept = PrunedCrowding().do(find("zdt1"), Population.new(X=np.zeros((5, 30)), F=f), n_survive=3)
    assert kept.get("F")[:, 0].tolist() == [0.0, 0.6, 1.0]
    three = np.random.default_rng(0).random((90, 3))
    assert len(PrunedCrowding().do(find("dtlz2"), Population.new(X=np.zeros((90, 10)), F=three), n_survive=40)) == 40


@pytest.mark.parametrize("name", ["vae", "mixture"])
def test_any_recipe_that_samples_is_an_operator(name: str) -> None:
    given, both = OfRecipe(name, rounds=30), pool()
    made = []
    for _ in range(2):
        given.fit(both, drawn := rngs())
        made.append(given.propose([200, 0], drawn))
    assert np.array_equal(made[0][0], made[1][0])
    assert made[0][0].shape == (200, 4)
    assert made[0][1].shape == (0, 4)
    assert np.abs(made[0][0].mean(axis=0) - both.x[0].mean(axis=0)).max() < 0.3
    state = torch.random.get_rng_state()
    given.fit(both, rngs())
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_recipe_that_does_not_sample_is_refused() -> None:
    with pytest.raises(Unsupported, match="autoencoder has no"):
        OfRecipe("autoencoder").fit(pool(), rngs())
