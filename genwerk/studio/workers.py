"""Worker processes as the server sees them: what is asked of one, and what it answers, line by line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE, AGAIN = 10.0, 1.0
"""Seconds in which a worker must let go of what it is told to end, or is killed, and another begins; and after which it
is told again: an exception of a signal that comes while Python runs the callback of a weak reference is lost."""
WAITING = 64
"""Questions that may wait for one worker."""
LONGEST = 64 * 2**20
"""Bytes of an answer, at most."""
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a worker that is to answer quickly beside others."""


class Lost(Exception):
    """The worker has died; the message says so to a user."""

    def __init__(self) -> None:
        super().__init__("the process that computed this has died, perhaps for want of memory; try again with less")


class Refused(Exception):
    """What was asked cannot be; the message is a sentence for a user, which names these ``settings``."""

    def __init__(self, sentence: str, settings: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.settings = settings


class Full(Refused):
    """There is no place left to wait in."""


class Worker:
    """One worker process on ``root``, started when it is first asked; one thing is asked of it at a time."""

    def __init__(self, root: Path, *, threads: Mapping[str, str] = THREADS) -> None:
        self.root, self._environment = root, {**os.environ, **threads}
        self._process: asyncio.subprocess.Process | None = None
        self._turn, self._starting, self._id, self._waiting = asyncio.Lock(), asyncio.Lock(), 0, 0

    async def start(self) -> asyncio.subprocess.Process:
        """The process, alive."""
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "genwerk.studio.worker",
                    str(self.root),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env=self._environment,
                    limit=LONGEST,
                    start_new_session=True,
                )
            return self._process

    async def told(self, asked: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """What the worker tells of what is ``asked``, up to the end, which is told too."""
        async with self._turn:
            process = await self.start()
            assert process.stdin is not None
            assert process.stdout is not None
            self._id += 1
            ended = False
            try:
                process.stdin.write((json.dumps({"id": self._id, **asked}) + "\n").encode())
                await process.stdin.drain()
                while True:
                    line = await process.stdout.readline()
                    if not line:
                        raise Lost
                    told = json.loads(line)
                    if told.pop("id") != self._id:
                        continue
                    ended = told["type"] == "end"
                    yield told
                    if ended:
                        return
            except (ConnectionError, ValueError):
                ended = True
                await self._killed(process)
                raise Lost from None
            finally:
                if not ended:  # nobody listens any more
                    await self._left(process)

    async def ask(self, question: str, **values: Any) -> Any:
        """The answer to a question; a Refused with a sentence where there is none."""
        if self._waiting >= WAITING:
            raise Full("too much is asked of the studio at once; try again in a moment")
        self._waiting += 1
        try:
            return await self._asked(question, values)
        finally:
            self._waiting -= 1

    async def _asked(self, question: str, values: Mapping[str, Any]) -> Any:
        found = None
        async for told in self.told({"ask": question, "values": values}):
            if told["type"] == "answer":
                found = told["answer"]
            elif told.get("error"):
                raise Refused(told["error"], told["settings"])
        return found

    async def _left(self, process: asyncio.subprocess.Process) -> None:
        """End what is being computed, so that the next in turn finds the worker free."""
        telling = asyncio.create_task(self._told_to_end(process))
        try:
            async with asyncio.timeout(PATIENCE):
                if await self._ended(process):
                    return
        except (TimeoutError, ValueError):
            pass
        finally:
            telling.cancel()
        await self._killed(process)

    async def _told_to_end(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(AGAIN)

    async def _ended(self, process: asyncio.subprocess.Process) -> bool:
        """Wait until what is computed has ended; False where the process has."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            told = json.loads(line)
            if told["id"] == self._id and told["type"] == "end":
                return True
        return False

    @staticmethod
    async def _killed(process: asyncio.subprocess.Process) -> None:
        """End the process, whose place another one takes."""
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await self._killed(self._process)
