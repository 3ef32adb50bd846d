"""What is written down while a run trains: the event log, sample pictures and TensorBoard's log."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genwerk.core.errors import BadFile, Unwritable, reason
from genwerk.core.files import open_own, open_regular, parse_json, write_atomically
from genwerk.runs.layout import round_of
from genwerk.training.events import (
    Collapsed,
    Evaluated,
    Event,
    RolledBack,
    RoundDone,
    Sampled,
    Saved,
    StageDone,
    Watched,
)

if TYPE_CHECKING:
    from genwerk.runs.training import Training


class Recorder:
    """Writes events down: ``events.jsonl``, ``samples/``, and TensorBoard's log where it is asked for."""

    def __init__(self, training: Training) -> None:
        self.training, self.every = training, training.recipe.train.log_every
        self.log = training.path / "events.jsonl"
        self._forget_after(0 if training.resumed is None else round_of(training.resumed.folder))
        self.file = open_own(self.log, os.O_APPEND)
        self.started = time.monotonic()
        self.writer = None if training.writer is None else training.writer(str(training.path / "tensorboard"))

    def _forget_after(self, round: int) -> None:
        """Drop lines that a killed process wrote after the checkpoint we go on from, and say which are damaged."""
        if not self.log.exists():
            return
        kept, damaged = list[bytes](), 0
        with open_regular(self.log) as file:
            for line in file:
                try:
                    where = parse_json(line, str(self.log)).get("round")
                except BadFile:
                    where = None
                damaged += not isinstance(where, int)
                if isinstance(where, int) and where <= round:
                    kept.append(line.rstrip(b"\n") + b"\n")
        if damaged:
            warnings.warn(f"{damaged} damaged lines of {self.log} are dropped; the checkpoints decide", stacklevel=2)
        write_atomically(self.log, b"".join(kept))

    def __call__(self, event: Event) -> None:
        match event:
            case RoundDone(round=round, metrics=metrics) if self.every and round % self.every == 0:
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
                self._line(event, "saved", {}, file=path.name, best=best)
            case StageDone(converged=converged, choice=choice):
                self._line(event, "stage done", {}, converged=converged, chosen=choice.round)
            case Watched(figures=figures):
                self._line(event, "watched", figures)
            case Collapsed(reason=reason, action=action):
                self._line(event, "collapsed", {}, reason=reason, action=action)
            case RolledBack(to_round=to_round, retry=retry):
                self._line(event, "rolled back", {}, to_round=to_round, retry=retry)

    def _line(self, event: Event, kind: str, figures: Mapping[str, float], **more: Any) -> None:
        where = {"event": kind, "stage": event.stage, "round": event.round, "examples": event.examples}
        seconds = round(time.monotonic() - self.started, 3)
        try:
            self.file.write(json.dumps({**where, "seconds": seconds, **figures, **more}).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise Unwritable(
                f"{self.log} cannot be written ({reason(error)}); make room and go on with ‹resume=True›"
            ) from None
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(f"{kind}/{name}", value, event.round)

    def close(self) -> None:
        self.file.close()
        if self.writer is not None:
            self.writer.close()
