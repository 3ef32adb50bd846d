"""The glossary names each word once, and what it says is defined somewhere is defined there."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in GLOSSARY.read_text().splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| word |"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_word_is_defined_where_the_glossary_says(row: list[str]) -> None:
    word, sentence, nearest, place = row
    assert all((word, sentence, nearest))
    found = re.fullmatch(r"`([\w.]+)`", place)
    assert found is not None
    assert pkgutil.resolve_name(found[1]).__doc__


def test_each_word_is_defined_once() -> None:
    words = [word for word, *_ in ROWS]
    assert len(words) == len(set(words))
