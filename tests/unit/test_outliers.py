"""Outlier scores against densities whose typical set is known, ranks by counting, AUROC against scikit-learn."""

from __future__ import annotations

from math import log, pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from genwerk.core.abilities import BoundsLikelihood, HasLikelihood, Samples
from genwerk.core.condition import Label, choose
from genwerk.core.model import Config, Model
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.options import Options
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.tasks import Unsupported
from genwerk.tasks.outliers import Outliers, auroc, log_evidence, out_of_distribution, rank_p

D = 100
SPEC = DataSpec(kind="table", shape=(D,))
CLASSES = DataSpec(kind="table", shape=(1,), classes=("a", "b", "c"))


class Normal(Model, HasLikelihood):
    """The standard normal."""

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return -(x.square() + log(2 * pi)).sum(1) / 2


class Autoregressive(Model, HasLikelihood):
    """A Gaussian of unit variance for each class c, with mean 3c."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.condition = choose(True, spec, Label)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        return -((x[:, 0] - 3 * condition).square() + log(2 * pi)) / 2


class Noisy(Model, BoundsLikelihood):
    """A bound that lies below by a random amount of the example's own seed."""

    def log_prob_bound(
        self, x: Tensor, importance_samples: int = 1, condition: Tensor | None = None, *, seed: int | None = None
    ) -> Tensor:
        assert len(x) * importance_samples <= 25_600
        return x[:, 0] - SeededNoise(len(x), seed).uniform(importance_samples).mean(1)


class Sampler(Model, Samples):
    """A model that knows no density."""

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        raise AssertionError("not asked for")


def gaussian(n: int, scale: float = 1.0, seed: int = 0) -> Dataset:
    x = scale * torch.randn(n, D, generator=torch.Generator().manual_seed(seed))
    return Dataset(x=x, spec=SPEC)


# --- ranks and areas --------------------------------------------------------------------------------------------------

scores = st.lists(st.integers(-3, 3), min_size=1, max_size=20)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_auroc_is_that_of_scikit_learn_ties_and_all(positive: list[int], negative: list[int]) -> None:
    known = roc_auc_score([1] * len(positive) + [0] * len(negative), positive + negative)
    got = auroc(torch.tensor(positive).double(), torch.tensor(negative).double())
    assert got == pytest.approx(known, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_rank_p_values_are_counts(new: list[int], reference: list[int]) -> None:
    got = rank_p(torch.tensor(new).double(), torch.tensor(reference).double())
    known = [(1 + sum(r >= s for r in reference)) / (1 + len(reference)) for s in new]
    assert got.tolist() == pytest.approx(known)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([-float("inf"), -3.0, -2.0, -1.5, 0.0, 1.0, 7.0]), min_size=2, max_size=12))
def test_no_more_than_a_share_alpha_has_a_p_value_of_alpha(values: list[float]) -> None:
    """Each of some values in turn as the new one among the others: exact, for one is as likely the new one as another.

    By the distance from the mean of the others alone, P(p <= 0.1) is 0.139 with 9 of them.
    """
    every, rows = torch.tensor(values).double(), torch.arange(len(values))
    found = [Outliers(every[i : i + 1], every[rows != i], True) for i in range(len(values))]
    found = [f for f in found if f.reference.isfinite().any()]
    for p in ([f.typicality_p.item() for f in found], [f.likelihood_p.item() for f in found]):
        for k in range(1, len(values) + 1):
            assert sum(v <= k / len(values) + 1e-9 for v in p) <= k


