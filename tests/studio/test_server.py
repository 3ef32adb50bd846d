"""The studio's server: what it answers, what it refuses, and that nothing leads out of its folder."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from server import HOST, PATIENCE, Client, Learnt, asked, kill, png, state, told, until, wait_for
from starlette.testclient import TestClient

from genwerk.commands import COMMANDS
from genwerk.core.locks import only_writer
from genwerk.studio.app import Settings, Studio
from genwerk.studio.command import Studio as Opened
from genwerk.studio.forms import options_of, words
from genwerk.studio.jobs import Job, Jobs
from genwerk.studio.places import PREFIX
from genwerk.studio.workers import Worker


@pytest.fixture
def root(served_root: Path) -> Path:
    return served_root


def last(events: list[dict[str, Any]]) -> dict[str, Any]:
    return [each for each in events if each["type"] == "state"][-1]


def error(events: list[dict[str, Any]]) -> str:
    (found,) = [each["error"] for each in events if each["type"] == "error"]
    return str(found)


# --- use --------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_with_what_they_can_do(client: Client) -> None:
    assert {"runs/vae", "runs/ring"} <= {each["run"] for each in client.get("/api/runs").json()}
    found = client.get("/api/run", params={"run": "runs/vae"}).json()
    names = {each["name"] for each in found["commands"]}
    assert {"sample", "interpolate", "reconstruct", "evaluate"} <= names
    assert not {"translate", "complete", "train", "export", "classify"} & names
    assert found["latent"] > 1
    fields = {
        f["name"]: f for c in found["commands"] if c["name"] == "sample" for s in c["sections"] for f in s["fields"]
    }
    assert fields["n"]["type"] == "integer"
    assert fields["observation"]["choices"] == ["draw", "mean"]  # an option of this model alone
    (between,) = [c for c in found["commands"] if c["name"] == "interpolate"]
    offered = {f["name"] for s in between["sections"] for f in s["fields"]}
    assert "path" in offered
    assert not {"space", "texts"} & offered  # of models with styles, and with prompts
    assert not {"plugin", "json", "overwrite", "out", "device"} & fields.keys()


def test_a_command_tells_what_it_finds_and_gives_its_files(client: Client) -> None:
    events = asked(client, "sample", "runs/vae", n="5")
    (file,) = [each for each in events if each["type"] == "file"]
    assert last(events)["state"] == "done"
    picture = client.get("/api/jobfile", params=file["url"])
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).text["parameters"]  # type: ignore[attr-defined]
    table = asked(client, "sample", "runs/ring", n="5")
    assert {each["kind"] for each in table if each["type"] == "file"} >= {"image"}


def test_a_point_of_the_latent_space_is_decoded(client: Client) -> None:
    first = client.post("/api/latent", json={"run": "runs/vae", "samples": [0, 3]}).json()
    assert len(first["z"]) == len(first["shown"]) == 2
    again = client.post("/api/latent", json={"run": "runs/vae", "z": first["z"]}).json()
    assert again["shown"][0]["image"].startswith("data:image/png;base64,")
    axes = client.post("/api/axes", json={"run": "runs/vae"}).json()
    assert len(axes["dims"]) == len(axes["low"]) == axes["size"] == len(first["z"][0])
    assert all(low < high for low, high in zip(axes["low"], axes["high"], strict=True))
    for z in ([[1.0]], [[float("1e999")]], "rubbish"):
        answer = client.post("/api/latent", content=f'{{"run": "runs/vae", "z": {str(z).replace("inf", "1e999")}}}')
        assert answer.status_code == 400
        assert "Traceback" not in answer.text


def test_recipes_fit_the_data_and_their_settings_are_fields(client: Client) -> None:
    assert client.get("/api/recipes").json()["data"] is None
    found = client.get("/api/recipes", params={"data": "digits"}).json()
    assert found["data"]["train"] > 1000
    assert found["recipes"][0]["why"]
    form = client.get("/api/recipe", params={"name": "vae", "data": "digits"}).json()
    fields = {field["name"]: field for section in form["sections"] for field in section["fields"]}
    assert fields["train.rounds"]["common"]
    assert fields["model.latent"]["value"].isdecimal()
    assert client.get("/api/recipe", params={"name": "none"}).status_code == 400


def test_a_training_writes_a_run_whose_log_is_replayed(client: Client, root: Path, learnt: Learnt) -> None:
    assert last(learnt.events)["state"] == "done", learnt.events
    with client.stream("GET", "/api/events", params={"run": learnt.run}) as stream:
        lines = list(stream.iter_lines())
    assert 'data: {"event": "plan"' in lines[1]
    assert lines[-3:-1] == ["event: end", "data: {}"]
    with client.stream("GET", "/api/events", params={"run": learnt.run, "after": "2"}) as stream:
        assert next(stream.iter_lines()) == "id: 3"
    taken = {"command": "train", "values": {"recipe": "vae", "out": learnt.run, "data.source": "digits"}}
    answer = client.post("/api/jobs", json=taken)
    assert (answer.status_code, "choose another name" in answer.json()["error"]) == (400, True)
    with only_writer(root / learnt.run):
        refused = client.delete("/api/run", params={"run": learnt.run}).json()["error"]
        assert refused.startswith(f"{learnt.run} is being written by another process")
    undo = client.delete("/api/run", params={"run": learnt.run}).json()
    assert not (root / learnt.run).exists()
    assert client.post("/api/undo", json=undo).json() == {"run": learnt.run}
    assert (root / learnt.run / "config.json").is_file()


def test_a_training_is_stopped_and_a_killed_one_is_told(client: Client, root: Path) -> None:
    quick = {"data.source": "digits", "train.rounds": "100000", "evaluate": False}
    jobs = [
        client.post("/api/jobs", json={"command": "train", "values": {"recipe": "vae", "out": out, **quick}}).json()[
            "job"
        ]
        for out in ("runs/stopped", "runs/killed")
    ]
    places = {each["job"]: each["place"] for each in client.get("/api/jobs").json()}
    assert places[jobs[1]] == 1
    wait_for(root / "runs" / "stopped" / "events.jsonl")
    assert client.get("/api/run", params={"run": "runs/stopped"}).json()["state"] == "going on"
    assert client.delete("/api/run", params={"run": "runs/stopped"}).status_code == 409
    client.delete("/api/jobs", params={"job": jobs[0]})
    assert state(client, jobs[0]) in ("stopping", "cancelled")
    assert last(told(client, jobs[0]))["state"] == "cancelled"
    assert list((root / "runs" / "stopped" / "checkpoints").iterdir())
    wait_for(root / "runs" / "killed" / "events.jsonl")
    kill("runs/killed")
    events = told(client, jobs[1])
    assert (last(events)["state"], "was killed" in error(events)) == ("failed", True)
    assert client.get("/api/state", params={"run": "runs/killed"}).json()["state"] == "stopped"
    assert client.get("/api/run", params={"run": "runs/killed"}).json()["state"] == "stopped"
    states = {each["run"]: each["state"] for each in client.get("/api/runs").json()}
    assert states["runs/killed"] == "stopped"
    os.utime(root / "runs" / "killed" / "events.jsonl")  # a machine that is not seen writes it
    assert client.get("/api/state", params={"run": "runs/killed"}).json()["state"] == "going on"


def test_a_training_that_a_killed_studio_left_is_stopped_from_the_page(client: Client, root: Path) -> None:
    command = [sys.executable, "-m", "genwerk.studio.training", "train", "vae", "--data", "ring", "--out", "runs/left"]
    with subprocess.Popen([*command, "--train.rounds", "1000000"], cwd=root, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        left.stdout.close()  # the studio that has started it is gone
        wait_for(root / "runs" / "left" / "events.jsonl")
        state = client.get("/api/state", params={"run": "runs/left"}).json()
        assert (state["state"], state["held"]) == ("going on", True)
        assert client.post("/api/stop", json={"run": "runs/left"}).status_code == 204
        assert left.wait(PATIENCE) == 128 + signal.SIGTERM
    state = client.get("/api/state", params={"run": "runs/left"}).json()
    assert (state["state"], state["held"], state["ready"]) == ("stopped", False, True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (root / "runs" / "left" / ".lock").write_text(str(other.pid))  # as a writer that died may have had it
        answer = client.post("/api/stop", json={"run": "runs/left"})
        assert (answer.status_code, "no process" in answer.json()["error"], other.poll()) == (400, True, None)
        other.communicate(b"\n")
    undo = client.delete("/api/run", params={"run": "runs/left"})  # which a lock that nobody holds does not hinder
    assert undo.status_code == 200, undo.text


def test_a_training_that_is_stopped_while_it_is_measured_is_done(client: Client, root: Path) -> None:
    long = {"data.source": "digits", "train.rounds": "2", "evaluate.samples": "500000", "evaluate.minutes": "none"}
    values = {"recipe": "vae", "out": "runs/measured", **long}
    job = client.post("/api/jobs", json={"command": "train", "values": values}).json()["job"]
    until(lambda: state(client, job) == "measuring", "the end of the training")
    client.post("/api/stop", json={"run": "runs/measured"})
    events = told(client, job)
    assert last(events)["state"] == "done", events
    assert any("measuring was stopped" in each.get("text", "") for each in events)
    assert client.get("/api/state", params={"run": "runs/measured"}).json()["state"] == "finished"


def test_a_run_that_is_deleted_while_a_resume_starts_is_gone(client: Client, root: Path) -> None:
    folder = root / "runs" / "gone"
    shutil.copytree(root / "runs" / "ring", folder)
    values = {"recipe": "mixture", "out": "runs/gone", "resume": True, "train.rounds": "100000"}
    job = client.post("/api/jobs", json={"command": "train", "values": values}).json()["job"]
    shutil.rmtree(folder)
    events = told(client, job)
    assert (last(events)["state"], "moved or deleted" in error(events)) == ("failed", True)
    assert not folder.exists()
    answer = client.post("/api/jobs", json={"command": "train", "values": values})
    assert (answer.status_code, "there is no run" in answer.json()["error"]) == (400, True)


def test_what_is_computed_can_be_cancelled_and_the_next_is_computed(client: Client) -> None:
    values = {"evaluate.samples": "200000", "evaluate.minutes": "none"}
    job = client.post("/api/jobs", json={"command": "evaluate", "run": "runs/vae", "values": values}).json()["job"]
    until(lambda: state(client, job) == "running", "its turn")
    client.delete("/api/jobs", params={"job": job})
    assert last(told(client, job))["state"] == "cancelled"
    assert last(asked(client, "sample", "runs/vae", n="2"))["state"] == "done"


def test_a_folder_that_is_free_is_suggested(client: Client, root: Path) -> None:
    def free(out: str) -> object:
        return client.get("/api/free", params={"out": out}).json().get("out")

    assert free("compared") == "compared"
    (root / "compared").mkdir()
    assert free("compared") == "compared"
    (root / "compared" / "plan.json").write_text("{}")
    assert free("compared") == "compared-2"
    long = {"evaluate.samples": "200000", "evaluate.minutes": "none"}
    first = client.post("/api/jobs", json={"command": "evaluate", "run": "runs/vae", "values": long}).json()["job"]
    values = {"runs": ["runs/vae", "runs/ring"], "out": "compared-2"}
    second = client.post("/api/jobs", json={"command": "compare", "values": values}).json()["job"]
    assert free("compared") == "compared-3"
    for job in (second, first):
        client.delete("/api/jobs", params={"job": job})
    assert last(told(client, first))["state"] == "cancelled"
    events = asked(client, "compare", runs=["runs/vae", "runs/ring"], out="compared")
    failed = next(each for each in events if each["type"] == "error")
    assert failed["settings"][0] == "out", failed
    assert client.get("/api/free", params={"out": "../x"}).status_code == 400


def test_a_queue_has_an_end(client: Client) -> None:
    long = {"evaluate.samples": "200000", "evaluate.minutes": "none"}
    answers = [
        client.post("/api/jobs", json={"command": "evaluate", "run": "runs/vae", "values": long}) for _ in range(30)
    ]
    assert [each.status_code for each in answers].count(200) in (20, 21)  # one may be computed by now
    assert {each.status_code for each in answers} == {200, 429}
    assert "wait already" in answers[-1].json()["error"]
    for each in reversed(answers):
        if each.status_code == 200:
            client.delete("/api/jobs", params=each.json())
    for each in answers:
        if each.status_code == 200:
            assert last(told(client, each.json()["job"]))["state"] == "cancelled"


def test_a_name_of_a_run_is_checked_before_anything_is_queued(client: Client, root: Path) -> None:
    (root / "photos").mkdir()
    (root / "photos" / "1.png").write_bytes(png())
    (root / "notes.txt").write_text("x")
    for name, why in (
        ("photos", "which is no run"),
        ("notes.txt", "which is no run"),
        ("notes.txt/a", "is a file"),
        ("runs/vae", "there is a run runs/vae already"),
        ("runs/vae/inside", "not put into another"),
        ("../x", "begins with a letter or a digit"),
        ("runs/-x", "begins with a letter or a digit"),
        ("runs/.hidden", "begins with a letter or a digit"),
        ("runs//x", "between and behind its slashes"),
        ("runs/x*", "cannot be called so"),
        ("x" * 101, "at most 100 characters"),
        ("runs/Con.1", "cannot be a folder on Windows"),
        ("runs/x.", "cannot be a folder on Windows"),
        ("uploads", "the folder of uploaded files"),
        ("Uploads/x", "the folder of uploaded files"),
        ("", "needs a name"),
    ):
        assert why in client.get("/api/name", params={"out": name}).json()["error"], name
        values = {"recipe": "vae", "data.source": "digits", "out": name}
        answer = client.post("/api/jobs", json={"command": "train", "values": values})
        assert (answer.status_code, answer.json()["settings"]) == (400, ["out"])
    assert client.get("/api/name", params={"out": "runs/free"}).json() == {"error": None}


@pytest.mark.parametrize("wrong", [{"minutes": "0"}, {"minutes": "1e9"}, {"lr": "-1"}, {"recipe": "none"}])
def test_settings_of_a_training_are_checked_before_it_is_queued(client: Client, wrong: dict[str, str]) -> None:
    values = {"recipe": "vae", "data.source": "digits", "out": "runs/free", **wrong}
    before = client.get("/api/jobs").json()
    answer = client.post("/api/jobs", json={"command": "train", "values": values})
    (named,) = wrong
    assert (answer.status_code, named in answer.json()["error"]) == (400, True)
    assert answer.json()["settings"] == [name for name in (named,) if name != "recipe"]
    assert client.get("/api/jobs").json() == before


def test_a_run_belongs_to_the_training_that_has_begun_it_last(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, tmp_path, Worker(tmp_path))

    def over(begun: bool, **values: Any) -> Job:
        job = jobs.add("train", None, {"out": "runs/a", **values}, {})
        job.state, job.begun = "done" if begun else "failed", begun
        return job

    failed, first = over(False), over(True)
    resumed = over(True, resume=True)
    assert [jobs.shows(each) for each in (failed, first, resumed)] == [False, True, True]
    anew = over(True)  # the former run is in the bin
    assert [jobs.shows(each) for each in (failed, first, resumed, anew)] == [False, False, False, True]


def test_data_that_cannot_be_read_are_read_once_it_is_said_how(client: Client, root: Path) -> None:
    rows = [f"{name},{i % 5},{i / 7:.2f}" for i, name in enumerate(["Ann", "Bob", "Cid"] * 12)]
    (root / "people.csv").write_text("\n".join(["name,age,height", *rows]))
    answer = client.get("/api/recipes", params={"data": "people.csv"})
    assert (answer.status_code, "'name'" in answer.json()["error"]) == (400, True)
    fields = {field["name"] for section in client.get("/api/reading").json() for field in section["fields"]}
    assert {"data.label", "data.covariates", "data.text", "data.size"} <= fields
    options = {"options": json.dumps({"values": {"data.label": "name", "data.holdout": "0.2"}})}
    found = client.get("/api/recipes", params={"data": "people.csv", **options}).json()
    assert found["data"]["classes"] == ["Ann", "Bob", "Cid"]
    name = found["recipes"][0]["name"]
    assert client.get("/api/recipe", params={"data": "people.csv", "name": name, **options}).status_code == 200
    for wrong in ("{", "[]", '{"values": 3}', '{"values": {"data.labels": "../secret.txt"}}', '{"values": {"x": "1"}}'):
        answer = client.get("/api/recipes", params={"data": "people.csv", "options": wrong})
        assert (answer.status_code, "Traceback" in answer.text) == (400, False), wrong


def test_examples_are_shown_from_all_over_the_data(client: Client, root: Path) -> None:
    for name, shade in (("black", 0), ("white", 255)):
        (root / "shades" / name).mkdir(parents=True)
        for i in range(40):
            Image.new("L", (8, 8), shade).save(root / "shades" / name / f"{i}.png")
    found = client.get("/api/recipes", params={"data": "shades"}).json()["data"]
    with Image.open(io.BytesIO(b64decode(found["examples"]["image"].partition(",")[2]))) as sheet:
        colours = {colour: n for n, colour in sheet.convert("L").getcolors()}
    assert min(colours[0], colours[255]) > 8 * 64


def test_what_there_is_to_optimise_is_told_with_the_front_that_is_known(client: Client) -> None:
    found = client.get("/api/optimising").json()
    assert found["problems"]["zdt1"].startswith("ZDT: two objectives")
    assert "Deb et al., 2002" in found["algorithms"]["nsga2"]
    (points,) = client.get("/api/front", params={"problem": "zdt1"}).json()["fronts"]
    assert len(points) > 100
    assert all(y == pytest.approx(1 - x**0.5, abs=1e-9) for x, y in points)
    assert client.get("/api/front", params={"problem": "kursawe"}).json() == {"fronts": [None]}
    high, low = client.get("/api/front", params={"problem": "cihs"}).json()["fronts"]  # of two tasks
    assert high != low
    for wrong in ({"problem": "none"}, {"problem": "mine.py"}, {"problem": "zdt1", "variables": "x"}, {}):
        assert client.get("/api/front", params=wrong).status_code == 400, wrong


def test_settings_by_name_are_lines_with_a_name_and_a_value() -> None:
    expected = ["optimise", "--settings", "pop_size", "50", "a", "x y"]
    for lines in (["pop_size 50", "a x y"], ["pop_size=50", "a = x y"], ["pop_size: 50", "a\uff1ax y"]):
        assert words(options_of(COMMANDS["optimise"], None), {"settings": lines}, ["optimise"]) == expected


def test_a_full_disk_is_told_and_the_server_lives_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    asked_for = {"command": "sample", "run": "runs/vae", "values": {"n": "2"}}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        answers = [
            client.post("/api/uploads", files={"file": ("a.png", png())}),
            client.post("/api/jobs", json=asked_for),
            client.delete("/api/run", params={"run": "runs/vae"}),
        ]
    for answer in answers:
        assert answer.status_code == 507
        assert answer.json()["error"] == "a file cannot be read or written: the disk is full"
    assert client.post("/api/uploads", files={"file": ("a.png", png())}).status_code == 200
    assert last(asked(client, "sample", "runs/vae", n="2"))["state"] == "done"


# --- what is handed in ------------------------------------------------------------------------------------------------


def huge_png() -> bytes:
    """A header that claims 100 megapixels, and hardly anything behind it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 10_000, 10_001, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(300 * 2**20))
    return file.getvalue()


