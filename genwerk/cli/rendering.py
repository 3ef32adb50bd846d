"""What the command line makes of results: sentences, tables or JSON, and files beside the run or where asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from math import isfinite
from typing import TYPE_CHECKING, Any

from genwerk.cli.measuring import measure
from genwerk.cli.progress import flag, follow, say, table
from genwerk.cli.writing import OUTPUT, Done, Files
from genwerk.commands.results import (
    Examples,
    Figures,
    Measurement,
    Note,
    Pictures,
    Result,
    Scatter,
    Table,
    Values,
    Written,
    records,
)
from genwerk.core.errors import BadInput, naming
from genwerk.training.launcher import is_first, may_speak

if TYPE_CHECKING:
    from genwerk.cli.parsing import Asked
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
            animations=command.animations,
            loose=command.loose,
            stdout=sys.stdout,
            first=getattr(command, "first", 0),
        )

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """While inside, what is said goes where it does not mix with data; of several processes the first speaks."""
        if not is_first():
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                yield
            return
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
            case Note(text, whole):
                say(text, whole=whole)
            case Table(columns, rows, cut):
                table(columns, rows, cut=cut)
            case Figures(values, shown):
                if shown is None:
                    print(as_json(values))
                for each in shown or ():
                    self.show(each)
            case Written() | Examples() | Pictures() | Values() | Scatter():
                for verb, path in self.write(result):
                    say(f"{verb} {path}", whole=True)
            case stream:
                self.play(stream)

    def play(self, stream: Training | Measurement) -> None:
        """A training, or what measures, to its end."""
        from genwerk.runs.training import Training

        if isinstance(stream, Training):
            follow(stream, self.asked.again)
        else:
            self.code = measure(stream)

    def write(self, result: Written | Examples | Pictures | Values | Scatter) -> list[Done]:
        """Write what belongs in files, unless it is only written where somebody names a file and nobody did."""
        match result:
            case Written(path):
                return [("wrote", path)]
            case Examples() if self.asked.command.unasked or self.asked.out is not None:
                return self.files.examples(result)
            case Pictures():
                return self.files.pictures(result)
            case Values():
                return self.files.values(result)
            case Scatter():
                return self.files.scatter(result)
            case Examples():
                return []

    def close(self) -> None:
        """Print what is kept for the end."""


class Document(Terminal):
    """Gathers all results in one JSON object: figures by their names; ``files``, ``notes`` and ``tables`` are lists."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.content: dict[str, Any] = {}

    def show(self, result: Result) -> None:
        """Take in what ``result`` says, and write what belongs in a file."""
        match result:
            case Note(text):
                self._add("notes", naming(text.strip(), flag))
            case Table(columns, rows):
                self._add("tables", [dict(zip(columns, row, strict=True)) for row in rows])
            case Figures(values):
                self.content |= values
            case Written() | Examples() | Pictures() | Values() | Scatter():
                for _, path in self.write(result):
                    self._add("files", {"path": str(path), **about(result)})
            case stream:
                self.play(stream)

    def play(self, stream: Training | Measurement) -> None:
        """A training, or what measures, to its end; of a training its folder and round are kept."""
        from genwerk.runs.training import Training

        super().play(stream)
        if isinstance(stream, Training):
            self.content |= {"run": str(stream.path), "round": stream.trainer.position.round}

    def _add(self, kind: str, what: object) -> None:
        self.content[kind] = [*self.content.get(kind, ()), what]

    def close(self) -> None:
        """Print the object, where anything was found."""
        if self.content and may_speak():
            print(as_json(self.content), file=self.stdout, flush=True)


def about(result: Written | Examples | Pictures | Values | Scatter) -> dict[str, Any]:
    """What JSON tells of the content of a file."""
    match result:
        case Examples(n=n, origin=origin, known=known):
            return {"n": n, "origin": dict(origin), **({"examples": records(known)} if known else {})}
        case Values(rows=rows):
            return {"n": len(rows), "columns": result.columns}
        case Scatter(groups=groups, origin=origin):
            return {"groups": {name: len(points) for name, points in groups.items()}, "origin": dict(origin)}
        case _:
            return {}


def plain_json(value: Any) -> Any:
    """``value`` as JSON that any reader takes has it: a number that is none (nan, inf) is null."""
    if isinstance(value, Mapping):
        return {name: plain_json(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def as_json(values: Any) -> str:
    """``values`` as the text of :func:`plain_json`."""
    return json.dumps(plain_json(values), indent=1, allow_nan=False)
