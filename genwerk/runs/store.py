"""A run on disk: atomic checksummed checkpoints, one writer, and loading that trusts nothing.

A run folder holds ``config.json`` (recipe, spec, version), ``checkpoints/<round>/`` (each complete in itself and listed
with sha256 sums in its ``manifest.json``), ``events.jsonl``, ``samples/`` and a page of these (``index.html``,
``curves.png``). Only safetensors and JSON are ever read.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from genwerk import __version__
from genwerk.core.errors import BadInput, Unwritable, reason
from genwerk.core.files import flush, flush_folder, make_folder, open_own
from genwerk.core.locks import alone
from genwerk.core.model import Model
from genwerk.core.tensors import write_tensors
from genwerk.runs.checkpoints import (
    begun,
    best_of,
    check,
    checkpoints_in,
    discard,
    only_writer,
    put,
    round_of,
    sha256,
    stage_of,
)
from genwerk.runs.config import Change, Origin, describe, read_config, read_origin
from genwerk.runs.formats import FORMAT
from genwerk.runs.loading import Stored, find, load_model, load_state, outline, reading, unfinished
from genwerk.training.checkpointer import TrainerState
from genwerk.training.settings import Recipe

__all__ = [
    "Change",
    "Checkpoints",
    "Origin",
    "Stored",
    "begun",
    "check",
    "describe",
    "find",
    "load_model",
    "load_state",
    "only_writer",
    "outline",
    "read_config",
    "read_origin",
    "reading",
    "round_of",
    "unfinished",
    "save_model",
]


class Checkpoints:
    """The checkpoints of one run: ``keep`` newest are kept, and the best of every stage that these are of.

    At no moment is there none whole: a new one is written beside the others and renamed when it is complete; one of the
    same round is first given another name, under which it still counts, and what is pruned vanishes at once.
    """

    def __init__(self, run: Path, config: Mapping[str, Any], keep: int = 2) -> None:
        self.folder, self.config, self.keep = run / "checkpoints", config, max(1, keep)

    def save(self, model: Model, state: TrainerState, score: float | None = None) -> Path:
        """Write a checkpoint beside the others and let it appear whole; an Unwritable says why it could not be.

        ``score`` is its held-out figure, if it was measured on these weights and beats all before it in its stage.
        """
        path = self.folder / f"{state.figures['position']['round']:08d}"
        weights = model.state_dict() | {f"ema.{k}": v for k, v in state.averages.items()}
        beside = self.folder / f".tmp-{os.getpid()}-{path.name}"
        try:
            self._make_room(sum(t.nbytes for t in (*weights.values(), *state.tensors.values())))
            shutil.rmtree(beside, ignore_errors=True)
            (beside / "trainer").mkdir(parents=True)
            _write_json(beside / "config.json", self.config)
            _write_json(beside / "trainer" / "state.json", state.figures)
            _write_state(beside / "model.safetensors", weights)
            _write_state(beside / "trainer" / "state.safetensors", state.tensors)
            flush_folder(beside / "trainer")
            _seal(beside, score)
            put(beside, path)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise Unwritable(
                f"the checkpoint of round {round_of(path)} cannot be written in {self.folder} ({reason(error)}); "
                "earlier checkpoints are untouched: make room and go on with ‹resume=True›"
            ) from None
        self._prune(path)
        return path

    def newest(self) -> Path | None:
        """The newest checkpoint whose files are all intact."""
        return next((path for path in checkpoints_in(self.folder) if check(path) is None), None)

    def best(self) -> Path | None:
        """The intact checkpoint with the smallest held-out score in the newest one's stage."""
        intact = [path for path in checkpoints_in(self.folder) if check(path) is None]
        return best_of(intact, stage_of(intact[0])) if intact else None

    def home(self, round: int) -> Path | None:
        """The checkpoint of ``round``; the best or the newest where that is gone or damaged."""
        path = self.folder / f"{round:08d}"
        return path if check(path) is None else self.best() or self.newest()

    def round_of(self, checkpoint: Path) -> int:
        """The round after which a checkpoint was saved."""
        return round_of(checkpoint)

    def load_weights(self, checkpoint: Path, *, averaged: bool = True) -> dict[str, Tensor]:
        """The model's state, with its averaged weights where the run keeps them; a BadFile where it is another's."""
        return load_model(find(checkpoint), averaged=averaged).state_dict()

    def load_state(self, checkpoint: Path) -> TrainerState:
        """What :meth:`save` was given."""
        return load_state(find(checkpoint))

    def _make_room(self, size: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = size + 2**20, shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(errno.ENOSPC, f"it needs {needed / 2**20:.0f} MB and {free / 2**20:.0f} MB are free")

    def _prune(self, newest: Path) -> None:
        rounds = [p for p in checkpoints_in(self.folder) if p == newest or round_of(p) != round_of(newest)]
        kept = {newest, *rounds[: self.keep]}
        best = {best_of(rounds, stage) for stage in {stage_of(path) for path in kept}}
        for path in set(checkpoints_in(self.folder)) - kept - best:
            with alone(path) as free:
                if free:
                    discard(path)


def save_model(model: Model, run: Path) -> Path:
    """Write ``model``, without a training, as a run of round 0 into a folder that is new or empty."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise BadInput(f"{run} holds something already; save the model into a new folder")
    name = type(model).__name__.lower()
    config = describe(name, Recipe(model=model.config), model.spec)
    folder = run / "checkpoints" / f"{0:08d}"
    try:
        make_folder(folder)
        _write_json(folder / "config.json", config)
        _write_state(folder / "model.safetensors", model.state_dict())
        _seal(folder, None)
        _write_json(run / "config.json", config)
    except (OSError, SafetensorError) as error:
        raise Unwritable(f"the model cannot be written into {run} ({reason(error)})") from None
    return run


def _seal(folder: Path, score: float | None) -> None:
    """List the files of a checkpoint in its manifest, with which it is whole."""
    files = {str(p.relative_to(folder).as_posix()): p for p in sorted(folder.rglob("*")) if p.is_file()}
    listed = {name: {"bytes": p.stat().st_size, "sha256": sha256(p)} for name, p in files.items()}
    versions = {"genwerk": __version__, "torch": torch.__version__}
    _write_json(folder / "manifest.json", {"format": FORMAT, "score": score, "files": listed, "versions": versions})
    flush_folder(folder)


def _write_json(path: Path, value: Any) -> None:
    with open_own(path, os.O_EXCL) as file:
        file.write(json.dumps(value, indent=1).encode() + b"\n")
        flush(file)


def _write_state(path: Path, tensors: Mapping[str, Tensor]) -> None:
    seen: set[int] = set()
    alone = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().contiguous()
        alone[name] = flat.clone() if flat.untyped_storage().data_ptr() in seen else flat
        seen.add(flat.untyped_storage().data_ptr())
    write_tensors(path, alone)
