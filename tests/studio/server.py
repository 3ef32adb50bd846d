"""A studio on a folder with a few small runs, asked by a client as its page asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from genwerk.studio.app import Settings, Studio

HOST = "studio.test"


@contextmanager
def studio(root: Path, **changes: Any) -> Iterator[TestClient]:
    """A client of a studio on ``root``."""
    settings = Settings(root.resolve(), frozenset({HOST}), **changes)
    app = Studio(settings).app()
    with TestClient(app, base_url=f"http://{HOST}", headers={"X-Genwerk": "1"}) as client:
        yield client


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


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not come")
