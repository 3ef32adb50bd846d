"""Sentences of the server in the language of whoever reads them."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")


def language(wanted: str) -> str:
    """The first language of :data:`LANGUAGES` among those ``wanted``, as a browser's Accept-Language lists them."""
    for part in wanted.split(","):
        name = part.strip().partition(";")[0].partition("-")[0].lower()
        if name in LANGUAGES:
            return name
    return LANGUAGES[0]


def said(sentence: str, language: str) -> str:
    """``sentence`` in a ``language``, where it is known there; else in English."""
    for pattern, words in _known(language):
        if found := pattern.fullmatch(sentence):
            return found.expand(words)
    return sentence


@cache
def _known(name: str) -> list[tuple[re.Pattern[str], str]]:
    """Sentences, as patterns whose groups are what differs, with what is said in their place."""
    path = Path(__file__).parent / "words" / f"server.{name}.json"
    if not path.exists():
        return []
    found: dict[str, str] = json.loads(path.read_text("utf-8"))
    parts = ((re.split(r"\{\w*\}", sentence), words) for sentence, words in found.items())
    return [
        (re.compile("(.+)".join(map(re.escape, part))), re.sub(r"\{(\d)\}", r"\\\1", words)) for part, words in parts
    ]
