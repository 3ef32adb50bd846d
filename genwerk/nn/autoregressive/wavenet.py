"""WaveNet's network: a stack of gated causal convolutions whose memory of the past is one vector a layer and sample.

van den Oord et al., WaveNet: A Generative Model for Raw Audio, 2016, arXiv:1609.03499, sections 2.1 to 2.5.

One by one, a layer with kernel k and dilation d needs its inputs of d, 2d .. (k-1)d samples ago and no others; so each
layer has a ring of (k-1)d vectors, indexed by the time modulo its size, in which nothing is ever moved. What stands in
the rings is known before the next symbol is. Hence one batched product gives what the past says to all the gates, and
only what depends on the newest symbol is left to the layers in turn: four small operations each, in memory that is
allocated once. What all the gates let through goes to the output in one product at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import pi
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive.network import AutoregressiveNetwork, Cache


class WaveNetNetwork(AutoregressiveNetwork):
    """Logits of each sample of a sound from the ``field`` samples before it; shape is (t,), and any t will do.

    The input of time t is the sample of t - 1, and silence (the middle level) in front of the first; before that every
    layer sees zeros, which is how a network knows the beginning from a pause. With ``classes`` a vector for the label
    is added to both halves of every gate.
    """

    def __init__(
        self,
        length: int,
        levels: int = 256,
        *,
        dilations: Sequence[int],
        kernel: int = 2,
        residual: int = 32,
        gate: int = 32,
        skip: int = 128,
        head: int = 128,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.levels = (length,), levels
        self.kernel, self.dilations = kernel, tuple(dilations)
        self.spans = tuple((kernel - 1) * d for d in dilations)
        """How far back each layer looks, in samples: the size of its ring."""
        self.table = nn.Embedding(levels, residual)
        with torch.no_grad():
            self.table.weight.copy_(cosines(levels, residual))
        self.gates = nn.ModuleList(nn.Linear(kernel * residual, 2 * gate) for _ in self.spans)
        self.residuals = nn.ModuleList(nn.Linear(gate, residual, bias=False) for _ in self.spans[1:])
        self.skips = nn.ModuleList(nn.Linear(gate, skip, bias=False) for _ in self.spans)
        self.label = nn.Embedding(classes, 2 * gate * len(self.spans)) if classes else None
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(skip, head), nn.ReLU(), nn.Linear(head, levels))

    @property
    def field(self) -> int:
        """Number of samples before a sample that its prediction sees."""
        return 1 + sum(self.spans)

    @property
    def silence(self) -> int:
        """The symbol in front of the first: that of amplitude zero."""
        return self.levels // 2

    # --- all at once --------------------------------------------------------------------------------------------------

    # Inside, time comes first: a shift is then a slice, and a convolution one product of matrices that lie as they are
    # multiplied.

    def embed(self, symbols: Tensor) -> Tensor:
        features: Tensor = self.table(symbols.t())
        return features.permute(1, 2, 0)

    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.predict(features.permute(2, 0, 1), condition).permute(1, 2, 0)

    def log_prob(self, symbols: Tensor, condition: Tensor | None = None, start: int = 0) -> Tensor:
        """Log-probability of every symbol from ``start`` on given those before it, in nats, with shape (n, t - start).

        All symbols are read, and the output is computed for those that count.
        """
        logits = self.predict(self.table(symbols.t()), condition, start)
        nats = F.cross_entropy(logits.flatten(0, 1), symbols.t()[start:].flatten(), reduction="none")
        return -nats.view(-1, len(symbols)).t()

    def predict(self, features: Tensor, condition: Tensor | None = None, start: int = 0) -> Tensor:
        """Logits from ``start`` on with shape (t - start, n, levels), for features with shape (t, n, residual)."""
        silence = self.table.weight[self.silence].to(features).expand(1, features.shape[1], -1)
        _, skip = self.layers(torch.cat([silence, features[:-1]]), condition, start)
        logits: Tensor = self.head(skip)
        return logits

    def layers(self, x: Tensor, condition: Tensor | None, start: int = 0) -> tuple[list[Tensor], Tensor]:
        """The input of every layer, each (t, n, residual), and the sum of the skips with shape (t - start, n, skip)."""
        biases = self.biases(condition)
        inputs, total = [x], x.new_zeros(())
        for i, (multiply, dilation) in enumerate(zip(self.gates, self.dilations, strict=True)):
            taps = [shift(x, j * dilation) for j in reversed(range(self.kernel))]
            z = multiply(torch.cat(taps, 2))
            if biases is not None:
                z = z + biases[:, i]
            filtered, gate = z.chunk(2, 2)
            a = filtered.tanh() * gate.sigmoid()
            total = total + self.skips[i](a[start:])
            if i < len(self.residuals):
                x = x + self.residuals[i](a)
                inputs.append(x)
        return inputs, total

    def biases(self, condition: Tensor | None) -> Tensor | None:
        """What the label adds to the gates, with shape (n, layers, 2 * gate); None without labels."""
        if self.label is None:
            return None
        assert condition is not None
        added: Tensor = self.label(condition)
        return added.view(len(added), len(self.spans), -1)

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        """With the rings of all layers side by side (n, sum of spans, residual), the last symbol (n,) and, with labels,
        their biases (n, layers, 2 * gate)."""
        weight, packed = self.table.weight, Packed(self)
        rings = weight.new_zeros(n, sum(self.spans), weight.shape[1])
        symbol = torch.full((n,), self.silence, dtype=torch.int64, device=weight.device)
        biases = self.biases(condition)
        tensors = {"rings": rings, "symbol": symbol}
        return Cache(tensors if biases is None else tensors | {"biases": packed.halve(biases)}, packed)

    def logits(self, cache: Cache) -> Tensor:
        logits: Tensor = cache.packed.logits(cache)
        return logits

    def push(self, cache: Cache, symbol: Tensor) -> None:
        cache.tensors["symbol"] = symbol.clone()
        cache.position += 1

    @torch.no_grad()
    def prefill(self, sequence: Tensor, condition: Tensor | None = None) -> Cache:
        """The cache after ``sequence``, of which only the last ``field`` symbols are read: no others are seen."""
        cache = self.begin(len(sequence), condition)
        end = sequence.shape[1]
        if end == 0:
            return cache
        window = F.pad(sequence, (1, 0), value=self.silence)[:, max(0, end - self.field + 1) : -1]
        inputs, _ = self.layers(self.table(window.t()), condition, window.shape[1])
        for x, span, ring in zip(inputs, self.spans, cache.tensors["rings"].split(self.spans, 1), strict=True):
            times = torch.arange(max(0, end - span), end, device=x.device)[-len(x) :]
            ring[:, times % span] = x[-len(times) :].transpose(0, 1)
        cache.tensors["symbol"] = sequence[:, -1].clone()
        cache.position = end
        return cache


class Packed:
    """The weights of a network as its steps need them, and room for what a step computes.

    A gate tanh(f) sigmoid(g) is (tanh(f) + tanh(f) tanh(g / 2)) / 2, which takes one tanh for both halves; the factors
    of one half are in the weights, exactly.
    """

    def __init__(self, network: WaveNetNetwork) -> None:
        gates = self.halve(torch.stack(stored(network.gates, "weight")).mT)  # (layers, kernel * residual, 2 * gate)
        reach = gates.shape[1] - network.table.embedding_dim
        self.past, self.now = gates[:, :reach].contiguous(), gates[:, reach:].contiguous().unbind(0)
        self.bias = self.halve(torch.stack(stored(network.gates, "bias")))[:, None]
        self.residuals = [w.t().contiguous() / 2 for w in stored(network.residuals, "weight")]
        self.skip = torch.cat(stored(network.skips, "weight"), 1).t().contiguous() / 2
        head = (network.head[1], network.head[3])
        weights = [w.t().contiguous() for w in stored(head, "weight")]
        self.head = list(zip(stored(head, "bias"), weights, strict=True))
        self.table = network.table.weight.detach()
        device, spans = self.table.device, network.spans
        taps = torch.arange(network.kernel - 1, device=device)
        self.spans = torch.tensor(spans, device=device)[:, None]
        self.phases = torch.tensor(network.dilations, device=device)[:, None] * taps
        self.offsets = torch.tensor([0, *accumulate(spans)][:-1], device=device)[:, None]
        self.rooms: dict[int, Room] = {}

    @staticmethod
    def halve(x: Tensor) -> Tensor:
        """``x`` with the second half of its last dimension, that of the sigmoids, divided by two."""
        filtered, gate = x.chunk(2, -1)
        return torch.cat([filtered, gate / 2], -1)

    @torch.inference_mode()
    def logits(self, cache: Cache) -> Tensor:
        """One step: reads the rings, puts this time's inputs of all layers into them, returns (n, levels)."""
        rings, symbol, *biases = cache.tensors.values()
        n = len(symbol)
        room = self.rooms.get(n) or self.rooms.setdefault(n, Room(self, n))
        slots = torch.remainder(self.phases + cache.position, self.spans).add_(self.offsets)
        torch.index_select(rings, 1, slots.view(-1), out=room.past)
        torch.baddbmm(self.bias, room.past_by_layer, self.past, out=room.z)
        if biases:
            room.z.add_(biases[0].transpose(0, 1))
        torch.index_select(self.table, 0, symbol, out=room.inputs[0])
        addmm, tanh_, addcmul = torch.addmm, torch.tanh_, torch.addcmul
        for x, z, now, filtered, gate, a, residual, onwards in room.layers:
            addmm(z, x, now, out=z)
            tanh_(z)
            addcmul(filtered, filtered, gate, out=a)
            if residual is not None:
                addmm(x, a, residual, out=onwards)
        rings.index_copy_(1, slots[:, 0], room.inputs_by_row)
        (b1, w1), (b2, w2) = self.head
        return addmm(b2, addmm(b1, torch.mm(room.passed, self.skip).relu_(), w1).relu_(), w2)


