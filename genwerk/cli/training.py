"""What was typed as a training: the settings on offer are those of the recipe, fitted to the data that were named."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import chain
from typing import Any

from genwerk.cli import components, helping
from genwerk.cli.helping import Section
from genwerk.cli.parsing import JSON, PLUGIN, Asked, marked, section, unknown, valued
from genwerk.cli.words import SHORTHANDS, assigned, check_switch, flat, is_flag, of, sorted_out
from genwerk.commands import command as data
from genwerk.commands.command import Option, Positional
from genwerk.commands.training import Changes, Train
from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.training import runtime
from genwerk.training.settings import OptimConfig, Recipe

PARTS = {
    "data": "which data, and how they are read",
    "train": "how the model is trained",
    "model": "the family and its settings",
    "evaluate": "how it is measured at the end",
}
"""The parts of a recipe in the order of the help."""
SHOWN = 6
"""Settings of a model that a short help shows."""


def training(arguments: Sequence[str], plugins: Sequence[str] = ()) -> Asked:
    """What the words after ``genwerk train`` ask for; help ends the program."""
    from genwerk.recipes import find
    from genwerk.runs import store

    named = bool(arguments) and not is_flag(arguments[0])
    words = [word for word in arguments[named:] if not helping.asked([word])]
    own = [*(option for option in data.options(Train) if not option.has(Positional)), JSON]
    if named:
        find(arguments[0])
    values = valued(sorted_out(words, own), own)
    name = arguments[0] if named else _told(values)
    if name is None:
        run = values.get("out") if values.get("resume") else None
        if run and (run / "config.json").is_file():
            again = shlex.join(["genwerk", "train", store.find(run).name, *words])
            raise BadInput(f"name the recipe of the run that goes on first: `{again}`")
        lacking = f"; {values['config']} names none" if "config" in values else ""
        raise BadInput(
            f"name a recipe first, as in `genwerk train vae --data photos/`; `genwerk recipes` lists them{lacking}"
        )
    as_json = values.pop("json", False)
    typed = {word.partition("=")[0] for word in words if is_flag(word)}
    names = frozenset(SHORTHANDS.get(flag, flag).removeprefix("--").replace("-", "_") for flag in typed)

    def apply(recipe: Recipe, fitted: bool) -> Recipe:
        """``recipe`` with the settings that were typed; those that it lacks may come with a fit to the data."""
        chosen = components.chosen(recipe, words, fitted=fitted)
        offered = [*own, *flat(of(chosen))]
        found = sorted_out(words, offered)
        for flag in found.unknown:
            if fitted or flag.rpartition(".")[2].lstrip("-") not in _settings():
                raise unknown(flag, offered, "train")
        for word in found.rest:
            check_switch(word, words, offered)
            raise BadInput(
                f"`genwerk train {name}` has no place for {word!r}; settings go by name, as in --data {word}"
            )
        kinds = {path.replace("-", "_") for path in components.found(chosen)}
        settings = {name: v for name, v in valued(found, offered).items() if "." in name and name not in kinds}
        changed: Recipe = assigned(chosen, settings)
        return changed

    again = shlex.join(["genwerk", "train", *(a for a in arguments if a != "--resume"), *plugins, "--resume"])
    command = Train(
        recipe=name, from_settings=not named and "from_run" in values, changes=Changes(apply, names), **values
    )
    settings = command.settled(command.start(), fitted=False)
    if helping.asked(arguments):
        helping.tell(_help(command, settings, own, arguments))
    runtime.relaunch(command.devices, ["train", *arguments, *plugins], command.device)
    return Asked(command, as_json=as_json, again=again)


def _told(values: Mapping[str, Any]) -> str | None:
    """The recipe of the run to start from, or that which the file of settings names; None without either."""
    from genwerk.recipes import find
    from genwerk.runs import store
    from genwerk.training import overlay

    if "from_run" in values:
        return store.find(values["from_run"]).name
    name = overlay.read(values["config"])[0] if "config" in values else None
    return None if name is None else find(name).name


def _help(command: Train, settings: Recipe, own: Sequence[Option], given: Sequence[str]) -> str:
    """The help of a recipe, fitted to the data that the settings name."""
    from genwerk.recipes import find

    entry = find(command.recipe)
    note = f"The values in brackets suit {entry.spec}; with --data they are fitted to your data."
    if command.from_settings:
        note = f"The values in brackets are those of {command.from_run}."
    elif settings.data.source:
        settings, splits = command.fitted(settings)
        note = f"The values in brackets are fitted to {settings.data.source}: {splits.spec}."
    parts = (parts_of(getattr(settings, part), part, about) for part, about in PARTS.items())
    reading, *others = parts
    sections = [*reading, section("options", [*_with_rates(own, settings), PLUGIN]), *chain.from_iterable(others)]
    about = inspect.getdoc(entry.make) or ""
    return helping.helped(f"genwerk train {command.recipe}", about, sections, given, note)


def _with_rates(own: Sequence[Option], settings: Recipe) -> Iterator[Option]:
    """``own``, the learning rate with its values for the players of ``settings``."""
    rates = {player: optim.lr for player, optim in settings.train.optim.items()}
    for option in own:
        if option.name == "lr" and rates:
            option = replace(option, default=rates if len({*rates.values()}) > 1 else next(iter(rates.values())))
        yield option


def parts_of(settings: Any, path: str, about: str) -> Iterator[Section]:
    """The options of ``settings``, called ``path``, and a section for each part of them that is a dataclass itself."""
    within, options = f"{path}.", [*of(settings)]
    parts = {f"{within}{o.name}." for o in options if is_dataclass(o.default) or _players(o.default)}
    flattened = [o for o in flat(options, within) if not any(o.name.startswith(part) for part in parts)]
    if flattened:
        few = [] if path.startswith("model.") else marked(flattened)
        few = few or (flattened[:SHOWN] if path == "model" else [])
        yield Section(path, about, tuple(flattened), tuple(few))
    for option in options:
        part: Any = option.default
        name = f"{within}{option.name}"
        if _players(part):
            for player in part:
                yield from parts_of(part[player], f"{name}.{player}", option.help)
        elif is_dataclass(part):
            yield from parts_of(part, name, components.about(part) if isinstance(part, Component) else option.help)


def _players(part: Any) -> bool:
    """Whether a setting is one of each player."""
    return isinstance(part, dict) and bool(part) and all(map(is_dataclass, part.values()))


def _settings() -> set[str]:
    """What the settings of every family and kind of part are called, and those of optimisers."""

    def within(kind: type) -> Iterator[type]:
        yield kind
        yield from chain.from_iterable(map(within, kind.__subclasses__()))

    kinds: list[Any] = [OptimConfig, *within(Component), *(config for config, _ in Model.registry.values())]
    return {name for kind in kinds for field in fields(kind) for name in components.spelt(field.name)}
