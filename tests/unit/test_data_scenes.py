"""Drawn scenes: what a caption says is in the picture, and what is held out is never trained on."""

from collections import Counter
from colorsys import hsv_to_rgb, rgb_to_hsv
from itertools import combinations
from math import pi, sqrt

import pytest
import torch

from genwerk.data import DataConfig, open_data, scenes

NAMES = ("shape", "colour", "size", "position")


@pytest.fixture(scope="module")
def opened():
    return open_data(DataConfig(source="scenes", validation=0))


def middling(shape, size="large", colour="red", position="at the top", pixels=256):
    """The picture of which all that is left open takes its middle value, how covered each pixel is, and the radius."""
    x = scenes.draw([scenes.Scene(shape, colour, size, position)], torch.full((1, 7), 0.5), pixels)[0]
    ground, full = x[:, 0, 0], x.flatten(1)[:, (x - x[:, :1, :1]).abs().sum(0).argmax()]
    covered = (x - ground[:, None, None]).sum(0) / (full - ground).sum()
    return x, covered, sum(scenes.SIZES[size]) / 2 * pixels / 32


AREAS = {
    "circle": pi,
    "ring": pi * (1 - 0.5**2),
    "square": (2 * 0.86) ** 2,
    "cross": 4 * 0.64 - 0.64**2,
    "triangle": 3 * sqrt(3) / 4 * 1.15**2,
    "star": 5 * 1.08 * 0.46 * 0.5877852522924731,  # ten triangles, each half of tip x notch x sin 36 degrees
}
"""Area of every shape of radius 1."""


@pytest.mark.parametrize("size", scenes.SIZES)
@pytest.mark.parametrize("shape", scenes.SHAPES)
def test_a_shape_has_its_area(shape, size):
    _, covered, radius = middling(shape, size)
    assert covered.sum().item() == pytest.approx(AREAS[shape] * radius**2, rel=0.004)


@pytest.mark.parametrize("shape", scenes.SHAPES)
def test_a_shape_fills_the_box_of_its_radius(shape):
    """It reaches the radius on at least one axis, and beyond it by less than a tenth on none."""
    _, covered, radius = middling(shape)
    rows, columns = (covered.amax(axis) > 0.5 for axis in (1, 0))
    extent = torch.stack([rows.sum(), columns.sum()]) / (2 * radius)
    assert (extent < 1.05).all()
    assert extent.max() > 0.84


@pytest.mark.parametrize("position", scenes.POSITIONS)
def test_a_shape_is_where_its_caption_says(position):
    _, covered, _ = middling("circle", position=position)
    across, down = scenes.POSITIONS[position]
    middle = (torch.arange(256) + 0.5) / 8 - 16
    weight = covered / covered.sum()
    assert (weight.sum(0) @ middle).item() == pytest.approx(across, abs=0.01)
    assert (weight.sum(1) @ middle).item() == pytest.approx(down, abs=0.01)


@pytest.mark.parametrize("colour", scenes.COLOURS)
def test_a_shape_has_the_hue_of_its_colour_on_grey(colour):
    x, covered, _ = middling("square", colour=colour)
    inside = x[:, covered > 0.999].mean(1)
    hue, saturation, value = rgb_to_hsv(*inside.tolist())
    assert hue * 360 % 360 == pytest.approx(scenes.COLOURS[colour], abs=0.01)
    assert (saturation, value) == pytest.approx((0.875, 0.85), abs=1e-4)
    assert x[:, covered < 1e-4].std(0).max() < 1e-6


def test_hue_saturation_and_brightness_are_turned_into_colours_as_by_colorsys():
    hsv = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([420.0, 1, 1]) - torch.tensor(
        [30.0, 0, 0]
    )
    ours = scenes.rgb(*(v.view(-1, 1, 1, 1) for v in hsv.unbind(1)))[:, :, 0, 0]
    expected = torch.tensor([hsv_to_rgb(h / 360 % 1, s, v) for h, s, v in hsv.tolist()])
    assert torch.allclose(ours, expected, atol=1e-5)


def test_hues_of_different_colours_never_meet():
    hues = sorted(scenes.COLOURS.values())
    gaps = [b - a for a, b in zip(hues, [*hues[1:], hues[0] + 360], strict=True)]
    assert min(gaps) > 4 * scenes.HUE


