"""What follows from a common space of examples and texts: classes by their names, examples by their description.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, arXiv:2103.00020: section
3.1 classifies by a prompt a class ("a photo of a dog"), with no training example of any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from genwerk.core.abilities import AlignsText
from genwerk.core.model import Model
from genwerk.core.spec import Batch
from genwerk.metrics.recall import alike, chance, recall
from genwerk.tasks import in_batches, require
from genwerk.tasks.conditioning import conditions


def embed(model: Model, x: Tensor) -> Tensor:
    """Unit vectors of the examples ``x``, with shape (n, d)."""
    require(model, "embed", "aligns-text")
    assert isinstance(model, AlignsText)
    return in_batches(model.embed, x)


def embed_texts(model: Model, texts: Sequence[str]) -> Tensor:
    """Unit vectors of ``texts`` with shape (n, d); a ValueError where one is longer than the model reads."""
    require(model, "embed texts", "aligns-text")
    assert isinstance(model, AlignsText)
    if not texts:
        raise ValueError("no text is given; give one or more, for example 'a small red ring on the left side'")
    assert model.spec.vocabulary is not None
    tokens = torch.cat([model.spec.vocabulary.prompt(text) for text in texts])
    return in_batches(model.embed_text, tokens.to(model.device))


def similarity(model: Model, x: Tensor, texts: Sequence[str]) -> Tensor:
    """Cosines of the examples ``x`` and ``texts``, with shape (n, m)."""
    return embed(model, x) @ embed_texts(model, texts).T


def zero_shot(model: Model, x: Tensor, prompts: Sequence[str | Sequence[str]]) -> Tensor:
    """The class of each example, an index into ``prompts`` with shape (n,), by the nearest prompt.

    A class is described by one prompt, or by several, in the middle of which it then lies (section 3.1.4).
    """
    require(model, "zero-shot", "aligns-text")
    described = [[p] if isinstance(p, str) else list(p) for p in prompts]
    embedded = embed_texts(model, [text for texts in described for text in texts])
    middles = torch.stack([part.mean(0) for part in embedded.split([len(texts) for texts in described])])
    return (embed(model, x) @ normalize(middles, dim=1).T).argmax(1)


def search(model: Model, x: Tensor, text: str, k: int = 10) -> tuple[Tensor, Tensor]:
    """Which ``k`` of the examples ``x`` (all, where there are fewer) the text describes best, the best first.

    Returns their indices and their cosines with the text, both with shape (k,).
    """
    require(model, "search", "aligns-text")
    cosines, rows = similarity(model, x, [text])[:, 0].topk(min(k, len(x)))
    return rows, cosines


@dataclass(frozen=True)
class Retrieval:
    """How often what belongs to an example is among the ``k`` nearest of all; equal captions count as one's own."""

    k: int
    texts: float
    """Share of the examples whose caption is found."""
    examples: float
    """Share of the captions whose example is found."""
    chance: float
    """Either share for answers in random order."""


def retrieve(model: Model, batch: Batch, k: int = 1) -> Retrieval:
    """Captions sought by their examples, and examples by their captions, among all of ``batch``."""
    require(model, "retrieve", "aligns-text")
    assert isinstance(model, AlignsText)
    text = conditions(model, batch)
    assert text is not None
    cosines = embed(model, batch.x) @ in_batches(model.embed_text, text).T
    right = alike(text)
    found = (recall(cosines, right, k), recall(cosines.T, right, k), chance(right, k))
    return Retrieval(k, *(share.item() for share in found))
