"""Which commands the page offers; nothing here loads a network library."""

from __future__ import annotations

from genwerk.commands import COMMANDS
from genwerk.commands.command import Command
from genwerk.core.errors import BadInput

TERMINALS = frozenset({"check-family", "commands", "completion", "demo", "doctor", "export", "studio", "watch"})
"""Commands of a terminal alone."""


def offered(name: str) -> type[Command]:
    """The command of that name; a BadInput where the page has none."""
    if name not in COMMANDS or name in TERMINALS:
        raise BadInput(f"there is no command {name!r} here")
    return COMMANDS[name]
