"""Processes of one command on this machine: a parent that starts, stops and outlives them.

The parent (:func:`launch`) passes a stop on as SIGTERM, ends all when one fails, and gives their exit code. A process
that it started (:func:`join`) ends with it, whatever ended the parent, for it reads a pipe that closes then. Signals of
a terminal reach all at once; the started ones ignore them and wait for the parent's word. Under torchrun none of this
happens. A process that works alone for its parent (:func:`bound`) is held in the same way.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

Handler = Callable[[int, Any], Any] | int | None
"""What takes a signal, as Python's ``signal.signal`` understands it."""
GROUP = "GENWERK_GROUP"
"""Environment variable that names the folder in which the processes of one :func:`launch` meet."""
BOUND = "GENWERK_BOUND"
"""Environment variable that is set in a process that :func:`bound` has started."""
GRACE = 10.0
"""Seconds in which the others may end by themselves once one has failed."""
GO_ON = "a training goes on from its last checkpoint with ‹resume=True›"
"""What to do where some process has gone without a word."""
OF_A_TERMINAL = [s for name in ("SIGINT", "SIGHUP") if (s := getattr(signal, name, None)) is not None]
"""Signals that a terminal sends to every process in it."""


class Parted(ConnectionError):
    """Another process of this group has ended, for a reason that it, or the parent of both, tells."""


def group() -> Path | None:
    """The folder in which this process meets the others of its :func:`launch`; None where none started it."""
    folder = os.environ.get(GROUP)
    return None if folder is None else Path(folder)


def started() -> bool:
    """Whether a process of ours has started this one and waits for it."""
    return group() is not None or BOUND in os.environ


def join() -> None:
    """In a started process: end at once when the parent has gone."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def is_first() -> bool:
    """Whether this process is the first of its group, or works alone."""
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK") == "0"


def may_speak(error: BaseException | None = None) -> bool:
    """Whether this process is the one to say what went wrong: the first of its group to fail by itself."""
    where = group()
    if where is None:
        return True
    if isinstance(error, Parted):
        return False
    try:
        with (where / "spoke").open("x") as file:
            file.write(os.environ["RANK"])
    except OSError:
        return False
    return True


def stop_signals() -> list[signal.Signals]:
    """Signals by which this process is asked to end; SIGHUP only where it was not ignored at the start (nohup)."""
    if started():
        return [signal.SIGTERM]
    heard = [s for s in OF_A_TERMINAL if s == signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN]
    return [signal.SIGTERM, *heard]


@contextmanager
def handling(signals: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """While inside, ``handler`` takes these signals."""
    before = {s: signal.signal(s, handler) for s in signals}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


@contextmanager
def noting_interrupts() -> Iterator[list[int]]:
    """While inside, a Ctrl-C that raises a KeyboardInterrupt stands in what this gives, whatever becomes of it."""
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        received.append(number)
        raise KeyboardInterrupt

    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with handling([signal.SIGINT] if raises else [], note):
        yield received


def launch(processes: int, command: Sequence[str]) -> int:
    """Run ``command`` in ``processes`` processes that form a group, and give their common exit code.

    A second Ctrl-C ends them at once. A process that a signal ended is named in a ChildProcessError.
    """
    received: list[int] = []
    workers: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        for worker in workers:
            if received.count(signal.SIGINT) > 1:
                worker.kill()
            else:
                worker.terminate()

    threads = str(max(1, (os.cpu_count() or 1) // processes))
    with tempfile.TemporaryDirectory(prefix="genwerk-") as folder:
        heard = stop_signals()
        with handling(OF_A_TERMINAL, signal.SIG_IGN):  # which the started ones inherit
            for rank in range(processes):
                place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
                environment = {"OMP_NUM_THREADS": threads, **os.environ, GROUP: folder}
                environment |= {name: str(value) for name, value in place.items()}
                workers.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE))
        with handling(heard, pass_on):
            first = _wait(workers)
        spoke = Path(folder) / "spoke"
        speaker = int(spoke.read_text()) if spoke.exists() else first
    if first is None or speaker is None:
        return 0
    if received:
        return 128 + received[0]
    code: int = workers[first].returncode
    if code < 0:
        raise ChildProcessError(
            f"process {first + 1} of {processes} was ended by {signal.Signals(-code).name}, as for want of memory; "
            f"{GO_ON}"
        )
    return max(code, workers[speaker].returncode)


def bound(command: Sequence[str], output: IO[bytes], **environment: str) -> subprocess.Popen[bytes]:
    """Start ``command`` in a process that ends with this one, whatever ends it; what it says goes to ``output``."""
    own = {**os.environ, **environment, BOUND: "1"}
    with handling(OF_A_TERMINAL, signal.SIG_IGN):
        return subprocess.Popen(command, env=own, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all, and end those that do not end by themselves once one has failed; which failed first, if any."""
    first, deadline = None, math.inf
    while None in [worker.poll() for worker in workers]:  # all of them: one that waits must not hide one that failed
        if first is None and (first := _failed(workers)) is not None:
            deadline = time.monotonic() + GRACE
        if time.monotonic() > deadline:
            for worker in workers:
                worker.kill()
        time.sleep(0.05)
    return _failed(workers) if first is None else first


def _failed(workers: Sequence[subprocess.Popen[bytes]]) -> int | None:
    return next((rank for rank, worker in enumerate(workers) if worker.returncode), None)
