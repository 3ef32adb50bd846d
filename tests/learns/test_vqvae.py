"""VQ-VAEs reconstruct real digits from a few bits better than k-means does, and use their codebook."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from learning import source, taught
from torch import Tensor
from torch.nn import functional as F

from genwerk.families.two_stage import TwoStage
from genwerk.families.vqvae import VQVAE
from genwerk.nn.k_means import k_means
from genwerk.recipes import find
from genwerk.training.trainer import Trainer

ENTRIES = 64


def patches(x: Tensor, size: int) -> Tensor:
    """The squares of ``size`` pixels that tile images with one channel, one a row."""
    return F.unfold(x, size, stride=size).movedim(1, -1).flatten(0, 1)


def k_means_error(train: Tensor, test: Tensor, size: int) -> Tensor:
    """Mean squared error of ``test`` with every patch replaced by the nearest of ENTRIES centres."""
    seen, held_out = patches(train, size), patches(test, size)
    label = k_means(seen, ENTRIES, torch.Generator().manual_seed(0))
    centres = torch.stack([seen[label == k].mean(0) for k in range(int(label.max()) + 1)])
    return (held_out - centres[torch.cdist(held_out, centres).argmin(1)]).square().mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_are_reconstructed_from_24_bits(seed: int) -> None:
    """A grid of 2 x 2 codes of 6 bits, against k-means on squares of 4 x 4 pixels, which takes 24 bits as well.

    Measured 0.0141 to 0.0148 and a perplexity of 57.7 to 62.8 over four seeds; k-means 0.0194, the mean digit 0.0743.
    """
    splits = source("digits")
    recipe = find("vqvae").make(splits.spec)
    torch.manual_seed(seed)
    model = VQVAE(replace(recipe.model, entries=ENTRIES, halve=2), splits.spec)
    quiet = replace(recipe.train, rounds=500, seed=seed, sample_every=0, evaluate_every=0, save_every=0)
    Trainer(model, splits.train, quiet).fit().requires_grad_(False)
    train, test = splits.train.batch().x, splits.test.batch().x
    error = (model.decode(model.encode(test)) - test).square().mean()
    found = model.diagnose(train)
    assert error < 0.25 * (test - train.mean(0)).square().mean()
    assert error < 0.8 * k_means_error(train, test, 4)
    assert found["perplexity of codes"] > 0.7 * ENTRIES
    assert found["entries in use"] > 0.9 * ENTRIES


def test_a_pixelcnn_knows_how_codes_go_together() -> None:
    """Against codes drawn each by itself, from what occurs at its place in the training examples.

    Held-out codes are likelier (measured: 36.5 nats against 51.4), and decoded samples lie nearer to the training
    examples (1.37 against 1.66; held-out digits 1.01).
    """
    model = taught("vqvae-pixelcnn", "digits", 300)
    assert isinstance(model, TwoStage)
    splits, k = source("digits"), ENTRIES - 1
    train, test = splits.train.batch(), splits.test.batch()
    z, held_out = (model.encode(batch.x).flatten(1) for batch in (train, test))

    places = (z * k).round().long().T
    p = torch.stack([torch.bincount(place, minlength=k + 1) + 1.0 for place in places])
    seen = (held_out * k).round().long().T
    independent = -(p / p.sum(1, keepdim=True)).log().gather(1, seen).sum(0).mean()
    assert model.diagnose(test.x, test.condition)["NLL of codes"] < independent - 10

    generator = torch.Generator().manual_seed(0)
    rows = torch.stack([torch.randperm(len(z), generator=generator)[:200] for _ in places], 1)
    apart = model.decode(z.gather(0, rows).unflatten(1, model.latent_shape))
    samples = model.sample(200, torch.arange(200) % 10, seed=0)

    def distance(x: Tensor) -> Tensor:
        return torch.cdist(x.flatten(1), train.x.flatten(1)).amin(1).mean()

    assert distance(samples) < 0.9 * distance(apart)
