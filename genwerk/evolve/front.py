"""What an optimisation leaves in its folder, beside ``plan.json`` and ``archive.csv``.

``front.csv`` holds the solutions of each run that none of its population dominates, ``curve.csv`` what was measured on
the way, ``figures.json`` what was found in the end, ``front.png`` and ``front.gif`` are pictures of it. A run that was
stopped leaves the tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genwerk.core.files import write_atomically
from genwerk.evolve import measures
from genwerk.evolve.curve import Front
from genwerk.modalities.rows import write_table
from genwerk.training.settings import to_json

if TYPE_CHECKING:
    from genwerk.evolve.optimise import Optimising

Array = NDArray[np.float64]
REASONS = 5
"""Reasons of failures that a sentence names."""

FIGURES = "figures.json"
"""What was found, in the folder of an optimisation."""


def write(of: Optimising, folder: Path) -> list[Path]:
    """Write all files into ``folder``; the pictures only of what has come to its end."""
    from genwerk.evolve.drawing import animation, picture

    columns, rows = _solutions(of)
    written = [write_table(folder / "front.csv", columns, rows)]
    names = list(dict.fromkeys(name for point in of.curve.points for name in point.figures))
    measured = (
        [run, point.evaluations, *(point.figures[name][run] if name in point.figures else None for name in names)]
        for point in of.curve.points
        for run in range(of.request.runs)
    )
    written.append(write_table(folder / "curve.csv", ["run", "evaluations", *names], measured))
    if of.done:
        write_atomically(folder / FIGURES, json.dumps(_plain(figures(of)), indent=1).encode())
        written += [folder / FIGURES, picture(of, folder / "front.png"), animation(of, folder / "front.gif")]
    return written


def _solutions(of: Optimising) -> tuple[list[str], Iterator[list[Any]]]:
    """Columns and rows of the fronts of all runs."""
    tasks = of.curve.tasks
    widest, most = max(task.n_var for task in tasks), max(task.n_obj for task in tasks)
    several, exact = len(tasks) > 1, noiseless(of)
    columns = ["run", *(["task"] if several else []), *(f"x{i}" for i in range(widest))]
    columns += [f"f{i}" for i in range(most)] + ([f"exact_f{i}" for i in range(most)] if exact else [])

    def rows() -> Iterator[list[Any]]:
        for run, own in enumerate(of.fronts):
            for i, front in enumerate(own):
                x, f = (_padded(each, n) for each, n in ((front.x, widest), (front.f, most)))
                without = exact[run].tolist() if exact else [[]] * len(f)
                for cells in zip(x, f, without, strict=True):
                    yield [run, *([i + 1] if several else []), *(cell for part in cells for cell in part)]

    return columns, rows()


def _padded(values: Array, n: int) -> list[list[float | None]]:
    return [[*row, *[None] * (n - len(row))] for row in values.tolist()]


def noiseless(of: Optimising) -> list[Array] | None:
    """The objectives (n, m) of each run's front without noise, where the problem can tell them by ``exact``."""
    exact = getattr(of.problem, "exact", None)
    if exact is None or not of.fronts:
        return None
    fronts = [own[0].x for own in of.fronts]
    if of.problem.elementwise:
        return [np.array([exact(row) for row in x], dtype=float).reshape(len(x), -1) for x in fronts]
    return [np.asarray(exact(x), dtype=float).reshape(len(x), -1) for x in fronts]


def figures(of: Optimising) -> dict[str, Any]:
    """What was found, as plain JSON values."""
    request, curve = of.request, of.curve
    last = curve.points[-1] if curve.points else None
    found = {name: spread(values) for name, values in last.figures.items()} if last else {}
    if last and (exact := noiseless(of)) is not None:
        if (known := curve.known[0]) is not None:
            found["igd without noise"] = spread([measures.igd(f, known) for f in exact if len(f)])
        if (reference := curve.references[0]) is not None:
            found["hv without noise"] = spread([measures.hypervolume(f, reference)[0] for f in exact if len(f)])
    return {
        "problem": of.name,
        "algorithm": request.algorithm,
        "settings": to_json(of.config),
        "variables": of.problem.n_var,
        "objectives": of.problem.n_obj,
        "constraints": of.problem.n_constr,
        "runs": request.runs,
        "seed": request.seed,
        "evaluations": request.evaluations,
        "measured": found,
        "reference_point": [None if each is None else each.tolist() for each in curve.references],
        "reference_point_of": curve.reference_of,
        "hypervolume": curve.how,
        "solutions": [[len(front.f) for front in own] for own in of.fronts],
        "failures": dict(of.failures),
        "notes": notes(of),
        "command": of.command,
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median and quartiles of the values of all runs, and these."""
    low, middle, high = np.quantile(values or [np.nan], [0.25, 0.5, 0.75]).tolist()
    return {"median": middle, "q1": low, "q3": high, "values": list(values)}


def notes(of: Optimising) -> list[str]:
    """What a reader must know of the figures, a sentence each."""
    said, total, failed = list[str](), of.evaluations, sum(of.failures.values())
    if failed == total:
        return [f"all {total:,} evaluations failed: {_reasons(of.failures)}"]
    if failed:
        said.append(f"{failed:,} of {total:,} evaluations failed and were penalised: {_reasons(of.failures)}")
    for i in range(len(of.curve.tasks)):
        task = f" of task {i + 1}" if len(of.curve.tasks) > 1 else ""
        for what, wanted in ((f"no feasible solution{task} was found", 0), (f"the front{task} is a single point", 1)):
            if runs := [run for run, own in enumerate(of.fronts) if _points(own[i]) == wanted]:
                which = "all runs" if len(runs) == of.request.runs > 1 else f"run {', '.join(map(str, runs))}"
                said.append(f"{what} in {which}" + (": nothing is left to trade between objectives" if wanted else ""))
    last = of.curve.points[-1].figures if of.curve.points else {}
    if any(name.endswith("hv") and not np.isfinite(values).all() for name, values in last.items()):
        said.append("the hypervolume is beyond the range of numbers; give the objectives in other units")
    if of.curve.reference_of.startswith("the populations"):
        said.append(f"the hypervolume is measured from the worst of {of.curve.reference_of}")
    return said


def _reasons(failures: Mapping[str, int]) -> str:
    """Why evaluations failed, the most frequent reasons first."""
    most = sorted(failures.items(), key=lambda each: -each[1])
    more = f"; and {len(most) - REASONS} other reasons" if len(most) > REASONS else ""
    return "; ".join(f"{why} ({n:,})" for why, n in most[:REASONS]) + more


def _points(front: Front) -> int:
    return len(np.unique(front.f, axis=0)) if len(front.f) else 0


def _plain(value: Any) -> Any:
    """``value`` with null in place of numbers that are none."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
