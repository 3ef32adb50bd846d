"""How fast a transformer over tokens learns and writes, beside the plain way of each, in seconds of the processor.

    python benchmarks/text_speed.py

A step of training is measured beside the same network written out in the style of nanoGPT (embeddings, blocks of
fused queries, keys and values, tied logits, the mean cross-entropy of all tokens), with the same optimiser, in turn so
that both meet the same machine. A text is written with what was computed kept, and by a pass over all of it a token;
the logits of both ways are compared on the text that was written.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.options import AS_LEARNED
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.vocabularies import FIRST, Characters
from genwerk.families.language_model import LanguageModel, LanguageModelConfig, TransformerConfig
from genwerk.nn.autoregressive.network import generate


class PlainBlock(nn.Module):
    """Causal attention and a feed-forward layer, each of what is normalised before."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = (
            each.view(n, t, self.heads, width // self.heads).transpose(1, 2)
            for each in self.qkv(self.norm1(x)).split(width, dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(n, t, width))
        y: Tensor = x + self.down(F.gelu(self.up(self.norm2(x))))
        return y


class Plain(nn.Module):
    """The same network, which is given tokens and the tokens that follow them."""

    def __init__(self, levels: int, length: int, config: TransformerConfig) -> None:
        super().__init__()
        self.table, self.position = nn.Embedding(levels, config.width), nn.Embedding(length, config.width)
        self.blocks = nn.ModuleList(PlainBlock(config.width, config.heads) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(config.width, bias=False), nn.Linear(config.width, levels, bias=False)
        self.head.weight = self.table.weight

    def logits(self, symbols: Tensor) -> Tensor:
        x = self.table(symbols) + self.position(torch.arange(symbols.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def forward(self, symbols: Tensor, following: Tensor) -> Tensor:
        logits = self.logits(symbols)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), following.reshape(-1))


def seconds(work: Callable[[], object]) -> float:
    """Seconds of the processor that ``work`` takes."""
    start = process_time()
    work()
    return process_time() - start


def stepper(parameters: list[nn.Parameter], loss: Callable[[], Tensor]) -> Callable[[], None]:
    """A step of training down ``loss``."""
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="steps of training of each")
    parser.add_argument("--batch", type=int, default=12, help="texts a step, and texts that are written")
    parser.add_argument("--length", type=int, default=256, help="tokens of a text")
    asked = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = TransformerConfig()
    words = Characters(symbols=tuple(chr(0x4E00 + i) for i in range(65 - FIRST)), length=asked.length)
    spec = DataSpec(kind="text", shape=(asked.length,), vocabulary=words)
    model = LanguageModel(LanguageModelConfig(network=config), spec)
    x = torch.randint(FIRST, words.size, (asked.batch, asked.length + 1))
    plain = Plain(words.size, asked.length, config)
    ours = stepper([*model.parameters()], lambda: model.objective(Batch(x[:, :-1]))[0])
    theirs = stepper([*plain.parameters()], lambda: plain(x[:, :-1], x[:, 1:]))
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(asked.steps)]
    one, other = (median(each) for each in zip(*pairs, strict=True))
    print(
        f"a step of training, {asked.batch} texts of {asked.length}: {one:.3f} s, plain {other:.3f} s "
        f"({one / other:.3f})",
        flush=True,
    )

    network = model.network.eval()
    u = torch.rand(asked.batch, asked.length)
    written = torch.zeros(asked.batch, asked.length, dtype=torch.int64)

    def cached() -> None:
        for t, symbol in enumerate(generate(network, network.begin(asked.batch), u)):
            written[:, t] = symbol

    again = torch.zeros_like(written)

    @torch.no_grad()
    def by_passes() -> None:
        for t in range(asked.length):
            logits = network(again[:, : t + 1])[:, :, t]
            again[:, t] = AS_LEARNED.draw(logits, u[:, t])

    quick, slow = seconds(cached), seconds(by_passes)
    with torch.no_grad():
        cache, whole = network.begin(asked.batch), network(written)
        apart = 0.0
        for t in range(asked.length):
            apart = max(apart, float((network.logits(cache) - whole[:, :, t]).abs().max()))
            network.push(cache, written[:, t])
    print(
        f"{asked.batch} texts of {asked.length}: {quick:.2f} s, by a pass a token {slow:.2f} s "
        f"({slow / quick:.1f} times)"
    )
    print(f"greatest difference of logits: {apart:.1e}")


if __name__ == "__main__":
    main()