class Room:
    """What a step of ``n`` sequences computes, in place, with the views of it that each layer needs."""

    def __init__(self, packed: Packed, n: int) -> None:
        layers, reach, double = packed.past.shape
        residual, gate = packed.table.shape[1], double // 2
        empty = packed.table.new_empty
        self.past = empty(n, layers * reach // residual, residual)
        self.past_by_layer = self.past.view(n, layers, reach).transpose(0, 1)
        self.inputs, self.z, self.passed = empty(layers, n, residual), empty(layers, n, double), empty(n, layers * gate)
        self.inputs_by_row = self.inputs.transpose(0, 1)
        halves = [z.split(gate, 1) for z in self.z]
        self.layers = list(
            zip(
                self.inputs.unbind(0),
                self.z.unbind(0),
                packed.now,
                [filtered for filtered, _ in halves],
                [g for _, g in halves],
                self.passed.split(gate, 1),
                [*packed.residuals, None],
                [*self.inputs[1:], None],
                strict=True,
            )
        )


def cosines(levels: int, channels: int) -> Tensor:
    """Cosines of ever more waves over the levels, with shape (levels, channels): neighbouring levels begin alike."""
    place = (torch.arange(levels) + 0.5) / levels
    return 2**0.5 * torch.cos(pi * place[:, None] * torch.arange(1, channels + 1))


def shift(x: Tensor, steps: int) -> Tensor:
    """``x`` with shape (t, ...) as it was ``steps`` ago, zeros before it began."""
    return x if steps == 0 else torch.cat([torch.zeros_like(x[:steps]), x[:-steps]])


def stored(modules: Iterable[nn.Module], name: Literal["weight", "bias"]) -> list[Tensor]:
    """The parameter ``name`` of each of ``modules``, without its gradient."""
    return [module.get_parameter(name).detach() for module in modules]
