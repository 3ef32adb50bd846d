"""PixelCNN++ learns digits in seconds: better than every pixel for itself, with samples as likely as data."""

from __future__ import annotations

from math import log

import pytest
import torch
from learning import source, taught
from torch import Tensor

from genwerk.families.pixelcnn_pp import PixelCNNPP

PIXELS, LEVELS = 64, 17


def each_pixel_for_itself(train: Tensor, test: Tensor) -> Tensor:
    """Mean log-likelihood of ``test`` under the frequencies of each pixel's levels in ``train``, one added to each."""
    seen, asked = ((x * (LEVELS - 1)).round().long().flatten(1) for x in (train, test))
    counts = torch.stack([(seen == level).sum(0) for level in range(LEVELS)]) + 1.0
    return (counts / counts.sum(0)).log().gather(0, asked).sum(1).mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_are_learned(seed: int) -> None:
    model = taught("pixelcnn-pp", "digits", 80, seed)
    assert isinstance(model, PixelCNNPP)
    splits = source("digits")
    train, x = splits.train.batch().x, splits.test.batch().x
    made = model.sample(100, seed=0)
    bits, alone, own = (
        -log_p.item() / (PIXELS * log(2))
        for log_p in (model.log_prob(x).mean(), each_pixel_for_itself(train, x), model.log_prob(made).mean())
    )
    assert bits < 2.15, "measured 2.07 and 2.08"
    assert bits < alone - 0.25, "every pixel for itself needs 2.42"
    assert abs(own - bits) < 0.15, "measured 0.07 and 0.00"
    assert (made.mean(0) - train.mean(0)).abs().mean() < 0.05, "measured 0.035 in both"
