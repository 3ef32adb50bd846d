"""An autoencoder with a mixture on its codes draws digits that lie as near the data as held-out digits do."""

from __future__ import annotations

import pytest
import torch
from learning import source, taught
from torch import Tensor

from genwerk.families.two_stage import TwoStage


@pytest.mark.parametrize("recipe", ["autoencoder-mixture", "vae-mixture"])
def test_samples_lie_near_the_data(recipe: str) -> None:
    model = taught(recipe, "digits", 600)
    assert isinstance(model, TwoStage)
    splits = source("digits")
    train = splits.train.batch().x.flatten(1)

    def distance(x: Tensor) -> Tensor:
        return torch.cdist(x.flatten(1), train).amin(1).mean()

    sample, held_out = model.sample(200, seed=0), splits.test.batch().x
    z = model.codes(splits.train).x
    apart = model.decode(
        z.mean(0) + z.std(0) * torch.randn(200, z.shape[1], generator=torch.Generator().manual_seed(0))
    )
    assert distance(sample) < 1.3 * distance(held_out)
    assert sample.std(0).mean() > 0.5 * held_out.std(0).mean()  # and they differ among themselves
    if recipe == "autoencoder-mixture":
        assert distance(sample) < 0.85 * distance(apart)  # one Gaussian a dimension is not what the codes are
