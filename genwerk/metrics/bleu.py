"""BLEU of sentences against references that all of them share, self-BLEU, and BLEU of a corpus.

Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002; Zhu et al., "Texygen", 2018,
arXiv:1802.01886 (self-BLEU). Published tables of text generators average the BLEU of single sentences, smoothed as
"method 1" of Chen and Cherry, "A Systematic Comparison of Smoothing Techniques for Sentence-Level BLEU", 2014.

Each n-gram of a sentence counts as often as in the reference that has it most often. One table of these largest
counts, and for self-BLEU of the second largest, serves all sentences, so that the cost grows with the number of tokens
and not with that of pairs of sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import torch
from torch import Tensor

from genwerk.metrics.ngrams import Texts, as_lists, count, largest

ORDERS = (2, 3, 4, 5)
EPSILON = 0.1
"""What smoothing by method 1 takes for the number of matches where there are none."""


@dataclass(frozen=True)
class Bleu:
    """BLEU of every sentence."""

    orders: tuple[int, ...]
    """Each k of a BLEU-k, which weighs n-grams of 1 to k tokens alike."""
    scores: Tensor
    """In [0, 1], float64 with shape (sentences, orders)."""
    references: int
    """With how many sentences each was compared, on which every score depends: state it beside the score."""

    @property
    def means(self) -> dict[int, float]:
        """The average over the sentences, by order."""
        return dict(zip(self.orders, self.scores.mean(0).tolist(), strict=True))


def sentence_bleu(samples: Texts, references: Texts, orders: Sequence[int] = ORDERS) -> Bleu:
    """BLEU of each sample, with all of ``references`` as its references.

    A reference that is a sample itself makes that sample's score 1: compare with sentences that were not trained on,
    and compare samples with each other by :func:`self_bleu`.
    """
    matched = _match(samples, references, _checked(orders))
    return Bleu(tuple(orders), matched.smoothed(orders), matched.references)


def self_bleu(samples: Texts, orders: Sequence[int] = ORDERS) -> Bleu:
    """BLEU of each sample with all other samples as its references: high where samples resemble each other.

    A sample is no reference of itself; another one with the same words is.
    """
    matched = _match(samples, None, _checked(orders))
    return Bleu(tuple(orders), matched.smoothed(orders), matched.references)


def corpus_bleu(samples: Texts, references: Texts, order: int = 4) -> float:
    """BLEU in [0, 1] of all samples as one corpus: matches and lengths are summed before they are divided.

    Every sample has all of ``references``. The first order without a match counts half a match, the second a quarter
    and so on, as in sacrebleu ("exp"), whose percentages this equals for texts that are split into tokens alike.
    """
    matched = _match(samples, references, _checked([order]))
    length, closest = int(matched.length.sum()), int(matched.closest.sum())
    hits, totals = matched.hits.sum(0).tolist(), matched.totals.sum(0).tolist()
    if not any(hits) or not all(totals):
        return 0.0
    total, half = 0.0, 1.0
    for n, hit in zip(totals, hits, strict=True):
        half = half if hit else half / 2
        total += log((hit or half) / n)
    return exp(total / order + min(0.0, 1 - closest / length))


@dataclass(frozen=True)
class _Matched:
    """How samples match their references."""

    hits: Tensor
    """N-grams of each sample that its references have as well, int64 with shape (samples, orders)."""
    totals: Tensor
    """N-grams of each sample, alike."""
    length: Tensor
    """Tokens of each sample, int64 with shape (samples,)."""
    closest: Tensor
    """Tokens of the reference whose length is the nearest to that, the shorter of two."""
    references: int

    def smoothed(self, orders: Sequence[int]) -> Tensor:
        """BLEU of each sample, float64 with shape (samples, orders)."""
        hits = self.hits.double()
        precision = torch.where(hits > 0, hits, EPSILON) / self.totals.clamp(min=1)
        mean = precision.log().cumsum(1) / torch.arange(1, hits.shape[1] + 1)
        brevity = (1 - self.closest / self.length.clamp(min=1).double()).clamp(max=0)
        scores = (mean + brevity[:, None]).exp() * (hits[:, :1] > 0)
        return scores[:, [order - 1 for order in orders]]


def _match(samples: Texts, references: Texts | None, orders: Sequence[int]) -> _Matched:
    """``samples`` beside ``references``; without these, beside one another."""
    of, among = as_lists(samples), [] if references is None else as_lists(references)
    texts, first = among + of, len(among)
    compared, shared = (len(of) - 1, len(of)) if references is None else (first, first)
    if not of or compared < 1:
        raise ValueError(f"there are {len(of)} samples and {max(compared, 0)} references; BLEU needs 1 of each")
    hits = torch.zeros(max(orders), len(of), dtype=torch.int64)
    totals = torch.zeros_like(hits)
    for hit, total, counts in zip(hits, totals, count(texts, max(orders)), strict=True):
        table = largest(counts, shared)
        here = counts.text >= first
        gram, text, times = counts.gram[here], counts.text[here], counts.times[here]
        most = table.largest[gram] if first else table.without(gram, text)
        total.index_add_(0, text - first, times)
        hit.index_add_(0, text - first, torch.minimum(times, most))
    length = torch.tensor([len(text) for text in of])
    lengths = torch.tensor(sorted(len(text) for text in texts[:shared]))
    return _Matched(hits.T, totals.T, length, _closest(length, lengths, itself=not first), compared)


def _closest(length: Tensor, lengths: Tensor, *, itself: bool) -> Tensor:
    """The nearest to each ``length`` of the sorted ``lengths``, the shorter of two; less one of its own if ``itself``
    is among them."""
    at = torch.searchsorted(lengths, length)  # the first that is not shorter
    beside = torch.stack([at - 1, at + itself])
    there = (beside >= 0) & (beside < len(lengths))
    found = lengths[beside.clamp(0, len(lengths) - 1)]
    far = torch.where(there, (found - length).abs(), torch.iinfo(torch.int64).max)
    return torch.where(far[0] <= far[1], found[0], found[1])


def _checked(orders: Sequence[int]) -> Sequence[int]:
    if not orders or min(orders) < 1:
        raise ValueError(f"the orders of BLEU are {list(orders)}; expected one or more, from 1 on")
    return orders
