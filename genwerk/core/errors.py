"""What is wrong with what came from outside, as types: all else that is raised is a fault of Genwerk and shows itself.

Each message is one sentence that a user can act on: what was wrong, what was expected, what to do. It names a setting
between angle quotes, as in "take ‹data.size› 32" or "take ‹data.size=32›", and each face puts its own word there: a
flag, a control, or, where Python raises it, the keyword.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

SETTING = "‹([^‹›]+)›"
"""The name of a setting in a sentence, or its name and a value: ‹resume=True›."""


def naming(sentence: str, name: Callable[[str], str]) -> str:
    """``sentence`` with each setting between angle quotes called what ``name`` calls it."""
    return re.sub(SETTING, lambda found: name(found[1]), sentence)


class BadInput(ValueError):
    """What a user named, typed or holds in a file cannot be used."""

    def __str__(self) -> str:
        return naming(self.sentence, str)

    @property
    def sentence(self) -> str:
        """What is wrong, with settings between angle quotes."""
        return str(self.args[0]) if self.args else ""

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings that the sentence names."""
        return tuple(found.partition("=")[0] for found in re.findall(SETTING, self.sentence))


class Caution(UserWarning):
    """A warning in one sentence, which names settings as that of a :class:`BadInput` does."""

    __str__ = BadInput.__str__
    sentence = BadInput.sentence


class BadSetting(BadInput):
    """A setting has a value that cannot be: its name, then why, as ``BadSetting("steps", "is 1; expected more")``."""

    @property
    def setting(self) -> str:
        """The setting's name."""
        return str(self.args[0])

    @property
    def sentence(self) -> str:
        return f"‹{self.setting}› {self.args[1]}"


class Untenable(BadInput):
    """What a part of the settings says of its values, in its own words; ``settings`` are their whole names."""

    def __init__(self, sentence: str, settings: tuple[str, ...]) -> None:
        super().__init__(sentence)
        self._settings = settings

    @property
    def settings(self) -> tuple[str, ...]:
        return self._settings


class BadFile(BadInput):
    """A file or folder is missing, damaged, of another kind than expected, or larger than may be read."""


class NoColumn(BadInput):
    """Data lack the column, or the array, that a setting of how data are read names: ``setting``, as "label"."""

    def __init__(self, sentence: str, setting: str) -> None:
        super().__init__(sentence)
        self.setting = setting


class MissingPlugin(BadInput):
    """A run was made with a plug-in that is not loaded."""


class Unwritable(OSError, BadInput):
    """A file cannot be written; what was there before is untouched."""

    __str__ = BadInput.__str__


class MissingCondition(BadInput):
    """A model that is conditioned got no valid condition: who it is, the option that a person gives it by (empty for
    none), and what is passed in Python."""

    def __init__(self, why: str, option: str, expected: str) -> None:
        super().__init__(f"{why}: give ‹{option}›" if option else f"{why}: pass condition, {expected}")
        self.passed = f"{why}: pass condition, {expected}"
        self.why, self.option = why, option

    def __str__(self) -> str:
        return self.passed


class Unsupported(BadInput):
    """A task was asked of a model that lacks one of the abilities ``needed``, where it is one, or is not conditioned on
    what ``by`` names: label, prompt or covariates."""

    def __init__(self, sentence: str, *needed: str, by: str = "") -> None:
        super().__init__(sentence)
        self.needed, self.by = frozenset(needed), by


def called(model: object) -> str:
    """What a model is called in a sentence: its recipe, where that is known, else its class."""
    return getattr(model, "recipe", "") or type(model).__name__


REASONS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "its file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of disk space is used up",
    errno.EFBIG: "larger than a file may be here (`ulimit -f`)",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EEXIST: "something of that name is in the way",
    errno.EISDIR: "it is a folder",
    errno.EMFILE: "this process has too many files open (`ulimit -n`)",
    errno.ELOOP: "its links lead in a circle",
}
"""Why the system refuses a file, where its own words need explaining."""


