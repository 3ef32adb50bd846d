"""Degradations against what they are by definition, and against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genwerk.core.degradation import Downscale, GaussianNoise, Greyscale, Holes, SourceImage, filled, luma
from genwerk.core.errors import BadInput
from genwerk.core.noise import SeededNoise


def images(n: int = 4, c: int = 3, h: int = 24, w: int = 32, seed: int = 0) -> torch.Tensor:
    smooth = torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(seed)).cumsum(-1).cumsum(-2)
    return (smooth - smooth.amin()) / (smooth.amax() - smooth.amin())


@pytest.mark.parametrize("factor", [2, 4])
def test_downscaling_is_pillows_bicubic(factor: int) -> None:
    x = images(1).mul(255).round() / 255
    small = Downscale(factor=factor)(x, SeededNoise(1, 0))
    assert small.shape == (1, *Downscale(factor=factor).shape((3, 24, 32)))
    picture = Image.fromarray(x[0].mul(255).byte().permute(1, 2, 0).numpy())
    theirs = np.asarray(picture.resize((32 // factor, 24 // factor), Image.Resampling.BICUBIC))
    assert (small[0].mul(255).permute(1, 2, 0).numpy() - theirs).__abs__().max() <= 1.0  # Pillow rounds twice


def test_noise_has_the_strength_that_was_asked_for() -> None:
    x = images(200, 1)
    added = GaussianNoise(sigma=(0.1, 0.1))(x, SeededNoise(200, 0)) - x
    assert added.std().item() == pytest.approx(0.1, rel=0.01)
    assert added.mean().item() == pytest.approx(0.0, abs=0.001)
    strengths = (GaussianNoise(sigma=(0.0, 0.2))(x, SeededNoise(200, 0)) - x).flatten(1).std(1)
    assert strengths.min() < 0.01
    assert strengths.max() > 0.19
    assert strengths.mean().item() == pytest.approx(0.1, abs=0.013)  # uniform: 0.2 / sqrt(12 * 200) = 0.004


def test_grey_is_luma() -> None:
    red, green, blue = torch.eye(3).view(3, 3, 1, 1)
    assert [luma(x.unsqueeze(0)).item() for x in (red, green, blue)] == pytest.approx([0.299, 0.587, 0.114])
    with pytest.raises(BadInput, match="the images are grey"):
        Greyscale().shape((1, 8, 8))


def test_holes_are_as_many_and_as_large_as_they_say() -> None:
    holes = Holes(most=1, side=(0.25, 0.5))
    known = holes.known(40, 80, SeededNoise(300, 0))
    for mask in ~known[:, 0]:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert mask.sum() == height * width  # one rectangle
        assert 9 <= height <= 21
        assert 19 <= width <= 41
    x = images(300, 3, 40, 80)
    source = holes(x, SeededNoise(300, 0))
    assert source.shape == (300, *holes.shape((3, 40, 80)))
    assert torch.equal(source[:, :3][known.expand_as(x)], x[known.expand_as(x)])
    assert torch.equal(source[:, 3:] == 1, known)


def test_holes_are_filled_by_the_solution_of_laplace_s_equation() -> None:
    x = torch.linspace(0, 1, 33).expand(1, 2, 29, 33)  # harmonic, and so what is to be found in a hole of it
    known = torch.ones(1, 1, 29, 33, dtype=torch.bool)
    known[..., 8:20, 10:25] = False
    errors = [(filled(x, known, steps) - x).abs().amax().item() for steps in (0, 8, 64)]
    assert errors[0] > 5 * errors[1] > 10 * errors[2]
    assert errors[1] < 0.01
    corner = ~known
    corner[..., :2, :2] = True  # most is missing, up to the edges
    noise = images(5, 3, 29, 33)
    made, inside = filled(noise, corner), noise.where(corner, 0.5)
    assert torch.equal(made.where(corner, 0.5), inside)
    assert made.amin() >= noise.where(corner, 1).amin()  # the maximum principle
    assert made.amax() <= noise.where(corner, 0).amax()
    assert (filled(noise, torch.zeros_like(known)) == 0.5).all()


def test_there_are_one_hole_to_the_most_alike_often() -> None:
    known = Holes(most=3, side=(0.02, 0.02)).known(50, 50, SeededNoise(900, 0))  # a pixel each, which rarely meet
    counts = torch.bincount((~known).flatten(1).sum(1), minlength=4)
    assert counts[0] <= 9  # none, where a hole lies between two middles of pixels
    assert all(200 < count < 400 for count in counts[1:4].tolist())


def test_an_example_has_one_source_wherever_it_is_met() -> None:
    for degradation in (GaussianNoise(), Holes()):
        x = images()
        condition = SourceImage(degradation.shape((3, 24, 32)), degradation)
        assert torch.equal(condition.made(x)[2:3], condition.made(x[2:3]))
        assert not torch.equal(condition.made(x, SeededNoise(4, 1)), condition.made(x, SeededNoise(4, 2)))


def test_a_mask_is_for_holes_alone() -> None:
    x, known = images(1), torch.ones(1, 1, 24, 32, dtype=torch.bool)
    known[..., :5] = False
    assert torch.equal(Holes().taken(x, known), Holes().masked(x, known))
    with pytest.raises(BadInput, match="no hole to fill"):
        Holes().taken(x)
    with pytest.raises(BadInput, match="a mask is for models that fill holes"):
        Downscale().taken(x, known)


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="made smaller by 2 or more"):
        Downscale(factor=1)
    with pytest.raises(ValueError, match="the lesser first"):
        GaussianNoise(sigma=(0.2, 0.1))
    with pytest.raises(ValueError, match="expected 1 or more"):
        Holes(most=0)
    with pytest.raises(BadInput, match="no whole number of times 4"):
        Downscale(factor=4).shape((3, 30, 32))
