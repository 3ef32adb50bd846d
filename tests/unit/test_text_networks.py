"""Networks of texts: steps are the pass, nothing looks ahead, and nothing is said after the end."""

from __future__ import annotations

import pytest
import torch
from stepping import (
    assert_forks_part,
    assert_log_prob_is_that_of_the_logits,
    assert_steps_equal_the_pass,
    assert_sums_to_one,
    random_weights,
)

from genwerk.core.errors import BadInput
from genwerk.nn.autoregressive.lstm import LSTMConfig
from genwerk.nn.autoregressive.network import check_causality
from genwerk.nn.autoregressive.text import TextNetwork, TextNetworkConfig
from genwerk.nn.autoregressive.transformer import TransformerConfig, rotations, turned

KINDS = {
    "learned": TransformerConfig(width=8, heads=2, layers=2),
    "rotary": TransformerConfig(width=8, heads=2, layers=2, positions="rotary"),
    "lstm": LSTMConfig(embedding=4, width=6, layers=2),
}


def network(name: str, length: int = 9, levels: int = 5, end: int | None = 0, classes: int = 0) -> TextNetwork:
    built = KINDS[name].build(length, levels, end=end, classes=classes)
    assert isinstance(random_weights(built), TextNetwork)
    return built


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("name", KINDS)
def test_steps_are_the_pass(name: str, classes: int) -> None:
    built = network(name, classes=classes)
    condition = torch.tensor([2, 0, 1]) if classes else None
    assert_steps_equal_the_pass(built, condition)
    assert_log_prob_is_that_of_the_logits(built, condition)
    assert_forks_part(built, None if condition is None else condition[:2])


@pytest.mark.parametrize("name", KINDS)
def test_every_token_before_is_seen_and_none_after(name: str) -> None:
    assert check_causality(network(name, end=None), (9,), range(9)) == 1


@pytest.mark.parametrize("name", KINDS)
def test_all_texts_filled_up_sum_to_one(name: str) -> None:
    assert_sums_to_one(network(name, length=6, levels=2))
    assert_sums_to_one(network(name, length=5, levels=3, end=None))


@pytest.mark.parametrize("name", KINDS)
def test_what_fills_a_text_up_neither_counts_nor_leaks(name: str) -> None:
    built = network(name)
    text = torch.tensor([[3, 1, 2, 0, 0, 0, 0, 0, 0]])
    beside = torch.tensor([[3, 1, 2, 0, 0, 0, 0, 0, 0], [4, 4, 1, 2, 3, 1, 1, 2, 3]])
    alone, together = built.log_prob(text), built.log_prob(beside)
    torch.testing.assert_close(alone[0], together[0])
    assert (alone[0, 4:] == 0).all()
    torch.testing.assert_close(alone[0, :4], built.log_prob(text[:, :4])[0])
    built.zero_grad()
    built.log_prob(beside).sum().backward()
    whole = {name: p.grad.clone() for name, p in built.named_parameters() if p.grad is not None}
    built.zero_grad()
    (built.log_prob(text[:, :4]).sum() + built.log_prob(beside[1:]).sum()).backward()
    for key, p in built.named_parameters():
        torch.testing.assert_close(p.grad, whole[key], msg=key)


@pytest.mark.parametrize("name", KINDS)
def test_after_the_end_there_is_nothing_left_to_draw(name: str) -> None:
    built = network(name)
    cache = built.begin(2)
    for symbols in ([1, 0], [0, 0]):
        assert not built.finished(cache)
        built.logits(cache)
        built.push(cache, torch.tensor(symbols))
    assert built.finished(cache)
    assert (built.logits(cache).argmax(1) == 0).all()


def test_rotary_positions_tell_how_far_apart_tokens_are_and_not_where() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    turns = rotations(20, 8).double()

    def product(a: int, b: int) -> torch.Tensor:
        return (turned(q, turns[:, a : a + 1]) * turned(k, turns[:, b : b + 1])).sum()

    torch.testing.assert_close(product(7, 3), product(14, 10), rtol=1e-5, atol=1e-6)
    assert abs(product(7, 3) - product(7, 4)) > 1e-3


@pytest.mark.parametrize("settings", [{"width": 9, "heads": 2}, {"width": 6, "heads": 2, "positions": "rotary"}])
def test_widths_that_do_not_fall_to_the_heads_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="units for each head"):
        TransformerConfig(**settings)  # type: ignore[arg-type]


def test_kinds_are_known_by_name() -> None:
    assert set(TextNetworkConfig.kinds) >= {"lstm", "transformer"}


def test_first_weights_of_an_lstm_are_as_wide_as_asked_for() -> None:
    torch.manual_seed(0)
    network = LSTMConfig(embedding=32, width=32, init=0.1).build(5, 50, end=None, classes=0)
    weights = [weight.flatten() for weight in network.parameters()]
    assert torch.cat(weights).std().item() == pytest.approx(0.1, rel=0.03)
    assert all(weight.std().item() == pytest.approx(0.1, rel=0.5) for weight in weights)  # the start and biases, too
