"""The command that asks a family for what every family promises: check-family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from genwerk.commands.command import MACHINE, Command, Positional
from genwerk.commands.results import Figures, Note, Table
from genwerk.core.errors import BadInput
from genwerk.runs.session import Session


@dataclass(frozen=True, kw_only=True)
class CheckFamily(Command):
    """Check that a recipe's family, trained for a moment on made-up data, keeps what every family promises."""

    group = MACHINE

    recipe: Annotated[str, Positional()]
    """Name of a recipe."""

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.testing.contract import answers, explained

        found = answers(self.recipe)
        broken = [name for name, said in found.items() if said.startswith("broken")]
        advice = [Note(f"{name}: {' Remedy: '.join(explained(name))}") for name in broken]
        yield Figures(found, [Table(("promise", "found"), list(found.items())), *advice])
        if broken:
            raise BadInput(f"{self.recipe} breaks {len(broken)} of {len(found)} promises: {', '.join(broken)}")
