"""How many rows at once: what is computed outside training is computed in parts for which there is memory.

The first row is computed under a :class:`Meter`, which counts the tensors that live at once, and as many follow
together as the memory that may be taken will hold. Where that was not enough after all, half as many are tried, down to
one. The rows of a part do not see each other, so what comes out does not depend on how they were cut, but for the
rounding of kernels that add in another order.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genwerk.core.errors import BadInput
from genwerk.core.memory import free_memory

MEMORY = "GENWERK_MEMORY"
"""Environment variable with the memory that a part may take, as 500MB or 2GB."""
SHARE = 0.25
"""Fraction of the free memory that a part may take unless set otherwise: there are copies, and others' programs."""
MOST, FULL = 512, 2**26
"""Rows beyond which more at once are no faster, where they also take so many bytes."""
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

_allowed: ContextVar[int | None] = ContextVar("memory", default=None)

T = TypeVar("T")


def as_bytes(size: str) -> int:
    """Bytes that ``size`` names: a number, or one with a unit such as 500MB or 2GB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", size.strip(), re.IGNORECASE)
    if not found or (bytes_ := int(float(found[1]) * UNITS[found[2].upper()])) < 1:
        raise BadInput(f"the memory is {size!r}; expected a size such as 500MB or 2GB")
    return bytes_


@contextmanager
def within(memory: int | str | None) -> Iterator[None]:
    """Parts that take at most ``memory``, bytes or a size such as 2GB; None leaves it as it is."""
    allowed = as_bytes(memory) if isinstance(memory, str) else memory
    token = _allowed.set(_allowed.get() if allowed is None else allowed)
    try:
        yield
    finally:
        _allowed.reset(token)


def budget(device: torch.device) -> int:
    """Bytes that a part may take on ``device``: by :func:`within`, by GENWERK_MEMORY, or a share of what is free."""
    if (allowed := _allowed.get()) is not None:
        return allowed
    if said := os.environ.get(MEMORY):
        return as_bytes(said)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    return int(SHARE * free)


@dataclass
class Cost:
    """What a row takes in bytes: known, or measured on the first row, and kept for the calls that follow."""

    bytes: int | None = None


def batches(
    function: Callable[[slice], T],
    n: int,
    device: torch.device,
    *,
    cost: Cost | None = None,
    most: int | None = None,
) -> Iterator[T]:
    """``function`` of the rows up to ``n``, a part at a time, each as large as memory on ``device`` allows.

    ``most`` is the greatest number of rows in a part. Where memory runs out a part is tried again with half its rows,
    so ``function`` must give the same when asked again.
    """
    if most is not None and most < 1:
        raise BadInput(f"asked for {most} rows at once; ask for 1 or more")
    cost, start, memory = cost or Cost(), 0, budget(device)
    while start < n:
        size, each = 1, max(1, cost.bytes or 0)
        if cost.bytes is not None:
            size = max(1, min(most or max(MOST, FULL // each), memory // each))
        rows = slice(start, min(start + size, n))
        try:
            if cost.bytes is None:
                measured = torch.compiler.disable(function) if "torch._dynamo" in sys.modules else function
                with Meter() as meter:
                    made = measured(rows)
                cost.bytes = meter.peak
            else:
                made = function(rows)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or rows.stop - start == 1:
                raise
            most = (rows.stop - start) // 2
            if device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        yield made
        start = rows.stop


def in_batches(
    function: Callable[..., Tensor], *parts: Tensor | None, cost: Cost | None = None, most: int | None = None
) -> Tensor:
    """``function`` of the rows of ``parts``, computed without gradients, as many at a time as fit (:func:`batches`)."""
    first = next(p for p in parts if p is not None)

    def of(rows: slice) -> Tensor:
        return function(*(None if p is None else p[rows] for p in parts))

    with torch.no_grad():
        made = list(batches(of, len(first), first.device, cost=cost, most=most))
    return made[0] if len(made) == 1 else torch.cat(made)


def bounded(function: Callable[..., Tensor], *parts: Tensor | None, cost: Cost | None = None) -> Tensor:
    """As :func:`in_batches`; where gradients are asked for, which need every part at once, nothing is cut."""
    return function(*parts) if torch.is_grad_enabled() else in_batches(function, *parts, cost=cost)


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory could not be had: of Python, of NumPy, of torch on any device."""
    said = str(error)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in said or "out of memory" in said)
    )


class Meter(TorchDispatchMode):
    """Counts the bytes of the tensors that are made under it and live at once; ``peak`` is their greatest number."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: dict[int, int] = {}
        self.now: int = 0
        self.peak: int = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be skipped it would be loaded, which takes longer than to sample; :func:`batches` keeps it out."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage(), 0)  # was there before, unless it was made here
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._see(storage, storage.nbytes())
        return made

    def _see(self, storage: torch.UntypedStorage, size: int) -> None:
        key = storage._cdata
        if key not in self.live:
            self.live[key] = size
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self.live.pop(key)
