"""SeqGAN's worths, gradients and losses against their definitions: loops, and sums over all texts there are."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.model import build
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.vocabularies import Characters
from genwerk.families.seqgan import LSTMConfig, SeqGAN, SeqGANConfig, TextCNNConfig
from genwerk.nn.autoregressive.network import generate


def spec(length: int = 4, symbols: str = "abc", classes: tuple[str, ...] = ()) -> DataSpec:
    return DataSpec(
        kind="text", shape=(length,), vocabulary=Characters(symbols=tuple(symbols), length=length), classes=classes
    )


def seqgan(of: DataSpec | None = None, **settings: object) -> SeqGAN:
    torch.manual_seed(0)
    config = SeqGANConfig(
        network=LSTMConfig(embedding=3, width=4),
        discriminator=TextCNNConfig(embedding=3, widths=(1, 2), filters=(4, 4)),
        **settings,  # type: ignore[arg-type]
    )
    model = build(config, of or spec()).double()
    assert isinstance(model, SeqGAN)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0, 0.8)
    return model


def uniform(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def drawn(model: SeqGAN, n: int) -> Tensor:
    return torch.stack(list(generate(model.network, model.network.begin(n), uniform(n, model.network.length))), 1)


@torch.no_grad()
def test_action_values_are_those_of_a_loop_over_beginnings_and_rollouts() -> None:
    """D of the whole for the token that ends it, the mean over rollouts for those before, nothing for those after."""
    model = seqgan(spec(length=5))
    y, u = drawn(model, 30), uniform(30, 4, 3, 5)
    found = model.action_values(y, u)
    model.eval()
    assert (y == 0).any()
    for i, text in enumerate(y):
        end = int((text == 0).nonzero()[0]) if (text == 0).any() else 4
        for t in range(5):
            if t > end:
                expected = torch.tensor(0.0)
            elif t == end:
                expected = model.discriminator(text[None]).sigmoid()[0]
            else:
                each = []
                for j in range(3):
                    cache = model.network.prefill(text[None, : t + 1])
                    rest = torch.stack(list(generate(model.network, cache, u[i, t, j, t + 1 :][None])), 1)
                    each.append(model.discriminator(torch.cat([text[None, : t + 1], rest], 1)).sigmoid()[0])
                expected = torch.stack(each).mean()
            torch.testing.assert_close(found[i, t], expected.double())


@pytest.mark.parametrize("baseline", ["none", "batch"])
def test_the_gradient_is_that_of_the_expected_verdict(baseline: str) -> None:
    """Equation 7 is the gradient of E[D(y)], a sum over all 4^3 texts; a baseline does not move it."""
    model = seqgan(spec(length=3, symbols="ab"), baseline=baseline).eval()
    weights = list(model.network.parameters())
    every = torch.tensor(list(product(range(4), repeat=3)))
    p = model.network.log_prob(every).sum(1).exp()
    verdict = model.discriminator(every).sigmoid().detach()
    exact = torch.autograd.grad(-(p * verdict).sum(), weights)
    n = 40_000
    y = drawn(model, n)
    q = model.action_values(y, uniform(n, 2, 1, 3))
    loss, _ = model.policy_loss(y, model.advantage(q, y), None)
    estimated = torch.autograd.grad(loss, weights)
    exact_, found = (torch.cat([g.flatten() for g in each]) for each in (exact, estimated))
    assert (found - exact_).norm() < 0.15 * exact_.norm()


def test_the_baseline_of_a_text_is_of_the_others() -> None:
    model = seqgan(baseline="batch")
    y = torch.tensor([[2, 0, 0, 0], [2, 3, 3, 3], [3, 3, 0, 0]])
    q = torch.tensor([[0.5, 0.9, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.3, 0.4, 0.7, 0]])
    expected = torch.tensor([[0.5 - 0.2, 0.9 - 0.3, 0, 0], [0.1 - 0.4, 0.2 - 0.65, 0.3 - 0.7, 0.4], [0, -0.15, 0.4, 0]])
    torch.testing.assert_close(model.advantage(q, y), expected)


def test_the_discriminator_descends_cross_entropy_and_a_penalty() -> None:
    model = seqgan(l2=0.2).eval()
    real, fake = torch.tensor([[2, 3, 0, 0], [3, 3, 3, 0]]), torch.tensor([[4, 4, 4, 4], [2, 0, 0, 0]])
    loss, _ = model.discriminator_loss(Batch(real), fake)
    d = torch.cat([model.discriminator(real), model.discriminator(fake)]).sigmoid()
    cross_entropy = -(d[:2].log().sum() + (1 - d[2:]).log().sum()) / 4
    two = torch.stack([model.discriminator.head.linear.weight[0] / 2, -model.discriminator.head.linear.weight[0] / 2])
    bias = model.discriminator.head.linear.bias / 2
    penalty = 0.2 * (two.square().sum() / 2 + 2 * bias.square().sum() / 2)
    torch.testing.assert_close(loss, cross_entropy + penalty)


def test_long_texts_are_refused() -> None:
    with pytest.raises(BadInput, match="at most 256"):
        seqgan(spec(length=300))
