"""The ``genwerk`` command: parse, call, print events. Everything it does is a function of the library."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

import tyro

from genwerk.cli import denoising, machine, matching, scoring, steering, training, using
from genwerk.printable import printable
from genwerk.progress import say

COMMANDS: dict[str, Callable[..., None]] = {
    "recipes": training.recipes,
    "show": training.show,
    "train": training.train,
    "sample": using.sample,
    "reconstruct": using.reconstruct,
    "interpolate": steering.interpolate,
    "traverse": using.traverse,
    "encode": using.encode,
    "complete": using.complete,
    "image-to-image": denoising.image_to_image,
    "watch": denoising.watch,
    "zero-shot": matching.zero_shot,
    "search": matching.search,
    "nearest": using.nearest,
    "classify": scoring.classify,
    "outliers": scoring.outliers,
    "project": steering.project,
    "mix": steering.mix,
    "truncate": steering.truncate,
    "edit": steering.edit,
    "entanglement": steering.entanglement,
    "evaluate": using.evaluate,
    "export": machine.export,
    "data": machine.data,
    "doctor": machine.doctor,
    "demo": machine.demo,
    "figure": machine.figure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends with one sentence and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = lambda message, *_, **__: print(printable(f"genwerk: {message}"), file=sys.stderr)
    try:
        if given[:1] == ["--version"]:
            from genwerk import __version__

            say(f"genwerk {__version__}")
        elif given[:1] == ["train"] and len(given) > 1 and given[1] not in ("-h", "--help"):
            training.train_command(given[1:])
        else:
            tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                args=given or ["--help"],
                prog="genwerk",
                description="Every family of deep generative model: train, use and measure.",
            )
    except (ValueError, OSError) as error:
        _fail(error)
    except RuntimeError as error:
        if type(error).__name__ != "Diverged":
            raise
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: Exception) -> NoReturn:
    if os.environ.get("GENWERK_DEBUG"):
        raise error
    print(printable(f"genwerk: {error}"), file=sys.stderr)
    sys.exit(2)
