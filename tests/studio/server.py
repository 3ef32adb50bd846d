"""A studio on a folder with a few small runs, asked by a client as its page asks."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from genwerk.studio.app import Settings, Studio

HOST = "studio.test"
PATIENCE = 120.0
"""Seconds that something may take on a busy machine."""


class Client(TestClient):
    """Asks a ``studio`` in this process, which it begins and ends."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.studio = Studio(Settings(root.resolve(), frozenset({HOST}), **changes))
        super().__init__(self.studio.app(), base_url=f"http://{HOST}", headers={"X-Genwerk": "1"})


@dataclass(frozen=True)
class Learnt:
    """A training of images that were handed in, to its end."""

    run: str
    upload: dict[str, Any]
    events: list[dict[str, Any]]

    @classmethod
    def by(cls, client: Client) -> Learnt:
        """Hand in, train, and measure."""
        noise = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
        upload = client.post("/api/uploads", files=[("file", (f"{i}.png", png(noise[i]))) for i in range(40)]).json()
        quick = {"train.rounds": "4", "evaluate.samples": "50", "evaluate.minutes": "0.01"}
        asked = {"command": "train", "values": {"recipe": "vae", "out": "runs/learnt", **quick}}
        answer = client.post("/api/jobs", json={**asked, "uploads": {"data.source": upload["upload"]}})
        assert answer.status_code == 200, answer.text
        return cls("runs/learnt", upload, told(client, answer.json()["job"]))


def png(pixels: Any = ((200, 30), (90, 30))) -> bytes:
    """A grey picture as the content of a file."""
    file = BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()


def told(client: TestClient, job: str) -> list[dict[str, Any]]:
    """All that a job tells up to its end."""
    with client.stream("GET", "/api/job", params={"job": job}) as stream:
        return [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith('data: {"type"')]


def asked(client: TestClient, command: str, run: str | None = None, /, **values: Any) -> list[dict[str, Any]]:
    """All that comes of a command; names of settings have ``__`` for a point."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    answer = client.post("/api/jobs", json={"command": command, "run": run, "values": named, "uploads": {}})
    assert answer.status_code == 200, answer.text
    return told(client, answer.json()["job"])


def state(client: TestClient, job: str) -> str:
    """How a job stands."""
    return str(next(each["state"] for each in client.get("/api/jobs").json() if each["job"] == job))


def until(true: Callable[[], object], what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    until(path.exists, str(path))


def kill(word: str, by: signal.Signals = signal.SIGKILL) -> None:
    """Kill the processes of trainings whose command lines hold ``word``."""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended by now
            given = each.read_bytes().split(b"\0")
            if b"genwerk.studio.training" in given and word.encode() in given:
                os.kill(int(each.parent.name), by)
