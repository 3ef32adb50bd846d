"""Words of a command line as values of options: which word belongs to which option, and what type it is to be."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from genwerk.commands import command as data
from genwerk.commands.command import Option
from genwerk.core.component import Component
from genwerk.core.errors import BadInput, BadSetting, attributed, check_number
from genwerk.core.near import meant

SHORTHANDS = {
    "--data": "--data.source",
    "--to": "--data.to",
    "--rounds": "--train.rounds",
    "--batch-size": "--train.batch-size",
    "--seed": "--train.seed",
}
"""Short names of the settings that are typed most."""

NUMBER = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)
"""How a negative number begins."""


# --- what there is ----------------------------------------------------------------------------------------------------


def of(settings: Any) -> Iterator[Option]:
    """The options of a dataclass of settings, whose values are the defaults."""
    kind: Any = type(settings)
    return (replace(option, default=getattr(settings, option.name)) for option in data.options(kind))


def flat(options: Iterable[Option], within: str = "") -> Iterator[Option]:
    """``options``, and in place of those that are dataclasses themselves the options of these, by dotted names."""
    for option in options:
        value, name = option.default, within + option.name
        if isinstance(value, Component):
            yield replace(option, name=name, type=Literal[tuple(value.kinds)], default=value.kind)
        if is_dataclass(value) and not isinstance(value, type):
            yield from flat(of(value), f"{name}.")
        elif isinstance(value, Mapping) and value:
            kind = get_args(option.type)[1]
            yield from flat(
                (replace(option, name=key, type=kind, default=each) for key, each in value.items()), f"{name}."
            )
        elif typed(option.type):
            yield replace(option, name=name)


def assigned(settings: Any, values: Mapping[str, Any], within: str = "") -> Any:
    """A dataclass or mapping of settings with ``values``, by dotted names, in their places.

    A BadSetting that knows its own name alone is told by the whole one, which begins with ``within``; what a part says
    of its values in its own words is an Untenable.
    """
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        parts.setdefault(head, {})[rest] = value
    of_mapping = isinstance(settings, Mapping)
    found = {
        name: own[""]
        if "" in own
        else assigned(settings[name] if of_mapping else getattr(settings, name), own, f"{within}{name}.")
        for name, own in parts.items()
    }
    for name, value in found.items():
        check_number(within + name, value)
    try:
        return {**settings, **found} if of_mapping else replace(settings, **found)
    except BadSetting as error:
        if "." in error.setting:
            raise
        raise BadSetting(within + error.setting, *error.args[1:]) from None
    except ValueError as error:
        known = found if of_mapping else {f.name: getattr(settings, f.name) for f in fields(settings)} | found
        raise attributed(error, {within + name: value for name, value in known.items()}) from None


def flags(option: Option) -> list[str]:
    """What an option is called on the command line, its whole name last; nothing where it is known by its place."""
    if option.has(data.Positional):
        return []
    name = next((each.name for each in option.beside if isinstance(each, data.Named)), option.name)
    whole = "--" + name.replace("_", "-")
    shorter = [each.name for each in option.beside if isinstance(each, data.Short)]
    shorter = [f"-{name}" if len(name) == 1 else "--" + name.replace("_", "-") for name in shorter]
    return [*dict.fromkeys([*(short for short, name in SHORTHANDS.items() if name == whole), *shorter, whole])]


def negated(flag: str) -> str:
    """What says the opposite of ``flag``: --model.no-conditional."""
    head, dot, last = flag.removeprefix("--").rpartition(".")
    return f"--{head}{dot}no-{last}"


# --- which word belongs to which --------------------------------------------------------------------------------------


@dataclass
class Words:
    """The words of a command line: the values of each option, by its name, and what belongs to none."""

    of: dict[str, list[str]] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    """How each option was typed."""
    rest: list[str] = field(default_factory=list)
    """Words that follow no option."""
    unknown: list[str] = field(default_factory=list)
    """What looks like an option and is none of those expected; the words that follow it are left out."""


def is_flag(word: str) -> bool:
    """Whether ``word`` is the name of an option and no value."""
    return word.startswith("-") and word not in ("-", "--") and not NUMBER.match(word)


def sorted_out(given: Iterable[str], options: Iterable[Option]) -> Words:
    """Which words of ``given`` belong to which of ``options``; a BadInput tells of one given twice or without value."""
    known: dict[str, tuple[Option, str]] = {}
    for option in options:
        for flag in flags(option):
            known[flag] = (option, "yes")
            if option.type is bool:
                known[negated(flag)] = (option, "no")
    found, words = Words(), deque(given)
    while words:
        word = words.popleft()
        if not is_flag(word):
            found.rest += words if word == "--" else [word]
            if word == "--":
                break
            continue
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if name not in known and word[:2] in known:  # -n5
            name, equals, value = word[:2], "=", word[2:]
        if name not in known:
            found.unknown.append(name)
            while not equals and words and not is_flag(words[0]):
                words.popleft()
            continue
        option, there = known[name]
        most = arity(option.type)
        values = [value] if equals else [there] if most == 0 else []
        while not equals and words and len(values) < most and not is_flag(words[0]) and words[0] != "--":
            values.append(words.popleft())
        _take(found, option, name, values)
    return found


def check_switch(word: str, given: Sequence[str], options: Iterable[Option]) -> None:
    """A BadInput where ``word`` of those ``given`` was typed as the value of an option that takes none."""
    before = dict(zip(given[1:], given, strict=False)).get(word, "").replace("_", "-")
    for called in (flags(option)[-1] for option in options if option.type is bool and flags(option)):
        if before in (called, negated(called)):
            no = before == called and word.lower() in ("false", "no", "off", "0")
            raise BadInput(f"{before} takes no value; " + (f"type {negated(called)}" if no else f"leave out {word!r}"))


def _take(found: Words, option: Option, called: str, values: list[str]) -> None:
    """Add ``values`` to those of ``option``, which is given once unless it takes any number of them."""
    most, name = arity(option.type), option.name
    none = not values and not option.default  # which would say nothing
    if len(values) < most < MANY or (most == MANY and none):
        several = f"{most} values" if 1 < most < MANY else "a value"
        raise BadInput(f"{called} lacks {several}{_example(option, called)}")
    if name in found.of and most < MANY:
        was, now = (" ".join(each) for each in (found.of[name], values))
        was, now = (found.called[name], called) if option.type is bool else (was, now)
        raise BadInput(f"{called} is given twice ({was} and {now}); give it once")
    found.of.setdefault(name, []).extend(values)
    found.called[name] = called


def _example(option: Option, called: str) -> str:
    shown = option.default
    if shown is MISSING or shown is None or shown in ("", ()):
        return f"; type it after the name, as in {called} {metavar(option)}"
    return f"; type it after the name, as in {called} {plain(shown)}"


def placed(found: Words, options: Sequence[Option], prog: str) -> None:
    """Give the words of ``found`` that follow no option to those of ``options`` that are known by their place.

    All that are left go to the last of them where that takes any number.
    """
    places = [option for option in options if option.has(data.Positional)]
    last = places[-1] if places and arity(places[-1].type) == MANY else None
    needed = sum(option.default is MISSING for option in places)
    greedy = [
        words for name, words in found.of.items() if any(o.name == name and arity(o.type) == MANY for o in options)
    ]
    while len(found.rest) < needed and greedy and len(greedy[-1]) > 1:
        found.rest.append(greedy[-1].pop())  # --prompt "a ring" RUN
    for option, word in zip(places, found.rest, strict=False):
        found.of[option.name], found.called[option.name] = [word], option.name.upper()
    if last is not None and len(found.rest) > len(places):
        found.of[last.name] += found.rest[len(places) :]
        return
    usage = " ".join([prog, *(metavar(option) for option in places)])
    if len(found.rest) < needed:
        lacking = " and ".join(metavar(option) for option in places[len(found.rest) : needed])
        raise BadInput(f"`{prog}` lacks {lacking}; type {usage} (`{prog} --help` tells more)")
    if len(found.rest) > len(places):
        word = found.rest[len(places)]
        raise BadInput(f"`{prog}` has no place for {word!r}; type {usage}, and settings by name, as in --name value")


# --- what type it is to be --------------------------------------------------------------------------------------------

MANY = 1_000_000
"""Values of an option that takes any number of them."""
WORDS = {int: "a whole number", float: "a number", str: "text", Path: "a path", bool: "yes or no"}


def typed(kind: Any) -> bool:
    """Whether a value of the type ``kind`` can be typed."""
    args = [arg for arg in get_args(kind) if arg not in (NoneType, Ellipsis)]
    if get_origin(kind) is Literal:
        return True
    return all(map(typed, args)) if args else kind in WORDS


def typed_alone(kind: Any) -> bool:
    """Whether only some words are values of the type ``kind``."""
    return get_origin(kind) is Literal


def arity(kind: Any) -> int:
    """The most words that make a value of the type ``kind``."""
    kind, _ = _required(kind)
    args = get_args(kind)
    if get_origin(kind) is tuple:
        return MANY if Ellipsis in args else len(args)
    return MANY if get_origin(kind) is dict else 0 if kind is bool else 1


def _required(kind: Any) -> tuple[Any, bool]:
    """The type ``kind`` without None, and whether None belonged to it."""
    if get_origin(kind) in (Union, UnionType):
        others = [arg for arg in get_args(kind) if arg is not NoneType]
        return others[0], len(others) < len(get_args(kind))
    return kind, False


def value(option: Option, words: Sequence[str], called: str) -> Any:
    """What ``words`` are as a value of ``option``; a BadInput says what is expected instead."""
    return _value(option.type, words, called)


def _value(kind: Any, words: Sequence[str], called: str) -> Any:
    kind, optional = _required(kind)
    args = get_args(kind)
    if optional and [word.lower() for word in words] == ["none"]:
        return None
    if get_origin(kind) is tuple:
        if Ellipsis in args and args[0] in (int, float):  # numbers may be joined by commas
            words = [each for word in words for each in word.split(",") if each]
        kinds = [args[0]] * len(words) if Ellipsis in args else args
        return tuple(_value(each, [word], called) for each, word in zip(kinds, words, strict=True))
    if get_origin(kind) is dict:
        if len(words) % 2:
            raise BadInput(f"{called} is {' '.join(words)!r}; expected a name and {WORDS[args[1]]} for each")
        return {key: _value(args[1], [word], called) for key, word in zip(words[::2], words[1::2], strict=True)}
    (word,) = words
    if get_origin(kind) is Literal:
        if word not in map(str, args):
            near = meant(word, map(str, args)) if len(args) > 1 else ""
            raise BadInput(f"{called} is {word!r}; expected {listed(args)}{near}")
        return next(arg for arg in args if str(arg) == word)
    if kind in (str, Path):
        return kind(word)
    try:
        if kind is bool:
            return {"yes": True, "true": True, "no": False, "false": False}[word.lower()]
        number = float(word)
        if kind is float:
            return number
        return int(number) if "e" in word.lower() and number.is_integer() else int(word)
    except (KeyError, ValueError):
        raise BadInput(f"{called} is {word!r}; expected {WORDS[kind]}") from None


def listed(values: Collection[Any]) -> str:
    """``values`` as a list in a sentence."""
    *some, last = map(str, values)
    return f"{', '.join(some)} or {last}" if some else last


# --- what is shown of it ----------------------------------------------------------------------------------------------


def metavar(option: Option) -> str:
    """What stands for the value of an option in help."""
    if option.has(data.Opens):
        return "RUN"
    if option.has(data.Positional) and arity(option.type) == MANY:
        return f"{option.name.upper().removesuffix('S')} ..."
    if option.has(data.Positional):
        return "|".join(get_args(option.type)) or option.name.upper()
    return _metavar(_required(option.type)[0])


def _metavar(kind: Any) -> str:
    args = get_args(kind)
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, args)) + "}"
    if get_origin(kind) is tuple:
        return f"{_metavar(args[0])} ..." if Ellipsis in args else " ".join(map(_metavar, args))
    if get_origin(kind) is dict:
        return f"NAME {_metavar(args[1])} ..."
    return {int: "N", float: "X", Path: "PATH", bool: ""}.get(kind, "TEXT")


def plain(shown: Any) -> str:
    """A default as it would be typed."""
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    if isinstance(shown, float):
        return f"{shown:g}"
    if isinstance(shown, Mapping):
        return ", ".join(f"{key} {plain(each)}" for key, each in shown.items())
    return " ".join(map(plain, shown)) if isinstance(shown, tuple) else str(shown)
