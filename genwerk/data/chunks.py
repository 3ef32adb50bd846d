"""Rows of arrays as they are read: those that have a label, converted some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.data import cache
from genwerk.data.labels import present
from genwerk.data.settings import DataConfig

Array = NDArray[Any]

CHUNK = 4096
"""Rows converted at a time."""
TEST = "Test part: "
"""How what is noted of the test part begins."""


@dataclass(frozen=True)
class Labelled:
    """The examples of a part that have a label, with theirs; all of them, without any, where none has."""

    x: Array
    y: Sequence[object] | None
    rows: Tensor | None = None
    """Which they are of those that were read; None where they are all."""
    notes: tuple[str, ...] = ()
    """What is to be said of the others."""

    @classmethod
    def of(cls, x: Array, y: Sequence[object] | None, called: str = "") -> Labelled:
        """Those of ``x`` and ``y``; the notes begin with what the part is ``called``."""
        if y is None:
            return cls(x, None)
        keep, said = present(y)
        notes = tuple(called + sentence for sentence in said)
        if keep is None:
            return cls(x, None if notes else y, None, notes)
        kept = np.flatnonzero(keep)
        return cls(x[kept], [y[i] for i in kept.tolist()], torch.from_numpy(kept), notes)


def chunks(array: Array) -> Iterator[Array]:
    return (array[i : i + CHUNK] for i in range(0, len(array), CHUNK))


def convert(
    n: int, shape: tuple[int, ...], dtype: type, key: str | None, settings: DataConfig, rows: Callable[[Any], Array]
) -> Array:
    """All ``n`` rows, converted in chunks and in order by ``rows``; what has a ``key`` may be mapped from a copy."""

    def fill(out: Array) -> dict[str, Any]:
        for start in range(0, n, CHUNK):
            chunk = slice(start, start + CHUNK)
            out[chunk] = rows(chunk)
        return {}

    if key is not None:
        key = cache.key(
            *("arrays 4", key, shape, np.dtype(dtype).str),
            *(settings.size, settings.fit, settings.colour, settings.background),
        )
    stored = (key and cache.load(key)) or cache.build(key, (n, *shape), dtype, fill)
    return stored[0]
