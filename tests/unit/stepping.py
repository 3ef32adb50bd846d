"""What every network must be, whatever is inside: asked of each network by its own tests."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from genwerk.nn.autoregressive.network import AutoregressiveNetwork


def random_weights(network: AutoregressiveNetwork, scale: float = 1.0, seed: int = 0) -> AutoregressiveNetwork:
    """The network in float64 with no parameter left at zero, so that every path carries something."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double().eval()
    with torch.no_grad():
        for p in network.parameters():
            fan_in = p[0].numel() if p.dim() > 1 else 4
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype) / fan_in**0.5)
    return network


def some_symbols(network: AutoregressiveNetwork, n: int, seed: int = 1) -> Tensor:
    return torch.randint(network.levels, (n, *network.shape), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def stepped_logits(
    network: AutoregressiveNetwork, symbols: Tensor, condition: Tensor | None = None, start: int = 0
) -> Tensor:
    """Logits from position ``start`` on, each from its cache, with shape (n, length - start, levels)."""
    sequence = network.sequence(symbols)
    cache = network.prefill(sequence[:, :start], condition) if start else network.begin(len(symbols), condition)
    assert cache.position == start
    found = []
    for symbol in sequence[:, start:].unbind(1):
        found.append(network.logits(cache).clone())
        network.push(cache, symbol)
    return torch.stack(found, 1)


@torch.no_grad()
def parallel_logits(network: AutoregressiveNetwork, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
    """The same of all positions by one pass, with shape (n, length, levels)."""
    logits = network(symbols, condition)
    assert logits.shape == (len(symbols), network.levels, *network.shape)
    return torch.stack([network.sequence(level) for level in logits.unbind(1)], -1)


def assert_steps_equal_the_pass(network: AutoregressiveNetwork, condition: Tensor | None = None, n: int = 3) -> None:
    """Cached sampling is the parallel pass: from the start, and after a prefill of any length."""
    symbols = some_symbols(network, n)
    whole = parallel_logits(network, symbols, condition)
    for start in sorted({0, 1, network.length // 3, network.length // 2 + 1, network.length - 1}):
        found = stepped_logits(network, symbols, condition, start)
        torch.testing.assert_close(log_softmax(found), log_softmax(whole[:, start:]), rtol=1e-8, atol=1e-8)


def assert_log_prob_is_that_of_the_logits(
    network: AutoregressiveNetwork, condition: Tensor | None = None, n: int = 3
) -> None:
    symbols = some_symbols(network, n)
    log_p = log_softmax(parallel_logits(network, symbols, condition))
    expected = log_p.gather(2, network.sequence(symbols)[:, :, None])[:, :, 0]
    torch.testing.assert_close(network.sequence(network.log_prob(symbols, condition)), expected, rtol=1e-8, atol=1e-8)


@torch.no_grad()
def assert_forks_part(network: AutoregressiveNetwork, condition: Tensor | None = None) -> None:
    """A fork goes on alone: what one does, the other does not see."""
    symbols = some_symbols(network, 2)
    half = network.length // 2
    rows = torch.tensor([1, 0, 1])
    cache = network.prefill(network.sequence(symbols)[:, :half], condition)
    forked, untouched = cache.fork(rows), cache.fork(torch.arange(2))
    others = some_symbols(network, 3, seed=5)
    whole = torch.cat([network.sequence(symbols)[rows, :half], network.sequence(others)[:, half:]], 1)
    c = None if condition is None else condition[rows]
    expected = parallel_logits(network, network.arrange(whole), c)
    for t in range(half, network.length):
        torch.testing.assert_close(
            log_softmax(network.logits(forked)), log_softmax(expected[:, t]), rtol=1e-8, atol=1e-8
        )
        network.push(forked, whole[:, t])
    before = parallel_logits(network, symbols, condition)[:, half]
    torch.testing.assert_close(log_softmax(network.logits(untouched)), log_softmax(before), rtol=1e-8, atol=1e-8)


@torch.no_grad()
def assert_sums_to_one(network: AutoregressiveNetwork, condition: Tensor | None = None) -> None:
    """The probabilities of all examples there are (a few binary symbols) sum to 1."""
    every = torch.tensor(list(product(range(network.levels), repeat=network.length)))
    c = None if condition is None else condition[:1].expand(len(every))
    total = network.log_prob(network.arrange(every), c).flatten(1).sum(1).logsumexp(0).exp()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-9)


def log_softmax(logits: Tensor) -> Tensor:
    return logits.double().log_softmax(-1)
