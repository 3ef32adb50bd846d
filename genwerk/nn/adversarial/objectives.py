"""Objectives of the two players, as pairs of pure functions of the discriminator's scores.

A score is the discriminator's output before any sigmoid, with shape (n,), higher for more real. A loss is a mean over
examples that its player minimises.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn.functional import relu, softplus

from genwerk.core.component import Component


@dataclass(frozen=True, kw_only=True)
class Objective(Component):
    """The losses of the discriminator and of the generator."""

    boundary: ClassVar[float | None] = 0.0
    """The score halfway between real and fake; None where only differences of scores mean anything."""

    def score(self, raw: Tensor) -> Tensor:
        """The score that this objective is of, from the discriminator's raw one."""
        return raw

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of scores of real and of generated examples."""

    @abstractmethod
    def generator(self, fake: Tensor) -> Tensor:
        """Loss of scores of generated examples."""


@dataclass(frozen=True, kw_only=True)
class Minimax(Objective, kind="minimax"):
    """Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661, equation 1, with D = sigmoid(score)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()  # -log D(x) - log(1 - D(G(z)))

    def generator(self, fake: Tensor) -> Tensor:
        return -softplus(fake).mean()  # log(1 - D(G(z)))


@dataclass(frozen=True, kw_only=True)
class NonSaturating(Objective, kind="non-saturating"):
    """Minimax with the generator's loss of the end of section 3, whose gradient is strong where D is confident."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        return softplus(-fake).mean()  # -log D(G(z))


@dataclass(frozen=True, kw_only=True)
class LeastSquares(Objective, kind="least-squares"):
    """Mao et al., Least Squares Generative Adversarial Networks, 2017, arXiv:1611.04076, equation 2."""

    lsgan_targets: tuple[float, float, float] = (0.0, 1.0, 1.0)
    """Targets a of generated and b of real examples in the discriminator's loss, and c in the generator's. 0 1 1 is the
    paper's equation 9; -1 1 0 makes it the Pearson chi-squared divergence."""
    head: Literal["linear", "sigmoid"] = "linear"
    """Whether it is of the discriminator's raw score or of its sigmoid."""

    @property
    def boundary(self) -> float:  # type: ignore[override]
        a, b, _ = self.lsgan_targets
        return (a + b) / 2

    def score(self, raw: Tensor) -> Tensor:
        return raw.sigmoid() if self.head == "sigmoid" else raw

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        a, b, _ = self.lsgan_targets
        return 0.5 * (real - b).square().mean() + 0.5 * (fake - a).square().mean()

    def generator(self, fake: Tensor) -> Tensor:
        return 0.5 * (fake - self.lsgan_targets[2]).square().mean()


@dataclass(frozen=True, kw_only=True)
class Wasserstein(Objective, kind="wasserstein"):
    """Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017, arXiv:1701.07875, equation 3; the score is the critic's f."""

    boundary = None

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -fake.mean()


@dataclass(frozen=True, kw_only=True)
class Hinge(Objective, kind="hinge"):
    """Lim & Ye, Geometric GAN, 2017, arXiv:1705.02894, equations 17 and 18."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -fake.mean()


def accuracy(objective: Objective, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Figures of scores that show how a game stands: the difference of their means, and the accuracy."""
    figures = {"score gap": real.mean() - fake.mean()}
    if objective.boundary is not None:
        right = (real > objective.boundary).float().mean() + (fake < objective.boundary).float().mean()
        figures["accuracy"] = right / 2
    return figures
