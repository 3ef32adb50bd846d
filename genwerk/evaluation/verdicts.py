"""A figure in words: one plain verdict beside a number, by a rule that docs/figures.md states.

A verdict is empty where a number does not say how good a model is, or where nothing tells what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt

Scale = Sequence[tuple[float, str]]
"""Bounds from low to high, each with what is said of a number up to and including it."""

WAY: Scale = (
    (0.01, "like real data"),
    (0.05, "close to real data"),
    (0.15, "some way from real"),
    (0.35, "far from real"),
    (0.65, "half way to noise"),
    (0.9, "nearer to noise"),
    (1.1, "like noise"),
    (inf, "worse than noise"),
)
"""By the way from the floor (0) to noise (1)."""
REAL: Scale = (
    (0.1, "hardly any look real"),
    (0.35, "few look real"),
    (0.65, "half look real"),
    (0.9, "most look real"),
    (inf, "nearly all look real"),
)
"""By the lesser share of what real data get: precision and density."""
VARIETY: Scale = (
    (0.1, "hardly any variety"),
    (0.35, "little of the variety"),
    (0.65, "half of the variety"),
    (0.9, "most of the variety"),
    (inf, "all of the variety"),
)
"""By the lesser share of what real data get: recall and coverage."""
RIGHT: Scale = (
    (0.05, "no better than chance"),
    (0.35, "few right"),
    (0.65, "half right"),
    (0.9, "most right"),
    (inf, "nearly all right"),
)
"""By the way from chance (0) to an accuracy of 1."""
CALIBRATED: Scale = ((0.03, "well calibrated"), (0.1, "fairly calibrated"), (inf, "badly calibrated"))
"""By the expected calibration error."""
REBUILT: Scale = (
    (0.02, "nearly exact"),
    (0.1, "close"),
    (0.35, "rough"),
    (0.95, "very rough"),
    (inf, "no better than the mean"),
)
"""By the squared error as a share of that of the training mean."""
NOWHERE = "no nearer than its source"
"""Of translations that agree with their domain no more than their sources do."""
ARRIVED: Scale = (
    (0.1, "hardly any arrive"),
    (0.35, "few arrive"),
    (0.65, "half arrive"),
    (0.9, "most arrive"),
    (inf, "nearly all arrive"),
)
"""By the way from the agreement of sources (0) to that of real examples (1)."""
KEPT: Scale = (
    (0.1, "hardly any kept"),
    (0.35, "few kept"),
    (0.65, "half kept"),
    (0.9, "most kept"),
    (inf, "nearly all kept"),
)
"""By the share that is nearer to its own source than to others."""
EVEN: Scale = ((0.02, "even"), (0.2, "nearly even"), (inf, "uneven"))
"""By the divergence in nats of the histogram of modes from an even one."""


@dataclass(frozen=True)
class BesideReal:
    """What is said of a figure by how it differs from that of real examples."""

    less: str
    same: str
    more: str

    def of(self, difference: float, error: float) -> str:
        """Of a ``difference`` with that standard error; empty where it is no number."""
        if not isfinite(difference):
            return ""
        return self.same if abs(difference) <= ERRORS * error else self.less if difference < 0 else self.more


ALIKE = BesideReal("below real texts", "level with real texts", "above real texts")
"""Of BLEU against real texts."""
VARIED = BesideReal("more varied than real texts", "as varied as real texts", "less varied than real texts")
"""Of self-BLEU."""
LIKELY = BesideReal("likelier than real texts", "as likely as real texts", "less likely than real texts")
"""Of what samples cost under a model of real texts, or under the truth."""
TAUGHT = BesideReal("teach more than real texts", "teach as much as real texts", "teach less than real texts")
"""Of what real texts cost under a model of samples."""

TRANSLATED = BesideReal("worse than its source", "like its source", "better than its source")
"""Of a translation against its source as it is."""

WEAK = 0.5
"""Way from chance to an accuracy of 1 up to which a classifier's features count for little."""
BLIND = 0.5
"""Share of what real data get from which noise gets so much that a figure tells nothing."""
ENOUGH = 20
"""Examples below which a likelihood is not said to be better or worse: the spread of so few tells nothing."""
FEW = "too few examples"
"""Of a figure so uncertain that it may be that of real data as well as that of noise."""
ERRORS = 2.0
"""Standard errors within which two figures count as the same."""


