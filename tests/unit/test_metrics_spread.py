"""Standard errors of figures of samples beside how far the figures move when samples are drawn again."""

from collections.abc import Callable
from dataclasses import astuple
from math import pi, sqrt

import pytest
import torch
from torch import Tensor

from genwerk.metrics import frechet_distance, prdc, vendi_score
from genwerk.metrics.frechet import frechet_error
from genwerk.metrics.likelihood_divergence import Divergence
from genwerk.metrics.memorisation import Neighbourhood, compared
from genwerk.metrics.prdc import prdc_with_errors
from genwerk.metrics.spread import of_mean, of_median
from genwerk.metrics.vendi import vendi_error

SIZE, DIMENSIONS = 400, 4
generator = torch.Generator()


def normal(n: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    return shift + scale * torch.randn(n, DIMENSIONS, generator=generator)


def errors_over_truth(
    figures: Callable[[Tensor], tuple[float, ...]],
    errors: Callable[[Tensor], tuple[float, ...]],
    *,
    redraws: int = 80,
    estimates: int = 6,
) -> list[float]:
    """Each figure's mean standard error, of a few sets of samples, over its deviation from one set to the other."""
    found, told = (
        torch.tensor([of(normal(SIZE, 0.9, 0.2)) for _ in range(times)], dtype=torch.float64)
        for of, times in ((figures, redraws), (errors, estimates))
    )
    ratios: list[float] = (told.mean(0) / found.std(0)).tolist()
    return ratios


@pytest.fixture(autouse=True)
def seeded() -> None:
    generator.manual_seed(0)


def test_of_a_mean_and_of_a_median() -> None:
    x = torch.randn(100_000, generator=generator) * 3
    assert of_mean(x) == pytest.approx(3 / sqrt(len(x)), rel=0.02)
    assert of_median(x) == pytest.approx(3 * sqrt(pi / 2 / len(x)), rel=0.1)  # the classic result for a Gaussian
    assert of_mean(torch.tensor([2.0, 4.0])) == pytest.approx(1)


def test_of_the_frechet_distance_and_the_vendi_score() -> None:
    real = normal(SIZE)
    assert errors_over_truth(
        lambda x: (frechet_distance(x, real), vendi_score(x)), lambda x: (frechet_error(x, real), vendi_error(x))
    ) == pytest.approx([1, 1], abs=0.25)


def test_of_the_frechet_distance_where_a_direction_is_missing() -> None:
    """Samples in a plane: the distance is as of the plane's own Gaussians, and so is its error."""
    real, flat = normal(SIZE), normal(SIZE)
    flat[:, 2:], real[:, 2:] = 0, 0
    assert frechet_error(flat, real) == pytest.approx(frechet_error(flat[:, :2], real[:, :2]), rel=1e-6)


def test_of_precision_recall_density_and_coverage() -> None:
    real = normal(SIZE)
    found = errors_over_truth(lambda x: astuple(prdc(real, x)), lambda x: astuple(prdc_with_errors(real, x)[1]))
    assert found == pytest.approx([1] * 4, abs=0.45)
    few = prdc_with_errors(real[:60], normal(60))[1]
    assert few.precision > 0
    assert few.recall != few.recall, "too few to be cut into parts"


def test_of_the_feature_likelihood_divergence() -> None:
    divergence = Divergence(normal(2 * SIZE), normal(SIZE), SIZE)
    found = errors_over_truth(lambda x: (divergence.of(x),), lambda x: (divergence.error(x),), redraws=30, estimates=3)
    assert 0.55 < found[0] < 1.4


def test_of_memorisation() -> None:
    among = Neighbourhood(normal(2 * SIZE))
    test = among.near(normal(SIZE))
    found = errors_over_truth(
        lambda x: astuple(compared(among.near(x), test)[0]), lambda x: astuple(compared(among.near(x), test)[1])
    )
    for name, ratio in zip(("ratio", "authenticity", "copying"), (found[0], found[2], found[3]), strict=True):
        assert ratio == pytest.approx(1, abs=0.35), name
    share = compared(among.near(normal(SIZE, 0.1)), test)
    p = share[0].nearer_than_any_test
    assert share[1].nearer_than_any_test == pytest.approx(sqrt(p * (1 - p) / (SIZE - 1)))
