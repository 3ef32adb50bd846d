"""A run on disk: atomic checksummed checkpoints, one writer, and loading that trusts nothing.

A run folder holds ``config.json`` (recipe, spec, version), ``checkpoints/<round>/`` (each complete in itself and listed
with sha256 sums in its ``manifest.json``), ``events.jsonl`` and ``samples/``. Only safetensors and JSON are ever read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import genwerk.families  # noqa: F401  (registers what a run may name)
from genwerk import __version__
from genwerk.core.errors import BadFile, BadInput, Unwritable
from genwerk.core.files import flush, flush_folder, open_own, open_regular, read_json
from genwerk.core.model import Model, build, build_within
from genwerk.core.spec import DataSpec
from genwerk.runs.formats import FORMAT, current
from genwerk.training.checkpointer import TrainerState, check_tensor
from genwerk.training.choice import stored_choice
from genwerk.training.settings import Recipe, from_json, to_json

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


@dataclass(frozen=True, kw_only=True)
class Change:
    """Settings that a run was resumed with, other than before."""

    round: int
    """The round that had been played last."""
    settings: dict[str, str]
    """Name of each setting, and its value before and after."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a run comes from beside its recipe."""

    processes: int = 1
    """Number of processes that train it."""
    changes: tuple[Change, ...] = ()
    """Where settings changed on the way, oldest first."""


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

    origin: Origin = Origin()
    """What the run comes from beside its recipe."""

    @property
    def round(self) -> int:
        """The round after which it was saved."""
        return round_of(self.folder)


# --- configuration --------------------------------------------------------------------------------------------------


def describe(
    name: str,
    recipe: Recipe,
    spec: DataSpec,
    data: Mapping[str, str] | None = None,
    origin: Origin = Origin(),
) -> dict[str, Any]:
    """The content of ``config.json``."""
    return {
        "library": "genwerk",
        "format": FORMAT,
        "version": __version__,
        "name": name,
        "recipe": to_json(recipe),
        "spec": to_json(spec),
        "data": dict(data or {}),
        "origin": to_json(origin),
    }


def read_origin(path: Path) -> Origin:
    """What a ``config.json`` says of where its run comes from."""
    origin: Origin = from_json(Origin, read_json(path).get("origin", {}), f"{path}: origin")
    return origin


def read_config(path: Path) -> tuple[str, Recipe, DataSpec, dict[str, str]]:
    """Recipe name, recipe, spec and fingerprints of the data of a ``config.json``; a BadFile says what is wrong."""
    config = read_json(path)
    if config.get("library") != "genwerk":
        raise BadFile(f"{path} was not written by Genwerk; point at a folder that `genwerk train` made")
    config = current(config)
    if config.get("format") != FORMAT:
        raise BadFile(
            f"{path} has format {config.get('format')!r} and this Genwerk ({__version__}) reads up to {FORMAT}; "
            f"the run was written by version {config.get('version')!r}: install that one or a newer one"
        )
    name = from_json(str, config.get("name"), f"{path}: name")
    recipe = from_json(Recipe, config.get("recipe"), f"{path}: recipe")
    spec = from_json(DataSpec, config.get("spec"), f"{path}: spec")
    return name, recipe, spec, from_json(dict[str, str], config.get("data", {}), f"{path}: data")


# --- writing --------------------------------------------------------------------------------------------------------


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
            _write_tensors(beside / "model.safetensors", weights)
            _write_tensors(beside / "trainer" / "state.safetensors", state.tensors)
            files = {str(p.relative_to(beside).as_posix()): p for p in sorted(beside.rglob("*")) if p.is_file()}
            listed = {name: {"bytes": p.stat().st_size, "sha256": _sha256(p)} for name, p in files.items()}
            versions = {"genwerk": __version__, "torch": torch.__version__}
            _write_json(
                beside / "manifest.json", {"format": FORMAT, "score": score, "files": listed, "versions": versions}
            )
            flush_folder(beside / "trainer")
            flush_folder(beside)
            _put(beside, path)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise Unwritable(
                f"the checkpoint of round {round_of(path)} cannot be written in {self.folder} ({_reason(error)}); "
                "earlier checkpoints are untouched: make room and go on with --resume"
            ) from None
        self._prune(path)
        return path

    def newest(self) -> Path | None:
        """The newest checkpoint whose files are all intact."""
        return next((path for path in _rounds(self.folder) if check(path) is None), None)

    def best(self) -> Path | None:
        """The intact checkpoint with the smallest held-out score in the newest one's stage."""
        intact = [path for path in _rounds(self.folder) if check(path) is None]
        return _best(intact, _stage(intact[0])) if intact else None

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
        rounds = [p for p in _rounds(self.folder) if p == newest or round_of(p) != round_of(newest)]
        kept = {newest, *rounds[: self.keep]}
        best = {_best(rounds, stage) for stage in {_stage(path) for path in kept}}
        for path in set(_rounds(self.folder)) - kept - best:
            with _alone(path) as free:
                if free:
                    _discard(path)


