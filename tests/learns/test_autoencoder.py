"""Autoencoders learn to reconstruct and to denoise real digits, in seconds."""

from __future__ import annotations

import pytest
import torch
from learning import source, taught

from genwerk.families.autoencoder import Autoencoder, corrupt


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_are_reconstructed(seed: int) -> None:
    """Measured 0.0122 to 0.0124 over three seeds; 0.0744 is the error of the mean digit."""
    model = taught("autoencoder", "digits", 1_000, seed)
    assert isinstance(model, Autoencoder)
    x = source("digits").test.batch().x
    error = (model.decode(model.encode(x)) - x).square().mean()
    assert error < 0.016


def test_noise_is_removed() -> None:
    """The held-out error is measured against the clean digits; the masked ones themselves are 0.0703 away."""
    model = taught("denoising-autoencoder", "digits", 600)
    assert isinstance(model, Autoencoder)
    x = source("digits").test.batch().x
    noisy = corrupt(x, torch.rand(x.shape, generator=torch.Generator().manual_seed(0)), "masking", 0.3)
    error, before = (model.decode(model.encode(noisy)) - x).square().mean(), (noisy - x).square().mean()
    assert error < 0.5 * before
