"""Bayes' rule against scikit-learn's discriminants, calibration against scikit-learn and closed forms."""

from __future__ import annotations

from math import isnan, log

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn import metrics
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB
from torch import Tensor

from genwerk.core.abilities import BoundsLikelihood, HasLikelihood
from genwerk.core.condition import Label, choose
from genwerk.core.model import Config, Model
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.evaluation.evaluate import evaluate
from genwerk.families.mixture import Covariance, MixtureConfig
from genwerk.families.per_class import PerClass, PerClassConfig
from genwerk.tasks import Unsupported
from genwerk.tasks.classification import (
    HOTTEST,
    Calibration,
    Classification,
    calibrate,
    calibration,
    classify,
    fit_temperature,
)
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="table", shape=(3,), classes=("a", "b", "c"))
QUIET = TrainConfig(rounds=3, batch_size=0, sample_every=0, evaluate_every=0, save_every=0)


def overlapping(n: int = 300, seed: int = 0) -> Dataset:
    """Three Gaussians of different covariances that overlap, with 1, 2 and 3 sixths of the examples."""
    rng = np.random.default_rng(seed)
    label = np.array([0, 1, 1, 2, 2, 2])[np.arange(n) % 6]
    shapes = np.random.default_rng(99).normal(size=(3, 3, 3))
    x = label[:, None] * 0.7 + np.einsum("nij,nj->ni", shapes[label], rng.normal(size=(n, 3)))
    return Dataset(x=torch.from_numpy(x).float(), spec=SPEC, condition=torch.from_numpy(label))


def one_each(covariance: Covariance = "full", spec: DataSpec = SPEC) -> PerClass:
    return PerClass(PerClassConfig(model=MixtureConfig(components=(1,), covariance=covariance, ridge=0.0)), spec)


def placed(means: np.ndarray, covariances: list[np.ndarray], spec: DataSpec = SPEC) -> PerClass:
    model = one_each(spec=spec)
    for one, mean, covariance in zip(model.models, means, covariances, strict=True):
        one.place(torch.ones(1), torch.from_numpy(mean)[None], torch.from_numpy(covariance)[None])  # type: ignore[operator]
    return model


class Far(Model, HasLikelihood):
    """A Gaussian of unit variance for each class c, with mean 2c."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.condition = choose(True, spec, Label)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        assert len(x) <= 512, "examples are taken in batches"
        return -(x - 2 * condition[:, None]).square().sum(1) / 2


class Bounded(Model, BoundsLikelihood):
    """A model that only knows a bound."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.condition = choose(True, spec, Label)

    def log_prob_bound(
        self, x: Tensor, importance_samples: int = 1, condition: Tensor | None = None, *, seed: int | None = None
    ) -> Tensor:
        raise AssertionError("a bound is no likelihood")


class Unlabelled(Model, HasLikelihood):
    """A model of no classes."""

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        raise AssertionError("nothing to ask")


def stated(p: list[list[float]]) -> Classification:
    """Posteriors as they are."""
    k = len(p[0])
    return Classification(torch.tensor(p, dtype=torch.float64).log(), torch.zeros(k, dtype=torch.float64))


def random_posteriors(n: int = 400, k: int = 4, sharpness: float = 3.0) -> tuple[Classification, Tensor]:
    """Posteriors that are too sharp: labels are drawn from them at temperature ``sharpness``."""
    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(n, k, generator=generator, dtype=torch.float64)
    labels = z.softmax(1).multinomial(1, generator=generator)[:, 0]
    return Classification(sharpness * z, torch.zeros(k, dtype=torch.float64)), labels


# --- Bayes' rule ------------------------------------------------------------------------------------------------------


def test_quadratic_discriminant_analysis_is_one_gaussian_a_class() -> None:
    data = overlapping()
    x, y = data.x.double().numpy(), data.condition.numpy()
    qda = QuadraticDiscriminantAnalysis(store_covariance=True).fit(x, y)
    assert data.counted().spec.class_counts == (50, 100, 150)
    np.testing.assert_allclose(Label.from_spec(data.counted().spec).frequencies().numpy(), qda.priors_)
    model = placed(qda.means_, qda.covariance_, data.counted().spec)
    found = classify(model, data.batch())
    np.testing.assert_allclose(found.probabilities.numpy(), qda.predict_proba(x), atol=1e-9)
    assert (found.prediction.numpy() == qda.predict(x)).all()


