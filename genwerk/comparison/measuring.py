"""One run of a comparison as it is measured: by the functions of an evaluation, with what all runs have in common."""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from genwerk.comparison import pictures
from genwerk.comparison.plan import Contestant, Request
from genwerk.comparison.result import Measured, Point, measured_from, to_plain
from genwerk.core.abilities import BoundsLikelihood, HasLikelihood, abilities
from genwerk.core.errors import BadInput, Caution
from genwerk.core.files import make_folder, read_json, write_atomically
from genwerk.core.model import Model, evaluating
from genwerk.data import Splits
from genwerk.evaluation import quick
from genwerk.evaluation.efficiency import Efficiency
from genwerk.evaluation.evaluate import Evaluation, reference_for
from genwerk.evaluation.reference import Reference
from genwerk.evaluation.report import Measuring, Report
from genwerk.evaluation.samples import Pace, drawn, features_of, pace
from genwerk.evaluation.texts import TextReference
from genwerk.evaluation.training_cost import training_figures
from genwerk.metrics import frechet_distance
from genwerk.metrics.features import Extractor
from genwerk.runs import store
from genwerk.runs.card import again
from genwerk.runs.checkpoints import checkpoints_in, round_of
from genwerk.runs.opened import OpenRun
from genwerk.runs.page import read_events
from genwerk.tasks.fitting import family_name
from genwerk.training.settings import to_json

FEWEST = 500
"""Samples with which a run takes part where others have more; with fewer it is measured alone."""
COSTS = 8.0
"""Seconds for measuring what sampling costs a run."""
FOLLOWED = 500
"""Samples, and validation examples, by which quality is followed over time."""


@dataclass(frozen=True)
class Common:
    """What all runs of a comparison are measured with."""

    folder: Path
    request: Request
    splits: Splits
    extractor: Extractor | None

    @cached_property
    def reference(self) -> Reference | TextReference | None:
        """What the samples of all runs are compared with, of which what is needed is found once."""
        return reference_for(self.splits, self.request.evaluate, self.extractor)


