"""Plug-ins: a user's own Python file, or an installed package, whose families, recipes and parts register themselves.

A package names its module under the entry point group :data:`GROUP`; a file is loaded by :func:`load`. What a run
folder needs is written there by name, and nothing is ever loaded because a run folder names it.
"""

from __future__ import annotations

import dis
import importlib.util
import re
import sys
import traceback
import warnings
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from genwerk.core.errors import BadInput, MissingPlugin

GROUP = "genwerk.families"
"""Entry point group of installed plug-ins."""
PREFIX = "genwerk_plugin_"
"""What the names of modules that were loaded from a file begin with, so that they hide no other module."""
PACKAGES: set[str] = set()
"""Installed packages that are loaded as plug-ins."""


def load(path: Path) -> None:
    """Run the Python file ``path``, once, so that what it defines is registered; a BadInput says why it cannot be."""
    if path.suffix != ".py" or not path.is_file():
        raise BadInput(f"there is no plug-in {path}; name a Python file, as in ‹plugin› mine.py")
    name = PREFIX + re.sub(r"\W", "_", path.stem)
    if name in sys.modules:
        if Path(str(sys.modules[name].__file__)).resolve() == path.resolve():
            return
        raise BadInput(f"there are two plug-ins called {path.name}; give one of them another name")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BadInput(f"the plug-in {path} cannot be loaded: {_reason(error)}") from error


def files() -> list[str]:
    """The files that are loaded as plug-ins."""
    return [str(module.__file__) for name, module in list(sys.modules.items()) if name.startswith(PREFIX)]


def load_installed() -> None:
    """Load the plug-ins of all installed packages; one that cannot be is left out with a warning."""
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
            PACKAGES.add(entry.module.partition(".")[0])
        except Exception as error:
            warnings.warn(f"the plug-in {entry.value} is left out: {_reason(error)}", stacklevel=2)


def _reason(error: Exception) -> str:
    if isinstance(error, SyntaxError):  # which names its own place
        return f"SyntaxError: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"


def source(module: str) -> str | None:
    """The file or package that the module called ``module`` comes from; None where it is one of Genwerk's own."""
    top = module.partition(".")[0]
    if top == "genwerk" or module not in sys.modules:
        return None
    file = getattr(sys.modules[module], "__file__", None)
    alone = top == module and not hasattr(sys.modules[module], "__path__")
    return Path(file).name if alone and file else top


def is_plugin(module: str) -> bool:
    """Whether the module called ``module`` is a plug-in that was given as a file or is installed."""
    return module.startswith(PREFIX) or module.partition(".")[0] in PACKAGES


def is_told(error: Exception) -> bool:
    """Whether ``error`` comes from a ``raise`` statement of ours or of a plug-in, and not from an operation."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    raised_in = last.tb_frame.f_globals.get("__name__", "")
    ours = raised_in.startswith("genwerk.") or is_plugin(raised_in)
    return ours and last.tb_frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def sources(kinds: Iterable[object]) -> list[str]:
    """The plug-ins, by name and without repeats, that classes and functions come from."""
    found = (source(getattr(kind, "__module__", "")) for kind in kinds)
    return sorted({name for name in found if name is not None})


def require(names: Iterable[str], where: str) -> None:
    """Raise MissingPlugin for the first of the plug-ins ``names`` that is not loaded."""
    loaded = {source(module) for module in list(sys.modules)}
    for name in names:
        if name in loaded:
            continue
        if name.endswith(".py"):
            said = f"{where} needs the plug-in {name}, which is not loaded; name its file, as in ‹plugin› {name}"
            raise MissingPlugin(said)
        raise MissingPlugin(f"{where} needs the package {name}, which is not installed; install it")
