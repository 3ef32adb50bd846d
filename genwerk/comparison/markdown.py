"""A comparison in Markdown, for a README or the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from genwerk.comparison import curves
from genwerk.comparison.figures import Section
from genwerk.comparison.ranking import columns
from genwerk.comparison.reading import facts, reading
from genwerk.comparison.result import Comparison
from genwerk.comparison.tables import arrow, cells, lecture, unit
from genwerk.core.printable import printable


def markdown(comparison: Comparison) -> str:
    """The lecture's table, what it says, and a table for every figure; paths are relative to the report."""
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"# Comparison on {inline(comparison.source)}"
    yield ""
    yield from (f"* {name}: {inline(text)}" for name, text in facts(comparison))
    yield ""
    yield from _table(*lecture(comparison))
    yield ""
    yield from (f"* For {purpose}: {inline(text)}" for purpose, text in reading(comparison))
    head, swept = curves.table(comparison)
    if swept:
        yield "\n## Quality against variety\n"
        yield from _table(head, swept)
    for section in Section:
        if found := columns(comparison, section):
            yield f"\n## {section.value}"
        for column in found:
            said = " ".join(filter(None, (column.name, arrow(column), f"({unit(column)})" if unit(column) else "")))
            yield f"\n**{inline(said)}** {column.about.meaning}\n".replace(" \n", "\n")
            yield from _table(*cells(column))
    if shown := [
        (f"{m.contestant}, seed {m.seed}: {what}", p) for m in comparison.measured for what, p in m.pictures.items()
    ]:
        yield "\n## Pictures\n"
        real = [(f"data: {what}", path) for what, path in comparison.pictures.items()]
        yield from (f"* [{inline(what)}]({quote(path)})" for what, path in (*real, *shown))
    if comparison.failed:
        yield "\n## Failed\n"
        yield from (f"* {inline(f'{each.contestant}, seed {each.seed}: {each.why}')}" for each in comparison.failed)
    if comparison.notes:
        yield "\n## Notes\n"
        yield from (f"* {inline(note)}" for note in comparison.notes)
    if comparison.command:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", comparison.command)), default=0))
        yield f"\nThe command that repeats it:\n\n{fence}\n{printable(comparison.command, keep='')}\n{fence}"


def inline(text: str) -> str:
    """``text``, which may come from outside, as Markdown on one line that is shown as it stands."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", printable(text, keep=""))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    first, *rest = (" | ".join(map(inline, row)) for row in (head, *rows))
    return [f"| {first} |", "|" + "---|" * len(head), *(f"| {row} |" for row in rest)]
