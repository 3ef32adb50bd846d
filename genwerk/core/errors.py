"""What is wrong with what came from outside, as types: all else that is raised is a fault of Genwerk and shows itself.

Each message is one sentence that a user can act on: what was wrong, what was expected, what to do. A setting that it
names is a :class:`Setting`, for which the face that shows the sentence puts its own word: a flag, or a control.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting or option that a sentence names, such as ``data.size``, with a value for it where one is proposed."""

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name} {self.value}"


class BadInput(ValueError):
    """What a user named, typed or holds in a file cannot be used.

    Its arguments are the parts of one sentence, each a text or a :class:`Setting`.
    """

    def __str__(self) -> str:
        return self.sentence(str)

    def sentence(self, name: Callable[[Setting], str]) -> str:
        """What is wrong, with settings called what ``name`` calls them."""
        return "".join(name(part) if isinstance(part, Setting) else str(part) for part in self.parts)

    @property
    def parts(self) -> tuple[Any, ...]:
        """Texts and settings that make the sentence."""
        return self.args


class BadSetting(BadInput):
    """A setting has a value that cannot be: its name, then why, as in ``BadSetting("steps", "is 1; expected more")``.

    What follows the name may come in parts, as that of any :class:`BadInput`.
    """

    @property
    def setting(self) -> str:
        """The setting's name."""
        return str(self.args[0])

    @property
    def parts(self) -> tuple[Any, ...]:
        return (Setting(self.setting), " ", *self.args[1:])


class BadFile(BadInput):
    """A file or folder is missing, damaged, of another kind than expected, or larger than may be read."""


class Unwritable(OSError, BadInput):
    """A file cannot be written; what was there before is untouched."""

    __str__ = BadInput.__str__


class Unsupported(BadInput):
    """A task was asked of a model that lacks an ability."""


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
