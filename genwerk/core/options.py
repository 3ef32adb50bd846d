"""What a user may ask for when a model draws, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a symbol is drawn from its probabilities; as they stand, unless asked otherwise."""

    temperature: float = 1.0
    """Divides the logits: below 1 likelier symbols gain, and 0 always takes the likeliest."""
    top_k: int = 0
    """Draw from so many of the likeliest symbols only; 0 is all."""
    top_p: float = 1.0
    """Draw from the likeliest symbols that together have this probability (Holtzman et al., 2020, arXiv:1904.09751)."""

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"the temperature is {self.temperature}; it must be 0 (the likeliest) or more")
        if self.top_k < 0:
            raise ValueError(f"top-k is {self.top_k}; it must be 0 (all symbols) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top-p is {self.top_p}; it must be above 0 and at most 1 (all symbols)")

    def probabilities(self, logits: Tensor) -> Tensor:
        """What is drawn from, given logits with shape (n, levels); rows need not sum to 1."""
        if self.temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        p = (logits / self.temperature if self.temperature != 1 else logits).softmax(-1)
        if self.top_k and self.top_k < p.shape[-1]:
            p = p.masked_fill(p < p.topk(self.top_k, -1).values[..., -1:], 0)
        if self.top_p < 1:
            ordered, order = p.sort(-1, descending=True)
            before = ordered.cumsum(-1) - ordered
            kept = ordered.masked_fill(before >= self.top_p * ordered.sum(-1, keepdim=True), 0)
            p = torch.zeros_like(p).scatter(-1, order, kept)
        return p

    def draw(self, logits: Tensor, u: Tensor) -> Tensor:
        """Symbols with shape (n,), by the inverse of the distribution function at ``u``, uniform with shape (n,)."""
        cumulative = self.probabilities(logits.float() if logits.dtype == torch.bfloat16 else logits).cumsum(-1)
        return (cumulative[..., :-1] <= u.unsqueeze(-1) * cumulative[..., -1:]).sum(-1)


PLAIN = Decoding()
"""Draws from the probabilities as they stand."""
