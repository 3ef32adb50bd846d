"""An evaluation on the command line: how far it is, and how it is left before its end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genwerk.cli.progress import aside, reader_gone
from genwerk.training.launcher import Parted, handling, stop_signals

if TYPE_CHECKING:
    from genwerk.commands.results import Measurement
    from genwerk.evaluation.report import Measuring

EVERY = 30.0
"""Seconds between two lines where there is no terminal to draw a bar on."""


def measure(what: Measurement) -> int:
    """Play ``what`` to its end, or until a signal asks for an end, with a bar; returns the exit code.

    What is measured by then it keeps. A second signal ends the program at once.
    """
    with left_by_signal() as received, Bar() as bar:
        try:
            for event in what:
                bar(event)
                if received or reader_gone():
                    break
        except (KeyboardInterrupt, Parted):  # a signal reaches all processes, and one that waits hears it too late
            if not received:
                raise
    return 128 + received[0] if received else 0


@contextmanager
def left_by_signal() -> Iterator[list[int]]:
    """While inside, the first signal that asks for an end raises a KeyboardInterrupt, and is in what this gives.

    One that comes while Python tidies up is lost in it, silently: what this gives tells that, too.
    """
    signals, received, hook = stop_signals(), list[int](), sys.unraisablehook

    def leave(number: int, _: Any) -> None:
        received.append(number)
        for each in signals:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    def lost(about: sys.UnraisableHookArgs) -> None:
        if about.exc_type is not KeyboardInterrupt:
            hook(about)

    sys.unraisablehook = lost
    try:
        with handling(signals, leave):
            yield received
    finally:
        sys.unraisablehook = hook


class Bar:
    """Shows the events of an evaluation on standard error: a bar where that is a terminal, else a line now and then."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        from genwerk.runs.progress import Line

        console = Console(stderr=True)
        self.line = Line("measuring", 0, 1)
        self.live = Live(self.line, console=console, refresh_per_second=4, transient=True)
        self.terminal, self.told = console.is_terminal, time.monotonic()

    def __enter__(self) -> Bar:
        if self.terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def __call__(self, event: Measuring) -> None:
        self.line.total = event.total
        self.line.move(event.what, event.done, event.figures or [f"step {event.step} of {event.steps}"])
        if not self.terminal and time.monotonic() - self.told > EVERY:
            self.told = time.monotonic()
            aside(f"{'' if event.figures else 'measuring '}{self.line.plain()}")
