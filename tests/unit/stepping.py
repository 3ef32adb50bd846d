"""What every stepper must be, whatever is inside: asked of each network by its own tests."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from genwerk.nn.autoregressive.network import AutoregressiveNetwork


def random_weights(stepper: AutoregressiveNetwork, scale: float = 1.0, seed: int = 0) -> AutoregressiveNetwork:
    """The stepper in float64 with no parameter left at zero, so that every path carries something."""
    generator = torch.Generator().manual_seed(seed)
    stepper = stepper.double().eval()
    with torch.no_grad():
        for p in stepper.parameters():
            fan_in = p[0].numel() if p.dim() > 1 else 4
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype) / fan_in**0.5)
    return stepper


def some_symbols(stepper: AutoregressiveNetwork, n: int, seed: int = 1) -> Tensor:
    return torch.randint(stepper.levels, (n, *stepper.shape), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def stepped_logits(
    stepper: AutoregressiveNetwork, symbols: Tensor, condition: Tensor | None = None, start: int = 0
) -> Tensor:
    """Logits from position ``start`` on, each from its state, with shape (n, length - start, levels)."""
    sequence = stepper.sequence(symbols)
    state = stepper.prefill(sequence[:, :start], condition) if start else stepper.begin(len(symbols), condition)
    assert state.position == start
    found = []
    for symbol in sequence[:, start:].unbind(1):
        found.append(stepper.logits(state).clone())
        stepper.push(state, symbol)
    return torch.stack(found, 1)


@torch.no_grad()
def parallel_logits(stepper: AutoregressiveNetwork, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
    """The same of all positions by one pass, with shape (n, length, levels)."""
    logits = stepper(symbols, condition)
    assert logits.shape == (len(symbols), stepper.levels, *stepper.shape)
    return torch.stack([stepper.sequence(level) for level in logits.unbind(1)], -1)


def assert_steps_equal_the_pass(stepper: AutoregressiveNetwork, condition: Tensor | None = None, n: int = 3) -> None:
    """Cached sampling is the parallel pass: from the start, and after a prefill of any length."""
    symbols = some_symbols(stepper, n)
    whole = parallel_logits(stepper, symbols, condition)
    for start in sorted({0, 1, stepper.length // 3, stepper.length // 2 + 1, stepper.length - 1}):
        found = stepped_logits(stepper, symbols, condition, start)
        torch.testing.assert_close(log_softmax(found), log_softmax(whole[:, start:]), rtol=1e-8, atol=1e-8)


def assert_log_prob_is_that_of_the_logits(
    stepper: AutoregressiveNetwork, condition: Tensor | None = None, n: int = 3
) -> None:
    symbols = some_symbols(stepper, n)
    log_p = log_softmax(parallel_logits(stepper, symbols, condition))
    expected = log_p.gather(2, stepper.sequence(symbols)[:, :, None])[:, :, 0]
    torch.testing.assert_close(stepper.sequence(stepper.log_prob(symbols, condition)), expected, rtol=1e-8, atol=1e-8)


@torch.no_grad()
def assert_forks_part(stepper: AutoregressiveNetwork, condition: Tensor | None = None) -> None:
    """A fork goes on alone: what one does, the other does not see."""
    symbols = some_symbols(stepper, 2)
    half = stepper.length // 2
    rows = torch.tensor([1, 0, 1])
    state = stepper.prefill(stepper.sequence(symbols)[:, :half], condition)
    forked, untouched = state.fork(rows), state.fork(torch.arange(2))
    others = some_symbols(stepper, 3, seed=5)
    whole = torch.cat([stepper.sequence(symbols)[rows, :half], stepper.sequence(others)[:, half:]], 1)
    c = None if condition is None else condition[rows]
    expected = parallel_logits(stepper, stepper.arrange(whole), c)
    for t in range(half, stepper.length):
        torch.testing.assert_close(
            log_softmax(stepper.logits(forked)), log_softmax(expected[:, t]), rtol=1e-8, atol=1e-8
        )
        stepper.push(forked, whole[:, t])
    before = parallel_logits(stepper, symbols, condition)[:, half]
    torch.testing.assert_close(log_softmax(stepper.logits(untouched)), log_softmax(before), rtol=1e-8, atol=1e-8)


@torch.no_grad()
def assert_sums_to_one(stepper: AutoregressiveNetwork, condition: Tensor | None = None) -> None:
    """The probabilities of all examples there are (a few binary symbols) sum to 1."""
    every = torch.tensor(list(product(range(stepper.levels), repeat=stepper.length)))
    c = None if condition is None else condition[:1].expand(len(every))
    total = stepper.log_prob(stepper.arrange(every), c).flatten(1).sum(1).logsumexp(0).exp()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-9)


def log_softmax(logits: Tensor) -> Tensor:
    return logits.double().log_softmax(-1)