def test_images_are_data_to_train_on(client: Client, root: Path, learnt: Learnt) -> None:
    found = learnt.upload
    assert (found["kind"], found["files"], len(found["thumbnails"])) == ("image", 40, 12)
    assert client.get("/api/upload", params=found["thumbnails"][0]).headers["content-type"] == "image/png"
    said = client.get("/api/recipes", params={"upload": found["upload"]}).json()
    assert said["data"]["kind"] == "image"
    assert str(root) not in str(said)
    assert "genwerk-studio" not in str(said)
    assert last(learnt.events)["state"] == "done", learnt.events
    assert client.get("/api/run", params={"run": learnt.run}).json()["data"] == "uploads/files"
    assert len(list((root / "uploads" / "files").iterdir())) == 40  # kept, so that the run can go on


def test_of_a_folder_what_cannot_be_used_is_left_out_and_told(client: Client) -> None:
    files = [
        ("file", (f"album/{name}", content))
        for name, content in (
            (".DS_Store", b"x"),
            ("notes.docx", b"x"),
            ("broken.png", b"x"),
            ("red/1.png", png()),
            ("blue/2.png", png()),
        )
    ]
    found = client.post("/api/uploads", files=files).json()
    assert (found["files"], len(found["skipped"]), len(found["thumbnails"])) == (2, 3, 2)
    said = client.get("/api/recipes", params={"upload": found["upload"]}).json()
    assert said["data"]["classes"] == ["blue", "red"]


