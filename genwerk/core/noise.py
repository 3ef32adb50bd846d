"""Random numbers that belong to an example, not to a batch or a device."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from genwerk.core.errors import BadInput

MASK, STRIDE = 2**64 - 1, 0x9E3779B97F4A7C15
"""64 bits, and how far SplitMix64 goes at each step."""


def mix(*numbers: int) -> int:
    """One 63-bit seed from several integers (SplitMix64's finaliser over a running sum; Steele et al., 2014)."""
    state = 0
    for number in numbers:
        state = (state + number + STRIDE) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state >> 1


@dataclass(frozen=True)
class Seeds:
    """The examples of a seed from number ``first`` on: how a part of a larger batch is asked for.

    A plain seed, where one is expected, is its examples from number 0 on.
    """

    seed: int
    """From 0 to 2^64 - 1."""
    first: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MASK:
            raise BadInput(f"the seed is {self.seed}; expected a whole number from 0 to 2^64 - 1")
        if not 0 <= self.first <= MASK:
            raise BadInput(f"the number of the first example is {self.first}; expected 0 or more")

    @classmethod
    def of(cls, seed: Seed | None) -> Seeds:
        """``seed`` as what it stands for; None takes a fresh one from the operating system."""
        if isinstance(seed, Seeds):
            return seed
        return cls(secrets.randbelow(2**32) if seed is None else seed)

    def __add__(self, n: int) -> Seeds:
        """Those ``n`` numbers further on."""
        return Seeds(self.seed, self.first + n)

    def beside(self, use: int = 0) -> Seeds:
        """As many of another seed, one for each ``use``: for what goes with the examples and must not follow them."""
        return Seeds(mix(self.seed, use), self.first)

    def __mul__(self, k: int) -> Seeds:
        """The same where every example has ``k`` numbers."""
        return Seeds(self.seed, self.first * k)


Seed = int | Seeds
"""What examples are drawn by: a seed, or the part of its examples that is wanted."""


def generator(seed: int, number: int = 0) -> torch.Generator:
    """A CPU generator of example ``number`` of ``seed`` alone.

    Number 0 of a seed below 2^32 is what ``manual_seed`` gives, by which the same seed draws the same picture in other
    libraries. All others have the state of the Mersenne Twister filled by SplitMix64 from a 63-bit hash of both, for of
    a seed ``manual_seed`` reads 32 bits: two of 100,000 generators would likely be one.
    """
    if number == 0 and seed < 2**32:
        return torch.Generator().manual_seed(seed)
    z = np.uint64(mix(seed, number)) + np.arange(1, TWISTER + 1, dtype=np.uint64) * np.uint64(STRIDE)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made = torch.Generator().manual_seed(0)
    state = made.get_state()  # 24 bytes of counters, then a word in every 8 bytes
    state[24 : 24 + 8 * TWISTER] = torch.from_numpy((z >> np.uint64(32)).view(np.uint8))
    return made.set_state(state)


TWISTER = 624
"""Words of 32 bits in the state of the Mersenne Twister."""


class Noise(Protocol):
    """A source of random numbers for n examples; every call goes on where the last one stopped."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers with shape (n, *shape)."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform on [0, 1) with shape (n, *shape)."""
        ...


class SeededNoise:
    """Noise of which every example draws from its own CPU generator, that of its seed and number (:func:`generator`).

    So example i of a seed is the same on every device and in every batch, alone as well (``Seeds(seed, i)``).
    """

    def __init__(self, n: int, seed: Seed | None = None, device: torch.device | str = "cpu") -> None:
        if n < 1:
            raise ValueError(f"the number of examples to draw is {n}; it must be 1 or more")
        seeds, self.device = Seeds.of(seed), device
        self.generators = [generator(seeds.seed, seeds.first + i) for i in range(n)]

    def normal(self, *shape: int) -> Tensor:
        return torch.stack([torch.randn(shape, generator=g) for g in self.generators]).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        return torch.stack([torch.rand(shape, generator=g) for g in self.generators]).to(self.device)


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


class ContentNoise(SeededNoise):
    """Noise for examples ``x`` in [0, 1], each of which is seeded by the stored levels that it holds.

    What has to be drawn for an example outside training so belongs to the example: asked again, it is the same.
    """

    def __init__(self, x: Tensor, levels: int = 256) -> None:
        stored = (x.detach() * (levels - 1)).round().to(torch.uint8).cpu().flatten(1)
        self.device = x.device
        self.generators = [generator(crc32(row.numpy().tobytes())) for row in stored]


def own_uniform(x: Tensor, levels: int = 256) -> Tensor:
    """Uniform numbers on [0, 1) with the shape of ``x`` in [0, 1], by :class:`ContentNoise`."""
    return ContentNoise(x, levels).uniform(*x.shape[1:]).to(x)
