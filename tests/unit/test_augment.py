"""Augmentation is what it is defined to be, changes nothing at p = 0, and can be undone in distribution below p = 1."""

from __future__ import annotations

import colorsys
from math import log, pi

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from torch import Tensor

from genwerk.nn.adversarial.augment import DRAWS, RAMP, TARGET, Augmentation, augment, next_p

HALF = torch.tensor(0.5)
ALWAYS = torch.tensor(1.0)
NEVER = 0.99
"""A draw that decides against a change at p = 0.5, and stands for nothing much in a change that is not made."""
SHAPES = [(1, 8, 8), (3, 9, 6), (3, 16, 16), (1, 28, 28), (4, 5, 7)]


def images(n: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return 2 * torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def numbers(n: int, seed: int = 1) -> Tensor:
    return torch.rand(n, DRAWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def only(**draws: float) -> Tensor:
    """Draws of one image for ADA at p = 0.5: gates closed but for those named, ``_3=0`` being the fourth draw."""
    u = torch.full((1, DRAWS), NEVER, dtype=torch.float64)
    for name, value in draws.items():
        u[0, int(name[1:])] = value
    return u


def cdf(deviations: float) -> float:
    """The uniform number that stands for so many standard deviations."""
    return torch.special.ndtr(torch.tensor(deviations, dtype=torch.float64)).item()


# --- both -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_p_of_zero_returns_the_same_bits(shape: tuple[int, ...]) -> None:
    x = images(16, shape).float()
    assert torch.equal(augment(x, numbers(16).float(), torch.tensor(0.0), "ada"), x)
    assert torch.equal(augment(x, numbers(16).float(), HALF, "none"), x)


@pytest.mark.parametrize("kind", ["diffaugment", "ada"])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_depends_on_its_own_row_alone(kind: Augmentation, shape: tuple[int, ...]) -> None:
    x, u = images(12, shape), numbers(12)
    together = augment(x, u, HALF, kind)
    assert together.shape == x.shape
    assert not torch.equal(together, x)
    alone = torch.cat([augment(x[i : i + 1], u[i : i + 1], HALF, kind) for i in range(12)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("kind", ["diffaugment", "ada"])
def test_the_gradient_is_that_of_finite_differences(kind: Augmentation) -> None:
    x, u = images(4, (3, 5, 4)).requires_grad_(), numbers(4)
    assert torch.autograd.gradcheck(lambda x: augment(x, u, torch.tensor(0.8), kind), (x,))
    assert torch.autograd.gradgradcheck(lambda x: augment(x, u, torch.tensor(0.8), kind).square(), (x,))


@pytest.mark.parametrize("kind", ["diffaugment", "ada"])
def test_extreme_draws_and_lower_precision_around_it_do_no_harm(kind: Augmentation) -> None:
    x = images(2, (3, 8, 8)).float()
    u = torch.stack([torch.zeros(DRAWS), torch.full((DRAWS,), 1 - 2**-24)])
    expected = augment(x, u, ALWAYS, kind)
    assert expected.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(x, u, ALWAYS, kind), expected)


# --- DiffAugment ------------------------------------------------------------------------------------------------------


def outside_the_cut(y: Tensor) -> Tensor:
    """What is left of 8 x 8 images when draws of zero have cut their upper left corner, 2 x 2 pixels."""
    return y[:, :, 2:, 2:]


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.9])
def test_diffaugment_changes_colour(draw: float) -> None:
    x = images(1, (3, 8, 8))
    u = torch.full((1, DRAWS), 0.5, dtype=torch.float64)
    u[:, 5:7] = 0.0
    for which in range(3):
        v = u.clone()
        v[0, which] = draw
        grey = x.mean(1, keepdim=True)
        expected = [x + draw - 0.5, grey + 2 * draw * (x - grey), x.mean() + (0.5 + draw) * (x - x.mean())][which]
        torch.testing.assert_close(outside_the_cut(augment(x, v, ALWAYS, "diffaugment")), outside_the_cut(expected))


def test_diffaugment_takes_all_saturation_away() -> None:
    u = torch.full((1, DRAWS), 0.5, dtype=torch.float64)
    u[:, 1] = 0.0
    y = augment(images(1, (3, 8, 8)), u, ALWAYS, "diffaugment")
    torch.testing.assert_close(y, y[:, :1].expand(-1, 3, -1, -1))


@pytest.mark.parametrize("right", range(-2, 3))
@pytest.mark.parametrize("down", range(-1, 2))
def test_diffaugment_moves_by_whole_pixels(right: int, down: int) -> None:
    x = images(1, (1, 8, 16))
    u = torch.full((1, DRAWS), 0.5, dtype=torch.float64)
    u[0, 3:5] = torch.tensor([(right + 2.5) / 5, (down + 1.5) / 3])
    u[0, 5:7] = 0.0
    expected = torch.zeros_like(x)
    for row in range(8):
        for column in range(16):
            if 0 <= row - down < 8 and 0 <= column - right < 16:
                expected[0, 0, row, column] = x[0, 0, row - down, column - right]
    expected[:, :, :2, :4] = 0  # the cut
    torch.testing.assert_close(augment(x, u, ALWAYS, "diffaugment"), expected)


@pytest.mark.parametrize("shape", [(8, 8), (9, 6), (28, 28)])
def test_the_cut_is_of_half_the_width_and_height_and_goes_everywhere_alike(shape: tuple[int, int]) -> None:
    h, w = shape
    u = torch.full((4000, DRAWS), 0.5, dtype=torch.float64)
    u[:, 5:7] = numbers(4000)[:, :2]
    cut = augment(torch.ones(4000, 1, h, w, dtype=torch.float64), u, ALWAYS, "diffaugment") == 0
    area = cut.sum((1, 2, 3))
    assert area.max() == round(h / 2) * round(w / 2)
    whole = torch.full((1, DRAWS), 0.5, dtype=torch.float64)
    assert (augment(torch.ones(1, 1, h, w, dtype=torch.float64), whole, ALWAYS, "diffaugment") == 0).sum() == area.max()
    share = cut.double().mean((0, 1))
    assert (share - share.flip(0)).abs().max() < 0.06  # five standard errors
    assert (share - share.flip(1)).abs().max() < 0.06


# --- ADA --------------------------------------------------------------------------------------------------------------


def mirrored(x: Tensor, rows: int, columns: int) -> Tensor:
    """Images with their mirror image around them."""
    pad = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    return torch.from_numpy(np.pad(x.numpy(), pad, mode="symmetric"))


@pytest.mark.parametrize("right,down", [(0, 0), (2, 0), (0, -1), (-2, 1)])
def test_ada_moves_by_whole_pixels(right: int, down: int) -> None:
    x = images(1, (3, 8, 16))
    y = augment(x, only(_0=0.0, _1=0.5 + right / 4, _2=0.5 + down / 2), HALF, "ada")
    right, down = max(-2, min(2, right)), max(-1, min(1, down))
    torch.testing.assert_close(y, mirrored(x, 1, 2)[:, :, 1 - down : 9 - down, 2 - right : 18 - right])


@pytest.mark.parametrize("gate", [5, 9])
@pytest.mark.parametrize("turns", [-1, 0, 1])
def test_ada_turns_by_quarters(gate: int, turns: int) -> None:
    """A positive angle turns clockwise, and rot90 counter-clockwise."""
    x = images(1, (3, 8, 8))
    y = augment(x, only(**{f"_{gate}": 0.0, f"_{gate + 1}": 0.5 + turns / 4}), HALF, "ada")
    torch.testing.assert_close(y, torch.rot90(x, -turns, (2, 3)))


@pytest.mark.parametrize("seed", range(4))
def test_geometry_is_that_of_scipy(seed: int) -> None:
    """Six changes at once, composed here as points are moved and inverted as one matrix."""
    h, w = 9, 12
    x, u = images(1, (1, h, w), seed), numbers(1, seed)
    u[0, 14:] = NEVER
    u[0, [0, 3, 5, 7, 9, 11]] = 0.0
    d = u[0].tolist()
    normal = torch.special.ndtri(u[0]).tolist()
    s, a = 2 ** (0.2 * normal[4]), 2 ** (0.2 * normal[8])

    def turn(angle: float) -> np.ndarray:
        return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def shift(right: float, down: float) -> np.ndarray:
        return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]])

    forward = shift(round((d[1] - 0.5) * w / 4), round((d[2] - 0.5) * h / 4))
    forward = np.diag([s, s, 1]) @ forward
    forward = turn(2 * pi * d[6] - pi) @ forward
    forward = np.diag([a, 1 / a, 1]) @ forward
    forward = turn(2 * pi * d[10] - pi) @ forward
    forward = shift(normal[12] * w / 8, normal[13] * h / 8) @ forward
    middle = shift((w - 1) / 2, (h - 1) / 2)
    back = middle @ np.linalg.inv(forward) @ np.linalg.inv(middle)
    swap = [1, 0, 2]  # scipy counts rows first
    expected = affine_transform(x[0, 0].numpy(), back[swap][:, swap], order=1, mode="reflect")
    torch.testing.assert_close(augment(x, u, HALF, "ada")[0, 0], torch.from_numpy(expected))


