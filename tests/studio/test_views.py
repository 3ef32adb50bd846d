"""What the server answers for special views: maps of codes, directions, styles, states of samples, fronts, archives."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from server import Client, Learnt, asked, told, wait_for
from trained import Trained

from genwerk.cli import main as genwerk_command
from genwerk.studio.events import lines


@pytest.fixture
def root(served_root: Path) -> Path:
    return served_root


def state(events: list[dict[str, Any]]) -> str:
    return str([each["state"] for each in events if each["type"] == "state"][-1])


def content(url: str) -> io.BytesIO:
    return io.BytesIO(b64decode(url.partition(",")[2]))


# --- latents ----------------------------------------------------------------------------------------------------------


def test_codes_make_a_map(client: Client) -> None:
    found = client.post("/api/codes", json={"run": "runs/vae", "n": 60}).json()
    assert {len(found[name]) for name in ("x", "y", "names", "labels")} == {60}
    assert (found["encoded"], len(found["classes"])) == (True, 10)
    with Image.open(content(found["sheet"])) as sheet:
        assert sheet.size == (found["side"] * found["across"], found["side"] * 3)


def test_a_direction_is_the_difference_of_two_means(client: Client) -> None:
    labels = client.post("/api/codes", json={"run": "runs/vae", "n": 60}).json()["labels"]
    rows = [i for i, label in enumerate(labels) if label == 3]

    def way(plus: dict[str, Any], minus: dict[str, Any]) -> Any:
        return client.post("/api/direction", json={"run": "runs/vae", "n": 60, "plus": plus, "minus": minus})

    of_class = way({"label": "3"}, {}).json()
    assert of_class["of"] == [len(rows), 60 - len(rows)]
    assert of_class == way({"rows": rows}, {}).json()
    assert way({}, {"rows": rows}).json()["z"] == [-value for value in of_class["z"]]
    z = [client.post("/api/latent", json={"run": "runs/vae", "samples": [i]}).json()["z"][0] for i in range(60)]
    for d, value in enumerate(of_class["z"]):
        with_it, without = ([z[i][d] for i in range(60) if (i in rows) == among] for among in (True, False))
        assert value == pytest.approx(sum(with_it) / len(with_it) - sum(without) / len(without), abs=2e-3)
    for plus, minus in (({}, {}), ({"label": "none"}, {}), ({"rows": "x"}, {})):
        assert way(plus, minus).status_code == 400


def test_an_interpolation_is_an_animation(client: Client) -> None:
    ends = client.post("/api/latent", json={"run": "runs/vae", "samples": [0, 3]}).json()["z"]
    rows = [[a + (b - a) * i / 4 for a, b in zip(*ends, strict=True)] for i in range(5)]
    film = client.post("/api/film", json={"run": "runs/vae", "z": rows}).json()
    with Image.open(content(film["image"])) as found:
        assert (found.format, found.n_frames) == ("GIF", 8)  # type: ignore[attr-defined]
        assert found.size[1] >= 192
        assert b"vae" in found.info["comment"]
    assert client.post("/api/film", json={"run": "runs/vae", "z": rows * 30}).status_code == 400
    assert client.post("/api/film", json={"run": "runs/vae", "way": rows}).status_code == 400


def test_styles_are_mixed_and_brought_nearer_to_their_mean(client: Client, root: Path, trained: Trained) -> None:
    trained.into(root, "style")
    table: dict[str, Any] = {"run": "runs/style", "rows": [0, 1], "columns": [2, 3, 4], "level": "coarse"}
    about = client.get("/api/run", params={"run": "runs/style"}).json()["commands"]
    assert {"edit", "project", "mix"} & {c["name"] for c in about if any("space" in str(s) for s in c["sections"])}
    found = client.post("/api/styled", json=table).json()
    assert [len(found[name]) for name in ("rows", "columns", "table")] == [2, 3, 6]
    assert len(found["levels"]) >= 2
    assert client.post("/api/styled", json={"run": "runs/style", "rows": [0, 1]}).json()["rows"] == found["rows"]
    mean = client.post("/api/styled", json={**table, "psi": 0}).json()
    assert mean["rows"][0] != found["rows"][0]
    assert mean["table"][0] == mean["table"][1]  # in the mean, whose styles a table takes makes no difference
    for wrong in ({"rows": []}, {"rows": [0] * 90}, {"rows": ["a"]}, {"rows": [-1]}, {"run": "runs/vae"}):
        assert client.post("/api/styled", json={**table, **wrong}).status_code == 400


def test_a_latent_is_drawn_while_a_long_question_is_answered(client: Client) -> None:
    assert client.get("/api/builtin").status_code == 200
    busy = client.studio.asking._process
    assert busy is not None
    busy.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(client.get, "/api/recipes", params={"data": "digits"})
            assert client.post("/api/latent", json={"run": "runs/vae", "samples": [1]}).status_code == 200
            assert not slow.done()
            busy.send_signal(signal.SIGCONT)
            assert slow.result().status_code == 200
    finally:
        busy.send_signal(signal.SIGCONT)


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_states_of_samples_are_told_as_they_come(client: Client, root: Path, trained: Trained) -> None:
    trained.into(root, "ddpm")
    events = asked(client, "sample", "runs/ddpm", n="4", steps="40", seed="5")
    frames = [each for each in events if each["type"] == "frame"]
    assert frames, events
    assert all(each["image"].startswith("data:image/png") for each in frames)
    (file,) = [each for each in events if each["type"] == "file"]
    watched = client.get("/api/jobfile", params=file["url"]).content
    command = ["sample", str(root / "runs" / "ddpm"), "-n", "4", "--steps", "40", "--seed", "5"]
    genwerk_command([*command, "--out", str(root / "unwatched.png")])
    with Image.open(io.BytesIO(watched)) as one, Image.open(root / "unwatched.png") as other:
        assert one.tobytes() == other.tobytes()


def test_files_are_saved_together_and_examples_apart(client: Client) -> None:
    values = {"n": "3", "apart": True}
    job = client.post("/api/jobs", json={"command": "sample", "run": "runs/vae", "values": values}).json()
    events = told(client, job["job"])
    assert len([each for each in events if each["type"] == "file"]) == 3, events
    saved = client.get("/api/zip", params=job)
    assert saved.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(saved.content)) as archive:
        assert len(archive.namelist()) == 3
        assert Image.open(archive.open(archive.namelist()[0])).text["parameters"]  # type: ignore[attr-defined]
    assert client.get("/api/zip", params={"job": "none"}).status_code == 400
    assert client.get("/api/zip", params={"run": "../x"}).status_code == 400


def test_a_front_is_told_while_it_moves(client: Client) -> None:
    events = asked(client, "optimise", problem="zdt1", algorithm="nsga2", evaluations="400", out="optimised")
    fronts = [each["fronts"][0] for each in events if each["type"] == "progress" and "fronts" in each]
    assert fronts, events
    assert all(len(row) == 2 for row in fronts[-1])
    assert state(events) == "done", events


def test_a_run_that_is_deleted_while_it_trains_is_not_written_again(client: Client, root: Path) -> None:
    values = {"recipe": "vae", "out": "runs/doomed", "data.source": "ring", "train.rounds": "1000000"}
    job = client.post("/api/jobs", json={"command": "train", "values": values}).json()["job"]
    wait_for(root / "runs" / "doomed" / "events.jsonl")
    assert client.post("/api/jobs", json={"command": "train", "values": values}).status_code == 400
    shutil.rmtree(root / "runs" / "doomed")
    events = told(client, job)
    assert state(events) == "failed"
    assert any("was moved or deleted" in each.get("error", "") for each in events)
    assert not (root / "runs" / "doomed" / "checkpoints").exists()


def test_a_training_speaks_as_the_page_does(learnt: Learnt) -> None:
    assert state(learnt.events) == "done", learnt.events
    said = " ".join(each.get("text", "") for each in learnt.events if each["type"] == "note")
    assert "measuring" in said
    assert not [each for each in ("--", "Ctrl", "genwerk ", learnt.run) if each in said], said
    assert any(each["type"] == "table" for each in learnt.events)


def test_no_help_text_names_a_flag_or_a_command_line(client: Client) -> None:
    commands = client.get("/api/commands").json()
    recipe = client.get("/api/recipe", params={"name": "vae", "data": "digits"}).json()
    sections = [part for each in [*commands, recipe] for part in each["sections"]]
    texts = [each["summary"] for each in commands] + [field["help"] for part in sections for field in part["fields"]]
    assert len(texts) > 150
    assert not [text for text in texts if "--" in text or "`genwerk" in text or "‹" in text]


def test_a_training_whose_process_is_gone_counts_as_stopped(client: Client, root: Path) -> None:
    killed = root / "runs" / "lost"
    shutil.copytree(root / "runs" / "vae", killed)
    lines = (killed / "events.jsonl").read_text().splitlines()
    going = [line for line in lines if '"stage done"' not in line]
    (killed / "events.jsonl").write_text("\n".join(going) + "\n")
    os.utime(killed / "events.jsonl", (time.time() - 60,) * 2)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid, expected in ((os.getpid(), "going on"), (gone.pid, "stopped")):
        (killed / ".lock").write_text(str(pid))
        assert client.get("/api/state", params={"run": "runs/lost"}).json()["state"] == expected
    shutil.rmtree(killed)


def test_a_log_that_a_resume_replaces_is_told_again_without_damaged_lines(root: Path) -> None:
    log = root / "events.jsonl"
    said = ['{"event": "plan", "round": 0}', '{"event": "round", "round": 1}', '{"event": "rou', '{"event": "round"}']
    log.write_text("\n".join(said) + "\n")

    async def told() -> list[str]:
        events = lines(log, 0, lambda: False)
        first = [await anext(events) for _ in range(4)]
        (root / "other").write_text('{"event": "stopped", "round": 1}\n')
        (root / "other").replace(log)
        return first + [event async for event in events]

    with ThreadPoolExecutor(1) as pool:  # this thread has a loop already where a browser is open
        events = [each.split("\n") for each in pool.submit(asyncio.run, told()).result() if each]
    assert [each[0] for each in events] == ["id: 1", "id: 2", "id: 4", "event: again", "id: 1"]
    assert events[-1][1] == 'data: {"event": "stopped", "round": 1}'
    log.unlink()
