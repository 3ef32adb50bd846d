"""What can be asked for, as data; importing this package registers every command, in the order of its listing."""

from __future__ import annotations

import importlib
import pkgutil

from genwerk.commands.command import COMMANDS, Command

FIRST = (
    "choosing",
    "training",
    "sampling",
    "latents",
    "steering",
    "retrieval",
    "density",
    "evaluation",
    "comparing",
    "optimising",
    "data",
    "machine",
)
"""The modules whose commands are listed first."""

for _name in [*FIRST, *sorted({module.name for module in pkgutil.iter_modules(__path__)} - {*FIRST})]:
    importlib.import_module(f"{__name__}.{_name}")

__all__ = ["COMMANDS", "Command"]
