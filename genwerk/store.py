"""A run on disk: atomic checksummed checkpoints, one writer, and loading that trusts nothing.

A run folder holds ``config.json`` (recipe, spec, version), ``checkpoints/<round>/`` (each complete in itself and listed
with sha256 sums in its ``manifest.json``), ``events.jsonl`` and ``samples/``. Only safetensors and JSON are ever read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import genwerk.families  # noqa: F401  (registers what a run may name)
from genwerk import __version__
from genwerk.files import flush, flush_folder, read_json
from genwerk.model import Model, build
from genwerk.settings import Recipe, from_json, to_json
from genwerk.spec import DataSpec

FORMAT = 1
"""Version of the layout written here; newer ones are refused by name."""

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


@dataclass(frozen=True)
class TrainerState:
    """What the trainer needs to go on: figures (JSON), averaged weights by name, and optimiser tensors."""

    figures: dict[str, Any]
    averages: dict[str, Tensor]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Stored:
    """A verified checkpoint and what its configuration says."""

    folder: Path
    name: str
    recipe: Recipe
    spec: DataSpec


# --- configuration --------------------------------------------------------------------------------------------------


def describe(name: str, recipe: Recipe, spec: DataSpec) -> dict[str, Any]:
    """The content of ``config.json``."""
    return {
        "library": "genwerk",
        "format": FORMAT,
        "version": __version__,
        "name": name,
        "recipe": to_json(recipe),
        "spec": to_json(spec),
    }


def read_config(path: Path) -> tuple[str, Recipe, DataSpec]:
    """Recipe name, recipe and spec of a ``config.json``; a ValueError says what is wrong with it."""
    config = read_json(path)
    if config.get("library") != "genwerk":
        raise ValueError(f"{path} was not written by Genwerk; point at a folder that `genwerk train` made")
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {config.get('format')!r} and this Genwerk ({__version__}) reads format {FORMAT}; "
            f"the run was written by version {config.get('version')!r}: install that one or a newer one"
        )
    name = from_json(str, config.get("name"), f"{path}: name")
    recipe = from_json(Recipe, config.get("recipe"), f"{path}: recipe")
    return name, recipe, from_json(DataSpec, config.get("spec"), f"{path}: spec")


# --- writing --------------------------------------------------------------------------------------------------------


class Checkpoints:
    """The checkpoints of one run: ``keep`` newest and the best are kept."""

    def __init__(self, run: Path, config: Mapping[str, Any], keep: int = 2) -> None:
        self.folder, self.config, self.keep = run / "checkpoints", config, max(1, keep)

    def save(self, model: Model, state: TrainerState, score: float | None = None) -> Path:
        """Write a checkpoint beside the others and let it appear whole; a ValueError says so when the disk is full.

        ``score`` is its held-out figure, if it was measured on these weights and beats all before it.
        """
        path = self.folder / f"{state.figures['position']['round']:08d}"
        weights = model.state_dict() | {f"ema.{k}": v for k, v in state.averages.items()}
        self._make_room(sum(t.nbytes for t in (*weights.values(), *state.tensors.values())))
        beside = self.folder / f".tmp-{os.getpid()}-{path.name}"
        try:
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
            if path.exists():
                shutil.rmtree(path)
            beside.rename(path)
            flush_folder(self.folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        self._prune(path)
        return path

    def newest(self) -> Path | None:
        """The newest checkpoint whose files are all intact."""
        return next((path for path, fault in self._checked() if fault is None), None)

    def best(self) -> Path | None:
        """The intact checkpoint with the smallest held-out score."""
        return _best(self.folder)

    def _checked(self) -> Iterator[tuple[Path, str | None]]:
        for path in _rounds(self.folder):
            yield path, check(path)

    def _make_room(self, size: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = size + 2**20, shutil.disk_usage(self.folder).free
        if needed > free:
            raise ValueError(
                f"a checkpoint needs {needed / 2**20:.0f} MB and {free / 2**20:.0f} MB are free in {self.folder}; "
                "earlier checkpoints are untouched: make room and go on with --resume"
            )

    def _prune(self, newest: Path) -> None:
        rounds = _rounds(self.folder)
        scores = {p: s for p in rounds if (s := _score(p)) is not None}
        kept = {newest, *rounds[: self.keep], *([min(scores, key=scores.__getitem__)] if scores else [])}
        for path in set(rounds) - kept:
            shutil.rmtree(path)


def _rounds(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: -int(p.name))


def _best(folder: Path) -> Path | None:
    """The intact checkpoint with the smallest held-out score."""
    scores = {p: s for p in _rounds(folder) if (s := _score(p)) is not None and check(p) is None}
    return min(scores, key=scores.__getitem__, default=None)


def _score(path: Path) -> float | None:
    try:
        score = read_json(path / "manifest.json")["score"]
    except (ValueError, KeyError, TypeError):
        return None
    return score if isinstance(score, float) else None


def _write_json(path: Path, value: Any) -> None:
    with path.open("wb") as file:
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def only_writer(run: Path) -> Iterator[None]:
    """Hold the run folder for this process alone; a ValueError names the process that has it."""
    run.mkdir(parents=True, exist_ok=True)
    path = run / ".lock"
    file = path.open("a+b")
    try:
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            holder = file.read().decode(errors="replace").strip() or "unknown"
            raise ValueError(f"{run} is being written by another process (pid {holder}); wait for it") from None
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        for left in (*run.glob("checkpoints/.tmp-*"), *run.glob(".*.tmp-*")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    finally:
        file.close()


def _lock(file: IO[bytes]) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


# --- reading --------------------------------------------------------------------------------------------------------


def check(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint folder, or None: every listed file must be there with its size and sha256."""
    try:
        manifest = read_json(checkpoint / "manifest.json")
        files = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
    except ValueError as error:
        return str(error)
    except (KeyError, TypeError, AttributeError):
        return f"{checkpoint / 'manifest.json'} is not a manifest"
    if not {"config.json", "model.safetensors"} <= files.keys():
        return f"{checkpoint / 'manifest.json'} lists no model"
    for name, (size, digest) in files.items():
        path = checkpoint / name
        if not path.resolve().is_relative_to(checkpoint.resolve()):
            return f"{checkpoint / 'manifest.json'} lists a file outside its folder"
        if not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != size:
            return f"{path} has {path.stat().st_size} bytes instead of {size}"
        if _sha256(path) != digest:
            return f"{path} has changed since it was written"
    return None


