"""Texts as they were read: spans of bytes in memory or mapped from a file, decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, overload
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from genwerk.core.vocabularies import END, UNKNOWN, BytePairs, Characters, Ids, TextVocabulary, Words
from genwerk.data import cache
from genwerk.data.content import Hashes, hash_bytes
from genwerk.data.settings import DataConfig

Long = Literal["windows", "cut", "drop"]
"""What becomes of a text that is longer than an example: consecutive windows, its beginning, or nothing."""
AT_ONCE = 1024
"""Texts that are read at a time."""
Spans = NDArray[np.int64]


class Texts(Sequence[str]):
    """Texts in UTF-8: those from ``starts`` to ``stops`` in ``raw``, of which some go on in the next (``goes_on``)."""

    def __init__(self, raw: NDArray[np.uint8], starts: Spans, stops: Spans, goes_on: NDArray[np.bool_]) -> None:
        self.raw, self.starts, self.stops, self.goes_on = raw, starts, stops, goes_on

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """Texts that are in memory already."""
        written = [text.encode() for text in texts]
        stops = np.cumsum([len(w) for w in written], dtype=np.int64)
        starts = np.concatenate([[0], stops[:-1]]).astype(np.int64)
        return cls(np.frombuffer(b"".join(written), np.uint8), starts, stops, np.zeros(len(written), np.bool_))

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, which: int) -> str: ...
    @overload
    def __getitem__(self, which: slice) -> Texts: ...
    def __getitem__(self, which: int | slice) -> str | Texts:
        if isinstance(which, slice):
            return self.select(np.arange(len(self))[which])
        return self._bytes(which).decode()

    def select(self, rows: NDArray[Any]) -> Texts:
        """The texts of ``rows``, indices with shape (m,)."""
        return Texts(self.raw, self.starts[rows], self.stops[rows], self.goes_on[rows])

    @property
    def distinct(self) -> NDArray[np.intp]:
        """The first of each run of rows that have the same text, as windows of one do."""
        again = (self.starts[1:] == self.starts[:-1]) & (self.stops[1:] == self.stops[:-1])
        return np.flatnonzero(np.concatenate([[True], ~again]))

    def hashes(self) -> Hashes:
        """A hash of what each holds."""
        return np.array([hash_bytes(self._bytes(i)) for i in range(len(self))], np.uint64)

    def _bytes(self, row: int) -> bytes:
        return self.raw[self.starts[row] : self.stops[row]].tobytes()


def tokenised(
    texts: Texts, vocabulary: TextVocabulary, long: Long = "windows"
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Examples with shape (m, length) of ``texts``, filled up with ends, and the text that each is of, in order.

    A text of more tokens than an example has places for, its end among them, becomes what ``long`` says. The last of
    its windows is filled up where it ends, and begins earlier where the text goes on, so as to be full.
    """

    def examples() -> Iterator[tuple[int, Ids]]:
        for owner, ids in enumerate(_read(texts, vocabulary)):
            goes_on = bool(texts.goes_on[owner])
            yield from ((owner, row) for row in _examples(ids, vocabulary.length, goes_on=goes_on, long=long))

    owners = np.fromiter((owner for owner, _ in examples()), np.intp)

    def fill(array: NDArray[np.int32]) -> dict[str, Any]:
        array[:] = END
        for i, (_, row) in enumerate(examples()):
            array[i, : len(row)] = row
        return {}

    name = cache.key("texts 1", vocabulary, long, len(texts), texts.raw.nbytes, int(texts.hashes().sum()))
    if (hit := cache.load(name)) is not None:
        return hit[0], owners
    return cache.build(name, (len(owners), vocabulary.length), np.int32, fill)[0], owners


def lengths(texts: Texts, vocabulary: TextVocabulary) -> tuple[NDArray[np.int64], int]:
    """Tokens of each of ``texts``, without an end, and how many tokens in all the vocabulary lacks."""
    found, lacking = list[int](), 0
    for ids in _read(texts, vocabulary):
        found.append(len(ids))
        lacking += int((ids == UNKNOWN).sum())
    return np.array(found, np.int64), lacking


def _read(texts: Texts, vocabulary: TextVocabulary) -> Iterator[Ids]:
    for start in range(0, len(texts), AT_ONCE):
        yield from vocabulary.read(list(texts[start : start + AT_ONCE]))


def _examples(ids: Ids, length: int, *, goes_on: bool, long: Long) -> Iterator[Ids]:
    n = len(ids)
    if n < length and not goes_on:
        yield ids
    elif long == "windows":
        for start in range(0, max(n, 1), length):
            rest = n - start
            yield ids[max(0, n - length) :] if goes_on and rest < length else ids[start : start + length]
    elif long == "cut":
        yield ids[:length]


# --- vocabularies -----------------------------------------------------------------------------------------------------

KINDS: dict[str, type[TextVocabulary]] = {"characters": Characters, "words": Words, "byte-pairs": BytePairs}
"""What texts may be made of."""
LONGEST = 256
"""Most tokens of an example unless more are asked for."""


def learned(texts: Texts, settings: DataConfig) -> TextVocabulary:
    """The vocabulary of ``texts`` that ``settings`` ask for, with the length of their examples."""
    form, kind = settings.unicode, KINDS[settings.tokens]
    normal = (text if form == "none" else normalize(form, text) for text in texts)
    vocabulary = kind.learned(normal, most=settings.vocabulary, length=LONGEST, unicode=form)
    length = settings.length or min(LONGEST, int(lengths(texts, vocabulary)[0].max(initial=0)) + 1)
    return replace(vocabulary, length=length)


def described(name: str, texts: Texts, vocabulary: TextVocabulary, long: Long) -> Iterator[str]:
    """How long the texts of the part ``name`` are, and what the vocabulary lacks of them, a sentence each."""
    each, lacking = lengths(texts, vocabulary)
    total, units, room = int(each.sum()), vocabulary.units, vocabulary.length
    if len(each) == 1 or texts.goes_on.any():
        yield f"The {name} part has {total:,} {units}."
    else:
        low, middle, high = (int(v) for v in np.quantile(each, (0.0, 0.5, 1.0), method="nearest"))
        yield (
            f"Texts of the {name} part have {low:,} {units} each; {total:,} in all."
            if low == high
            else f"Texts of the {name} part have {low:,} to {high:,} {units}, half of them at most {middle:,}; "
            f"{total:,} in all."
        )
    if over := int((each >= room).sum()):
        what = {
            "windows": f"cut into consecutive windows of {room:,}",
            "cut": f"cut off after {room:,}",
            "drop": "left out",
        }
        yield (
            f"{over:,} of them have {room:,} {units} or more and are {what[long]}; choose with ‹data.length› and "
            "‹data.long›."
        )
    if lacking:
        share = lacking / total
        yield f"Of {total:,} {units} of the {name} part {lacking:,} ({share:.2%}) are not in the vocabulary."
