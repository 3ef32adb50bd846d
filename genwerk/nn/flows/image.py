"""Multi-scale flows of images: pixels squeezed into channels, and half of the channels factored out after each scale.

Dinh, Sohl-Dickstein & Bengio, RealNVP, 2017, arXiv:1605.08803, sections 3.6 and 3.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.spec import DataSpec
from genwerk.nn.flows.coupling import Halves, Shape
from genwerk.nn.flows.transform import Transform, Transformed


def squeezed(shape: Shape) -> Shape:
    """Shape of an image with ``shape`` after :class:`Squeeze`."""
    c, h, w = shape
    return 4 * c, h // 2, w // 2


class Squeeze(Transform):
    """Blocks of 2x2 pixels to channels: all channels of the top left, then the top right and the bottom two.

    So the first half of the channels is every second row of pixels, which is another half than a checkerboard's.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        z = F.pixel_unshuffle(x, 2).unflatten(1, (x.shape[1], 4)).transpose(1, 2).flatten(1, 2)
        return z, x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        x = F.pixel_shuffle(z.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)
        return x, z.new_zeros(len(z))


class MultiScale(Transform):
    """Scales in a row; after each but the last the second half of the channels is factored out and goes no further.

    ``shapes`` are those in which the ``scales`` leave an example. What was factored out and what went through all
    scales is flattened and joined, in this order, to rows with shape (n, dims). A scale that ends in a coupling which
    moves the second half gives what is factored out a mean and a scale that depend on what goes on: the learned prior
    of Glow (Kingma & Dhariwal, 2018), here a transform to the standard normal.
    """

    def __init__(self, scales: Sequence[Transform], shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.scales, self.halves = nn.ModuleList(scales), Halves()
        self.leaving = [self.halves.shapes(shape)[1] for shape in shapes[:-1]] + [tuple(shapes[-1])]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        log_det = x.new_zeros(len(x))
        parts: list[Tensor] = []
        for scale in self.scales:
            x, change = scale(x, context)
            log_det = log_det + change
            if len(parts) < len(self.scales) - 1:
                x, part = self.halves.apart(x)
                parts.append(part.flatten(1))
        return torch.cat([*parts, x.flatten(1)], 1), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        log_det = z.new_zeros(len(z))
        x: Tensor | None = None
        parts = z.split([prod(shape) for shape in self.leaving], 1)
        for scale, shape, rows in zip(reversed(self.scales), reversed(self.leaving), reversed(parts), strict=True):
            assert isinstance(scale, Transform)
            part = rows.unflatten(1, shape)
            x, change = scale.inverse(part if x is None else self.halves.together(x, part), context)
            log_det = log_det + change
        assert x is not None
        return x, log_det


def halvings(spec: DataSpec) -> int:
    """How often both sides of an image of ``spec`` can be halved."""
    return min(((side & -side).bit_length() - 1 for side in spec.shape[1:]), default=0)


def check_sides(spec: DataSpec, scales: int, setting: str = "scales") -> None:
    """A ValueError, which names the sizes that work, unless both sides of an image can be halved ``scales`` times.

    ``setting`` is what the number of scales is called in the settings.
    """
    if scales < 1:
        raise BadSetting(setting, f"is {scales}; a flow of images needs 1 or more")
    times = halvings(spec)
    if times >= scales:
        return
    height, width = spec.shape[1:]
    how = {0: "cannot be halved", 1: "can be halved once"}.get(times, f"can be halved {times} times")
    size = -(-max(height, width) // 2**scales) * 2**scales
    raise BadInput(
        f"images of {height}x{width} pixels {how} and {scales} scales need sides divisible by {2**scales}: "
        f"take ‹data.size› {size}" + (f" or ‹{setting}› {times}" if times else "")
    )
