"""What a page makes of results: each is told as it comes, and what belongs in a file is written into a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwerk.cli.parsing import Asked
from genwerk.cli.rendering import Terminal, about, plain_json
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
)
from genwerk.core.errors import naming
from genwerk.studio.places import kind_of

if TYPE_CHECKING:
    from genwerk.runs.opened import OpenRun
    from genwerk.runs.training import Training

Tell = Callable[[dict[str, Any]], None]
"""Takes what is told: an object of plain values with its ``type``."""


class Page(Terminal):
    """Tells the results of a command as they come; files are written into ``folder``, or, by commands that make a
    folder of their own, below the ``root``."""

    def __init__(self, asked: Asked, folder: Path, root: Path, tell: Tell) -> None:
        super().__init__(asked)
        self.folder, self.root, self.tell = folder, root, tell
        self.files.outputs = folder

    def opened(self, run: OpenRun) -> None:
        """Refuse, once a run is open and before anything is computed, what could not be written."""
        if self.asked.command.output:
            self.files.begin(run.spec.modality)

    def note(self, sentence: str) -> None:
        """Tell a sentence."""
        self.tell({"type": "note", "text": spoken(sentence)})

    def show(self, result: Result) -> None:
        """Tell ``result``, or write it to a file and tell where."""
        match result:
            case Note(text):
                self.note(text)
            case Table(columns, rows):
                self.tell({"type": "table", "columns": list(columns), "rows": [list(row) for row in rows]})
            case Figures(values, shown):
                self.tell({"type": "figures", "values": plain_json(values), "whole": shown is None})
                for each in shown or ():
                    self.show(each)
            case Written() | Examples() | Pictures() | Values() | Scatter():
                for _, path in self.write(result):
                    self._file(path, result)
            case stream:
                self.play(stream)

    def _file(self, path: Path, result: Written | Examples | Pictures | Values | Scatter) -> None:
        path = path.absolute()
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            told = {"type": "file", "kind": kind_of(each), "about": plain_json(about(result))}
            if each.is_file() and each.is_relative_to(self.folder):
                self.tell({**told, "name": each.relative_to(self.folder).as_posix()})
            elif each.is_file() and each.is_relative_to(self.root):
                below = each.relative_to(self.root)
                self.tell({**told, "name": below.name, "url": {"run": below.parent.as_posix(), "name": below.name}})

    def play(self, stream: Training | Measurement) -> None:
        """What measures, to its end."""
        assert not hasattr(stream, "trainer")  # a training has a process of its own
        for event in stream:
            told = ", ".join(event.figures) or f"step {event.step} of {event.steps}"
            self.tell({"type": "progress", "done": event.done, "of": event.total, "text": f"{event.what}: {told}"})


def spoken(sentence: str) -> str:
    """A sentence with settings by their names on the page."""
    return naming(sentence.strip(), lambda name: name.partition("=")[0].replace("_", " ").replace(".", " "))
