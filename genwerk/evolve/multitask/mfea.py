"""MO-MFEA: multifactorial evolution, in which individuals of different tasks mate with a fixed probability.

Gupta, Ong, Feng & Tan, Multiobjective Multifactorial Optimization in Evolutionary Multitasking, IEEE Transactions on
Cybernetics 47(7):1652-1665, 2017. There the number of a generation's children that are of a task varies around the
population's size; here each task has exactly that number, so that tasks get equal evaluations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genwerk.core.errors import NOUGHT, check_ranges
from genwerk.evolve.multitask.algorithm import MultitaskConfig
from genwerk.evolve.multitask.coordinator import Coordinator, rows
from genwerk.evolve.multitask.problem import Array, MultitaskProblem
from genwerk.evolve.multitask.variation import polynomial_mutation, simulated_binary


@dataclass(frozen=True, kw_only=True)
class MOMFEAConfig(MultitaskConfig, kind="mo-mfea"):
    """Several tasks together, whose individuals mate with a fixed probability (Gupta et al., 2017)."""

    rmp: float = 0.3
    """Random mating probability: that two individuals of different tasks mate; 0 solves each task alone."""
    crossover_eta: float = 20
    """Distribution index of simulated binary crossover."""
    mutation_eta: float = 15
    """Distribution index of polynomial mutation, of 1/D of the variables."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "", rmp=(0, 1), crossover_eta=NOUGHT, mutation_eta=NOUGHT)

    def coordinate(self, problem: MultitaskProblem, seeds: Sequence[int | np.random.Generator]) -> MOMFEA:
        return MOMFEA(self, problem, seeds)


class MOMFEA(Coordinator):
    """The algorithm, for any number of tasks."""

    def __init__(
        self, config: MOMFEAConfig, problem: MultitaskProblem, seeds: Sequence[int | np.random.Generator]
    ) -> None:
        super().__init__(problem, config.pop_size, seeds)
        self.config = config

    def offspring(self) -> list[Array]:
        return [self._children(task) for task in range(len(self.pools))]

    def _children(self, task: int) -> Array:
        """Assortative mating and vertical cultural transmission: Algorithm 2 of the paper, seen by one task."""
        tasks, (n, d) = len(self.pools), self.pools[task].u.shape[1:]
        chance = self.uniform(n, 3 * d + 7)
        parent = rows(self.pools[task].u, tournament(chance[..., 0], chance[..., 1], n))
        others = [k for k in range(tasks) if k != task]
        foreign = (chance[..., 2] < (tasks - 1) / tasks) & bool(self.config.rmp)
        mates = foreign & (chance[..., 3] < self.config.rmp)
        alone = foreign & ~mates
        index = tournament(chance[..., 4], chance[..., 5], n)
        partner = rows(self.pools[task].u, index)
        which = (chance[..., 6] * len(others)).astype(int)
        for k, source in enumerate(others):
            chosen = (mates & (which == k))[..., None]
            partner = np.where(chosen, rows(self.pools[source].u, index), partner)
        spread, kind, mutate = np.split(chance[..., 7:], 3, axis=-1)
        swap = mates[..., None] & (chance[..., 3:4] < self.config.rmp / 2)  # half take after the other task's parent
        first, second = np.where(swap, partner, parent), np.where(swap, parent, partner)
        crossed = simulated_binary(first, second, spread, kind, self.config.crossover_eta)
        child = np.where(alone[..., None], parent, crossed)
        return polynomial_mutation(child, mutate, self.config.mutation_eta)


def tournament(one: Array, other: Array, n: int) -> Array:
    """Winners of binary tournaments in a sorted population of ``n``, from two arrays of uniform numbers."""
    return np.asarray(np.minimum((one * n).astype(int), (other * n).astype(int)))
