"""The figures of a run's event log as curves, drawn twice: as SVG within a page, and as one PNG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from genwerk.core.html import escaped
from genwerk.core.printable import printable

Point = tuple[float, float]
"""A round, and the value of a figure in it."""

WIDTH, HEIGHT = 320, 190
"""Size of a panel."""
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 20
"""Room around the curves, for numbers; at the left, at least."""
DIGIT = 6.5
"""Width of a character of a number."""
MOST = 240
"""Points of a curve that are drawn; where there are more, neighbours are averaged."""
OUTLYING = 0.02
"""Part of the values, at either end, that the range of a panel may leave out where they would flatten the rest."""
COLOURS = {"training": "#2f6fbb", "validation": "#c8571b", "watched": "#5b8c3a"}
"""Where a figure comes from, and the colour of its curve."""
KINDS = {"round": "training", "evaluated": "validation", "watched": "watched"}
"""Lines of the log that hold figures, and where these come from."""
OTHER = {"event", "stage", "round", "examples", "seconds", "best"}
"""What such a line holds beside figures."""


@dataclass
class Panel:
    """One figure over the rounds of a stage."""

    stage: str
    name: str
    curves: dict[str, list[Point]] = field(default_factory=dict)
    """Points by where they come from, rounds rising."""


def panels(events: Iterable[Mapping[str, Any]]) -> list[Panel]:
    """The figures of an event log, stage by stage: held-out ones first, then losses, then norms of gradients."""
    found: dict[tuple[str, str], Panel] = {}
    for event in events:
        source, stage = KINDS.get(event["event"]), event["stage"]
        if source is None:
            continue
        for key, value in event.items():
            if key in OTHER or isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            name = key.replace("_", " ")
            panel = found.setdefault((stage, name), Panel(stage, name))
            if math.isfinite(value):
                panel.curves.setdefault(source, []).append((event["round"], value))
    stages = list(dict.fromkeys(stage for stage, _ in found))

    def place(panel: Panel) -> tuple[int, bool, bool]:
        return stages.index(panel.stage), "gradient norm" in panel.name, "validation" not in panel.curves

    return sorted((panel for panel in found.values() if panel.curves), key=place)


class Axes:
    """Where the points of a panel are drawn in a frame of :data:`WIDTH` by :data:`HEIGHT`."""

    def __init__(self, panel: Panel) -> None:
        points = [point for curve in panel.curves.values() for point in curve]
        self.first, self.last = min(x for x, _ in points), max(x for x, _ in points)
        values = sorted(y for _, y in points)
        out = int(len(values) * OUTLYING)
        low, high = values[0], values[-1]
        inner = values[-1 - out] - values[out]
        if high - low > 3 * inner > 0:
            low, high = values[out] - inner / 4, values[-1 - out] + inner / 4
        room = 0.05 * (high - low) or max(abs(high), 1e-9) / 10
        self.low, self.high = low - room, high + room
        third = (self.high - self.low) / 3
        place = math.floor(math.log10(third))
        times = next(times for times in (5, 2, 1) if times * 10.0**place <= third)
        self.step = times * 10.0**place
        first, last = math.ceil(self.low / self.step), math.floor(self.high / self.step)
        self.ticks = [
            (i * self.step, ticked(i * self.step, place, self.low, self.high)) for i in range(first, last + 1)
        ]
        self.left = max(LEFT, 10 + DIGIT * max(len(text) for _, text in self.ticks))
        """Room at the left, for the widest number."""

    def place(self, point: Point) -> Point:
        """Pixels from the left and from the top."""
        x, y = point
        across = (x - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        up = (min(max(y, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + across * (WIDTH - self.left - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def levels(self) -> list[tuple[float, str]]:
        """Round values within the range, as pixels from the top and as text."""
        return [(self.place((self.first, value))[1], text) for value, text in self.ticks]

    def rounds(self) -> list[tuple[float, str, str]]:
        """The first and the last round, or the only one: pixels from the left, text, and what of it stands there."""
        anchors = {self.first: "start", self.last: "end"} if self.last > self.first else {self.first: "middle"}
        return [(self.place((x, self.low))[0], f"{x:,.0f}", anchor) for x, anchor in anchors.items()]


def ticked(value: float, place: int, low: float, high: float) -> str:
    """A multiple of ten to the power ``place`` on an axis from ``low`` to ``high``: 250, 0.025 or, beyond, 2.5e4."""
    greatest = max(abs(low), abs(high))
    if 1e-3 <= greatest < 1e4:
        return f"{value:.{max(-place, 0)}f}"
    if value == 0:
        return "0"
    digits = max(math.floor(math.log10(abs(value)) + 1e-9) - place, 0)
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def thinned(curve: Sequence[Point]) -> list[Point]:
    """At most :data:`MOST` points, each the mean of its neighbours."""
    size = math.ceil(len(curve) / MOST)
    parts = [curve[i : i + size] for i in range(0, len(curve), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def drawn(panel: Panel, axes: Axes) -> Iterator[tuple[str, list[Point]]]:
    """The curves of a panel in pixels, by where they come from."""
    for source, curve in panel.curves.items():
        yield source, [axes.place(point) for point in thinned(curve)]


def told(panel: Panel) -> str:
    """What the curves say, in words."""
    parts = [f"{source} from {curve[0][1]:.4g} to {curve[-1][1]:.4g}" for source, curve in panel.curves.items()]
    return f"{panel.name} in {panel.stage}: {', '.join(parts)}"


# --- SVG --------------------------------------------------------------------------------------------------------------


def svg(panel: Panel) -> str:
    """A panel as an SVG element, whose classes the page styles: rule, number, training, validation, watched."""
    axes, label = Axes(panel), escaped(told(panel))
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"><title>{label}</title>']
    for y, text in axes.levels():
        parts.append(f'<line class="rule" x1="{axes.left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="number end" x="{axes.left - 6}" y="{y + 4:.1f}">{text}</text>')
    for x, text, anchor in axes.rounds():
        parts.append(f'<text class="number {anchor}" x="{x:.1f}" y="{HEIGHT - 4}">{text}</text>')
    for source, points in drawn(panel, axes):
        if len(points) == 1:
            parts.append(f'<circle class="{source}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3"/>')
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline class="{source}" points="{path}"/>')
    return "".join([*parts, "</svg>"])


# --- PNG --------------------------------------------------------------------------------------------------------------

COLUMNS, TITLE, SCALE = 3, 40, 1.5
"""Panels side by side, room above each for its name, and pixels of the picture by pixel of a panel."""
ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
"""What of a text stands at a place, in Pillow's words."""