def reason(error: Exception) -> str:
    """Why the system refused a file, as part of a sentence."""
    if isinstance(error, OSError) and error.errno and error.strerror:
        systems = error.strerror == os.strerror(error.errno)
        return (systems and REASONS.get(error.errno)) or error.strerror[:1].lower() + error.strerror[1:]
    if number := re.search(r"\(os error (\d+)\)", str(error)):  # as safetensors says it
        return reason(OSError(int(number[1]), os.strerror(int(number[1]))))
    return "its name holds a NUL character" if "null byte" in str(error) else str(error)


def refusal(error: OSError) -> str:
    """What the system refused and why, as a sentence."""
    named = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    what = f"{' and '.join(named)} cannot be read or written" if named else "the system refused"
    return f"{what}: {reason(error)}"


LARGEST, WHOLE = 1e300, 10**12
"""What no number of any settings reaches, and no whole one that is no seed."""
NOUGHT, ONE, TWO = (0, math.inf), (1, math.inf), (2, math.inf)
"""Ranges of numbers from 0, 1 and 2."""
RATE = (0, 10**5)
"""Range of a learning rate, and of what is of its kind."""
SEEDS = (-(2.0**63), 2.0**63)
"""Range of a seed."""


def check_finite(settings: Any, name: str) -> None:
    """Raise BadSetting unless every number in the dataclass ``settings`` (called ``name``) and its parts can be."""
    for field in dataclasses.fields(settings):
        value, called = getattr(settings, field.name), f"{name}.{field.name}"
        if dataclasses.is_dataclass(value):
            check_finite(value, called)
        else:
            check_number(called, value)


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise BadSetting unless ``value``, where it is a number or several, lies from ``low`` to ``high``; both may be.

    None passes. Numbers must be finite, and whole ones that are no seeds less than :data:`WHOLE`.
    """
    for number in value if isinstance(value, (tuple, list)) else [value]:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        whole = isinstance(number, int) and not name.endswith("seed")
        least, most = (max(low, -WHOLE), min(high, WHOLE)) if whole else (low, high)
        if -LARGEST < number < LARGEST and least <= number <= most:
            continue
        if whole and abs(number) >= WHOLE:
            least, most = (low, most) if number > 0 else (least, high)
        else:
            least, most = low, high
        span = (
            f"{least:g} or more" if most == math.inf else f"{most:g} or less" if least == -math.inf else ""
        ) or f"from {least:g} to {most:g}"
        wanted = "a finite number" if (least, most) == (-math.inf, math.inf) else f"a number {span}"
        raise BadSetting(name, f"is {shortly(number)}; expected {wanted}")


def shortly(number: float) -> str:
    """``number`` as it is told: one of very many digits by the first of them."""
    return str(number) if isinstance(number, float) or abs(number) < 10**15 else f"{Decimal(number):.3g}"


def attributed(error: ValueError, values: Mapping[str, object]) -> ValueError:
    """``error``, as an :class:`Untenable` of those ``values`` that it speaks of, as in "width 0 and head 32" or
    "layers is 0", unless it names its settings itself or speaks of none."""
    if isinstance(error, BadInput) and error.settings:
        return error
    sentence = error.sentence if isinstance(error, BadInput) else str(error)
    named = tuple(
        name
        for name, value in values.items()
        if re.search(rf"\b{name.rpartition('.')[2]} (is )?{re.escape(str(value))}(?![\w.]\w)", sentence)
    )
    return Untenable(sentence, named) if named else error


def check_ranges(settings: Any, name: str, **ranges: tuple[float, float]) -> None:
    """Raise BadSetting unless every number in the dataclass ``settings`` is finite and those named lie in their range.

    Both ends of a range are allowed; None passes, and each number of a tuple is looked at. ``name`` is what the user
    calls the settings: ``train`` in ``train.rounds``; empty where the name of the setting alone is enough.
    """
    for field in dataclasses.fields(settings):
        called = f"{name}.{field.name}".lstrip(".")
        check_number(called, getattr(settings, field.name), *ranges.get(field.name, ()))
