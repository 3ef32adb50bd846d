"""VAEs learn digits and a density whose entropy is known, in seconds."""

from __future__ import annotations

import pytest
import torch
from learning import source, taught

from genwerk.core.noise import SeededNoise
from genwerk.families.vae import VAE

DRAWS = 100


@pytest.mark.parametrize("recipe,seed", [("vae", 0), ("vae", 1), ("iwae", 0)])
def test_digits_reach_a_bound(recipe: str, seed: int) -> None:
    model = taught(recipe, "digits", 600, seed)
    assert isinstance(model, VAE)
    splits = source("digits")
    x = splits.test.batch().x
    bound = model.log_prob_bound(x, DRAWS, seed=0).mean()
    assert bound > -24.5
    p = splits.train.batch().x.mean(0).clamp(1e-4, 1 - 1e-4)  # every pixel for itself
    independent = (x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3)).mean()
    assert bound > independent + 3
    assert model.diagnose(x)["active units"] >= 10


def test_labels_are_learned() -> None:
    """Bayes' rule over the conditional bounds tells the digits apart; chance is 0.1."""
    model = taught("cvae", "digits", 600)
    assert isinstance(model, VAE)
    batch = source("digits").test.batch()
    labels = [torch.full((len(batch),), c) for c in range(10)]
    bounds = torch.stack([model.log_prob_bound(batch.x, 30, label, seed=0) for label in labels], dim=1)
    assert (bounds.argmax(1) == batch.condition).float().mean() > 0.75


def test_codes_of_the_infovae_are_distributed_like_their_prior() -> None:
    model = taught("infovae", "digits", 600)
    assert isinstance(model, VAE)
    x = source("digits").train.batch().x
    z = model.sample_posterior(x, SeededNoise(len(x), 0))
    assert z.mean(0).abs().max() < 0.2
    assert 0.75 < z.std(0).min() < z.std(0).max() < 1.25


def test_density_of_the_parabola_is_learned_to_a_fraction_of_a_nat() -> None:
    """The bound cannot be above minus the entropy, 3.531 nats; measured 0.22 below it."""
    model = taught("vae", "parabola", 1_000)
    assert isinstance(model, VAE)
    splits = source("parabola")
    assert splits.train.entropy is not None
    x = splits.test.batch().x[:2_000]
    gap = -splits.train.entropy - model.log_prob_bound(x, DRAWS, seed=0).mean()
    assert -0.1 < gap < 0.4