def on(scale: Scale, value: float) -> str:
    """What ``scale`` says of ``value``; empty where that is not a number."""
    return next((words for bound, words in scale if value <= bound), "")


def distance(value: float, floor: float, noise: float, error: float = 0.0, *, biased: bool = False) -> str:
    """Of a squared distance, by how far its root lies on the way from that of the floor to that of noise.

    Where both lie within its standard ``error``, there are too few examples; where the floor alone does, no difference
    is seen, unless the estimate is ``biased``. Empty where noise is no further than real data: features in which that
    is so tell nothing.
    """
    if floor < noise and abs(value - floor) <= ERRORS * error:
        if value + ERRORS * error >= noise:
            return FEW
        if error and not biased:
            return "no difference seen"
    at, low, high = (sqrt(max(each, 0.0)) if isfinite(each) else inf for each in (value, floor, noise))
    return on(WAY, (at - low) / (high - low)) if low < high < inf else ""


def shares(
    scale: Scale,
    values: Mapping[str, float],
    floors: Mapping[str, float],
    noises: Mapping[str, float],
    errors: Mapping[str, float],
) -> dict[str, str]:
    """Of figures of one thing, by their names, of which more is better: by the least of their shares of the floor, for
    each is fooled in a way of its own; empty where noise gets much of them all. One whose own share would be called
    otherwise refers to the least. Where floor and noise both lie within the standard error of the least, there are too
    few examples."""
    if not all(floor > 0 for floor in floors.values()):
        return dict.fromkeys(values, "")
    of_noise, of_value = ({name: each[name] / floors[name] for name in floors} for each in (noises, values))
    if min(of_noise.values()) >= BLIND:
        return dict.fromkeys(values, "")
    least = min(of_value, key=lambda name: of_value[name])
    error, of = ERRORS * errors[least], values[least]
    lost = of - error <= noises[least] < floors[least] <= of + error
    verdict = FEW if lost else on(scale, of_value[least])
    alike = {name for name, share in of_value.items() if name == least or on(scale, share) == verdict}
    return {name: verdict if name in alike else f"see {least}" for name in of_value}


def likelihood(ahead: float, error: float, than: str, *, examples: int, exact: bool = True) -> str:
    """Of a log-likelihood, or a bound of it, that is ``ahead`` nats above that of a simple model called ``than``, as
    the mean over so many ``examples``."""
    if not isfinite(ahead):
        return f"worse than {than}" if exact and ahead == -inf else ""
    if examples < ENOUGH:
        return f"too few examples ({examples}) to compare with {than}"
    if abs(ahead) <= ERRORS * error:
        return f"within error of {than}"
    return f"better than {than}" if ahead > 0 else f"{'worse than' if exact else 'maybe worse than'} {than}"


def accuracy(value: float, chance: float) -> str:
    """Of a share of right answers, by the way from ``chance`` to 1."""
    return on(RIGHT, way(value, chance))


def arrived(value: float, error: float, copy: float, floor: float) -> str:
    """Of a share of translations that agree with their domain, whose gain over ``copy``, that of sources, has that
    standard error, by the way from there to ``floor``, that of real examples."""
    if value - copy <= ERRORS * error or floor <= copy:
        return NOWHERE
    return on(ARRIVED, (value - copy) / (floor - copy))


def weak(value: float, chance: float) -> bool:
    """Whether a classifier that is right as often as ``value`` says is barely better than ``chance``."""
    return way(value, chance) < WEAK


def way(value: float, chance: float) -> float:
    """How far ``value`` lies on the way from ``chance`` to 1; 0 where there is no way."""
    return (value - chance) / (1 - chance) if chance < 1 else 0.0
