"""Augmentation of all that a discriminator sees, as pure functions of uniform numbers."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Augmentation = Literal["none", "diffaugment", "ada"]

DRAWS = 16
"""Uniform numbers that the augmentation of one image takes."""


def augment(x: Tensor, u: Tensor, p: Tensor, kind: Augmentation) -> Tensor:
    """``x`` augmented."""
    return x


def next_p(p: Tensor, sign: Tensor, images: int) -> Tensor:
    """p moved."""
    return p