def test_an_upload_is_told_by_its_own_name(client: Client) -> None:
    found = client.post("/api/uploads", files={"file": ("words.csv", b"a,b\nx,y\nz,w\n")}).json()
    why = client.get("/api/recipes", params={"upload": found["upload"]}).json()["error"]
    assert "words.csv" in why
    assert not {"files/words.csv", found["upload"]} & {part.strip("':,") for part in why.split()}
    assert found["upload"] not in why


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("page.html", b"<script>alert(1)</script>", "of no kind that is taken"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "of no kind that is taken"),
        ("program.exe", b"MZ", "of no kind that is taken"),
        ("model.pkl", b"\x80\x04.", "of no kind that is taken"),
        ("weights.pt", b"PK", "of no kind that is taken"),
        ("script.py", b"import os", "of no kind that is taken"),
        ("nothing", b"", "of no kind that is taken"),
        (".png", png(), None),
        ("../../../up.png", png(), None),
        ("..\\..\\up.png", png(), None),
        ("/etc/up.png", png(), None),
        ("a\x00b.png", png(), None),
        ("text.png", b"no image at all", "cannot be read as an image"),
        ("empty.png", b"", "cannot be read as an image"),
        ("cut.png", png()[:30], "cannot be read as an image"),
        ("huge.png", huge_png(), "more than the 50,000,000 pixels"),
        ("text.wav", b"no sound at all", "cannot be read as a sound"),
        ("text.zip", b"no archive at all", "cannot be read as a zip"),
        ("bomb.zip", bomb, "far larger when it is unpacked"),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    client: Client, root: Path, name: str, content: Any, why: str | None
) -> None:
    before = set(root.parent.rglob("*"))
    answer = client.post("/api/uploads", files={"file": (name, content() if callable(content) else content)})
    if why is None:
        assert answer.status_code in (200, 400)
    else:
        assert answer.status_code == 400
        assert why in answer.json()["error"]
    assert set(root.parent.rglob("*")) == before
    assert client.get("/api/hello").status_code == 200


