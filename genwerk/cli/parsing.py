"""What was typed as a command of Genwerk with its options."""

from __future__ import annotations

import inspect
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwerk.cli import helping
from genwerk.cli.helping import Section
from genwerk.cli.words import Words, assigned, flags, flat, metavar, negated, of, placed, sorted_out, value
from genwerk.commands import COMMANDS
from genwerk.commands import command as data
from genwerk.commands.command import Command, Option
from genwerk.commands.training import Train
from genwerk.core.errors import BadInput
from genwerk.core.marks import Common, Needs
from genwerk.core.near import meant, nearest
from genwerk.runs.session import HERE, Machine

if TYPE_CHECKING:
    from genwerk.core.model import Model


@dataclass(frozen=True)
class Asked:
    """A command, and what concerns this terminal only."""

    command: Command
    machine: Machine = HERE
    out: str | None = None
    """Where to write examples."""
    overwrite: bool = False
    """Whether what is there may be replaced."""
    as_json: bool = False
    """Whether JSON is printed, and nothing else."""
    again: str = ""
    """The command that goes on with its training."""


PLUGIN = Option(
    "plugin", Path | None, "Your own Python file with families and recipes; give it as often as needed.", None
)
JSON = Option("json", bool, "Print one JSON object; messages go to standard error.", False)


FORMER = {
    "--draws": "--importance-samples",
    "--evaluate.draws": "--evaluate.importance-samples",
    "--given": "--covariates",
    "--data.given": "--data.covariates",
    "--train.watchdog.slower": "--train.watchdog.lr-factor",
    "--train.watchdog.grace": "--train.watchdog.warmup-rounds",
    "--train.watchdog.spread": "--train.watchdog.min-diversity",
    "--train.watchdog.sure": "--train.watchdog.max-discriminator-accuracy",
    "--train.watchdog.worse": "--train.watchdog.max-metric-ratio",
}
"""Options by the names that they have in cards of runs of format 1, which are to train them again."""


def of_today(given: Sequence[str]) -> list[str]:
    """The words of a command line, options by their names of today."""
    parts = (word.replace("--train.watch.", "--train.watchdog.").partition("=") for word in given)
    return [FORMER.get(name, name) + eq + value for name, eq, value in parts]


