"""Sentences of the server, and of the library below it, in the language of whoever reads them.

A translation is of a whole sentence, whose values stand in braces: "there is no file {}" and "没有文件 {1}", or "{}"
where their order is the same. A value that is words itself ("a finite number", "the disk is full") is translated too;
``{1w}`` is one that may also be a single word, such as "images", and no name that a user chose; ``{1s}`` is names of
settings, ``{1n}`` other names, as "a, b and 2 more". Settings, and those between angle quotes, become what the page
calls them. What is not known stays in English.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape, unescape
from pathlib import Path
from typing import Any

from genwerk.core.errors import naming

LANGUAGES = ("en", "zh")
HERE = Path(__file__).parent
VALUE = re.compile(r"\{(\d*)([wsn]?)\}")
NAMED = re.compile(r" ?‹([^‹›]+)›(?: (?![\w.-])|(?= ))?", re.ASCII)
SENTENCES = {"error", "notes", "said", "skipped", "spec", "stands", "summary", "text", "why"}
"""Names under which an answer of the server has sentences that somebody reads."""
DESCRIBING = {"", "figure", "verdict", "what it is", "what it shows", "what they are"}
"""Columns whose cells are words of ours, and never a text or a name of a user."""
OPTIMISED = re.compile(r" runs? of [\d,]+ evaluations$")
"""How a column of such cells ends that says of which optimisation they are."""
COMPARED = "contestant"
"""The first column of a table that compares: the other cells are values with what is said of them."""
MEASURED = re.compile(r"([≤±\d., e+-]*\d) ((?:nats|bits|per|of) ?[a-zA-Z\d, ]*)")
"""A cell that is a value in a unit of words."""
QUOTED = re.compile(r"“([a-z][\w .-]*)”", re.ASCII)
"""A setting between quotes."""
LISTS = {"said", "spec"}
"""Those of them that list what data are."""
PARTS = re.compile(r", (?![^()]*\))")
"""Between what is listed, but for what is in brackets."""
LISTED = re.compile(", | and ")
"""Between names that are listed."""
TAG = re.compile(r"(<[^>]*>)")
"""Where a page of ours is cut: there is no ">" in its attributes."""
READ_OUT = re.compile(r'(?<= )(alt|aria-label)="([^"]*)"')
"""Attributes that are read out."""
AS_THEY_ARE = {
    "<code>": ("</code>", 1),
    "<style>": ("</style>", 1),
    '<div class="texts">': ("</div>", 1),
    '<span class="who">': ("</span>", 2),
}
"""Elements of a page that hold no sentence of ours but commands, styles, samples or a name with its dot: how they
begin, and the how manieth of which ends them."""
NUMBER = re.compile(r"[+-]?\d[\d.,e+-]*(?<![.,])")
SHORTEST = 12
"""Weight of a template below which it is only that of a text whose values are all numbers."""
DEEPEST = 3
"""How many times a value that is words may hold another one."""


def language(wanted: str) -> str:
    """The first language of :data:`LANGUAGES` among those ``wanted``, as a browser's Accept-Language lists them."""
    for part in wanted.split(","):
        name = part.strip().partition(";")[0].partition("-")[0].lower()
        if name in LANGUAGES:
            return name
    return LANGUAGES[0]


def said(sentence: str, language: str) -> str:
    """``sentence`` in a ``language``, where it is known there; else in English."""
    words = _known(language)
    return sentence if words is None else words.said(sentence) or sentence


def worded(answer: Any, language: str) -> Any:
    """An answer of the server, plain values, with its sentences in a ``language``; what is a user's own stays."""
    if _known(language) is None:
        return answer
    if isinstance(answer, Mapping):
        told = {key: _worded(key, value, language) for key, value in answer.items()}
        return told | (_table(answer, language) if answer.get("type") == "table" else {})
    return [worded(each, language) for each in answer] if isinstance(answer, list) else answer


