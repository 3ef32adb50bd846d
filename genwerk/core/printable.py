"""Text from outside (names of files, of classes, of columns) as text that may be shown and stored."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, keep: str = "\n\t") -> str:
    r"""``text`` with a backslash escape for every character that drives a terminal or cannot be stored as UTF-8.

    These are control characters but those in ``keep``, marks that turn the direction of writing, and the surrogates by
    which Python holds bytes of a name that are not UTF-8: caf\xe9.
    """
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first of ``names`` in a line, at most ``most``, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def count(n: int, noun: str, plural: str = "") -> str:
    """``n`` of what a ``noun`` names, which with an s is its ``plural`` unless that is given: 1 row, 2,000 rows."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # the byte that the surrogate stands for
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
