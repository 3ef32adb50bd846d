"""Objectives of the two players, as pairs of pure functions of the discriminator's scores.

A score is what the discriminator says before any sigmoid, with shape (n,), higher for more real. A loss is a mean over
examples that its player descends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn.functional import relu, softplus

ObjectiveName = Literal["minimax", "non-saturating", "least-squares", "wasserstein", "hinge"]
"""Objectives that a score alone decides."""


@dataclass(frozen=True)
class Objective:
    """What the discriminator and the generator each descend."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """Loss of scores of real and of made examples."""
    generator: Callable[[Tensor], Tensor]
    """Loss of scores of made examples."""
    boundary: float | None
    """The score halfway between real and made; None where only differences of scores mean anything."""


def minimax() -> Objective:
    """Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661, equation 1, with D = sigmoid(score)."""
    return Objective(
        discriminator=lambda real, made: softplus(-real).mean() + softplus(made).mean(),  # -log D(x) - log(1 - D(G(z)))
        generator=lambda made: -softplus(made).mean(),  # log(1 - D(G(z)))
        boundary=0.0,
    )


def non_saturating() -> Objective:
    """The same with the generator's loss of the end of section 3, whose gradient is strong where D is sure."""
    return Objective(
        discriminator=minimax().discriminator,
        generator=lambda made: softplus(-made).mean(),  # -log D(G(z))
        boundary=0.0,
    )


def least_squares(a: float = 0.0, b: float = 1.0, c: float = 1.0) -> Objective:
    """Mao et al., Least Squares Generative Adversarial Networks, 2017, arXiv:1611.04076, equation 2.

    ``a`` is the target of made and ``b`` of real examples in the discriminator's loss, ``c`` of made ones in the
    generator's. (0, 1, 1) is the paper's equation 9; (-1, 1, 0) makes it the Pearson chi-squared divergence.
    """
    return Objective(
        discriminator=lambda real, made: 0.5 * (real - b).square().mean() + 0.5 * (made - a).square().mean(),
        generator=lambda made: 0.5 * (made - c).square().mean(),
        boundary=(a + b) / 2,
    )


def wasserstein() -> Objective:
    """Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017, arXiv:1701.07875, equation 3; the score is the critic's f."""
    return Objective(
        discriminator=lambda real, made: made.mean() - real.mean(),
        generator=lambda made: -made.mean(),
        boundary=None,
    )


def hinge() -> Objective:
    """Lim & Ye, Geometric GAN, 2017, arXiv:1705.02894, equations 17 and 18."""
    return Objective(
        discriminator=lambda real, made: relu(1 - real).mean() + relu(1 + made).mean(),
        generator=lambda made: -made.mean(),
        boundary=0.0,
    )


def make_objective(name: ObjectiveName, coding: tuple[float, float, float] = (0.0, 1.0, 1.0)) -> Objective:
    """The objective called ``name``; ``coding`` is the least-squares one's a, b, c."""
    match name:
        case "minimax":
            return minimax()
        case "non-saturating":
            return non_saturating()
        case "least-squares":
            return least_squares(*coding)
        case "wasserstein":
            return wasserstein()
        case "hinge":
            return hinge()


def accuracy(objective: Objective, real: Tensor, made: Tensor) -> dict[str, Tensor]:
    """Figures of scores that tell how a game stands: their means' difference, and the fraction told apart."""
    figures = {"score gap": real.mean() - made.mean()}
    if objective.boundary is not None:
        right = (real > objective.boundary).float().mean() + (made < objective.boundary).float().mean()
        figures["accuracy"] = right / 2
    return figures
