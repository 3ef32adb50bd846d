"""N-grams of texts, counted for all texts at once by sorting.

A text is a sequence of tokens of any kind (words, characters, ids); texts are a list of them, or an integer tensor with
shape (n, length) in which negative values stand for padding.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Texts = Sequence[Sequence[Hashable]] | Tensor


def as_lists(texts: Texts) -> list[Sequence[Hashable]]:
    """The tokens of each text; negative values of a tensor are left out."""
    if not isinstance(texts, Tensor):
        return list(texts)
    if texts.ndim != 2 or texts.is_floating_point():
        raise ValueError(f"texts are {texts.dtype} with shape {tuple(texts.shape)}; expected integers (n, length)")
    return [[token for token in row if token >= 0] for row in texts.tolist()]


@dataclass(frozen=True)
class Counts:
    """How often each n-gram occurs in each text: one row for every pair that does occur, sorted by n-gram, then text.

    N-grams are numbered from 0 to ``size`` - 1, texts in their order; every tensor is int64 with shape (rows,).
    """

    size: int
    gram: Tensor
    text: Tensor
    times: Tensor


def count(texts: Sequence[Sequence[Hashable]], orders: int) -> Iterator[Counts]:
    """The counts of the n-grams of 1, 2, ... ``orders`` tokens, none of which crosses from one text to the next."""
    ids: dict[Hashable, int] = {}
    token = torch.tensor([ids.setdefault(token, len(ids)) for text in texts for token in text], dtype=torch.int64)
    lengths = torch.tensor([len(text) for text in texts], dtype=torch.int64)
    text = torch.arange(len(texts)).repeat_interleave(lengths)
    left = (lengths.cumsum(0).repeat_interleave(lengths)) - torch.arange(len(token))  # tokens to the text's end
    start, gram = torch.arange(len(token)), token
    for n in range(1, orders + 1):
        if n > 1:
            goes_on = left[start] >= n
            start, gram = start[goes_on], gram[goes_on]
            gram = torch.unique(gram * len(ids) + token[start + n - 1], return_inverse=True)[1]
        pair, times = torch.unique(gram * len(texts) + text[start], return_counts=True)
        yield Counts(int(gram.max()) + 1 if len(gram) else 0, pair // len(texts), pair % len(texts), times)


@dataclass(frozen=True)
class Largest:
    """Of each n-gram the largest count in a text, the text that has it, and the largest count in any other text.

    Every tensor is int64 with shape (n-grams,): all that self-exclusion needs to know, whatever text is excluded.
    """

    largest: Tensor
    holder: Tensor
    second: Tensor

    def without(self, gram: Tensor, text: Tensor) -> Tensor:
        """The largest count of each ``gram`` in the texts other than ``text`` beside it, with the shape of both."""
        return torch.where(self.holder[gram] == text, self.second[gram], self.largest[gram])


def largest(counts: Counts, texts: int) -> Largest:
    """The table of the first ``texts`` texts; n-grams that they do not contain have counts of 0 and no holder (-1)."""
    row = (counts.text < texts).nonzero()[:, 0]
    most = int(counts.times.max()) if len(counts.times) else 0
    row = row[(counts.gram[row] * (most + 1) + most - counts.times[row]).argsort(stable=True)]  # the largest first
    gram = counts.gram[row]
    new = torch.ones(len(row), dtype=torch.bool)
    new[1:] = gram[1:] != gram[:-1]
    first, next_to = row[new], ~new
    next_to[1:] &= new[:-1]
    found = Largest(*(torch.full((counts.size,), fill) for fill in (0, -1, 0)))
    found.largest[counts.gram[first]] = counts.times[first]
    found.holder[counts.gram[first]] = counts.text[first]
    found.second[gram[next_to]] = counts.times[row[next_to]]
    return found
