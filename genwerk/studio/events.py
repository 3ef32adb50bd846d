"""Server-sent events: what goes on, told to a browser as it comes, and the event log of a run as it grows."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import StreamingResponse

EVERY, ALIVE, IDLE = 0.5, 15.0, 120.0
"""Seconds between two looks at an event log, between signs of life to a browser, and after which a log that nobody
writes has ended."""


def stream(request: Request, events: AsyncIterator[str]) -> StreamingResponse:
    """Server-sent events, with a sign of life now and then, and a last one that tells that there are no more."""

    async def sent() -> AsyncIterator[str]:
        waiting = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=ALIVE)
                if not done:
                    yield ": alive\n\n"
                    continue
                if (event := waiting.result()) is None:
                    yield "event: end\ndata: {}\n\n"
                    return
                if event:
                    yield event
                elif await request.is_disconnected():
                    return
                waiting = asyncio.ensure_future(anext(events, None))
        finally:
            waiting.cancel()

    return StreamingResponse(sent(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def lines(log: Path, after: int, goes_on: Callable[[], bool]) -> AsyncIterator[str]:
    """Server-sent events of the lines of an event log behind the first ``after``, damaged ones left out, until it has
    its last while no training ``goes_on``; one that says ``again`` before they are told from the first on, where a
    resume has put another log in its place."""
    number, rest, idle, offset, last = 0, b"", 0.0, 0, ""
    read = None
    while True:
        block, file = await asyncio.to_thread(read_from, log, offset)
        if file is not None and read not in (None, file):
            number, rest, offset, last, after, read = 0, b"", 0, "", 0, file
            yield "event: again\ndata: {}\n\n"
            continue
        read = file or read
        offset, idle = offset + len(block), 0.0 if block else idle + EVERY
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            number += 1
            if not whole_event(line):
                continue
            last = line.decode()
            if number > after:
                yield f"id: {number}\ndata: {last}\n\n"
        if not goes_on() and (over(last) or idle > IDLE):
            return
        yield ""
        await asyncio.sleep(EVERY)


def read_from(path: Path, offset: int) -> tuple[bytes, int | None]:
    """What is in a file from ``offset`` on, and which file it is; nothing where it is gone."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(min(offset, file.tell()))
            return file.read(), os.fstat(file.fileno()).st_ino
    except OSError:
        return b"", None


def whole_event(line: bytes) -> bool:
    """Whether a line of a log is an event, and was not cut by the end of its writer."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def over(line: str) -> bool:
    """Whether a line of an event log is the last of a training."""
    try:
        event = json.loads(line or "{}")
    except ValueError:
        return False
    return event.get("event") == "stopped" or (event.get("event") == "stage done" and event.get("last") is True)
