"""The process of a training that the page has started: what it says is lines of JSON on standard output.

Run as ``python -m genwerk.studio.training train vae --data digits --out runs/vae`` in the folder of the studio. SIGINT
stops it after the round being played, and saves; once it is trained and being measured, SIGINT ends the measurement.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while what is needed is imported, nothing is there to be saved

from genwerk.cli.measuring import left_by_signal
from genwerk.cli.parsing import Asked, parsed
from genwerk.commands.command import results
from genwerk.commands.results import Measurement, Note, Result
from genwerk.runs.session import Session
from genwerk.studio.showing import Page, without_paths
from genwerk.studio.worker import told_of
from genwerk.training.launcher import stop_signals

if TYPE_CHECKING:
    from genwerk.runs.training import Training


class Trained(Page):
    """Tells what a training says; its figures and samples are in the event log of its run."""

    def __init__(self, asked: Asked, root: Path) -> None:
        super().__init__(asked, root, root, self._send)

    @staticmethod
    def _send(told: Mapping[str, Any]) -> None:
        try:
            sys.stdout.write(without_paths(json.dumps(told), Path.cwd()) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # the studio was killed; the training goes on, and is told by its run alone
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    def show(self, result: Result) -> None:
        """Tell ``result``, but for the paths of what was written, which the page of the run has."""
        if not (isinstance(result, Note) and result.whole):
            super().show(result)

    def play(self, stream: Training | Measurement) -> None:
        """A training, or what measures it, to its end or until a signal asks for one."""
        from genwerk.runs.training import Training

        if isinstance(stream, Training):
            self._follow(stream)
            return
        with left_by_signal() as received:
            try:
                for event in stream:
                    self.progress(event)
                    if received:  # whose exception may be lost
                        break
            except KeyboardInterrupt:
                if not received:
                    raise

    def _follow(self, training: Training) -> None:
        from genwerk.runs.progress import opening

        for line in opening(training):
            if str(training.path) not in line:
                self.note(line)
        with training.trainer.stopping_on(*stop_signals()):
            for number, _ in enumerate(training):
                if number == 0:  # the folder is there, and is looked at from now on
                    self._send({"type": "begun"})
        if training.trainer.stopped_by is not None:
            sys.exit(128 + training.trainer.stopped_by)
        self._send({"type": "trained"})


def main() -> None:
    """Train as the words of the command line say."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    root = Path.cwd()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed goes to the terminal of the studio
    sys.stdout = answers
    try:
        page = Trained(parsed(sys.argv[1:]), root)
        warnings.showwarning = lambda message, *_, **__: page.note(getattr(message, "sentence", str(message)))
        with (
            closing(page),
            Session(page.asked.machine, page.note, page.opened) as session,
            closing(results(page.asked.command, session)) as found,
        ):
            for result in found:
                page.show(result)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        Trained._send({"type": "error", **told_of(error)})
        sys.exit(1)


if __name__ == "__main__":
    main()
