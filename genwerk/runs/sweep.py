"""A temperature sweep as files of its run: ``sweep.csv``, a line a temperature and figure, and ``sweep.png``."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from genwerk.core.files import write_atomically
from genwerk.evaluation.report import Report
from genwerk.evaluation.sweep import BLEU, SCORES, Pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIELDS = ("temperature", "key", "figure", "value", "spread", "unit", "floor", "noise")
"""The columns of the CSV file."""


def files(run: Path) -> tuple[Path, Path]:
    """Where both stand in the folder ``run``, if it has a sweep."""
    return run / "sweep.csv", run / "sweep.png"


def write_sweep(run: Path, report: Report | None) -> None:
    """Write both files where the report has a sweep, else remove them."""
    table, picture = files(run)
    if report is None or not report.sweep:
        table.unlink(missing_ok=True)
        picture.unlink(missing_ok=True)
        return
    write_atomically(table, as_csv(report).encode())
    write_atomically(picture, png(report))


def as_csv(report: Report) -> str:
    """One line a temperature and figure, numbers in full."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for at in report.sweep:
        for f in at.figures:
            writer.writerow([at.temperature, f.key, f.name, f.value, f.spread, f.unit, f.floor, f.noise])
    return text.getvalue()


def png(report: Report) -> bytes:
    """Quality against variety, better at the top and at the left: a panel for each pair that was measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    keys = {figure.key for at in report.sweep for figure in at.figures}
    pairs = [pair for pair in (*BLEU, *SCORES) if {pair.quality, pair.variety} <= keys]
    figure = Figure(figsize=(3.4 * len(pairs), 3.4), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    for i, pair in enumerate(pairs, 1):
        _panel(figure.add_subplot(1, len(pairs), i), report, pair)
    written = BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def _panel(axes: Axes, report: Report, pair: Pair) -> None:
    """The points of all temperatures, joined in their order, and real texts as a star."""
    points = []
    for at in sorted(report.sweep, key=lambda at: at.temperature):
        y, x = at.figure(pair.quality), at.figure(pair.variety)
        if y is not None and x is not None:
            points.append((x, y))
            where = x.value, y.value
            axes.annotate(f"T = {at.temperature:g}", where, (5, -9), textcoords="offset points", fontsize=8)
    x, y = points[0]
    axes.plot([x.value for x, _ in points], [y.value for _, y in points], marker="o", markersize=4, linewidth=1.2)
    if x.floor is not None and y.floor is not None:
        axes.plot([x.floor], [y.floor], marker="*", markersize=11, linestyle="none", color="black", label="real texts")
        axes.legend(frameon=False, fontsize=8)
    axes.margins(0.15)
    axes.set_xlabel(x.name)
    axes.set_ylabel(y.name)
    if pair.sign < 0:
        axes.invert_yaxis()
