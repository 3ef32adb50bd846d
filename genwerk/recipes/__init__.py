"""Every recipe, one module a family; importing this package registers them all, and those of installed plug-ins."""

from __future__ import annotations

import importlib
import pkgutil

from genwerk.core import plugins
from genwerk.core.errors import BadInput
from genwerk.core.near import meant
from genwerk.core.spec import DataSpec
from genwerk.training.settings import REGISTRY, Entry, Recipe

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


plugins.load_installed()


def find(name: str) -> Entry:
    """The registered recipe called ``name``; a BadInput names the nearest ones otherwise."""
    if name in REGISTRY:
        return REGISTRY[name]
    raise BadInput(f"there is no recipe called {name!r}{meant(name, REGISTRY) or '; `genwerk recipes` lists them all'}")


def recipe(name: str, spec: DataSpec | None = None) -> Recipe:
    """The recipe called ``name``, fitted to data of ``spec`` (None: the data it is shown with)."""
    entry = find(name)
    return entry.make(spec or entry.spec)


__all__ = ["REGISTRY", "Entry", "find", "recipe"]
