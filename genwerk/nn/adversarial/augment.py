"""Augmentation of all that a discriminator sees, so that few examples last longer: pure functions of uniform numbers.

DiffAugment: Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, 2020, arXiv:2006.10738.
ADA: Karras et al., Training Generative Adversarial Networks with Limited Data, 2020, arXiv:2006.06676, appendix B.

Real and fake images are changed alike and the generator learns through the change. ADA applies each change with
probability p alone, so that the distribution of changed images still determines that of the unchanged ones: while p
stays below about 0.8, the changes do not leak into what the generator makes.

Done differently: ADA mirrors no image and gives it no separate quarter turn, for those make other digits, letters and
sides of a face; its geometry is one bilinear look-up, without the wavelet filter; and p moves after every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import pi
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

Augmentation = Literal["none", "diffaugment", "ada"]

DRAWS = 23
"""Uniform numbers that the augmentation of one image takes (all of them by ADA, 7 by DiffAugment)."""

TARGET = 0.6
"""Mean sign of the scores of real images at which p rests (ADA, section 3)."""

RAMP = 500_000
"""Images that the discriminator must see for p to go from 0 to 1."""


def augment(x: Tensor, u: Tensor, p: Tensor, kind: Augmentation) -> Tensor:
    """Images ``x`` in [-1, 1] with shape (n, c, h, w), changed by ``u``, uniform on [0, 1) with shape (n, DRAWS).

    An image depends on its own row of ``u`` alone. ``p``, a scalar in [0, 1], is the probability of each of ADA's
    changes (0 returns the same bits); DiffAugment always applies all of its own. Differentiable twice in ``x``, for R1;
    values may leave [-1, 1].
    """
    with torch.autocast(x.device.type, enabled=False):
        draws = iter(u.to(x.dtype).unflatten(1, (-1, 1, 1, 1)).unbind(1))  # each with shape (n, 1, 1, 1)
        match kind:
            case "none":
                return x
            case "diffaugment":
                return _cutout(_translate(_jitter(x, draws), draws), draws)
            case "ada":
                return _recolour(_transform(x, draws, p), draws, p)


def next_p(p: Tensor, sign: Tensor, images: int) -> Tensor:
    """p after a step on ``images`` real images whose scores have the mean ``sign``: up where D is too sure of them."""
    return (p + (sign - TARGET).sign() * (images / RAMP)).clamp(0, 1)


# --- DiffAugment ------------------------------------------------------------------------------------------------------


def _jitter(x: Tensor, draws: Iterator[Tensor]) -> Tensor:
    """Brightness moved by up to 0.5, saturation times up to 2, contrast times 0.5 to 1.5."""
    x = x + (next(draws) - 0.5)
    x = _from_mean(x, x.mean(1, keepdim=True), 2 * next(draws))
    return _from_mean(x, x.mean((1, 2, 3), keepdim=True), next(draws) + 0.5)


def _translate(x: Tensor, draws: Iterator[Tensor]) -> Tensor:
    """``x`` moved by whole pixels, up to an eighth of its width and its height; zeros come in."""
    h, w = x.shape[2:]
    column, across = _source(next(draws), w)
    row, down = _source(next(draws), h)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    moved = x.movedim(1, 3)[image, row[:, :, None], column[:, None, :]]  # (n, h, w, c)
    inside = down[:, :, None] & across[:, None, :]
    return moved.movedim(3, 1) * inside[:, None]


def _source(u: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Which place along a side each place comes from, and whether there is one, with shape (n, side) each."""
    reach = round(side / 8)
    shift = (u.view(-1, 1) * (2 * reach + 1)).floor().long() - reach
    place = torch.arange(side, device=u.device) - shift
    return place.clamp(0, side - 1), (place >= 0) & (place < side)


def _cutout(x: Tensor, draws: Iterator[Tensor]) -> Tensor:
    """``x`` with a rectangle of half its width and height set to zero, whose middle is anywhere in the image."""
    h, w = x.shape[2:]
    across, down = _gap(next(draws), w), _gap(next(draws), h)
    return x * ~(down[:, :, None] & across[:, None, :])[:, None]


def _gap(u: Tensor, side: int) -> Tensor:
    """Which places along a side the cut takes, with shape (n, side)."""
    length = round(side / 2)
    start = (u.view(-1, 1) * (side + 1 - length % 2)).floor() - length // 2
    place = torch.arange(side, device=u.device)
    return (place >= start) & (place < start + length)


# --- ADA --------------------------------------------------------------------------------------------------------------


