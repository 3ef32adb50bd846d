"""The trainings of a comparison: each in a process of its own, so that none takes memory or time from another."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path

from genwerk.comparison.plan import Contestant, Request
from genwerk.core import plugins
from genwerk.core.errors import BadFile, BadInput
from genwerk.core.files import make_folder, open_regular, parse_json, write_atomically
from genwerk.core.spec import DataSpec
from genwerk.evaluation.report import Measuring
from genwerk.runs import store
from genwerk.runs.config import kinds_of
from genwerk.training import launcher
from genwerk.training.settings import to_json

PAUSE = 0.2
"""Seconds between two looks at a training."""
TAIL = 2**14
"""Bytes of a log of which its last line is read."""


def over(contestant: Contestant) -> bool:
    """Whether its run has been trained to its end."""
    try:
        stored = store.find(contestant.run / "last")
        return store.unfinished(contestant.run, store.outline(contestant.run), stored.recipe) is None
    except (BadInput, OSError):
        return False


def train_all(
    contestants: Sequence[Contestant], spec: DataSpec, request: Request
) -> Generator[Measuring, None, dict[str, str]]:
    """Train those that are not over yet, so many at once; returns why some failed, by their keys."""
    steps = deque(enumerate(contestants, 1))
    going, failed = dict[str, Generator[Measuring, None, str]](), dict[str, str]()
    try:
        while steps or going:
            while steps and len(going) < max(1, request.jobs):
                step, contestant = steps.popleft()
                if not over(contestant):
                    going[contestant.key] = train(
                        contestant, spec, request.threads, request.device, step, len(contestants)
                    )
            for key, events in list(going.items()):
                try:
                    yield next(events)
                except StopIteration as end:
                    del going[key]
                    if end.value:
                        failed[key] = end.value
    finally:
        for events in going.values():
            events.close()
    return failed


def train(
    contestant: Contestant, spec: DataSpec, threads: int, device: str, step: int, steps: int
) -> Generator[Measuring, None, str]:
    """Train a contestant, or go on with it, in another process; returns why it failed, in a sentence, or nothing.

    The process stops and saves its run where this generator is closed before its end.
    """
    assert contestant.settings is not None
    log = contestant.run.with_suffix(".log")
    config = contestant.run.with_suffix(".json")
    make_folder(contestant.run.parent)
    write_atomically(config, json.dumps(to_json(contestant.settings), indent=1).encode())
    command = [sys.executable, "-m", "genwerk", "train", contestant.recipe, "--config", str(config)]
    command += ["--out", str(contestant.run), "--resume", "--no-evaluate", "--device", device]
    kinds = kinds_of(contestant.recipe, contestant.settings, spec)
    command += [word for file in plugins.sources(kinds) if file.endswith(".py") for word in ("--plugin", file)]
    with log.open("wb") as output:
        process = launcher.bound(command, output, OMP_NUM_THREADS=str(threads))
        try:
            while process.poll() is None:
                time.sleep(PAUSE)
                done, total, left = stands(contestant.run / "events.jsonl")
                what = f"training {contestant.name}, seed {contestant.seed}"
                yield Measuring(what=what, step=step, steps=steps, done=done, total=total, seconds_left=left)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return "" if process.returncode == 0 else reason(log, process.returncode)


def stands(log: Path) -> tuple[int, int, float | None]:
    """The round in which a training stands, of how many, and how long it will take; by the end of its event log."""
    try:
        with open_regular(log) as file:
            first = parse_json(file.readline(), str(log))
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            last = parse_json(file.read().splitlines()[-1], str(log))
        done, total = int(last["round"]), int(first["rounds"])
    except (BadFile, LookupError, TypeError, ValueError):
        return 0, 1, None
    seconds = last.get("seconds")
    left = seconds / done * (total - done) if done and isinstance(seconds, float) else None
    return min(done, total), total, left


def reason(log: Path, code: int) -> str:
    """Why a training ended with ``code``: what it said last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line), "")
    if code < 0:
        return f"its process was ended by signal {-code}, as for want of memory"
    return said.removeprefix("genwerk: ") or f"its process ended with exit code {code}"
