"""Quality against variety over temperatures: a method counts as better only where its whole curve is.

At one temperature quality can be had for variety, so that a single figure ranks nothing (Caccia et al., "Language GANs
Falling Short", 2020, arXiv:1811.02549). A curve joins the points of a contestant in the order of their temperatures.
One is surely better than another where it has the better quality, beyond the margins of both, at every variety that
both reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from math import inf, isfinite

from genwerk.comparison import digits
from genwerk.comparison.ranking import Standing, standing
from genwerk.comparison.result import Comparison
from genwerk.evaluation.sweep import BLEU, SCORES, Pair

PAIRS = (BLEU[-1], *SCORES)
"""What is drawn; whose curve is better is told by the first."""


@dataclass(frozen=True)
class Spot:
    """One temperature of a contestant, over its training seeds."""

    temperature: float
    quality: Standing
    variety: Standing


@dataclass(frozen=True)
class Curve:
    """All temperatures of a contestant, in rising order."""

    contestant: str
    spots: tuple[Spot, ...]

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the greatest number of variety."""
        numbers = [spot.variety.mean for spot in self.spots]
        return min(numbers), max(numbers)

    def at(self, variety: float) -> Iterator[tuple[float, float]]:
        """The quality wherever the curve has that ``variety``, each time with its margin, to which that of the variety
        adds as steep as the curve is."""
        for a, b in pairwise(self.spots):
            low, high = a.variety.mean, b.variety.mean
            if min(low, high) <= variety <= max(low, high):
                part = (variety - low) / (high - low) if high != low else 0.5
                slope = abs((b.quality.mean - a.quality.mean) / (high - low)) if high != low else 0.0
                across, up = (
                    (1 - part) * one + part * two
                    for one, two in (
                        (a.variety.margin, b.variety.margin),
                        (a.quality.margin, b.quality.margin),
                    )
                )
                yield (
                    (1 - part) * a.quality.mean + part * b.quality.mean,
                    up + (slope * across if slope else 0.0),
                )


def curves(comparison: Comparison, pair: Pair) -> list[Curve]:
    """The curves of the contestants that have one, of two temperatures or more."""
    found = []
    for contestant in comparison.contestants:
        runs = comparison.of(contestant)
        temperatures = sorted({at.temperature for run in runs for at in run.report.sweep})
        spots = list[Spot]()
        for temperature in temperatures:
            swept = [at for run in runs for at in run.report.sweep if at.temperature == temperature]
            seeds = len({run.seed for run in runs})
            both = [
                standing(contestant, [figure for at in swept if (figure := at.figure(key)) is not None], seeds)
                for key in (pair.quality, pair.variety)
                if any(at.figure(key) is not None for at in swept)
            ]
            if len(both) == 2 and all(isfinite(each.mean) for each in both):
                spots.append(Spot(temperature, *both))
        if len(spots) > 1:
            found.append(Curve(contestant, tuple(spots)))
    return found


def table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Heads, and a row a contestant and temperature, of all figures of :data:`PAIRS` that were measured."""
    columns = dict[str, str]()
    for pair in PAIRS:
        columns |= dict(zip((pair.quality, pair.variety), pair.names, strict=True))
    cells = dict[tuple[str, float], dict[str, str]]()
    for pair in PAIRS:
        for curve in curves(comparison, pair):
            for spot in curve.spots:
                row = cells.setdefault((curve.contestant, spot.temperature), {})
                for key, each in ((pair.quality, spot.quality), (pair.variety, spot.variety)):
                    row[key] = digits.value(each.mean, each.sampling, each.training)
    known = [key for key in columns if any(key in row for row in cells.values())]
    rows = [[who, f"{at:g}", *(row.get(key, "") for key in known)] for (who, at), row in cells.items()]
    return ["contestant", "temperature", *(columns[key] for key in known)], rows


def common(a: Curve, b: Curve) -> tuple[float, float] | None:
    """The varieties that both reach, from the least number to the greatest; None where there are none."""
    low, high = (pick(each.reach[i] for each in (a, b)) for i, pick in ((0, max), (1, min)))
    return (low, high) if low < high else None


def surely_better(a: Curve, b: Curve, pair: Pair) -> bool:
    """Whether the whole curve of ``a`` is better than that of ``b``, at every variety that both reach.

    Both are made of straight pieces, so that it is enough to look where a piece of either begins or ends.
    """
    if (reached := common(a, b)) is None:
        return False
    low, high = reached
    inner = {spot.variety.mean for each in (a, b) for spot in each.spots if low < spot.variety.mean < high}
    for variety in (low, *inner, high):
        worst = min((pair.sign * value - margin for value, margin in a.at(variety)), default=-inf)
        best = max((pair.sign * value + margin for value, margin in b.at(variety)), default=inf)
        if not worst > best:
            return False
    return True


def sentences(comparison: Comparison, pair: Pair = PAIRS[0]) -> list[str]:
    """Whose whole curve is better than whose, and between whom that is open."""
    every = curves(comparison, pair)
    if len(every) < 2:
        return []
    quality, variety = pair.names
    said, settled = list[str](), set[frozenset[str]]()
    for a, b in permutations(every, 2):
        if surely_better(a, b, pair):
            low, high = common(a, b) or (0.0, 0.0)
            said.append(
                f"The whole curve of {a.contestant} is above that of {b.contestant}: more {quality} at every {variety} "
                f"that both reach, {low:.3g} to {high:.3g}."
            )
            settled.add(frozenset((a.contestant, b.contestant)))
    open_ = [
        f"{a.contestant} and {b.contestant}"
        for i, a in enumerate(every)
        for b in every[i + 1 :]
        if frozenset((a.contestant, b.contestant)) not in settled
    ]
    if open_:
        single = [each.contestant for each in every if any(spot.quality.training is None for spot in each.spots)]
        why = (
            f"one training seed tells nothing of how far another training would move the curve of {_listed(single)}"
            if single
            else f"their curves of {quality} against {variety} cross, lie within their margins, or share no {variety}"
        )
        said.append(f"Inconclusive between {_listed(open_)}: {why}.")
    return said


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{'; '.join(names[:-1])} and {names[-1]}"
