"""Every recipe, one module a family; importing this package registers them all, and those of installed plug-ins."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from genwerk.core import plugins
from genwerk.core.spec import DataSpec
from genwerk.training.settings import REGISTRY, Entry, Recipe

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


plugins.load_installed()


def find(name: str) -> Entry:
    """The registered recipe called ``name``; a ValueError names the nearest ones otherwise."""
    if name in REGISTRY:
        return REGISTRY[name]
    near = difflib.get_close_matches(name, REGISTRY, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`genwerk recipes` lists them all."
    raise ValueError(f"there is no recipe called {name!r}; {hint}")


def recipe(name: str, spec: DataSpec | None = None) -> Recipe:
    """The recipe called ``name``, fitted to data of ``spec`` (None: the data it is shown with)."""
    entry = find(name)
    return entry.make(spec or entry.spec)


__all__ = ["REGISTRY", "Entry", "find", "recipe"]