def page_said(html: str, language: str) -> str:
    """The report of a comparison, a page of ours, in a ``language``; what is not known stays in English."""
    if _reported(language) is None:
        return html
    end, left, made = "", 0, list[str]()
    for i, piece in enumerate(TAG.split(html.replace('<html lang="en">', f'<html lang="{language}">', 1))):
        if left:
            left -= piece == end
        elif i % 2:
            end, left = AS_THEY_ARE.get(piece, ("", 0))
            piece = READ_OUT.sub(lambda found: f'{found[1]}="{_reading(found[2], language)}"', piece)
        else:
            piece = _reading(piece, language)
        made.append(piece)
    return "".join(made)


def _reading(text: str, language: str) -> str:
    """What a page says between two tags, or in an attribute."""
    words, clauses = _reported(language), _clauses(language)
    plain = " ".join(unescape(text).split())
    if words is None or clauses is None or not re.search("[A-Za-z]{2}", plain):
        return text

    def known(part: str) -> str | None:
        counted = _words(language, "clauses", "report")
        literals, numbers = tuple(NUMBER.split(part)), NUMBER.findall(part)
        same = (each for each in counted.templates if numbers and each.literals == literals) if counted else ()
        exact = next((words.filled(each.words, numbers, 0) for each in same), None)
        return exact or words.said(part) or words.single.get(part)

    def part(one: str) -> str:
        listed = [(known(each), each) for each in PARTS.split(one)]
        if not all(new for new, _ in listed) and (whole := known(one)) is not None:
            return whole
        if not any(new for new, _ in listed):
            return clauses.joined(one)
        return words.single[","].join(new or clauses.joined(old) for new, old in listed)

    def sentence(one: str) -> str:
        begins, parts = one[:1].isupper(), one.split("; ")
        if begins and (found := known(one)) is not None:
            return found
        if begins and (line := _line(one, language)) != one:
            return line
        told = words.single[";"].join(map(part, parts)) if not begins or "," in one or len(parts) > 1 else one
        return told if told != one else said(one, language)

    found = words.whole.get(plain) or words.single.get(plain)
    if found is None and not plain.endswith(":"):
        told = ((one, sentence(one)) for one in re.split(r"(?<=\.) ", plain))
        found = "".join(new if new != old else f" {old} " for old, new in told).strip()
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return before + escape(found or plain) + after


def _worded(key: str, value: Any, language: str) -> Any:
    if key == "report" and isinstance(value, Mapping):
        return worded(value, language) | _table(value, language)
    if key in SENTENCES and isinstance(value, str):
        words = _known(language)
        return words.joined(value) if key in LISTS and words else _line(value, language)
    if key in SENTENCES and isinstance(value, list):
        return [_line(each, language) if isinstance(each, str) else worded(each, language) for each in value]
    return worded(value, language)


def _table(table: Mapping[str, Any], language: str) -> dict[str, Any]:
    """A table with its head, and what it says of figures, in a ``language``."""
    columns, rows = table.get("columns"), table.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return {}
    heads = [name if isinstance(name, str) else "" for name in columns]
    ours = {i for i, name in enumerate(heads) if name in DESCRIBING or OPTIMISED.search(name)}
    compared = heads[:1] == [COMPARED]

    def cell(place: int, text: Any) -> Any:
        if not isinstance(text, str):
            return text
        if place in ours:
            return _described(text, language)
        if compared and place:
            return _compared(text, language)
        return _measured(text, language)

    return {
        "columns": [said(name, language) if isinstance(name, str) else name for name in columns],
        "rows": [[cell(i, each) for i, each in enumerate(row)] if isinstance(row, list) else row for row in rows],
    }


def _described(text: str, language: str) -> str:
    """A cell that is words of ours: a sentence as the terminal says it, or one word for each of several kinds."""
    from genwerk.studio.showing import spoken

    plain = text.strip()
    words = _known(language)
    if words and plain and all(word in words.single for word in plain.split()):
        return words.single["and"].join(words.single[word] for word in plain.split())
    return next((told for form in (plain, spoken(plain)) if (told := said(form, language)) != form), text)


