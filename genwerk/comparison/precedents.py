"""Data on which recipes were compared already, and which of them some other data are most like.

The table, ``precedents.json``, is what `benchmarks/choose_table.py` makes of several comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from math import isfinite, log10, prod
from pathlib import Path
from typing import Any

from genwerk.comparison.ranking import Standing, columns
from genwerk.comparison.result import Comparison, comparison_from
from genwerk.core.abilities import Encodes
from genwerk.core.errors import BadInput
from genwerk.core.files import parse_json, read_json
from genwerk.core.spec import DataSpec
from genwerk.evaluation.report import number
from genwerk.runs import store
from genwerk.training.settings import from_json, to_json

TABLE = "precedents.json"
DIGITS = 4
"""Digits of a figure that the table keeps."""
KEPT = (
    "frechet_distance",
    "fid",
    "precision",
    "recall",
    "coverage",
    "reverse_lm_score",
    "bleu_5",
    "self_bleu_5",
    "nll",
    "bits_per_dim",
    "reconstruction_mse",
    "training_examples_per_second",
    "seconds_to_quality",
    "sampling_latency",
    "samples_per_second",
)
"""Figures that the table keeps, by their keys."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """One figure of the recipes that were measured on some data."""

    name: str
    """What it is called."""
    standings: tuple[Standing, ...]
    """Of recipes, in place of contestants; places are not kept."""

    def of(self, recipe: str) -> Standing | None:
        """How that recipe stands; None where it does not have the figure."""
        return next((each for each in self.standings if each.contestant == recipe), None)


@dataclass(frozen=True, kw_only=True)
class Precedent:
    """Data on which recipes were compared, and how each of them stands there."""

    source: str
    """What the data are called."""
    data: str
    """What they hold, in words."""
    kind: str
    """image, audio, table or text."""
    shape: tuple[int, ...]
    """Of one example."""
    named: bool
    """Whether pixels are colours of a palette, or other names without an order."""
    examples: int
    """Training examples."""
    budget: str
    """How training was bounded, in words."""
    seeds: int
    """How often each recipe was trained, at most."""
    samples: int
    """Samples of each run that were measured."""
    extractor: str
    """The extractor of the features, in one line; empty where there are none."""
    machine: str
    version: str
    """Of Genwerk and of PyTorch."""
    command: str
    """What repeats the comparison."""
    latents: dict[str, int]
    """How many numbers encode an example, by recipe; only of those that encode it in fewer than it has."""
    figures: dict[str, Known]
    """By their keys."""
    failed: dict[str, str]
    """Recipes that gave no figures, and why."""
    notes: tuple[str, ...]
    """What else is to be known of the comparison, such as who made fewer samples; a sentence each."""

    def unlike(self, spec: DataSpec, examples: int) -> float:
        """How unlike its data are to so many ``examples`` of ``spec``: the powers of ten by which the numbers of
        examples and of values differ, 1 for other channels, and 1 where pixels are names in one alone."""
        channels = spec.modality.is_grid and spec.shape[0] != self.shape[0]
        return (
            abs(log10(max(examples, 1) / self.examples))
            + abs(log10(spec.dims / prod(self.shape)))
            + channels
            + (_named(spec) != self.named)
        )


def nearest(spec: DataSpec, examples: int, precedents: Sequence[Precedent]) -> Precedent | None:
    """The data of the kind of ``spec`` that so many ``examples`` of it are most like; None where there are none."""
    same = [each for each in precedents if each.kind == spec.modality.kind]
    return min(same, key=lambda each: each.unlike(spec, examples), default=None)


def _named(spec: DataSpec) -> bool:
    return bool(spec.palette) or spec.nominal


# --- the table --------------------------------------------------------------------------------------------------------


@cache
def measured() -> tuple[Precedent, ...]:
    """What was measured for this version of Genwerk."""
    return table_from(parse_json(files("genwerk.comparison").joinpath(TABLE).read_bytes(), TABLE), TABLE)


def table_from(found: Any, where: str) -> tuple[Precedent, ...]:
    """The precedents that :func:`table` described; a BadInput says where these are none."""
    values = found.get("precedents") if isinstance(found, dict) else found
    precedents: tuple[Precedent, ...] = from_json(tuple[Precedent, ...], values, where)
    return precedents


def table(precedents: Sequence[Precedent]) -> dict[str, Any]:
    """Plain JSON."""
    plain = [to_json(each) for each in precedents]
    for each, values in zip(precedents, plain, strict=True):
        for key, known in each.figures.items():
            values["figures"][key]["standings"] = [_brief(standing) for standing in known.standings]
    return {"precedents": plain}


def _brief(standing: Standing) -> dict[str, Any]:
    """What differs from its default, numbers rounded."""
    values = {f.name: getattr(standing, f.name) for f in fields(standing) if getattr(standing, f.name) != f.default}
    return {k: float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for k, v in values.items()}


# --- from a comparison ------------------------------------------------------------------------------------------------


def precedent_in(folder: Path) -> Precedent:
    """What a comparison in ``folder`` adds to the table; a BadInput says why it adds nothing."""
    path = folder / "report.json"
    found = comparison_from(read_json(path, infinities=True), str(path))
    if not found.measured:
        raise BadInput(f"{path} has no run that was measured, so it tells nothing of any recipe")
    runs = {each.contestant: placed(folder, each.run) for each in reversed(found.measured)}
    return precedent(found, store.find(next(iter(runs.values()))).spec, latents=_latents(found, runs))


def precedent(found: Comparison, spec: DataSpec, latents: dict[str, int]) -> Precedent:
    """What ``found``, a comparison on data of ``spec``, adds to the table; ``latents`` as in :class:`Precedent`."""
    recipe = {each.contestant: each.recipe for each in found.measured}
    if twice := next((name for name in recipe.values() if list(recipe.values()).count(name) > 1), None):
        raise BadInput(f"{twice} takes part with several settings; expected one contestant a recipe")
    figures = dict[str, Known]()
    for column in columns(found):
        standings = tuple(
            replace(
                each,
                contestant=recipe[each.contestant],
                notes=(),
                verdict="",
                first=0,
                last=0,
                among=0,
            )
            for each in column.standings
            if isfinite(each.mean)
        )
        if column.key in KEPT and standings:
            figures[column.key] = Known(name=column.name, standings=standings)
    return Precedent(
        source=Path(found.source).name,
        data=found.data,
        kind=found.kind,
        shape=spec.shape,
        named=_named(spec),
        examples=found.examples["train"],
        budget=found.budget or _spent(found),
        seeds=max(len(found.of(each)) for each in found.contestants),
        samples=found.samples,
        extractor=found.extractor,
        machine=found.machine,
        version=found.version,
        command=found.command,
        latents=latents,
        figures=figures,
        failed={each.recipe: each.why for each in found.failed if each.recipe not in recipe.values()},
        notes=found.notes,
    )


def _spent(found: Comparison) -> str:
    """What runs that were there already have been trained for, in words; empty where that is not known."""
    seconds = [figure.value for run in found.measured if (figure := run.figure("training_cpu_seconds")) is not None]
    least, most = (number(bound(seconds, default=0.0) / 60, 2) for bound in (min, max))
    return f"{least if least == most else f'{least} to {most}'} minutes of the processor per run" if seconds else ""


def placed(folder: Path, run: str) -> Path:
    """Where a run of the comparison in ``folder`` is: below that, or where it was named."""
    return folder / run if (folder / run).exists() else Path(run)


def _latents(found: Comparison, runs: dict[str, Path]) -> dict[str, int]:
    """How many numbers encode an example, of the recipes that need fewer than it has."""
    sizes = dict[str, int]()
    for each in {run.contestant: run for run in found.measured}.values():
        model = store.outline(runs[each.contestant])
        if isinstance(model, Encodes) and (size := prod(model.latent_shape)) < model.spec.dims:
            sizes[each.recipe] = size
    return sizes
