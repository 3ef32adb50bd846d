"""The charts of a report as SVG that takes its letters and greys from the page, so that it follows it into the dark.

Each is drawn twice, wide and narrow, of which the page shows the one that fits; letters have the same size in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from math import isfinite
from statistics import fmean
from typing import TYPE_CHECKING, Any

from genwerk.comparison import curves
from genwerk.comparison.ranking import Column
from genwerk.comparison.result import Comparison
from genwerk.core.html import escaped
from genwerk.core.printable import printable
from genwerk.evaluation.sweep import Pair
from genwerk.modalities.glyphs import every_script

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = (
    *("#2f7de1", "#e0692b", "#27a06a", "#b553c9", "#bf8f0e", "#d8446f", "#17a0b4", "#7a6ff0", "#7a961c", "#a4684b"),
    *("#6a8795", "#c2559b"),
)
"""Colours of contestants, of middle lightness so that they stand out from white and from near black."""
MARKERS = "osD^vPX*<>hp"
"""Shapes of contestants, so that colour alone tells nothing apart."""
INK, FAINT = "#010203", "#040506"
"""What is drawn in the page's colour of text, and in that of its rules."""
WHOLE, HALF, NARROW = 15.0, 7.6, 4.9
"""Inches of a drawing as wide as the page, half of that, and on a phone; 72 units of its coordinates each."""
LETTERS = 12.0
"""Height of letters in the same units."""

Line = tuple[str, float]
"""A contestant and where its line ends, in parts of the height of the axes."""


@dataclass(frozen=True)
class Chart:
    """A chart, and the same in words."""

    svg: str
    """Both drawings, one after the other."""
    caption: str


def colour(i: int) -> str:
    """The colour of the contestant with that index."""
    return PALETTE[i % len(PALETTE)]


def quality_against_time(comparison: Comparison, column: Column | None) -> Chart | None:
    """The distance of each run at its checkpoints, and the spread of sampling where it ends."""
    drawn = [run for run in comparison.measured if any(isfinite(point.distance) for point in run.curve)]
    if not drawn:
        return None
    by_clock = any(point.cpu_seconds is None for run in drawn for point in run.curve)

    def draw(axes: Axes) -> None:
        ends: dict[str, list[float]] = {}
        for run in drawn:
            i = comparison.contestants.index(run.contestant)
            points = [(p.seconds if by_clock else p.cpu_seconds, p.distance) for p in run.curve if isfinite(p.distance)]
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, color=colour(i), linewidth=1.4, alpha=0.85, marker=MARKERS[i % 12], markersize=3.5)
            ends.setdefault(run.contestant, []).append(ys[-1])
            standing = column.of(run.contestant) if column else None
            if standing is not None and standing.sampling:
                axes.errorbar(xs[-1], ys[-1], 1.96 * standing.sampling, color=colour(i), elinewidth=3, alpha=0.45)
        axes.set_yscale("log")
        axes.set_xlabel("seconds of training" if by_clock else "CPU seconds of training")
        _name_ends(axes, comparison, {each: fmean(values) for each, values in ends.items()})

    said = [f"{run.contestant} {run.curve[-1].distance:.3g}" for run in drawn]
    label = f"Distance from validation examples against the time of training; in the end {', '.join(said)}."
    return Chart(
        _both(draw, "quality", label, WHOLE),
        "Fréchet distance from validation examples, less is better, at checkpoints on the way. Every line is one "
        "training: how far lines of one colour lie apart is the spread of training. The bar where a line ends is the "
        "spread of sampling (95 %).",
    )


def quality_against_variety(comparison: Comparison, pair: Pair) -> Chart | None:
    """A curve a contestant, a point a temperature, with the margins of quality, and real texts as a star."""
    drawn = curves.curves(comparison, pair)
    if not drawn:
        return None
    (y_name, x_name), real = pair.names, drawn[0].spots[0]

    def draw(axes: Axes) -> None:
        for each in drawn:
            i = comparison.contestants.index(each.contestant)
            xs, ys = ([getattr(spot, name).mean for spot in each.spots] for name in ("variety", "quality"))
            half = [spot.quality.margin if isfinite(spot.quality.margin) else 0.0 for spot in each.spots]
            axes.errorbar(xs, ys, half, color=colour(i), linewidth=1.6, marker=MARKERS[i % 12], markersize=5)
            for spot, x, y in zip(each.spots, xs, ys, strict=True):
                at = f"{spot.temperature:g}"
                axes.annotate(at, (x, y), (5, -11), textcoords="offset points", fontsize=9, color=colour(i))
        if real.quality.floor is not None and real.variety.floor is not None:
            axes.plot([real.variety.floor], [real.quality.floor], "*", color=INK, markersize=13)
            where = real.variety.floor, real.quality.floor
            axes.annotate("real texts", where, (8, 4), textcoords="offset points", fontsize=LETTERS)
        axes.set_xlabel(x_name)
        axes.set_ylabel(y_name)
        if pair.sign < 0:
            axes.invert_yaxis()
        _name_ends(axes, comparison, {each.contestant: each.spots[0].quality.mean for each in drawn})

    said = [
        f"{each.contestant} from {each.spots[0].quality.mean:.3g} at {each.spots[0].variety.mean:.3g} "
        f"to {each.spots[-1].quality.mean:.3g} at {each.spots[-1].variety.mean:.3g}"
        for each in drawn
    ]
    label = f"{y_name} against {x_name} over temperatures: {', '.join(said)}."
    return Chart(
        _both(draw, f"{pair.quality}-{pair.variety}", label, HALF),
        f"{y_name}, better at the top, against {x_name}, better at the left. A point is a temperature, its bar the "
        "interval by which it is judged.",
    )


