"""The process and its surroundings: signals, pipes, terminals, several processes, and whose fault it was."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from genwerk.cli import main
from genwerk.cli.progress import Outlet, outlets, say
from genwerk.commands.machine import Doctor
from genwerk.training import launcher

Genwerk = Callable[..., str]
ENDLESS = ["train", "vae", "--data", "digits", "--rounds", "1000000", "--train.sample-every", "0"]


def when(true: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """``act`` in another thread as soon as ``true``."""

    def wait() -> None:
        deadline = time.monotonic() + 300
        while not true() and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def ended(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_tells_the_command_that_goes_on(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my run"
    log = out / "events.jsonl"
    before = signal.signal(number, signal.default_int_handler)  # nohup, say, has a hang-up ignored
    thread = when(log.exists, lambda: os.kill(os.getpid(), number))
    try:
        assert ended([*ENDLESS, "--out", str(out)]) == 128 + number
    finally:
        thread.join()
        signal.signal(number, before)
    assert list(out.glob("checkpoints/[0-9]*"))
    assert f"go on with genwerk {' '.join(ENDLESS)} --out '{out}' --resume" in capsys.readouterr().out


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    from genwerk.training.trainer import Trainer

    thread = when((tmp_path / "run/events.jsonl").exists, lambda: os.kill(os.getpid(), signal.SIGINT))
    save, Trainer._save = Trainer._save, lambda *_: os.kill(os.getpid(), signal.SIGINT)  # type: ignore[method-assign]
    try:
        assert ended([*ENDLESS, "--out", str(tmp_path / "run")]) == 130
    finally:
        Trainer._save = save  # type: ignore[method-assign]
        thread.join()


def test_a_reader_that_goes_stops_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    thread = when((tmp_path / "run/events.jsonl").exists, lambda: os.close(reading))
    more = ["--out", str(tmp_path / "run"), "--train.evaluate-every", "20", "--train.save-every", "0"]
    assert ended([*ENDLESS, *more]) == 141
    thread.join()
    assert list(tmp_path.glob("run/checkpoints/[0-9]*"))


def test_two_processes_end_as_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "genwerk", *ENDLESS, "--out", str(tmp_path / "run"), "--devices", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "training vae" not in (line := process.stdout.readline()):
        assert line, process.communicate()[1]
    thread = when((tmp_path / "run/events.jsonl").exists, process.terminate)
    out, err = process.communicate(timeout=600)
    thread.join()
    assert (process.returncode, err) == (143, "")
    assert "stopped and saved at round" in out
    assert list(tmp_path.glob("run/checkpoints/[0-9]*"))


def test_one_process_of_several_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(launcher.GROUP, str(tmp_path))
    monkeypatch.setenv("RANK", "0")
    assert [ended(["show", "nothing"]) for _ in range(2)] == [2, 2]
    assert capsys.readouterr().err.count("genwerk: ") == 1


# --- what is written where --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding,shown", [("ascii", r"<= 1 +- 2 caf\xe9 -"), ("cp1252", "<= 1 ± 2 café -")])
def test_what_an_encoding_lacks_is_replaced(encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    with outlets():
        say("≤ 1 ± 2 café ─")
    assert written.getvalue().decode(encoding) == shown + "\n"


@pytest.mark.parametrize("arguments", [["recipes"], ["train", "vae", "--help"]])
def test_a_list_whose_reader_has_gone_ends_silently(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    assert ended(arguments) == 141
    assert capfd.readouterr().err == ""


def test_output_that_cannot_be_written_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", open("/dev/full", "w"))  # noqa: SIM115
    assert ended(["recipes"]) == 2
    assert "could not be written" in capfd.readouterr().err


def test_an_outlet_is_otherwise_its_stream() -> None:
    stream = io.StringIO()
    outlet = Outlet(stream)
    print("x", file=outlet)
    assert (stream.getvalue(), outlet.isatty(), outlet.gone) == ("x\n", False, False)


def test_a_busy_machine_is_named(genwerk: Genwerk, monkeypatch: pytest.MonkeyPatch) -> None:
    from genwerk.training.runtime import ProcessorTime

    clock = ProcessorTime()
    time.sleep(0.05)
    assert clock.share() < 0.5
    monkeypatch.setattr(ProcessorTime, "share", lambda _: 0.4)
    assert "computing had a processor for 40%" in genwerk("doctor")
    assert "other programs use the processors" in genwerk("doctor")


# --- whose fault it was -----------------------------------------------------------------------------------------------

OURS = """
def mistake(): raise ValueError("size is 0; give 1 or more")
def fault(): int("x")
def missing(): {}["x"]
"""


@pytest.mark.parametrize("name,code,said", [("mistake", 2, "size is 0"), ("fault", 1, "int("), ("missing", 1, "'x'")])
def test_our_own_faults_are_not_passed_off_as_the_users(
    name: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    room = {"__name__": "genwerk.made_up"}
    exec(OURS, room)
    monkeypatch.setattr(Doctor, "run", lambda *_: room[name]())  # type: ignore[operator]
    assert ended(["doctor"]) == code
    err = capsys.readouterr().err
    assert said in err
    assert ("Traceback" in err, "please report it" in err) == (code == 1, code == 1)


# --- while it is being loaded -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module,becomes",
    [
        ("genwerk.cli.parsing", "KeyboardInterrupt"),
        ("genwerk.training.settings", "KeyboardInterrupt"),
        ("genwerk.training.settings", "AttributeError"),
    ],
)
def test_an_interrupt_while_modules_are_loaded_ends_silently(module: str, becomes: str) -> None:
    code = f"""
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                while True: pass
            except KeyboardInterrupt:
                raise {becomes}
sys.meta_path.insert(0, Finder())
sys.argv = ["genwerk", "show", "vae"]
runpy.run_module("genwerk", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
