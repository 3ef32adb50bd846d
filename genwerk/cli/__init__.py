"""The ``genwerk`` command: parse, call, print events. Everything it does is a function of the library."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from genwerk.cli import completing  # noqa: F401  (registers a command)
from genwerk.cli.parsing import of_today, parsed, without_plugins
from genwerk.cli.progress import complain, outlets, say
from genwerk.cli.rendering import Document, Terminal
from genwerk.commands.command import results
from genwerk.core import plugins
from genwerk.core.errors import BadInput, refusal
from genwerk.runs.session import Session
from genwerk.studio import command as _studio  # noqa: F401  (registers another)
from genwerk.training.launcher import may_speak, noting_interrupts


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    A user's mistake ends with one sentence and exit code 2, a fault of ours with a traceback and exit code 1.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = lambda message, *_, **__: complain(getattr(message, "sentence", str(message)))
    with outlets(), noting_interrupts() as received:
        try:
            _run(given)
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as raised:
            if received:  # an import that is interrupted may fail in a way of its own
                sys.exit(130)
            error = _out_of_memory(raised)
            if may_speak(error):
                _tell(error)
            sys.exit(2 if _is_users(error) else 1)


def _run(given: Sequence[str]) -> None:
    if given[:1] == ["--version"]:
        from genwerk import __version__

        say(f"genwerk {__version__}")
        return
    given, files = without_plugins(of_today(given))
    for file in files:
        plugins.load(Path(file))
    asked = parsed(given, files)
    with (
        closing((Document if asked.as_json else Terminal)(asked)) as terminal,
        terminal.speaking(),
        Session(asked.machine, say, terminal.opened) as session,
        closing(results(asked.command, session)) as found,
    ):
        for result in found:
            terminal.show(result)
    if terminal.code:
        sys.exit(terminal.code)


def _out_of_memory(error: Exception) -> Exception:
    """What to do where ``error`` says that memory could not be had; any other error as it is."""
    if not isinstance(error, (MemoryError, RuntimeError)):
        return error
    from genwerk.core.batching import out_of_memory

    why = str(error).partition("\n")[0] or "none is left"
    lacking = f"there is not enough memory ({why}); ask for fewer or smaller examples, or for a smaller model"
    return BadInput(lacking) if out_of_memory(error) else error


def _tell(error: Exception) -> None:
    users = _is_users(error)
    if not users or os.environ.get("GENWERK_DEBUG"):
        traceback.print_exception(error)
    said = (
        error.sentence if isinstance(error, BadInput) else refusal(error) if isinstance(error, OSError) else str(error)
    )
    complain(said if users else f"this is a fault of {_whose(error)} the lines above")


def _whose(error: Exception) -> str:
    """Whose code made ``error`` come about, and what to do with the lines that show it."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    last = next((m for m in reversed(modules) if m.startswith("genwerk.") or plugins.is_plugin(m)), "genwerk")
    return f"the plug-in {plugins.source(last)}; see" if plugins.is_plugin(last) else "Genwerk; please report it with"


def _is_users(error: Exception) -> bool:
    """Whether ``error`` tells of a mistake or of the surroundings (disk, files), and not of a fault of ours.

    It does if it is of a class of ours, an OSError, or a ValueError from a ``raise`` statement of ours or of a plug-in:
    that is how a mistake is told in every room. A ValueError that another library or an operation raises shows a fault.
    """
    if isinstance(error, OSError) or type(error).__module__.startswith("genwerk."):
        return True
    return isinstance(error, ValueError) and plugins.is_told(error)