def growth(comparison: Comparison, of: str) -> Chart | None:
    """The time of sampling against one size, the mean over the runs of each contestant."""
    found: dict[str, dict[int, list[float]]] = {}
    for run in comparison.measured:
        for grown in run.growth:
            for size, seconds in zip(grown.sizes, grown.seconds, strict=True):
                if grown.of == of and isfinite(seconds) and seconds > 0:
                    found.setdefault(run.contestant, {}).setdefault(size, []).append(seconds)
    if not found:
        return None
    means = {who: {n: fmean(each) for n, each in sorted(times.items())} for who, times in found.items()}

    def draw(axes: Axes) -> None:
        for who, times in means.items():
            i = comparison.contestants.index(who)
            points = list(times), list(times.values())
            axes.plot(*points, color=colour(i), linewidth=1.6, marker=MARKERS[i % 12], markersize=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel({"batch": "samples drawn together", "size": "values of a sample"}.get(of, printable(of)))
        _name_ends(axes, comparison, {who: list(times.values())[-1] for who, times in means.items()})

    said = [f"{who} from {min(t.values()):.2g} to {max(t.values()):.2g} s" for who, t in means.items()]
    titles = {"batch": "for a whole batch against the samples in it", "size": "against the size of a sample"}
    label = f"Seconds of sampling {titles.get(of, of)}: {', '.join(said)}."
    return Chart(_both(draw, of, label, HALF), f"Seconds of sampling {titles.get(of, of)}; both axes are logarithmic.")


# --- drawing ----------------------------------------------------------------------------------------------------------


def _both(draw: Callable[[Axes], None], name: str, label: str, width: float) -> str:
    widths = {"wide": width, "narrow": NARROW}
    return "".join(_svg(draw, f"{name}-{kind}", each, kind, label) for kind, each in widths.items())


def _svg(draw: Callable[[Axes], None], name: str, width: float, kind: str, label: str) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": LETTERS,
        "axes.labelsize": LETTERS,
        "axes.spines.top": False,
        "axes.spines.right": False,
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), FAINT),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
        "text.parse_math": False,
    }
    with every_script(drawn=False), rc_context(settings):
        figure = Figure(figsize=(width, 4.4 + 0.15 * (width - NARROW)), layout="constrained", facecolor="none")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.set_facecolor("none")
        axes.grid(True, which="major", linewidth=0.6)
        draw(axes)
        for axis in (axes.xaxis, axes.yaxis):
            _plain_numbers(axis)
        written = StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return _for_page(written.getvalue(), kind, label)


def _plain_numbers(axis: Any) -> None:
    """Numbers as one would write them, also between the powers of ten where there are few of these."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}" if x >= 1e-3 or x <= 0 else f"{x:.0e}"))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        subs = (1, 1.5, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5) if high / low < 300 else (1,)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_minor_formatter(NullFormatter())


def _name_ends(axes: Axes, comparison: Comparison, ends: dict[str, float]) -> None:
    """The names of contestants to the right of where their lines end, moved apart where they would overlap."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    inverse = axes.transAxes.inverted()
    heights = {who: inverse.transform(axes.transData.transform((1, y)))[1] for who, y in ends.items()}
    pixels = axes.get_window_extent().height
    step = 1.25 * LETTERS * figure.dpi / 72 / pixels
    names = sorted(heights, key=lambda who: heights[who])
    for who, place in zip(names, apart(sorted(heights.values()), step), strict=True):
        i = comparison.contestants.index(who)
        name = printable(who, keep="")
        short = name if len(name) <= 18 else f"{name[:17]}…"
        axes.annotate(
            short,
            (1, heights[who]),
            (1.03, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            color=colour(i),
            arrowprops={"arrowstyle": "-", "color": colour(i), "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
            annotation_clip=False,
        )


def apart(places: Sequence[float], step: float) -> list[float]:
    """The rising ``places`` moved as little as it takes for each to be ``step`` above the one before.

    Those that are too near become a block about their mean, and blocks that meet become one.
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _low(blocks[-1], step) < _low(blocks[-2], step) + len(blocks[-2]) * step:
            last = blocks.pop()
            blocks[-1] += last
    return [_low(block, step) + i * step for block in blocks for i in range(len(block))]


def _low(block: Sequence[float], step: float) -> float:
    return fmean(block) - (len(block) - 1) * step / 2


def _for_page(svg: str, kind: str, label: str) -> str:
    """The drawing as an element of a page: without a head, ids that nothing needs, and fonts and greys of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    needed = set(re.findall(r"#([\w-]+)[\"')]", svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in needed else "", svg)
    svg = re.sub(r" ?font-family: [^;\"]*;|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg)  # of letters none are cut
    svg = svg.replace(INK, "var(--text)").replace(FAINT, "var(--rule)")
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    text = escaped(label)
    opening = f'<svg class="{kind}" {box[0]} role="img" aria-label="{text}"><title>{text}</title>'
    svg = re.sub(r"^<svg[^>]*>", lambda _: opening, svg)
    return (
        re.sub(r"\s+", " ", svg).replace("> <", "><").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").strip()
    )