def test_more_than_may_be_handed_in_is_not_taken(root: Path) -> None:
    with Client(root, upload=10_000) as other:
        assert other.post("/api/uploads", files={"file": ("a.png", bytes(20_000))}).status_code == 413
        assert other.post("/api/uploads", content=b"x").status_code == 400
        assert other.post("/api/jobs", content=b"x" * 2_000_000).status_code == 413


# --- what leads out of the folder -------------------------------------------------------------------------------------


OUT = [
    "..",
    "../secret.txt",
    "/etc/passwd",
    "~/x",
    "runs/../../secret.txt",
    "link/secret.txt",
    "a\0b",
    "\\\\host\\x",
    "",
]


@pytest.mark.parametrize("name", OUT)
def test_names_do_not_lead_out(client: Client, name: str) -> None:
    for answer in (
        client.get("/api/run", params={"run": name}),
        client.get("/api/file", params={"run": name, "name": "secret.txt"}),
        client.get("/api/file", params={"run": "runs/vae", "name": name}),
        client.get("/api/events", params={"run": name}),
        client.get("/api/upload", params={"upload": name, "name": name}),
        client.get("/api/jobfile", params={"job": name, "name": name}),
        client.post("/api/latent", json={"run": name}),
        client.delete("/api/run", params={"run": name}),
        client.post("/api/undo", json={"undo": name}),
        client.post("/api/jobs", json={"command": "sample", "run": name or "/", "values": {}}),
    ):
        assert answer.status_code in (400, 404), answer.url
        assert "secret" not in answer.text.replace("secret.txt", "")
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("command", "values"),
    [
        ("train", {"recipe": "vae", "out": "../x", "data.source": "digits"}),
        ("train", {"recipe": "vae", "out": "/tmp/x", "data.source": "digits"}),
        ("train", {"recipe": "vae", "out": "runs/x", "data.source": "/etc"}),
        ("train", {"recipe": "vae", "out": "runs/x", "data.source": "link/secret.txt"}),
        ("train", {"recipe": "vae", "out": "runs/x", "data.source": "digits", "data.labels": "../secret.txt:a"}),
        ("train", {"recipe": "vae", "out": "runs/x", "data.source": "digits", "config": "/etc/passwd"}),
        ("train", {"recipe": "vae", "out": "runs/x", "data.source": "digits", "plugin": "runs/x.py"}),
        ("train", {"recipe": "vae", "out": "runs/x", "data.source": "digits", "--plugin": "x.py"}),
        ("train", {"recipe": "--help", "out": "runs/x"}),
        ("sample", {"n": "4", "out": "x.png"}),
        ("sample", {"n": "4", "plugin": "x.py"}),
        ("sample", {"n": ["4", "--plugin", "x.py"]}),
        ("sample", {"n": {"a": 1}}),
        ("sample", {"n": "4\0"}),
        ("compare", {"runs": ["runs/vae", "../other"]}),
        ("optimise", {"problem": "mine.py", "out": "optimised"}),
        ("optimise", {"problem": "zdt1", "command": "cat /etc/passwd", "out": "optimised"}),
        ("optimise", {"command": "cat /etc/passwd", "lower": "0", "upper": "1"}),
        ("export", {}),
        ("studio", {}),
        ("no-command", {}),
        ("__init__", {}),
    ],
)
def test_settings_do_not_lead_out(client: Client, root: Path, command: str, values: dict[str, Any]) -> None:
    run = "runs/vae" if command in ("sample", "export") else None
    answer = client.post("/api/jobs", json={"command": command, "run": run, "values": values})
    if answer.status_code == 400:
        why = answer.json()["error"]
    else:
        events = told(client, answer.json()["job"])
        assert last(events)["state"] == "failed", events
        why = error(events)
    assert str(root) not in why
    assert "fault of Genwerk" not in why
    assert not (root / "runs" / "x").exists()


