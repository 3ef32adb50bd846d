"""What is wrong with what came from outside, as types: all else that is raised is a fault of Genwerk and shows itself.

Each message is one sentence that a user can act on: what was wrong, what was expected, what to type.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any


class BadInput(ValueError):
    """What a user named, typed or holds in a file cannot be used."""


class BadFile(BadInput):
    """A file or folder is missing, damaged, of another kind than expected, or larger than may be read."""


class Unwritable(OSError, BadInput):
    """A file cannot be written; what was there before is untouched."""


LARGEST = 1e300
"""What no number of any settings reaches."""


def check_ranges(settings: Any, name: str, **ranges: tuple[float, float]) -> None:
    """Raise BadInput unless every number in the dataclass ``settings`` is finite and those named lie in their range.

    Both ends of a range are allowed; None passes, and each number of a tuple is looked at. ``name`` is what the user
    calls the settings: ``train`` in ``--train.rounds``.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        low, high = ranges.get(field.name, (-math.inf, math.inf))
        for number in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                continue
            if not -LARGEST < number < LARGEST or not low <= number <= high:
                span = (
                    f"{low:g} or more" if high == math.inf else f"{high:g} or less" if low == -math.inf else ""
                ) or f"from {low:g} to {high:g}"
                wanted = "a finite number" if (low, high) == (-math.inf, math.inf) else f"a number {span}"
                raise BadInput(f"{name}.{field.name} is {number}; expected {wanted}")
