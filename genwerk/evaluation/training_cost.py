"""What training has taken, by the log of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genwerk.evaluation.report import Figure, number


def training_figures(events: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """What training has taken, by the lines of its event log (:mod:`genwerk.runs.recorder`).

    Up to the last checkpoint: processor seconds, training examples a processor second (of a GPU: a second by the
    clock), and memory at most. A log without processor seconds, as earlier versions wrote them, counts by the clock.
    """
    costs = [event for event in events if isinstance(event.get("cpu_seconds"), int | float)]
    saved = [event for event in events if event.get("event") in ("saved", "stage done")]
    if not (ends := costs or saved):
        return []
    last, figures, included = ends[-1], list[Figure](), "validation and checkpoints included"
    clock, examples, on_device = _by_the_clock(events, last), last.get("examples"), "peak_device_memory" in last
    if costs:
        note = f"{included}; {number(clock, 3)} s by the clock"
        figures.append(Figure(name="training CPU seconds", value=last["cpu_seconds"], unit="s", note=note))
    seconds, unit = (last["cpu_seconds"], "CPU s") if costs and not on_device else (clock, "s")
    if isinstance(examples, int) and examples > 0 and seconds > 0:
        older = "" if costs else "; this log is of a version that did not write processor seconds"
        note = f"{examples:,} examples in {number(seconds, 3)} {unit}, {included}{older}"
        name = "training examples per second"
        figures.append(Figure(name=name, value=examples / seconds, unit=f"per {unit}", note=note))
    key, of = ("peak_device_memory", "on the GPU") if on_device else ("peak_memory", "of the process, data included")
    if peaks := [event[key] for event in costs if isinstance(event.get(key), int)]:
        figures.append(Figure(name="peak training memory", value=max(peaks) / 1e6, unit="MB", note=of))
    return figures


def _by_the_clock(events: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> float:
    """Seconds of training up to the line ``last``; every process has counted its own from 0."""
    total = since = 0.0
    for event in events:
        if event.get("event") == "plan":
            total, since = total + since, 0.0
        if isinstance(event.get("seconds"), int | float):
            since = event["seconds"]
        if event is last:
            break
    return total + since