def test_answers_do_not_wait_for_a_full_packet() -> None:
    with Opened(port=0)._listening() as listening:  # asyncio sets no delay for sockets whose protocol it is told alone
        assert listening.proto == socket.IPPROTO_TCP


# --- who asks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.test"}, 400),
        ({"Host": ""}, 400),
        ({"Host": f"{HOST}.evil.test"}, 400),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"X-Genwerk": "0"}, 403),
        ({"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}, 400),
    ],
)
def test_only_its_own_page_may_ask(client: Client, headers: dict[str, str], status: int) -> None:
    answer = client.post("/api/undo", json={"undo": "none"}, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_bodies_that_are_no_objects_are_refused(client: Client) -> None:
    for content in (
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"command": 3}',
        b'{"command": "sample", "values": 3}',
    ):
        answer = client.post("/api/jobs", content=content)
        assert answer.status_code == 400, content[:20]
        assert "Traceback" not in answer.text


def test_a_password_is_asked_for_and_guesses_are_few(root: Path) -> None:
    with Client(root, password="correct horse") as other:
        assert other.get("/api/hello").json()["login"]
        assert "root" not in other.get("/api/hello").json()
        assert other.get("/").status_code == 200
        assert other.get("/api/runs").status_code == 401
        assert other.get("/api/runs", headers={"Cookie": "genwerk_studio=guess"}).status_code == 401
        assert other.post("/api/login", json={"password": 3}).status_code == 401
        answer = other.post("/api/login", json={"password": "correct horse"})
        assert answer.status_code == 204
        assert {"httponly", "samesite=strict"} <= {*answer.headers["set-cookie"].lower().split("; ")}
        assert other.get("/api/runs").status_code == 200
        other.cookies.clear()
        tries = [other.post("/api/login", json={"password": str(i)}).status_code for i in range(8)]
        assert tries.count(429) >= 3
        assert other.post("/api/login", json={"password": "correct horse"}).status_code == 429


