"""Scheduled sampling: ever more of the tokens that a network learns to go on from are its own and not the text's.

Bengio, Vinyals, Jaitly & Shazeer, Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, 2015,
arXiv:1506.03099: for every token a coin is tossed, which takes the text's with probability e_i in step i.

Done differently: the curves are laid out by the share of tokens that are sampled at the end of training, of which the
constants follow, because those of the paper count minibatches and would change with the length of a training. An end is
not sampled where the text goes on, because no token ever follows one.

The objective is improper (Huszár, How (not) to Train your Generative Model, 2015, arXiv:1511.05101): where everything
is sampled it is at its best for a model that ignores what stands before, so that no amount of data brings it to their
distribution.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import exp
from typing import ClassVar

from genwerk.core.component import Component
from genwerk.core.errors import check_ranges


@dataclass(frozen=True, kw_only=True)
class ScheduledSampling(Component):
    """How the share of sampled tokens rises in training."""

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """The probability, in step ``step`` (from 0) of ``steps``, that a token is sampled: 1 - e_i, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class NoSampling(ScheduledSampling, kind="none"):
    """Every token is the text's: maximum likelihood, or teacher forcing."""

    def share(self, step: int, steps: int) -> float:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class _Rising(ScheduledSampling):
    """From 0 to a share at the end."""

    sampled: float = 0.25
    """Share of the tokens that are the model's own at the end of training, 1 - e."""

    most: ClassVar[float] = 0.999
    """The greatest share that the curve can come to."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.scheduled_sampling", sampled=(0, self.most))

    def share(self, step: int, steps: int) -> float:
        return self.curve(min(step, steps - 1), max(1, steps - 1)) if self.sampled else 0.0

    @abstractmethod
    def curve(self, step: int, last: int) -> float:
        """The share in ``step``, which is ``sampled``, above 0, in step ``last``."""


@dataclass(frozen=True, kw_only=True)
class LinearSampling(_Rising, kind="linear"):
    """Linear decay: e_i = 1 - c i."""

    most = 1.0

    def curve(self, step: int, last: int) -> float:
        return self.sampled * step / last


@dataclass(frozen=True, kw_only=True)
class ExponentialSampling(_Rising, kind="exponential"):
    """Exponential decay: e_i = k^i with k < 1."""

    def curve(self, step: int, last: int) -> float:
        k: float = (1 - self.sampled) ** (1 / last)
        return 1 - k**step


@dataclass(frozen=True, kw_only=True)
class InverseSigmoidSampling(_Rising, kind="inverse-sigmoid"):
    """Inverse sigmoid decay: e_i = k / (k + exp(i / k)), which stays near 1 and then falls."""

    def curve(self, step: int, last: int) -> float:
        """Of e_last = 1 - s it follows that (last / k) exp(last / k) = last s / (1 - s), which Lambert's W solves."""
        from scipy.special import lambertw

        k = last / float(lambertw(last * self.sampled / (1 - self.sampled)).real)
        return 1 / (1 + k * exp(-step / k))
