"""Creatures of pixel art, drawn by code: pictures of a few flat colours, whose kind is known.

Every creature is put together from parts - body, head, legs, wings, horns, eyes - of random size and place, shaded in
three tones from the upper left and outlined. Shapes are the same to the left and to the right (fish swim to one side),
and colours are, but for the shading. Lengths are in sixteenths of the picture, positions from its middle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.core.errors import BadInput
from genwerk.core.noise import mix
from genwerk.data.indexed import indexed_found
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PALETTE = (
    (226, 236, 240),  # ground
    (38, 30, 52),  # outline
    (255, 255, 255),  # eyes
    (250, 202, 76),  # horns, beaks and feet
    *((150, 44, 66), (218, 76, 78), (246, 148, 122)),  # three tones each: shade, body, light
    *((34, 104, 88), (66, 164, 96), (160, 214, 112)),
    *((56, 70, 150), (78, 128, 214), (136, 200, 244)),
    *((92, 60, 132), (150, 96, 188), (212, 162, 226)),
)
"""Colours of the creatures, red, green and blue."""
GROUND, OUTLINE, WHITE, GOLD, TONES = range(5)
RAMPS = 4

SIZE = 16
"""Height and width of a picture in pixels, unless another is asked for."""


class Canvas:
    """``n`` pictures painted at once, part by part; ``u`` are uniform numbers, ``size`` the pixels of a side."""

    def __init__(self, n: int, size: int, generator: torch.Generator) -> None:
        self.n, self.generator = n, generator
        self.ink = np.full((n, size, size), GROUND, np.uint8)
        middle = (np.arange(size) + 0.5) * 16 / size - 8
        self.y, self.x = middle[:, None], middle[None, :]
        self.side = np.abs(self.x)
        noise = np.kron(self._uniform(n, 8, 4), np.ones((2, 2)))
        smooth = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2) + np.roll(noise, (1, 1), (1, 2))) / 4
        half = np.floor(np.stack(np.broadcast_arrays(self.y + 8, self.side))).astype(int)
        self.spots: Floats = smooth[:, half[0], half[1]]
        """A mirrored pattern in [0, 1] with shape (n, size, size)."""
        first = self.choice(RAMPS)
        self.main = TONES + 3 * first
        """The creature's own colour (its darkest tone), and below another beside it; shape (n, 1, 1)."""
        self.other = TONES + 3 * ((first + 1 + self.choice(RAMPS - 1)) % RAMPS)

    def _uniform(self, *shape: int) -> Floats:
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64).numpy()

    def between(self, low: float, high: float) -> Floats:
        """A random length for each creature, with shape (n, 1, 1)."""
        return low + (high - low) * self._uniform(self.n, 1, 1)

    def choice(self, options: int) -> NDArray[np.int64]:
        return (self._uniform(self.n, 1, 1) * options).astype(np.int64)

    def chance(self, p: float) -> Mask:
        return self._uniform(self.n, 1, 1) < p

    def oval(self, x: Floats | float, y: Floats | float, rx: Floats | float, ry: Floats | float) -> Floats:
        """Squared distance from the centre of an oval, 1 on its edge; mirrored where it is not in the middle."""
        across = self.side - x if np.any(np.asarray(x) != 0) else self.x
        squared: Floats = (across / rx) ** 2 + ((self.y - y) / ry) ** 2
        return squared

    def lit(self, x: Floats | float, y: Floats | float, rx: Floats | float, ry: Floats | float) -> Floats:
        """How far a point of an oval faces the light, from 1 (upper left) to -1; ``x`` on either side of the middle."""
        faced: Floats = -((self.x - np.sign(self.x) * x) / rx + (self.y - y) / ry) / np.sqrt(2)
        return faced

    def part(self, mask: Mask, light: Floats | float, ramp: NDArray[np.int64], *, lined: bool = True) -> None:
        """Paint what ``mask`` covers in the tones of ``ramp``; ``lined``, with a line against what lies below it."""
        mask = np.broadcast_to(mask, self.ink.shape)
        if lined:
            self.ink[grown(mask) & ~mask & (self.ink != GROUND)] = OUTLINE
        light = np.broadcast_to(light, self.ink.shape)
        tone = (light > -0.35).astype(np.uint8) + (light > 0.3)
        np.copyto(self.ink, (ramp + tone).astype(np.uint8), where=mask)

    def ball(self, x: Floats | float, y: Floats, rx: Floats, ry: Floats, ramp: NDArray[np.int64]) -> Mask:
        """A shaded oval; returns what it covers."""
        mask: Mask = self.oval(x, y, rx, ry) <= 1
        self.part(mask, self.lit(x, y, rx, ry), ramp)
        return mask

    def flat(self, mask: Mask, colour: int) -> None:
        """Paint what ``mask`` covers in one colour."""
        self.ink[np.broadcast_to(mask, self.ink.shape)] = colour

    def eyes(self, x: Floats, y: Floats, tall: Floats) -> None:
        """Two white eyes with pupils towards the middle, or bare pupils where ``tall`` is below 1."""
        column, row = np.floor(self.side - np.floor(x)), np.floor(self.y - np.floor(y))
        eye = (column >= 0) & (column < 2) & (row >= 0) & (row < np.maximum(np.round(tall), 1))
        bare = tall < 1
        self.flat(eye & ~bare, WHITE)
        self.flat(eye & (column == 0) & ((row >= np.round(tall) - 2) | bare), OUTLINE)

    def finished(self) -> NDArray[np.uint8]:
        """The pictures as indices into :data:`PALETTE`, outlined, with shape (n, size, size)."""
        filled = (self.ink != GROUND) & (self.ink != OUTLINE)
        self.ink[grown(filled) & ~filled] = OUTLINE
        return self.ink


