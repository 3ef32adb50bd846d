"""StyleGAN learns digits in seconds."""

from __future__ import annotations

import pytest
from learning import source, taught

from genwerk.evaluation.quick import frechet_in_components
from genwerk.families.stylegan import StyleGAN


def distance(rounds: int, seed: int) -> float:
    """Fréchet distance in the data's components of 1,000 samples."""
    model = taught("stylegan", "digits", rounds, seed)
    assert isinstance(model, StyleGAN)
    return frechet_in_components(source("digits").train, model.sample(1_000, seed=0))


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_are_approached(seed: int) -> None:
    """Measured: 1.45 and 1.43 after 200 rounds (seeds 0, 1), from 7.3 and 6.9."""
    assert distance(200, seed) < 0.35 * distance(0, seed)