def _transform(x: Tensor, draws: Iterator[Tensor], p: Tensor) -> Tensor:
    """Translation, scaling and rotation as one look-up; what lies outside the image is its mirror image."""
    h, w = x.shape[2:]
    some = 1 - (1 - p).sqrt()  # of two rotations, one or both happen with probability p
    steps = [
        (next(draws) < p, _shift(((next(draws) - 0.5) * w / 4).round(), ((next(draws) - 0.5) * h / 4).round())),
        (next(draws) < p, _scale(s := _log_normal(next(draws), 0.2), s)),
        (next(draws) < some, _rotate(2 * pi * next(draws) - pi)),
        (next(draws) < p, _scale(s := _log_normal(next(draws), 0.2), 1 / s)),
        (next(draws) < some, _rotate(2 * pi * next(draws) - pi)),
        (next(draws) < p, _shift(_normal(next(draws)) * w / 8, _normal(next(draws)) * h / 8)),
    ]
    back = torch.eye(3, dtype=x.dtype, device=x.device)
    moved = torch.zeros(len(x), 1, 1, 1, dtype=torch.bool, device=x.device)
    for chosen, inverse in steps:
        back = torch.where(chosen[:, 0], back @ inverse, back)
        moved = moved | chosen
    return torch.where(moved, _look_up(x, back), x)


def _look_up(x: Tensor, back: Tensor) -> Tensor:
    """The image whose pixel at (column, row, 1), counted from the middle, is that of ``x`` at ``back`` times it."""
    h, w = x.shape[2:]
    column = torch.arange(w, dtype=x.dtype, device=x.device) - (w - 1) / 2
    row = (torch.arange(h, dtype=x.dtype, device=x.device) - (h - 1) / 2)[:, None]
    a, b, c, d, e, f = back[:, :2].flatten(1)[:, :, None, None].unbind(1)
    place = torch.stack([(a * column + b * row + c) * 2 / w, (d * column + e * row + f) * 2 / h], dim=3)
    looked_up: Tensor = _LookUp.apply(x, place)  # type: ignore[no-untyped-call]
    return looked_up


class _LookUp(torch.autograd.Function):
    """``grid_sample``, which is linear in ``x``, with a derivative that can itself be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        ctx.size = x.shape[2:]
        return grid_sample(x, place, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (place,) = ctx.saved_tensors
        return _PutBack.apply(gradient, place, ctx.size), None  # type: ignore[no-untyped-call]


class _PutBack(torch.autograd.Function):
    """The transpose of :class:`_LookUp`: every value is added to the pixels, of an image of ``size``, it came from."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, place: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(place)
        bilinear, reflection = 0, 2
        image = y.new_zeros(*y.shape[:2], *size)
        put: Tensor = torch.ops.aten.grid_sampler_2d_backward(
            y, image, place, bilinear, reflection, False, (True, False)
        )[0]
        return put

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (place,) = ctx.saved_tensors
        return _LookUp.apply(gradient, place), None, None  # type: ignore[no-untyped-call]


def _recolour(x: Tensor, draws: Iterator[Tensor], p: Tensor) -> Tensor:
    """Brightness, contrast, inverted luma and, where there are colours, hue and saturation."""
    x = torch.where(next(draws) < p, x + 0.2 * _normal(next(draws)), x)
    x = torch.where(next(draws) < p, x * _log_normal(next(draws), 0.5), x)
    luma = x.mean(1, keepdim=True)
    x = torch.where(next(draws) < p / 2, x - 2 * luma, x)  # one image in two of those that are chosen
    if x.shape[1] == 3:
        x = torch.where(next(draws) < p, _turn_hue(x, 2 * pi * next(draws) - pi), x)
        x = torch.where(next(draws) < p, _from_mean(x, x.mean(1, keepdim=True), _log_normal(next(draws), 1.0)), x)
    return x


def _turn_hue(x: Tensor, angle: Tensor) -> Tensor:
    """Colours with shape (n, 3, h, w) turned about the axis of greys."""
    across = (x.roll(1, 1) - x.roll(-1, 1)) / 3**0.5  # the cross product of the axis and the colour
    turned: Tensor = _from_mean(x, x.mean(1, keepdim=True), angle.cos()) + angle.sin() * across
    return turned


def _from_mean(x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    return mean + factor * (x - mean)


def _normal(u: Tensor) -> Tensor:
    """Standard normal numbers, within 4.9, of uniform ones."""
    normal: Tensor = torch.special.ndtri(u.clamp(5e-7, 1 - 5e-7))
    return normal


def _log_normal(u: Tensor, std: float) -> Tensor:
    """2 to the power of a normal number of standard deviation ``std``."""
    return torch.exp2(std * _normal(u))


# The inverses of moves, as matrices with shape (n, 3, 3): they say where a pixel comes from. The arguments, of shape
# (n, 1, 1, 1), say where it goes: to the right and down, larger, and clockwise (from the column's axis to the row's).


def _shift(right: Tensor, down: Tensor) -> Tensor:
    one, zero = torch.ones_like(right), torch.zeros_like(right)
    return _matrix(one, zero, -right, zero, one, -down)


def _scale(across: Tensor, down: Tensor) -> Tensor:
    zero = torch.zeros_like(across)
    return _matrix(1 / across, zero, zero, zero, 1 / down, zero)


def _rotate(angle: Tensor) -> Tensor:
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _matrix(cos, sin, zero, -sin, cos, zero)


def _matrix(*entries: Tensor) -> Tensor:
    a = entries[0]
    last = [torch.zeros_like(a), torch.zeros_like(a), torch.ones_like(a)]
    matrix: Tensor = torch.stack([e.flatten() for e in (*entries, *last)], 1).unflatten(1, (3, 3))
    return matrix
