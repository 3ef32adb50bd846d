"""KL annealing: the weight of a KL divergence rises in training, so that codes are of use before they cost anything.

Bowman, Vilnis, Vinyals, Dai, Jozefowicz & Bengio, Generating Sentences from a Continuous Space, 2016, arXiv:1511.06349,
section 3.1; cyclical: Fu, Li, Liu, Gao, Celikyilmaz & Carin, Cyclical Annealing Schedule: A Simple Approach to
Mitigating KL Vanishing, 2019, arXiv:1903.10145, equations 6 and 7. Every schedule ends at 1: the bound itself.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import ceil, exp

from genwerk.core.component import Component
from genwerk.core.errors import check_ranges

STEEPNESS = 12
"""Between which logits, from minus half of it to half, a sigmoid rises (Fu et al.'s code): from 0.0025 to 0.9975."""


@dataclass(frozen=True, kw_only=True)
class Annealing(Component):
    """How the weight of the KL divergence rises."""

    @abstractmethod
    def weight(self, step: int, steps: int) -> float:
        """Factor on the KL divergence in step ``step`` (from 0) of ``steps``, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class NoAnnealing(Annealing, kind="none"):
    """The weight is 1 from the beginning."""

    def weight(self, step: int, steps: int) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class LinearAnnealing(Annealing, kind="linear"):
    """The weight rises in a line from 0 and stays at 1."""

    rise: float = 0.5
    """Fraction of the rounds in which it rises."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.annealing", rise=(1e-9, 1))

    def weight(self, step: int, steps: int) -> float:
        return min(1.0, step / (self.rise * steps))


@dataclass(frozen=True, kw_only=True)
class SigmoidAnnealing(Annealing, kind="sigmoid"):
    """The weight rises along a sigmoid, slowly at first and at last, and stays at 1."""

    rise: float = 0.5
    """Fraction of the rounds in which it rises."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.annealing", rise=(1e-9, 1))

    def weight(self, step: int, steps: int) -> float:
        progress = step / (self.rise * steps)
        return 1.0 if progress >= 1 else 1 / (1 + exp(STEEPNESS * (0.5 - progress)))


@dataclass(frozen=True, kw_only=True)
class CyclicalAnnealing(Annealing, kind="cyclical"):
    """The weight rises in a line from 0, stays at 1, and begins anew: codes of each cycle start from the last one's."""

    cycles: int = 4
    """Cycles in all (M)."""
    rise: float = 0.5
    """Fraction of a cycle in which it rises (R)."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.annealing", cycles=(1, float("inf")), rise=(1e-9, 1))

    def weight(self, step: int, steps: int) -> float:
        """min(tau / R, 1) with tau = mod(t - 1, ceil(T / M)) / (T / M), for step t - 1 from 0."""
        cycle = steps / self.cycles
        return min(1.0, step % ceil(cycle) / cycle / self.rise)
