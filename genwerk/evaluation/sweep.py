"""Which figures of a temperature sweep are read against each other: quality against variety."""

from __future__ import annotations

from dataclasses import dataclass

from genwerk.metrics.bleu import ORDERS


@dataclass(frozen=True)
class Pair:
    """A figure of quality and one of variety, by their keys and names."""

    quality: str
    variety: str
    names: tuple[str, str]
    sign: int
    """1 where more quality is a greater number, else -1. More variety is always a smaller number."""


BLEU = tuple(Pair(f"bleu_{k}", f"self_bleu_{k}", (f"BLEU-{k}", f"self-BLEU-{k}"), 1) for k in ORDERS)
"""Of every order."""
SCORES = (
    Pair("nll_oracle", "reverse_lm_score", ("NLL_oracle", "reverse LM score"), -1),
    Pair("lm_score", "reverse_lm_score", ("LM score", "reverse LM score"), -1),
)
"""By models of texts."""
