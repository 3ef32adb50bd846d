"""Pictures of an optimisation: its front beside the known one, the way there, and the front in motion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.evolve.curve import Front, Point
from genwerk.evolve.front import noiseless
from genwerk.modalities.pictures import write_animation
from genwerk.modalities.writers import replaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genwerk.evolve.optimise import Optimising

Array = NDArray[np.float64]
GREY, INK = "#9a9a9a", "#222222"
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#6a5acd")
"""Colours that colour-blind eyes tell apart (Okabe & Ito, 2008), and one more."""
FRAMES, EACH, REST = 25, 120, 2000
"""Frames of an animation at the most, and the milliseconds of each and of the last."""
KNOWN = 2000
"""Points of a known front that are drawn, at the most."""


def picture(of: Optimising, path: Path) -> Path:
    """The fronts of all runs, what was measured on the way, and the shares of operators where there are any."""
    tasks, last = range(len(of.curve.tasks)), of.curve.points[-1]
    measured = [name for name in last.figures if name.split()[-1] in ("igd", "hv")]
    if any(name.endswith("igd") for name in measured):
        measured = [name for name in measured if name.endswith("igd")]
    shared = [name for name in last.figures if name.startswith("share of ")]
    n = len(tasks) + len(measured) + bool(shared)
    figure = _figure(4.4 * n, 4)
    for task in tasks:
        axes = _axes(figure, n, task, of.curve.tasks[task].n_obj)
        _fronts(axes, of, last, task)
        if of.curve.tasks[task].n_obj <= 3 and (exact := noiseless(of)) is not None:
            axes.scatter(*np.vstack(exact).T, s=14, facecolors="none", edgecolors=INK, linewidths=0.5)
            axes.set_xlabel("f0 (rings: without noise)")
        axes.set_title(f"{of.name}, {of.request.algorithm}" if len(tasks) == 1 else f"{of.name}, task {task + 1}")
    for i, name in enumerate(measured, len(tasks)):
        _way(figure.add_subplot(1, n, i + 1), of.curve.points, name)
    if shared:
        _shares(figure.add_subplot(1, n, n), of.curve.points, shared)
    written = BytesIO()
    figure.savefig(written, format="png", dpi=110, metadata={"command": of.command})
    return replaced(path, written)


def animation(of: Optimising, path: Path) -> Path:
    """The front of all runs as it moves."""
    points = of.curve.points[:: -(-len(of.curve.points) // FRAMES)]
    points = points if points[-1] is of.curve.points[-1] else [*points, of.curve.points[-1]]

    def frames() -> Iterator[tuple[torch.Tensor, int]]:
        n = len(of.curve.tasks)
        figure = _figure(4.8 * n, 3.8)
        panels = [_axes(figure, n, task, of.curve.tasks[task].n_obj) for task in range(n)]
        for point in points:
            for task, axes in enumerate(panels):
                axes.clear()
                _fronts(axes, of, point, task)
                axes.set_title(f"{of.name}, {point.evaluations:,} evaluations")
            canvas: Any = figure.canvas
            canvas.draw()
            figure.set_layout_engine("none")  # it stays as the first frame needs it
            pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
            yield torch.from_numpy(pixels).permute(2, 0, 1), REST if point is points[-1] else EACH

    return write_animation(path, frames(), 0, {"command": of.command})


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, n: int, i: int, objectives: int) -> Any:
    more = {"projection": "3d"} if objectives == 3 else {}
    return figure.add_subplot(1, n, i + 1, **more)


def _fronts(axes: Any, of: Optimising, point: Point, task: int) -> None:
    """The fronts of all runs at ``point`` over the known one, in axes that hold those of the end."""
    known, m = of.curve.known[task], of.curve.tasks[task].n_obj
    ends = [own[task].f for own in of.fronts if len(own[task].f)]
    shown = [known[:: -(-len(known) // KNOWN)]] if known is not None else []
    if m > 3:
        _lines(axes, [own[task] for own in point.fronts], np.vstack(ends or [np.zeros((1, m))]))
        return
    if shown:
        axes.scatter(*shown[0].T, s=2, color=GREY, linewidths=0, label="known front", alpha=1 if m == 2 else 0.3)
    for run, own in enumerate(point.fronts):
        axes.scatter(*own[task].f.T, s=12, color=COLOURS[run % len(COLOURS)], linewidths=0, alpha=0.8)
    axes.set(xlabel="f0", ylabel="f1", **({"zlabel": "f2"} if m == 3 else {}))
    if all_ := shown + ends:
        low, high = np.vstack(all_).min(axis=0), np.vstack(all_).max(axis=0)
        room = np.where(high > low, high - low, 1.0)
        for name, a, b in zip("xyz", low - 0.05 * room, high + 0.15 * room, strict=False):
            axes.set(**{f"{name}lim": (a, b)})


def _lines(axes: Axes, fronts: Sequence[Front], ends: Array) -> None:
    """Objectives side by side, each scaled to where it ends, a line a solution."""
    low, high = ends.min(axis=0), ends.max(axis=0)
    for run, front in enumerate(fronts):
        scaled = (front.f - low) / np.where(high > low, high - low, 1.0)
        axes.plot(scaled.T, color=COLOURS[run % len(COLOURS)], linewidth=0.6, alpha=0.5)
    axes.set(xticks=range(ends.shape[1]), xticklabels=[f"f{i}" for i in range(ends.shape[1])], ylim=(-0.05, 1.5))
    axes.set_ylabel("objective, from least to greatest of all fronts")


def _way(axes: Axes, points: Sequence[Point], name: str) -> None:
    """Median and quartiles of a figure by evaluations."""
    points = [point for point in points if np.isfinite(point.figures[name]).any()]
    if not points:
        return
    x = [point.evaluations for point in points]
    low, middle, high = np.nanquantile([point.figures[name] for point in points], [0.25, 0.5, 0.75], axis=1)
    axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.25, linewidth=0, label="quartiles")
    axes.plot(x, middle, color=COLOURS[0], label="median")
    if name.endswith("igd"):
        axes.set_yscale("log")
    axes.set(xlabel="evaluations of a run", title=name.replace("igd", "IGD").replace("hv", "hypervolume"))
    axes.grid(alpha=0.2)


def _shares(axes: Axes, points: Sequence[Point], names: Sequence[str]) -> None:
    """The mean share of each operator by evaluations, one upon the other."""
    there = [point for point in points if all(name in point.figures for name in names)]
    means = [[point.mean(name) for point in there] for name in names]
    labels = [name.removeprefix("share of ") for name in names]
    x = [point.evaluations for point in there]
    if np.allclose(np.sum(means, axis=0), 1):
        axes.stackplot(x, means, labels=labels, colors=COLOURS, alpha=0.8)
    else:  # rates of their own, such as those of transfer to each task
        axes.plot(x, np.transpose(means), label=labels)
    axes.set(xlabel="evaluations of a run", title="shares of operators", ylim=(0, 1))
    axes.legend(fontsize=8, loc="lower left")
