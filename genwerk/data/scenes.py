"""Scenes, drawn by code: one coloured shape on a grey ground, with a caption that says what is seen and where.

A caption names one of six shapes, six colours, two sizes and four positions: 288 captions in all, such as "a small red
ring on the left side". Place, radius, hue, saturation, brightness and ground vary within a caption, so that no two
pictures are the same. Combinations that :func:`held_out` names never occur in training: what a model makes of them it
has put together from words that it knows apart. Lengths are in thirty-seconds of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import cos, hypot, pi, sin

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.noise import mix
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

SIZE = 32
"""Height and width of a picture in pixels, unless another is asked for."""
TRAIN, TEST = 20_000, 1_000
"""Number of training pictures, and of test pictures of seen and of held-out combinations each."""


# --- shapes -----------------------------------------------------------------------------------------------------------

Outline = Callable[[Tensor, Tensor], Tensor]
"""Distance from the outline of a shape of radius 1, negative inside, of points x right of and y below its centre."""


def circle(x: Tensor, y: Tensor) -> Tensor:
    return torch.hypot(x, y) - 1


def cross(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.abs(), y.abs()
    return torch.maximum(torch.maximum(x, y) - 1, torch.minimum(x, y) - 0.32)


def ring(x: Tensor, y: Tensor) -> Tensor:
    return (torch.hypot(x, y) - 0.75).abs() - 0.25


def square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.86


def star(x: Tensor, y: Tensor) -> Tensor:
    return pointed(x, y - 0.08, points=5, tip=1.08, notch=0.46)


def triangle(x: Tensor, y: Tensor) -> Tensor:
    return pointed(x, y - 0.29, points=3, tip=1.15, notch=0.575)


def pointed(x: Tensor, y: Tensor, *, points: int, tip: float, notch: float) -> Tensor:
    """A star, the first of its points straight up, whose tips and notches are so far from its centre.

    Folded into half a sector, its outline is the line from a tip to the notch beside it.
    """
    half = pi / points
    radius, angle = torch.hypot(x, y), torch.atan2(x, -y)
    angle = ((angle + half) % (2 * half) - half).abs()
    down, out = tip - notch * cos(half), notch * sin(half)
    return ((radius * angle.cos() - tip) * out + radius * angle.sin() * down) / hypot(down, out)


SHAPES: dict[str, Outline] = {shape.__name__: shape for shape in (circle, cross, ring, square, star, triangle)}
COLOURS: dict[str, float] = {"red": 0, "yellow": 57, "green": 120, "cyan": 183, "blue": 228, "purple": 288}
"""Hue of each colour in degrees."""
SIZES: dict[str, tuple[float, float]] = {"small": (3.6, 4.4), "large": (6.6, 7.6)}
"""Least and greatest radius of a shape."""
POSITIONS: dict[str, tuple[float, float]] = {
    "on the left side": (-7, 0),
    "on the right side": (7, 0),
    "at the top": (0, -7),
    "at the bottom": (0, 7),
}
"""How far right of and below the middle of the picture a shape is."""
SHIFT = 1.25
"""Greatest distance of a shape's centre from its position, along either axis."""
HUE = 8.0
"""Greatest distance of a hue from that of its colour, in degrees."""


# --- captions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """What a picture shows; as text, its caption."""

    shape: str
    colour: str
    size: str
    position: str

    def __str__(self) -> str:
        return f"a {self.size} {self.colour} {self.shape} {self.position}"


@cache
def _scenes() -> dict[str, Scene]:
    """Every scene by its caption."""
    return {str(s): s for s in (Scene(*words) for words in product(SHAPES, COLOURS, SIZES, POSITIONS))}


def captions() -> tuple[str, ...]:
    """All 288 captions."""
    return tuple(_scenes())


def parse(caption: str) -> Scene:
    """The scene that ``caption`` describes; a ValueError where it is none of :func:`captions`."""
    scene = _scenes().get(" ".join(caption.lower().split()))
    if scene is None:
        raise ValueError(
            f"{caption!r} describes no scene; expected a size, a colour, a shape and a position, as in "
            f"'a small red ring on the left side', of: {', '.join((*SIZES, *COLOURS, *SHAPES, *POSITIONS))}"
        )
    return scene


def held_out(caption: str) -> bool:
    """Whether no training picture shows this shape in this colour at this position, in whatever size.

    These are the scenes whose shape, colour and position, by their order in the tables above, add up to a multiple of
    6: 48 of the 288. Any two attributes do occur together in training, and each shape, colour, size or position is held
    out as often as any other.
    """
    scene = parse(caption)
    order = (list(SHAPES).index(scene.shape), list(COLOURS).index(scene.colour), list(POSITIONS).index(scene.position))
    return sum(order) % 6 == 0