def find(path: Path | str) -> Stored:
    """The newest intact checkpoint of a run, the best one (``RUN/best``), or the checkpoint at ``path`` itself."""
    path = Path(path)
    if path.name == "best" and not path.exists() and (path.parent / "config.json").is_file():
        best = _best(path.parent / "checkpoints")
        if best is None:
            raise ValueError(f"{path.parent} has no checkpoint that was measured on held-out data; name the run itself")
        path = best
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder; name a run folder that `genwerk train` made")
    if (path / "manifest.json").is_file():
        if fault := check(path):
            raise ValueError(f"the checkpoint is damaged: {fault}")
        return Stored(path, *read_config(path / "config.json"))
    if not (path / "config.json").is_file():
        foreign = sorted(p.name for p in path.iterdir() if p.suffix in PICKLES)
        if foreign:
            raise ValueError(
                f"{path} holds pickled weights ({foreign[0]}), which can run code and which Genwerk never opens; "
                "convert them to safetensors first"
            )
        raise ValueError(f"{path} is not a run folder (it has no config.json)")
    newest = next(iter(_rounds(path / "checkpoints")), None)
    try:
        read_config(path / "config.json")
    except ValueError as error:
        spare = f"; its checkpoints keep a copy: try {newest}" if newest else ""
        raise ValueError(f"{error}{spare}") from None
    faults: list[str] = []
    for checkpoint in _rounds(path / "checkpoints"):
        if (fault := check(checkpoint)) is None:
            if faults:
                warnings.warn(f"using round {int(checkpoint.name)}: {'; '.join(faults)}", stacklevel=2)
            return Stored(checkpoint, *read_config(checkpoint / "config.json"))
        faults.append(fault)
    if faults:
        raise ValueError(f"no checkpoint of {path} is intact: {faults[0]}")
    raise ValueError(f"{path} has no checkpoint yet; training it with --resume goes on from its start")


def load_model(stored: Stored, *, device: torch.device | str = "cpu", averaged: bool = True) -> Model:
    """The stored model in evaluation mode, with its averaged weights where the run keeps them.

    Names and shapes are compared with the file's header before anything is allocated, and must match exactly.
    """
    path = stored.folder / "model.safetensors"
    with torch.device("meta"):
        expected = {k: tuple(v.shape) for k, v in build(stored.recipe.model, stored.spec).state_dict().items()}
    try:
        with safe_open(path, "pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        plain = {k: v for k, v in found.items() if not k.startswith("ema.")}
        for name in sorted(expected.keys() ^ plain.keys()):
            raise ValueError(f"{path} {'lacks' if name in expected else 'has the surplus'} tensor {name!r}")
        for name, shape in expected.items():
            if plain[name] != shape:
                raise ValueError(f"{path}: tensor {name!r} has shape {plain[name]}, the configuration says {shape}")
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error})") from None
    model = build(stored.recipe.model, stored.spec)
    weights = {k: v for k, v in tensors.items() if not k.startswith("ema.")}
    if averaged:
        weights |= {k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")}
    model.load_state_dict(weights)
    return model.to(device).eval()


def load_state(stored: Stored) -> TrainerState:
    """What a trainer needs to go on from a checkpoint."""
    averages = {
        k.removeprefix("ema."): v
        for k, v in load_file(stored.folder / "model.safetensors").items()
        if k.startswith("ema.")
    }
    tensors = load_file(stored.folder / "trainer" / "state.safetensors")
    return TrainerState(read_json(stored.folder / "trainer" / "state.json"), averages, tensors)