def _measured(text: str, language: str) -> str:
    """A value in a unit of words; any other text as it is."""
    units, found = _words(language, "units"), MEASURED.fullmatch(text)
    unit = units and found and (units.said(found[2]) or units.single.get(found[2]))
    return said(text, language) if not found or not unit else f"{found[1]}{unit}"


def _compared(text: str, language: str) -> str:
    """A value with what is said of it between semicolons, or a verdict."""
    words = _words(language, "cells")
    if words is None or (whole := said(text, language)) != text:
        return text if words is None else whole
    parts = text.split("; ")
    return words.single[";"].join(words.said(part) or words.single.get(part) or said(part, language) for part in parts)


def _line(line: str, language: str) -> str:
    """A sentence, or one after what it is about: the name of a file or the figures that have it in common."""
    words, clauses = _known(language), _clauses(language)
    if words is None or clauses is None or (whole := words.said(line) or words.listed(line)) is not None:
        return (words and whole) or line
    if ": " not in line:
        return line
    about, _, why = line.partition(": ")
    names = words.single["and"].join(words.said(name) or name for name in about.split(", "))
    end = words.single["."] if why.endswith(".") else ""
    told = words.said(why) or words.single[";"].join(map(clauses.joined, why.removesuffix(".").split("; "))) + end
    return f"{names}{words.single[':']}{told}"


@dataclass(frozen=True)
class _Template:
    """A sentence with values, and its translation."""

    literals: tuple[str, ...]
    """What stands before, between and after the values."""
    words: str

    @classmethod
    def of(cls, sentence: str, words: str) -> _Template:
        return cls(tuple(re.split(r"\{\w*\}", sentence)), words)

    @property
    def weight(self) -> int:
        """How much tells it apart from other sentences; how they begin counts twice."""
        return sum(map(len, self.literals)) + len(self.literals[0])

    def values(self, sentence: str) -> list[str] | None:
        """The values in ``sentence``, each as short as can be; None where it is another sentence."""
        first, *between = self.literals
        if not between:
            return [] if sentence == first else None
        *between, last = between
        place, end = len(first), len(sentence) - len(last)
        if place > end or not sentence.startswith(first) or not sentence.endswith(last):
            return None
        found = []
        for literal in between:
            if (there := sentence.find(literal or "; ", place, end)) < 0:
                if literal:
                    return None
                there = end  # of two values side by side, the second is what a sentence may end with
            found.append(sentence[place:there])
            place = there + len(literal)
        return [*found, sentence[place:end]]


