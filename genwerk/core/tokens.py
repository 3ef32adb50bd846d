"""Texts as token ids: what every vocabulary does, and byte-pair encoding in the conventions of CLIP.

Sennrich, Haddow & Birch, Neural Machine Translation of Rare Words with Subword Units, 2016, arXiv:1508.07909; Radford
et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, arXiv:2103.00020.

A text is brought to lower case and single spaces, cut into runs of letters, single digits and runs of other signs, and
each of these into bytes that are merged pair by pair in the order of the vocabulary. The ids are: 256 bytes, 256 bytes
that end a word, the merges, start, end.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from genwerk.core.component import Component

if TYPE_CHECKING:
    from tokenizers import Tokenizer, models

WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
"""What is merged within and never across."""
END_OF_WORD = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"
"""How vocabulary files write the two ids that stand about a text."""
Pair = tuple[str, str]
MERGES = 2048
"""Greatest number of merges learned from captions."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary(Component):
    """How texts become ids: stored with the data they come from."""

    length: int = 77
    """Places of a text."""

    @property
    @abstractmethod
    def end(self) -> int:
        """Id that ends a text."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of ids."""

    @property
    def units(self) -> str:
        """What the ids stand for, in the plural."""
        return "tokens"

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Ids of ``texts``, int64 with shape (n, length); what does not fit is cut off."""

    @abstractmethod
    def decode(self, ids: Tensor) -> list[str]:
        """The texts of ``ids`` with shape (n, length)."""

    @abstractmethod
    def cuts(self, texts: Sequence[str]) -> list[bool]:
        """Which of ``texts`` do not fit."""

    @abstractmethod
    def prompt(self, text: str) -> Tensor:
        """Ids of one text with shape (1, length); a ValueError says which words of one that is too long do not fit."""

    @abstractmethod
    def rare(self, text: str) -> list[str]:
        """The words of ``text`` that the texts which it was learned from have at most once, as far as is known."""


@dataclass(frozen=True, kw_only=True)
class CLIPVocabulary(Vocabulary, kind="clip"):
    """Byte pairs of lower case as CLIP has them; the start and the end are among the places of a text."""

    merges: tuple[str, ...] = ()
    """Pairs that become one symbol, joined by a space, the first to be merged first."""
    pad: Literal["end", "zero"] = "end"
    """Id in the places after the end: the end's own (Stable Diffusion 1), or 0 (CLIP, Stable Diffusion 2)."""

    @property
    def start(self) -> int:
        """Id that begins every text."""
        return 512 + len(self.merges)

    @property
    def end(self) -> int:
        return 513 + len(self.merges)

    @property
    def size(self) -> int:
        return 514 + len(self.merges)

    @property
    def symbols(self) -> list[str]:
        """What each id stands for, in their order, as vocabulary files write it."""
        return [*_symbols(self.merges), START, END]

    def encode(self, texts: Sequence[str]) -> Tensor:
        room = self.length - 2
        found = _tokeniser(self.merges).encode_batch(list(texts))
        ids = torch.full((len(found), self.length), self.end if self.pad == "end" else 0)
        for row, text in zip(ids, found, strict=True):
            inner = text.ids[:room]
            row[: len(inner) + 2] = torch.tensor([self.start, *inner, self.end])
        return ids

    def decode(self, ids: Tensor) -> list[str]:
        """In lower case, a space after every word and sign."""
        symbols, byte = self.symbols, {" ": 32, **{sign: number for number, sign in byte_signs().items()}}
        found = []
        for row in ids.tolist():
            inner = row[1 : row.index(self.end)] if self.end in row else row[1:]
            text = "".join(symbols[i] for i in inner).replace(END_OF_WORD, " ")
            found.append(bytes(byte[sign] for sign in text).decode(errors="replace").strip())
        return found

    def cuts(self, texts: Sequence[str]) -> list[bool]:
        return [len(found.ids) > self.length - 2 for found in _tokeniser(self.merges).encode_batch(list(texts))]

    def rare(self, text: str) -> list[str]:
        """None are where there were more merges to learn than :data:`MERGES`."""
        if len(self.merges) >= MERGES:
            return []
        tokeniser = _tokeniser(self.merges)
        plain = tokeniser.normalizer.normalize_str(text)
        places = [place for _, place in tokeniser.pre_tokenizer.pre_tokenize_str(plain)]
        words = [plain[start:end] for start, end in places]
        return [word for word in words if word.isalpha() and len(tokeniser.encode(word).ids) > 1]

    def prompt(self, text: str) -> Tensor:
        found, room = _tokeniser(self.merges).encode(text), self.length - 2
        if len(found.ids) > room:
            word = text.rfind(" ", 0, found.offsets[room][0] + 1) + 1
            rest = text[word:].strip()
            raise ValueError(
                f"the prompt has {len(found.ids)} tokens and there is room for {room}; leave out or shorten: {rest!r}"
            )
        return self.encode([text])


