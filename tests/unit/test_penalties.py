"""Penalties against closed forms: a linear critic's gradient is its weight, a quadratic one's is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genwerk.nn.adversarial.penalties import clip_, gradient_penalty, path_lengths, r1, score_gradient

GENERATOR = torch.Generator().manual_seed(0)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def test_the_gradient_of_a_linear_critic_is_its_weight_for_every_example() -> None:
    """The norm is of one example's whole gradient: neither of one channel's nor of the batch's."""
    w = numbers(3, 4, 4)
    gradient = score_gradient(lambda x: (x * w).sum((1, 2, 3)), numbers(5, 3, 4, 4))
    torch.testing.assert_close(gradient, w.flatten().expand(5, -1))
    for scale in (0.5, 2.0):
        critic = lambda x, scale=scale: scale * (x * w).sum((1, 2, 3)) / w.norm()  # noqa: E731
        penalty = gradient_penalty(critic, numbers(5, 3, 4, 4), numbers(5, 3, 4, 4), torch.rand(5).double())
        torch.testing.assert_close(penalty, torch.tensor((scale - 1) ** 2, dtype=torch.float64))


def test_the_penalty_is_taken_between_each_pair_by_its_own_eps() -> None:
    """For f(x) = |x|^2 / 2 the gradient is the point itself."""
    real, made, eps = numbers(6, 3), numbers(6, 3), torch.rand(6, generator=GENERATOR, dtype=torch.float64)
    points = eps[:, None] * real + (1 - eps[:, None]) * made
    expected = (points.norm(dim=1) - 1).square().mean()
    found = gradient_penalty(lambda x: x.square().sum(1) / 2, real, made, eps)
    torch.testing.assert_close(found, expected)
    flat = gradient_penalty(lambda x: 0 * x.sum(1), real, made, eps)
    torch.testing.assert_close(flat, torch.tensor(1.0, dtype=torch.float64), atol=1e-5, rtol=0)


def test_r1_is_half_the_squared_gradient_at_real_examples() -> None:
    x = numbers(6, 2, 3)
    torch.testing.assert_close(r1(lambda x: x.square().sum((1, 2)) / 2, x), 0.5 * x.square().sum((1, 2)).mean())


def test_penalties_reach_the_critic_s_weights_by_a_second_derivative() -> None:
    critic = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    real, made, eps = numbers(4, 3), numbers(4, 3), torch.rand(4, dtype=torch.float64)

    def value(weight: Tensor) -> Tensor:
        def score(x: Tensor) -> Tensor:
            y: Tensor = torch.func.functional_call(critic, {"0.weight": weight}, (x,))
            return y.squeeze(1)

        return gradient_penalty(score, real, made, eps) + r1(score, real)

    weight = critic[0].weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(value, (weight,))


def test_path_lengths_of_a_linear_synthesis() -> None:
    """For made = A w at one layer, J^T y is A^T y, here with y scaled by 1 / sqrt(pixels)."""
    a, w, y = numbers(2 * 4 * 4, 7), numbers(3, 1, 7).requires_grad_(), numbers(3, 2, 4, 4)
    made = (w[:, 0] @ a.T).view(3, 2, 4, 4)
    torch.testing.assert_close(path_lengths(made, w, y), (y.flatten(1) @ a / 4).norm(dim=1))


def test_clipping() -> None:
    w = [numbers(4, 4), numbers(3)]
    clip_(w, 0.01)
    assert max(p.abs().max().item() for p in w) == 0.01


def test_a_network_that_torch_compile_has_rewritten_is_penalised_as_it_is_written() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = numbers(5, 3)
    weight = network[0].weight
    (expected,) = torch.autograd.grad(r1(lambda x: network(x)[:, 0], x), weight)
    network.compile(backend="aot_eager")
    compiled = network(x).mean() + r1(lambda x: network(x)[:, 0], x)
    (found,) = torch.autograd.grad(compiled - network(x).mean(), weight)
    torch.testing.assert_close(found, expected)
