"""Computations that say how far they are: generators that yield on the way and return what they find."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


def outcome(steps: Generator[Any, None, T]) -> T:
    """What ``steps`` return in the end, whatever they yield on the way."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
