"""What the command line shows: training as it goes, tables of figures, and sentences."""

from __future__ import annotations

import codecs
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from genwerk.core.errors import naming
from genwerk.core.printable import printable
from genwerk.training.launcher import stop_signals

if TYPE_CHECKING:
    from rich.console import Console

    from genwerk.data import Skipped
    from genwerk.runs.training import Training
    from genwerk.training.events import Event


READER_GONE = 141
"""Exit code of a command whose output nobody reads any more, as a shell gives it for SIGPIPE."""

PLAIN = str.maketrans(
    {"\u2264": "<=", "\u2265": ">=", "\u00b1": "+-", "\u00d7": "x", "\u2026": "..."}
    | dict.fromkeys("\u2013\u2014\u2212", "-")
    | dict.fromkeys("─━", "-")
    | dict.fromkeys("│┃", "|")
    | dict.fromkeys("╭╮╰╯┌┐└┘├┤", "+")
)
"""What stands for the signs that we print ourselves, where an encoding lacks them."""


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    """What is written for characters that an encoding lacks: a plain sign, else the character's number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(PLAIN)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error("genwerk", _in_plain_signs)


class Outlet:
    """Standard output or error to which anything can be written.

    A character that its encoding lacks is replaced. A write that fails is remembered in ``fault`` instead of raised: a
    closed pipe or terminal must not end a training before it has been saved.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        self._attempt(self._stream.write, text.encode(encoding, "genwerk").decode(encoding))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    @property
    def gone(self) -> bool:
        """Whether the pipe or terminal behind it has been closed."""
        return self.fault is not None and self.fault.errno != errno.ENOSPC

    def _attempt(self, act: Callable[..., object], *arguments: str) -> None:
        if self.fault is not None:
            return
        try:
            act(*arguments)
        except OSError as error:
            self.fault = error
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for what is still in its buffer when Python ends
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def outlets() -> Iterator[None]:
    """While inside, all that is printed goes through an :class:`Outlet`; in the end, output that was lost is told.

    A reader that has gone (``| head``) ends the command silently with :data:`READER_GONE`, any other fault with a
    sentence.
    """
    before = sys.stdout, sys.stderr
    out, err = (None if stream is None else Outlet(stream) for stream in before)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield
    finally:
        if out is not None:
            out.flush()
        sys.stdout, sys.stderr = before
        if out is not None and out.gone:
            sys.exit(READER_GONE)
        if out is not None and out.fault is not None:
            complain(f"the output could not be written: {out.fault}")
            sys.exit(2)


def reader_gone() -> bool:
    """Whether nobody reads standard output any more."""
    return getattr(sys.stdout, "gone", False)


def flag(setting: str) -> str:
    """What a setting is called on the command line."""
    return f"-{setting}" if len(setting) == 1 else f"--{setting.replace('_', '-')}"


def say(text: str) -> None:
    """One line to the user, at once."""
    print(printable(naming(text, flag)), flush=True)


def complain(text: str) -> None:
    """One line to the user about what went wrong, on standard error."""
    print(printable(naming(f"genwerk: {text}", flag)), file=sys.stderr, flush=True)