def grown(mask: Mask) -> Mask:
    """``mask`` and the four neighbours of each of its pixels."""
    wide = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    around: Mask = mask | wide[:, :-2, 1:-1] | wide[:, 2:, 1:-1] | wide[:, 1:-1, :-2] | wide[:, 1:-1, 2:]
    return around


# --- body plans -----------------------------------------------------------------------------------------------------


def beetle(c: Canvas) -> None:
    """Six legs, feelers, and a spotted shell in two halves, from above."""
    rx, ry, y = c.between(3.2, 5.2), c.between(3.2, 4.6), c.between(1.2, 2.0)
    reach, slope = rx + c.between(1.6, 3.0), c.between(-0.8, 0.8)
    for k in (-1, 0, 1):
        row = np.round(y + 2.6 * k + slope * k * (c.side - rx))
        c.flat((np.floor(c.y) == row) & (c.side < np.minimum(reach, 7.9)) & (c.side > 1), OUTLINE)
    head_y, head = y - ry - c.between(0.0, 0.8), c.between(1.8, 2.8)
    feeler = np.abs(c.side - 1 - (head_y - c.y) * c.between(0.2, 0.9)) < 0.6
    c.flat(feeler & (c.y < head_y - 1) & (c.y > -7.5), OUTLINE)
    c.ball(0, head_y, head, head * 0.9, c.other)
    shell = c.ball(0, y, rx, ry, c.main)
    spots = shell & (c.spots > c.between(0.45, 0.75)) & (c.oval(0, y, rx, ry) < 0.75) & (c.side > 1)
    c.part(spots, c.lit(0, y, rx, ry), c.other, lined=False)
    c.part(shell & (c.side < 1) & c.chance(0.7), -1.0, c.main, lined=False)
    c.eyes(np.minimum(head - 1, 1.0), head_y - 1, np.zeros_like(head))


