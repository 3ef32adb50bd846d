"""Vocabularies of texts that are examples themselves: characters, words or byte pairs, learned from the training part.

What a vocabulary of byte pairs reads it writes again to the byte, and so do the others where they lack nothing: a word
has the space before it. Ids are: 0 the end, which also fills all places after it; 1 whatever the vocabulary lacks; then
its symbols, the most frequent first.
"""

from __future__ import annotations

import json
import re
import unicodedata
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.tokens import Vocabulary, byte_signs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Unicode = Literal["NFC", "NFKC", "NFD", "NFKD", "none"]
"""Normal forms of Unicode, or texts as they are."""
Ids = NDArray[np.int32]

END, UNKNOWN, FIRST = 0, 1, 2
"""Ids of the end and of what is lacking, and that of the first symbol."""
LACKING = "\ufffd"
"""How what the vocabulary lacks is written: Unicode's replacement character."""
LETTERS = r"[\p{L}\p{M}\p{N}]"
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
"""Scripts that put no space between words: each sign counts as one."""
SPELT = rf"(?:(?!{UNSPACED}){LETTERS})+"
WORD = rf" ?{UNSPACED}| ?{SPELT}(?:['\u2019]{SPELT})*| ?[^\s\p{{L}}\p{{M}}\p{{N}}]|\s"
"""A word with the space before it, a sign of a script without spaces, a punctuation mark, or white space by itself."""
RUN = r" ?[\p{L}\p{M}]+| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s"
"""What bytes are merged within and never across."""
HOLE = re.compile(r"\{(\d+)\}")
"""How so many places to be filled are written within a text."""


