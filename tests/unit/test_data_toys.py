"""Toy densities against what is known of them: they integrate to one, and their entropy is that of their samples."""

from math import e, log, pi

import pytest
import torch

from genwerk.data import DataConfig, open_data
from genwerk.data.toys import TOYS, Crescents, Gaussians


def plane(x0, x1, y0, y1, step):
    """Midpoints of a grid of cells over a box, and the area of one."""
    x = torch.arange(x0 + step / 2, x1, step, dtype=torch.float64)
    y = torch.arange(y0 + step / 2, y1, step, dtype=torch.float64)
    return torch.cartesian_prod(x, y), step**2


BOXES = {
    "gaussians8": (-6, 6, -6, 6, 0.04),
    "parabola": (-6, 50, -13, 13, 0.05),
    "crescents": (-2, 3, -1.5, 2, 0.02),
    "checkerboard": (-5, 5, -5, 5, 0.05),
}


@pytest.mark.parametrize("name", BOXES)
def test_the_density_integrates_to_one_and_to_its_entropy(name):
    x, area = plane(*BOXES[name])
    log_p = TOYS[name].log_prob(x)
    p = log_p.exp()
    assert float(p.sum() * area) == pytest.approx(1, abs=1e-4)
    assert -float(torch.xlogy(p, p).sum() * area) == pytest.approx(TOYS[name].entropy, abs=1e-3)


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_a_mode_of_a_sharp_mixture_holds_its_share(name):
    toy = TOYS[name]
    x, area = plane(-8 * toy.std, 8 * toy.std, -8 * toy.std, 8 * toy.std, toy.std / 4)
    for centre in toy.centres:
        assert float(toy.log_prob(x + centre).exp().sum() * area) == pytest.approx(1 / len(toy.centres), rel=1e-6)


@pytest.mark.parametrize("name", TOYS)
def test_the_entropy_is_the_mean_of_the_negative_log_density_of_samples(name):
    surprise = -TOYS[name].log_prob(TOYS[name].sample(50_000, seed=1))
    assert abs(float(surprise.mean()) - TOYS[name].entropy) < 4 * float(surprise.std()) / 50_000**0.5 + 1e-5


def test_published_entropies():
    assert TOYS["parabola"].entropy == pytest.approx(3.531, abs=5e-4)
    assert TOYS["checkerboard"].entropy == pytest.approx(log(32))
    assert TOYS["gaussians8"].entropy == pytest.approx(2.838, abs=0.01)
    assert TOYS["ring"].entropy == pytest.approx(log(8) + log(2 * pi * e * (0.02 / 1.414) ** 2))
    assert TOYS["grid"].entropy == pytest.approx(log(25) + log(2 * pi * e * (0.05 / 2.828) ** 2))


def test_mixture_density_is_that_of_torch():
    toy = Gaussians(torch.tensor([[0.0, 0.0], [1.0, 0.5], [-2.0, 1.0]]), 0.7)
    component = torch.distributions.Independent(torch.distributions.Normal(toy.centres, toy.std), 1)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(3, dtype=torch.float64)), component
    )
    x = torch.randn(100, 2, dtype=torch.float64)
    assert torch.allclose(toy.log_prob(x), mixture.log_prob(x))


def test_a_narrow_crescent_is_still_exact():
    arc = torch.tensor([[0.0, 1.0]])  # far from the ends a narrow arc is a line of density 1 / (2 pi) per unit length
    expected = -log(2 * pi) - 0.5 * log(2 * pi * 0.05**2)
    assert float(Crescents(std=0.05).log_prob(arc)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", TOYS)
def test_opened_toys_are_tables_of_the_stated_size(name):
    splits = open_data(DataConfig(source=name, seed=3, validation=0))
    assert (len(splits.train), len(splits.test)) == (20_000, 5_000)
    assert splits.train.x.dtype == torch.float64
    assert splits.spec.columns == ("x", "y")
    assert splits.train.entropy == splits.test.entropy == TOYS[name].entropy
    assert torch.equal(splits.train.x, TOYS[name].sample(25_000, 3)[:20_000])
    assert not torch.equal(splits.train.x, open_data(DataConfig(source=name, seed=4, validation=0)).train.x)
    assert torch.isfinite(TOYS[name].log_prob(splits.test.x)).all()