def test_linear_discriminant_analysis_is_one_covariance_for_all() -> None:
    data = overlapping()
    x, y = data.x.double().numpy(), data.condition.numpy()
    lda = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(x, y)
    found = classify(placed(lda.means_, [lda.covariance_] * 3), data.batch(), torch.tensor([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found.probabilities.numpy(), lda.predict_proba(x), atol=1e-9)


def test_gaussian_naive_bayes_is_what_one_diagonal_gaussian_learns() -> None:
    data, new = overlapping(), overlapping(60, seed=1)
    x, y = data.x.double().numpy(), data.condition.numpy()
    bayes = GaussianNB(var_smoothing=0.0).fit(x, y)
    model = Trainer(one_each("diagonal", data.counted().spec), data, QUIET).fit()
    found = classify(model, new.batch())
    np.testing.assert_allclose(found.probabilities.numpy(), bayes.predict_proba(new.x.double().numpy()), atol=1e-6)
    even = GaussianNB(var_smoothing=0.0, priors=[1 / 3] * 3).fit(x, y)
    np.testing.assert_allclose(
        classify(model, new.batch(), "even").probabilities.numpy(),
        even.predict_proba(new.x.double().numpy()),
        atol=1e-6,
    )


def test_examples_are_taken_in_batches_and_the_evidence_is_the_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genwerk.core.batching.FULL", 0)
    model, x = Far(Config(), SPEC), torch.randn(1100, 3, generator=torch.Generator().manual_seed(0))
    found = classify(model, Batch(x), torch.tensor([0.5, 0.5, 0.0]))
    assert found.probabilities.shape == (1100, 3)
    densities = torch.stack([torch.exp(-(x.double() - 2 * c).square().sum(1) / 2) for c in (0, 1)], 1)
    torch.testing.assert_close(found.probabilities[:, :2], densities / densities.sum(1, keepdim=True))
    assert (found.probabilities[:, 2] == 0).all()
    torch.testing.assert_close(found.log_evidence, densities.mean(1).log())


def test_temperature_divides_the_logarithms_and_changes_no_prediction() -> None:
    found, _ = random_posteriors()
    p = found.probabilities
    warm = found.at(2.5)
    expected = p.pow(1 / 2.5) / p.pow(1 / 2.5).sum(1, keepdim=True)
    torch.testing.assert_close(warm.probabilities, expected)
    assert torch.equal(warm.prediction, found.prediction)
    direct = classify(Far(Config(), SPEC), Batch(torch.ones(1, 3)), temperature=2.5)
    torch.testing.assert_close(
        direct.probabilities, classify(Far(Config(), SPEC), Batch(torch.ones(1, 3))).at(2.5).probabilities
    )


# --- calibration ------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_scikit_learn() -> None:
    found, labels = random_posteriors()
    got, p, y = calibration(found, labels), found.probabilities.numpy(), labels.numpy()
    assert got.nll == pytest.approx(metrics.log_loss(y, p))
    assert got.brier == pytest.approx(metrics.brier_score_loss(y, p, labels=range(4), scale_by_half=False))
    assert got.accuracy == pytest.approx(metrics.accuracy_score(y, p.argmax(1)))


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error_is_that_of_the_definition(bins: int) -> None:
    found, labels = random_posteriors()
    got = calibration(found, labels, bins)
    confidence, right = found.probabilities.amax(1), found.prediction == labels
    error = 0.0
    for i, found_bin in enumerate(got.bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        assert found_bin.count == inside.sum()
        if inside.any():
            assert found_bin.confidence == pytest.approx(confidence[inside].mean().item())
            assert found_bin.accuracy == pytest.approx(right[inside].double().mean().item())
            gap = (right[inside].double().mean() - confidence[inside].mean()).abs()
            error += (inside.double().mean() * gap).item()
    assert sum(b.count for b in got.bins) == 400
    assert got.error == pytest.approx(error)


def test_calibration_error_by_hand() -> None:
    """Four examples of 0.8 of which three are right, and a sure one that is right: 4/5 x 0.05."""
    found = stated([[0.8, 0.2]] * 4 + [[0.0, 1.0]])
    got = calibration(found, torch.tensor([0, 0, 0, 1, 1]), bins=10)
    assert got.error == pytest.approx(0.04)
    assert [b.count for b in got.bins if b.count] == [4, 1]
    assert got.brier == pytest.approx((3 * 0.08 + 1.28) / 5)
    assert isnan(got.bins[0].accuracy), "an empty bin has none"


@pytest.mark.parametrize("right", [6, 9])
def test_the_temperature_of_one_margin_has_a_closed_form(right: int) -> None:
    """Two classes 5 nats apart, ``right`` of ten right: the best posterior says right / 10, so T = 5 / logit."""
    z = torch.zeros(10, 2, dtype=torch.float64)
    z[:, 0] = 5.0
    labels = (torch.arange(10) >= right).long()
    found = Classification(z, torch.zeros(2, dtype=torch.float64))
    temperature = fit_temperature(found, labels)
    assert temperature == pytest.approx(5 / log(right / (10 - right)))
    assert calibration(found.at(temperature), labels).error == pytest.approx(0, abs=1e-9)


def test_the_temperature_is_the_minimum_that_an_optimiser_finds() -> None:
    found, labels = random_posteriors(sharpness=3.0)
    temperature = fit_temperature(found, labels)
    best = minimize_scalar(lambda t: calibration(found.at(t), labels).nll, bounds=(0.1, 20), method="bounded")
    assert temperature == pytest.approx(best.x, rel=1e-3)
    assert temperature == pytest.approx(3, rel=0.15), "the sharpness that was put in"
    sharper = Classification(70 * found.log_likelihood, found.log_prior)
    assert fit_temperature(sharper, labels) == pytest.approx(70 * temperature)


def test_temperatures_at_the_ends() -> None:
    found = stated([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(found, torch.tensor([0, 1])) == 1, "nothing is wrong, so nothing says how sure to be"
    assert fit_temperature(found, torch.tensor([1, 0])) == pytest.approx(HOTTEST)
    impossible = stated([[1.0, 0.0], [0.2, 0.8]])
    assert fit_temperature(impossible, torch.tensor([0, 0])) == pytest.approx(HOTTEST)
    assert fit_temperature(stated([[1.0, 0.0], [0.6, 0.4], [0.6, 0.4], [0.6, 0.4]]), torch.tensor([0, 0, 0, 1])) < 1


def test_the_temperature_is_measured_on_other_examples_than_it_is_fitted_on() -> None:
    """Every label counts in one of the two and not in the other."""
    found, labels = random_posteriors(30)
    base, fitted = calibrate(found, labels, seed=3), 0
    for i in range(30):
        other = labels.clone()
        other[i] = (labels[i] + 1) % 4
        moved = calibrate(found, other, seed=3)
        assert (moved.temperature != base.temperature) != (moved.before.nll != base.before.nll)
        fitted += moved.temperature != base.temperature
    assert (base.fitted_on, base.measured_on) == (fitted, 30 - fitted) == (15, 15)
    assert base.after.accuracy == base.before.accuracy
    assert calibrate(found, labels, seed=4).temperature != base.temperature


def test_overconfidence_is_mended() -> None:
    found, labels = random_posteriors(4000, sharpness=10.0)
    done = calibrate(found, labels)
    assert done.before.error > 0.15
    assert done.after.error < 0.03
    assert done.after.nll < done.before.nll / 2
    assert isinstance(done.after, Calibration)


# --- the report, and mistakes -----------------------------------------------------------------------------------------


def test_a_report_has_the_figures_where_there_are_labels() -> None:
    data = overlapping(60)
    model = Trainer(one_each(), data, QUIET).fit()
    splits = Splits(train=data, validation=data, test=data, settings=DataConfig(source="made"))
    report = evaluate(model, splits, EvaluateConfig(samples=0))
    known = calibration(classify(model, data.batch()), data.condition)
    assert report["Bayes accuracy"].value == known.accuracy
    assert report["calibration error"].value == known.error
    assert "60 of 60 training examples" in report["Bayes accuracy"].note  # those of the test part are
    half = evaluate(model, splits, EvaluateConfig(samples=0, examples=30))
    assert half["Bayes accuracy"].spread == pytest.approx(
        (half["Bayes accuracy"].value * (1 - half["Bayes accuracy"].value) / 30) ** 0.5
    )


def test_models_that_cannot_classify_say_why() -> None:
    x = Batch(torch.zeros(1, 3))
    with pytest.raises(Unsupported, match="classify needs a model with an exact likelihood"):
        classify(Bounded(Config(), SPEC), x)
    with pytest.raises(Unsupported, match="the label, and Unlabelled is not; recipes with it: cmaf, cmixture"):
        classify(Unlabelled(Config(), SPEC), x)


def test_mistakes_are_one_sentence() -> None:
    model, x = Far(Config(), SPEC), Batch(torch.zeros(2, 3))
    for prior in (torch.ones(2), torch.tensor([1.0, -1.0, 1.0]), torch.zeros(3)):
        with pytest.raises(ValueError, match="the prior has shape"):
            classify(model, x, prior)
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="the temperature is"):
            classify(model, x, temperature=temperature)
    with pytest.raises(ValueError, match="example 1 has no finite log-likelihood"):
        classify(model, Batch(torch.tensor([[0.0, 0.0, 0.0], [0.0, float("nan"), 0.0]])))
    found = classify(model, x)
    with pytest.raises(ValueError, match="carry no labels"):
        calibration(found, None)
    with pytest.raises(ValueError, match="there are 3 labels for 2 examples"):
        calibration(found, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="the model's classes are 0 to 2"):
        fit_temperature(found, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="cannot be halved"):
        calibrate(found[slice(1)], torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ValueError, match="0 bins"):
        calibration(found, torch.zeros(2, dtype=torch.int64), bins=0)
