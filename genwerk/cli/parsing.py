"""What was typed as a command of Genwerk with its options, through tyro."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from genwerk.commands import COMMANDS
from genwerk.commands import command as data
from genwerk.commands.command import Command, Option, summary
from genwerk.commands.training import Changes, Train
from genwerk.core.errors import BadInput
from genwerk.runs.session import HERE, Machine

if TYPE_CHECKING:
    from genwerk.core.model import Model
    from genwerk.core.options import SamplingOptions


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


AS_JSON: tuple[str, Any, Any] = (
    "as_json",
    Annotated[bool, tyro.conf.arg(name="json", help="Print one JSON object; what is said goes to standard error.")],
    field(default=False),
)

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


def _parser(command: type[Command], model: Model | None = None, named: frozenset[str] = frozenset()) -> type:
    """A dataclass that tyro parses into the options of ``command``, those of its ``model``, and of the terminal.

    What concerns another kind of condition is left out, unless it is ``named``: then it is refused when it is used.
    """
    found = [_field(o) for o in data.options(command) if o.name in named or _concerns(model, o)]
    if model is not None and model.options.names():
        own = model.options
        asked = make_dataclass(type(own).__name__, [_field(option) for option in _of_model(own)], frozen=True)
        asked.__doc__ = type(own).__doc__
        found.append(("of_model", Annotated[asked, tyro.conf.arg(name="")], field(default=asked())))
    if command.output:
        found.append(_field(Option("out", str | None, _where(command), None)))
        found.append(_field(OVERWRITE))
    if data.opens(command):
        found.append(("machine", Annotated[Machine, tyro.conf.arg(name="")], field(default=HERE)))
    found.append(AS_JSON)
    found.append(_field(PLUGIN))  # for the help alone: see without_plugins
    made = make_dataclass(command.__name__, found, frozen=True, kw_only=True)
    made.__doc__ = command.__doc__
    return made


def _concerns(model: Model | None, option: Option) -> bool:
    kinds = {each.option for each in option.beside if isinstance(each, data.OfCondition)}
    return not option.has(data.OfModel) and (model is None or not kinds or model.condition.option in kinds)


OVERWRITE = Option("overwrite", bool, "Replace a file that --out names.", False)


def _where(command: type[Command]) -> str:
    tables = ".csv, .tsv, .json, .jsonl or .parquet for a table, .npy or .npz for an array, - to print a table"
    sheets = (
        ""
        if command.numbers
        else ".png, .jpg or .webp for a sheet, .wav, .flac or .ogg for sounds, NAME/ a file each, "
    )
    default = f"; default: RUN/out/{command.output}, numbered" if command.unasked else ""
    return f"File to write ({sheets}{tables}{default})."


def _field(option: Option) -> tuple[str, Any, Any]:
    aliases = [f"-{each.letter}" for each in option.beside if isinstance(each, data.Short)]
    name = next((each.name for each in option.beside if isinstance(each, data.Named)), None)
    how: list[Any] = [tyro.conf.arg(name=name, help=option.help, aliases=aliases)]
    if option.has(data.Positional):
        how.append(tyro.conf.Positional)
    of_type = Annotated.__class_getitem__((option.type, *how))  # type: ignore[attr-defined]
    return option.name, of_type, field() if option.default is MISSING else field(default=option.default)


def parsed(given: Sequence[str], plugins: Sequence[str] = ()) -> Asked:
    """What the words of a command line ask for; help and what cannot be understood end the program.

    ``plugins`` are files that are loaded, which a command that is run again must name.
    """
    name = given[0] if given else "--help"
    if name not in COMMANDS:
        listed = {each: _listed(command) for each, command in COMMANDS.items()}
        about = "Every family of deep generative model: train, use and measure."
        tyro.extras.subcommand_cli_from_dict(listed, args=[name], prog="genwerk", description=about)
    command = COMMANDS[name]
    if command is Train and len(given) > 1 and given[1] not in ("-h", "--help"):
        return training(given[1:], [word for file in plugins for word in ("--plugin", file)])
    again = shlex.join(["genwerk", *given, *(word for file in plugins for word in ("--plugin", file))])
    given = [name, *_whole(command, given[1:])]
    about, model, named = inspect.getdoc(command) or "", None, _named(given[1:])
    if data.samples(command):
        model = _model(given[1:])
        if model is None:
            about = f"{about}\n\nWhat more can be asked depends on the model: `genwerk {name} RUN --help` lists it."
    found: Any = tyro.cli(_parser(command, model, named), args=given[1:], prog=f"genwerk {name}", description=about)
    options = {o.name: getattr(found, o.name) for o in data.options(command) if o.name in vars(found)}
    if model is not None:
        own = [name for name in model.options.names() if {name, f"no_{name}"} & named]
        values = {name: getattr(found.of_model, name) for name in own}
        options |= {o.name: values for o in data.options(command) if o.has(data.OfModel)}
    of_terminal = {
        name: getattr(found, name) for name in ("machine", "out", "overwrite", "as_json") if name in vars(found)
    }
    return Asked(command(**options), again=again, **{k: v for k, v in of_terminal.items() if k not in options})


def _whole(command: type[Command], given: Sequence[str]) -> list[str]:
    """The words of a command line, settings by their whole names as in training: --data is --data.source.

    Those that are part of others may be typed alone (--size for --data.size).
    """
    parts = {option.name: option.type for option in data.options(command) if is_dataclass(option.type)}
    whole = {f"--{f.name}": f"--{part}.{f.name}" for part, settings in parts.items() for f in fields(settings)}
    whole = {short.replace("_", "-"): name.replace("_", "-") for short, name in whole.items()}
    whole |= {short: name for short, name in SHORTHANDS.items() if name in whole.values()}
    words = (word.partition("=") for word in given)
    return [whole.get(head.replace("_", "-"), head) + eq + tail for head, eq, tail in words]


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


def _of_model(own: SamplingOptions) -> list[Option]:
    """The options of ``own``, whose values are the defaults."""
    kind: Any = type(own)
    return [replace(option, default=getattr(own, option.name)) for option in data.options(kind)]


def _named(given: Sequence[str]) -> frozenset[str]:
    """Names of the options among the words of a command line."""
    return frozenset(each.partition("=")[0][2:].replace("-", "_") for each in given if each.startswith("--"))


def _listed(command: type[Command]) -> Callable[[], None]:
    """Something of which tyro shows the name and the help of ``command``."""

    def nothing() -> None: ...

    nothing.__doc__ = summary(command)
    return nothing


# --- train ------------------------------------------------------------------------------------------------------------

SHORTHANDS = {"--data": "--data.source", "--rounds": "--train.rounds", "--seed": "--train.seed"}
"""Short names of the settings that are typed most."""


def training(arguments: Sequence[str], plugins: Sequence[str] = ()) -> Asked:
    """``genwerk train``: the settings on offer are those of the recipe fitted to the data that were named."""
    from genwerk.cli import components
    from genwerk.recipes import find
    from genwerk.runs import store
    from genwerk.training import runtime
    from genwerk.training.settings import Recipe

    named = not arguments[0].startswith("-")
    if named:
        name, entry = arguments[0], find(arguments[0])
        start, doc = entry.make(entry.spec), inspect.getdoc(entry.make)
    elif (run := _value(arguments, "--from")) is not None:
        stored = store.find(run)
        name, start, doc = stored.name, stored.recipe, f"The settings of {run}, a run of {stored.name}."
    else:
        if "--help" in arguments or "-h" in arguments:
            tyro.cli(_parser(Train), args=["--help"], prog="genwerk train")
        raise BadInput("name a recipe first, as in `genwerk train vae --data photos/`; `genwerk recipes` lists them")
    prog, words = f"genwerk train {name if named else ''}".rstrip(), arguments[named:]
    rest = [SHORTHANDS.get(head, head) + eq + tail for head, eq, tail in (a.partition("=") for a in words)]

    options = [option for option in data.options(Train) if option.name != "recipe"]
    about = f"{doc}\n\nShort names: " + ", ".join(f"{k} = {v}" for k, v in SHORTHANDS.items())

    def parse(default: Recipe, *, fitted: bool = True) -> Any:
        chosen = components.chosen(default, rest, fitted=fitted)
        parts = components.found(chosen)
        kinds = [
            (f"kind{i}", Annotated[Literal[tuple(part.kinds)], tyro.conf.arg(name=path, help=components.about(part))])
            for i, (path, part) in enumerate(parts.items())
        ]
        settings = ("settings", Annotated[Recipe, tyro.conf.arg(name="")])
        every = make_dataclass("Arguments", [*kinds, settings, *map(_field, [*options, PLUGIN]), AS_JSON], frozen=True)
        whole = every(*(part.kind for part in parts.values()), chosen)
        return tyro.cli(every, default=whole, args=rest, prog=prog, description=about)

    found = parse(start, fitted=False)
    runtime.relaunch(found.devices, ["train", *arguments, *plugins])
    asked = frozenset(argument.partition("=")[0].removeprefix("--") for argument in rest if argument.startswith("--"))
    changes = Changes(lambda recipe, fitted: parse(recipe, fitted=fitted).settings, asked)
    again = shlex.join(["genwerk", "train", *(a for a in arguments if a != "--resume"), *plugins, "--resume"])
    values = {option.name: getattr(found, option.name) for option in options}
    train = Train(recipe=name, from_settings=not named, changes=changes, **values)
    return Asked(train, as_json=found.as_json, again=again)


def _value(words: Sequence[str], option: str) -> str | None:
    """What ``option`` is given among the words of a command line; None where it is not."""
    for word, then in zip(words, (*words[1:], None), strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            return value if equals else then
    return None
