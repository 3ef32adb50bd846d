"""Checkpoints in a run folder: which are there and whole, which is best, and how one takes its place; and samples."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from genwerk.core import locks
from genwerk.core.errors import BadFile, reason
from genwerk.core.files import flush_folder, open_regular, read_json


def begun(run: Path) -> bool:
    """Whether a run folder has a checkpoint."""
    return bool(checkpoints_in(run / "checkpoints"))


def round_of(path: Path) -> int:
    """The round after which a checkpoint or a file of samples was written, by its name: 00001000.wav."""
    return int(path.name.partition(".")[0])


def samples_in(run: Path) -> list[Path]:
    """The files of samples in a run folder, those of the first round first."""
    folder = run / "samples"
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in found if p.name.partition(".")[0].isdecimal() and p.is_file())


def checkpoints_in(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first; of several of one round, the one that bears its name."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if p.name.replace(".", "", 1).isdecimal() and p.name[0] != "." and p.is_dir()]
    return sorted(found, key=lambda p: (-round_of(p), p.suffix))


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
            if sha256(path) != entry.get("sha256"):
                return f"{path} has changed since it was written"
    except BadFile as error:
        return str(error)
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        return f"{listed} lists what is no file ({reason(error)})"
    return None


def best_of(paths: Sequence[Path], stage: int | None) -> Path | None:
    """The checkpoint of ``paths`` with the smallest held-out score of those saved in ``stage``.

    Scores compare where the examples are those that the newest was judged by: after a resume they may be others.
    """
    of_stage = [path for path in paths if stage_of(path) == stage]
    judges = judges_of(max(of_stage, key=round_of)) if of_stage else None
    scores = {p: s for p in of_stage if (s := score_of(p)) is not None and judges_of(p) == judges}
    return min(scores, key=scores.__getitem__, default=None)


def judges_of(path: Path) -> str | None:
    """The fingerprint of the examples by which a checkpoint was judged; None where it does not say."""
    try:
        choice = read_json(path / "trainer" / "state.json").get("choice")
    except BadFile:
        return None
    return (choice.get("of") or None) if isinstance(choice, dict) else None


def stage_of(path: Path) -> int | None:
    """The stage in which a checkpoint was saved; None where it does not say."""
    try:
        position = read_json(path / "trainer" / "state.json").get("position")
    except BadFile:
        return None
    if not isinstance(position, dict) or not isinstance(position.get("stage"), int):
        return None
    stage: int = position["stage"]
    return stage - (position.get("stage_round") == 0)  # nothing of it played: the end of the one before, in version 0.1


def score_of(path: Path) -> float | None:
    """The held-out score of a checkpoint, smaller being better; None where it has none."""
    try:
        score = read_json(path / "manifest.json").get("score")
    except BadFile:
        return None
    return score if isinstance(score, float) else None


@contextmanager
def only_writer(run: Path) -> Iterator[None]:
    """Hold the run folder for this process alone; a BadInput names the process that has it.

    What a killed writer left is tidied up first. A folder in which nothing came to be written is removed again.
    """
    with locks.only_writer(run):
        if (run / "config.json").exists():
            recover(run)
        yield


def put(beside: Path, path: Path) -> None:
    """Rename a complete checkpoint ``beside`` to ``path``; one that is there keeps counting until that is done."""
    if path.exists():
        aside = next(p for i in range(1, 1000) if not (p := path.with_name(f"{path.name}.{i}")).exists())
        path.rename(aside)
    beside.rename(path)
    flush_folder(path.parent)


def discard(path: Path) -> None:
    """Remove a checkpoint: it vanishes at once, and then its files are deleted. Should that fail, it stays."""
    with suppress(OSError):
        gone = path.with_name(f".gone-{os.getpid()}-{path.name}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def recover(run: Path) -> None:
    """Tidy up after a writer that was killed: what it had completed takes its place, what it had not is removed."""
    folder = run / "checkpoints"
    for beside in folder.glob(".tmp-*"):
        path = folder / beside.name.rpartition("-")[2]
        if path.name.isdigit() and check(beside) is None and check(path) is not None:
            put(beside, path)
        else:
            shutil.rmtree(beside, ignore_errors=True)
    for left in (*folder.glob(".gone-*"), *run.glob(".*.tmp-*")):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink()


def sha256(path: Path) -> str:
    """The hash of a file's content, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
