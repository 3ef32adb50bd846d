"""Encoders of texts to codes, and networks that write a text, token by token, from a code."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from genwerk.core.component import Component
from genwerk.core.errors import check_ranges
from genwerk.nn.autoregressive.lstm import LSTMConfig, LSTMNetwork
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.text import TextNetwork, after
from genwerk.nn.lstm import LSTM
from genwerk.nn.mlp import with_label

Sees = Literal["input", "state", "both"]


@dataclass(frozen=True, kw_only=True)
class TextCoder(Component):
    """Settings of an encoder of texts and of a decoder that writes them."""

    @abstractmethod
    def build(
        self, length: int, levels: int, *, end: int, features: int, code: int, classes: int = 0
    ) -> tuple[nn.Module, TextNetwork]:
        """An encoder of texts of ``length`` tokens with values below ``levels`` to ``features`` numbers, and a decoder.

        The encoder is called with (symbols, condition); the condition is class indices where ``classes`` > 0. That of
        the decoder is the code: ``code`` numbers a text.
        """


@dataclass(frozen=True, kw_only=True)
class LSTMCoder(TextCoder, kind="lstm"):
    """A long short-term memory that reads, and another that writes."""

    embedding: int = 128
    """Numbers that a token becomes."""
    width: int = 256
    """Units of each layer."""
    layers: int = 1
    """Layers of each, one above the other."""
    dropout: float = 0.0
    """Share of what passes between layers that is left out in training."""
    sees: Sees = "both"
    """Where the decoder sees the code: beside every token, as its first state, or both."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.network", embedding=(1, 2**16), width=(1, 2**16), layers=(1, 100), dropout=(0, 0.999))

    def build(
        self, length: int, levels: int, *, end: int, features: int, code: int, classes: int = 0
    ) -> tuple[nn.Module, TextNetwork]:
        return (
            LSTMEncoder(levels, self, end=end, features=features, classes=classes),
            LSTMDecoder(length, levels, self, end=end, code=code),
        )


class LSTMEncoder(nn.Module):
    """The last state of an LSTM, that at the text's end, and the label where ``classes`` > 0, to ``features``."""

    def __init__(self, levels: int, config: LSTMCoder, *, end: int, features: int, classes: int) -> None:
        super().__init__()
        self.end, self.classes = end, classes
        self.table = nn.Embedding(levels, config.embedding)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = LSTM(config.embedding, config.width, config.layers, batch_first=True, dropout=between)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width + classes, features)

    def forward(self, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
        """Features with shape (n, features) of ``symbols``, int64 with shape (n, length)."""
        lengths = (~after(symbols, self.end)).sum(1)
        states = self.lstm(self.drop(self.table(symbols[:, : int(lengths.max())])))[0]
        last = self.drop(states[torch.arange(len(symbols), device=symbols.device), lengths - 1])
        features: Tensor = self.head(with_label(last, condition, self.classes))
        return features


class LSTMDecoder(LSTMNetwork):
    """An LSTM over tokens that sees a code, its condition: floats with shape (n, code)."""

    def __init__(self, length: int, levels: int, config: LSTMCoder, *, end: int | None, code: int) -> None:
        of_tokens = LSTMConfig(
            embedding=config.embedding, width=config.width, layers=config.layers, dropout=config.dropout
        )
        beside = 0 if config.sees == "state" else code
        super().__init__(length, levels, of_tokens, end=end, classes=0, beside=beside)
        self.code, self.beside = code, beside
        self.cell = None if config.sees == "input" else nn.Linear(code, config.layers * config.width)

    def initial(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """The first hidden and cell state, each with shape (layers, n, width): nought where the code is not seen so."""
        layers, width = self.lstm.num_layers, self.lstm.hidden_size
        if self.cell is None:
            cell = code.new_zeros(layers, len(code), width)
        else:
            cell = self.cell(code).unflatten(1, (layers, width)).transpose(0, 1).contiguous()
        return cell.tanh(), cell

    def told(self, x: Tensor, code: Tensor) -> Tensor:
        """What the LSTM takes in, of vectors of tokens with shape (n, t, embedding)."""
        return torch.cat([x, code.unsqueeze(1).expand(-1, x.shape[1], -1)], -1) if self.beside else x

    # --- all at once --------------------------------------------------------------------------------------------------

    def shifted(self, vectors: Tensor, condition: Tensor | None) -> Tensor:
        """The code beside what each place is told, with shape (n, t, embedding + code), for :meth:`states`."""
        assert condition is not None
        x = super().shifted(vectors, condition)
        return torch.cat([x, condition.to(x).unsqueeze(1).expand(-1, x.shape[1], -1)], -1)

    def states(self, x: Tensor) -> Tensor:
        code = x[:, 0, -self.code :]
        states: Tensor = self.drop(self.lstm(x if self.beside else x[..., : -self.code], self.initial(code))[0])
        return states

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        assert condition is not None
        cache = super().begin(n)
        hidden, cell = self.initial(condition)
        cache.tensors |= {"code": condition, "hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
        return cache

    def step(self, cache: Cache, x: Tensor) -> Tensor:
        return super().step(cache, self.told(x, cache.tensors["code"]))