@dataclass(frozen=True, kw_only=True)
class TextVocabulary(Vocabulary):
    """Base of them; :attr:`length` counts the end, where there is room for it."""

    unicode: Unicode = "NFC"
    """The normal form that texts are brought to."""
    unit: ClassVar[str]
    """What an id stands for."""
    spaced: ClassVar[bool] = True
    """Whether a symbol has the space before it."""

    @classmethod
    @abstractmethod
    def learned(cls, texts: Iterable[str], *, most: int, length: int, unicode: Unicode) -> Self:
        """The vocabulary of at most ``most`` ids that ``texts``, in normal form, have most often."""

    @abstractmethod
    def read(self, texts: Sequence[str]) -> Iterator[Ids]:
        """The ids of each of ``texts``, all of them, without an end."""

    @abstractmethod
    def written(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` without an end."""

    @property
    def end(self) -> int:
        return END

    @property
    def units(self) -> str:
        return f"{self.unit}s"

    def normal(self, text: str) -> str:
        """``text`` in normal form."""
        return text if self.unicode == "none" else unicodedata.normalize(self.unicode, text)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Ids of ``texts``, int64 with shape (n, length), filled up with ends."""
        ids = torch.full((len(texts), self.length), END)
        for row, found in zip(ids, self.read(texts), strict=True):
            some = found[: self.length]
            row[: len(some)] = torch.from_numpy(some)
        return ids

    def decode(self, ids: Tensor) -> list[str]:
        return [self.written(row[: row.index(END)] if END in row else row) for row in ids.tolist()]

    def cuts(self, texts: Sequence[str]) -> list[bool]:
        return [len(found) >= self.length for found in self.read(texts)]

    def prompt(self, text: str) -> Tensor:
        self._within(text, sum(map(len, self.read([text]))))
        return self.encode([text])

    def rare(self, text: str) -> list[str]:
        return self.lacked(text)

    def lacked(self, text: str) -> list[str]:
        """What of ``text`` the vocabulary lacks, in order."""
        return []

    def template(self, text: str) -> tuple[Tensor, Tensor]:
        """The ids of ``text`` with shape (1, length), and which are known: its own, but for holes written as ``{5}``,
        the number of places. All places after it are unknown.

        Where a symbol has the space before it, one at the end of what is typed belongs to what will follow, and the
        first word has a space or none, whichever of both the training texts have, if they do not have what is typed.
        """
        ids, known = torch.full((1, self.length), END), torch.zeros(1, self.length, dtype=torch.bool)
        place, pieces = 0, HOLE.split(text)
        for i, piece in enumerate(pieces):
            if i % 2:
                place += min(int(piece), self.length)
                continue
            piece = piece.removesuffix(" ") if self.spaced else piece
            if self.spaced and not i and self.lacked(piece):
                piece = min(piece, f" {piece}", piece.removeprefix(" "), key=lambda form: len(self.lacked(form)))
            if lacking := self.lacked(piece):
                raise BadInput(
                    f"the prompt has {', '.join(map(self._lacking, dict.fromkeys(lacking)))}, which the training texts "
                    "lack; leave it out, or write it otherwise"
                )
            found = next(self.read([piece]))
            self._within(text, place + len(found))
            ids[0, place : place + len(found)] = torch.from_numpy(found)
            known[0, place : place + len(found)] = True
            place += len(found)
        self._within(text, place)
        return ids, known

    def _lacking(self, symbol: str) -> str:
        """``symbol`` as a sentence has it, with how the vocabulary has it in other letters, where it does."""
        others = (symbol.lower(), symbol.capitalize(), symbol.upper())
        other = next((each for each in others if each != symbol and not self.lacked(each)), None)
        return repr(symbol) if other is None else f"{symbol!r} (they have {other!r})"

    def _within(self, text: str, places: int) -> None:
        if places >= self.length:
            shown = text if len(text) <= 40 else text[:40] + "..."
            raise BadInput(
                f"the prompt {shown!r} has {places:,} {self.units} and the model's texts have at most "
                f"{self.length - 1:,}: nothing could follow; shorten it"
            )


@dataclass(frozen=True, kw_only=True)
class _Listed(TextVocabulary):
    """A vocabulary that lists its symbols."""

    symbols: tuple[str, ...] = ()
    """What each id from 2 on stands for."""

    @property
    def size(self) -> int:
        return FIRST + len(self.symbols)

    def written(self, ids: Sequence[int]) -> str:
        """What is lacking has a space before it, within a text, where symbols have theirs."""
        lacking = f" {LACKING}" if self.spaced else LACKING
        text = "".join(self.symbols[i - FIRST] if i >= FIRST else lacking for i in ids)
        return text.removeprefix(" ") if self.spaced and len(ids) and ids[0] < FIRST else text


@dataclass(frozen=True, kw_only=True)
class Characters(_Listed, kind="characters"):
    """Every character by itself, of any script."""

    unit, spaced = "character", False

    @classmethod
    def learned(cls, texts: Iterable[str], *, most: int, length: int, unicode: Unicode) -> Self:
        counts = Counter[str]()
        for text in texts:
            counts.update(text)
        return cls(symbols=_frequent(counts, most - FIRST), length=length, unicode=unicode)

    def read(self, texts: Sequence[str]) -> Iterator[Ids]:
        signs, ids = _signs(self.symbols)
        for text in texts:
            points = np.frombuffer(self.normal(text).encode("utf-32-le"), np.uint32)
            place = np.searchsorted(signs, points)
            yield np.where(signs[place] == points, ids[place], np.int32(UNKNOWN))

    def lacked(self, text: str) -> list[str]:
        known = frozenset(self.symbols)
        return [sign for sign in self.normal(text) if sign not in known]


@dataclass(frozen=True, kw_only=True)
class Words(_Listed, kind="words"):
    """Words with the space before them; signs of scripts that have no spaces, and punctuation, by themselves."""

    unit = "word"

    @classmethod
    def learned(cls, texts: Iterable[str], *, most: int, length: int, unicode: Unicode) -> Self:
        counts = Counter[str]()
        for text in texts:
            counts.update(words_of(text))
        return cls(symbols=_frequent(counts, most - FIRST), length=length, unicode=unicode)

    def read(self, texts: Sequence[str]) -> Iterator[Ids]:
        known = _places(self.symbols)
        for text in texts:
            yield np.array([known.get(word, UNKNOWN) for word in words_of(self.normal(text))], np.int32)

    def lacked(self, text: str) -> list[str]:
        known = _places(self.symbols)
        return [word for word in words_of(self.normal(text)) if word not in known]


@dataclass(frozen=True, kw_only=True)
class BytePairs(TextVocabulary, kind="byte-pairs"):
    """Bytes, and pairs of symbols that occur often together, merged again and again: nothing is lacking.

    Sennrich, Haddow & Birch, Neural Machine Translation of Rare Words with Subword Units, 2016, arXiv:1508.07909; on
    bytes: Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
    """

    unit = "byte pair"
    merges: tuple[str, ...] = ()
    """Pairs that become one symbol, joined by a space, the first to be merged first."""

    @classmethod
    def learned(cls, texts: Iterable[str], *, most: int, length: int, unicode: Unicode) -> Self:
        from tokenizers import trainers

        tokeniser = _merger(())
        trainer = trainers.BpeTrainer(
            vocab_size=most - FIRST, min_frequency=2, show_progress=False, initial_alphabet=list(byte_signs().values())
        )
        tokeniser.train_from_iterator(texts, trainer)
        merges = json.loads(tokeniser.to_str())["model"]["merges"]
        return cls(merges=tuple(" ".join(pair) for pair in merges), length=length, unicode=unicode)

    @property
    def size(self) -> int:
        return FIRST + 256 + len(self.merges)

    def read(self, texts: Sequence[str]) -> Iterator[Ids]:
        found = _merger(self.merges).encode_batch([self.normal(text) for text in texts])
        return (np.array(text.ids, np.int32) + FIRST for text in found)

    def written(self, ids: Sequence[int]) -> str:
        symbols, byte = _merged(self.merges), {sign: number for number, sign in byte_signs().items()}
        text = "".join(symbols[i - FIRST] for i in ids if i >= FIRST)
        return bytes(byte[sign] for sign in text).decode(errors="replace")


def _frequent(counts: Counter[str], most: int) -> tuple[str, ...]:
    """The ``most`` frequent, of equally frequent ones those first in the order of Unicode."""
    return tuple(sorted(counts, key=lambda symbol: (-counts[symbol], symbol))[:most])


@lru_cache(maxsize=8)
def _signs(symbols: tuple[str, ...]) -> tuple[NDArray[np.uint32], Ids]:
    """The code points of ``symbols`` in their order, with a last one above them all, and the id of each."""
    points = np.array([ord(symbol) for symbol in symbols], np.uint32)
    order = np.argsort(points)
    signs = np.append(points[order], np.uint32(2**32 - 1))
    return signs, np.append(order + FIRST, UNKNOWN).astype(np.int32)


@lru_cache(maxsize=8)
def _places(symbols: tuple[str, ...]) -> dict[str, int]:
    return {symbol: i for i, symbol in enumerate(symbols, FIRST)}


@lru_cache(maxsize=1)
def _splitter() -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokeniser = Tokenizer(models.BPE())
    tokeniser.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), behavior="isolated")
    return tokeniser


def words_of(text: str) -> list[str]:
    """The words of ``text`` as :class:`Words` has them: all of it, each with the space before it."""
    return [word for word, _ in _splitter().pre_tokenizer.pre_tokenize_str(text)]


@lru_cache(maxsize=8)
def _merger(merges: tuple[str, ...]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    pairs = [(first, second) for first, second in (pair.split(" ") for pair in merges)]
    tokeniser = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(_merged(merges))}, pairs))
    tokeniser.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(RUN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokeniser


@lru_cache(maxsize=8)
def _merged(merges: tuple[str, ...]) -> tuple[str, ...]:
    """Bytes, and what is merged of them."""
    return (*byte_signs().values(), *(pair.replace(" ", "") for pair in merges))
