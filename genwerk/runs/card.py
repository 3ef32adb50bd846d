"""The card of a run: what it is, on what, with which figures, and the command that trains it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from genwerk import __version__, recipes
from genwerk.core import plugins
from genwerk.core.abilities import abilities
from genwerk.core.component import Component
from genwerk.core.errors import naming
from genwerk.core.files import write_atomically
from genwerk.core.model import family
from genwerk.core.printable import count, printable
from genwerk.core.spec import DataSpec
from genwerk.data import Splits
from genwerk.data.memory import MEMORY
from genwerk.evaluation.report import Report, number
from genwerk.evaluation.training_cost import training_figures
from genwerk.runs.config import kinds_of
from genwerk.runs.store import Origin
from genwerk.runs.sweep import write_sweep
from genwerk.training.settings import Recipe, to_json


def write_outcome(path: Path, name: str, recipe: Recipe, splits: Splits, report: Report | None, origin: Origin) -> None:
    """Write what came of a run into its folder: report.json, the newest evaluation, with its sweep, and the card.

    A run that is not measured (None) has no report, for one of other weights would be taken for its own.
    """
    if report is None:
        (path / "report.json").unlink(missing_ok=True)
    else:
        write_atomically(path / "report.json", json.dumps(report.to_json(), indent=1).encode())
    write_sweep(path, report)
    write_atomically(path / "card.md", printable(card(name, recipe, splits, report, origin, path)).encode())


SHORT = (
    *("hardly", "few", "half ", "little", "no better", "no nearer", "far from", "nearer to noise", "like noise"),
    *("worse", "very rough", "badly", "uneven", "less ", "teach less", "below real", "likelier", "returns its source"),
)
"""How verdicts begin that tell of a figure which falls short."""

FEW = 100
"""Examples below which figures are called rough."""

CAN: Mapping[str, str] = {
    "samples": "draws new examples",
    "traces": "shows samples on their way",
    "completes": "completes what is missing of an example",
    "encodes": "encodes examples",
    "decodes": "decodes latents into examples",
    "has-likelihood": "gives exact likelihoods",
    "bounds-likelihood": "gives bounds of likelihoods",
    "translates": "makes an image from another",
    "translates-domains": "takes images to other domains",
    "aligns-text": "tells how well texts and images match",
}
"""What a model does that has an ability, for readers who do not know our names."""


def card(name: str, recipe: Recipe, splits: Splits, report: Report | None, origin: Origin, path: Path) -> str:
    """The README of the run at ``path``."""
    can = abilities(family(recipe.model))
    source = "data in memory" if recipe.data.source == MEMORY else recipe.data.source
    sections = {
        "What it is": _what(name, recipe, splits.spec, can),
        "Data": _data(source, splits),
        "Training": _training(name, recipe, splits.spec, origin, path),
        "Figures": _figures(splits, report, path),
        "Use": _use(path, can, splits.spec),
        "Limits": _limits(source, splits, report, can, path),
    }
    text = "\n\n".join(f"## {title}\n\n{section}" for title, section in sections.items())
    made = f"Written by Genwerk {__version__}, torch {torch.__version__}."
    return f"# {name}, trained on {source}\n\n{text}\n\n{made}\n"


def _what(name: str, recipe: Recipe, spec: DataSpec, can: frozenset[str]) -> str:
    """The recipe in its own words, and what the model does."""
    known = name in recipes.REGISTRY
    said = [recipes.find(name).summary if known else f"A model of the family {family(recipe.model).__name__}."]
    does = [words for ability, words in CAN.items() if ability in can]
    if does:
        said.append(f"It {', '.join(does[:-1])}{' and ' * (len(does) > 1)}{does[-1]}.")
    said.append(f"The data are {spec}.")
    return "\n\n".join(said)


def _data(source: str, splits: Splits) -> str:
    """The source, its parts, and what was understood of it."""
    roles = {
        "training": "trains the model",
        "validation": "chooses the weights",
        "test": "is what figures are of",
    }
    parts = zip(roles.items(), (splits.train, splits.validation, splits.test), strict=True)
    rows = []
    for (part, role), data in parts:
        same = part != "training" and data is splits.train
        rows.append(f"| {part} | {len(data):,} | {'the training examples: none are held out' if same else role} |")
    notes = [f"* {naming(note, str)}" for note in splits.notes]
    table = "\n".join(["| part | examples | role |", "|---|---|---|", *rows])
    return "\n\n".join([f"Source: {source}.", table, *(["\n".join(notes)] if notes else [])])


def _training(name: str, recipe: Recipe, spec: DataSpec, origin: Origin, path: Path) -> str:
    """How long and on what terms it was trained, what that took, the command, and all settings of the model."""
    from genwerk.runs.page import read_events

    train = recipe.train
    size = f"batches of {train.batch_size:,}" if train.batch_size else "all examples at once"
    said = f"{train.rounds:,} rounds at most, {size}, seed {train.seed}."
    log = path / "events.jsonl"
    spent = training_figures(list(read_events(log))) if log.exists() else []
    if spent:
        said += " Cost: " + "; ".join(f"{f.name} {number(f.value, 3)} {f.unit}".rstrip() for f in spent) + "."
    rows = "\n".join(
        f"| {k.removesuffix('.$type')} | {v} |" for k, v in flat(to_json(recipe.model)).items() if k != "$type"
    )
    table = f"| setting of {type(recipe.model).__name__} | value |\n|---|---|\n{rows}"
    return f"{said}\n\n{_again(name, recipe, spec, origin)}\n\n{table}"


def _figures(splits: Splits, report: Report | None, path: Path) -> str:
    """The table of the report, of which rows it is, and the conditions of each figure."""
    if report is None:
        command = shlex.join(["genwerk", "evaluate", str(path)])
        return f"Not measured yet: `{command}` measures it and writes the figures here."
    if splits.test is splits.train:
        n = count(len(splits.test), "training example")
        rows = f"Measured on the {n}, for nothing is held out."
    else:
        n = count(len(splits.test), "test example")
        rows = f"Measured on the {n}, which neither trained the model nor chose its weights."
    lines = "\n".join(f"* {line}" for line in report.lines())
    return f"{rows} ± is a standard error. What each figure means: docs/figures.md.\n\n{report.tables()}\n\n{lines}"


def _use(path: Path, can: frozenset[str], spec: DataSpec) -> str:
    """A few commands that this model has, and the same in Python."""
    calls = {
        "samples": ("sample", "-n", "16"),
        "encodes": ("encode", "--out", "codes.csv"),
        "completes": ("complete", "--help"),
        "translates": ("translate", "--help"),
        "has-likelihood": ("outliers",),
    }
    commands = [["genwerk", verb, str(path), *rest] for ability, (verb, *rest) in calls.items() if ability in can]
    commands.append(["genwerk", "evaluate", str(path)])
    shown = "\n".join(shlex.join(command) for command in commands)
    python = f"import genwerk\n\nrun = genwerk.open_run({str(path)!r})"
    if "samples" in can:
        python += f"\nrun.sample(16)  # with shape (16, {', '.join(map(str, spec.shape))})"
    return f"```sh\n{shown}\n```\n\n```python\n{python}\n```"


def _limits(source: str, splits: Splits, report: Report | None, can: frozenset[str], path: Path) -> str:
    """What the model should not be trusted with."""
    n = count(len(splits.train), "example")
    said = [f"It has learned from {n} of {source}. Figures say nothing about other data."]
    if report is not None:
        short = [f"{f.name}: {f.verdict}" for f in report.figures if f.verdict.startswith(SHORT)]
        if short:
            said.append(f"It falls short by its own figures. {'; '.join(short)}.")
        if len(splits.test) < FEW:
            said.append(f"Figures of {count(len(splits.test), 'example')} are rough.")
        if not report.complete:
            said.append("Its evaluation was stopped, so that figures are missing.")
    if "bounds-likelihood" in can and "has-likelihood" not in can:
        said.append("Its likelihoods are bounds: they do not rank it among models with exact ones.")
    if "samples" in can:
        near = shlex.join(["genwerk", "nearest", str(path)])
        said.append(f"Samples may resemble training examples: `{near}` shows the nearest ones.")
    if "translates-domains" in can:
        said.append("Its images may show people as they are not; files that it writes say so.")
    said.append("Rights in the data, and the consent of people in them, are not recorded here.")
    return "\n".join(f"* {each}" for each in said)


def _again(name: str, recipe: Recipe, spec: DataSpec, origin: Origin) -> str:
    """How to train it again, and what the command cannot say."""
    command = again(name, recipe, spec, origin.processes, origin.from_runs[-1].run if origin.from_runs else "")
    if command is None:
        given = ", data" if recipe.data.source == MEMORY else ""
        text = (
            "It was trained from Python, on data or with settings that no command has. To train it again: "
            f"`genwerk.train(genwerk.open_run(RUN).recipe{given})`."
        )
    else:
        text = f"To train it again, bit for bit on the same kind of machine:\n\n```\n{command}\n```"
    who = "It"
    for each in reversed(origin.from_runs):
        text += f"\n\n{who} started from the weights of round {each.round:,} of {each.run}, a run of {each.recipe} "
        text += f"(sha256 {each.sha256})."
        who = each.run
    if origin.changes:
        rows = [f"* from round {c.round}: {k} {v}" for c in origin.changes for k, v in c.settings.items()]
        text += "\n\nIt was resumed with other settings, which the command has from the start:\n\n" + "\n".join(rows)
    return f"{text}\n\nEvery setting is in `config.json`; those of the model:"


def again(name: str, recipe: Recipe, spec: DataSpec, processes: int = 1, from_run: str = "") -> str | None:
    """The command that trains ``recipe`` again on data of ``spec``; None where there is none.

    It has every setting that differs from what the recipe called ``name`` would be for these data.
    """
    if name not in recipes.REGISTRY or recipe.data.source in ("", MEMORY):
        return None
    entry = recipes.find(name)
    fitted, shown = entry.make(spec), replace(entry.make(entry.spec).data, source=recipe.data.source)
    try:
        options = [
            *differing("data", shown, recipe.data),
            *differing("model", fitted.model, recipe.model),
            *differing("train", fitted.train, recipe.train),
            *differing("evaluate", fitted.evaluate, recipe.evaluate),
        ]
    except LookupError:
        return None
    several = ["--from", from_run] if from_run else []
    several += ["--devices", str(processes)] if processes > 1 else []
    files = [file for file in plugins.sources(kinds_of(name, recipe, spec)) if file.endswith(".py")]
    several += [word for file in files for word in ("--plugin", file)]
    return shlex.join(["genwerk", "train", name, "--data", recipe.data.source, *options, *several])


def differing(path: str, default: Any, wanted: Any) -> Iterator[str]:
    """The options that turn ``default`` into ``wanted``; LookupError where no option could."""
    if default == wanted:
        return
    if isinstance(wanted, Component) and isinstance(default, Component) and type(default) is not type(wanted):
        if wanted.kinds is not default.kinds:
            raise LookupError(path)
        yield from (f"--{_dashed(path)}", wanted.kind)
        default = type(wanted)()
    if is_dataclass(wanted):
        if type(default) is not type(wanted):
            raise LookupError(path)
        for field in fields(wanted):
            yield from differing(f"{path}.{field.name}", getattr(default, field.name), getattr(wanted, field.name))
    elif isinstance(wanted, Mapping) and not default:
        yield f"--{_dashed(path)}"
        yield from (text for k, v in wanted.items() for text in (k, _text(v)))
    elif isinstance(wanted, Mapping):
        if not isinstance(default, Mapping) or default.keys() != wanted.keys():
            raise LookupError(path)
        for key in wanted:
            yield from differing(f"{path}.{key}", default[key], wanted[key])
    elif isinstance(wanted, bool):
        head, dot, last = _dashed(path).rpartition(".")
        yield f"--{head}{dot}{'' if wanted else 'no-'}{last}"
    elif isinstance(wanted, (list, tuple)):
        yield f"--{_dashed(path)}"
        yield from map(_text, wanted)
    elif _text(wanted).startswith("-"):
        yield f"--{_dashed(path)}={_text(wanted)}"
    else:
        yield from (f"--{_dashed(path)}", _text(wanted))


def _dashed(path: str) -> str:
    return path.replace("_", "-")


def _text(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)) or is_dataclass(value):
        raise LookupError(value)
    return str(value)


def flat(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Settings in JSON as one level, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found
