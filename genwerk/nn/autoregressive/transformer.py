"""A decoder-only transformer over tokens, whose keys and values are kept while a text is written.

Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762; the order of normalisation, the initial weights and
the tokens' vectors as the last layer are those of Radford et al., Language Models are Unsupervised Multitask Learners,
2019, without biases; rotary positions: Su et al., RoFormer, 2021, arXiv:2104.09864.

One by one, a place needs the keys and values of those before it and no more: each is computed once and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.errors import BadInput, check_ranges
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.text import TextNetwork, TextNetworkConfig

BASE = 10_000.0
"""Rotary positions turn the fastest pair by 1 radian a token, the slowest by little more than one of so many."""
STD = 0.02
"""Standard deviation of initial weights."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(TextNetworkConfig, kind="transformer"):
    """A decoder-only transformer."""

    width: int = 128
    """Units of every token."""
    layers: int = 4
    """Blocks."""
    heads: int = 4
    """Attention heads of each block."""
    positions: Literal["learned", "rotary"] = "learned"
    """How a token is told its place: a vector that is added, or queries and keys turned by it."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.network", width=(1, 2**16), layers=(1, 1000), heads=(1, 2**10), dropout=(0, 0.999))
        if self.width % self.heads or (self.positions == "rotary" and self.width // self.heads % 2):
            even = "an even number of" if self.positions == "rotary" else "equally many"
            raise BadInput(
                f"‹model.network.width› is {self.width} and ‹model.network.heads› {self.heads}; expected {even} units "
                "for each head"
            )

    def build(self, length: int, levels: int, *, end: int | None, classes: int) -> TextNetwork:
        return TransformerNetwork(length, levels, self, end=end, classes=classes)

    def narrow(self) -> TransformerConfig:
        return replace(self, width=4, heads=2, layers=min(self.layers, 2), dropout=0.0)


class Attention(nn.Module):
    """Causal attention among tokens with shape (n, t, width)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)

    def project(self, x: Tensor, turns: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values with shape (n, heads, t, d); ``turns`` are those of :func:`rotations` for x."""
        q, k, v = (each.unflatten(2, (self.heads, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, 2))
        return (q, k, v) if turns is None else (turned(q, turns), turned(k, turns), v)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout)
        y: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y


class Block(nn.Module):
    """Tokens plus attention, plus a feed-forward layer, each of what is normalised before."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        self.drop = nn.Dropout(dropout)

    def feed(self, x: Tensor, attended: Tensor) -> Tensor:
        """The tokens ``x`` after what attention adds, and the feed-forward layer."""
        x = x + self.drop(attended)
        y: Tensor = x + self.drop(self.down(F.gelu(self.up(self.norm2(x)))))
        return y


class TransformerNetwork(TextNetwork):
    """Blocks of causal attention, with learned or rotary positions."""

    turns: Tensor | None

    def __init__(self, length: int, levels: int, config: TransformerConfig, *, end: int | None, classes: int) -> None:
        width, layers = config.width, config.layers
        super().__init__(length, levels, width, end=end, classes=classes, dropout=config.dropout)
        rotary = config.positions == "rotary"
        self.position = None if rotary else nn.Parameter(torch.empty(length, width))
        self.register_buffer("turns", rotations(length, width // config.heads) if rotary else None, persistent=False)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=STD / (2 * layers) ** 0.5 if residual else STD)

    def placed(self, x: Tensor, start: int = 0) -> Tensor:
        return x if self.position is None else x + self.position[start : start + x.shape[1]]

    def states(self, x: Tensor) -> Tensor:
        return self._through(x)[0]

    def predict(self, states: Tensor) -> Tensor:
        return F.linear(states, self.table.weight)

    def _through(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """States, and the keys and values of every block."""
        kept, turns = list[tuple[Tensor, Tensor]](), None if self.turns is None else self.turns[:, : x.shape[1]]
        for block in self._blocks:
            q, k, v = block.attention.project(block.norm1(x), turns)
            x = block.feed(x, block.attention.mix(q, k, v))
            kept.append((k, v))
        return self.norm(x), kept

    @property
    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    # --- one by one ---------------------------------------------------------------------------------------------------

    def remember(self, n: int) -> dict[str, Tensor]:
        """Keys and values with shape (n, layers, heads, length, d)."""
        heads, width = self._blocks[0].attention.heads, self.start.shape[0]
        shape = (n, len(self.blocks), heads, self.length, width // heads)
        return {name: self.start.new_zeros(shape) for name in ("keys", "values")}

    def step(self, cache: Cache, x: Tensor) -> Tensor:
        keys, values, place = cache.tensors["keys"], cache.tensors["values"], cache.position
        turns = None if self.turns is None else self.turns[:, place : place + 1]
        for i, block in enumerate(self._blocks):
            q, k, v = block.attention.project(block.norm1(x), turns)
            keys[:, i, :, place], values[:, i, :, place] = k[:, :, 0], v[:, :, 0]
            past = (each[:, i, :, : place + 1] for each in (keys, values))
            x = block.feed(x, block.attention.mix(q, *past, causal=False))
        state: Tensor = self.norm(x[:, 0])
        return state

    def take_in(self, cache: Cache, x: Tensor) -> None:
        for i, (k, v) in enumerate(self._through(x)[1]):
            cache.tensors["keys"][:, i, :, : x.shape[1]] = k
            cache.tensors["values"][:, i, :, : x.shape[1]] = v


def rotations(length: int, d: int) -> Tensor:
    """Cosines and sines by which the pairs of ``d`` units are turned at each place, with shape (2, length, d / 2)."""
    angles = torch.arange(length)[:, None] * BASE ** (-torch.arange(0, d, 2) / d)
    return torch.stack([angles.cos(), angles.sin()])


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """``x`` with shape (n, heads, t, d), unit i and unit i + d / 2 turned together."""
    (one, two), (cos, sin) = x.chunk(2, -1), turns.to(x)
    return torch.cat([one * cos - two * sin, two * cos + one * sin], -1)
