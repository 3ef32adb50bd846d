"""The report as one page that needs nothing else: no script, no network; pictures and sounds are part of it."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from genwerk.comparison import charts, curves, digits, tables
from genwerk.comparison.figures import Section
from genwerk.comparison.ranking import Column, columns
from genwerk.comparison.reading import facts, reading
from genwerk.comparison.result import Comparison
from genwerk.comparison.shares import histograms
from genwerk.comparison.strip import scale, strip
from genwerk.core.abilities import ABILITIES
from genwerk.core.errors import BadFile
from genwerk.core.files import open_regular
from genwerk.core.html import document, player
from genwerk.core.printable import count, printable

KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".txt": "text/plain",
}
"""Files that are shown, by what they end in."""
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
"""What the page may load: nothing but what it holds."""
NEAREST = "nearest"
"""The pictures of nearest pairs, which stand with the figures of memorisation."""
CORNER = 117
"""Side in pixels of the corner of a sheet of samples that stands beside a name: two by two where they are small."""


def page(comparison: Comparison, folder: Path) -> str:
    """The whole page; pictures are read from ``folder``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def shown(value: Any) -> Any:
        return value if hasattr(value, "__html__") else printable(str(value), keep="")

    here = Environment(
        loader=PackageLoader("genwerk.comparison"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    here.globals.update(tables=tables, digits=digits, Section=Section)
    title = f"{count(len(comparison.contestants), 'model')} compared on {comparison.source}"
    body = here.get_template("report.html").render(title=title, **_context(comparison, folder))
    style = here.get_template("report.css").render()
    return document(title, body, head=f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">', style=style)


def _context(comparison: Comparison, folder: Path) -> dict[str, Any]:
    answers, every = tables.answers(comparison), columns(comparison)
    scales = {column.key: scale(column) for column in every}
    colours = {each: charts.colour(i) for i, each in enumerate(comparison.contestants)}

    def drawn(column: Column, contestant: str) -> Any:
        standing = column.of(contestant)
        return _markup("" if standing is None else strip(standing, scales[column.key], colours[contestant]))

    able = {ability for run in comparison.measured for ability in run.abilities}
    near = dict.fromkeys(kind for run in comparison.measured for kind in run.pictures if kind.startswith(NEAREST))
    quality = answers[0].columns[-1] if answers[0].columns else None
    paths = [path for run in comparison.measured for path in run.pictures.values()]
    return {
        "comparison": comparison,
        "facts": list(facts(comparison)),
        "answers": answers,
        "reading": reading(comparison),
        "colours": colours,
        "corners": {each: _corner(comparison, each, folder) for each in comparison.contestants},
        "failures": {each: sum(f.contestant == each for f in comparison.failed) for each in comparison.contestants},
        "strip": drawn,
        "histograms": {who: _markup(svg) for who, svg in histograms(comparison, colours).items()},
        "sweeps": [_drawn(chart) for p in curves.PAIRS if (chart := charts.quality_against_variety(comparison, p))],
        "swept": curves.table(comparison),
        "judged": curves.sentences(comparison),
        "quality": _drawn(charts.quality_against_time(comparison, quality)),
        "growth": [_drawn(chart) for of in ("batch", "size") if (chart := charts.growth(comparison, of))],
        "sections": {section: own for section in Section if (own := [c for c in every if c.about.section is section])},
        "common": common,
        "conditions": conditions,
        "abilities": {name: ability.phrase for name, ability in ABILITIES.items() if name in able},
        "pictures": list(_pictures(comparison, folder)),
        "pictures_are": "Texts" if all(path.endswith(".txt") for path in paths) else "Pictures",
        "nearest": [each for kind in near for each in _shown(comparison, folder, kind)],
        "notes": _notes(comparison),
    }


def common(column: Column) -> dict[str, str]:
    """Floor and noise of a figure where they are the same for all, which then are said once."""
    found = {}
    for name in ("floor", "noise"):
        texts = {digits.value(getattr(each, name)) for each in column.standings}
        if len(texts) == 1 and texts != {digits.NONE}:
            found[name] = texts.pop()
    return found


def conditions(column: Column) -> list[tuple[str, str]]:
    """How a figure was measured, with the contestants of whom that is said; nobody where it is said of all."""
    said: dict[str, list[str]] = {}
    for each in column.standings:
        for note in each.notes:
            said.setdefault(note, []).append(each.contestant)
    return [("" if len(who) == len(column.standings) else ", ".join(who), note) for note, who in said.items()]


def _notes(comparison: Comparison) -> list[tuple[str, str]]:
    """What was left out of the measurements and why, with the contestants of whom that is said."""
    said: dict[str, dict[str, None]] = {}
    for run in comparison.measured:
        for report in (run.report, run.efficiency):
            for note in report.notes:
                said.setdefault(note, {})[run.contestant] = None
    return [(", ".join(who), note) for note, who in said.items()]


# --- charts, pictures and sounds --------------------------------------------------------------------------------------


def _markup(html: str) -> Any:
    from markupsafe import Markup

    return Markup(html)


def _drawn(chart: charts.Chart | None) -> dict[str, Any] | None:
    return None if chart is None else {"svg": _markup(chart.svg), "caption": chart.caption}


def _pictures(comparison: Comparison, folder: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What is shown, with the pictures or sounds side by side: of one run a contestant, samples beside real ones."""
    kinds = dict.fromkeys(what for run in comparison.measured for what in run.pictures)
    for what in kinds:
        if what.startswith(NEAREST):
            continue
        real = comparison.pictures.get(what.replace("samples", "real", 1))
        beside = [_figure(folder, real, "Held-out examples")] if real and what.startswith("samples") else []
        yield what, [*beside, *_shown(comparison, folder, what)]


def _shown(comparison: Comparison, folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """What the first run of each contestant shows that has pictures or sounds of the kind."""
    for contestant in comparison.contestants:
        run = next((run for run in comparison.of(contestant) if kind in run.pictures), None)
        if run is not None:
            shows = f"{kind.capitalize()} of {contestant}, seed {run.seed}"
            yield _figure(folder, run.pictures[kind], shows)


def _figure(folder: Path, path: str, shows: str) -> dict[str, Any]:
    """A picture or sound as HTML, or in its place why there is none."""
    try:
        content, kind = _read(folder, path)
    except BadFile as error:
        return {"html": str(error), "shows": shows}
    return {"html": _markup(player(kind, content, shows)), "shows": shows}


def _read(folder: Path, path: str) -> tuple[bytes, str]:
    """A file of the report's folder and its MIME type; a BadFile where it is none of these."""
    file = (folder / path).resolve()
    if not file.is_relative_to(folder.resolve()) or file.suffix.lower() not in KINDS:
        raise BadFile(f"{path} is no picture, sound or text of the report's folder")
    with open_regular(file) as opened:
        return opened.read(), KINDS[file.suffix.lower()]


def _corner(comparison: Comparison, contestant: str, folder: Path) -> Any:
    """The first samples of a contestant, or their whole picture, small; nothing where there is none."""
    from PIL import Image

    for run in comparison.of(contestant):
        try:
            content, kind = _read(folder, run.pictures.get("samples", ""))
            if not kind.startswith("image/"):
                continue
            with Image.open(BytesIO(content)) as sheet:
                side, written = min(CORNER, *sheet.size), BytesIO()
                corner = sheet.crop((0, 0, side, side)) if comparison.kind == "image" else sheet.resize((side, side))
                corner.save(written, "PNG", optimize=True)
        except (BadFile, OSError):
            continue
        return _markup(player("image/png", written.getvalue(), f"The first samples of {contestant}"))
    return ""
