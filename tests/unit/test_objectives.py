"""Objectives against the papers' formulas, their optima, and their gradients."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from genwerk.nn.adversarial.objectives import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Wasserstein,
    accuracy,
)

REAL = torch.tensor([2.0, -0.5, 0.1], dtype=torch.float64)
MADE = torch.tensor([-1.2, 0.7, 3.0], dtype=torch.float64)


def gradient(loss: Tensor, scores: Tensor) -> Tensor:
    return torch.autograd.grad(loss, scores)[0]


def test_minimax_is_the_cross_entropy() -> None:
    d, g = REAL.sigmoid(), MADE.sigmoid()
    torch.testing.assert_close(Minimax().discriminator(REAL, MADE), -(d.log().mean() + (1 - g).log().mean()))
    torch.testing.assert_close(Minimax().generator(MADE), (1 - g).log().mean())
    torch.testing.assert_close(NonSaturating().generator(MADE), -g.log().mean())


def test_losses_stay_finite_and_exact_where_the_discriminator_is_sure() -> None:
    sure = torch.tensor([-200.0])
    assert NonSaturating().generator(sure) == 200
    assert Minimax().generator(sure) == 0
    assert Minimax().discriminator(-sure, sure) == 0


def test_the_saturating_gradient_vanishes_and_the_other_does_not() -> None:
    """Goodfellow et al., 2014, section 3: the reason for two generator losses."""
    for objective, expected in ((Minimax(), -torch.tensor(-10.0).sigmoid()), (NonSaturating(), torch.tensor(-1.0))):
        score = torch.tensor([-10.0], requires_grad=True)
        torch.testing.assert_close(gradient(objective.generator(score), score)[0], expected, rtol=1e-4, atol=1e-6)


def test_least_squares_has_its_three_targets() -> None:
    objective = LeastSquares(lsgan_targets=(-1.0, 1.0, 0.0))
    expected = 0.5 * (REAL - 1).square().mean() + 0.5 * (MADE + 1).square().mean()
    torch.testing.assert_close(objective.discriminator(REAL, MADE), expected)
    torch.testing.assert_close(objective.generator(MADE), 0.5 * MADE.square().mean())
    assert objective.boundary == 0
    assert LeastSquares().boundary == 0.5


def test_wasserstein_is_a_difference_of_means_and_knows_no_zero() -> None:
    torch.testing.assert_close(Wasserstein().discriminator(REAL, MADE), MADE.mean() - REAL.mean())
    torch.testing.assert_close(Wasserstein().discriminator(REAL + 5, MADE + 5), MADE.mean() - REAL.mean())
    assert Wasserstein().boundary is None


def test_hinge_ignores_what_is_beyond_the_margin() -> None:
    real, made = torch.tensor([1.5, 0.0], requires_grad=True), torch.tensor([-2.0, 0.5], requires_grad=True)
    loss = Hinge().discriminator(real, made)
    torch.testing.assert_close(loss, torch.tensor(0.5 + 0.75))
    assert gradient(loss, real).tolist() == [0.0, -0.5]


@pytest.mark.parametrize(
    "objective,divergence",
    [
        (Minimax(), 2 * log(2)),
        (LeastSquares(), 0.25),
        (LeastSquares(lsgan_targets=(-1.0, 1.0, 0.0)), 1.0),
        (Hinge(), 2.0),
    ],
)
def test_the_best_loss_on_equal_distributions(objective: Objective, divergence: float) -> None:
    """Where real and made are alike the best constant score is the boundary, and its loss is known."""
    scores = torch.linspace(-3, 3, 601, dtype=torch.float64)
    losses = torch.stack([objective.discriminator(s.view(1), s.view(1)) for s in scores])
    torch.testing.assert_close(losses.min(), torch.tensor(divergence, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    assert objective.boundary is not None
    at_boundary = objective.discriminator(*[torch.tensor([objective.boundary], dtype=torch.float64)] * 2)
    torch.testing.assert_close(at_boundary, losses.min(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", list(Objective.kinds))
def test_gradients(name: str) -> None:
    objective = Objective.of(name)()
    real, made = REAL.clone().requires_grad_(), MADE.clone().requires_grad_()
    assert gradcheck(objective.discriminator, (real, made))
    assert gradcheck(objective.generator, (made,))


def test_figures_of_the_game() -> None:
    figures = accuracy(Minimax(), REAL, MADE)
    torch.testing.assert_close(figures["score gap"], REAL.mean() - MADE.mean())
    torch.testing.assert_close(figures["accuracy"].double(), torch.tensor((2 / 3 + 1 / 3) / 2, dtype=torch.float64))
    assert "accuracy" not in accuracy(Wasserstein(), REAL, MADE)
