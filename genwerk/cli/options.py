"""Options that several commands share, each with its help, and what commands do with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import signature
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import tyro
from tyro.conf import Positional, arg

from genwerk.cli.progress import say
from genwerk.core.errors import BadInput

if TYPE_CHECKING:
    from genwerk.runs.opened import OpenRun

Device = Literal["auto", "cpu", "cuda", "mps"]

Run = Annotated[Positional[Path], arg(help="Run folder.")]
Input = Annotated[str, arg(help="Your own images or table (a path), or test or train for the run's own data.")]


@dataclass(frozen=True)
class AtLeast:
    """Beside an option's type: the least that it may be."""

    least: int


Greatest = Annotated[int, AtLeast(1), arg(aliases=["-n"], help="Greatest number of examples.")]
First = Annotated[
    int, AtLeast(0), arg(help="Number of the first sample: sample i of a seed is the same in any batch, on any device.")
]
Space = Annotated[
    Literal["z", "w", "w+"] | None,
    arg(
        help="Latent space: z (the prior's), w (styles) or w+ (a style for each layer); default: w where there is one."
    ),
]
Label = Annotated[str | None, arg(help="Class of the examples, by name or number (conditional models).")]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where, how exactly and in how much memory to compute."""

    device: Device = "auto"
    """Where to compute; auto is the first GPU, else the CPU."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the networks; with bfloat16 a folder of Stable Diffusion takes half the memory."""
    memory: str | None = None
    """Memory that examples computed together may take, such as 2GB (default: a quarter of what is free)."""


On = Annotated[Machine, tyro.conf.arg(name="")]
HERE = Machine()
Out = str | None
session = ExitStack()
"""What holds until a command ends: its precision and its bound on memory."""


def open_run(run: Path, machine: Machine, data: str | None = None) -> OpenRun:
    """The trained model in a run folder, with what a command may ask of it."""
    from genwerk.core import batching
    from genwerk.runs.opened import OpenRun
    from genwerk.training.runtime import Runtime

    session.enter_context(batching.within(machine.memory))
    opened = OpenRun(run, machine.device, data, say, precision=machine.precision)
    if not opened.foreign:  # a foreign folder's weights themselves are of that precision
        session.enter_context(Runtime(opened.model.device, machine.precision).autocast())
    return opened


def checked(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, its numbers looked at first: all finite, none below its least, seeds such as can be drawn by."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        hints = get_type_hints(command, include_extras=True)
        for name, value in signature(command).bind(*arguments, **options).arguments.items():
            _check(name, value, getattr(hints[name], "__metadata__", ()))
        with session:
            command(*arguments, **options)

    return run


def _check(name: str, value: Any, about: Sequence[Any] = ()) -> None:
    if is_dataclass(value):
        for f in fields(value):
            _check(f.name, getattr(value, f.name))
    option = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
    least = max((a.least for a in about if isinstance(a, AtLeast)), default=-inf)
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        if not isfinite(number):
            raise BadInput(f"{option} is {number}; expected a finite number")
        if number < least:
            raise BadInput(f"{option} is {number}; expected {least} or more")
        if name == "seed" and not 0 <= number < 2**64:
            raise BadInput(f"{option} is {number}; expected a whole number from 0 to 2^64 - 1")
