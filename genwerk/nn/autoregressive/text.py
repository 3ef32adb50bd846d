"""What networks of texts share: tokens as vectors, a beginning, and an end after which there is nothing left to say.

Every place after the first end holds an end, with probability 1: so what fills a text up adds nothing to its
likelihood, no gradient comes of it, and the probabilities of all texts of a length, filled up, sum to 1.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.component import Component
from genwerk.core.options import AS_LEARNED
from genwerk.nn.autoregressive.network import AutoregressiveNetwork, Cache

NEVER = -1e4
"""Logit of what does not happen: its probability is 0 in any precision, and no difference of two is infinite."""
IN_CACHE = 2**18
"""Logits computed together on a processor, whose nearest caches they and their gradient should fit."""


def after(symbols: Tensor, end: int) -> Tensor:
    """Which places of ``symbols`` come after an ``end``, boolean with the same shape (n, t)."""
    return F.pad((symbols == end).cumsum(1), (1, 0))[:, :-1] > 0


class TextNetwork(AutoregressiveNetwork):
    """Logits of each token from those before it; shape is (length,), and any shorter one will do.

    The input of place t is the token of t - 1, and in front of the first a vector of its own, to which that of the
    label is added where there are ``classes``. After ``end`` come ends alone; None has no end.
    """

    def __init__(
        self, length: int, levels: int, width: int, *, end: int | None = None, classes: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.shape, self.levels, self.end = (length,), levels, end
        self.table = nn.Embedding(levels, width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.label = nn.Embedding(classes, width) if classes else None
        self.drop = nn.Dropout(dropout)

    # --- all at once --------------------------------------------------------------------------------------------------

    @abstractmethod
    def states(self, x: Tensor) -> Tensor:
        """States with shape (n, t, width) that predict each token, of the vectors of those before it, as long."""

    @abstractmethod
    def predict(self, states: Tensor) -> Tensor:
        """Logits with shape (..., levels) of states."""

    def first(self, n: int, condition: Tensor | None) -> Tensor:
        """What stands in front of each of ``n`` texts, with shape (n, width)."""
        start = self.start.expand(n, -1)
        return start if self.label is None else start + self.label(condition)

    def placed(self, x: Tensor, start: int = 0) -> Tensor:
        """``x`` with shape (n, t, width) as the places from ``start`` on are told it; positions may be added."""
        return x

    def shifted(self, vectors: Tensor, condition: Tensor | None) -> Tensor:
        """What each place is told, of the vectors of all tokens, both with shape (n, t, width)."""
        first = self.first(len(vectors), condition).to(vectors).unsqueeze(1)
        told: Tensor = self.drop(self.placed(torch.cat([first, vectors[:, :-1]], 1)))
        return told

    def over(self, symbols: Tensor) -> Tensor:
        """Which places, boolean with shape (n, t), come after an end."""
        return torch.zeros_like(symbols, dtype=torch.bool) if self.end is None else after(symbols, self.end)

    def forced(self, logits: Tensor, over: Tensor) -> Tensor:
        """``logits`` with shape (..., levels) that say an end where the text is ``over``."""
        if self.end is None:
            return logits
        ending = torch.full((self.levels,), NEVER, dtype=logits.dtype, device=logits.device)
        ending[self.end] = 0
        return torch.where(over.unsqueeze(-1), ending, logits)

    def embed(self, symbols: Tensor) -> Tensor:
        features: Tensor = self.table(symbols)
        return features.transpose(1, 2)

    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits as if no text were over, which depends on symbols and not on their vectors."""
        return self.predict(self.states(self.shifted(features.transpose(1, 2), condition))).transpose(1, 2)

    def forward(self, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
        logits = self.transform(self.embed(symbols), condition).transpose(1, 2)
        return self.forced(logits, self.over(symbols)).transpose(1, 2)

    def log_prob(self, symbols: Tensor, condition: Tensor | None = None, history: Tensor | None = None) -> Tensor:
        """Log-probability of every token, in nats with shape (n, t): 0 for ends after the end.

        Each is given the tokens before it in ``history``, int64 like ``symbols``; None takes these. Nothing is computed
        beyond the longest text, nor the logits of any place after an end.
        """
        over = self.over(symbols)
        counted = ~over
        longest = int(counted.sum(1).max()) if len(symbols) else 0
        counted = counted[:, :longest]
        before = symbols if history is None else history
        states = self.states(self.shifted(self.table(before[:, :longest]), condition))
        whole = bool(counted.all())
        kept = states.flatten(0, 1) if whole else states[counted]
        told = symbols[:, :longest].flatten() if whole else symbols[:, :longest][counted]
        rows = max(1, IN_CACHE // self.levels if kept.device.type == "cpu" else len(kept))
        parts = zip(kept.split(rows), told.split(rows), strict=True)
        nats = torch.cat([-F.cross_entropy(self.predict(part), y, reduction="none") for part, y in parts])
        found = nats.view_as(counted) if whole else nats.new_zeros(counted.shape).masked_scatter(counted, nats)
        found = F.pad(found, (0, symbols.shape[1] - longest))
        return found if self.end is None else found.masked_fill(over & (symbols != self.end), NEVER)

    # --- one by one ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def remember(self, n: int) -> dict[str, Tensor]:
        """What a cache of ``n`` texts holds of the network's own, of which nothing stands yet."""

    @abstractmethod
    def step(self, cache: Cache, x: Tensor) -> Tensor:
        """The state at the cache's position with shape (n, width), of what it is told, with shape (n, 1, width)."""

    @abstractmethod
    def take_in(self, cache: Cache, x: Tensor) -> None:
        """Bring an empty cache as far as if :meth:`step` had been told ``x``, with shape (n, t, width), in turn."""

    @torch.no_grad()
    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        """With ``next``, what the next place is told, and ``over``, whether the text is."""
        first = self.first(n, condition).clone()
        over = torch.zeros(n, dtype=torch.bool, device=first.device)
        return Cache({"next": first, "over": over, **self.remember(n)})

    @torch.no_grad()
    def logits(self, cache: Cache) -> Tensor:
        told = self.placed(cache.tensors["next"].unsqueeze(1), cache.position)
        return self.forced(self.predict(self.step(cache, told)), cache.tensors["over"])

    @torch.no_grad()
    def push(self, cache: Cache, symbol: Tensor) -> None:
        cache.tensors["next"] = self.table(symbol)
        if self.end is not None:
            cache.tensors["over"] = cache.tensors["over"] | (symbol == self.end)
        cache.position += 1

    @torch.no_grad()
    def prefill(self, sequence: Tensor, condition: Tensor | None = None) -> Cache:
        cache = self.begin(len(sequence), condition)
        if sequence.shape[1]:
            vectors = self.table(sequence)
            self.take_in(cache, self.placed(torch.cat([cache.tensors["next"].unsqueeze(1), vectors[:, :-1]], 1)))
            cache.tensors["next"] = vectors[:, -1]
            if self.end is not None:
                cache.tensors["over"] = (sequence == self.end).any(1)
            cache.position = sequence.shape[1]
        return cache

    @torch.no_grad()
    def resampled(self, symbols: Tensor, own: Tensor, u: Tensor, condition: Tensor | None = None) -> Tensor:
        """``symbols`` with a draw of the network in each place where ``own``, both with shape (n, t), given the result
        so far; none is an end, for the text goes on. ``u`` is uniform with the same shape."""
        longest, found = int((~self.over(symbols)).sum(1).max()), symbols.clone()
        cache = self.begin(len(symbols), condition)
        for t in range(longest):
            logits = self.logits(cache)
            if self.end is not None:
                logits = logits.index_fill(1, torch.tensor([self.end], device=logits.device), NEVER)
            found[:, t] = torch.where(own[:, t], AS_LEARNED.draw(logits, u[:, t]), symbols[:, t])
            self.push(cache, found[:, t])
        return found

    def finished(self, cache: Cache) -> bool:
        return self.end is not None and bool(cache.tensors["over"].all())


@dataclass(frozen=True, kw_only=True)
class TextNetworkConfig(Component):
    """Settings of a network that predicts tokens."""

    dropout: float = 0.0
    """Share of what passes between layers that is left out in training."""

    @abstractmethod
    def build(self, length: int, levels: int, *, end: int | None, classes: int) -> TextNetwork:
        """The network for texts of ``length`` tokens with values below ``levels``."""

    @abstractmethod
    def narrow(self) -> TextNetworkConfig:
        """The same network as narrow as can be: what it sees is the same."""
