"""Numbers with as many digits as their spread leaves to them."""

from __future__ import annotations

from math import floor, isfinite, log10

from genwerk.evaluation.report import number

NONE = "—"
"""What stands where there is no number."""
LEAST, GREATEST = 1e-3, 1e7
"""Beyond these, numbers are written with a power of ten."""


def value(mean: float | None, *spreads: float | None) -> str:
    """``mean`` to the second digit of the greatest of its spreads, or to four digits where none is known."""
    if mean is None:
        return NONE
    if not isfinite(mean):
        return "not finite"
    greatest = max((each for each in spreads if each is not None and isfinite(each)), default=0.0)
    if greatest <= 0:
        return _plain(mean, 4)
    place = floor(log10(greatest)) - 1
    rounded = round(mean, -place)
    if rounded == 0:
        return "0"
    return _plain(rounded, max(floor(log10(abs(rounded))) - place + 1, 1), fixed=max(-place, 0))


def spread(found: float | None) -> str:
    """A spread, to two digits."""
    return NONE if found is None or not isfinite(found) else value(found, found)


def _plain(found: float, digits: int, fixed: int | None = None) -> str:
    """To that many digits, or with ``fixed`` decimals; as a power of ten where it is very small or large."""
    if found != 0 and not LEAST <= abs(found) < GREATEST:
        mantissa, exponent = f"{found:.{digits - 1}e}".split("e")
        mantissa = number(float(mantissa), digits) if fixed is None else mantissa
        return f"{mantissa}e{int(exponent)}"
    if fixed is None:
        return number(found, digits)
    return f"{found:,.{fixed}f}"
