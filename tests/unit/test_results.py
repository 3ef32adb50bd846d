"""Figures stand once, in benchmarks/results: pages hold what the script writes, and quote figures as they are."""

from __future__ import annotations

import importlib.util
import re
from decimal import Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("results_page", ROOT / "benchmarks" / "results_page.py")
assert spec is not None
assert spec.loader is not None
results_page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(results_page)

TABLES = results_page.load()
FIGURES = results_page.figures(TABLES)
QUOTING = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")})
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def test_every_page_is_what_the_script_writes() -> None:
    stale = [path.name for path, text in results_page.pages(TABLES) if path.read_text() != text]
    assert not stale, f"run python benchmarks/results_page.py: {stale} differ"


def test_every_table_stands_on_one_page() -> None:
    pages = {path.stem: path.read_text() for path in (ROOT / "benchmarks").glob("*.md")}
    for name, table in TABLES.items():
        holding = [page for page, text in pages.items() if f"<!-- table: {name} -->" in text]
        assert holding == [table["page"].split(".md")[0]], name


@pytest.mark.parametrize("name", TABLES)
def test_a_table_says_how_its_figures_were_measured(name: str) -> None:
    table = TABLES[name]
    assert table["id"] == name
    assert table["hardware"]
    assert table["title"]
    assert table["command"] if "command" in table else table["protocol"]
    assert all(about.get("better", "lower") in ("lower", "higher") for about in table["columns"].values())
    spreads = [figure for row in table["rows"] for figure in row["figures"].values() if "spread" in figure]
    exact = [figure for figure in spreads if figure.get("value") is not None]
    assert not exact or table.get("spread"), "a spread without its kind"
    path, _, anchor = table["page"].partition("#")
    headings = [line.lstrip("# ") for line in (ROOT / "benchmarks" / path).read_text().splitlines() if line[:1] == "#"]
    assert anchor in map(results_page.anchor, headings)


def test_ids_are_used_once() -> None:
    assert len(FIGURES) == sum(len(row["figures"]) for table in TABLES.values() for row in table["rows"])


def same(number: Decimal, said: str) -> bool:
    """Whether ``said`` is the number, rounded to the digits that it has after the point."""
    value = Decimal(said.replace(",", ""))
    return abs(number - value) <= Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2


def quotes(text: str, figure: dict[str, object]) -> bool:
    """Whether a page's words for a figure are its value, and its spread where they give one."""
    known = [figure["value"]] if figure.get("value") is not None else []
    known += figure.get("each", [])  # type: ignore[arg-type]
    spread = figure.get("spread", [])
    known += spread if isinstance(spread, list) else [spread]
    found = NUMBER.findall(text)
    return bool(found) and all(same(*each) for each in zip(known, found, strict=False))


@pytest.mark.parametrize("path", QUOTING, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_quote_figures_as_they_were_measured(path: Path) -> None:
    for name, text in results_page.FIGURE.findall(path.read_text()):
        assert name in FIGURES, f"{path.name} quotes {name}, which benchmarks/results does not have"
        assert quotes(text, FIGURES[name]), f"{path.name} gives {text} for {name}: {results_page.shown(FIGURES[name])}"


def test_a_quote_is_refused_where_a_digit_differs() -> None:
    figure = {"value": Decimal("88.45"), "spread": Decimal("0.25")}
    assert all(quotes(text, figure) for text in ("88.45", "88.45 ± 0.25 nats", "88.4", "88"))
    assert not any(quotes(text, figure) for text in ("88.46", "88.45 ± 0.26", "89", "words"))
    assert quotes("18,500 to 20,300", {"value": None, "spread": [Decimal(18500), Decimal(20300)]})
