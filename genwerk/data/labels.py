"""Labels as they stand in files: which of them name a class, and which are numbers or nothing at all."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "null"})
"""How files write that there is no label, in lower case."""
FEW = 10
"""Rows to a value from which a column counts as one of few values."""
COLUMNS = ("label", "class")
"""What a column of labels is called where it is not named, the preferred first."""
_WHOLE = re.compile(r"([-+]?\d+)\.0*")


def label_column(asked: str, columns: Sequence[str]) -> str:
    """Which of ``columns`` holds the labels where ``asked`` for: that one, or where it is the default any usual one."""
    return asked if asked != COLUMNS[0] else next((name for name in COLUMNS if name in columns), asked)


def names(values: Sequence[object]) -> list[str | None]:
    """Labels as text, None where there is none; where all are whole numbers, 1 and 1.0 are the same."""
    found = [_text(value) for value in values]
    if all(name is None or _whole(name) for name in found):
        return [name if name is None else _WHOLE.sub(r"\1", name) for name in found]
    return found


def continuous(values: Sequence[object]) -> bool:
    """Whether labels are measured numbers, not classes: not whole, and more than a tenth of them different."""
    found = [name for name in names(values) if name is not None]
    try:
        numbers = {float(name) for name in found}
    except ValueError:
        return False
    return len(numbers) * FEW > len(found) and not all(number.is_integer() for number in numbers)


def labelled(values: Sequence[object]) -> bool:
    """Whether there is any label."""
    return any(name is not None for name in names(values))


def present(labels: Sequence[object]) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """Which rows have a label (None: all, or none of them), and a sentence where some or all have none."""
    keep = np.array([name is not None for name in names(labels)])
    if keep.all():
        return None, ()
    if not keep.any():
        return None, ("No row has a label, so there are no classes.",)
    missing = np.flatnonzero(~keep) + 1
    which = ", ".join(f"{row:,}" for row in missing[:5]) + (" and more" if len(missing) > 5 else "")
    how = "has no label and is" if len(missing) == 1 else "have no label and are"
    return keep, (f"{len(missing):,} of {len(keep):,} rows {how} left out: {which}.",)


def _text(value: object) -> str | None:
    """A label as text: 3.0 and 3 are the same class, b'cat' is cat."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    name = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return None if name.strip().casefold() in MISSING else name.strip()


def _whole(name: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.0*)?", name) is not None
