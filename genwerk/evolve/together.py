"""Several runs of an algorithm side by side, in lockstep: one evaluation call a generation, one network for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from pymoo.core.algorithm import Algorithm
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from genwerk.evolve.algorithms import AlgorithmConfig
from genwerk.evolve.mating import GenerativeMating, link


class Together:
    """Runs of the algorithm ``config`` on ``problem``, one for each of ``seeds``, of exactly ``evaluations`` each.

    A run is the same as alone, up to rounding in the networks that runs share.
    """

    def __init__(self, config: AlgorithmConfig, problem: Problem, seeds: Sequence[int], evaluations: int) -> None:
        self.problem, self.evaluations = problem, evaluations
        self.algorithms: list[Algorithm] = [config.build(problem, seed) for seed in seeds]
        matings = [getattr(each, "mating", None) for each in self.algorithms]
        self.matings = [
            mating for mating in matings if isinstance(mating, GenerativeMating) and mating.proposer.batched
        ]
        if self.matings:
            link(self.matings)

    def __iter__(self) -> Iterator[Sequence[Algorithm]]:
        """The runs after every generation; the last one is cut to the evaluations that are left."""
        while (left := self.evaluations - self.algorithms[0].evaluator.n_eval) > 0:
            if self.algorithms[0].is_initialized:
                for mating, each in zip(self.matings, self.algorithms, strict=bool(self.matings)):
                    mating.prepare(self.problem, each.pop, each.n_offsprings, each)
            asked = [each.ask()[:left] for each in self.algorithms]
            Evaluator().eval(self.problem, reduce(Population.merge, asked))
            for each, pop in zip(self.algorithms, asked, strict=True):
                each.evaluator.n_eval += len(pop)
                each.tell(infills=pop)
            yield self.algorithms

    def run(self) -> Sequence[Algorithm]:
        """The runs after their last evaluation."""
        for _ in self:
            pass
        return self.algorithms