def test_every_caption_is_of_one_scene():
    assert len(set(scenes.captions())) == 6 * 6 * 2 * 4
    assert "a small red ring on the left side" in scenes.captions()
    assert [str(scenes.parse(c)) for c in scenes.captions()] == list(scenes.captions())
    assert scenes.parse("  A small  RED ring on the left side") == scenes.Scene(
        "ring", "red", "small", "on the left side"
    )


@pytest.mark.parametrize("caption", ["", "a ring", "a small red ring", "a red small ring at the top"])
def test_other_texts_are_refused_with_an_example(caption):
    with pytest.raises(ValueError, match="a small red ring on the left side"):
        scenes.parse(caption)


def test_what_is_held_out_is_balanced_and_leaves_all_pairs_in_training():
    parsed = [scenes.parse(c) for c in scenes.captions()]
    new = [s for s in parsed if scenes.held_out(str(s))]
    seen = [s for s in parsed if not scenes.held_out(str(s))]
    assert len(new) == 48
    for name in NAMES:
        counts = Counter(getattr(s, name) for s in new)
        assert set(counts) == {getattr(s, name) for s in parsed}
        assert len(set(counts.values())) == 1
    for a, b in combinations(NAMES, 2):
        pairs = {(getattr(s, a), getattr(s, b)) for s in seen}
        assert pairs == {(getattr(s, a), getattr(s, b)) for s in parsed}
    triples = {(s.shape, s.colour, s.position) for s in new}
    assert len(triples) == 24
    assert not triples & {(s.shape, s.colour, s.position) for s in seen}


def test_training_shows_seen_scenes_alone_and_every_other_test_picture_a_new_one(opened):
    train, test = (Counter(part.captions) for part in (opened.train, opened.test))
    assert (len(opened.train), len(opened.test)) == (20_000, 2_000)
    assert set(train) == {c for c in scenes.captions() if not scenes.held_out(c)}
    assert max(train.values()) - min(train.values()) == 1
    assert set(test) == set(scenes.captions())
    assert [scenes.held_out(c) for c in opened.test.captions] == [False, True] * 1_000


def test_the_picture_is_that_of_its_caption(opened):
    """Colour and position are read off the pixels by hand: the mean colour's hue, and where the colour is."""
    x = opened.test.batch().x
    chroma = x.amax(1) - x.amin(1)
    weight = chroma / chroma.sum((1, 2), keepdim=True)
    middle = torch.arange(32) - 15.5
    right, down = (weight.sum(1) * middle).sum(1), (weight.sum(2) * middle).sum(1)
    colours = (x * weight[:, None]).sum((2, 3))
    for i, scene in enumerate(map(scenes.parse, opened.test.captions)):
        across, below = scenes.POSITIONS[scene.position]
        assert (right[i] - across).abs() < 1.5
        assert (down[i] - below).abs() < 3.5  # a triangle's middle is below that of its box
        turned = rgb_to_hsv(*colours[i].tolist())[0] * 360 - scenes.COLOURS[scene.colour]
        assert abs((turned + 180) % 360 - 180) < scenes.HUE + 2


def test_no_picture_is_drawn_twice(opened):
    assert len({row.tobytes() for part in (opened.train, opened.test) for row in part.x.numpy()}) == 22_000


def test_a_picture_belongs_to_its_seed_and_number_alone(opened):
    seen = [c for c in scenes.captions() if not scenes.held_out(c)]
    x, texts = scenes.examples(seen, 70, 0, 0)
    assert torch.equal(x, opened.train.x[:70])
    assert texts == list(opened.train.captions[:70])
    other, _ = scenes.examples(seen, 70, 1, 0)
    assert not (x == other).flatten(1).all(1).any()


def test_the_spec_says_that_there_are_captions(opened):
    assert opened.spec.shape == (3, 32, 32)
    assert opened.spec.captions
    assert not opened.spec.classes


def test_other_sizes_are_drawn_and_impossible_ones_refused():
    x, texts = scenes.examples(scenes.captions(), 5, 3, size=16)
    fine, same = scenes.examples(scenes.captions(), 5, 3, size=64)
    assert texts == same
    halved = torch.nn.functional.avg_pool2d(fine.float(), 4)
    assert (halved - x.float()).abs().mean() < 1.5
    for size in (15, 129):
        with pytest.raises(ValueError, match=r"16 to 128 pixels.*data.size 32"):
            open_data(DataConfig(source="scenes", size=size))
    with pytest.raises(ValueError, match=r"data.colour rgb"):
        open_data(DataConfig(source="scenes", colour="grey"))