def biped(c: Canvas) -> None:
    """A body on two legs with arms, a pale belly, and a head with ears or horns."""
    rx, ry, y = c.between(2.6, 4.2), c.between(2.4, 3.4), c.between(2.2, 3.0)
    apart = rx * c.between(0.45, 0.7)
    c.part((np.abs(c.side - apart) < c.between(0.8, 1.4)) & (c.y > y) & (c.y < 7), 0.0, c.main)
    c.flat((np.abs(c.side - apart) < 1.4) & (c.y > 6) & (c.y < 7) & c.chance(0.5), GOLD)
    c.ball(rx + 0.2, y - c.between(0.2, 1.4), c.between(1.0, 1.6), c.between(1.2, 2.2), c.main)
    body = c.ball(0, y, rx, ry, c.main)
    belly = body & (c.oval(0, y + 0.6, rx * 0.62, ry * 0.7) <= 1)
    c.part(belly & c.chance(0.7), 0.6, c.other, lined=False)
    head_x, head_y, head = c.between(3.2, 4.9), c.between(-3.0, -2.0), c.between(2.6, 3.6)
    ear_x, tip = head_x * c.between(0.55, 0.95), head_y - head - c.between(-0.2, 1.8)
    ear = (np.abs(c.side - ear_x) < (c.y - tip) * c.between(0.3, 0.6)) & (c.y < head_y) & (c.y > -7)
    horned = c.chance(0.35)
    c.part(ear & ~horned & c.chance(0.8), 0.0, c.main)
    c.flat(ear & horned & (np.abs(c.side - ear_x) < 1), GOLD)
    face = c.ball(0, head_y, head_x, head, c.main)
    c.part(face & (c.y > head_y + head * 0.35) & c.chance(0.4), 0.6, c.other, lined=False)
    c.eyes(c.between(1.0, 2.2), head_y - c.between(0.4, 1.2), c.between(0.4, 3.2))
    c.flat((c.side < 1) & (np.floor(c.y) == np.floor(head_y + head * 0.55)) & c.chance(0.6), OUTLINE)


def ghost(c: Canvas) -> None:
    """A dome with a waving hem, large eyes, and a flame or a crown."""
    rx, top, hem = c.between(3.6, 5.8), c.between(-5.2, -3.2), c.between(4.5, 6.6)
    dome = c.between(3.0, 5.0)
    wave = c.between(0.6, 1.6) * np.cos(c.side * np.pi / c.between(1.2, 2.2) + c.between(0, 6.28))
    below = (c.side < rx) & (c.y > top + dome) & (c.y < np.minimum(hem + wave, 7))
    c.part((np.abs(c.side - rx) < 1.2) & (np.abs(c.y - c.between(0.5, 2.5)) < 1) & c.chance(0.6), 0.0, c.main)
    crown = (c.side < rx * 0.7) & (c.y > np.maximum(top - 2, -7)) & (c.y < top + 1) & (np.floor(c.side) % 2 == 0)
    c.flat(crown & c.chance(0.3), GOLD)
    c.part((c.oval(0, top + dome, rx, dome) <= 1) & (c.y <= top + dome) | below, c.lit(0, 0.5, rx, 6.5), c.main)
    patch = (c.oval(0, hem - 1, rx * 0.6, 2.6) <= 1) & below
    c.part(patch & c.chance(0.4), 0.0, c.other, lined=False)
    eye = c.between(1.0, 2.4)
    eye_y = top + dome - c.between(0.0, 1.6)
    c.eyes(eye, eye_y, c.between(0.6, 3.6))
    c.flat((c.side < c.between(0.6, 2.0)) & (np.floor(c.y) == np.floor(eye_y) + 4) & c.chance(0.75), OUTLINE)


def bat(c: Canvas) -> None:
    """A round body with two wings, ears and feet."""
    r, y, span = c.between(2.4, 3.6), c.between(0.0, 1.6), c.between(6.2, 7.0)
    high, low = c.between(1.5, 4.5), c.between(0.5, 3.0)
    along = (c.side / span).clip(0, 1)
    upper = y - high * along ** c.between(0.5, 1.6)
    lower = y + low * (1 - along) + np.abs(np.sin(c.side * np.pi / c.between(1.6, 2.6))) * c.between(0.6, 1.4) + 0.6
    wing = (c.y > np.maximum(upper - 0.7, -7)) & (c.y < np.minimum(lower, 7)) & (c.side < span)
    c.part(wing, 0.8 - 1.6 * (c.y - upper) / (lower - upper + 0.5), c.other)
    tip = y - r - c.between(0.8, 2.6)
    c.part((np.abs(c.side - r * 0.6) < (c.y - tip) * 0.55) & (c.y < y) & (c.y > -7) & c.chance(0.85), 0.0, c.main)
    c.flat((np.abs(c.side - 1.5) < 0.6) & (c.y > y) & (c.y < np.minimum(y + r + 1.2, 7)), GOLD)
    body = c.ball(0, y, r, r * c.between(0.9, 1.25), c.main)
    c.part(body & (c.y > y + r * 0.4) & c.chance(0.5), 0.6, c.other, lined=False)
    c.eyes(np.ones_like(r), y - c.between(0.6, 1.6), c.between(0.3, 2.6))
    c.flat((c.side < 1) & (np.floor(c.y) == np.floor(y + 1)) & c.chance(0.5), GOLD)


