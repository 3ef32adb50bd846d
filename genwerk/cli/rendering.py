"""What the terminal makes of a command's results: sentences and tables on it, files beside the run or where asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from genwerk.cli.progress import follow, say, table
from genwerk.commands.command import Command
from genwerk.commands.results import Examples, Figures, Note, Result, Scatter, Table, Values, Written
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from genwerk.runs.opened import OpenRun


class Terminal:
    """Shows the results of ``command`` as they come.

    ``out`` is where examples go instead of the run's own folder, ``as_json`` prints figures as JSON, and ``again`` is
    the command that goes on with a training that was stopped.
    """

    def __init__(
        self, command: Command, session: Session, *, out: str | None = None, as_json: bool = False, again: str = ""
    ) -> None:
        self.command, self.session, self.out, self.as_json, self.again = command, session, out, as_json, again

    @property
    def opened(self) -> OpenRun:
        """The run that the results are of."""
        return self.session.opened[-1]

    def show(self, result: Result) -> None:
        """Print what ``result`` says, or write it to a file and print where."""
        from genwerk.modalities import writers

        match result:
            case Note(text):
                say(text)
            case Table(columns, rows):
                table(columns, rows)
            case Figures(values, shown):
                if self.as_json or shown is None:
                    print_json(values)
                else:
                    for each in shown:
                        self.show(each)
            case Written(path):
                say(f"wrote {path}")
            case Examples():
                self.opened.write(
                    result.parts, self.out, self.command.output, n=result.n, columns=result.columns, **result.origin
                )
            case Values(rows, end):
                target = self.opened.beside(self.out, self.command.output, end)
                say(f"wrote {writers.write_table(target, [rows])}")
            case Scatter(groups, title, origin, end):
                target = writers.named(self.opened.beside(self.out, self.command.output, ".csv"), end)
                say(f"wrote {writers.scatter(target, groups, origin, title=title)}")
            case training:
                follow(training, self.again)


def print_json(value: Any) -> None:
    """``value`` as JSON, and nothing else."""
    print(json.dumps(value, indent=1))
