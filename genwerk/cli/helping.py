"""Help as text: every command by its group, and the options of one, the few that matter or all."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass
from textwrap import wrap
from typing import NoReturn

from genwerk.cli.progress import say
from genwerk.cli.words import arity, flags, metavar, negated, plain
from genwerk.commands import COMMANDS
from genwerk.commands.command import Option, Positional, summary

BRIEF, FULL = ("-h", "--help"), "--help-all"
LEFT, NARROWEST, WIDEST = 24, 60, 100
"""Columns for the names of options; of a whole line, at least and at most."""
MOST = 10
"""Options that a short help shows."""
FIRST = (
    *("recipes", "data.source", "input", "known", "prompt", "prompts", "label", "to", "n", "out"),
    *("train.rounds", "minutes", "lr", "train.batch_size", "resume"),
)
"""Those that it shows in any case, by name: what most people set."""


@dataclass(frozen=True)
class Section:
    """Options that are shown below one heading."""

    title: str
    about: str
    options: tuple[Option, ...]
    few: tuple[Option, ...]
    """Those of them that matter most."""


def asked(given: Sequence[str]) -> bool:
    """Whether the words of a command line ask for help."""
    return any(word in (*BRIEF, FULL) for word in given)


def tell(text: str) -> NoReturn:
    """Print ``text``, and end the program."""
    say(text, whole=True)
    sys.exit(0)


def overview() -> str:
    """Every command with what it does, by group."""
    width, lines = (
        _width(),
        ["usage: genwerk COMMAND ...", "", "Every family of deep generative model: train, use and measure."],
    )
    groups = dict.fromkeys(command.group for command in COMMANDS.values())
    for group in groups:
        lines += ["", f"{group}:"]
        for name, command in COMMANDS.items():
            if command.group == group:
                lines += _entry(name, _clause(summary(command)), width, left=18)
    ending = (
        "`genwerk COMMAND --help` shows the options of one, and `genwerk completion --help` how a shell completes them."
    )
    return "\n".join([*lines, "", *_wrapped(ending, width)])


def _clause(text: str) -> str:
    """The first clause of a sentence, which says the most of it."""
    return text.partition(": ")[0].partition(" (")[0].rstrip(".")


def helped(prog: str, about: str, sections: Sequence[Section], given: Sequence[str], note: str = "") -> str:
    """The help of one command: ``about``, then the options in ``sections``; all of them if ``given`` says so."""
    width, full = _width(), FULL in given
    offered = [option for section in sections for option in section.options]
    places = [option for option in offered if option.has(Positional)]
    usage = [metavar(o) if o.default is MISSING else f"[{metavar(o)}]" for o in places]
    usage += [f"{flags(o)[-1]} {metavar(o)}" for o in offered if o.default is MISSING and o not in places]
    lines = _wrapped(" ".join(["usage:", prog, *usage, "[options]"]), width, subsequent_indent=" " * 8)
    for paragraph in (*about.split("\n\n"), note):
        lines += ["", *_wrapped(" ".join(paragraph.split()), width)] if paragraph else []
    brief = {id(option) for option in first(sections)}
    for section in sections:
        shown = section.options if full else tuple(option for option in section.few if id(option) in brief)
        if shown:
            heading = f"{section.title}: {section.about}" if full and section.about else f"{section.title}:"
            lines += ["", *_wrapped(heading, width)]
            lines += [line for option in shown for line in _option(option, width, full)]
    hidden = sum(len(section.options) for section in sections) - len(brief)
    if hidden and not full:
        lines += [
            "",
            *_wrapped(
                f"These are the options that matter most; `{FULL}` in place of `--help` shows {hidden} more.", width
            ),
        ]
    return "\n".join(lines)


def first(sections: Sequence[Section]) -> list[Option]:
    """The options of a short help: places, what most people set, what the model has of its own, then the others."""
    few = [(section.title, option) for section in sections for option in section.few]

    def rank(each: tuple[str, Option]) -> tuple[int, int]:
        title, option = each
        if option.has(Positional) or option.default is MISSING:
            return 0, 0
        if option.name in FIRST:
            return 1, FIRST.index(option.name)
        return (2 if title in ("model", "sampling") else 3), 0

    return [option for _, option in sorted(few, key=rank)[:MOST]]


def _option(option: Option, width: int, full: bool) -> Iterator[str]:
    names = flags(option) or [metavar(option)]
    if not full and len(names) > 1:
        names = [name for name in names if not name.startswith("--")] or names[:1]
    if option.type is bool and option.default:
        names += [negated(names[-1])]
    value = "" if option.has(Positional) or arity(option.type) == 0 else f" {metavar(option)}"
    default = option.default
    told = any(default is each for each in (MISSING, None, False)) or default in ("", ()) or "default:" in option.help
    yield from _entry(", ".join(names) + value, _typed(option.help) + ("" if told else f" [{plain(default)}]"), width)


def _typed(text: str) -> str:
    """``text`` with none, as it is typed, for the value that Python calls None."""
    return re.sub(r"\bNone\b", "none", text)


def _entry(name: str, text: str, width: int, left: int = LEFT) -> Iterator[str]:
    """``name``, and ``text`` to its right, below it where it is long."""
    first, *rest = _wrapped(text, width - left - 2) or [""]
    if len(name) + 2 > left:
        yield from _wrapped(f"  {name}", width, subsequent_indent="      ")
        rest = [first, *rest]
    else:
        yield f"  {name:{left - 2}}  {first}".rstrip()
    yield from (f"{'':{left + 2}}{line}" for line in rest)


def _wrapped(text: str, width: int, subsequent_indent: str = "") -> list[str]:
    return wrap(text, width, subsequent_indent=subsequent_indent, break_on_hyphens=False)


def _width() -> int:
    return max(NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, WIDEST))
