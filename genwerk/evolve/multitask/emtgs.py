"""EMT-GS: inertial differential evolution of every task, with donors from the other tasks.

Liang, Zhu, Wang, Li & Zhu, Evolutionary Multitasking for Multi-Objective Optimization Based on Generative Strategies,
IEEE Transactions on Evolutionary Computation 27(4):1042-1056, 2023, doi:10.1109/TEVC.2022.3189029. Constants are those
of the public implementation MToP. There, all individuals are shuffled into pairs, about half of which join two tasks;
here each individual meets a partner of another task with a probability that can be set, or follows what it brings.
(4) is :meth:`Coordinator.tell`:

    repeat
        let the donor learn from the populations: a GAN for each ordered pair of tasks, every G generations     (1)
        for each individual x of each task, with a base, the first or any, and any z of the previous population:
            with the task's rate, x becomes its partner's donor from another task, else it stays                (2)
            child = crossover of base + F (x - z) with x, or with base where x is a donor; mutation             (3)
        evaluate every child on its own task; each task keeps the best by rank and crowding distance            (4)
        move each task's rate towards the kind of child that survives                                           (5)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from scipy.special import ndtr, ndtri

from genwerk.core.errors import NOUGHT, check_ranges
from genwerk.evolve.multitask.algorithm import MultitaskConfig
from genwerk.evolve.multitask.coordinator import Coordinator, Pool, rows
from genwerk.evolve.multitask.donors import Donor, NoDonor, Raw
from genwerk.evolve.multitask.problem import Array, MultitaskProblem
from genwerk.evolve.multitask.variation import polynomial_mutation


@dataclass(frozen=True, kw_only=True)
class EMTGSConfig(MultitaskConfig, kind="emtgs"):
    """Several tasks together, by inertial differential evolution with donors from other tasks (Liang et al., 2023)."""

    donor: Donor = field(default_factory=Raw)
    """What a task gets from another: raw, constant, none or gan."""
    transfer_rate: float = 0.5
    """Probability that an individual's partner is of another task; at first, where the rate is adaptive."""
    adaptive: bool = True
    """Whether each task's rate follows the share of survivors among offspring with and without transfer."""
    crossover_rate: float = 0.6
    """Probability that a coordinate is of the mutant, CR."""
    elitism: float = 0.5
    """Probability that the base vector is the first of the sorted population."""
    mutations: float = 1.0
    """Expected number of coordinates of a child that polynomial mutation (distribution index 20) changes; the published
    algorithm has 0, and then a population that has lost all diversity in a coordinate never regains it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "", transfer_rate=(0, 1), crossover_rate=(0, 1), elitism=(0, 1), mutations=NOUGHT)

    def coordinate(self, problem: MultitaskProblem, seeds: Sequence[int | np.random.Generator]) -> EMTGS:
        return EMTGS(self, problem, seeds)


@dataclass(frozen=True, kw_only=True)
class IDEConfig(MultitaskConfig, kind="ide"):
    """Several tasks, each alone by the inertial differential evolution of EMT-GS (Liang et al., 2023)."""

    crossover_rate: float = 0.6
    """Probability that a coordinate is of the mutant, CR."""
    elitism: float = 0.5
    """Probability that the base vector is the first of the sorted population."""
    mutations: float = 1.0
    """Expected number of coordinates of a child that polynomial mutation (distribution index 20) changes; the published
    algorithm has 0, and then a population that has lost all diversity in a coordinate never regains it."""

    def coordinate(self, problem: MultitaskProblem, seeds: Sequence[int | np.random.Generator]) -> EMTGS:
        return EMTGS(EMTGSConfig(donor=NoDonor(), **asdict(self)), problem, seeds)


MUTATION_ETA = 20
"""Distribution index of polynomial mutation."""
MEMORY = 0.9
"""What counts of survivors are multiplied by each generation: half-life 6.6 generations."""
BOUNDS = 0.05, 0.95
"""Least and greatest adaptive rate, so that neither kind of offspring is ever unheard of."""


class EMTGS(Coordinator):
    """The algorithm; ``rates`` (runs, tasks) are the present probabilities of a partner from another task."""

    def __init__(
        self, config: EMTGSConfig, problem: MultitaskProblem, seeds: Sequence[int | np.random.Generator]
    ) -> None:
        super().__init__(problem, config.pop_size, seeds)
        self.config, tasks = config, len(problem.tasks)
        self.transfer = config.donor.build(tasks, config.pop_size, problem.dims, self.rngs)
        self.rates = np.full((len(seeds), tasks), config.transfer_rate if self.transfer else 0.0)
        self._previous: list[Pool] = []
        self._crossing: list[Array] = []
        self._counts = np.ones((2, 2, len(seeds), tasks))  # (with transfer or not) x (survivors, all)

    def shares(self, run: int) -> Mapping[str, float]:
        rates = enumerate(self.rates[run], 1) if self.transfer else ()
        return {f"task {task} transfer": float(rate) for task, rate in rates}

    def offspring(self) -> list[Array]:
        if self.transfer:
            self.transfer.learn(self.pools, self.generation)  # (1)
        made = [self._children(task) for task in range(len(self.pools))]
        self._previous, self._crossing = self.pools, [crossing for _, crossing in made]
        return [u for u, _ in made]

    def _children(self, task: int) -> tuple[Array, Array]:
        """Children (runs, n, D) of every individual of a task, and which of them (runs, n) have a donor."""
        pool, previous = self.pools[task], (self._previous or self.pools)[task]
        n, d = pool.u.shape[1:]
        chance = self.uniform(n, 2 * d + 8)
        crossing, partner = chance[..., 0] < self.rates[:, task, None], _pick(chance[..., 1], n)
        base = rows(pool.u, np.where(chance[..., 2] < self.config.elitism, 0, _pick(chance[..., 3], n)))
        inertia = rows(previous.u, _pick(chance[..., 4], n))
        mix, mutate = np.split(chance[..., 8:], 2, axis=-1)
        scale = truncated_normal(chance[..., 5])[..., None]
        mask = mix < self.config.crossover_rate
        np.put_along_axis(mask, _pick(chance[..., 6], d)[..., None], True, -1)  # at least one coordinate of the mutant
        x = pool.u.copy()
        others = [k for k in range(len(self.pools)) if k != task]
        for k, source in enumerate(others if self.transfer and crossing.any() else []):
            chosen = crossing & (_pick(chance[..., 7], len(others)) == k)
            given = self.transfer.give(self.pools, task, source, partner)  # type: ignore[union-attr]
            known = self.problem.tasks[source].n_var  # padding of the source is not transferred
            x[..., :known] = np.where(chosen[..., None], given, x)[..., :known]  # (2)
        other = np.where(crossing[..., None], base, pool.u)
        child = inertial_offspring(x, other, base, inertia, scale, mask)  # (3)
        return polynomial_mutation(child, mutate, MUTATION_ETA, self.config.mutations), crossing

    def note(self, survived: list[Array]) -> None:
        if not self.transfer or not self.config.adaptive:
            return
        for task, alive in enumerate(survived):
            crossing = self._crossing[task][:, : alive.shape[1]]
            now = [[(kind & alive).sum(1), kind.sum(1)] for kind in (crossing, ~crossing)]
            self._counts[..., task] = MEMORY * self._counts[..., task] + now
        with_transfer, without = self._counts[:, 0] / self._counts[:, 1]
        share = with_transfer / np.maximum(with_transfer + without, 1e-12)
        self.rates = np.clip(share, *BOUNDS)  # (5)


def inertial_offspring(x: Array, other: Array, base: Array, previous: Array, scale: Array, mask: Array) -> Array:
    """Inertial differential evolution: mutant base + F (x - previous), binomial crossover with ``other``, in [0, 1].

    ``x`` is the individual or its donor, ``previous`` a member of the population a generation ago, which gives the
    search its inertia; ``mask`` says which coordinates are the mutant's. All are (..., D), ``scale`` F (..., 1).
    """
    return np.asarray(np.clip(np.where(mask, base + scale * (x - previous), other), 0, 1))


def truncated_normal(chance: Array) -> Array:
    """F of N(0.5, 0.2²) within [0, 1], from uniform numbers."""
    low, high = ndtr(-2.5), ndtr(2.5)
    return np.asarray(0.5 + 0.2 * ndtri(low + chance * (high - low)))


def _pick(chance: Array, n: int) -> Array:
    """Indices below ``n`` from uniform numbers."""
    return np.asarray((chance * n).astype(int))