def console() -> Console:
    """Where tables and bars go: the terminal's width, or 120 columns in a file or pipe."""
    from rich.console import Console

    there = Console()
    return there if there.is_terminal else Console(width=120)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows below a head, in columns."""
    from rich.markup import escape
    from rich.table import Table

    sheet = Table(*map(printable, head), box=None, pad_edge=False)
    for row in rows:
        sheet.add_row(*(escape(printable(cell)) for cell in row))
    console().print(sheet)


def tell_skipped(skipped: Sequence[Skipped]) -> None:
    """How many files could not be used, and which first."""
    if not skipped:
        return
    shown = skipped[:5]
    say(f"{len(skipped)} could not be used:")
    for s in shown:
        say(f"  {s.name}: {s.reason}")
    if len(shown) < len(skipped):
        say(f"  and {len(skipped) - len(shown)} more; `genwerk data check` names them all")


def follow(training: Training, again: str = "") -> None:
    """Play a training to its end with a progress bar.

    A signal that asks for an end, or a reader of the output who has gone, stops and saves it, and ends the command
    with the exit code of that signal; ``again`` is the command that goes on.
    """
    from genwerk.training import runtime

    main = training.runtime.main
    if main:
        for note in training.splits.notes:
            say(note)
        tell_skipped(training.splits.skipped)
        if training.resumed is not None:
            say(f"going on from round {training.trainer.position.round} ({training.resumed.folder})")
            if training.trainer.position.impatient:
                say("its last figures of validation examples were no better; to go on nevertheless: --train.patience 0")
            for note in training.notes:
                say(note)
        elif training.resume:
            say(f"{training.path} holds no run to go on from: this one begins")
        where = f"{training.runtime.device}" + (f" x {training.runtime.world}" if training.runtime.world > 1 else "")
        size = sum(p.numel() for p in training.trainer.model.parameters())
        say(f"training {training.name} on {where}: {size:,} parameters, {training.trainer.rounds:,} rounds")
    trainer = training.trainer
    with Progress(training) as progress, trainer.stopping_on(*stop_signals()):
        try:
            training.runtime.barrier()  # by now all processes hear the signals
            for event in training:
                if main:
                    progress(event)
                    if reader_gone():
                        trainer.stop()
        except ConnectionError:
            if trainer.stopped_by is None:
                raise
            sys.exit(128 + trainer.stopped_by)  # the stop reached another process before it could play
    runtime.finish()  # all leave now: to measure takes the first alone, and may take longer than the others would wait
    if main and training.stopped:
        say(f"stopped and saved at round {trainer.position.round}; go on with {again or '--resume'}")
        if trainer.stopped_by is not None:
            sys.exit(128 + trainer.stopped_by)


CONSEQUENCE = {"rollback": "", "stop": "; stopping here", "warn": "; training goes on"}
"""How the line that tells of a collapse ends, by what is done about it."""


class Progress:
    """Rounds, time left, examples a second and the family's figures: a bar on a terminal, else a line each 30 s."""

    def __init__(self, training: Training) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        from genwerk.training import runtime

        self.training = training
        self.console = console()
        self.live = self.console.is_terminal and training.runtime.main
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", style="dim"),
            console=self.console,
            disable=not self.live,
        )
        done = training.trainer.position
        self.task = self.bar.add_task("", total=training.trainer.rounds, completed=done.round, figures="")
        self.start = self.last = time.monotonic()
        self.examples, self.rounds = done.examples, done.round
        self.rate = 0.0
        self.seen = (self.start, self.examples)
        self.processor = runtime.ProcessorTime()

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, event: Event) -> None:
        from genwerk.training.events import Collapsed, Evaluated, RolledBack, RoundDone, Sampled, StageDone

        now = time.monotonic()
        match event:
            case RoundDone(metrics=metrics):
                if now - self.last < (0.2 if self.live else 30.0):
                    return
                (then, drawn), self.seen = self.seen, (now, event.examples)
                self.rate = (event.examples - drawn) / max(now - then, 1e-9)
                self.last = now
                figures = "  ".join(f"{k} {v.item():.4g}" for k, v in metrics.items())
                figures += f"  {self.rate:,.0f} examples/s{self._starved()}"
                self.bar.update(self.task, completed=event.round, description=event.stage, figures=figures)
                if not self.live:
                    left = (now - self.start) / max(1, event.round - self.rounds)
                    left *= max(0, self.training.trainer.rounds - event.round)
                    total = self.training.trainer.rounds
                    say(f"{event.stage} {event.round:,}/{total:,}, {left / 60:.1f} min left  {figures}")
            case Evaluated(figures=held_out, best=True):
                named = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in held_out.items())
                self._line(event, f"best so far on validation examples: {named}")
            case StageDone(converged=converged, choice=choice):
                if choice.past:
                    self._line(event, f"done; past its best, which is that of round {choice.round:,}")
                elif len(self.training.trainer.stages) > 1 or converged:
                    self._line(event, "converged" if converged else "done")
            case Sampled():
                self.bar.update(self.task, completed=event.round)
            case Collapsed(reason=reason, action=action):
                self._line(event, f"collapsed: {reason}{CONSEQUENCE[action]}")
            case RolledBack(to_round=to_round, retry=retry):
                watch = self.training.recipe.train.watchdog
                self.bar.update(self.task, total=self.training.trainer.rounds)
                self._line(
                    event,
                    f"back to round {to_round:,}, retry {retry} of {watch.retries}, "
                    f"learning rates times {watch.lr_factor**retry:.3g}",
                )

    def _starved(self) -> str:
        """What slows one process on processors down, if it is other programs."""
        from genwerk.training.runtime import STARVED

        share, where = self.processor.share(), self.training.runtime
        if share >= STARVED or where.device.type != "cpu" or where.world > 1:
            return ""
        return f" (other programs use the processors: had one for {share:.0%} of the time)"

    def _line(self, event: Event, text: str) -> None:
        line = printable(f"{event.stage} round {event.round:,}: {text}")
        self.console.print(line, highlight=False, soft_wrap=True)
