"""Sequences whose distribution is known: those of an LSTM with random weights, the oracle of SeqGAN's experiment.

Yu, Zhang, Wang & Yu, SeqGAN, 2017, arXiv:1609.05473, section 5.1. A generator that has learned from the oracle's
samples is judged by NLL_oracle, what its own samples cost under the oracle. Absolute values belong to one oracle: state
them between the oracle's own samples, the floor, and uniform tokens, the ceiling.

NLL_oracle alone is lowest for a generator that always repeats the oracle's likeliest sequence, so it says nothing of
diversity: state the NLL of the oracle's samples under the generator beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import FIRST, Words
from genwerk.data import cache
from genwerk.data.dataset import Dataset
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig
from genwerk.nn.autoregressive.lstm import LSTMConfig
from genwerk.nn.autoregressive.network import AutoregressiveNetwork, generate

NAME = "oracle"
"""The source of its texts."""
SIZES = {"train": 10_000, "validation": 1_000, "test": 4_000}
"""How many there are in each part: as many to learn from as in the paper."""
IN_CACHE = 2**20
"""Logits of a token that are computed together: a processor's cache should hold them."""


class Oracle:
    """The distribution over sequences of ``network``, which stays as it is."""

    def __init__(self, network: AutoregressiveNetwork) -> None:
        self.network = network.eval().requires_grad_(False)
        self.rows = max(1, IN_CACHE // network.levels)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """``n`` sequences, int64 with shape (n, length)."""
        u = torch.rand(n, self.network.length, generator=torch.Generator().manual_seed(seed))

        def drawn() -> Iterator[Tensor]:
            for part in u.split(self.rows):
                yield torch.stack(list(generate(self.network, self.network.begin(len(part)), part)), 1)

        return torch.cat(list(drawn()))

    def nll(self, x: Tensor) -> Tensor:
        """Nats a token of each sequence of ``x`` (n, length), with shape (n,)."""
        return -torch.cat([self.network.log_prob(part).mean(1) for part in x.split(self.rows)])


def oracle(vocabulary: int = 5000, length: int = 20, width: int = 32, seed: int = 0) -> Oracle:
    """The oracle of ``seed``: embeddings and states of ``width``, all weights and biases from N(0, 1).

    Of the two biases that torch's LSTM adds up one is zero, as papers have one.
    """
    generator = torch.Generator().manual_seed(seed)
    network = LSTMConfig(embedding=width, width=width).build(length, vocabulary, end=None, classes=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.normal_(generator=generator)
            if "bias_hh" in name:
                parameter.zero_()
    return Oracle(network)


# --- as data ----------------------------------------------------------------------------------------------------------


def behind(settings: DataConfig) -> Oracle | None:
    """The oracle that the data of ``settings`` were drawn from; None where they are of another source."""
    return _oracle(settings.seed) if settings.source == NAME else None


@lru_cache(maxsize=1)
def _oracle(seed: int) -> Oracle:
    return oracle(seed=seed)


def open_oracle(settings: DataConfig) -> Found:
    """Texts of the oracle with the seed of ``settings``: its tokens, written as numbers, are words.

    A text has no end. Words are not read from numbers that are typed, but for those with the space before them.
    """
    of = _oracle(settings.seed)
    length, levels = of.network.length, of.network.levels
    spec = DataSpec(
        kind="text", shape=(length,), vocabulary=Words(symbols=tuple(f" {i}" for i in range(levels)), length=length)
    )

    def part(number: int, n: int) -> Dataset:
        name = cache.key("oracle 1", settings.seed, number, n, levels, length)
        x = cache.kept(name, lambda: (of.sample(n, seed=number) + FIRST).int().numpy())
        return Dataset(x=torch.from_numpy(x), spec=spec)

    note = f"Texts of an LSTM with random weights, those of seed {settings.seed}: {length} of {levels:,} tokens."
    train, validation, test = (part(i, n) for i, n in enumerate(SIZES.values()))
    return Found(train=train, validation=validation, test=test, notes=(note,))


def possible(x: Tensor, of: Oracle) -> Tensor:
    """Which of the texts ``x``, in ids of the vocabulary with shape (n, length), the oracle can write, boolean (n,)."""
    return ((x >= FIRST) & (x < FIRST + of.network.levels)).all(1)


def tokens_of(x: Tensor) -> Tensor:
    """The oracle's tokens of such texts, with the same shape."""
    return x - FIRST
