"""Several processes of one command, played by scripts that load nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genwerk.training import launcher

PARENT = """
import sys
from genwerk.training import launcher
sys.exit(launcher.launch(2, [sys.executable, "-c", {child!r}]))
"""
CHILD = """
import os, signal, sys, time
from genwerk.training import launcher
launcher.join()
rank, here = os.environ["RANK"], {here!r}
def stop(*_):
    open(here + "/stopped" + rank, "w").close()
    sys.exit(143)
signal.signal(signal.SIGTERM, stop{deaf})
open(here + "/pid" + rank, "w").write(str(os.getpid()))
time.sleep(60)
"""


def run(code: str, processes: int = 2) -> int:
    return launcher.launch(
        processes, [sys.executable, "-c", f"import os, sys; from genwerk.training import launcher\n{code}"]
    )


def started(here: Path, deaf: bool = False) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A parent with two children, which are up; deaf ones do not end when asked."""
    child = CHILD.format(here=str(here), deaf=" and None or signal.SIG_IGN" if deaf else "")
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(child=child)])
    pids = [here / f"pid{rank}" for rank in range(2)]
    until(lambda: all(p.exists() and p.read_text() for p in pids))
    return parent, [int(p.read_text()) for p in pids]


def until(true: object) -> None:
    deadline = time.monotonic() + 300
    while not true() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.02)
    assert true()  # type: ignore[operator]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_know_their_place_and_end_as_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("print(os.environ['RANK'] + '/' + os.environ['WORLD_SIZE'])") == 0
    assert sorted(capfd.readouterr().out.split()) == ["0/2", "1/2"]


def test_the_first_to_fail_speaks_for_all(capfd: pytest.CaptureFixture[str]) -> None:
    fail = "launcher.may_speak() and print('a mistake', file=sys.stderr); sys.exit(2)"
    assert run(fail) == 2
    assert capfd.readouterr().err == "a mistake\n"


def test_those_that_wait_for_a_failed_one_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "GRACE", 0.1)
    begun = time.monotonic()
    assert run("import time\ntime.sleep(60) if os.environ['RANK'] == '0' else sys.exit(3)") == 3
    assert time.monotonic() - begun < 30


def test_a_killed_process_is_named() -> None:
    with pytest.raises(ChildProcessError, match=r"process 2 of 2 was ended by SIGKILL.*‹resume=True›"):
        run("import signal\nos.kill(os.getpid(), signal.SIGKILL if os.environ['RANK'] == '1' else 0)")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_is_passed_on_once(tmp_path: Path, number: signal.Signals) -> None:
    parent, _ = started(tmp_path)
    parent.send_signal(number)
    assert parent.wait(300) == 128 + number
    assert {p.name for p in tmp_path.glob("stopped*")} == {"stopped0", "stopped1"}


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    parent, pids = started(tmp_path, deaf=True)
    parent.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert parent.poll() is None
    parent.send_signal(signal.SIGINT)
    assert parent.wait(300) == 130
    assert not any(map(alive, pids))


def test_a_killed_parent_takes_its_processes_along(tmp_path: Path) -> None:
    parent, pids = started(tmp_path, deaf=True)
    parent.kill()
    until(lambda: not any(map(alive, pids)))


def test_a_hang_up_is_heard_unless_it_was_ignored_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launcher.stop_signals() == [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    with launcher.handling([signal.SIGHUP], signal.SIG_IGN):
        assert launcher.stop_signals() == [signal.SIGTERM, signal.SIGINT]
    monkeypatch.setenv(launcher.GROUP, "somewhere")
    assert launcher.stop_signals() == [signal.SIGTERM]
