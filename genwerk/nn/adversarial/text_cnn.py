"""A discriminator of texts: convolutions of many widths over the tokens, each maximum over time, and a highway layer.

Kim, Convolutional Neural Networks for Sentence Classification, 2014, arXiv:1408.5882; Srivastava, Greff & Schmidhuber,
Highway Networks, 2015, arXiv:1505.00387. Put together so by Yu, Zhang, Wang & Yu, SeqGAN, 2017, arXiv:1609.05473,
section 3.3, whose code also has the widths and numbers of kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from genwerk.core.errors import BadSetting, check_ranges
from genwerk.nn.adversarial.output import Head


@dataclass(frozen=True, kw_only=True)
class TextCNNConfig:
    """Settings of :class:`TextCNN`."""

    embedding: int = 64
    """Numbers that a token becomes."""
    widths: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20)
    """Tokens that each kernel sees; kernels wider than the texts are left out."""
    filters: tuple[int, ...] = (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160)
    """Kernels of each width."""
    dropout: float = 0.25
    """Share of the features that is left out in training."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.discriminator", embedding=(1, 2**16), dropout=(0, 0.999))
        if len(self.widths) != len(self.filters) or not self.widths or min(*self.widths, *self.filters) < 1:
            raise BadSetting(
                "model.discriminator.filters",
                f"has {len(self.filters)} numbers for {len(self.widths)} widths; give one of 1 or more for each width",
            )


class TextCNN(nn.Module):
    """Scores with shape (n,) of token ids, int64 with shape (n, length), higher for more real.

    What fills up a text is seen as any other token. With ``classes`` the label is compared with the features.
    """

    def __init__(self, length: int, levels: int, config: TextCNNConfig, *, classes: int = 0) -> None:
        super().__init__()
        sizes = [(width, n) for width, n in zip(config.widths, config.filters, strict=True) if width <= length]
        if not sizes:
            raise BadSetting("model.discriminator.widths", f"has no kernel that fits into {length} tokens")
        features = sum(n for _, n in sizes)
        self.table = nn.Embedding(levels, config.embedding)
        nn.init.uniform_(self.table.weight, -1, 1)
        self.kernels = nn.ModuleList(nn.Conv1d(config.embedding, n, width) for width, n in sizes)
        self.gate, self.transform = nn.Linear(features, features), nn.Linear(features, features)
        self.dropout = nn.Dropout(config.dropout)
        self.head = Head(features, classes)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        vectors = self.table(x).transpose(1, 2)
        f = relu(torch.cat([kernel(vectors).amax(2) for kernel in self.kernels], 1))
        t = self.gate(f).sigmoid()
        score: Tensor = self.head(self.dropout(torch.lerp(f, relu(self.transform(f)), t)), condition)
        return score
