"""Algorithms of multi-objective optimisation by name: frozen settings that build an algorithm of pymoo.

A further one, in a user's own file too, is a subclass of :class:`AlgorithmConfig` that names its ``kind``::

    class MineConfig(AlgorithmConfig, kind="mine"):
        def make(self, problem): return Mine(pop_size=self.pop_size)
"""

from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from math import comb
from typing import Any

from pymoo.algorithms.moo.gde3 import GDE3
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.moo.spea2 import SPEA2
from pymoo.core.algorithm import Algorithm
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.util.ref_dirs import get_reference_directions

from genwerk.core.component import Component
from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.near import meant, one_of


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig(Component):
    """Settings that all algorithms share."""

    pop_size: int = 100
    """Solutions in the population, and offspring a generation."""

    def __post_init__(self) -> None:
        if self.pop_size < 4:
            raise BadSetting("pop_size", f"is {self.pop_size}; expected 4 or more")

    @abstractmethod
    def make(self, problem: Problem) -> Algorithm:
        """The algorithm as a user of pymoo would construct it, for ``minimize(problem, algorithm, ...)``."""

    def build(self, problem: Problem, seed: int) -> Algorithm:
        """The algorithm set up for ``problem`` with ``seed``, ready for ``ask`` and ``tell``; it never ends itself."""
        algorithm = deepcopy(self.make(problem))  # instances of SPEA2 share the default survival, which has a memory
        algorithm.setup(problem, termination=NoTermination(), seed=seed)
        return algorithm


ALGORITHMS: dict[str, type[AlgorithmConfig]] = AlgorithmConfig.kinds
"""All algorithms by name."""


def algorithm(name: str, **settings: Any) -> AlgorithmConfig:
    """The algorithm called ``name`` with ``settings`` that differ from its own; a BadInput names the nearest ones."""
    if name not in ALGORITHMS:
        raise BadInput(f"there is no algorithm called {name!r}{meant(name, ALGORITHMS) or one_of(ALGORITHMS)}")
    return ALGORITHMS[name](**settings)


@dataclass(frozen=True, kw_only=True)
class NSGA2Config(AlgorithmConfig, kind="nsga2"):
    """Nondominated sorting and crowding distance (Deb et al., 2002)."""

    def make(self, problem: Problem) -> Algorithm:
        return NSGA2(pop_size=self.pop_size)


@dataclass(frozen=True, kw_only=True)
class SPEA2Config(AlgorithmConfig, kind="spea2"):
    """Strength of dominators and distance to neighbours (Zitzler, Laumanns & Thiele, 2001)."""

    def make(self, problem: Problem) -> Algorithm:
        return SPEA2(pop_size=self.pop_size)


@dataclass(frozen=True, kw_only=True)
class SMSEMOAConfig(AlgorithmConfig, kind="sms-emoa"):
    """Contribution to the hypervolume (Beume, Naujoks & Emmerich, 2007)."""

    def make(self, problem: Problem) -> Algorithm:
        return SMSEMOA(pop_size=self.pop_size)


@dataclass(frozen=True, kw_only=True)
class MOEADConfig(AlgorithmConfig, kind="moead"):
    """Decomposition into scalar problems (Zhang & Li, 2007), one evaluation at a time; without constraints.

    The population is that of the coarsest simplex lattice of weights with at least ``pop_size`` points.
    """

    def make(self, problem: Problem) -> Algorithm:
        m = problem.n_obj
        partitions = next(h for h in count(1) if comb(h + m - 1, m - 1) >= self.pop_size)
        return MOEAD(get_reference_directions("das-dennis", m, n_partitions=partitions))


@dataclass(frozen=True, kw_only=True)
class GDE3Config(AlgorithmConfig, kind="gde3"):
    """Differential evolution with nondominated sorting (Kukkonen & Lampinen, 2005)."""

    def make(self, problem: Problem) -> Algorithm:
        return GDE3(pop_size=self.pop_size)
