"""What a command is: documented options, the abilities it needs of a model, and results that are values.

Nothing here or in a command's module loads torch, so that help is quick: what a command computes with is imported in
its ``run``.
"""

from __future__ import annotations

import ast
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from math import inf, isfinite
from textwrap import dedent
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from genwerk.core.errors import BadInput, BadSetting, MissingCondition, Unsupported

if TYPE_CHECKING:
    from genwerk.commands.results import Result
    from genwerk.runs.session import Session

COMMANDS: dict[str, type[Command]] = {}
"""Every command by its name."""


TRAINING, USE, STEER, MEASURE, OPTIMISE, MACHINE = (
    "Choose and train",
    "Use a trained model",
    "Steer a model through its latent space",
    "Measure and compare",
    "Optimise",
    "Data, files and this machine",
)
"""What commands are listed with."""


class Command(ABC):
    """Something that can be asked for: a frozen dataclass of options, registered by being defined.

    Its name is that of its class (``ImageToImage`` is ``image-to-image``), its help the docstring, and the help of an
    option the docstring below the field, or the :class:`Help` beside its type.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """Abilities that a model must have; of alternatives, joined by " or ", one."""
    conditioned: ClassVar[str] = ""
    """What the model must be conditioned on, such as "label"; empty where that does not matter."""
    output: ClassVar[str] = ""
    """What its files are called unless asked otherwise; empty where it yields nothing to be written."""
    numbers: ClassVar[bool] = False
    """Whether its files hold numbers, such as latents, and not examples."""
    animations: ClassVar[bool] = False
    """Whether its files may be animations."""
    unasked: ClassVar[bool] = True
    """Whether its files are written where nobody named any."""
    group: ClassVar[str] = "More"
    """What it is listed with."""

    def __init_subclass__(cls) -> None:
        COMMANDS[re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()] = cls

    @property
    def loose(self) -> bool:
        """Whether its files are images of any size, a file each."""
        return False

    @abstractmethod
    def run(self, session: Session) -> Iterator[Result]:
        """Do it, and yield what is found as it is found."""


def results(command: Command, session: Session) -> Generator[Result, None, None]:
    """What ``command``, its options checked, finds as it finds it; closing the generator ends what it holds.

    Where a run lacks an ability, those beside it that have it, on such data, are named; where a condition is missing,
    no option that the command has not.
    """
    check(command)
    try:
        yield from command.run(session)
    except Unsupported as error:
        raise Unsupported(error.sentence + session.others(error), *error.needed, by=error.by) from None
    except MissingCondition as error:
        if not error.option or any(option.name == error.option for option in options(type(command))):
            raise
        raise BadInput(f"{error.why}, which this command takes from examples alone: name some that carry it") from None


# --- beside an option's type ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Help:
    """What an option that several commands share is for."""

    text: str


@dataclass(frozen=True)
class AtLeast:
    """The least that a number may be."""

    least: float


@dataclass(frozen=True)
class Short:
    """A shorter name of the option, mostly a letter."""

    name: str


@dataclass(frozen=True)
class Named:
    """The option has a name that Python has a meaning of its own for."""

    name: str


@dataclass(frozen=True)
class Positional:
    """The option is known by its place."""


@dataclass(frozen=True)
class Opens:
    """The option names a run that the session opens, so that where and how to compute is asked for too."""


@dataclass(frozen=True)
class OfModel:
    """The option is a mapping of what may be asked of the opened run's model when it samples (:attr:`Model.options`).

    Whoever offers the command asks for these options by name, and gives those that were named.
    """


@dataclass(frozen=True)
class OfCondition:
    """The option concerns only models whose condition a person gives by ``option`` (:attr:`Condition.option`)."""

    option: str


@dataclass(frozen=True)
class OfAbility:
    """The option concerns only models with the ability of that name (:func:`genwerk.core.abilities.abilities`)."""

    name: str


@dataclass(frozen=True)
class Processes:
    """The option is the number of processes that the command runs in; whoever runs it starts them."""


@dataclass(frozen=True)
class Internal:
    """Not an option: a program sets it."""


@dataclass(frozen=True)
class Option:
    """One option of a command."""

    name: str
    type: Any
    """Its type, without what stands beside it."""
    help: str
    default: Any
    """``dataclasses.MISSING`` where there is none."""
    beside: tuple[object, ...] = ()
    """What stands beside its type."""

    def has(self, kind: type) -> bool:
        """Whether something of ``kind`` stands beside its type."""
        return any(isinstance(each, kind) for each in self.beside)


@cache
def options(kind: type) -> tuple[Option, ...]:
    """The options of a command, or of another dataclass, as they are defined."""
    found, hints, documented = [], get_type_hints(kind, include_extras=True), _documented(kind)
    for f in fields(kind):
        beside = getattr(hints[f.name], "__metadata__", ())
        help = documented.get(f.name) or next((each.text for each in beside if isinstance(each, Help)), "")
        of_type = hints[f.name].__origin__ if beside else hints[f.name]
        if not any(isinstance(each, Internal) for each in beside):
            default = f.default if f.default_factory is MISSING else f.default_factory()
            found.append(Option(f.name, of_type, help, default, beside))
    return tuple(found)


def _documented(kind: type) -> dict[str, str]:
    """The docstring below each field of ``kind`` and of its bases."""
    found: dict[str, str] = {}
    for cls in reversed([c for c in kind.__mro__ if is_dataclass(c)]):
        try:
            body = ast.parse(dedent(inspect.getsource(cls))).body[0]
        except OSError:  # typed at a prompt
            continue
        assert isinstance(body, ast.ClassDef)
        for of, text in pairwise(body.body):
            if isinstance(of, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(of.target)] = " ".join(str(text.value.value).split())
    return found


def summary(command: type[Command]) -> str:
    """What a command does, in one line."""
    return " ".join((inspect.getdoc(command) or "").partition("\n\n")[0].split())


def samples(command: type[Command]) -> bool:
    """Whether a command takes the options of the model that it opens."""
    return any(option.has(OfModel) for option in options(command))


def opens(command: type[Command]) -> bool:
    """Whether a command opens a run."""
    return any(option.has(Opens) for option in options(command))


def spreads(command: type[Command]) -> bool:
    """Whether a command runs in several processes where that is asked for."""
    return any(option.has(Processes) for option in options(command))


def check(settings: object, within: str = "") -> None:
    """Raise BadSetting unless all numbers among a dataclass of options can be: finite, and none below its least.

    ``within`` begins the names of settings that are part of others, as in ``data.``.
    """
    kind: Any = type(settings)
    for option in options(kind):
        value = getattr(settings, option.name)
        if is_dataclass(value):
            check(value, f"{within}{option.name}.")
        least = max((each.least for each in option.beside if isinstance(each, AtLeast)), default=-inf)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                continue
            if not isfinite(number):
                raise BadSetting(within + option.name, f"is {number}; expected a finite number")
            if number < least:
                raise BadSetting(within + option.name, f"is {number}; expected {least} or more")
            if option.name == "seed" and not 0 <= number < 2**64:
                raise BadSetting(within + option.name, f"is {number}; expected a whole number from 0 to 2^64 - 1")
