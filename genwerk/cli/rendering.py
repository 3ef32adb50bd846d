"""What the terminal makes of a command's results: sentences and tables on it, files beside the run or where asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from genwerk.cli.progress import follow, say, table
from genwerk.cli.writing import Files
from genwerk.commands.command import Command
from genwerk.commands.results import Examples, Figures, Note, Result, Scatter, Table, Values, Written
from genwerk.runs.session import Session


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
    def files(self) -> Files:
        """Where results are written."""
        opened = self.session.opened
        return Files(self.command.output, opened[-1].outputs if opened else Path("out"), self.out)

    def show(self, result: Result) -> None:
        """Print what ``result`` says, or write it to a file and print where."""
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
                say(f"wrote {self.files.examples(result)}")
            case Values():
                say(f"wrote {self.files.values(result)}")
            case Scatter():
                say(f"wrote {self.files.scatter(result)}")
            case training:
                follow(training, self.again)


def print_json(value: Any) -> None:
    """``value`` as JSON, and nothing else."""
    print(json.dumps(value, indent=1))
