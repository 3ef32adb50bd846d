"""Rollouts that advance together are those of a loop over beginnings and repetitions, draw for draw."""

from __future__ import annotations

import pytest
import stepping
import torch
from torch import Tensor

from genwerk.nn.autoregressive import rollouts as module
from genwerk.nn.autoregressive.lstm import LSTMConfig
from genwerk.nn.autoregressive.network import AutoregressiveNetwork, generate
from genwerk.nn.autoregressive.rollouts import rollouts


def lstm(length: int = 6, levels: int = 5, end: int | None = None, classes: int = 0) -> AutoregressiveNetwork:
    torch.manual_seed(0)
    network = LSTMConfig(embedding=4, width=6).build(length, levels, end=end, classes=classes)
    return stepping.random_weights(network, scale=2)


@torch.no_grad()
def by_loops(network: AutoregressiveNetwork, sequence: Tensor, u: Tensor, condition: Tensor | None = None) -> Tensor:
    n, beginnings, k, length = u.shape
    found = torch.empty(n, beginnings, k, length, dtype=torch.int64)
    for beginning in range(1, length):
        for j in range(k):
            cache = network.begin(n, condition)
            for symbol in sequence[:, :beginning].unbind(1):
                network.logits(cache)
                network.push(cache, symbol)
            rest = list(generate(network, cache, u[:, beginning - 1, j, beginning:]))
            found[:, beginning - 1, j] = torch.cat([sequence[:, :beginning], torch.stack(rest, 1)], 1)
    return found


def drawn(n: int, k: int, length: int) -> Tensor:
    return torch.rand(n, length - 1, k, length, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("most", [1, 30, 45, 10_000])
def test_together_is_one_after_the_other(most: int, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many logits are computed together: one sequence, a part of a beginning's, some, or all of them."""
    monkeypatch.setattr(module, "IN_CACHE", most)
    network, u = lstm(classes=classes), drawn(4, 3, 6)
    sequence = stepping.some_symbols(network, 4)
    label = torch.tensor([2, 0, 1, 1]) if classes else None
    found = rollouts(network, sequence, u, label)
    assert torch.equal(found, by_loops(network, sequence, u, label))
    for beginning in range(1, 6):
        assert (found[:, beginning - 1, :, :beginning] == sequence[:, None, :beginning]).all()


def test_what_is_over_stays_over() -> None:
    network = lstm(length=8, end=0)
    sequence = torch.stack(list(generate(network, network.begin(20), drawn(20, 1, 8)[:, 0, 0])), 1)
    assert (sequence == 0).any()
    found = rollouts(network, sequence, drawn(20, 2, 8))
    ended = (found == 0).cumsum(3) > 0
    assert (found[ended] == 0).all()
    assert torch.equal(found, by_loops(network, sequence, drawn(20, 2, 8)))
    settled = (sequence == 0).cumsum(1).roll(1, 1).bool() & (torch.arange(8) > 0)
    assert torch.equal(found, rollouts(network, sequence, drawn(20, 2, 8), settled=settled))


def test_draws_of_another_shape_are_refused() -> None:
    network = lstm()
    with pytest.raises(ValueError, match="u has shape"):
        rollouts(network, stepping.some_symbols(network, 4), drawn(4, 3, 6)[:, 1:])
