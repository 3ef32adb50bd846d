"""What every autoregressive family shares: p(x) = prod_t p(x_t | x_1 .. x_{t-1}), symbol by symbol.

A family gives an :class:`AutoregressiveNetwork`; likelihoods are exact, and samples and completions are drawn with each
activation computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from genwerk.core.abilities import Completes, Completion, HasLikelihood, Traces
from genwerk.core.condition import Label, choose
from genwerk.core.model import Config, Loss, Model, Player, TrainingStream, Turn, Turns
from genwerk.core.noise import Seed, SeededNoise, Seeds
from genwerk.core.options import Options, Symbolwise
from genwerk.core.spec import Batch, DataSpec
from genwerk.nn.autoregressive.network import AutoregressiveNetwork, Filled, check_causality, fill, generate
from genwerk.nn.autoregressive.tokeniser import Tokeniser

ROWS = 1024
"""Sequences advanced side by side in a completion, which bounds the memory."""
PARTICLES = 32
"""Particles for each completion, where known values follow a hole, unless options say how many there are."""


@dataclass(frozen=True, kw_only=True)
class AutoregressiveConfig(Config):
    """Settings that every autoregressive family has."""

    conditional: bool = False
    """Whether the network is conditioned on the label."""


class AutoregressiveModel(Model, Traces, HasLikelihood, Completes):
    """Symbols of the data, and a network that predicts each from those before it.

    A subclass builds both and hands them to :meth:`emits`.
    """

    symbols: Tokeniser
    network: AutoregressiveNetwork
    options: Symbolwise = Symbolwise()

    def __init__(self, config: AutoregressiveConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: AutoregressiveConfig = config
        self.condition = choose(config.conditional, spec, Label)

    def emits(
        self,
        symbols: Tokeniser,
        network: AutoregressiveNetwork,
        twin: Callable[[], AutoregressiveNetwork],
        *positions: int,
    ) -> None:
        """Take the parts, and prove causality on a small ``twin`` of the network.

        What a network sees depends neither on how wide it is nor on how large its canvas is: a narrow one is probed, at
        ``positions``, or at all there are. ``coverage`` is the fraction of the symbols before them that it sees.
        """
        self.symbols, self.network = symbols, network
        self.scored, self.scored_as = symbols.scored, symbols.scored_as
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            narrow = twin()
            label = torch.zeros(1, dtype=torch.int64) if self.condition.classes else None
            self.coverage = check_causality(narrow, narrow.shape, positions or range(narrow.length), label)

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch = stream.next_batch()
        u = stream.uniform(*self.spec.shape) if self.symbols.random else None
        yield Turn("model", self.objective, batch, u)

    def objective(self, batch: Batch, u: Tensor | None = None) -> Loss:
        """Negative log-likelihood in nats an example; ``u`` is uniform with the shape of x, where symbols are drawn."""
        symbols = self.symbols.encode(batch.x, u)
        log_p = self.network.log_prob(symbols, self.condition.check(batch.condition, self)).flatten(1).sum(1).mean()
        return -log_p, {"nll": -log_p, "bits per symbol": -log_p / (self.network.length * log(2))}

    # --- abilities ----------------------------------------------------------------------------------------------------

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.network.log_prob(self.symbols.encode(x), self.condition.check(condition, self)).flatten(1).sum(1)

    @property
    def row_cost(self) -> int:
        """Of what the network remembers of a sequence."""
        label = torch.zeros(1, dtype=torch.int64, device=self.device) if self.condition.classes else None
        return self.network.begin(1, label).nbytes

    @torch.no_grad()
    def trace(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        """A frame after every row of pixels, or after every eighth of a sound or text."""
        network, noise, options = self.network, SeededNoise(n, seed, self.device), self.options.chosen(options)
        u = noise.uniform(network.length)
        condition = self.condition.or_drawn(condition, noise.uniform, self)
        state = network.begin(n, condition)
        sequence = torch.zeros(n, network.length, dtype=torch.int64, device=self.device)
        part = max(1, network.length // (self.spec.shape[1] if self.spec.modality.is_grid else 8))
        for t, symbol in enumerate(generate(network, state, u, options)):
            sequence[:, t] = symbol
            if (over := network.finished(state)) or (t + 1) % part == 0 or t + 1 == network.length:
                yield self.symbols.decode(network.arrange(sequence))
            if over:
                return

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        k: int = 1,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
    ) -> Completion:
        """``k`` completions of each example around any hole (:func:`fill`), which share their particles."""
        options = self.options.chosen(options)
        particles = options.particles or PARTICLES * k
        if known.dtype != torch.bool:
            raise ValueError(f"known is {known.dtype}; expected booleans, True where a value is observed")
        network, seeds, known = self.network, Seeds.of(seed), known.expand_as(x)
        symbols = self.symbols.encode(x)
        observed = network.sequence(symbols.masked_fill(~self.symbols.known(known), -1))
        label, found = self.condition.check(condition, self), list[Filled]()
        size = max(1, ROWS // max(k, particles))
        for i in range(0, len(x), size):
            rows = slice(i, i + size)
            c = None if label is None else label[rows]
            u = SeededNoise(len(observed[rows]), seeds + i, self.device).uniform
            found.append(fill(network, observed[rows], k, u, options, particles, c))
        sequence = torch.cat([f.sequence for f in found]).flatten(0, 1)
        made = self.symbols.decode(network.arrange(sequence)).unflatten(0, (len(x), k)).to(x.dtype)
        return Completion(
            torch.where(known[:, None], x[:, None], made),
            torch.cat([f.log_prob for f in found]),
            torch.cat([f.ess for f in found]),
            max(f.particles for f in found),
            torch.cat([f.ancestors for f in found]),
        )