@dataclass(frozen=True)
class _Words:
    """All that is known in a language."""

    whole: Mapping[str, str]
    """Sentences without a value."""
    templates: Sequence[_Template]
    """The others, those first that say most."""
    single: Mapping[str, str]
    """Words that a value may be."""
    settings: Mapping[str, str]
    """What the page calls settings."""

    def said(self, sentence: str, depth: int = 0) -> str | None:
        """A sentence, or a value of several words, in this language; None where it is not known."""
        known = self.whole.get(sentence) or (self.settings.get(sentence) if " " in sentence else None)
        if known is not None:
            return self.named(known)
        for template in self.templates:
            if (values := template.values(sentence)) is not None:
                return self.filled(template.words, values, depth)
        return None

    def listed(self, text: str, depth: int = 0) -> str | None:
        """What is listed between commas, in this language; None where a part of it is not known."""
        parts = PARTS.split(text)
        known = [self.whole.get(part) or self.single.get(part) or self.said(part, depth) for part in parts]
        return self.single[","].join(filter(None, known)) if len(parts) > 1 and all(known) else None

    def joined(self, clause: str, depth: int = 0) -> str:
        """A clause, or each part of it between commas, that is known."""
        parts = PARTS.split(clause)
        known = [self.single.get(part) or self.said(part, depth) for part in parts]
        whole = None if all(known) else self.said(clause, depth)
        if whole is not None or not any(known):
            return whole or clause
        return self.single[","].join(found or part for found, part in zip(known, parts, strict=True))

    def filled(self, words: str, values: Sequence[str], depth: int) -> str:
        numbers = iter(range(1, len(values) + 1))

        def value(found: re.Match[str]) -> str:
            one = values[int(found[1] or next(numbers)) - 1]
            if depth >= DEEPEST:
                return one
            if found[2] == "s":
                return self.single["and"].join(f"“{self.setting(name)}”" for name in one.split(", "))
            if found[2] == "n":
                return self.single["and"].join(self.said(name) or name for name in LISTED.split(one))
            if found[2]:
                return self.joined(one, depth + 1)
            if " " not in one.strip():
                return one
            return self.whole.get(one) or self.listed(one, depth + 1) or self.said(one, depth + 1) or one

        return self.named(VALUE.sub(value, words))

    def named(self, sentence: str) -> str:
        """``sentence`` with settings called what the page calls them."""
        called = NAMED.sub(lambda found: f"“{self.setting(found[1])}”", sentence)

        def quoted(found: re.Match[str]) -> str:
            key = "field:" + found[1].replace(" ", "_")
            return f"“{self.settings.get(key, found[1])}”"

        return QUOTED.sub(quoted, called)

    def setting(self, name: str) -> str:
        plain = name.partition("=")[0]
        last = re.sub("[ -]", "_", plain.rpartition(".")[2])
        spelt = last.replace("_", " ")
        keys = (f"field:{plain}", f"field:{last}", spelt[:1].upper() + spelt[1:])
        return next((self.settings[key] for key in keys if key in self.settings), spelt)


def _known(name: str) -> _Words | None:
    """What is known in the language ``name``; None where nothing is."""
    return _words(name, "server", "notes", "errors")


@cache
def _reported(name: str) -> _Words | None:
    """What a report says, with the names of figures and what is said of them."""
    words, known, cells = _words(name, "report"), _known(name), _words(name, "cells")
    if words is None or known is None or cells is None:
        return None
    return replace(
        words,
        whole={**known.whole, **cells.whole, **words.whole},
        templates=[each for each in words.templates if each.weight >= SHORTEST],
        single={**cells.single, **words.single},
    )


def _clauses(name: str) -> _Words | None:
    """Parts of what is said of a figure."""
    return _words(name, "clauses")


@cache
def _words(name: str, *files: str) -> _Words | None:
    """Sentences of these files and words that their values may be, in the language ``name``."""
    if not (HERE / "words" / f"phrases.{name}.json").exists():
        return None
    sentences = dict[str, str]()
    for file in files:
        sentences |= _read(HERE / "words" / f"{file}.{name}.json")
    phrases = _read(HERE / "words" / f"phrases.{name}.json")
    single = {phrase: words for phrase, words in phrases.items() if " " not in phrase}
    whole, templates = {}, []
    for sentence, words in (sentences | {p: w for p, w in phrases.items() if p not in single}).items():
        for form in dict.fromkeys((sentence, *_forms(sentence))):
            if re.search(r"\{\w*\}", form):
                templates.append(_Template.of(form, words))
            else:
                whole[form] = words
    static = HERE / "static" / "words"
    settings = _read(static / f"{name}.json") | _read(static / f"{name}-help.json")
    return _Words(whole, sorted(templates, key=lambda each: (-each.weight, -len(each.literals))), single, settings)


def _forms(sentence: str) -> tuple[str, ...]:
    """A sentence as a job says it, and as an answer of the server does."""
    from genwerk.studio.showing import spoken

    as_told = spoken(sentence)
    return as_told, re.sub(r"`(\{\})[^`]*`", r"“\1”", as_told), naming(sentence, str)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
