"""Generative operators as mating of pymoo's algorithms: ``NSGA2(mating=GenerativeMating())``.

Several runs that go on together share their operators: :func:`link` gives each mating a lane of the first one's, and
whichever run is asked first fits the operators to the pools of all of them.

A generation of GMOEA, mended, in which (3) is pymoo's, with :class:`~genwerk.evolve.survival.NichedSelection`:

    fit the operators to the population; inverse regression and the judge, a GAN's discriminator,
    also see what was given up                                                                         (1)
    for every offspring: draw an operator by its share, propose six, keep the one that is judged best  (2)
    evaluate the offspring; select the survivors                                                       (3)
    move the shares towards operators whose offspring survive                                          (4)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.algorithm import Algorithm
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from genwerk.core.errors import BadInput
from genwerk.evolve.operators.gan import GAN
from genwerk.evolve.operators.inverse import InverseRegression
from genwerk.evolve.operators.operator import Array, Operator, Pool, Rngs, RunByRun
from genwerk.evolve.operators.variation import DE, SBX, mutation
from genwerk.evolve.operators.whitening import Whitened
from genwerk.evolve.survival import finite, spea2_fitness

Sources = NDArray[np.intp]
"""Which operator proposed a solution, by number."""
Counts = NDArray[np.intp]


class Proposer(ABC):
    """What a mating asks for offspring, for several runs at once."""

    names: Sequence[str]
    """Of the operators."""
    batched: bool = True
    """Whether runs gain by sharing one, because networks are trained for all at once."""
    figures: Mapping[str, Array]
    """What was logged at the last fit, each with shape (runs,)."""

    @abstractmethod
    def propose(self, pool: Pool, n: int, rngs: Rngs) -> tuple[Array, Sources]:
        """Offspring with shape (runs, n, d) in [0, 1], and the operator of each (runs, n)."""

    def credit(self, used: Counts, survived: Counts) -> None:
        """Learn how many offspring of each operator there were in the last generation and how many of these survived,
        both with shape (runs, operators)."""
        return


def clipped_and_mutated(x: Array, rng: np.random.Generator) -> Array:
    """Proposals ``x`` (n, d) of one run clipped to [0, 1], then mutated.

    Where they would be reflected instead, solutions gather near a bound and never on it; beside an objective that is
    one of the variables, each of them is nondominated, however bad its other objectives are.
    """
    return mutation(np.clip(x, 0, 1), rng)


class Portfolio(Proposer):
    """Operators that each propose a share of the offspring, which follows how many of theirs survive.

    A share is proportional to the rate of survival to the power of ``sharpness``.

    ``surplus`` proposals are drawn for each offspring, brought into [0, 1] and mutated by ``finish``, and the one that
    ``judge`` scores highest is taken. No share falls below ``least``; ``pace`` is how far shares move in a generation.
    """

    def __init__(
        self,
        operators: Sequence[Operator],
        judge: Operator | None = None,
        surplus: int = 6,
        least: float = 0.02,
        pace: float = 0.2,
        sharpness: float = 3,
        finish: Callable[[Array, np.random.Generator], Array] = clipped_and_mutated,
    ) -> None:
        self.operators, self.judge, self.surplus = operators, judge, surplus if judge else 1
        self.least, self.pace, self.sharpness, self.finish = least, pace, sharpness, finish
        self.names = [operator.name for operator in operators]
        self.batched = not all(isinstance(operator, RunByRun) for operator in operators)
        self.shares: Array | None = None
        self.figures = {}

    def propose(self, pool: Pool, n: int, rngs: Rngs) -> tuple[Array, Sources]:
        fitted = self.operators if self.judge in (None, *self.operators) else [*self.operators, self.judge]
        self.figures = {name: value for each in fitted if each for name, value in each.fit(pool, rngs).items()}  # (1)
        if self.shares is None:
            self.shares = np.full((pool.runs, len(self.operators)), 1 / len(self.operators))
        sources = np.stack([self.apportion(share, n, rng) for share, rng in zip(self.shares, rngs, strict=True)])
        counts = self.surplus * np.stack([np.bincount(each, minlength=len(self.operators)) for each in sources])
        drawn = [each.propose(k.tolist(), rngs, self.surplus) for each, k in zip(self.operators, counts.T, strict=True)]
        x = np.stack(
            [self.finish(np.vstack(parts), rng) for parts, rng in zip(zip(*drawn, strict=True), rngs, strict=True)]
        )
        groups = x.reshape(pool.runs, n, self.surplus, -1)
        scores = self.judge.score(x) if self.judge else None
        best = np.zeros((pool.runs, n), int) if scores is None else scores.reshape(groups.shape[:3]).argmax(axis=2)
        x = np.take_along_axis(groups, best[:, :, None, None], axis=2)[:, :, 0]  # (2)
        return x, sources

    def apportion(self, share: Array, n: int, rng: np.random.Generator) -> Sources:
        """The operators of ``n`` offspring in order, whole numbers of each, with the odd ones drawn by lot."""
        counts = np.floor(share * n).astype(int)
        counts += rng.multinomial(n - counts.sum(), share)
        return np.repeat(np.arange(len(share)), counts)

    def credit(self, used: Counts, survived: Counts) -> None:
        rate = (survived + 1) / (used + 2)
        rate **= self.sharpness
        aim = np.maximum(rate / rate.sum(axis=1, keepdims=True), self.least)
        shares = self.shares if self.shares is not None else aim
        self.shares = (1 - self.pace) * shares + self.pace * aim / aim.sum(axis=1, keepdims=True)


def default_portfolio(surplus: int = 6) -> Portfolio:
    """SBX, DE, local inverse regression and a GAN, which also judges surplus proposals."""
    gan = Whitened(GAN())
    return Portfolio([SBX(), DE(), InverseRegression(ahead=1.0), gan], judge=gan, surplus=surplus)


@dataclass(frozen=True)
class Waiting:
    """What a run that waits for ``n`` offspring brings along: its scaled population and its random numbers."""

    x: Array
    f: Array
    fitness: Array
    n: int
    rng: np.random.Generator


class GenerativeMating(InfillCriterion):
    """Mating of NSGA2, SPEA2, SMSEMOA and other algorithms of pymoo that ask for a generation at once.

    Variables are scaled by the problem's bounds; random numbers are those of the algorithm; ``memory`` solutions that
    were given up are remembered. Models see a value that is not finite as one worse than all others. Duplicates are not
    looked for: mutation makes them rare.
    """

    def __init__(self, proposer: Proposer | None = None, memory: int = 400, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.proposer, self.memory = proposer or default_portfolio(), memory
        self.lanes: list[GenerativeMating] = [self]
        """The matings that share the proposer, in the order of its runs."""
        self.waiting: Waiting | None = None
        self.ready: tuple[Array, Sources] | None = None
        self.lost: Array = np.empty((0, 0))
        self.lost_f: Array = self.lost
        self.known: Population | None = None
        self.used: Counts = np.zeros(len(self.proposer.names), int)
        self.survived: Counts = self.used

    @property
    def shares(self) -> dict[str, float]:
        """Share of each operator in the last offspring."""
        total = max(self.used.sum(), 1)
        return {name: float(n / total) for name, n in zip(self.proposer.names, self.used, strict=True)}

    @property
    def figures(self) -> dict[str, float]:
        """What the operators logged when they were last fitted."""
        lane = self.lanes.index(self)
        return {name: float(values[lane]) for name, values in self.proposer.figures.items()}

    @property
    def crossover(self) -> Any:
        """What MOEAD looks for, which mates pairs of its own choice, one at a time."""
        raise BadInput("MOEAD mates chosen parents; take NSGA2, SPEA2 or SMSEMOA")

    def prepare(self, problem: Problem, pop: Population, n: int, algorithm: Algorithm) -> None:
        """Look at the population, from which ``n`` offspring will be asked for."""
        x, f, cv = pop.get("X", "F", "CV")
        low, span = bounds(problem)
        alive, off = {id(each) for each in pop}, algorithm.off
        seen = off if self.known is None else Population.merge(self.known, off)
        gone = [each for each in seen if id(each) not in alive]
        values = finite(np.reshape([*f, *(each.F for each in gone)], (-1, problem.n_obj)))
        lost, f, lost_f = [(each.X - low) / span for each in gone], values[: len(f)], values[len(f) :]
        recent = slice(max(len(self.lost) + len(lost) - self.memory, 0), None)
        self.lost = np.reshape([*self.lost, *lost], (-1, problem.n_var))[recent]
        self.lost_f = np.reshape([*self.lost_f, *lost_f], (-1, problem.n_obj))[recent]
        if off.has("source"):
            kinds, source = len(self.proposer.names), off.get("source").astype(int)
            kept = np.array([id(each) in alive for each in off])
            self.used, self.survived = np.bincount(source, minlength=kinds), np.bincount(source[kept], minlength=kinds)
        self.known = pop
        self.waiting = Waiting((x - low) / span, f, spea2_fitness(f, finite(cv)[:, 0]), n, algorithm.random_state)

    def _do(
        self,
        problem: Problem,
        pop: Population,
        n_offsprings: int,
        random_state: np.random.Generator | None = None,
        algorithm: Algorithm = None,
        **kwargs: Any,
    ) -> Population:
        if self.waiting is None and self.ready is None:
            self.prepare(problem, pop, n_offsprings, algorithm)
        if self.ready is None:
            propose_together(self.lanes)
        assert self.ready is not None
        (x, source), self.ready = self.ready, None
        low, span = bounds(problem)
        return Population.new(X=low + x * span, source=source)


def propose_together(lanes: Sequence[GenerativeMating]) -> None:
    """Let every lane's offspring be proposed, from one fit to the pools of all."""
    waiting = [lane.waiting for lane in lanes]
    assert None not in waiting, "runs that share operators ask for offspring in the same generation"
    asked = [each for each in waiting if each is not None]
    memory = min(len(lane.lost) for lane in lanes)
    pool = Pool(
        np.stack([each.x for each in asked]),
        np.stack([each.f for each in asked]),
        np.stack([each.fitness for each in asked]),
        np.stack([lane.lost[len(lane.lost) - memory :] for lane in lanes]),
        np.stack([lane.lost_f[len(lane.lost) - memory :] for lane in lanes]),
    )
    proposer = lanes[0].proposer
    used, survived = np.stack([lane.used for lane in lanes]), np.stack([lane.survived for lane in lanes])
    if used.any():
        proposer.credit(used, survived)  # (4), of the generation before
    x, sources = proposer.propose(pool, asked[0].n, [each.rng for each in asked])
    for lane, offspring, source in zip(lanes, x, sources, strict=True):
        lane.waiting, lane.ready = None, (offspring, source)


def link(matings: Sequence[GenerativeMating]) -> None:
    """Let ``matings``, of runs that go on in lockstep, share the operators of the first."""
    for mating in matings:
        mating.proposer, mating.lanes = matings[0].proposer, [*matings]


def bounds(problem: Problem) -> tuple[Array, Array]:
    """Lower bound and range of each variable; a BadInput says why variables cannot be scaled by them."""
    if problem.vtype not in (float, None) or getattr(problem, "vars", None):
        raise BadInput("the problem has integer or mixed variables; generative operators propose real numbers alone")
    if problem.xl is None or problem.xu is None or not np.isfinite([problem.xl, problem.xu]).all():
        raise BadInput("a variable of the problem has no bounds; expected finite xl and xu")
    span = np.asarray(problem.xu, float) - problem.xl
    if (span <= 0).any():
        at = int(np.argmax(span <= 0))
        raise BadInput(f"variable {at + 1} has the bounds {problem.xl[at]:g} and {problem.xu[at]:g}; expected xl < xu")
    return np.asarray(problem.xl, float), span
