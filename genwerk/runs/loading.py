"""Loading a run, which trusts nothing: sums, names, shapes and values are checked, and no code is ever run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from genwerk.core.errors import BadFile, BadInput, MissingPlugin
from genwerk.core.files import open_regular, read_json
from genwerk.core.locks import held
from genwerk.core.model import Model, build, build_within
from genwerk.core.spec import DataSpec
from genwerk.runs.checkpoints import best_of, check, checkpoints_in, only_writer, round_of, stage_of
from genwerk.runs.config import Origin, check_condition, read_config, read_origin
from genwerk.training.checkpointer import TrainerState, check_tensor
from genwerk.training.choice import stored_choice
from genwerk.training.resumable import Position
from genwerk.training.settings import Recipe, from_json

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


@dataclass(frozen=True)
class Stored:
    """A verified checkpoint and what its configuration says."""

    folder: Path
    name: str
    recipe: Recipe
    spec: DataSpec
    data: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints of the parts of its data; none in a run of a version that did not take them."""
    notes: tuple[str, ...] = ()
    """Which weights of the run these are and why, in sentences."""
    origin: Origin = field(default_factory=Origin)
    """What the run comes from beside its recipe."""

    @property
    def round(self) -> int:
        """The round after which it was saved."""
        return round_of(self.folder)

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return self.folder.parent.parent


def find(path: Path | str) -> Stored:
    """The chosen checkpoint of a run (``RUN`` or ``RUN/best``), its newest (``RUN/last``), or the one at ``path``.

    Chosen is the best of the newest's stage by its held-out figure, and the newest where none was measured. Damaged
    ones are passed over with a warning.
    """
    stored, hold = _find(Path(path))
    hold.close()
    return stored


@contextmanager
def reading(path: Path | str) -> Iterator[Stored]:
    """:func:`find`, and while inside, no writer of the run removes the checkpoint."""
    stored, hold = _find(Path(path))
    with hold:
        yield stored


def _find(path: Path) -> tuple[Stored, IO[bytes]]:
    newest = False
    if path.name in ("best", "last") and not path.exists() and (path.parent / "config.json").is_file():
        path, newest = path.parent, path.name == "last"
    while True:
        if not path.is_dir():
            raise BadFile(f"{path} is not a folder; name a run folder that `genwerk train` made")
        alone = (path / "manifest.json").exists()
        rounds = [path] if alone else _checkpoints(path)
        best = None if alone or newest or not rounds else best_of(rounds, stage_of(rounds[0]))
        faults, gone = list[str](), False
        for checkpoint in sorted(rounds, key=lambda p: p != best):  # the best first, then the newest
            hold = held(checkpoint)
            if hold is None and not checkpoint.is_dir():
                gone = True
                continue
            fault = check(checkpoint)
            if hold is not None and fault is None:
                if faults:
                    warnings.warn(f"using round {round_of(checkpoint)}: {'; '.join(faults)}", stacklevel=3)
                return _stored(checkpoint, () if alone else _notes(rounds[0], checkpoint)), hold
            if hold is not None:
                hold.close()
            faults.append(fault or f"{checkpoint} is being removed")
        if gone:
            continue
        if alone:
            raise BadFile(f"the checkpoint is damaged: {faults[0]}")
        if faults:
            raise BadFile(f"no checkpoint of {path} is intact: {faults[0]}")
        raise BadInput(f"{path} has no checkpoint yet; training it with ‹resume=True› goes on from its start")


def _notes(newest: Path, taken: Path) -> list[str]:
    """Which of the rounds up to that of ``newest`` the checkpoint ``taken`` is, in sentences."""
    try:
        found = stored_choice(read_json(newest / "trainer" / "state.json"), str(newest))
    except ValueError:
        return []
    if found.round == round_of(taken):
        return found.sentences(round_of(newest))
    which = ", the newest" if taken == newest else ""
    there = f"those of round {round_of(taken):,}{which}; round {found.round:,} is the best by its held-out figure"
    return [f"The weights are {there}."] if found.round >= 0 else []


def unfinished(run: Path, model: Model, recipe: Recipe) -> str | None:
    """How far the training of ``run`` has come, in a sentence; None where it is over or nobody knows."""
    try:
        newest = checkpoints_in(run / "checkpoints")[0]
        at = from_json(Position, read_json(newest / "trainer" / "state.json").get("position"), str(newest))
        stages = model.stages(recipe.train.rounds)
        stage = stages[at.stage]
    except (ValueError, IndexError):
        return None
    if at.at_end_of(stage) and stage is stages[-1]:
        return None
    total = sum(each.rounds for each in stages) + at.undone
    where = f"round {at.round:,} of {total:,}"
    if len(stages) > 1:
        where = f"stage {at.stage + 1} of {len(stages)} ({stage.name}), {where}"
    left = "; later stages are untrained" if stage is not stages[-1] else ""
    return f"the training of {run} is not over: it stands in {where}{left} (‹resume=True› goes on)"