# --- pictures ---------------------------------------------------------------------------------------------------------


def draw(scenes: Sequence[Scene], u: Tensor, size: int = SIZE) -> Tensor:
    """Antialiased pictures of ``scenes``, float32 in [0, 1] with shape (n, 3, size, size).

    ``u`` holds numbers in [0, 1] with shape (n, 7) for what a caption leaves open: the shape's shift to the right and
    down, radius, hue, saturation and brightness, and the brightness of the ground.
    """
    right, down, radius, hue, saturation, value, ground = u.view(-1, 7, 1, 1, 1).unbind(1)
    x0, y0 = torch.tensor([POSITIONS[s.position] for s in scenes]).view(-1, 2, 1, 1, 1).unbind(1)
    low, high = torch.tensor([SIZES[s.size] for s in scenes]).view(-1, 2, 1, 1, 1).unbind(1)
    radius = low + (high - low) * radius
    unit = 32 / size
    middle = (torch.arange(size) + 0.5) * unit - 16
    x = (middle - x0 - SHIFT * (2 * right - 1)) / radius
    y = (middle[:, None] - y0 - SHIFT * (2 * down - 1)) / radius
    distance = torch.empty(len(scenes), 1, size, size)
    for shape, outline in SHAPES.items():
        rows = torch.tensor([s.shape == shape for s in scenes])
        distance[rows] = outline(x[rows], y[rows])
    covered = (0.5 - distance * radius / unit).clamp(0, 1)
    hue = torch.tensor([COLOURS[s.colour] for s in scenes]).view(-1, 1, 1, 1) + HUE * (2 * hue - 1)
    colour = rgb(hue, 0.75 + 0.25 * saturation, 0.7 + 0.3 * value)
    return torch.lerp((0.06 + 0.34 * ground).expand_as(colour), colour, covered)


def rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Red, green and blue with shape (n, 3, 1, 1) of a hue in degrees, and the rest in [0, 1], each (n, 1, 1, 1)."""
    k = (torch.tensor([5, 3, 1]).view(3, 1, 1) + hue / 60) % 6
    return value * (1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1))


def examples(known: Sequence[str], n: int, *seed: int, size: int = SIZE) -> tuple[Tensor, list[str]]:
    """``n`` pictures, uint8 with shape (n, 3, size, size), with their captions: ``known`` in random order, over again.

    What is random about picture i comes from a generator of its own, made from ``seed`` and i.
    """
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(mix(*seed))).tolist()
    texts = [known[order[i % len(known)]] for i in range(n)]
    u = torch.stack([torch.rand(7, generator=torch.Generator().manual_seed(mix(*seed, i))) for i in range(n)])
    parts = [slice(start, start + 64) for start in range(0, n, 64)]  # fits a CPU's cache
    pictures = (draw([parse(text) for text in texts[part]], u[part], size) for part in parts)
    return torch.cat([(255 * p).round().to(torch.uint8) for p in pictures]), texts


def open_scenes(settings: DataConfig) -> Found:
    """20,000 training pictures of seen combinations, and 2,000 test pictures, in turn of a seen and a held-out one."""
    size = settings.size or SIZE
    if not 16 <= size <= 128:
        raise BadInput(f"scenes are drawn with sides of 16 to 128 pixels, not {size}; take ‹data.size› {SIZE}")
    if settings.colour == "grey":
        raise BadInput("scenes are told apart by colour and are not drawn in grey; take ‹data.colour› rgb")
    seen = [c for c in captions() if not held_out(c)]
    new = [c for c in captions() if held_out(c)]
    train = examples(seen, TRAIN, settings.seed, 0, size=size)
    tests = [examples(known, TEST, settings.seed, i, size=size) for i, known in enumerate((seen, new), 1)]
    test_x = torch.stack([x for x, _ in tests], dim=1).flatten(0, 1)
    test_texts = [text for pair in zip(*(texts for _, texts in tests), strict=True) for text in pair]
    spec = DataSpec(kind="image", shape=(3, size, size), captions=True)
    note = (
        f"Scenes drawn with seed {settings.seed}: training shows {len(seen)} combinations of attributes, and every "
        f"other test picture one of the {len(new)} left."
    )
    return Found(
        train=Dataset(x=train[0], spec=spec, captions=train[1]),
        test=Dataset(x=test_x, spec=spec, captions=test_texts),
        notes=(note,),
    )
