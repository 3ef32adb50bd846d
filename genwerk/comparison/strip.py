"""A figure of each contestant as a dot on a line that all of them share, with a bar for each spread."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log

from genwerk.comparison.ranking import Column, Standing

WIDTH, HEIGHT, ROOM = 140, 16, 6
"""Size of a strip, and the room at its ends."""
WIDE = 20.0
"""Times that the greatest value is the least from which a line is logarithmic."""
BEYOND = 0.6
"""How far bars may reach beyond the values, as a part of their range, before they are cut."""


@dataclass(frozen=True)
class Scale:
    """Where values stand on a strip."""

    low: float
    high: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """Units from the left, within the strip."""
        value = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = log(value), log(low), log(high)
        return ROOM + (WIDTH - 2 * ROOM) * ((value - low) / (high - low) if high > low else 0.5)


def scale(column: Column) -> Scale | None:
    """The line that all contestants of a figure share; None where none has a finite value."""
    placed = [each for each in column.standings if isfinite(each.mean)]
    if not placed:
        return None
    values = [each.mean for each in placed]
    floors = [each.floor for each in placed if each.floor is not None]
    low, high = min(values + floors), max(values + floors)
    if low > 0 and high > WIDE * low:
        return Scale(low / 1.5, high * 1.5, True)
    reach = max((r for each in placed for r in (each.of_sampling, each.of_training) if isfinite(r)), default=0.0)
    room = min(BEYOND * (high - low), reach) if high > low else reach or abs(high) or 1.0
    return Scale(low - room, high + room, False)


def strip(standing: Standing, line: Scale | None, colour: str) -> str:
    """One contestant as SVG: a dot, a thick bar for sampling, a thin one for training, a notch at the floor."""
    if line is None or not isfinite(standing.mean):
        return ""
    middle, parts = HEIGHT / 2, [f'<line class="rail" x1="0" x2="{WIDTH}" y1="{HEIGHT / 2}" y2="{HEIGHT / 2}"/>']
    if standing.floor is not None:
        x = line.place(standing.floor)
        parts.append(f'<line class="floor" x1="{x:.1f}" x2="{x:.1f}" y1="1" y2="{HEIGHT - 1}"/>')
    for half, name in ((standing.of_training, "training"), (standing.of_sampling, "sampling")):
        if half > 0 and isfinite(half):
            ends = line.place(standing.mean - half), line.place(standing.mean + half)
            where = f'x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{middle}" y2="{middle}"'
            parts.append(f'<line class="{name}" stroke="{colour}" {where}/>')
    parts.append(f'<circle cx="{line.place(standing.mean):.1f}" cy="{middle}" r="4" fill="{colour}"/>')
    return f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'
