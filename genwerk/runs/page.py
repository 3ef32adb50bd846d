"""The page of a run: ``index.html`` and ``curves.png``, made of the other files of its folder and of nothing else."""

from __future__ import annotations

import csv
import io
import shlex
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import open_regular, parse_json, read_json, write_atomically
from genwerk.core.html import document, escaped, table
from genwerk.evaluation.report import Report
from genwerk.runs import curves
from genwerk.runs.card import flat
from genwerk.runs.checkpoints import round_of, samples_in

PICTURES = (".png", ".jpg", ".webp")
SOUNDS = (".wav", ".flac", ".ogg")
USES = {
    "samples": ("Sample from it", "sample"),
    "reconstructions": ("Reconstruct examples", "reconstruct"),
    "translations": ("Translate examples", "translate"),
}
"""Lines of the log that tell of samples, and what is typed to use a model that makes these."""
MOST = 24
"""Samples of earlier rounds that are shown."""
HEAD = 10
"""Rows that are shown of a table of samples."""
REFRESH = 30
"""Seconds after which a browser reads the page again while training goes on."""


def update_page(run: Path, report: Report | None = None) -> bool:
    """:func:`write_page`, and whether it could be written; where not, a warning says why, and all else goes on."""
    try:
        write_page(run, report)
    except (OSError, BadInput) as error:
        warnings.warn(f"the page of {run} is not up to date: {error}", stacklevel=2)
        return False
    return True


