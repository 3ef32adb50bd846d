"""GANs learn the modes of a ring and the pictures of digits in seconds."""

from __future__ import annotations

import pytest
import torch
from learning import source, taught

from genwerk.core.abilities import Samples
from genwerk.data.toys import TOYS, Gaussians
from genwerk.evaluation.quick import frechet_in_components
from genwerk.evaluation.samples import draw
from genwerk.families.gan import GAN
from genwerk.metrics import mode_coverage
from genwerk.metrics.features import Classifier, ClassifierConfig
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

RING = TOYS["ring"]
assert isinstance(RING, Gaussians)


@pytest.mark.parametrize(
    "recipe,rounds,seed,quality", [("gan", 1_000, 0, 0.5), ("gan", 1_000, 2, 0.5), ("wgan-gp", 600, 0, 0.4)]
)
def test_every_mode_of_the_ring(recipe: str, rounds: int, seed: int, quality: float) -> None:
    """Some of the 6,000 rounds of the recipe; measured 0.68 with seed 2, and of wgan-gp 0.54 after 500, 0.73 after 700.

    Seed 1 comes late on these rows: every mode, a quality of 0.30 after 1,000 rounds, 0.42 after 1,500, 0.96 after all.
    """
    model = taught(recipe, "ring", rounds, seed)
    assert isinstance(model, Samples)
    found = mode_coverage(model.sample(2_500, seed=1_000_000), RING.centres, RING.std)
    assert found.modes == 8
    assert found.quality > quality
    assert found.kl < 0.15


NARROW = {"width": 128}
"""Units of a layer: half of the recipe's."""


@pytest.mark.parametrize("recipe,network", [("gan", NARROW), ("lsgan", {}), ("hinge-gan", {})])
def test_digits_come_closer(recipe: str, network: dict[str, int]) -> None:
    """Against an untrained generator's distance; measured 0.31 to 0.39 (seeds 0 to 4), 0.36 and below 0.25 of it."""
    splits = source("digits")
    model, fresh = (taught(recipe, "digits", rounds, **network) for rounds in (400, 0))
    distances = [frechet_in_components(splits.test, draw(m, len(splits.test), splits.test, 0)) for m in (model, fresh)]
    assert distances[0] < 0.45 * distances[1]


def test_a_digit_that_is_asked_for_is_made() -> None:
    """A classifier of real digits recognises what the conditional GAN was told to make; chance is 0.1.

    Measured: 0.75 to 0.89 (seeds 0 to 4).
    """
    splits = source("digits")
    model = taught("cgan", "digits", 1_200, **NARROW)
    assert isinstance(model, GAN)
    torch.manual_seed(0)
    classifier = Classifier(ClassifierConfig(), splits.spec)
    Trainer(classifier, splits.train, TrainConfig(rounds=300, sample_every=0)).fit()
    asked = torch.arange(500) % 10
    made = model.sample(500, asked, seed=0)
    with torch.no_grad():
        assert (classifier(made).argmax(1) == asked).float().mean() > 0.6
