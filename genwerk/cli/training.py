"""Commands that train: recipes, show, train."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from genwerk.cli.options import Device, Json, print_json
from genwerk.cli.progress import say, table

SHORTHANDS = {"--data": "--data.source", "--rounds": "--train.rounds", "--seed": "--train.seed"}
"""Short names of the settings that are typed most."""


def recipes(*, as_json: Json = False) -> None:
    """List every recipe with what it is."""
    from genwerk.recipes import REGISTRY

    if as_json:
        print_json({name: entry.summary for name, entry in sorted(REGISTRY.items())})
        return
    table(("recipe", "what it is"), [(name, entry.summary) for name, entry in sorted(REGISTRY.items())])
    say("\n`genwerk show RECIPE` prints one in full; `genwerk train RECIPE --data FOLDER` trains it.")


def show(recipe: Positional[str], *, as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Print a recipe: what it is for, and every setting.

    Args:
        recipe: Name of a recipe, or a run folder.
        as_json: Print JSON alone.
    """
    from inspect import getdoc

    from genwerk.recipes import find
    from genwerk.runs import store
    from genwerk.training.settings import to_json

    if Path(recipe).is_dir():
        stored = store.find(recipe)
        text, settings = f"{recipe}: a run of {stored.name} on {stored.spec}", to_json(stored.recipe)
    else:
        entry = find(recipe)
        text, settings = getdoc(entry.make) or "", to_json(entry.make(entry.spec))
    if not as_json:
        say(text + "\n")
    print_json(settings)


def train(recipe: Positional[str]) -> None:
    """Train a recipe on your data into a run folder (`genwerk train RECIPE --help` lists its settings).

    Args:
        recipe: Name of a recipe; `genwerk recipes` lists them.
    """
    train_command([recipe])


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Where a run goes and what it runs on."""

    out: Path | None = None
    """Run folder to write (default: runs/RECIPE)."""
    resume: bool = False
    """Go on where the run folder stands (and start where there is none)."""
    device: Device = "auto"
    """Where to compute; auto is the first GPU, else the CPU."""
    devices: int = 1
    """Number of processes, one a GPU (or so many CPU processes)."""
    tensorboard: bool = False
    """Also write TensorBoard's log into the run folder."""


def _again(arguments: Sequence[str]) -> str:
    """The command that goes on where ``genwerk train *arguments`` was stopped."""
    return shlex.join(["genwerk", "train", *(a for a in arguments if a != "--resume"), "--resume"])


def train_command(arguments: Sequence[str]) -> None:
    """``genwerk train``: the settings on offer are those of the recipe fitted to the data that were named."""
    from inspect import getdoc

    from genwerk.cli import components
    from genwerk.cli.progress import follow
    from genwerk.data import open_data
    from genwerk.data.hub import allow
    from genwerk.recipes import find
    from genwerk.runs import store
    from genwerk.runs.run import Training
    from genwerk.training import runtime
    from genwerk.training.settings import Recipe

    name = next((a for a in arguments if not a.startswith("-")), None)
    if name is None or not arguments or arguments[0].startswith("-"):
        if "--help" in arguments or "-h" in arguments:
            tyro.cli(train, args=["--help"], prog="genwerk train")
        raise ValueError("name a recipe first, as in `genwerk train vae --data photos/`; `genwerk recipes` lists them")
    entry = find(name)
    rest = [SHORTHANDS.get(head, head) + eq + tail for head, eq, tail in (a.partition("=") for a in arguments[1:])]

    about = f"{getdoc(entry.make)}\n\nShort names: " + ", ".join(f"{k} = {v}" for k, v in SHORTHANDS.items())

    def parse(default: Recipe, *, fitted: bool = True) -> tuple[Recipe, TrainOptions]:
        chosen = components.chosen(default, rest, fitted=fitted)
        kinds = [
            (f"kind{i}", Annotated[Literal[tuple(part.kinds)], tyro.conf.arg(name=path, help=components.about(part))])
            for i, (path, part) in enumerate(components.found(chosen).items())
        ]
        fields = [
            *kinds,
            ("settings", Annotated[Recipe, tyro.conf.arg(name="")]),
            ("options", Annotated[TrainOptions, tyro.conf.arg(name="")]),
        ]
        every = make_dataclass("Arguments", fields, frozen=True)
        parts = [part.kind for part in components.found(chosen).values()]
        parsed: Any = tyro.cli(
            every,
            default=every(*parts, chosen, TrainOptions()),
            args=rest,
            prog=f"genwerk train {name}",
            description=about,
        )
        return parsed.settings, parsed.options

    settings, options = parse(entry.make(entry.spec), fitted=False)
    out = options.out or Path("runs") / name
    going_on = options.resume and (out / "config.json").exists()
    if going_on:
        settings, options = parse(store.read_config(out / "config.json")[1])
        if not any(argument.partition("=")[0] == "--data.source" for argument in rest):
            allow(settings.data.source)
    runtime.relaunch(options.devices, ["train", *arguments])
    if not settings.data.source:
        raise ValueError(f"{name} has no data of its own; name some, as in `genwerk train {name} --data photos/`")
    splits = open_data(settings.data)
    if not going_on:
        settings, _ = parse(replace(entry.make(splits.spec), data=settings.data))
    try:
        with Training(
            name, settings, splits, out, resume=options.resume, device=options.device, tensorboard=options.tensorboard
        ) as training:
            follow(training, again=_again(arguments))
    finally:
        runtime.finish(together=False)