def test_ada_changes_brightness_contrast_and_luma() -> None:
    x = images(1, (3, 6, 6))
    torch.testing.assert_close(augment(x, only(_14=0.0, _15=cdf(1.5)), HALF, "ada"), x + 0.3)
    torch.testing.assert_close(augment(x, only(_16=0.0, _17=cdf(-2.0)), HALF, "ada"), x / 2)
    grey = x[:, :1]
    torch.testing.assert_close(augment(grey, only(_18=0.2), HALF, "ada"), -grey)
    assert torch.equal(augment(grey, only(_18=0.3), HALF, "ada"), grey)  # chosen, but left: one in two is inverted
    y = augment(x, only(_18=0.2), HALF, "ada")
    torch.testing.assert_close(y.mean(1), -x.mean(1))
    torch.testing.assert_close(y - y.mean(1, keepdim=True), x - x.mean(1, keepdim=True))


def test_ada_changes_saturation_and_hue() -> None:
    x = images(1, (3, 6, 6))
    grey = x.mean(1, keepdim=True)
    y = augment(x, only(_21=0.0, _22=cdf(1.0)), HALF, "ada")
    torch.testing.assert_close(y, grey + 2 * (x - grey))
    third = augment(x, only(_19=0.0, _20=0.5 + 1 / 3), HALF, "ada")  # a third of the circle: red becomes green
    torch.testing.assert_close(third, x.roll(1, 1))
    red = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64).view(1, 3, 1, 1)
    sixth = augment(red, only(_19=0.0, _20=0.5 + 1 / 6), HALF, "ada").flatten()
    hue, _, _ = colorsys.rgb_to_hsv(*(0.5 + sixth / 4).tolist())
    assert hue == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    "draws,share",
    [
        ((0, 1, 2), 0.3 * 3 / 4),  # a whole-pixel move is by nought both ways one time in four
        ((5, 6, 9, 10), 0.3),  # one rotation, or both
        ((7, 8), 0.3),
        ((11, 12, 13), 0.3),
        ((14, 15), 0.3),
        ((18,), 0.15),
    ],
)
def test_every_change_is_made_with_probability_p(draws: tuple[int, ...], share: float) -> None:
    n = 20_000
    x = images(1, (1, 8, 8)).expand(n, -1, -1, -1)
    u = torch.full((n, DRAWS), NEVER, dtype=torch.float64)
    u[:, draws] = numbers(n)[:, draws]
    changed = (augment(x, u, torch.tensor(0.3), "ada") != x).flatten(1).any(1)
    assert changed.double().mean().item() == pytest.approx(share, abs=0.013)  # four standard errors


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("grey", [-0.5, 0.25])
def test_the_mean_can_be_had_back_below_one(p: float, grey: float) -> None:
    """Of images of one grey, the changed mean is the mean times a factor known from p, which is 0 only at p = 1."""
    n = 200_000
    x = torch.full((n, 1, 1, 1), grey, dtype=torch.float64)
    mean = augment(x, numbers(n, seed=7), torch.tensor(p), "ada").mean().item()
    contrast = 1 - p + p * np.exp((0.5 * log(2)) ** 2 / 2)
    factor = contrast * (1 - p)
    assert mean / factor == pytest.approx(grey, abs=0.02 / factor * 0.5)
    assert augment(x, numbers(n, seed=7), ALWAYS, "ada").mean().item() == pytest.approx(0.0, abs=0.01)


# --- p ----------------------------------------------------------------------------------------------------------------


def test_p_rises_falls_and_stays_a_probability() -> None:
    p = torch.tensor(0.5)
    assert next_p(p, torch.tensor(0.9), 64).item() == pytest.approx(0.5 + 64 / RAMP)
    assert next_p(p, torch.tensor(-0.2), 64).item() == pytest.approx(0.5 - 64 / RAMP)
    assert next_p(p, torch.tensor(TARGET), 64) == p
    assert next_p(torch.tensor(0.0), torch.tensor(0.0), 64) == 0
    assert next_p(torch.tensor(1.0), torch.tensor(1.0), 64) == 1
    p = torch.tensor(0.0)
    for _ in range(100):
        p = next_p(p, torch.tensor(1.0), RAMP // 100)
    assert p.item() == pytest.approx(1.0)
