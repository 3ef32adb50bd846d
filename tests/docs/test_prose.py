"""The prose of the documentation: proselint finds nothing, no line is long, and what is built asks no other host."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT

ENGLISH = [page for page in PAGES if "zh" not in page.parts and ".zh" not in page.name]
WRITTEN = [*PAGES, *sorted((ROOT / "benchmarks").glob("*.md")), *sorted((ROOT / "docs" / "lessons").rglob("*.md"))]
UNSUITED = ("typography", "skunked_terms")
"""Checks of proselint that do not suit technical text: straight quotes and three dots are what Markdown has."""
LONGEST = 120


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The sentences of a page: no code, comments, tables or addresses; a heading ends as a sentence does."""
    text = page.read_text(encoding="utf-8")
    for what in (r"^```.*?^```$", r"<!--.*?-->", r"^\|.*$", r"\$\$.*?\$\$", r"\$[^$\n]*\$"):
        text = re.sub(what, lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", lambda found: "c" * len(found[0]), text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"^(#+ .*)$", r"\1.\n", text, flags=re.MULTILINE)


def test_a_linter_of_prose_finds_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"checks": dict.fromkeys(UNSUITED, False)}))
    for page in ENGLISH:
        place = tmp_path / name(page).replace("/", "-")
        place.write_text(prose(page), encoding="utf-8")
    lint = [sys.executable, "-m", "proselint", "check", "--config", str(config), *map(str, tmp_path.glob("*.md"))]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.strip()]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_no_line_is_long(page: Path) -> None:
    """But those of tables and pictures, which Markdown cannot break."""
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    long = [n for n, line in lines if len(line) > LONGEST and not line.lstrip().startswith(("|", "!["))]
    assert not long, f"{name(page)}: lines {long}"
