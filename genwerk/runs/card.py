"""The card of a run: what it is, on what, with which figures, and the command that trains it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from genwerk import recipes
from genwerk.core import plugins
from genwerk.core.component import Component
from genwerk.core.errors import naming
from genwerk.core.files import write_atomically
from genwerk.core.printable import printable
from genwerk.core.spec import DataSpec
from genwerk.data import Splits
from genwerk.data.memory import MEMORY
from genwerk.evaluation.report import Report
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


def card(name: str, recipe: Recipe, splits: Splits, report: Report | None, origin: Origin, path: Path) -> str:
    """The README of the run at ``path``."""
    unmeasured = (
        f"Not measured yet: `{shlex.join(['genwerk', 'evaluate', str(path)])}` measures it and writes the figures here."
    )
    settings = "\n".join(
        f"| {k.removesuffix('.$type')} | {v} |" for k, v in flat(to_json(recipe.model)).items() if k != "$type"
    )
    notes = "\n".join(f"* {naming(note, str)}" for note in splits.notes)
    source = "data in memory" if recipe.data.source == MEMORY else recipe.data.source
    return f"""# {name}

Trained by Genwerk on {source}: {len(splits.train)} training, {len(splits.validation)} validation and \
{len(splits.test)} test examples ({splits.spec}).

{notes}

## Figures

{unmeasured if report is None else report.markdown()}

## Settings

| {type(recipe.model).__name__} | |
|---|---|
{settings}

{_again(name, recipe, splits.spec, origin)}
"""


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
        text = f"To train it again, to the same bits on the same kind of machine:\n\n```\n{command}\n```"
    who = "It"
    for each in reversed(origin.from_runs):
        text += f"\n\n{who} started from the weights of round {each.round:,} of {each.run}, a run of {each.recipe} "
        text += f"(sha256 {each.sha256})."
        who = each.run
    if origin.changes:
        rows = [f"* from round {c.round}: {k} {v}" for c in origin.changes for k, v in c.settings.items()]
        text += "\n\nIt was resumed with other settings, which the above has from the start:\n\n" + "\n".join(rows)
    return f"{text}\n\nEvery setting stands in `config.json`."


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