def fish(c: Canvas) -> None:
    """A swimmer seen from the side, its head to the left or to the right."""
    ahead = np.where(c.chance(0.5), 1, -1)
    x = c.x * ahead
    rx, ry, y = c.between(3.6, 5.0), c.between(2.2, 4.2), c.between(-0.8, 0.8)
    shift = c.between(0.8, 1.6)
    length, spread = c.between(2.2, 3.6), c.between(0.5, 1.1)
    back = shift - rx * 0.8 - x
    tail = (back > 0) & (back < length) & (x > -7)
    notch = c.between(0.0, 0.7) * np.maximum(back - length * 0.35, 0)
    tail = tail & (np.abs(c.y - y) < 0.8 + spread * back) & (np.abs(c.y - y) >= notch)
    c.part(tail, -0.8 * (c.y - y) / 3, c.other)
    fin_x, fin = shift - c.between(0.0, 2.0), c.between(1.2, 3.0)
    dorsal = (np.abs(x - fin_x) < fin) & (c.y < y) & (c.y > np.maximum(y - ry - c.between(0.8, 2.4), -7))
    c.part(dorsal & (x - fin_x < c.y - (y - ry) + fin), 0.4, c.other)
    ventral = (np.abs(x - fin_x) < fin * 0.6) & (c.y > y) & (c.y < np.minimum(y + ry + c.between(0.4, 1.6), 7))
    c.part(ventral & c.chance(0.7), -0.5, c.other)
    inside = ((x - shift) / rx) ** 2 + ((c.y - y) / ry) ** 2
    light = -((c.x - shift * ahead) / rx + (c.y - y) / ry) / np.sqrt(2)
    c.part(inside <= 1, light, c.main)
    period = c.between(2.0, 3.6)
    stripes = (((x - shift) / period + c.between(0, 1)) % 1 < 0.45) & (x < shift + rx * 0.2) & (inside < 0.9)
    spotted = (c.spots > 0.55) & (inside < 0.7) & (x < shift + rx * 0.2)
    striped = c.chance(0.5)
    c.part(np.where(striped, stripes, spotted) & c.chance(0.75), light, c.other, lined=False)
    eye_x, eye_y = np.floor(shift + rx * 0.45), np.floor(y - ry * 0.25)
    white = (np.floor(x) >= eye_x) & (np.floor(x) < eye_x + 2) & (np.floor(c.y) >= eye_y) & (np.floor(c.y) < eye_y + 2)
    c.flat(white, WHITE)
    c.flat(white & (np.floor(x) == eye_x + 1) & (np.floor(c.y) >= eye_y + c.choice(2)), OUTLINE)
    c.flat((x > shift + rx * 0.7) & (np.floor(c.y) == np.floor(y + ry * 0.4)) & (inside < 1), OUTLINE)


PLANS: dict[str, Callable[[Canvas], None]] = {plan.__name__: plan for plan in (bat, beetle, biped, fish, ghost)}
"""How each kind of creature is drawn."""


def draw(plan: str, n: int, seed: int, size: int = SIZE) -> NDArray[np.uint8]:
    """``n`` creatures of the kind ``plan``, as indices into :data:`PALETTE` with shape (n, size, size)."""
    canvas = Canvas(n, size, torch.Generator().manual_seed(seed))
    PLANS[plan](canvas)
    return canvas.finished()


def open_sprites(settings: DataConfig) -> Found:
    """4,000 training and 1,000 test creatures, as many of each kind; their size is the one asked for."""
    size = settings.size or SIZE
    if not 8 <= size <= 64:
        raise BadInput(f"sprites are drawn with sides of 8 to 64 pixels, not {size}; take ‹data.size› {SIZE}")
    kinds, each = len(PLANS), 5_000 // len(PLANS)
    drawn = [draw(plan, each, mix(settings.seed, i), size) for i, plan in enumerate(PLANS)]
    x = np.stack(drawn, axis=1).reshape(-1, size, size)
    y = np.tile(np.array(list(PLANS)), each)
    note = f"Creatures drawn with seed {settings.seed} in {len(PALETTE)} colours; {kinds} kinds, as many of each."
    return indexed_found(x[:4_000], x[4_000:], y[:4_000], y[4_000:], PALETTE, settings, name="sprites", note=note)
