"""What one task gives to another: the vector that takes an individual's place in the offspring of a cross-task pair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genwerk.core.component import Component
from genwerk.evolve.multitask.coordinator import Pool, rows
from genwerk.evolve.multitask.problem import Array


class Transfer(ABC):
    """Gives donor vectors, and may learn from the populations to do so."""

    def learn(self, pools: Sequence[Pool], generation: int) -> None:  # noqa: B027
        """See the populations from which the offspring of ``generation`` (from 1) will come."""

    @abstractmethod
    def give(self, pools: Sequence[Pool], task: int, source: int, partner: Array) -> Array:
        """Donor vectors (runs, n, D) for the n individuals of ``task``, the i-th of which is paired with row
        ``partner`` (runs, n) of the population of ``source``."""


@dataclass(frozen=True, kw_only=True)
class Donor(Component):
    """Settings of what is transferred between tasks."""

    @abstractmethod
    def build(self, tasks: int, pop_size: int, dims: int, rngs: Sequence[np.random.Generator]) -> Transfer | None:
        """What gives the donors; None where nothing is transferred."""


@dataclass(frozen=True, kw_only=True)
class Raw(Donor, Transfer, kind="raw"):
    """The partner itself, as it stands in the unified space."""

    def build(self, tasks: int, pop_size: int, dims: int, rngs: Sequence[np.random.Generator]) -> Transfer:
        return self

    def give(self, pools: Sequence[Pool], task: int, source: int, partner: Array) -> Array:
        return rows(pools[source].u, partner)


@dataclass(frozen=True, kw_only=True)
class Constant(Donor, Transfer, kind="constant"):
    """One constant vector, which knows nothing of any task: the baseline for donors that cling to the centre."""

    value: float = 0.5
    """Each coordinate in the unified space, from 0 to 1."""

    def build(self, tasks: int, pop_size: int, dims: int, rngs: Sequence[np.random.Generator]) -> Transfer:
        return self

    def give(self, pools: Sequence[Pool], task: int, source: int, partner: Array) -> Array:
        return np.full_like(pools[task].u, self.value)


@dataclass(frozen=True, kw_only=True)
class NoDonor(Donor, kind="none"):
    """No transfer: each task is solved alone."""

    def build(self, tasks: int, pop_size: int, dims: int, rngs: Sequence[np.random.Generator]) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class GAN(Donor, kind="gan"):
    """A generator for each ordered pair of tasks, which maps the source's population to the target's.

    Public implementations of EMT-GS read the paper in two ways; both are here, and neither is the paper's word.
    ``individual``: an example is an individual, the donor is the generator's image of the source's individual of equal
    rank, and with probability 0.5 the generator of the reverse pair is taken. ``transposed``: an example is one
    variable over all individuals in the order of their ranks, and the donor is the individual's own image in the
    source's domain.
    """

    reading: Literal["individual", "transposed"] = "individual"
    """What an example is."""
    every: int = 10
    """Generations from one training to the next, G."""
    first_epochs: int = 20
    """Epochs of the first training."""
    epochs: int = 2
    """Epochs of each later training."""
    discriminator_lr: float = 2e-4
    """Learning rate of the discriminators."""
    generator_lr: float = 3e-4
    """Learning rate of the generators."""
    batch: int = 10
    """Examples in a batch; what is left over at the end of an epoch is dropped."""

    def build(self, tasks: int, pop_size: int, dims: int, rngs: Sequence[np.random.Generator]) -> Transfer:
        from genwerk.evolve.multitask.gan import GANTransfer

        return GANTransfer(self, tasks, pop_size, dims, rngs)