def opened(contestant: Contestant, request: Request) -> OpenRun:
    """The run of a contestant; that its training is not over is among its notes, and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Caution)
        return OpenRun(contestant.run, request.device, None, lambda _: None)


def affordable(run: OpenRun, common: Common) -> Pace:
    """How many of the samples that are asked for the run can make in the time there is, and how fast."""
    request, train = common.request.evaluate, common.splits.train
    n = min(request.samples, len(train))

    def some(rows: int) -> None:
        for _ in drawn(run.model, rows, train, request.seed):
            pass

    with evaluating(run.model):
        return pace(some, n, request.minutes)


def measure(
    contestant: Contestant, common: Common, samples: int, step: int, steps: int
) -> Generator[Measuring, None, Measured]:
    """The figures of a contestant with so many ``samples``, from its file where they stand there already."""
    path = common.folder / "measured" / f"{contestant.key}.json"
    stored = store.find(contestant.run)
    if (found := _kept(path, contestant, stored, samples)) is not None:
        return found
    run = opened(contestant, common.request)
    settings = replace(common.request.evaluate, samples=samples)
    unfinished = store.unfinished(run.path, run.model, run.recipe)
    notes = [*run.notes, *([f"{unfinished[0].upper()}{unfinished[1:]}."] if unfinished else [])]
    evaluation = Evaluation(
        run.model, common.splits, settings, reference=common.reference, notes=notes, all_samples=True
    )
    for event in evaluation:
        yield replace(event, what=f"{contestant.key}: {event.what}", step=step, steps=steps)
    events = list(read_events(run.path / "events.jsonl"))
    figures, costs = training_figures(events), Efficiency(run.model, common.splits.test, seconds=COSTS)
    for done, total in costs:
        what = f"{contestant.key}: cost of sampling"
        yield Measuring(what=what, step=step, steps=steps, done=done, total=total, seconds_left=None)
    curve = yield from _followed(contestant, run, events, common, step, steps)
    shown = yield from _shown(contestant, run, common, step, steps)
    measured = Measured(
        contestant=contestant.name,
        recipe=contestant.recipe,
        seed=contestant.seed,
        run=str(contestant.run),
        family=family_name(run.recipe.model),
        abilities=tuple(sorted(abilities(run.model))),
        condition=run.model.condition.option,
        likelihood=_likelihood(run.model),
        scored_as=run.model.scored_as if isinstance(run.model, (HasLikelihood, BoundsLikelihood)) else "stored",
        rounds=stored.round,
        settings=to_json(run.recipe),
        report=evaluation.report,
        efficiency=Report(figures=(*figures, *costs.figures), notes=tuple(costs.notes)),
        growth=tuple(costs.growth),
        curve=curve,
        pictures=shown,
        command=again(stored.name, stored.recipe, stored.spec, stored.origin.processes) or "",
    )
    make_folder(path.parent)
    values = {"samples": samples, "measured": to_plain(measured)}
    write_atomically(path, json.dumps(values, indent=1).encode())
    return measured


def _kept(path: Path, contestant: Contestant, stored: store.Stored, samples: int) -> Measured | None:
    """What stands in the file of a run, if it is whole with its pictures, of the same weights and as many samples.

    Settings, seed and round make the weights: a run that was trained longer meanwhile, or that another run of its name
    has taken the place of, is measured again.
    """
    try:
        found = read_json(path, infinities=True)
        measured = measured_from(found.get("measured"), str(path))
    except BadInput:
        return None
    kept = (found.get("samples"), measured.contestant, measured.rounds, measured.settings)
    shown = all((path.parents[1] / picture).is_file() for picture in measured.pictures.values())
    return measured if shown and kept == (samples, contestant.name, stored.round, to_json(stored.recipe)) else None


def _likelihood(model: Model) -> str:
    able = abilities(model)
    return "exact" if "has-likelihood" in able else "bound" if "bounds-likelihood" in able else ""


# --- quality against time ---------------------------------------------------------------------------------------------


def _followed(
    contestant: Contestant, run: OpenRun, events: Sequence[Mapping[str, Any]], common: Common, step: int, steps: int
) -> Generator[Measuring, None, tuple[Point, ...]]:
    """The distance of samples from validation examples at each checkpoint that is kept; none where too few are there.

    Where that would take longer than the samples of an evaluation may, only at some of them, the last always.
    """
    few = len(common.splits.validation) < quick.FEWEST
    if few or common.extractor is None or "samples" not in abilities(run.model):
        return ()
    left = sorted(checkpoints_in(run.path / "checkpoints"), key=round_of)
    validation = common.splits.validation.subset(FOLLOWED, common.request.evaluate.seed)
    real = torch.cat(list(features_of(common.extractor, validation)))
    lines = {event["round"]: event for event in events if event["event"] == "saved"}
    points, total, begun, minutes = list[Point](), len(left), perf_counter(), common.request.evaluate.minutes
    while left:
        what = f"{contestant.key}: quality against time"
        yield Measuring(what=what, step=step, steps=steps, done=len(points), total=total, seconds_left=None)
        folder = left.pop()
        if (line := lines.get(round_of(folder))) is None:
            continue
        model = store.load_model(store.find(folder), device=run.model.device)
        with evaluating(model):
            made = drawn(model, len(validation), common.splits.train, common.request.evaluate.seed)
            fake = torch.cat([common.extractor(x) for x in made])
        cpu = line.get("cpu_seconds")
        points.append(
            Point(
                round=round_of(folder),
                examples=line["examples"],
                cpu_seconds=float(cpu) if isinstance(cpu, (int, float)) else None,
                seconds=float(line["seconds"]),
                distance=frechet_distance(fake, real),
            )
        )
        if len(points) == 1 and minutes is not None:
            fitting = int(60 * minutes / (perf_counter() - begun)) - 1
            left = left[:: max(1, -(-len(left) // fitting))] if fitting > 0 else []
    return tuple(reversed(points))


# --- pictures ---------------------------------------------------------------------------------------------------------


def _shown(
    contestant: Contestant, run: OpenRun, common: Common, step: int, steps: int
) -> Generator[Measuring, None, dict[str, str]]:
    """The pictures of the first run of each contestant, as paths relative to the folder."""
    if not contestant.first:
        return {}
    into = common.folder / "pictures"
    make_folder(into)
    gallery = pictures.Gallery(run.model, common.splits, into, contestant.name, common.request.evaluate.seed)
    found = dict[str, str]()
    kinds = len(list(gallery.kinds()))
    for done, (what, files) in enumerate(pictures.made(gallery)):
        yield Measuring(
            what=f"{contestant.key}: {what}", step=step, steps=steps, done=done + 1, total=kinds, seconds_left=None
        )
        found |= relative(files, common.folder)
    return found


def relative(files: dict[str, Path], folder: Path) -> dict[str, str]:
    """Where files are, seen from ``folder``."""
    return {what: path.relative_to(folder).as_posix() for what, path in files.items()}
