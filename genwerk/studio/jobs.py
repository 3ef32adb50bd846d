"""What the page has asked to be computed: queues of bounded length, of which each computes one thing at a time.

A command runs in a worker; a training is a process of its own that writes a run folder, so that nothing is lost with
the page, nor with the studio.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from genwerk.studio.workers import LONGEST, Full, Lost, Refused, Worker

LENGTH = 20
"""Jobs that may wait in a queue."""
FAULT = "this is a fault of Genwerk; the terminal that runs the studio shows more"
KEPT = 100
"""Jobs that are over and still known; files of older ones are removed."""
EVENTS = 2_000
"""Things that are told of one job, at most."""
LOOK = 0.5
"""Seconds between two looks whether the run of a training is still there."""
DELETED = "the folder of this run was moved or deleted while it trained, so its training was ended"
TAKEN = "a training of a run of this name goes on or waits already; choose another name"
LEFT = "measuring was stopped: the model is trained, and what was measured by then is kept"
REMAINS = frozenset({"events.jsonl", "samples", "checkpoints", "index.html", "curves.png", "card.md"})
"""What a training writes into its folder beside ``config.json`` and files whose names begin with a point."""
STOPPED = 128
"""Exit codes from here on tell that a signal ended the process."""
FLEETING = frozenset({"progress", "frame"})
"""What is told of a job and is replaced by the next of its kind: how far it is, and a state of what is being made."""
State = Literal["queued", "running", "done", "failed", "cancelled"]
Phase = Literal["starting", "measuring", "stopping"]
"""What a running job is about: a training that has not begun yet, one that has ended and is measured, and any job that
was told to stop."""
OVER = frozenset({"done", "failed", "cancelled"})


@dataclass(eq=False)
class Job:
    """One thing that was asked for."""

    id: str
    command: str
    run: str | None
    values: Mapping[str, Any]
    uploads: Mapping[str, str]
    """Paths of uploaded files, by the names of fields."""
    folder: Path
    """Where its files are written."""
    state: State = "queued"
    phase: Phase | None = None
    """Of a job that runs, what it is about; None where it simply runs."""
    error: str | None = None
    made: float = field(default_factory=time.time)
    ended: float = 0.0
    """When it was over, in seconds since 1970."""
    told: list[dict[str, Any]] = field(default_factory=list)
    fleeting: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last of each kind of what is :data:`FLEETING`."""
    number: int = 0
    """How many of them there were."""
    words: Sequence[str] = ()
    """Of a training, what starts it."""
    begun: bool = False
    """Of a training, whether its run is there."""
    task: asyncio.Task[None] | None = None
    process: asyncio.subprocess.Process | None = None
    """Of a training that runs."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def training(self) -> bool:
        """Whether it trains."""
        return self.command == "train"

    @property
    def stands(self) -> State | Phase:
        """How it stands, as a person is told."""
        return self.phase if self.state == "running" and self.phase is not None else self.state

    def turn(self, phase: Phase | None) -> None:
        """Note what it is about now; a job that was told to stop stays so."""
        if self.phase != "stopping":
            self.phase = phase
            self.changed.set()

    def tell(self, told: dict[str, Any]) -> None:
        """Note what is told; of what is fleeting the last alone is kept."""
        if told["type"] in FLEETING:
            self.fleeting[told["type"]] = told
            self.number += 1
        elif len(self.told) < EVENTS:
            self.told.append(told)
        self.changed.set()


class Jobs:
    """Everything that was asked for, by its id; ``folder`` is the private one of this studio."""

    def __init__(self, root: Path, folder: Path, asking: Worker) -> None:
        self.root, self.folder, self.asking = root, folder, asking
        self.computing = Worker(root, threads={})
        self.every: dict[str, Job] = {}
        self._queues: dict[bool, list[Job]] = {False: [], True: []}
        self._awake = {training: asyncio.Event() for training in (False, True)}
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work."""
        self._loops = [asyncio.create_task(self._work(training)) for training in (False, True)]

    def add(self, command: str, run: str | None, values: Mapping[str, Any], uploads: Mapping[str, str]) -> Job:
        """Queue a job; a Full where there is no place."""
        queue = self._queues[command == "train"]
        if command == "train" and self.training(str(values.get("out"))) is not None:
            raise Refused(TAKEN)
        if len(queue) >= LENGTH:
            raise Full(f"{LENGTH} jobs wait already; cancel one, or wait until one is done")
        name = token_hex(8)
        job = Job(name, command, run, values, uploads, self.folder / "jobs" / name)
        job.folder.mkdir(parents=True)
        self.every[job.id] = job
        queue.append(job)
        self._awake[job.training].set()
        self._forget()
        return job

    def training(self, run: str) -> Job | None:
        """The training of a run that goes on or waits."""
        every = (each for each in self.every.values() if each.training and each.state not in OVER)
        return next((each for each in every if each.values.get("out") == run), None)

    def ended(self) -> dict[str, float]:
        """When the last training of each run was over, of those that were started here and are over."""
        return {str(each.values.get("out")): each.ended for each in self.every.values() if each.training and each.ended}

    def shows(self, job: Job) -> bool:
        """Whether the run of that name is what this training has made, and not one that was begun after it."""
        every = [each for each in self.every.values() if each.training and each.begun]
        same = [each for each in every if each.values.get("out") == job.values.get("out")]
        return job in same and not any(each.values.get("resume") is not True for each in same[same.index(job) + 1 :])

    def place(self, job: Job) -> int | None:
        """How many are before it in its queue, from 1; None where it does not wait."""
        queue = self._queues[job.training]
        return queue.index(job) + 1 if job in queue else None

    def cancel(self, job: Job) -> None:
        """Take it out of its queue, or end it; a training saves what it has, and can be resumed. Told so again, it is
        killed as it stands."""
        queue = self._queues[job.training]
        if job in queue:
            queue.remove(job)
            self._end(job, "cancelled")
        elif job.task is not None and job.phase != "stopping":
            job.turn("stopping")
            job.task.cancel()
        elif job.task is not None and job.process is not None:
            with suppress(ProcessLookupError):
                job.process.kill()

    async def _work(self, training: bool) -> None:
        queue, awake = self._queues[training], self._awake[training]
        while True:
            while not queue:
                awake.clear()
                await awake.wait()
            job = queue.pop(0)
            job.state = "running"
            job.changed.set()
            for other in queue:
                other.changed.set()
            job.task = asyncio.create_task(self._train(job) if training else self._compute(job))
            try:
                await asyncio.wait({job.task})
            except asyncio.CancelledError:  # the studio itself ends
                job.task.cancel()
                await asyncio.wait({job.task})
                self._end(job, "cancelled")
                raise
            if job.task.cancelled():
                self._end(job, "cancelled")
            elif (error := job.task.exception()) is None:
                self._end(job, "done")
            else:
                known = isinstance(error, (Refused, Lost, OSError))
                settings = error.settings if isinstance(error, Refused) else ()
                self._end(job, "failed", str(error) if known else FAULT, settings)
                if not known:
                    traceback.print_exception(error)

    def _end(self, job: Job, state: State, error: str | None = None, settings: Sequence[str] = ()) -> None:
        job.state, job.error, job.ended = state, error, time.time()
        if error is not None:
            job.tell({"type": "error", "error": error, "settings": [*settings]})
        job.changed.set()

    async def _compute(self, job: Job) -> None:
        asked = {"command": job.command, "run": job.run, "values": job.values, "uploads": job.uploads}
        async for told in self.computing.told({**asked, "folder": str(job.folder)}):
            if told["type"] != "end":
                job.tell(told)
            elif told.get("error"):
                raise Refused(told["error"], told["settings"])

    async def _train(self, job: Job) -> None:
        """Start the process, tell what it says, and wait for its end."""
        job.turn("starting")
        folder, resumed = self.root / str(job.values.get("out")), job.values.get("resume") is True
        asked = {"command": "train", "run": None, "values": job.values, "uploads": job.uploads, "folder": ""}
        async for told in self.asking.told(asked):
            if told["type"] == "words":
                job.words = told["words"]
            elif told.get("error"):
                raise Refused(told["error"], told["settings"])
        if resumed and not (folder / "config.json").exists():
            raise Refused(DELETED)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "genwerk.studio.training",
            *job.words,
            cwd=self.root,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST,
            start_new_session=True,
            env={**os.environ},
        )
        assert process.stdout is not None
        job.process = process
        begun, trained, failure = asyncio.Event(), False, None
        if resumed:
            job.begun = True
            begun.set()
        gone = asyncio.create_task(deleted(folder, begun, process))
        try:
            while line := await process.stdout.readline():
                told = json.loads(line)
                failure = Refused(told["error"], told["settings"]) if told["type"] == "error" else failure
                if told["type"] == "begun":
                    job.begun = True
                    begun.set()
                    job.turn(None)
                elif told["type"] == "trained":
                    trained = True
                    job.turn("measuring")
                elif told["type"] != "error":
                    job.tell(told)
            code = await process.wait()
            if gone.done():
                await asyncio.to_thread(remove_remains, folder)
                raise Refused(DELETED)
            if failure is None and code < 0:
                raise Refused("the training process was killed; resume goes on from its last checkpoint")
            if failure is None and code >= STOPPED:
                raise Refused("another program stopped this training, which was saved; resume goes on from there")
            if code:
                raise failure or Refused(FAULT)
        except asyncio.CancelledError:
            # before it begins there is nothing to be saved, and Python tells of an interrupted import at length
            await interrupted(process, signal.SIGINT if begun.is_set() else signal.SIGTERM)
            if not begun.is_set():
                await asyncio.to_thread(remove_remains, folder)
            if not trained:
                raise
            job.tell({"type": "note", "text": LEFT})
        finally:
            gone.cancel()
            await interrupted(process)
            job.process = None

    async def listen(self, job: Job) -> AsyncIterator[dict[str, Any]]:
        """All that is told of a job from its beginning, and where it stands, until it is over."""
        sent, stood, heard = 0, None, 0
        while True:
            job.changed.clear()
            stands = (job.stands, self.place(job))
            if stands != stood:
                stood = stands
                yield {"type": "state", "state": stands[0], "place": stands[1]}
            while sent < len(job.told):
                told, sent = job.told[sent], sent + 1
                yield told
            if job.number != heard and stands[0] not in OVER:
                heard = job.number
                for told in list(job.fleeting.values()):
                    yield told
            if stands[0] in OVER:
                return
            if job.state in OVER:
                continue
            await job.changed.wait()

    def _forget(self) -> None:
        over = [job for job in self.every.values() if job.state in OVER]
        for job in over[: max(0, len(over) - KEPT)]:
            del self.every[job.id]
            shutil.rmtree(job.folder, ignore_errors=True)

    async def close(self) -> None:
        """End all that runs; trainings save first."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.computing.close()


async def interrupted(process: asyncio.subprocess.Process, by: signal.Signals = signal.SIGINT) -> None:
    """Ask a process to end, and wait until it has."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(by)
        await process.communicate()


def remove_remains(folder: Path) -> None:
    """Remove what a training that was ended has written into the folder of a run that was deleted under it."""
    if (folder / "config.json").exists() or not folder.is_dir() or folder.is_symlink():
        return
    for each in folder.iterdir():
        if each.name in REMAINS or each.name.startswith("."):
            shutil.rmtree(each, ignore_errors=True) if each.is_dir() and not each.is_symlink() else each.unlink()
    with suppress(OSError):
        folder.rmdir()


async def deleted(folder: Path, begun: asyncio.Event, process: asyncio.subprocess.Process) -> None:
    """Wait until a run that was ``begun`` in ``folder`` is there no more; its ``process`` must not write it again."""
    await begun.wait()
    while await asyncio.to_thread((folder / "config.json").exists):
        await asyncio.sleep(LOOK)
    with suppress(ProcessLookupError):
        process.kill()