def _stored(checkpoint: Path, notes: Sequence[str]) -> Stored:
    path = checkpoint / "config.json"
    return Stored(checkpoint, *read_config(path), tuple(notes), read_origin(path))


def _checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run folder, the newest first; a BadFile says so where it is none."""
    if not (run / "config.json").exists():
        foreign = sorted(p.name for p in run.iterdir() if p.suffix in PICKLES)
        if foreign:
            raise BadFile(
                f"{run} holds pickled weights ({foreign[0]}), which can run code and which Genwerk never opens; "
                "convert them to safetensors first"
            )
        raise BadFile(f"{run} is not a run folder (it has no config.json)")
    checkpoints = checkpoints_in(run / "checkpoints")
    if not checkpoints and any((run / "checkpoints").glob(".tmp-*")):
        with suppress(BadInput, OSError), only_writer(run):  # puts in its place what a killed writer had completed
            checkpoints = checkpoints_in(run / "checkpoints")
    try:
        read_config(run / "config.json")
    except MissingPlugin:
        raise
    except BadInput as error:
        spare = f"; its checkpoints keep a copy: try {checkpoints[0]}" if checkpoints else ""
        raise BadFile(f"{error.sentence}{spare}") from None
    return checkpoints


def outline(path: Path) -> Model:
    """The model of a run without its weights, on the device "meta": what it is, and what can be asked of it.

    It is that of the newest checkpoint whose configuration can be read; nothing else is looked at.
    """
    folder = path if path.exists() or path.name not in ("best", "last") else path.parent
    if folder.is_dir() and not (folder / "manifest.json").exists():
        for checkpoint in _checkpoints(folder):
            with suppress(BadFile):
                name, recipe, spec, _ = read_config(checkpoint / "config.json")
                return _outline(name, recipe, spec, checkpoint)
    stored = find(folder)
    return _outline(stored.name, stored.recipe, stored.spec, stored.folder)


def _outline(name: str, recipe: Recipe, spec: DataSpec, folder: Path) -> Model:
    shapes, where = _header(folder / "model.safetensors").values(), str(folder / "config.json")
    with torch.device("meta"):
        model = build_within(recipe.model, spec, shapes, where)
    check_condition(model, folder / "config.json")
    model.recipe = name
    return model


def load_model(stored: Stored, *, device: torch.device | str = "cpu", averaged: bool = True) -> Model:
    """The stored model in evaluation mode, with its averaged weights where the run keeps them.

    Sums say that a file is whole, not what is in it: names, shapes and types are compared with what the configuration
    describes, and no more is built than the file holds; weights must be finite.
    """
    path = stored.folder / "model.safetensors"
    found, model = _header(path), _outline(stored.name, stored.recipe, stored.spec, stored.folder)
    expected: dict[str, Tensor] = dict(model.state_dict())
    learned = {name for name, _ in model.named_parameters()}
    plain = {k for k in found if not k.startswith("ema.")}
    for name in sorted(expected.keys() ^ plain):
        raise BadFile(f"{path} {'lacks' if name in expected else 'has the surplus'} tensor {name!r}")
    for name in sorted(found.keys() - plain):
        if name.removeprefix("ema.") not in learned:
            raise BadFile(f"{path} has the surplus tensor {name!r}")
    for own, wanted in expected.items():
        for name in {own, f"ema.{own}"} & found.keys():
            if found[name] != tuple(wanted.shape):
                raise BadFile(
                    f"{path}: tensor {name!r} has shape {found[name]}, the configuration says {tuple(wanted.shape)}"
                )
    tensors = _tensors(path)
    for name, tensor in tensors.items():
        check_tensor(tensor, expected[name.removeprefix("ema.")], f"{path}: tensor {name!r}")
    model = build(stored.recipe.model, stored.spec)
    model.recipe = stored.name
    weights = {k: v for k, v in tensors.items() if k in plain}
    if averaged:
        weights |= {k.removeprefix("ema."): v for k, v in tensors.items() if k not in plain}
    model.load_state_dict(weights)
    return model.to(device).eval()


def _header(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a safetensors file."""
    open_regular(path).close()
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise BadFile(f"{path} is not a safetensors file ({error})") from None


def _tensors(path: Path) -> dict[str, Tensor]:
    _header(path)
    return load_file(path)


def load_state(stored: Stored) -> TrainerState:
    """What a trainer needs to go on from a checkpoint; the trainer compares it with its players."""
    averages = {
        k.removeprefix("ema."): v
        for k, v in _tensors(stored.folder / "model.safetensors").items()
        if k.startswith("ema.")
    }
    folder = stored.folder / "trainer"
    return TrainerState(
        read_json(folder / "state.json"), averages, _tensors(folder / "state.safetensors"), where=str(folder)
    )
