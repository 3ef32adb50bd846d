"""What can be asked for, as fields of a form, and what was filled in, as the words of a command line.

Nothing here knows a command, a family or an option: fields are the options that the command line offers, and what comes
of them is parsed by it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from genwerk.cli.helping import Section
from genwerk.cli.parsing import JSON, OVERWRITE, PLUGIN, sections
from genwerk.cli.words import flags, negated, plain, typed
from genwerk.commands import command as data
from genwerk.commands.command import Command, Option
from genwerk.core.errors import BadInput
from genwerk.core.marks import Common, File, Program
from genwerk.core.model import Model
from genwerk.studio.offered import offered
from genwerk.studio.places import Root
from genwerk.studio.showing import spoken

HIDDEN = frozenset({PLUGIN.name, JSON.name, OVERWRITE.name, "device", "devices", "tensorboard", "memory"})
"""Options of the terminal and of the machine, which the page decides on."""
OUT = "out"
"""The option of a command that writes a folder of its own; of others, that of the terminal."""
APART = "apart"
"""The page's own setting of a command that writes examples: each is to be a file of its own."""
NAME = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*(\.[a-z0-9_-]+)*")
"""What a setting may be called."""
PAIR = re.compile(r"\s*[:=\uff1a]\s*|\s+")
"""What stands between a name and its value where both are in one line."""
KINDS = {int: "integer", float: "number", bool: "switch", str: "text", Path: "text"}
Values = Mapping[str, Any]
"""What was filled in, by the names of fields: a text, a list of texts, or whether a switch is on."""


def described(name: str, model: Model | None = None) -> dict[str, Any]:
    """A command and its fields, with the options of the ``model`` that it is to be used with."""
    command = offered(name)
    return {
        "name": name,
        "group": command.group,
        "summary": spoken(data.summary(command)),
        "help": spoken(inspect.getdoc(command) or ""),
        "needs": sorted(command.needs),
        "opens": data.opens(command),
        "output": command.output,
        "sections": forms(sections(command, model), without=() if makes_folder(command) else (OUT,)),
    }


def makes_folder(command: type[Command]) -> bool:
    """Whether a command writes a folder of its own, whose name is asked for."""
    return any(option.name == OUT for option in data.options(command))


def forms(parts: Iterable[Section], without: Collection[str] = ()) -> list[dict[str, Any]]:
    """Sections of options as sections of fields; those without any are left out."""
    found, left_out = [], {*HIDDEN, *without}
    for part in parts:
        fields = [
            field(each)
            for each in part.options
            if each.name not in left_out and typed(_plain(each.type)[0]) and not _runs(each)
        ]
        if fields:
            found.append({"title": part.title, "about": spoken(part.about), "fields": fields})
    return found


def field(option: Option) -> dict[str, Any]:
    """An option as a field."""
    kind, optional = _plain(option.type)
    many = get_origin(kind) in (tuple, dict)
    of = get_args(kind)[0] if many else kind
    choices = [str(each) for each in get_args(of)] if get_origin(of) is Literal else []
    least = max((each.least for each in option.beside if isinstance(each, data.AtLeast)), default=None)
    return {
        "name": option.name,
        "flag": flags(option)[-1] if flags(option) else option.name,
        "type": "many" if many else "choice" if choices else KINDS.get(of, "text"),
        "of": ("choice" if choices else KINDS.get(of, "text")) if many else None,
        "choices": choices,
        "value": _default(option, many),
        "required": option.default is MISSING,
        "optional": optional,
        "help": spoken(option.help),
        "least": least,
        "positional": option.has(data.Positional),
        "run": option.has(data.Opens),
        "common": option.has(Common),
        "file": option.has(File) or (of is Path and not option.has(data.Opens) and option.name != OUT),
    }


def _runs(option: Option) -> bool:
    """Whether an option takes nothing but code to be run."""
    return option.has(Program) and not option.has(data.Positional)


