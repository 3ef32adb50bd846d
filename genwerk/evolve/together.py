"""Several runs of an algorithm side by side, in lockstep: one evaluation call a generation, one network for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.gde3 import GDE3
from pymoo.core.algorithm import Algorithm
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from genwerk.core.errors import BadInput
from genwerk.evolve.algorithms import AlgorithmConfig
from genwerk.evolve.mating import GenerativeMating, link

Array: TypeAlias = NDArray[np.float64]
Evaluate: TypeAlias = Callable[[Sequence[int], int, Sequence[Array]], Sequence[dict[str, Array]]]
"""Called with the numbers of some runs, the generation, and the solutions (n, d) of each run: arrays F, G and H of
each."""


class Together:
    """Runs of the algorithm ``config`` on ``problem``, one for each of ``seeds``, of exactly ``evaluations`` each.

    A run is the same as alone, up to rounding in the networks that runs share. ``evaluate`` takes the place of the
    problem's own evaluation of all solutions in one call. A BadInput says where an algorithm does not solve it.
    """

    def __init__(
        self,
        config: AlgorithmConfig,
        problem: Problem,
        seeds: Sequence[int],
        evaluations: int,
        evaluate: Evaluate | None = None,
    ) -> None:
        self.problem, self.evaluations, self.evaluate = problem, evaluations, evaluate or self._evaluated
        try:
            self.algorithms: list[Algorithm] = [config.build(problem, seed) for seed in seeds]
        except AssertionError as error:  # as pymoo refuses a problem
            raise BadInput(f"{config.kind} does not solve {problem.name()}: {error}") from None
        self.spent = [0] * len(self.algorithms)
        """Evaluations of each run."""
        matings = [getattr(each, "mating", None) for each in self.algorithms]
        self.matings = [
            mating for mating in matings if isinstance(mating, GenerativeMating) and mating.proposer.batched
        ]
        if self.matings:
            link(self.matings)

    def __iter__(self) -> Iterator[Sequence[Algorithm]]:
        """The runs after every generation; the last one is cut to the evaluations that are left.

        A run of an algorithm that finds nothing new to ask for is over.
        """
        going, generation = [*range(len(self.algorithms))], 0
        while going:
            if generation:
                for mating, each in zip(self.matings, self.algorithms, strict=bool(self.matings)):
                    mating.prepare(self.problem, each.pop, each.n_offsprings, each)
            asked = {i: found for i in going if (found := self.algorithms[i].ask()) is not None}
            cut = {i: population(found)[: self.evaluations - self.spent[i]] for i, found in asked.items()}
            going = [i for i, found in cut.items() if len(found)]
            if not going:
                return
            x = [np.asarray(cut[i].get("X"), dtype=float) for i in going]
            for i, found in zip(going, self.evaluate(going, generation, x), strict=True):
                cut[i].set(**found)
                tell(self.algorithms[i], asked[i], cut[i])
                self.spent[i] += len(cut[i])
                self.algorithms[i].evaluator.n_eval = self.spent[i]
            generation += 1
            yield self.algorithms
            going = [i for i in going if self.spent[i] < self.evaluations]

    def run(self) -> Sequence[Algorithm]:
        """The runs after their last evaluation."""
        for _ in self:
            pass
        return self.algorithms

    def _evaluated(self, _runs: Sequence[int], _generation: int, x: Sequence[Array]) -> list[dict[str, Array]]:
        found = self.problem.evaluate(np.vstack(x), return_values_of=["F", "G", "H"], return_as_dictionary=True)
        ends = np.cumsum([len(own) for own in x])[:-1]
        parts = {name: np.split(values, ends) for name, values in found.items()}
        return [{name: own[i] for name, own in parts.items()} for i in range(len(x))]


def population(asked: Population | Individual) -> Population:
    """What an algorithm asks for, which is a single solution where it asks for one at a time."""
    return Population.create(asked) if isinstance(asked, Individual) else asked


def tell(algorithm: Algorithm, asked: Population | Individual, evaluated: Population) -> None:
    """Tell ``algorithm`` of the first of the solutions that it asked for: of all, unless the budget is spent."""
    if isinstance(asked, Individual) or len(evaluated) == len(asked):
        algorithm.tell(infills=asked)
    elif isinstance(algorithm, GDE3) and algorithm.is_initialized:  # it compares each with its parent: the others lose
        for parent, each in [*zip(algorithm.pop, asked, strict=True)][len(evaluated) :]:
            each.set_by_dict(F=parent.F + 1, G=parent.G, H=parent.H)
        algorithm.tell(infills=asked)
    else:
        algorithm.tell(infills=evaluated)