def test_typicality_of_nine_references_is_at_most_alpha() -> None:
    drawn = torch.randn(4000, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = torch.cat([Outliers(row[:1], row[1:], True).typicality_p for row in drawn])
    assert (p <= 0.1).double().mean() == pytest.approx(0.1, abs=0.019)


def test_one_impossible_example_stops_nothing() -> None:
    """Neither among the new ones nor among the reference; it is the most unusual of all."""
    reference = gaussian(20)
    reference.x[3] = torch.inf
    found = out_of_distribution(
        Normal(Config(), SPEC), Batch(torch.cat([gaussian(3, seed=1).x, reference.x[3:4]])), reference
    )
    assert found.log_prob.isinf().tolist() == [False, False, False, True]
    assert found.order[0] == 3
    assert found.typicality_p[3] == pytest.approx(2 / 21)
    assert found.mean == pytest.approx(-50 - 50 * log(2 * pi), abs=5)
    assert found.typicality_p[:3].min() > 2 / 21


def test_infinite_scores_are_the_most_unusual() -> None:
    found = Outliers(torch.tensor([-torch.inf, -1.0]).double(), torch.tensor([-1.0, -2.0, -3.0]).double(), True)
    assert found.order.tolist() == [0, 1]
    assert found.typicality_p[0] == 0.25
    assert found.likelihood_auroc == pytest.approx((1 + 0.5 / 3) / 2)


# --- the two scores ---------------------------------------------------------------------------------------------------


def test_the_mode_is_likeliest_and_least_typical() -> None:
    """In 100 dimensions -log p is 50 log 2 pi + chi2 / 2: a usual example is 50 nats below the mode."""
    reference = gaussian(999)
    found = out_of_distribution(Normal(Config(), SPEC), Batch(torch.zeros(3, D)), reference)
    assert found.exact
    assert found.likelihood_auroc == 0, "likelihood fails: the mode is never thought an outlier"
    assert found.typicality_auroc == 1
    torch.testing.assert_close(found.likelihood_p, torch.full((3,), 0.002).double())
    torch.testing.assert_close(found.typicality_p, torch.full((3,), 0.001).double())
    assert found.typicality[0] == pytest.approx(50, abs=1)


def test_what_is_too_wide_is_seen_by_both() -> None:
    found = out_of_distribution(Normal(Config(), SPEC), gaussian(200, 1.5, seed=1).batch(), gaussian(500))
    assert found.likelihood_auroc > 0.99
    assert found.typicality_auroc > 0.99
    assert found.log_prob[found.order[0]] == found.log_prob.min()
    assert (found.typicality[found.order].diff() <= 0).all()


def test_p_values_of_the_reference_s_own_kind_are_uniform() -> None:
    """A p-value is at most alpha with probability alpha; 4,000 examples give it to 0.02 at 4 standard errors."""
    found = out_of_distribution(Normal(Config(), SPEC), gaussian(4000, seed=1).batch(), gaussian(4000))
    for p in (found.likelihood_p, found.typicality_p):
        for alpha in (0.05, 0.2, 0.5, 0.8):
            assert (p <= alpha).double().mean() == pytest.approx(alpha, abs=0.04)
    assert found.likelihood_auroc == pytest.approx(0.5, abs=0.03)
    assert found.typicality_auroc == pytest.approx(0.5, abs=0.03)


def test_a_model_of_classes_scores_their_mixture() -> None:
    model, x = Autoregressive(Config(), CLASSES), torch.tensor([[0.5], [3.0], [9.0]])
    prior = torch.tensor([0.2, 0.5, 0.3])
    normal = torch.distributions.Normal(torch.tensor([0.0, 3.0, 6.0]), 1.0)
    densities = normal.log_prob(x).double()
    torch.testing.assert_close(log_evidence(model, x), densities.exp().mean(1).log())
    torch.testing.assert_close(log_evidence(model, x, prior=prior), (densities.exp() @ prior.double()).log())


def test_bounds_are_said_to_be_such_and_belong_to_their_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genwerk.core.batching.FULL", 0)
    model, x = Noisy(Config(), SPEC), torch.zeros(700, D)
    reference = Dataset(x=torch.zeros(10, D), spec=SPEC)
    found = out_of_distribution(model, Batch(x), reference, importance_samples=50, seed=7)
    assert not found.exact
    own = [SeededNoise(1, Seeds(7, i)).uniform(50).mean() for i in (0, 511, 512, 699)]
    torch.testing.assert_close(-found.log_prob[[0, 511, 512, 699]], torch.stack(own).double())


def test_mistakes_are_one_sentence() -> None:
    model, some = Normal(Config(), SPEC), gaussian(3)
    with pytest.raises(Unsupported, match="scoring outliers needs a model with an exact likelihood"):
        out_of_distribution(Sampler(Config(), SPEC), some.batch(), some)
    with pytest.raises(ValueError, match="no held-out examples"):
        out_of_distribution(model, some.batch(), some.select(torch.arange(0)))
    with pytest.raises(ValueError, match="no examples to score"):
        out_of_distribution(model, some.batch(slice(0)), some)
    with pytest.raises(ValueError, match="0 importance samples"):
        out_of_distribution(model, some.batch(), some, importance_samples=0)
    lost = Batch(torch.full((1, D), torch.nan))
    with pytest.raises(ValueError, match="example 0 has no log-likelihood"):
        out_of_distribution(model, lost, some)
    with pytest.raises(ValueError, match="held-out example 0 has no log-likelihood"):
        out_of_distribution(model, some.batch(), Dataset(x=lost.x, spec=SPEC))