def _plain(kind: Any) -> tuple[Any, bool]:
    """The type ``kind`` without None, and whether None belonged to it."""
    if get_origin(kind) in (Union, UnionType):
        others = [each for each in get_args(kind) if each is not NoneType]
        return others[0], len(others) < len(get_args(kind))
    return kind, False


def _default(option: Option, many: bool) -> Any:
    value = option.default
    if value is MISSING or value is None:
        return None
    if isinstance(value, Mapping):
        return [f"{key} {plain(each)}" for key, each in value.items()]
    if many:
        return [plain(each) for each in value]
    return value if isinstance(value, bool) else plain(value)


def words(options: Iterable[Option], values: Values, first: Sequence[str] = ()) -> list[str]:
    """The words of a command line that begins with ``first`` and asks for ``values``."""
    known = {option.name: option for option in options}
    places, named = dict[str, list[str]](), list[str]()
    for name, value in values.items():
        if name not in known or name in HIDDEN or _runs(known[name]):
            raise BadInput(f"there is no setting ‹{name}› here")
        option, texts = known[name], _texts(name, value)
        if get_origin(_plain(option.type)[0]) is dict:
            texts = [word for text in texts for word in PAIR.split(text.strip(), maxsplit=1)]
        if option.has(Program) and not all("." not in text and NAME.fullmatch(text) for text in texts):
            raise BadInput(f"‹{name}› names code to be run; the page takes names of the list alone")
        if option.has(data.Positional):
            places[name] = texts
        elif option.type is bool:
            named.append(flags(option)[-1] if texts == ["yes"] else negated(flags(option)[-1]))
        elif texts:
            for each in [[text] for text in texts] if _joins(texts) else [texts]:
                named += _named(flags(option)[-1], each)
    behind = [text for option in known.values() if option.name in places for text in places[option.name]]
    return [*first, *named, *(["--", *behind] if behind else [])]


def _joins(texts: Sequence[str]) -> bool:
    """Whether several values must be given one by one, for one of them looks like the name of an option."""
    return any(text.startswith("-") for text in texts)


def _named(flag: str, texts: Sequence[str]) -> list[str]:
    return [f"{flag}={texts[0]}"] if len(texts) == 1 else [flag, *texts]


def settings_words(recipe: str, values: Values, out: str) -> list[str]:
    """The words of a training; which settings there are hangs on the data, so that the command line says so itself."""
    if not NAME.fullmatch(recipe):
        raise BadInput(f"there is no recipe {recipe!r}")
    found = ["train", recipe]
    for name, value in values.items():
        if not NAME.fullmatch(name) or name in HIDDEN or name == "recipe":
            raise BadInput(f"there is no setting ‹{name}› here")
        flag = "--" + name.replace("_", "-")
        texts = _texts(name, value)
        found += [flag if value else negated(flag)] if isinstance(value, bool) else _named(flag, texts) if texts else []
    return [*found, "--out", out]


def training_words(root: Root, values: Values, uploads: Mapping[str, str]) -> list[str]:
    """The words of a training into a run below ``root``, as it was filled in with ``uploads`` in their places."""
    named = root.named(values, {name: Path(path) for name, path in uploads.items()})
    recipe, out = str(named.pop("recipe", "")), str(named.pop("out", ""))
    root.new(out)
    return settings_words(recipe, named, out)


def _texts(name: str, value: Any) -> list[str]:
    """What was filled in, as words; a BadInput where it is nothing that a form gives."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if value is None:
        return ["none"]
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(each, (str, int, float)) for each in texts) or any("\0" in str(each) for each in texts):
        raise BadInput(f"‹{name}› is not a text or a list of texts")
    return [str(each) for each in texts]


def options_of(command: type[Command], model: Model | None) -> Iterator[Option]:
    """All options of a command with a ``model``."""
    return (option for part in sections(command, model) for option in part.options)
