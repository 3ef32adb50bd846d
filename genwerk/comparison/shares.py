"""The shares of the classes among samples, a bar each, beside those among real examples."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev

from genwerk.comparison.result import Comparison
from genwerk.core.html import escaped

WIDTH, HEIGHT, BELOW = 300, 110, 16
"""Size of a histogram, and the room below for the names of the classes."""
NAMED = 12
"""Classes at most whose names stand below their bars."""
LETTERS = 24
"""Letters of all names together that have room there."""


def shares(comparison: Comparison, contestant: str) -> dict[str, tuple[list[float], float]]:
    """To each class its share of the samples of every run, and of the real examples; empty where nobody knows."""
    known = [run.report.labels for run in comparison.of(contestant) if run.report.labels]
    return {name: ([run[name][0] for run in known], known[0][name][1]) for name in known[0]} if known else {}


def histograms(comparison: Comparison, colours: Mapping[str, str]) -> dict[str, str]:
    """A histogram as SVG of each contestant whose classes are known, all of them to one scale."""
    every = {who: found for who in comparison.contestants if (found := shares(comparison, who))}
    greatest = max((max(*runs, real) for found in every.values() for runs, real in found.values()), default=0.0)
    return {who: _histogram(who, found, greatest or 1.0, colours[who]) for who, found in every.items()}


def _histogram(who: str, found: dict[str, tuple[list[float], float]], greatest: float, colour: str) -> str:
    step, ground = WIDTH / len(found), HEIGHT - BELOW
    shown = {name: (f"{fmean(runs):.1%}", f"{real:.1%}") for name, (runs, real) in found.items()}
    told = ", ".join(f"{name} {made} (among real examples {real})" for name, (made, real) in shown.items())
    label = escaped(f"Shares of the classes among the samples of {who}: {told}")
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"><title>{label}</title>']
    named = len(found) <= NAMED and sum(map(len, found)) <= LETTERS

    def height(share: float) -> float:
        return ground - share / greatest * (ground - 2)

    for i, (name, (runs, real)) in enumerate(found.items()):
        left, middle, mean = step * (i + 0.14), step * (i + 0.5), fmean(runs)
        where = f'x="{left:.1f}" y="{height(mean):.1f}" width="{0.72 * step:.1f}" height="{ground - height(mean):.1f}"'
        parts.append(f'<rect {where} fill="{colour}" opacity=".75"/>')
        if len(runs) > 1:
            ends = [height(max(mean + way * stdev(runs), 0.0)) for way in (-1, 1)]
            parts.append(
                f'<line class="spread" x1="{middle:.1f}" x2="{middle:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}"/>'
            )
        y = f"{height(real):.1f}"
        parts.append(f'<line class="real" x1="{step * i + 1:.1f}" x2="{step * (i + 1) - 1:.1f}" y1="{y}" y2="{y}"/>')
        if named:
            parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 3}">{escaped(name)}</text>')
    return "".join([*parts, "</svg>"])