def _put(beside: Path, path: Path) -> None:
    """Rename a complete checkpoint ``beside`` to ``path``; one that is there keeps counting until that is done."""
    if path.exists():
        aside = next(p for i in range(1, 1000) if not (p := path.with_name(f"{path.name}.{i}")).exists())
        path.rename(aside)
    beside.rename(path)
    flush_folder(path.parent)


def _discard(path: Path) -> None:
    """Remove a checkpoint: it vanishes at once, and then its files are deleted. Should that fail, it stays."""
    with suppress(OSError):
        gone = path.with_name(f".gone-{os.getpid()}-{path.name}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _recover(run: Path) -> None:
    """Tidy up after a writer that was killed: what it had completed takes its place, what it had not is removed."""
    folder = run / "checkpoints"
    for beside in folder.glob(".tmp-*"):
        path = folder / beside.name.rpartition("-")[2]
        if path.name.isdigit() and check(beside) is None and check(path) is not None:
            _put(beside, path)
        else:
            shutil.rmtree(beside, ignore_errors=True)
    for left in (*folder.glob(".gone-*"), *run.glob(".*.tmp-*")):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink()


def round_of(checkpoint: Path) -> int:
    """The round after which a checkpoint was saved, by its folder's name."""
    return int(checkpoint.name.partition(".")[0])


def _rounds(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first; of several of one round, the one that bears its name."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if p.name.replace(".", "", 1).isdecimal() and p.name[0] != "." and p.is_dir()]
    return sorted(found, key=lambda p: (-round_of(p), p.suffix))


def begun(run: Path) -> bool:
    """Whether a run folder has a checkpoint."""
    return bool(_rounds(run / "checkpoints"))


def _best(paths: Sequence[Path], stage: int | None) -> Path | None:
    """The checkpoint of ``paths`` with the smallest held-out score of those saved in ``stage``."""
    scores = {p: s for p in paths if (s := _score(p)) is not None and _stage(p) == stage}
    return min(scores, key=scores.__getitem__, default=None)


def _stage(path: Path) -> int | None:
    """The stage in which a checkpoint was saved; None where it does not say."""
    try:
        position = read_json(path / "trainer" / "state.json").get("position")
    except BadFile:
        return None
    if not isinstance(position, dict) or not isinstance(position.get("stage"), int):
        return None
    stage: int = position["stage"]
    return stage - (position.get("stage_round") == 0)  # nothing of it played: the end of the one before, in version 0.1


def _score(path: Path) -> float | None:
    try:
        score = read_json(path / "manifest.json").get("score")
    except BadFile:
        return None
    return score if isinstance(score, float) else None


def _write_json(path: Path, value: Any) -> None:
    with open_own(path, os.O_EXCL) as file:
        file.write(json.dumps(value, indent=1).encode() + b"\n")
        flush(file)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    seen: set[int] = set()
    alone = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().contiguous()
        alone[name] = flat.clone() if flat.untyped_storage().data_ptr() in seen else flat
        seen.add(flat.untyped_storage().data_ptr())
    save_file(alone, path)
    with path.open("rb+") as file:
        flush(file)


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


# --- locks ----------------------------------------------------------------------------------------------------------

HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
"""What the system says where another process holds a lock; anything else means that there are none to be had."""


@contextmanager
def only_writer(run: Path) -> Iterator[None]:
    """Hold the run folder for this process alone; a BadInput names the process that has it.

    What a killed writer left is tidied up first. A folder in which nothing came to be written is removed again.
    """
    made = [p for p in (run, *run.parents) if not p.exists()]
    lock = _locked(run)
    try:
        if (run / "config.json").exists():
            _recover(run)
        yield
    finally:
        with suppress(OSError):
            (run / ".lock").unlink()
            for folder in made:
                folder.rmdir()
        lock.close()


def _locked(run: Path) -> IO[bytes]:
    """The run's lock file, locked and naming this process."""
    path = run / ".lock"
    while True:
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unwritable(f"the run folder {run} cannot be made ({error.strerror}); choose another --out") from None
        file = open_own(path, 0)
        if (locked := _lock(file)) is None:
            warnings.warn(
                f"{run} is on a file system without locks; see to it that no other process writes it", stacklevel=4
            )
        elif not locked:
            holder = file.read(32).decode(errors="replace")
            file.close()
            raise BadInput(
                f"{run} is being written by another process (pid {holder if holder.isdecimal() else 'unknown'}); "
                "wait for it"
            )
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.lstat()):  # else its last holder has just removed it
                break
        file.close()
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


def _lock(file: IO[bytes], *, shared: bool = False) -> bool | None:
    """Whether ``file`` could be locked; None where the file system has no locks."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        elif not shared:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        return False if error.errno in HELD else None
    return True


def _held(checkpoint: Path) -> IO[bytes] | None:
    """A hold on a checkpoint, for as long as it is open: no writer removes it. None where it has just been removed."""
    try:
        file = open_regular(checkpoint / "manifest.json")
    except BadFile:
        return None
    with suppress(OSError):
        same = os.path.samestat(os.fstat(file.fileno()), (checkpoint / "manifest.json").stat())
        if same and _lock(file, shared=True) is not False and checkpoint.is_dir():
            return file
    file.close()
    return None


@contextmanager
def _alone(checkpoint: Path) -> Iterator[bool]:
    """Whether nobody reads a checkpoint, nor can begin to while inside."""
    try:
        file = open_regular(checkpoint / "manifest.json")
    except BadFile:
        yield True
        return
    with file:
        yield _lock(file) is not False


# --- reading --------------------------------------------------------------------------------------------------------


def check(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint folder, or None: every listed file must be there with its size and sha256."""
    listed = checkpoint / "manifest.json"
    try:
        files = read_json(listed).get("files")
        if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
            return f"{listed} is not a manifest"
        if not {"config.json", "model.safetensors"} <= files.keys():
            return f"{listed} lists no model"
        for name, entry in files.items():
            path = checkpoint / name
            if not path.resolve().is_relative_to(checkpoint.resolve()):
                return f"{listed} lists a file outside its folder"
            if not path.exists():
                return f"{path} is missing"
            if (size := path.stat().st_size) != entry.get("bytes"):
                return f"{path} has {size} bytes instead of {entry.get('bytes')}"
            if _sha256(path) != entry.get("sha256"):
                return f"{path} has changed since it was written"
    except BadFile as error:
        return str(error)
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        return f"{listed} lists what is no file ({error})"
    return None


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
        best = None if alone or newest or not rounds else _best(rounds, _stage(rounds[0]))
        faults, gone = list[str](), False
        for checkpoint in sorted(rounds, key=lambda p: p != best):  # the best first, then the newest
            hold = _held(checkpoint)
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
        raise BadInput(f"{path} has no checkpoint yet; training it with --resume goes on from its start")


def _notes(newest: Path, taken: Path) -> list[str]:
    """Which of the rounds up to that of ``newest`` the checkpoint ``taken`` is, in sentences."""
    try:
        found = stored_choice(read_json(newest / "trainer" / "state.json"), str(newest))
    except ValueError:
        return []
    if found.round == round_of(taken):
        return found.sentences(round_of(newest))
    there = f"those of round {round_of(taken):,}, the newest; round {found.round:,} is the best by its held-out figure"
    return [f"The weights are {there}."] if found.round >= 0 else []


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
    checkpoints = _rounds(run / "checkpoints")
    if not checkpoints and any((run / "checkpoints").glob(".tmp-*")):
        with suppress(BadInput, OSError), only_writer(run):  # puts in its place what a killed writer had completed
            checkpoints = _rounds(run / "checkpoints")
    try:
        read_config(run / "config.json")
    except BadInput as error:
        spare = f"; its checkpoints keep a copy: try {checkpoints[0]}" if checkpoints else ""
        raise BadFile(f"{error}{spare}") from None
    return checkpoints


def outline(path: Path) -> Model:
    """The model of a run without its weights, on the device "meta": what it is, and what can be asked of it.

    It is that of the newest checkpoint whose configuration can be read; nothing else is looked at.
    """
    folder = path if path.exists() or path.name not in ("best", "last") else path.parent
    if folder.is_dir() and not (folder / "manifest.json").exists():
        for checkpoint in _checkpoints(folder):
            with suppress(BadFile):
                _, recipe, spec, _ = read_config(checkpoint / "config.json")
                return _outline(recipe, spec, checkpoint)
    stored = find(folder)
    return _outline(stored.recipe, stored.spec, stored.folder)


def _outline(recipe: Recipe, spec: DataSpec, folder: Path) -> Model:
    shapes, where = _header(folder / "model.safetensors").values(), str(folder / "config.json")
    with torch.device("meta"):
        return build_within(recipe.model, spec, shapes, where)


def load_model(stored: Stored, *, device: torch.device | str = "cpu", averaged: bool = True) -> Model:
    """The stored model in evaluation mode, with its averaged weights where the run keeps them.

    Sums say that a file is whole, not what is in it: names, shapes and types are compared with what the configuration
    describes, and no more is built than the file holds; weights must be finite.
    """
    path = stored.folder / "model.safetensors"
    found, model = _header(path), _outline(stored.recipe, stored.spec, stored.folder)
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
