"""Texts: token ids in order, ended and filled up by the id of the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.files import write_atomically
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.modality import Modality
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.vocabularies import FIRST, HOLE, Characters, TextVocabulary, words_of
from genwerk.modalities.writers import ending
from genwerk.nn.autoregressive.tokeniser import Binarise, Tokeniser, Tokens
from genwerk.nn.units import NetworkUnits

GRAM = 3
"""Tokens in a row by which texts are compared."""
BETWEEN = "\n---\n"
"""What stands between texts of several lines in one file."""


class Text(Modality, kind="text"):
    """Token ids of ``spec.vocabulary``, int64 with shape (length,), stored as int32."""

    plural = "texts"
    numeric = False
    is_text = True
    beginning = "first-3"
    endings = (".txt",)

    def describe(self) -> list[str]:
        words = self.spec.vocabulary
        if words is None:
            return [self.plural]
        return [f"{self.plural} of at most {self.size} {words.units}", f"a vocabulary of {words.size:,}"]

    @property
    def dtype(self) -> torch.dtype:
        return torch.int64

    def from_stored(self, x: Tensor) -> Tensor:
        return x.long()

    def to_stored(self, x: Tensor) -> Tensor:
        return x.to(torch.int32)

    @classmethod
    def example(cls) -> DataSpec:
        return DataSpec(
            kind="text", shape=(12,), vocabulary=Characters(symbols=tuple("abcdef "), length=12), classes=("a", "b")
        )

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        """Tokens at random, in texts at least three quarters as long as there is room for."""
        words, length = self.spec.vocabulary, self.spec.shape[0]
        x = torch.randint(FIRST, max(FIRST + 1, words.size if words else 0), (n, length), generator=generator)
        ends = torch.randint(3 * length // 4, length + 1, (n, 1), generator=generator)
        return x.masked_fill(torch.arange(length) >= ends, words.end if words else 0).int()

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return NetworkUnits()

    def tokeniser(self, binarise: Binarise = "none") -> Tokeniser:
        if binarise != "none":
            raise BadInput(f"only grey images can be binarised, not {self.spec}; take ‹model.binarise› none")
        return Tokens(self.spec)

    # --- figures ------------------------------------------------------------------------------------------------------

    def bits_per_dim(self, nats: float, scored: str = "") -> tuple[float | None, str]:
        return None, f"nats of {scored or 'a text'}"

    def counted(self, x: Tensor) -> dict[str, int]:
        """Its tokens and its characters, the end of each text among them."""
        words = self.spec.vocabulary
        if not isinstance(words, TextVocabulary):
            return {}
        ended = (x == words.end).any(1)
        tokens = int(torch.where(ended, (x == words.end).int().argmax(1) + 1, x.shape[1]).sum())
        if isinstance(words, Characters):
            return {words.unit: tokens}
        return {words.unit: tokens, Characters.unit: sum(map(len, words.decode(x))) + int(ended.sum())}

    def words(self, x: Tensor) -> list[list[str]]:
        """Words without the spaces between them, whatever the tokens are: signs of scripts without spaces, and
        punctuation marks, each count as one."""
        return [[word for each in words_of(line) if (word := each.strip())] for line in self.lines(x)]

    def at_random(self, x: Tensor, generator: torch.Generator) -> Tensor:
        words = self.spec.vocabulary
        end, size = (words.end, words.size) if words else (-1, int(x.max()) + 1)
        drawn = torch.randint(min(FIRST, size - 1), size, x.shape, generator=generator)
        return torch.where(x.cpu() == end, x.cpu(), drawn)

    def distances(self, x: Tensor, others: Tensor) -> Tensor:
        """1 less Dice's coefficient of the sets of their runs of three tokens: 0 where they have all in common."""
        from scipy.sparse import csr_array

        grams = [self._grams(each) for each in (x, others)]
        known = np.unique(np.concatenate([columns for _, columns in grams]))
        shapes = ((len(each), len(known)) for each in (x, others))
        one, two = (
            csr_array((np.ones(len(rows), np.float32), (rows, np.searchsorted(known, columns))), shape)
            for (rows, columns), shape in zip(grams, shapes, strict=True)
        )
        shared = (one @ two.T).toarray()
        sizes = np.add.outer(one.sum(1), two.sum(1))
        return torch.from_numpy(1 - 2 * shared / np.maximum(sizes, 1)).double()

    def _grams(self, x: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
        """The different runs of tokens of each row, as pairs of row and number; an end counts, what is after not."""
        words = self.spec.vocabulary
        end, size = (words.end, words.size + 1) if words else (0, int(x.max()) + 2)
        ids = torch.nn.functional.pad(x.cpu(), (GRAM - 1, 0), value=size - 1)
        gram = sum(ids[:, i : i + x.shape[1]] * size ** (GRAM - 1 - i) for i in range(GRAM))
        assert isinstance(gram, Tensor)
        before = torch.nn.functional.pad((x.cpu() == end).cumsum(1), (1, 0))[:, :-1] > 0
        pairs = torch.unique(
            torch.stack([torch.arange(len(x))[:, None].expand_as(gram)[~before], gram[~before]]), dim=1
        )
        rows, columns = pairs.numpy()
        return rows, columns

    # --- what a person types and gets ---------------------------------------------------------------------------------

    def lines(self, x: Tensor) -> list[str]:
        words = self.spec.vocabulary
        return words.decode(x.cpu()) if words else [" ".join(map(str, row)) for row in x.tolist()]

    def begun(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        words = self.spec.vocabulary
        if not isinstance(words, TextVocabulary):
            return super().begun(texts)
        if not texts:
            raise BadInput("no prompt is typed; type how a text begins, or '' for any text")
        ids, known = zip(*map(words.template, texts), strict=True)
        return torch.cat(ids), torch.cat(known)

    def typed(self, text: str) -> Tensor | None:
        words = self.spec.vocabulary
        if not isinstance(words, TextVocabulary):
            return None
        if HOLE.search(text):
            raise BadInput(f"the text {text!r} has a place to be filled in; write it out")
        return words.template(text)[0]

    def difference(self, x: Tensor, made: Tensor) -> str:
        """Tokens count up to the longer one's end."""
        words = self.spec.vocabulary
        end = -1 if words is None else words.end
        same, both = made == x, ~((made == end) & (x == end))
        whole, tokens = int(same.all(1).sum()), int(both.sum())
        return f"{int((same & both).sum()):,} of {tokens:,} tokens and {whole:,} of {len(x):,} texts the same"

    def mask(self, known: str, read: Callable[[Path], Tensor]) -> Tensor:
        """A half of the places, so many tokens at the beginning, or places by their number from 0."""
        length, mask = self.spec.shape[0], torch.zeros(1, *self.spec.shape, dtype=torch.bool)
        if known in ("first-half", "last-half"):
            mask[:, slice(length // 2) if known == "first-half" else slice(length // 2, None)] = True
            return mask
        if first := re.fullmatch(r"first-(\d+)", known):
            mask[:, : int(first[1])] = True
            return mask
        places = known.split(",")
        if not all(place.isdecimal() and int(place) < length for place in places):
            raise BadInput(
                f"there is no part {known!r} of a text; expected first-half, last-half, first-10 (tokens) or places "
                f"from 0 to {length - 1} joined by commas, or type its beginning with ‹prompt›"
            )
        mask[:, [int(place) for place in places]] = True
        return mask

    def records(self, parts: Iterable[Batch]) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """A column of texts."""
        return ["text"], ([text] for part in parts for text in self.lines(part.shown))

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """A text a line, after what it is called in ``layout`` and what it was made of; texts of several lines with a
        rule between them."""
        texts, written = self.lines(batch.shown), StringIO()
        if batch.target is not None:
            texts = ["\t".join(pair) for pair in zip(self.lines(batch.x), texts, strict=True)]
        columns = layout.columns or 1
        between = BETWEEN if any("\n" in text for text in texts) else "\n"
        captions = layout.captions or repeat("")
        for i, (text, caption) in enumerate(zip(texts, captions, strict=False)):
            row, column = divmod(i, columns)
            names = [each[k] for each, k in ((layout.row_names, row), (layout.column_names, column)) if k < len(each)]
            written.write("\t".join([*filter(None, [*names, caption]), text]) + between)
        path = ending(stem, self.endings)
        write_atomically(path, written.getvalue().encode())
        return path
