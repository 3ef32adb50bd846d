"""One way to emit symbols one after the other, shared by images, sounds and texts.

An :class:`AutoregressiveNetwork` predicts every symbol of an example from the symbols before it. It does so for all of
them at once, which is how it learns, and for one after the other with a cache of what it has computed, which is how it
is sampled: each activation is computed once (Ramachandran et al., Fast Generation for Convolutional Autoregressive
Models, 2017, arXiv:1704.06001), so that a sample costs about one pass instead of one pass a symbol.
Everything else here - drawing, completing around any hole, and the proof that nothing looks ahead - needs only that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.options import AS_LEARNED, Symbolwise


class Cache:
    """What a network remembers between two symbols; it advances in place.

    ``tensors``, by name or by the layer that needs them, have one row a sequence; ``packed`` is what all sequences
    share (weights in the order in which steps need them); ``position`` counts the symbols that stand so far.
    """

    __slots__ = ("packed", "position", "tensors")

    def __init__(self, tensors: Mapping[Any, Tensor], packed: Any = None, position: int = 0) -> None:
        self.tensors: dict[Any, Tensor] = dict(tensors)
        self.packed, self.position = packed, position

    @property
    def nbytes(self) -> int:
        """Bytes of what belongs to the sequences."""
        return sum(t.nbytes for t in self.tensors.values())

    def fork(self, rows: Tensor) -> Cache:
        """A copy whose sequence i goes on from sequence ``rows[i]`` of this cache."""
        return Cache({k: t.index_select(0, rows) for k, t in self.tensors.items()}, self.packed, self.position)

    def join(self, other: Cache) -> Cache:
        """The sequences of this cache and then those of ``other``, of the same network at the same position."""
        tensors = {k: torch.cat([t, other.tensors[k]]) for k, t in self.tensors.items()}
        return Cache(tensors, self.packed, self.position)


class AutoregressiveNetwork(nn.Module, ABC):
    """A network of symbols with values 0 to ``levels`` - 1; an example has them with shape ``shape``.

    Built for one shape, it must compute any (as large, or smaller), so that what it sees can be probed on a small one.
    """

    levels: int
    shape: tuple[int, ...]

    # --- all at once --------------------------------------------------------------------------------------------------

    @abstractmethod
    def embed(self, symbols: Tensor) -> Tensor:
        """Features of symbols (int64, with shape (n, *shape)), with shape (n, channels, *space).

        ``space`` is ``shape`` without the channels of a pixel, each of which owns an equal share of the channels here.
        """

    @abstractmethod
    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits of every symbol given those before it, with shape (n, levels, *shape); differentiable."""

    def forward(self, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits of every symbol of ``symbols`` given those before it, with shape (n, levels, *shape)."""
        return self.transform(self.embed(symbols), condition)

    def log_prob(self, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log-probability of every symbol given those before it, in nats, with the shape of ``symbols``."""
        return -F.cross_entropy(self(symbols, condition), symbols, reduction="none")

    # --- in order -----------------------------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        """Symbols in an example."""
        return prod(self.shape)

    def sequence(self, symbols: Tensor) -> Tensor:
        """Values with shape (n, *shape) in the order in which they are emitted, with shape (n, length)."""
        return symbols.flatten(1)

    def arrange(self, sequence: Tensor) -> Tensor:
        """The inverse of :meth:`sequence`."""
        symbols: Tensor = sequence.unflatten(1, self.shape)
        return symbols

    # --- one by one ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        """The cache of ``n`` sequences of which nothing stands yet."""

    @abstractmethod
    def logits(self, cache: Cache) -> Tensor:
        """Logits of the next symbol with shape (n, levels); to be called once before each :meth:`push`."""

    @abstractmethod
    def push(self, cache: Cache, symbol: Tensor) -> None:
        """Write ``symbol``, int64 with shape (n,), at the cache's position and go on by one."""

    def finished(self, cache: Cache) -> bool:
        """Whether nothing is left to draw: all that can follow is symbol 0."""
        return False

    def prefill(self, sequence: Tensor, condition: Tensor | None = None) -> Cache:
        """The cache after all of ``sequence``, int64 with shape (n, t): symbols in order of emission.

        Here step by step; a network overrides it by one parallel pass.
        """
        cache = self.begin(len(sequence), condition)
        for symbol in sequence.unbind(1):
            self.logits(cache)
            self.push(cache, symbol)
        return cache


# --- drawing ----------------------------------------------------------------------------------------------------------


def emit(
    network: AutoregressiveNetwork,
    cache: Cache,
    u: Tensor,
    options: Symbolwise = AS_LEARNED,
    given: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The next symbol of each sequence, and its log-probability under the model (whatever the options), each (n,).

    ``given``, int64 with shape (n,), holds symbols that are known, and -1 where one is to be drawn.
    """
    logits = network.logits(cache)
    symbol = options.draw(logits, u)
    if given is not None:
        symbol = torch.where(given < 0, symbol, given)
    network.push(cache, symbol)
    return symbol, -F.cross_entropy(logits.float(), symbol, reduction="none")


def generate(
    network: AutoregressiveNetwork, cache: Cache, u: Tensor, options: Symbolwise = AS_LEARNED
) -> Iterator[Tensor]:
    """The symbols that follow ``cache``, one at a time with shape (n,), a column of ``u`` (n, steps) for each."""
    for column in u.unbind(1):
        symbol = options.draw(network.logits(cache), column)
        network.push(cache, symbol)
        yield symbol


# --- completing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filled:
    """Completed sequences."""

    sequence: Tensor
    """Symbols in order of emission with shape (n, k, length)."""
    log_prob: Tensor
    """Log-probability, in nats with shape (n, k), of all from the first unknown symbol on, given what stands before."""
    ess: Tensor
    """The least effective number of particles on the way, with shape (n,): ``k`` where nothing known follows a hole."""
    particles: int
    """Sequences that were advanced side by side for each example."""
    ancestors: Tensor
    """Of how many different particles the ``k`` completions come, with shape (n,): where fewer than ``k``, some share
    what was filled in first."""


def fill(
    network: AutoregressiveNetwork,
    given: Tensor,
    k: int,
    u: Callable[[int, int], Tensor],
    options: Symbolwise = AS_LEARNED,
    particles: int = 32,
    condition: Tensor | None = None,
) -> Filled:
    """``k`` completions of each sequence of ``given``, int64 with shape (n, length), where it is -1.

    What is known before the first hole is read once, in parallel, and shared by all completions. A symbol that is known
    after a hole was not seen when the hole was filled; so ``particles`` sequences are advanced together, each weighted
    by the probability it gave to the known symbols, and drawn anew in proportion to the weights when fewer than half
    of them count (sequential importance resampling: Gordon et al., 1993; Doucet et al., 2001). The ``k`` completions
    are drawn from them at last; with ever more particles they are draws from the model's conditional distribution.

    An example's completions do not depend on the others: its numbers belong to places of the sequence, and where
    nothing known follows its hole it needs no weights, whatever the others need.

    ``u(rows, columns)`` gives uniform numbers with shape (n, rows, columns), that belong to the examples.
    """
    n, length = given.shape
    hole = given < 0
    first = torch.where(hole.any(1), hole.int().argmax(1), length)
    start = int(first.min())
    after = (given >= 0) & (torch.arange(length, device=given.device) > first[:, None])
    late, weighed = after.any(0), after.any(1)
    size = max(k, particles) if late.any() else k
    cache = network.prefill(given[:, :start], condition)
    cache = cache.fork(torch.arange(n, device=given.device).repeat_interleave(size))
    draws, shuffles = u(size, length), u(1, length + 1)[:, 0]
    ancestor = torch.arange(size, device=given.device).expand(n, size)
    sequence = given.repeat_interleave(size, 0)
    log_prob = torch.zeros(n, size, device=given.device)
    log_w, ess = torch.zeros_like(log_prob), torch.full((n,), float(size), device=given.device)
    for t in range(start, length):
        symbol, log_p = emit(network, cache, draws[:, :, t].flatten(), options, sequence[:, t])
        sequence[:, t] = symbol
        counted = log_p.view(n, size) * (t >= first)[:, None]
        log_prob += counted
        if not late[t]:
            continue
        log_w += counted * ~hole[:, t : t + 1]
        effective = _effective(log_w)
        ess = torch.minimum(ess, effective)
        few = effective < size / 2
        if few.any():
            chosen = _systematic(log_w, shuffles[:, t], size)
            chosen = torch.where(few[:, None], chosen, torch.arange(size, device=given.device))
            rows = (chosen + size * torch.arange(n, device=given.device)[:, None]).flatten()
            cache, sequence, ancestor = cache.fork(rows), sequence[rows], ancestor.gather(1, chosen)
            log_prob, log_w = log_prob.gather(1, chosen), torch.where(few[:, None], 0.0, log_w)
    sequence = sequence.view(n, size, length)
    chosen = _systematic(log_w, shuffles[:, -1], k)
    chosen = torch.where(weighed[:, None], chosen, torch.arange(k, device=given.device))
    ancestor = ancestor.gather(1, chosen).sort(1).values
    return Filled(
        sequence.gather(1, chosen[:, :, None].expand(-1, -1, length)),
        log_prob.gather(1, chosen),
        torch.where(weighed, ess, float(k)),
        size,
        1 + (ancestor[:, 1:] != ancestor[:, :-1]).sum(1),
    )


def _effective(log_w: Tensor) -> Tensor:
    """Effective sample size (sum w)^2 / sum w^2 of weights with shape (n, size), with shape (n,)."""
    return torch.exp(2 * log_w.logsumexp(1) - (2 * log_w).logsumexp(1))


def _systematic(log_w: Tensor, u: Tensor, k: int) -> Tensor:
    """``k`` indices a row, in proportion to the weights, by one uniform number a row (systematic resampling)."""
    cumulative = log_w.softmax(1).cumsum(1)
    points = (torch.arange(k, device=u.device) + u[:, None]) / k * cumulative[:, -1:]
    return torch.searchsorted(cumulative, points, right=True).clamp(max=log_w.shape[1] - 1)


# --- what a network sees ----------------------------------------------------------------------------------------------


class Leak(ValueError):
    """A network's prediction depends on what it predicts, or on what comes later."""


def dependence(
    network: AutoregressiveNetwork, shape: tuple[int, ...], positions: Sequence[int], condition: Tensor | None = None
) -> Tensor:
    """Whether the prediction at each of ``positions`` depends on each symbol, both in order of emission.

    Boolean with shape (len(positions), length), by the gradient, in float64, of a twin with random weights (so that no
    zero at the start of training hides a path) on symbols of ``shape``.
    """
    generator = torch.Generator().manual_seed(0)
    twin = deepcopy(network).cpu().double().eval().requires_grad_(False)
    twin.shape = shape
    for p in twin.parameters():
        fan_in = max(1, p[0].numel()) if p.dim() > 1 else 4
        p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / fan_in**0.5)
    symbols = torch.randint(network.levels, (1, *shape), generator=generator).expand(len(positions), *shape)
    with torch.enable_grad():
        features = twin.embed(symbols).detach().requires_grad_()
        c = None if condition is None else condition[:1].cpu().expand(len(positions), *condition.shape[1:])
        logits = twin.transform(features, c)
        mixed = torch.randn(1, logits.shape[1], *[1] * len(shape), generator=generator, dtype=logits.dtype)
        outputs = twin.sequence((logits * mixed).sum(1))
        chosen = outputs.gather(1, torch.tensor(positions)[:, None])
        (gradient,) = torch.autograd.grad(chosen.sum(), features)
    owners = shape[0] if len(shape) == gradient.dim() - 1 else 1
    by_symbol = gradient.abs().unflatten(1, (owners, -1)).sum(2).reshape(len(positions), *shape)
    return twin.sequence(by_symbol) > 0


def check_causality(
    network: AutoregressiveNetwork, shape: tuple[int, ...], positions: Sequence[int], condition: Tensor | None = None
) -> float:
    """The fraction of the symbols before ``positions`` that predictions there depend on; :class:`Leak` if on others."""
    found = dependence(network, shape, positions, condition)
    for position, row in zip(positions, found, strict=True):
        if row[position:].any():
            ahead = position + int(row[position:].int().argmax())
            raise Leak(
                f"{type(network).__name__} predicts symbol {position} from symbol {ahead}, which is not before it: a "
                "mask or a shift is wrong, and its likelihoods and samples would mean nothing"
            )
    before = sum(positions)
    return float(found.sum()) / before if before else 1.0