def without_plugins(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of a command line, and the files that are given with --plugin among them."""
    rest, files, words = list[str](), list[str](), iter(given)
    for word in words:
        name, given_here, value = word.partition("=")
        if name != "--plugin":
            rest.append(word)
        elif not given_here and (value := next(words, "")) == "":
            raise BadInput("‹plugin› lacks a file; name one, as in ‹plugin› mine.py")
        else:
            files.append(value)
    return rest, files


def parsed(given: Sequence[str], plugins: Sequence[str] = ()) -> Asked:
    """What the words of a command line ask for; a BadInput says what cannot be understood, and help ends the program.

    ``plugins`` are files that are loaded, which a command that is run again must name.
    """
    name = given[0] if given else helping.FULL
    if helping.asked([name]):
        helping.tell(helping.overview())
    if name not in COMMANDS:
        raise _no_command(name)
    command, words, prog = COMMANDS[name], given[1:], f"genwerk {name}"
    if command is Train and not helping.asked(words[:1]):
        from genwerk.cli.training import training

        return training(words, [word for file in plugins for word in ("--plugin", file)])
    about, model = inspect.getdoc(command) or "", None
    if data.samples(command):
        model = _model(words)
        if model is None:
            about = f"{about}\n\nFurther options depend on the model: `genwerk {name} RUN --help` lists them."
    parts = list(sections(command, model, _named(words)))
    if helping.asked(words):
        helping.tell(helping.helped(prog, about, parts, words))
    offered = [option for part in parts for option in part.options]
    found = sorted_out(words, offered)
    for flag in found.unknown:
        raise unknown(flag, offered, name, model)
    placed(found, offered, prog)
    values = valued(found, offered)
    for option in offered:
        if option.default is MISSING and option.name not in values:
            raise BadInput(f"`{prog}` lacks {flags(option)[-1]} {metavar(option)}: {option.help}")
    options = _whole(command, values)
    if model is not None:
        of_model = {name: values[name] for name in model.options.names() if name in values}
        options |= {o.name: of_model for o in data.options(command) if o.has(data.OfModel)}
    of_machine = {o.name: values[o.name] for o in data.options(Machine) if o.name in values and data.opens(command)}
    own = {option.name for option in data.options(command)}
    of_terminal = {name: values[name] for name in ("out", "overwrite") if name in values and name not in own}
    machine = assigned(HERE, of_machine)
    whole = [*given, *(word for file in plugins for word in ("--plugin", file))]
    if data.spreads(command):
        from genwerk.training.runtime import relaunch

        relaunch(options.get("devices", 1), whole, machine.device)
    again = shlex.join(["genwerk", *whole])
    return Asked(command(**options), machine, again=again, as_json=values.get("json", False), **of_terminal)


def _whole(command: type[Command], values: dict[str, Any]) -> dict[str, Any]:
    """The options of ``command`` that were typed, those that have parts as a whole."""
    found = {}
    for option in data.options(command):
        parts = {name.partition(".")[2]: each for name, each in values.items() if name.startswith(f"{option.name}.")}
        if parts:
            found[option.name] = assigned(option.default, parts)
        elif option.name in values:
            found[option.name] = values[option.name]
    return found


def valued(found: Words, offered: Sequence[Option]) -> dict[str, Any]:
    """The values of those options that were typed, by name."""
    return {o.name: value(o, found.of[o.name], found.called[o.name]) for o in offered if o.name in found.of}


# --- what there is ----------------------------------------------------------------------------------------------------


def sections(command: type[Command], model: Model | None, named: Collection[str] = ()) -> Iterator[Section]:
    """The options of ``command``, those of its ``model``, and of the terminal.

    What concerns another kind of condition, or an ability that the model lacks, is left out, unless it is ``named``:
    then it is refused when it is used.
    """
    own = [o for o in data.options(command) if o.name in named or _concerns(model, o)]
    parts = [o for o in own if is_dataclass(o.default)]
    plain = [o for o in own if o not in parts]
    if command.output:
        plain += [Option("out", str | None, _where(command), None), OVERWRITE]
    plain.append(JSON)
    yield section("options", plain)
    taken = {option.name for option in plain} | _shared(parts)
    for part in parts:
        shorter = [
            option if option.name in taken else replace(option, beside=(*option.beside, data.Short(option.name)))
            for option in of(part.default)
        ]
        yield section(part.name, flat(shorter, f"{part.name}."), part.help)
    if model is not None:
        offered = [o for o in of(model.options) if all(n.ability in command.needs for n in _needs(o))]
        yield section("sampling", flat(offered), inspect.getdoc(type(model.options)) or "")
    if data.opens(command):
        yield section("machine", of(HERE))
    yield Section("plug-ins", "", (PLUGIN,), ())


def _shared(parts: Iterable[Option]) -> set[str]:
    """Names of options that several of ``parts`` have, which would not tell by themselves whose is meant."""
    names = Counter(option.name for part in parts for option in of(part.default))
    return {name for name, n in names.items() if n > 1}


def section(title: str, options: Iterable[Option], about: str = "") -> Section:
    """A section of ``options``, of which those matter that are marked so, or all if none is."""
    every = tuple(options)
    return Section(title, about, every, marked(every) or every)


def marked(options: Iterable[Option]) -> tuple[Option, ...]:
    """Those of ``options`` that are marked as common."""
    return tuple(option for option in options if option.has(Common))


def _needs(option: Option) -> list[Needs]:
    return [each for each in option.beside if isinstance(each, Needs)]


def _concerns(model: Model | None, option: Option) -> bool:
    if option.has(data.OfModel) or model is None:
        return not option.has(data.OfModel)
    from genwerk.core.abilities import abilities

    kinds = {each.option for each in option.beside if isinstance(each, data.OfCondition)}
    able = {each.name for each in option.beside if isinstance(each, data.OfAbility)}
    return (not kinds or model.condition.option in kinds) and able <= abilities(model)


OVERWRITE = Option("overwrite", bool, "Replace a file that --out names.", False)


def _where(command: type[Command]) -> str:
    tables = ".csv, .tsv, .json, .jsonl or .parquet for a table, .npy or .npz for an array, - to print a table"
    sheets = (
        ""
        if command.numbers
        else ".png, .jpg or .webp for a sheet, .wav, .flac or .ogg for sounds, NAME/ for a file each, "
    )
    default = f"; default: RUN/out/{command.output}, numbered" if command.unasked else ""
    return f"File to write ({sheets}{tables}{default})."


def _model(given: Sequence[str]) -> Model | None:
    """The model of the run that is named among ``given``, without weights; None where none is named yet.

    Options that only models of other runs have are refused here, in the words that tell what this one has.
    """
    words = [Path(each) for each in given if not each.startswith("-")]
    if not words:
        return None
    from genwerk.core.options import kinds
    from genwerk.runs.opened import is_model, outline

    model = outline(next((each for each in words if is_model(each)), words[0]))
    others = {name for kind in kinds() for name in kind.names()} - {*model.options.names()}
    model.options.chosen(dict.fromkeys(sorted(_named(given) & others)))
    return model


def _named(given: Sequence[str]) -> frozenset[str]:
    """Names of the options among the words of a command line."""
    return frozenset(each.partition("=")[0][2:].replace("-", "_") for each in given if each.startswith("--"))


# --- what there is not ------------------------------------------------------------------------------------------------


ELSEWHERE = {
    "generate": "type genwerk sample RUN",
    "fit": "type genwerk train RECIPE --data PATH",
    "card": "the card of a run is the file RUN/card.md",
    "info": "RUN/card.md says what a run is, and genwerk show RECIPE what a recipe is",
}
"""What people type for a command that is called otherwise, or for what is a file, and where it is."""


def _no_command(name: str) -> BadInput:
    if name.startswith("-"):
        return BadInput(f"a command comes first, as in genwerk train vae {name} ...; `genwerk --help` lists them all")
    if name in ELSEWHERE:
        return BadInput(f"there is no command {name!r}; {ELSEWHERE[name]}")
    if near := meant(name, COMMANDS):
        return BadInput(f"there is no command {name!r}{near}")
    from genwerk.recipes import REGISTRY

    if name in REGISTRY:
        return BadInput(f"{name} is a recipe and no command; type genwerk train {name} --data PATH")
    return BadInput(f"there is no command {name!r}; `genwerk --help` lists them all")


def unknown(flag: str, offered: Sequence[Option], command: str, model: Model | None = None) -> BadInput:
    """What to say of ``flag``, which is none of the options ``offered``: what was meant, or whose option it is."""
    spelt = {each.lstrip("-"): each for option in offered for each in _spelt(option)}
    last = flag.rpartition(".")[2].lstrip("-")
    if same := [each for each in spelt.values() if each.rpartition(".")[2].lstrip("-") == last]:
        same = nearest(flag, same) if "." in flag else same
        return BadInput(f"there is no {flag}; did you mean {' or '.join(same[:2])}?")
    if longer := [each for name, each in spelt.items() if name.rpartition(".")[2].startswith(f"{last}-")]:
        return BadInput(f"there is no {flag}; did you mean {' or '.join(longer[:2])}?")
    having = [name for name, kind in COMMANDS.items() if name != command and _has(kind, flag, model)]
    if having:
        whose = ", ".join(having[:4]) + (" and others" if len(having) > 4 else "")
        return BadInput(f"{flag} is an option of {whose}, and {command} has none of that name; leave it out")
    ends = {each.rpartition(".")[2].lstrip("-"): each for each in reversed(spelt.values())}
    if near := [spelt[each] for each in nearest(flag.lstrip("-"), spelt)] or [
        ends[each] for each in nearest(last, ends)
    ]:
        return BadInput(f"there is no {flag}; did you mean {' or '.join(near)}?")
    return BadInput(f"there is no {flag}; `genwerk {command} ... {helping.FULL}` shows every option there is")


def _spelt(option: Option) -> list[str]:
    """All that an option may be called."""
    names = flags(option)
    return [*names, negated(names[-1])] if option.type is bool and names else names


def _has(command: type[Command], flag: str, model: Model | None) -> bool:
    """Whether ``command`` has the option ``flag``, with its ``model`` where it takes a model's options."""
    there = sections(command, model if data.samples(command) else None)
    return any(flag in _spelt(option) for each in there for option in each.options)
