"""What someone may have meant by a word that is none of those expected."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], most: int = 2) -> list[str]:
    """The words among ``known`` that are spelt most like ``word``, at most ``most``."""
    return get_close_matches(word, [*known], n=most, cutoff=0.65)


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that asks whether a word near ``word`` was meant; empty where none is near."""
    near = nearest(word, known)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def one_of(known: Iterable[str]) -> str:
    """The end of a sentence that names the few words there are."""
    return f"; expected one of {', '.join(known)}"
