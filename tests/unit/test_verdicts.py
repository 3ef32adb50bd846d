"""Figures in words: every rule at its edges, and the figures of models whose verdict is known."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
import torch

from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Splits
from genwerk.data.dataset import Dataset
from genwerk.evaluation import verdicts
from genwerk.evaluation.distances import Features, doubt, frechet_figure, kernel_figure, neighbour_figures
from genwerk.evaluation.likelihood import gaussian
from genwerk.evaluation.reference import Reference
from genwerk.metrics.features import Extractor
from genwerk.training.protocol import EvaluateConfig

PIXELS = Extractor("pixels", lambda x: x.flatten(1), None, "0" * 12)
DOCS = Path(__file__).parents[2] / "docs" / "figures.md"


def test_a_distance_is_placed_on_the_way_from_the_floor_to_noise_by_its_root() -> None:
    floor, noise = 1.0, 121.0  # roots 1 and 11
    ways = {0.01: "like real data", 0.05: "close to real data", 0.15: "some way from real", 0.35: "far from real"}
    ways |= {0.65: "half way to noise", 0.9: "nearer to noise", 1.1: "like noise", 1.2: "worse than noise"}
    for way, words in ways.items():
        assert verdicts.distance((1 + 10 * way - 1e-6) ** 2, floor, noise) == words
    assert verdicts.distance((1 + 10 * 0.05 + 1e-6) ** 2, floor, noise) == "some way from real"
    assert verdicts.distance(0.5, floor, noise) == "like real data"
    assert verdicts.distance(-0.1, -0.2, noise) == "like real data"  # of a distance whose estimate may be negative
    for floor, noise in ((2.0, 2.0), (3.0, 2.0), (1.0, inf)):
        assert verdicts.distance(1.0, floor, noise) == ""


def test_a_distance_within_its_errors_of_the_floor_is_not_told_from_it() -> None:
    assert verdicts.distance(0.06, 0.0, 1.0, 0.03) == "no difference seen"
    assert verdicts.distance(0.061, 0.0, 1.0, 0.03) == "far from real"
    assert verdicts.distance(-0.5, 0.0, 1.0, 0.6) == "no difference seen"
    assert verdicts.distance(0.06, 0.0, 1.0, 0.03, biased=True) == "far from real"


@pytest.mark.parametrize("biased", [False, True])
def test_a_distance_whose_errors_reach_from_the_floor_to_noise_is_of_too_few_examples(biased: bool) -> None:
    assert verdicts.distance(0.2607, -0.106, 2.46, 2.6, biased=biased) == "too few examples"
    assert verdicts.distance(0.6, 0.0, 1.0, 0.3, biased=biased) == "too few examples"
    assert verdicts.distance(0.6, 0.0, 1.0, 0.29, biased=biased) == "nearer to noise"
    assert verdicts.distance(9.0, 0.0, 1.0, 1.0, biased=biased) == "worse than noise"
    assert verdicts.distance(0.6, 1.0, 0.5, 9.0, biased=biased) == ""


def test_of_two_figures_of_one_thing_the_lesser_share_counts() -> None:
    def said(
        precision: float, density: float, noise: tuple[float, float] = (0.0, 0.0), error: float = 0.0
    ) -> list[str]:
        values, floors, of_noise, errors = (
            dict(zip(("precision", "density"), each, strict=True))
            for each in ((precision, density), (0.8, 1.0), noise, (error, error))
        )
        return [*verdicts.shares(verdicts.REAL, values, floors, of_noise, errors).values()]

    assert said(0.8, 1.2) == ["nearly all look real"] * 2
    assert said(0.8, 0.9) == ["see density", "most look real"]
    assert said(0.08, 2.0) == ["hardly any look real", "see precision"]
    assert said(0.99, 0.3) == ["see density", "few look real"]  # a blob in the midst of the data
    assert said(0.06, 0.01) == ["hardly any look real"] * 2
    assert said(0.8, 1.0, (0.8, 0.49)) == ["nearly all look real"] * 2
    assert said(0.8, 1.0, (0.8, 0.5)) == ["", ""]
    none = {"recall": 0.0}
    assert verdicts.shares(verdicts.REAL, {"recall": 1.0}, none, none, none) == {"recall": ""}
    assert said(0.4, 1.0, error=0.19) == ["half look real", "see precision"]
    assert said(0.4, 1.0, error=0.2) == ["too few examples", "see precision"]
    assert said(0.4, 1.0, error=nan) == ["half look real", "see precision"]


def test_a_likelihood_is_better_or_worse_than_that_of_a_simple_model() -> None:
    def said(ahead: float, error: float, examples: int = 100, *, exact: bool = True) -> str:
        return verdicts.likelihood(ahead, error, "a Gaussian", examples=examples, exact=exact)

    assert said(0.3, 0.1) == "better than a Gaussian"
    assert said(0.2, 0.1) == said(-0.2, 0.1) == "within error of a Gaussian"
    assert said(-0.3, 0.1) == "worse than a Gaussian"
    assert said(-0.3, 0.1, exact=False) == "maybe worse than a Gaussian"
    assert said(-inf, nan) == said(-inf, nan, 2) == "worse than a Gaussian"
    assert said(nan, nan) == ""


def test_of_a_likelihood_of_a_few_examples_it_is_said_that_they_are_few() -> None:
    of = {n: verdicts.likelihood(0.3, 0.1, "a diagonal Gaussian", examples=n) for n in (7, 19, 20)}
    assert of[7] == "too few examples (7) to compare with a diagonal Gaussian"
    assert of[19].startswith("too few examples")
    assert of[20] == "better than a diagonal Gaussian"


def test_an_accuracy_counts_from_chance_on() -> None:
    assert [verdicts.accuracy(a, 0.5) for a in (0.5, 0.6, 0.8, 0.9, 1.0)] == [
        "no better than chance",
        "few right",
        "half right",
        "most right",
        "nearly all right",
    ]
    assert verdicts.weak(0.496, 0.25)  # orientations of blobs
    assert not verdicts.weak(0.625, 0.25)
    assert verdicts.weak(0.94, 0.9)
    assert verdicts.weak(1.0, 1.0)


def features(made: torch.Tensor, extractor: Extractor = PIXELS, *, blind: bool = False) -> Features:
    """Samples beside 200 real examples, 200 of the other part, and noise, or more of these where features are blind."""
    generator = torch.Generator().manual_seed(1)
    real, floor = (torch.randn(200, 3, generator=generator) for _ in range(2))
    noise = 12 * torch.rand(200, 3, generator=generator) - 6
    spec = DataSpec(kind="table", shape=(3,))
    train, test = Dataset(x=floor, spec=spec), Dataset(x=real, spec=spec)
    splits = Splits(train=train, validation=test, test=test, settings=DataConfig())
    beside = Reference(splits, EvaluateConfig(), extractor)
    beside.test, beside.train, beside.noise = real, floor, floor if blind else noise
    return Features(made, beside, "200 samples, 200 held-out")


def test_samples_that_are_real_noise_or_one_and_the_same() -> None:
    generator = torch.Generator().manual_seed(2)
    real = features(torch.randn(200, 3, generator=generator))
    assert frechet_figure(real).verdict in ("like real data", "close to real data")
    assert {f.verdict for f in neighbour_figures(real, 0)} == {"nearly all look real", "all of the variety"}
    noise = features(12 * torch.rand(200, 3, generator=generator) - 6)
    assert frechet_figure(noise).verdict == "like noise"
    assert kernel_figure(noise, 0).verdict in ("like noise", "worse than noise")
    one = features(real.made[:1] + 0.01 * torch.randn(200, 3, generator=generator))
    found = {f.name: f for f in neighbour_figures(one, 0)}
    assert found["recall"].verdict == found["coverage"].verdict == "hardly any variety"


def test_features_of_a_poor_classifier_judge_nothing_and_say_so() -> None:
    poor = replace(PIXELS, accuracy=0.496, chance=0.25)
    made = torch.randn(200, 3, generator=torch.Generator().manual_seed(3))
    f = features(made, poor)
    for figure in (frechet_figure(f), kernel_figure(f, 0), *neighbour_figures(f, 0)):
        assert figure.verdict == ""
        assert "means little: its features are of a classifier that is right for 49.6% (chance 25.0%)" in figure.note
        assert figure.noise is not None
    assert doubt(replace(poor, accuracy=0.7)) == doubt(PIXELS) == ""


def test_precision_that_noise_has_too_says_nothing() -> None:
    found = neighbour_figures(features(torch.randn(200, 3, generator=torch.Generator().manual_seed(4)), blind=True), 0)
    assert {figure.verdict for figure in found} == {""}
    assert all(figure.note.endswith("means little: noise gets much of what real data get") for figure in found)


def test_the_simple_model_of_columns_is_the_gaussian_of_its_moments() -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(500, 3, generator=generator).double() @ torch.tensor([[2.0, 0, 0], [1, 1, 0], [0, 5, 3]]).double()
    train = Dataset(x=x + 1000, spec=DataSpec(kind="table", shape=(3,)))
    simple = gaussian(train)
    assert simple is not None
    assert simple.name == "a Gaussian"
    known = torch.distributions.MultivariateNormal(train.x.mean(0), torch.cov(x.T, correction=0))
    assert torch.allclose(simple.of(train), known.log_prob(train.x), atol=1e-9)
    few = gaussian(train.select(torch.arange(6)))
    assert few is not None
    assert few.name == "a diagonal Gaussian"
    flat = torch.cat([x, x[:, :1] + x[:, 1:2]], 1)
    assert gaussian(Dataset(x=flat, spec=DataSpec(kind="table", shape=(4,)))) is None
    assert gaussian(Dataset(x=x * torch.tensor([1, 1, 0]), spec=DataSpec(kind="table", shape=(3,)))) is None


def test_the_simple_model_of_levels_bounds_their_likelihood() -> None:
    """One pixel, so few levels that their probability is known: the bound lies below it, and not by much."""
    spec = DataSpec(kind="image", shape=(1, 1, 1), levels=256)
    levels = (128 + 20 * torch.randn(4000, generator=torch.Generator().manual_seed(6))).round().clamp(0, 255)
    data = Dataset(x=levels.byte().view(-1, 1, 1, 1), spec=spec)
    simple = gaussian(data)
    assert simple is not None
    normal = torch.distributions.Normal(levels.double().mean(), levels.double().std())
    exact = (normal.cdf(levels.double() + 0.5) - normal.cdf(levels.double() - 0.5)).log().mean()
    assert 0 <= exact - simple.of(data).mean() < 1e-3


@pytest.mark.parametrize("name", ["WAY", "REAL", "VARIETY", "RIGHT", "CALIBRATED", "REBUILT", "EVEN"])
def test_the_documentation_states_every_rule(name: str) -> None:
    scale = getattr(verdicts, name)
    stated = ", ".join(f"{words} ({'more' if bound == inf else f'{bound:g}'})" for bound, words in scale)
    assert stated in DOCS.read_text(encoding="utf-8")
