"""What is written down while a run trains: the event log, sample pictures, the page and TensorBoard's log."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from genwerk.core.errors import BadFile, Unwritable, reason
from genwerk.core.files import open_own, open_regular, parse_json, write_atomically
from genwerk.core.memory import peak_memory
from genwerk.runs.checkpoints import round_of
from genwerk.runs.page import update_page
from genwerk.training.events import (
    Collapsed,
    Evaluated,
    Event,
    RolledBack,
    RoundDone,
    Sampled,
    Saved,
    StageDone,
    Stopped,
    Watched,
)

if TYPE_CHECKING:
    from genwerk.runs.training import Training


LINES = 50
"""Lines of the log for rounds of a stage, at the least, where it has so many rounds."""
PAUSE = 10.0
"""Seconds between two writings of the page, at the least."""
SHARE = 100
"""Seconds of training, at the least, for each that the page takes."""


class Recorder:
    """Writes events down: ``events.jsonl``, ``samples/``, the page, and TensorBoard's log where it is asked for."""

    def __init__(self, training: Training) -> None:
        self.training, self.every = training, training.recipe.train.log_every
        self.log = training.path / "events.jsonl"
        resumed_at = 0 if training.resumed is None else round_of(training.resumed.folder)
        spent = self._forget_after(resumed_at)
        self.file = open_own(self.log, os.O_APPEND)
        self.started, self._idle = time.monotonic(), time.process_time() - spent
        self.page_due = self.started + 1
        trainer = training.trainer
        where = {"stage": trainer.stages[trainer.position.stage].name, "round": resumed_at}
        self._put({"event": "plan", **where, "rounds": trainer.rounds})
        self.writer = None if training.writer is None else training.writer(str(training.path / "tensorboard"))

    def _forget_after(self, round: int) -> float:
        """Drop lines that a killed process wrote after the checkpoint we go on from, and say which are damaged.

        The processor seconds that training has taken up to there, as those that are kept say.
        """
        if not self.log.exists():
            return 0.0
        kept, damaged, spent = list[bytes](), 0, 0.0
        with open_regular(self.log) as file:
            for line in file:
                try:
                    event = parse_json(line, str(self.log))
                except BadFile:
                    event = {}
                where, before = event.get("round"), event.get("cpu_seconds")
                damaged += not isinstance(where, int)
                if isinstance(where, int) and where <= round:
                    kept.append(line.rstrip(b"\n") + b"\n")
                    spent = max(spent, before) if isinstance(before, float) else spent
        if damaged:
            warnings.warn(f"{damaged} damaged lines of {self.log} are dropped; the checkpoints decide", stacklevel=2)
        write_atomically(self.log, b"".join(kept))
        return spent

    def __call__(self, event: Event) -> None:
        match event:
            case RoundDone(round=round, metrics=metrics):
                stage = self.training.trainer.stages[self.training.trainer.position.stage]
                if self.every and round % min(self.every, max(1, stage.rounds // LINES)) == 0:
                    self._line(event, "round", {k: v.item() for k, v in metrics.items()})
            case Evaluated(figures=figures, best=best):
                self._line(event, "evaluated", figures, best=best)
            case Sampled(what=what, batch=batch):
                name, seed = self.training.name, self.training.recipe.train.seed
                origin = {"recipe": name, "run": self.training.path.name, "round": event.round, "seed": seed}
                stem = self.training.path / "samples" / f"{event.round:08d}"
                for link in stem.parent.glob(f"{stem.name}.*"):
                    if link.is_symlink():  # what it leads to may be somebody's
                        link.unlink()
                spec = self.training.splits.spec
                written = spec.modality.write(stem, batch, origin)
                if spec.modality.drawn:
                    spec.modality.draw(stem.with_name(stem.name + spec.modality.drawn), batch, origin)
                self._line(event, what, {}, file=written.name)
            case Saved(path=path, best=best):
                self._line(event, "saved", {}, file=path.name, best=best, **self._cost())
            case StageDone(converged=converged, choice=choice):
                done = {"converged": converged, "chosen": choice.round, "last": self.training.trainer.over}
                self._line(event, "stage done", {}, **done, **self._cost())
            case Watched(figures=figures):
                self._line(event, "watched", figures)
            case Collapsed(reason=reason, action=action):
                self._line(event, "collapsed", {}, reason=reason, action=action)
            case RolledBack(to_round=to_round, retry=retry):
                self._line(event, "rolled back", {}, to_round=to_round, retry=retry)
            case Stopped():
                self._line(event, "stopped", {})
        if time.monotonic() > self.page_due:
            self._write_page()

    def _line(self, event: Event, kind: str, figures: Mapping[str, float], **more: Any) -> None:
        where = {"stage": event.stage, "round": event.round, "examples": event.examples}
        self._put({"event": kind, **where, "seconds": round(time.monotonic() - self.started, 3), **figures, **more})
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(f"{kind}/{name}", value, event.round)

    def _cost(self) -> dict[str, Any]:
        """What training has taken so far, of this process: processor seconds (over resumes too), and memory at most."""
        device = self.training.runtime.device
        cuda = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        cost = {"cpu_seconds": round(time.process_time() - self._idle, 3), "peak_memory": peak_memory()}
        return cost | ({} if cuda is None else {"peak_device_memory": cuda})

    def _put(self, line: Mapping[str, Any]) -> None:
        try:
            self.file.write(json.dumps(line).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise Unwritable(
                f"{self.log} cannot be written ({reason(error)}); make room and go on with ‹resume=True›"
            ) from None

    def _write_page(self) -> None:
        """Write the page as things stand, and not again until that time is little beside the training since."""
        start = time.monotonic()
        written, now = update_page(self.training.path), time.monotonic()
        self.page_due = now + max(PAUSE, SHARE * (now - start)) if written else math.inf

    def close(self) -> None:
        """Bring the page up to date for the last time, and let go of the files."""
        self.file.close()
        if self.page_due < math.inf:
            self._write_page()
        if self.writer is not None:
            self.writer.close()
