"""Random numbers that belong to an example, not to a batch or a device."""

from __future__ import annotations

import secrets
from typing import Protocol
from zlib import crc32

import torch
from torch import Tensor


class Noise(Protocol):
    """A source of random numbers for n examples; every call goes on where the last one stopped."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers with shape (n, *shape)."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform on [0, 1) with shape (n, *shape)."""
        ...


class SeededNoise:
    """Noise of which example ``i`` draws from its own CPU generator, seeded with ``seed + i``.

    So picture i of a batch is the picture of seed ``seed + i`` alone, on every device and in every batch.
    ``seed=None`` takes a fresh seed from the operating system.
    """

    def __init__(self, n: int, seed: int | None = None, device: torch.device | str = "cpu") -> None:
        if n < 1:
            raise ValueError(f"the number of examples to draw is {n}; it must be 1 or more")
        self.seed = secrets.randbelow(2**31) if seed is None else seed
        self.device = device
        self._generators = [torch.Generator().manual_seed(self.seed + i) for i in range(n)]

    def normal(self, *shape: int) -> Tensor:
        return torch.stack([torch.randn(shape, generator=g) for g in self._generators]).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        return torch.stack([torch.rand(shape, generator=g) for g in self._generators]).to(self.device)


class BatchNoise:
    """Noise for rows ``rows`` of a batch of ``n`` examples, all from one generator.

    Faster than :class:`SeededNoise`, and what training uses: every rank draws the numbers of the whole batch and keeps
    its own rows, so that two processes see what one would have seen.
    """

    def __init__(self, n: int, generator: torch.Generator, rows: slice = slice(None)) -> None:
        self.n, self.generator, self.rows = n, generator, rows

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.n, *shape, generator=self.generator, device=self.generator.device)[self.rows]

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(self.n, *shape, generator=self.generator, device=self.generator.device)[self.rows]


def own_uniform(x: Tensor, levels: int = 256) -> Tensor:
    """Uniform numbers on [0, 1) with the shape of ``x`` in [0, 1], each row seeded by the stored levels that it holds.

    What has to be drawn for an example outside training so belongs to the example: asked again, it is the same.
    """
    stored = (x.detach() * (levels - 1)).round().to(torch.uint8).cpu().flatten(1)
    seeds = [crc32(row.numpy().tobytes()) for row in stored]
    drawn = [torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).to(x)