def png(found: Sequence[Panel], title: str) -> bytes:
    """All panels as one picture, :data:`COLUMNS` side by side below a ``title``."""
    from PIL import Image, ImageDraw, ImageFont

    rows = math.ceil(len(found) / COLUMNS)
    size = SCALE * COLUMNS * WIDTH, SCALE * (TITLE + rows * (HEIGHT + TITLE))
    sheet = Image.new("RGB", (round(size[0]), round(size[1])), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11 * SCALE)

    def text(x: float, y: float, words: str, anchor: str = "ls", colour: str = "#333333") -> None:
        pen.text((SCALE * x, SCALE * y), words, colour, font, anchor)

    text(8, 22, printable(title, keep=""))
    for i, panel in enumerate(found):
        x, y = i % COLUMNS * WIDTH, TITLE + i // COLUMNS * (HEIGHT + TITLE) + TITLE
        axes = Axes(panel)
        stage = "" if panel.stage == found[0].stage == found[-1].stage else f"{panel.stage}: "
        text(x + 8, y - 18, printable(stage + panel.name, keep="")[:48])
        for j, (source, curve) in enumerate(panel.curves.items()):
            text(x + 8 + 140 * j, y - 3, f"{source} {curve[-1][1]:.4g}", colour=COLOURS[source])
        for level, number in axes.levels():
            ends = [SCALE * (x + axes.left), SCALE * (y + level), SCALE * (x + WIDTH - RIGHT), SCALE * (y + level)]
            pen.line(ends, "#dddddd")
            text(x + axes.left - 6, y + level, number, "rm")
        for across, number, anchor in axes.rounds():
            text(x + across, y + HEIGHT - 6, number, ANCHORS[anchor])
        for source, points in drawn(panel, axes):
            where = [(SCALE * (x + a), SCALE * (y + b)) for a, b in points]
            if len(where) == 1:
                pen.circle(where[0], 3 * SCALE, COLOURS[source])
            else:
                pen.line(where, COLOURS[source], 2)
    written = BytesIO()
    sheet.save(written, "PNG", compress_level=1)
    return written.getvalue()