def test_sentences_are_in_the_language_that_is_asked_for(client: Client) -> None:
    said = client.get("/api/run", params={"run": "gone"}, headers={"Accept-Language": "zh-CN,zh;q=0.9"}).json()["error"]
    assert said.startswith("没有")
    assert "gone" in said


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("train.batch_size", 10**30, "1.00e+30; expected a number 1e+12 or less"),
        ("train.batch_size", 10**11, "GB of memory"),
        ("epochs", "-1", "expected 0 or more"),
        ("epochs", "0", "expected a number above 0"),
        ("model.width", "0", "cannot be shared among 1 colours"),
        ("model.layers", "0", "needs 1 or more"),
        ("model.kernel", "-1", "an odd side"),
        ("model.embedding", "-1", "a number of channels"),
        ("model.head", 10**30, "1e+12 or less"),
        ("lr", "1e30", "from 0 to 100000"),
        ("train.optim.model.weight_decay", "1e30", "from 0 to 100000"),
        ("train.rounds", 10**30, "1e+12 or less"),
        ("data.size", "-1", "from 1 to 65536"),
        ("data.limit", "-1", "1 or more"),
        ("data.holdout", "-1", "from 0 to below 1"),
        ("data.validation", 1e308, "expected a finite number"),
        ("data.seed", "1e308", "1.00e+308"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_at_its_field(
    client: Client, setting: str, value: object, told: str
) -> None:
    values = {"recipe": "pixelcnn", "data.source": "digits", "out": "runs/never", setting: value}
    answer = client.post("/api/jobs", json={"command": "train", "values": values})
    assert answer.status_code == 400
    found = answer.json()
    assert told in found["error"]
    assert len(found["error"]) < 150
    assert setting in found["settings"]


def test_a_training_that_does_not_stop_is_killed_by_a_second_cancel(client: Client, root: Path) -> None:
    values = {"recipe": "pixelcnn", "data.source": "digits", "out": "runs/deaf", "train.rounds": "100000"}
    job = client.post("/api/jobs", json={"command": "train", "values": values}).json()["job"]
    wait_for(root / "runs/deaf/config.json")
    kill("runs/deaf", signal.SIGSTOP)
    client.delete("/api/jobs", params={"job": job})
    assert state(client, job) == "stopping"
    client.delete("/api/jobs", params={"job": job})
    until(lambda: state(client, job) in ("cancelled", "failed"), "the end of a training that does not answer")


@pytest.mark.parametrize("command", ["rm", "studio", "\ud800"])
def test_what_is_no_command_of_the_page_becomes_no_job(client: Client, command: str) -> None:
    before = client.get("/api/jobs").json()
    assert client.post("/api/jobs", content=json.dumps({"command": command})).status_code == 400
    assert client.get("/api/jobs").json() == before


def test_half_a_character_is_no_text_of_any_request(client: Client) -> None:
    asked = {"command": "sample", "run": "runs/vae", "values": {"n": "\ud800"}}
    for where, what in [("/api/jobs", asked), ("/api/latent", {"run": "\ud800"}), ("/api/undo", {"undo": "\udfff"})]:
        answer = client.post(where, content=json.dumps(what))
        assert answer.status_code == 400
        assert "half of a character" in answer.json()["error"]


def test_a_password_that_is_no_text_counts_as_a_try(served_root: Path) -> None:
    with Client(served_root, password="eight or more") as locked:
        statuses = [locked.post("/api/login", content=json.dumps({"password": "\ud800"})).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]


def test_a_front_of_many_objectives_is_not_drawn(client: Client) -> None:
    for objectives in (100, 9999):
        found = client.get("/api/front", params={"problem": "dtlz2", "objectives": objectives})
        assert found.json() == {"fronts": [None]}


def test_a_studio_of_all_addresses_is_known_as_localhost(served_root: Path) -> None:
    studio = Studio(Settings(served_root.resolve(), frozenset({"*", "localhost:8400"})))
    with TestClient(studio.app(), base_url="http://localhost:8400") as found:
        assert found.get("/").status_code == 200
        other = found.get("/", headers={"Host": "elsewhere:8400"})
    assert (other.status_code, other.text) == (400, "the studio is not known by this name")


def test_the_name_of_a_run_is_as_long_as_a_folder_may_be(client: Client) -> None:
    assert client.get("/api/name", params={"out": "汉" * 80}).json()["error"] is None
    assert "80 Chinese characters" in client.get("/api/name", params={"out": "汉" * 81}).json()["error"]


def test_a_run_that_another_process_trains_is_not_resumed(client: Client, root: Path) -> None:
    with only_writer(root / "runs/vae"):
        asked = {"command": "train", "values": {"resume": True, "out": "runs/vae"}}
        answer = client.post("/api/jobs", json=asked)
    assert answer.status_code == 400
    assert "another process trains this run" in answer.json()["error"]


def test_names_of_uploads_that_no_folder_has_together_are_changed(client: Client) -> None:
    names = ["𠀀" * 90 + ".png", "a.png", "a.png/b.png", "c.png/d.png", "c.png"]
    found = client.post("/api/uploads", files=[("file", (name, png())) for name in names])
    assert found.status_code == 200, found.text
    assert found.json()["files"] == len(names)
    empty = client.post("/api/uploads", files=[("file", ("a.csv", b""))])
    assert (empty.status_code, empty.json()["error"]) == (400, "a.csv is empty")


def test_a_port_beyond_the_last_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="port is 99999; expected a whole number from 0 to 65535"):
        next(iter(Opened(root=tmp_path, port=99999).run(None)))  # type: ignore[arg-type]


def test_what_a_killed_studio_left_is_removed_by_the_next(served_root: Path, client: Client) -> None:
    dead, strange = (Path(tempfile.mkdtemp(prefix=PREFIX)) for _ in range(2))
    (dead / ".lock").write_text("4194304")
    (dead / "uploads").mkdir()
    with Client(served_root) as other:
        assert not dead.exists()
        assert strange.exists()  # nobody has noted that it is a studio's
        assert client.studio.folder.exists()
        assert other.studio.folder.exists()
    strange.rmdir()


def test_a_training_that_is_cancelled_as_it_starts_says_nothing(
    client: Client, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    values = {"recipe": "vae", "data.source": "digits", "out": "runs/hasty"}
    job = client.post("/api/jobs", json={"command": "train", "values": values}).json()["job"]
    until(lambda: client.studio.jobs.every[job].process is not None, "the process of a training")
    client.delete("/api/jobs", params={"job": job})
    until(lambda: state(client, job) == "cancelled", "the end of a training")
    assert "KeyboardInterrupt" not in capfd.readouterr().err
    assert not (root / "runs/hasty").exists()
