"""Phases of the moon, drawn by code: pictures whose one meaningful factor, the illuminated fraction, is known.

Between a full moon and a half moon lies a three-quarter moon, not a cross-fade of the two. Place and size vary by less
than a pixel, so that a code of two numbers has little else to hold than the fraction. Whether a model's halfway
picture is one is measured by :func:`fraction`: the nearest picture that :func:`draw` can make, and how far it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

SIZE = 32
"""Height and width of a picture in pixels."""
RADIUS = (10.25, 10.75)
"""Least and greatest radius of the moon in pixels."""
SHIFT = 0.5
"""Greatest distance of the moon's centre from the middle of the picture, in pixels along either axis."""


def draw(
    fraction: Tensor | float, dx: Tensor | float = 0.0, dy: Tensor | float = 0.0, radius: Tensor | float = 10.5
) -> Tensor:
    """Waxing moons on black, antialiased, float32 in [0, 1] with shape (n, 1, 32, 32).

    ``fraction`` of the disc is lit, in [0, 1] (0 new, 0.5 half, 1 full), from the right limb up to the terminator, half
    an ellipse. ``dx`` and ``dy`` shift the moon to the right and down and ``radius`` is its radius, all in pixels. The
    arguments are numbers or tensors with shape (n,).
    """
    given = (torch.as_tensor(v, dtype=torch.float32).reshape(-1, 1) for v in (fraction, dx, dy, radius))
    fraction, dx, dy, radius = torch.broadcast_tensors(*given)
    lines = 8  # each pixel is covered by this many lines; along a line its lit part is exact
    y = (torch.arange(SIZE * lines) + 0.5) / lines - SIZE / 2
    half = (radius**2 - (y - dy) ** 2).clamp(min=0).sqrt()
    left, right = dx + half * (1 - 2 * fraction), dx + half
    edge = torch.arange(SIZE) - SIZE / 2
    moons = []
    for start, end in zip(left[..., None].split(64), right[..., None].split(64), strict=True):  # fits a CPU's cache
        lit = torch.minimum(end, edge + 1).sub_(torch.maximum(start, edge)).clamp_(0, 1)
        moons.append(lit.reshape(-1, 1, SIZE, lines, SIZE).mean(3))
    return torch.cat(moons)


@dataclass(frozen=True)
class Reading:
    """The nearest phase to each of n pictures."""

    fraction: Tensor
    """Illuminated fraction in [0, 1] with shape (n,)."""
    residual: Tensor
    """Root mean square distance from the picture to that phase, in units of full brightness, with shape (n,)."""


def fraction(x: Tensor, steps: int = 20) -> Reading:
    """What phase each of the pictures ``x`` shows, and how well; ``x`` is in [0, 1] with shape (n, 1, 32, 32).

    The four parameters of :func:`draw` are fitted by least squares: the best of a coarse set of phases starts
    ``steps`` of Levenberg-Marquardt, each picture with a damping of its own.
    """
    if x.shape[1:] != (1, SIZE, SIZE):
        raise ValueError(
            f"the pictures have shape {tuple(x.shape)}; expected (n, 1, {SIZE}, {SIZE}), as phases are drawn"
        )
    x = x.detach().float().cpu()
    p = _coarse(x)
    low = torch.tensor([0.0, -SHIFT - 1, -SHIFT - 1, RADIUS[0] - 1])
    high = torch.tensor([1.0, SHIFT + 1, SHIFT + 1, RADIUS[1] + 1])
    delta = torch.tensor([0.02, 0.25, 0.25, 0.25])  # to both sides: a pixel's light has a kink where an edge leaves it
    damping = torch.full((len(x), 1), 1e-2)

    def error(p: Tensor) -> Tensor:
        return (draw(*p.unbind(1)) - x).flatten(1)

    r = error(p)
    for _ in range(steps):
        columns = []
        for i in range(4):
            below, above = p.clone(), p.clone()
            below[:, i] = (p[:, i] - delta[i]).clamp(min=low[i])
            above[:, i] = (p[:, i] + delta[i]).clamp(max=high[i])
            columns.append((error(above) - error(below)) / (above - below)[:, i : i + 1])
        jacobian = torch.stack(columns, dim=2)
        normal = jacobian.mT @ jacobian
        scale = normal.diagonal(dim1=1, dim2=2) + 1e-3
        move = torch.linalg.solve(normal + torch.diag_embed(damping * scale), jacobian.mT @ r[:, :, None])[:, :, 0]
        new = torch.minimum(torch.maximum(p - move, low), high)
        r_new = error(new)
        better = r_new.square().sum(1, keepdim=True) < r.square().sum(1, keepdim=True)
        p, r = torch.where(better, new, p), torch.where(better, r_new, r)
        damping = torch.where(better, damping / 3, damping * 3).clamp(1e-7, 1e4)
    return Reading(p[:, 0], r.square().mean(1).sqrt())


def _coarse(x: Tensor) -> Tensor:
    """Parameters (fraction, dx, dy, radius) of the nearest phase of a coarse set, with shape (n, 4)."""
    fractions = torch.linspace(0, 1, 41) ** 1.5  # closer together where a crescent is thin
    shift = torch.linspace(-SHIFT, SHIFT, 5)
    grid = torch.cartesian_prod(fractions, shift, shift, torch.linspace(*RADIUS, 3))
    return grid[torch.cdist(x.flatten(1), draw(*grid.unbind(1)).flatten(1)).argmin(1)]


def open_phases(settings: DataConfig) -> Found:
    """4,000 training and 1,000 test moons: fraction, place and size are uniform and independent."""
    u = torch.rand(5_000, 4, generator=torch.Generator().manual_seed(settings.seed))
    dx, dy = ((2 * u[:, i] - 1) * SHIFT for i in (1, 2))
    pictures = draw(u[:, 0], dx, dy, RADIUS[0] + (RADIUS[1] - RADIUS[0]) * u[:, 3])
    x = (255 * pictures).round().to(torch.uint8)
    spec = DataSpec(kind="image", shape=(1, SIZE, SIZE))
    note = f"Waxing moons drawn with seed {settings.seed}: the lit fraction is uniform from new to full."
    train, test = (Dataset(x=part, spec=spec) for part in (x[:4_000], x[4_000:]))
    return Found(train=train, test=test, notes=(note,))
