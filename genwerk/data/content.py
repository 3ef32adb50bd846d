"""What examples hold, as a hash each: by it copies are found, and the part is chosen in which an example belongs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Hashes = NDArray[np.uint64]
"""A number of 64 bits for each of n examples, with shape (n,)."""

CHUNK = 2**21
"""Bytes hashed at a time, which fit into a processor's cache."""
_ODD = 0x9E3779B97F4A7C15


def hash_rows(x: Tensor | NDArray[Any], columns: Sequence[str] = ()) -> Hashes:
    """A hash of each row of ``x``, the same for equal rows (0 and -0 are equal), read once, in order and in chunks.

    Where ``columns`` name the values of a row it does not depend on their order.
    """
    n = len(x)
    width = x[:1].nbytes if n else 1
    order = sorted(range(len(columns)), key=columns.__getitem__)
    words = -(-width // 8)
    keys = np.random.default_rng(0).integers(1, 2**64, (2, words), np.uint64, endpoint=False) | np.uint64(1)
    hashes: Hashes = np.empty(n, np.uint64)
    step = max(1, CHUNK // max(width, 1))
    for start in range(0, n, step):
        part = x[start : start + step]
        rows = (part.cpu().numpy() if isinstance(part, Tensor) else np.asarray(part)).reshape(len(part), -1)
        if order:
            rows = rows[:, order]
        if rows.dtype.kind == "f":
            rows = rows + rows.dtype.type(0)
        stored = np.ascontiguousarray(rows).view(np.uint8)
        if pad := 8 * words - stored.shape[1]:
            stored = np.pad(stored, ((0, 0), (0, pad)))
        mixed = stored.view(np.uint64) ^ keys[0]
        mixed *= np.uint64(_ODD)
        mixed ^= mixed >> np.uint64(32)
        mixed *= keys[1]
        mixed ^= mixed >> np.uint64(29)
        hashes[start : start + len(part)] = mixed.sum(1)
    return hashes


def hash_bytes(content: bytes) -> int:
    """64 bits of a hash of ``content``."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def hash_texts(texts: Sequence[str]) -> Hashes:
    """A hash of each of ``texts``."""
    return np.array([hash_bytes(text.encode("utf-8", "surrogatepass")) for text in texts], np.uint64)


def as_numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """A number for each of ``texts``, the same for the same text, whole and exact in float64."""
    return (hash_texts(texts) >> np.uint64(11)).astype(np.float64)


def mixed(hashes: Hashes, *more: Hashes | int) -> Hashes:
    """``hashes`` and what else tells examples apart, as one hash: SplitMix64's finaliser over a running sum."""
    state: Hashes = hashes.copy()
    for other in (0, *more):
        state += np.asarray(other % 2**64 if isinstance(other, int) else other, np.uint64) + np.uint64(_ODD)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state


def occurrences(hashes: Hashes) -> Hashes:
    """How many examples before each have the same hash."""
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    count: Hashes = np.empty(len(hashes), np.uint64)
    count[order] = np.arange(len(hashes)) - np.repeat(first, np.diff(np.append(first, len(hashes))))
    return count


def shared(values: NDArray[Any], *hashes: Hashes) -> NDArray[Any]:
    """The least of ``values`` among all examples that have any of their ``hashes`` in common, directly or by others."""
    places = [np.unique(h, return_inverse=True) for h in hashes]
    while True:
        before = values
        for names, place in places:
            least = np.full(len(names), np.inf)
            np.minimum.at(least, place, values)
            values = least[place]
        if len(places) < 2 or np.array_equal(values, before):
            return values


def fingerprint(hashes: Hashes) -> str:
    """16 hex digits that change with any of ``hashes``, whatever their order."""
    return f"{int(mixed(hashes).sum(dtype=np.uint64)):016x}"