def learn(texts: Sequence[str], merges: int = MERGES) -> CLIPVocabulary:
    """The vocabulary of ``texts``: at most ``merges`` pairs, each of which occurs twice or more.

    The most frequent pair is merged next; of equally frequent ones the first in the alphabet, so that the order of the
    texts does not matter.
    """
    tokeniser = _tokeniser(())
    counts = Counter(word for text in texts for word in _words(tokeniser, text))
    words = [[*word[:-1], word[-1] + END_OF_WORD] for word in counts]
    times = list(counts.values())
    pairs, places = Counter[Pair](), defaultdict[Pair, set[int]](set)
    for i, word in enumerate(words):
        for pair in pairwise(word):
            pairs[pair] += times[i]
            places[pair].add(i)
    found: list[Pair] = []
    while len(found) < merges and (most := max(pairs.values(), default=0)) > 1:
        best = min(pair for pair, n in pairs.items() if n == most)
        found.append(best)
        for i in sorted(places.pop(best)):
            for pair in pairwise(words[i]):
                pairs[pair] -= times[i]
            words[i] = _merged(words[i], best)
            for pair in pairwise(words[i]):
                pairs[pair] += times[i]
                places[pair].add(i)
    return CLIPVocabulary(merges=tuple(" ".join(pair) for pair in found))


def _words(tokeniser: Tokenizer, text: str) -> list[str]:
    """The words of ``text``, a character for each byte."""
    plain = tokeniser.normalizer.normalize_str(text)
    return [word for word, _ in tokeniser.pre_tokenizer.pre_tokenize_str(plain)]


def _merged(word: list[str], pair: Pair) -> list[str]:
    """``word`` with every occurrence of ``pair``, from the left, as one symbol."""
    result: list[str] = []
    for symbol in word:
        if result and (result[-1], symbol) == pair:
            result[-1] += symbol
        else:
            result.append(symbol)
    return result


@lru_cache(maxsize=8)
def _tokeniser(merges: tuple[str, ...]) -> Tokenizer:
    from tokenizers import models

    pairs = [(first, second) for first, second in (pair.split(" ") for pair in merges)]
    ids = {symbol: i for i, symbol in enumerate(_symbols(merges))}
    return _configured(models.BPE(ids, pairs, end_of_word_suffix=END_OF_WORD, fuse_unk=False))


def _symbols(merges: Sequence[str]) -> list[str]:
    """Bytes, bytes that end a word, and what is merged of them."""
    return [*_bytes(), *(b + END_OF_WORD for b in _bytes()), *(pair.replace(" ", "") for pair in merges)]


def _configured(model: models.Model) -> Tokenizer:
    """A tokeniser with CLIP's way from a text to its words."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

    tokeniser = Tokenizer(model)
    tokeniser.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokeniser.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokeniser


def _bytes() -> list[str]:
    """The printable characters that stand for the 256 bytes, in the order of CLIP's vocabulary."""
    return list(byte_signs().values())


def byte_signs() -> dict[int, str]:
    """The printable character that stands for each byte: its own, or for other bytes those from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
