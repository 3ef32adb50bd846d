"""The mixture learns toys whose truth is known, and real digits well enough to fill in their lower half."""

from __future__ import annotations

import pytest
import torch

from genwerk.data import DataConfig, open_data
from genwerk.data.toys import TOYS
from genwerk.families.mixture import Mixture, MixtureConfig
from genwerk.recipes.mixture import mixture
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

TRAIN = TrainConfig(rounds=100, sample_every=0, evaluate_every=0, save_every=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("source, components", [("ring", (4, 8, 12)), ("gaussians8", (4, 8, 12)), ("grid", (25,))])
def test_toy_mixtures_are_learnt_to_the_last_hundredth_of_a_nat(
    source: str, components: tuple[int, ...], seed: int
) -> None:
    splits = open_data(DataConfig(source=source))
    model = Mixture(MixtureConfig(components=components, starts=3, seed=seed), splits.spec)
    Trainer(model, splits.train, TRAIN).fit()
    x = splits.test.batch().x
    kl = (TOYS[source].log_prob(x) - model.log_prob(x)).mean().item()
    assert kl < 0.01, "measured: 0.002 with seeds 0 to 9"
    assert model.responsibilities(x).shape[1] == len(TOYS[source].centres)


def test_the_recipe_comes_near_a_density_that_is_no_mixture() -> None:
    splits = open_data(DataConfig(source="parabola"))
    model = Mixture(mixture(splits.spec).model, splits.spec)
    Trainer(model, splits.train, TRAIN).fit()
    x = splits.test.batch().x
    kl = (TOYS["parabola"].log_prob(x) - model.log_prob(x)).mean().item()
    assert 0 < kl < 0.05
    one = Mixture(MixtureConfig(components=(1,)), splits.spec)
    Trainer(one, splits.train, TRAIN).fit()
    assert kl < (TOYS["parabola"].log_prob(x) - one.log_prob(x)).mean().item() / 5


def test_the_recipe_completes_digits() -> None:
    splits = open_data(DataConfig(source="digits"))
    model = Mixture(mixture(splits.spec).model, splits.spec)
    Trainer(model, splits.train, TRAIN).fit()
    x, seen = splits.test.batch().x, splits.train.batch().x.double()
    known = torch.zeros(1, 8, 8, dtype=torch.bool)
    known[:, :4] = True
    assert model.log_prob(x).mean() > -116, "nats, of 175 rows after 1,488; one full Gaussian has -130.7 ± 1.2 on these"
    error = (model.complete(x, known, 20, seed=0).x.mean(1) - x)[:, ~known].square().mean()
    upper = torch.cat([seen[:, known], torch.ones(len(seen), 1)], 1)
    linear = torch.linalg.lstsq(upper, seen[:, ~known], driver="gelsd").solution
    guessed = torch.cat([x[:, known].double(), torch.ones(len(x), 1)], 1) @ linear
    assert error < (guessed - x[:, ~known]).square().mean(), "0.90 to 0.97 of it by split"
