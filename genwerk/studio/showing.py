"""What a page makes of results: each is told as it comes, and what belongs in a file is written into a folder."""

from __future__ import annotations

import os
import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
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
from genwerk.core.errors import SETTING, naming
from genwerk.studio.places import PREFIX, kind_of

if TYPE_CHECKING:
    from torch import Tensor

    from genwerk.core.spec import Batch, DataSpec
    from genwerk.evaluation.report import Measuring
    from genwerk.runs.opened import OpenRun
    from genwerk.runs.training import Training

IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Folder for files that are read again at once: nothing of it waits for a disk."""
FRAME = 90
"""Milliseconds for which a frame of an animation stands."""
OFTEN, WATCHED = 0.25, 16
"""Seconds between two states of samples that are shown, at least, and samples of which they are, at most."""
FLAG = r"(?<![\w-])--([a-z](?:[\w.-]*\w)?)"
"""A setting as it is typed in a terminal."""
Tell = Callable[[dict[str, Any]], None]
"""Takes what is told: an object of plain values with its ``type``."""


class Page(Terminal):
    """Tells the results of a command as they come; files are written into ``folder``, or, by commands that make a
    folder of their own, below the ``root``."""

    def __init__(self, asked: Asked, folder: Path, root: Path, tell: Tell) -> None:
        super().__init__(asked)
        self.folder, self.root, self.tell = folder, root, tell
        self.files.outputs = folder
        self.spec: DataSpec | None = None
        self._framed, self._frames = 0.0, 0

    def frame(self, state: Tensor) -> None:
        """Tell a state that samples of images go through, unless one was told just now."""
        from genwerk.core.spec import Batch

        self._frames += 1
        if self.spec is None or not self.spec.modality.has_pixels or time.monotonic() - self._framed < OFTEN:
            return
        self.tell({"type": "frame", "step": self._frames, **shown(Batch(state[:WATCHED]), self.spec)})
        self._framed = time.monotonic()

    def opened(self, run: OpenRun) -> None:
        """Refuse, once a run is open and before anything is computed, what could not be written."""
        self.spec = run.spec
        if self.asked.command.output:
            self.files.begin(run.spec.modality)

    def note(self, sentence: str) -> None:
        """Tell a sentence."""
        self.tell({"type": "note", "text": spoken(sentence)})

    def show(self, result: Result) -> None:
        """Tell ``result``, or write it to a file and tell where."""
        match result:
            case Note(text, whole):
                if not (whole and "genwerk " in text):  # a command line is for a terminal
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
            self.progress(event)

    def progress(self, event: Measuring) -> None:
        """Tell how far a measurement is."""
        told = ", ".join(event.figures) or f"step {event.step} of {event.steps}"
        text = f"{event.what}: {told}"
        fronts = {"fronts": event.fronts} if event.fronts else {}
        self.tell({"type": "progress", "done": event.done, "of": event.total, "text": text, **fronts})


def shown(batch: Batch, spec: DataSpec) -> dict[str, Any]:
    """Examples as a page shows them at once: a picture, a sound, lines of text, or rows of a table."""
    modality, batch = spec.modality, batch.to("cpu")
    if modality.is_text:
        return {"texts": modality.lines(batch.shown)}
    if not modality.one_per_file:
        columns, rows = modality.records([batch])
        return {"columns": list(columns), "rows": plain_json([list(row) for row in rows])}
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        path = Path(folder) / f"shown{modality.endings[0]}"
        path = modality.write_one(path, batch.x[0], {}) if len(batch) == 1 else modality.write(path, batch, {})
        kind = {"image": "image/png", "sound": "audio/wav"}[kind_of(path)]
        return {kind.partition("/")[0]: data_url(path.read_bytes(), kind)}


def data_url(content: bytes, kind: str) -> str:
    """``content`` of a media type as an address that holds it."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def png(pixels: Tensor) -> bytes:
    """Pixels, uint8 with shape (h, w, 3), as the content of a file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "PNG")
    return file.getvalue()


def gif(frames: Sequence[Tensor], told: str) -> bytes:
    """Frames, uint8 with shape (h, w, 3) each, as an animation that goes on for ever; ``told`` is its comment."""
    from PIL import Image

    file, (first, *others) = BytesIO(), [Image.fromarray(each.numpy()) for each in frames]
    first.save(file, "GIF", save_all=True, append_images=others, duration=FRAME, loop=0, comment=told.encode())
    return file.getvalue()


def spoken(sentence: str) -> str:
    """A sentence as the page says it: settings and commands by their names there, and not as they are typed."""
    plain = re.sub(r"`genwerk ([a-z][a-z-]*)[^`]*`", lambda found: f"“{_spelt(found[1])}”", sentence.strip())
    plain = re.sub(r":\w+:`([^`]*)`", r"\1", plain)
    plain = re.sub(rf"{FLAG}(?: [A-Z]+\b)?", lambda found: f"“{_called(found[1])}”", plain)
    return naming(plain, _called)


def settings_of(sentence: str) -> list[str]:
    """Names of the settings that a sentence of an error names, as fields have them."""
    found = re.findall(rf"{SETTING}|{FLAG}", sentence)
    return list(dict.fromkeys((name or flag.replace("-", "_")).partition("=")[0] for name, flag in found))


def _called(setting: str) -> str:
    """What a setting is called where it is filled in: ``data.holdout=0.1`` is holdout."""
    return setting.partition("=")[0].rpartition(".")[2].replace("_", " ").replace("-", " ")


def _spelt(command: str) -> str:
    return command.replace("-", " ").capitalize()


def without_paths(text: str, root: Path) -> str:
    """``text`` with names below the root, and below a folder of uploads, in place of whole paths."""
    private = rf"{re.escape(gettempdir())}/{PREFIX}[^/\"]*/(?:uploads|jobs)/[^/\"]*/(?:files/)?"
    return re.sub(private, "", text).replace(f"{root}/", "")
