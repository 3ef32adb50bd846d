"""Drawn moons: the lit area is the fraction, and the fraction is read back from a picture."""

import pytest
import torch

from genwerk.data import DataConfig, open_data, phases


def parameters(n, seed=0):
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed))
    shift = (2 * u[:, 1:3] - 1) * phases.SHIFT
    return u[:, 0], shift[:, 0], shift[:, 1], phases.RADIUS[0] + (phases.RADIUS[1] - phases.RADIUS[0]) * u[:, 3]


def test_the_lit_area_is_the_fraction_of_the_disc():
    f, dx, dy, radius = parameters(200)
    area = phases.draw(f, dx, dy, radius).sum((1, 2, 3))
    assert torch.allclose(area, f * torch.pi * radius**2, rtol=2e-3, atol=0.1)


def test_half_a_moon_is_the_right_half_and_a_full_moon_is_round():
    full, half = phases.draw(torch.tensor([1.0, 0.5]))
    assert torch.equal(half[..., 16:], full[..., 16:])
    assert not half[..., :16].any()
    assert torch.allclose(full, full.flip(2), atol=1e-6)
    assert torch.allclose(full, full.mT, atol=0.06)  # lines along y are averaged, lines along x are exact


def test_a_shift_by_whole_pixels_moves_the_picture():
    assert torch.allclose(phases.draw(0.6, dx=2, dy=-1), phases.draw(0.6).roll((-1, 2), (2, 3)), atol=1e-6)


def test_the_fraction_of_a_drawn_moon_is_read_back():
    f, *rest = parameters(100, seed=1)
    reading = phases.fraction(phases.draw(f, *rest))
    assert (reading.fraction - f).abs().max() < 2e-3
    assert reading.residual.max() < 5e-3


def test_a_cross_fade_is_no_phase():
    full, half, between = phases.draw(torch.tensor([1.0, 0.5, 0.75])).split(1)
    fade = phases.fraction((full + half) / 2)
    assert float(fade.residual) > 0.15
    assert float(phases.fraction(between).residual) < 1e-3


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="expected"):
        phases.fraction(torch.zeros(1, 1, 28, 28))


def test_opened_phases_cover_new_to_full():
    splits = open_data(DataConfig(source="phases", validation=0))
    assert (len(splits.train), len(splits.test)) == (4_000, 1_000)
    assert splits.spec.shape == (1, 32, 32)
    lit = splits.train.batch().x.sum((1, 2, 3))
    assert lit.min() < 10
    assert lit.max() > torch.pi * 10**2
    assert splits.train.fingerprint() == open_data(DataConfig(source="phases", validation=0)).train.fingerprint()