def write_page(run: Path, report: Report | None = None) -> None:
    """Write ``index.html`` and ``curves.png`` into ``run``; ``report`` is what has been measured of the model as it is.

    Lines of the event log that are damaged are left out.
    """
    events = list(read_events(run / "events.jsonl"))
    config = read_json(run / "config.json")
    found = curves.panels(events)
    title = f"{run.resolve().name}: {config.get('name')} on {source(config)}"
    write_atomically(run / "curves.png", curves.png(found, title))
    write_atomically(run / "index.html", html(run, title, config, events, found, report).encode())


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of an event log that are whole."""
    if not path.exists():
        return
    with open_regular(path) as file:
        for line in file:
            try:
                event = parse_json(line, str(path))
            except BadFile:
                continue
            known = {"event": str, "stage": str, "round": int}
            if all(isinstance(event.get(key), kind) for key, kind in known.items()):
                yield event


def source(config: Mapping[str, Any]) -> str:
    """What a run was trained on, in a word or two."""
    return str(flat(config).get("recipe.data.source"))


def html(
    run: Path,
    title: str,
    config: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    found: Sequence[curves.Panel],
    report: Report | None,
) -> str:
    """The whole page; it needs no script and no network."""
    state, stands = status(events)
    body = [
        f"<h1>{escaped(title)}</h1>",
        f"<p>{escaped(stands)}. As of {time.strftime('%Y-%m-%d %H:%M:%S')}.</p>",
        *samples(run, events),
        *figures(report),
        *losses(found),
        *commands(run, config, events),
        *settings(config),
    ]
    again = f'<meta http-equiv="refresh" content="{REFRESH}">' if state == "going on" else ""
    return document(title, "\n".join(body), head=again, style=STYLE)


State = Literal["going on", "stopped", "finished"]


def status(events: Sequence[Mapping[str, Any]]) -> tuple[State, str]:
    """Whether training goes on, and where it stands in words."""
    plan = [event["rounds"] for event in events if event["event"] == "plan" and isinstance(event.get("rounds"), int)]
    if not plan:
        return "stopped", "Nothing is known of its training"
    last = events[-1]
    if last["event"] == "stage done" and last.get("last") is True:
        return "finished", f"Trained for {last['round']:,} rounds"
    at = f"round {last['round']:,} of {plan[-1]:,}, stage {last['stage']}"
    return ("stopped", f"Stopped at {at}") if last["event"] == "stopped" else ("going on", f"Training: {at}")


# --- samples ----------------------------------------------------------------------------------------------------------


def samples(run: Path, events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The newest samples, and those of earlier rounds, evenly chosen."""
    what = {e["round"]: f"{e['event'].title()} of {e['stage']}" for e in events if e["event"] in USES}
    rounds = [list(same) for _, same in groupby(samples_in(run), key=round_of)]
    if not rounds:
        return
    step = -(-len(rounds) // MOST)
    newest, *earlier = (shown(files, what) for files in rounds[::-step])
    yield f'<h2>Samples</h2><div class="newest">{newest}</div><div class="grid">{"".join(earlier)}</div>'


def shown(files: Sequence[Path], what: Mapping[int, str]) -> str:
    """The files of samples of one round, each as what it is."""
    round, parts = round_of(files[0]), list[str]()
    about = escaped(f"{what.get(round, 'Samples')} after round {round:,}")
    for path in files:
        where = f"samples/{quote(path.name)}"
        if path.suffix in PICTURES:
            parts.append(f'<a href="{where}"><img src="{where}" alt="{about}" loading="lazy"></a>')
        elif path.suffix in SOUNDS:
            parts.append(f'<audio controls preload="none" src="{where}" aria-label="{about}"></audio>')
        else:
            parts.append(f'{head_of(path)}<a href="{where}">{escaped(path.name)}</a>')
    return f"<figure>{''.join(parts)}<figcaption>{about}</figcaption></figure>"


def head_of(path: Path) -> str:
    """The first rows of a table of samples."""
    try:
        with open_regular(path) as file:
            rows = list(islice(csv.reader(io.TextIOWrapper(file, "utf-8", "replace")), HEAD + 1))
    except (OSError, ValueError, csv.Error):
        return "<p>It cannot be read.</p>"
    return wide(rows[0], rows[1:]) if rows else ""


def wide(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows below a head, which scroll where they are wider than the page."""
    return f'<div class="wide">{table(head, rows)}</div>'


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(report: Report | None) -> Iterator[str]:
    """What was measured in the end."""
    if report is None:
        return
    yield "<h2>Figures</h2>"
    yield wide(*report.table())
    if report.sweep:
        yield "<h2>Quality and variety by temperature</h2>"
        yield wide(*report.sweep_table())
        yield '<img src="sweep.png" alt="Quality against variety, a point a temperature">'
    yield "".join(f"<p>{escaped(line)}</p>" for line in report.lines())


def losses(found: Sequence[curves.Panel]) -> Iterator[str]:
    """The curves, a part for each stage."""
    if not found:
        return
    yield '<h2>Curves</h2><p><a href="curves.png">All of them as one picture</a></p>'
    for stage, same in groupby(found, key=lambda panel: panel.stage):
        parts = "".join(f"<figure>{legend(panel)}{curves.svg(panel)}</figure>" for panel in same)
        opened = " open" if stage == found[-1].stage else ""
        yield f'<details{opened}><summary>{escaped(stage)}</summary><div class="grid">{parts}</div></details>'


def legend(panel: curves.Panel) -> str:
    """The name of a panel, and where each of its curves stands now."""
    now = "".join(f' <span class="{s}">{s} {curve[-1][1]:.4g}</span>' for s, curve in panel.curves.items())
    return f"<figcaption><b>{escaped(panel.name)}</b>{now}</figcaption>"


# --- what to type -----------------------------------------------------------------------------------------------------


def commands(run: Path, config: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Commands that use the run and go on with it."""
    files = [str(file) for file in config.get("plugins") or [] if str(file).endswith(".py")]
    plugged = [word for file in files for word in ("--plugin", file)]
    what, verb = USES[next((e["event"] for e in reversed(events) if e["event"] in USES), "samples")]
    typed = {what: [verb, str(run), "-n", "16"], "Measure it": ["evaluate", str(run)]}
    if status(events)[0] != "finished":
        typed = {"Go on with its training": ["train", str(config.get("name")), "--out", str(run), "--resume"], **typed}
    yield "<h2>Going on</h2><dl>"
    for what, words in typed.items():
        line = shlex.join(["genwerk", *words, *plugged])
        yield f"<dt>{what}</dt><dd><code>{escaped(line)}</code></dd>"
    yield "</dl>"
    kept = [name for name in ("card.md", "report.json", "config.json", "events.jsonl") if (run / name).exists()]
    yield "<p>Files: " + ", ".join(f'<a href="{name}">{name}</a>' for name in kept) + "</p>"


def settings(config: Mapping[str, Any]) -> Iterator[str]:
    """Every setting, folded."""
    rows = [[name.removeprefix("recipe."), str(value)] for name, value in flat(config).items() if "recipe." in name]
    yield f"<details><summary>Settings</summary>{wide(['setting', 'value'], rows)}</details>"


STYLE = """
:root { --training: #2f6fbb; --validation: #c8571b; --watched: #4b7f2b; }
@media (prefers-color-scheme: dark) { :root { --training: #75aef0; --validation: #f09b62; --watched: #97c774; } }
figcaption b { color: var(--text); font-weight: 600; }
.newest figure { width: fit-content; max-width: 100%; margin-bottom: .75rem; }
.newest audio { width: 20rem; max-width: 100%; }
.rule { stroke: var(--rule); }
.number { fill: var(--soft); font-size: 11px; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
polyline.training { stroke: var(--training); } polyline.validation { stroke: var(--validation); }
polyline.watched { stroke: var(--watched); }
circle.training { fill: var(--training); } circle.validation { fill: var(--validation); }
circle.watched { fill: var(--watched); }
span.training { color: var(--training); } span.validation { color: var(--validation); }
span.watched { color: var(--watched); }
"""
