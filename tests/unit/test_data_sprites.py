"""Drawn creatures: mirrored where promised, of palette colours only, labelled, all different, the same by seed."""

import numpy as np
import pytest
import torch

from genwerk.data import DataConfig, open_data, palette, sprites

RAMP = np.array([*range(sprites.TONES), *(sprites.TONES + i // 3 for i in range(3 * sprites.RAMPS))])
"""Of each index the colour without its tone."""


@pytest.fixture(scope="module")
def opened():
    return open_data(DataConfig(source="sprites", validation=0))


@pytest.mark.parametrize("size", [16, 17, 24])
@pytest.mark.parametrize("plan", sorted(set(sprites.PLANS) - {"fish"}))
def test_shapes_and_colours_are_mirrored_but_for_the_shading(plan, size):
    coloured = RAMP[sprites.draw(plan, 200, 1, size)]
    assert np.array_equal(coloured, coloured[:, :, ::-1])


def test_fish_swim_to_either_side():
    """The half of the picture that holds more of a fish is the left one as often as the right one."""
    covered = sprites.draw("fish", 400, 0) != sprites.GROUND
    weight = np.where(np.arange(16) < 8, -1, 1)
    leaning = np.sign((covered * weight).sum((1, 2)))
    assert 0.3 < (leaning > 0).mean() < 0.7
    assert (leaning != 0).mean() > 0.8


@pytest.mark.parametrize("plan", sprites.PLANS)
def test_light_falls_from_the_upper_left(plan):
    ink = sprites.draw(plan, 500, 2).astype(int)
    tone = np.where(ink >= sprites.TONES, (ink - sprites.TONES) % 3 - 1, 0)
    left, right = tone[:, :, :8].sum(), tone[:, :, 8:].sum()
    above, below = tone[:, :8].sum(), tone[:, 8:].sum()
    assert left > right
    if plan != "biped":  # whose belly is pale
        assert above > below


@pytest.mark.parametrize("plan", sprites.PLANS)
def test_a_creature_is_outlined_against_the_ground(plan):
    ink = sprites.draw(plan, 300, 3)
    filled = (ink != sprites.GROUND) & (ink != sprites.OUTLINE)
    assert not (sprites.grown(filled) & (ink == sprites.GROUND)).any()
    assert (filled.mean((1, 2)) > 0.1).all()
    assert (filled.mean((1, 2)) < 0.75).all()


def test_growth_is_to_four_neighbours():
    mask = np.zeros((1, 5, 5), bool)
    mask[0, 2, 2] = mask[0, 0, 0] = True
    expected = np.array([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    assert np.array_equal(sprites.grown(mask)[0], expected)


def test_pixels_are_of_the_palette_and_all_of_it_is_used(opened):
    assert opened.spec.palette == sprites.PALETTE
    assert len(set(sprites.PALETTE)) == len(sprites.PALETTE) == 16
    for part in (opened.train, opened.test):
        assert set(palette.as_tuples(palette.histogram(part.x.numpy()).colours)) == set(sprites.PALETTE)


def test_kinds_are_balanced_in_both_parts(opened):
    assert opened.spec.classes == tuple(sprites.PLANS)
    assert opened.spec.shape == (3, 16, 16)
    assert opened.train.condition.bincount().tolist() == [800] * 5
    assert opened.test.condition.bincount().tolist() == [200] * 5


def test_a_creature_has_the_label_of_its_kind(opened):
    """Held-out creatures are told apart by the nearest class mean, so the labels stand with their pictures."""
    train, test = (part.batch().x.mean(1).flatten(1) for part in (opened.train, opened.test))
    means = torch.stack([train[opened.train.condition == i].mean(0) for i in range(5)])
    right = torch.cdist(test, means).argmin(1) == opened.test.condition
    assert right.float().mean() > 0.8


def test_no_creature_is_drawn_twice(opened):
    both = torch.cat([opened.train.x, opened.test.x]).flatten(1)
    assert len(both.unique(dim=0)) == 5_000


def test_creatures_belong_to_their_seed(opened):
    assert open_data(DataConfig(source="sprites", validation=0)).train.fingerprint() == opened.train.fingerprint()
    other = open_data(DataConfig(source="sprites", seed=1, validation=0))
    both = torch.cat([opened.train.x, other.train.x]).flatten(1)
    assert len(both.unique(dim=0)) == 8_000


def test_other_sizes_are_drawn_and_impossible_ones_refused():
    large = open_data(DataConfig(source="sprites", size=32, limit=10))
    assert large.spec.shape == (3, 32, 32)
    assert large.spec.palette == sprites.PALETTE
    for size in (7, 65):
        with pytest.raises(ValueError, match=r"8 to 64 pixels.*data.size 16"):
            open_data(DataConfig(source="sprites", size=size))
    grey = open_data(DataConfig(source="sprites", colour="grey"))
    assert (grey.spec.shape, grey.spec.palette) == ((1, 16, 16), ())
