"""A large image by windows of the size that a network was trained on, averaged where they overlap.

O. Bar-Tal, L. Yariv, Y. Lipman, T. Dekel: MultiDiffusion: Fusing Diffusion Paths for Controlled Image Generation, 2023,
arXiv:2302.08113: at every step of sampling the image is what is nearest, by least squares, to the steps of all windows,
which is their weighted mean.

Done differently: a window counts ever less towards its edge, so that none is seen; windows overlap by half.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor


class Windows:
    """Windows of at most ``most`` (height, width) of images with ``sides`` (height, width), one image after another."""

    def __init__(self, sides: tuple[int, int], most: tuple[int, int]) -> None:
        self.sides = sides
        self.window = min(sides[0], most[0]), min(sides[1], most[1])
        rows, columns = (starts(*each) for each in zip(sides, self.window, strict=True))
        self.corners = [(top, left) for top in rows for left in columns]
        height, width = (tent(side) for side in self.window)
        self.weight = height[:, None] * width

    def __len__(self) -> int:
        """How many there are in an image."""
        return len(self.corners)

    def cut(self, x: Tensor, which: range) -> Tensor:
        """Some windows of images ``x`` with shape (n, c, *sides): shape (len(which), c, *window)."""
        height, width = self.window
        places = ((i // len(self), *self.corners[i % len(self)]) for i in which)
        return torch.stack([x[i, :, top : top + height, left : left + width] for i, top, left in places])

    def blend(self, parts: Iterable[Tensor], like: Tensor) -> Tensor:
        """Images with the shape of ``like`` from all their windows, which come in order and several at a time: the
        weighted means."""
        height, width = self.window
        whole, total, weight = torch.zeros_like(like), like.new_zeros(self.sides), self.weight.to(like)
        for i, window in enumerate(chain.from_iterable(parts)):
            image, (top, left) = i // len(self), self.corners[i % len(self)]
            whole[image, :, top : top + height, left : left + width] += weight * window
        for top, left in self.corners:
            total[top : top + height, left : left + width] += weight
        return whole.div_(total)


def starts(side: int, window: int) -> list[int]:
    """Where windows begin that overlap by half, the last of which ends where the ``side`` does."""
    return [*range(0, side - window, max(1, window // 2)), side - window]


def tent(side: int) -> Tensor:
    """Weights that rise to 1 in the middle of ``side`` places and fall again, and are above 0."""
    return 1 - ((torch.arange(side) + 0.5) * 2 / side - 1).abs()
