"""What a family is asked for, which is every promise, and how what was found is told."""

from __future__ import annotations

import ast
import linecache
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from genwerk.core import plugins
from genwerk.core.errors import BadInput
from genwerk.testing import abilities, training
from genwerk.testing.case import case
from genwerk.testing.promise import PROMISES, explained

__all__ = ["PROMISES", "abilities", "answers", "explained", "told", "training"]


def answers(name: str) -> dict[str, str]:
    """For every promise whether the recipe called ``name`` keeps it: "kept", "broken: ..." or "none: ..." and why."""
    try:
        trained, found = case(name), dict[str, str]()
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"the model of {name} cannot be built and trained: {told(error)}") from error
    for what, asked in PROMISES.items():
        with TemporaryDirectory() as folder:
            try:
                why = asked.lacking(trained)
                if why is None:
                    asked.check(trained, Path(folder))
                found[what] = "kept" if why is None else f"none: {why}"
            except Exception as error:
                found[what] = f"broken: {told(error)}"
    return found


def told(error: Exception) -> str:
    """What ``error`` says, and the line that it comes from: of a plug-in where one is among those that led to it."""
    walked = list(traceback.walk_tb(error.__traceback__))
    own = [i for i, (frame, _) in enumerate(walked) if plugins.is_plugin(frame.f_globals.get("__name__", ""))]
    lines = traceback.extract_tb(error.__traceback__)
    last = lines[own[-1] if own else -1]
    said = str(error).partition("\n")[0] or (unmet(*walked[-1]) if isinstance(error, AssertionError) else "")
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{what} ({Path(last.filename).name}, line {last.lineno})"


def unmet(frame: FrameType, line: int) -> str:
    """What the assertion at ``line`` of ``frame`` states, and the value on its left where that is short.

    Nothing that the promise did is done again for it: a value that comes from a call, but of ``len``, is not told.
    """
    source = linecache.getlines(frame.f_code.co_filename)
    tree = ast.parse("".join(source))
    tests = (n.test for n in ast.walk(tree) if isinstance(n, ast.Assert) and n.lineno <= line <= (n.end_lineno or 0))
    if (stated := next(tests, None)) is None:
        return "an assertion failed"
    said = f"not true: {ast.unparse(stated)}"
    if not isinstance(stated, ast.Compare):
        return said
    if any(isinstance(n, ast.Call) and ast.unparse(n.func) != "len" for n in ast.walk(stated.left)):
        return said
    try:
        value = repr(eval(ast.unparse(stated.left), frame.f_globals, frame.f_locals))
    except Exception:
        return said
    return f"{said}; found {value}" if len(value) <= 80 and "\n" not in value else said
