"""What the terminal makes of a command's results: sentences and tables on it, files beside the run or where asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from genwerk.cli.measuring import measure
from genwerk.cli.progress import follow, say, table
from genwerk.cli.writing import OUTPUT, Files
from genwerk.commands.results import Examples, Figures, Note, Result, Scatter, Table, Values, Written
from genwerk.core.errors import BadInput

if TYPE_CHECKING:
    from genwerk.cli.parsing import Asked
    from genwerk.evaluation.evaluate import Evaluation
    from genwerk.runs.opened import OpenRun
    from genwerk.runs.training import Training


class Terminal:
    """Shows the results of a command as they come.

    Where data were asked for on standard output, as JSON or as a table, all that is said goes to standard error.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked, self.stdout, command = asked, sys.stdout, asked.command
        self.code = 0
        """What the command ends with once all is shown."""
        if asked.as_json and asked.out == OUTPUT:
            raise BadInput("‹json› and ‹out› - both go to standard output; name a file with ‹out›")
        self.files = Files(
            command.output,
            out=asked.out,
            overwrite=asked.overwrite,
            numbers=command.numbers,
            stdout=sys.stdout,
            first=getattr(command, "first", 0),
        )

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """While inside, what is said goes where it does not mix with data."""
        if not self.asked.as_json and self.asked.out != OUTPUT:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield

    def opened(self, run: OpenRun) -> None:
        """Refuse, once a run is open and before anything is computed, what could not be written."""
        if self.asked.command.output:
            self.files.begin(run.spec.modality, run)

    def show(self, result: Result) -> None:
        """Print what ``result`` says, or write it to a file and print where."""
        match result:
            case Note(text):
                say(text)
            case Table(columns, rows, cut):
                table(columns, rows, cut=cut)
            case Figures(values, shown):
                if self.asked.as_json or shown is None:
                    self.print_json(values)
                else:
                    for each in shown:
                        self.show(each)
            case Written(path):
                say(f"wrote {path}")
            case Examples() if self.asked.command.unasked or self.asked.out is not None:
                self._tell(self.files.examples(result))
            case Values():
                self._tell(self.files.values(result))
            case Scatter():
                self._tell(self.files.scatter(result))
            case Examples():
                pass
            case stream:
                self.play(stream)

    def play(self, stream: Training | Evaluation) -> None:
        """A training, or what measures one, to its end."""
        from genwerk.evaluation.evaluate import Evaluation

        if isinstance(stream, Evaluation):
            self.code = measure(stream)
        else:
            follow(stream, self.asked.again)

    def _tell(self, line: str) -> None:
        if line:
            say(line)

    def print_json(self, value: Any) -> None:
        """``value`` as JSON, and nothing else."""
        print(json.dumps(value, indent=1), file=self.stdout)
