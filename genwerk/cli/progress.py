"""What the command line shows: sentences, tables, and a training as it goes."""

from __future__ import annotations

import codecs
import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from genwerk.core.errors import naming
from genwerk.core.printable import printable
from genwerk.training.launcher import stop_signals

if TYPE_CHECKING:
    from rich.console import Console

    from genwerk.runs.training import Training


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
    """What a setting, or a setting and its value, is on the command line."""
    name, _, value = setting.partition("=")
    shown = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
    return shown if value in ("", "True") else f"{shown} {value}"


def say(text: str, *, whole: bool = False) -> None:
    """Lines to the user, at once; broken between words where a terminal is narrower, unless they are ``whole``."""
    said = printable(naming(text, flag))
    if not whole and sys.stdout.isatty():
        said = "\n".join(map(_fitted, said.split("\n")))
    print(said, flush=True)


def _fitted(line: str) -> str:
    """``line`` in as many as the terminal needs, all indented as it is."""
    width, indent = shutil.get_terminal_size().columns, line[: len(line) - len(line.lstrip())]
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def complain(text: str) -> None:
    """One line to the user about what went wrong, on standard error."""
    aside(f"genwerk: {text}")


def aside(text: str) -> None:
    """One line that does not belong to the output, on standard error."""
    print(printable(naming(text, flag)), file=sys.stderr, flush=True)


def console() -> Console:
    """Where tables and bars go: the terminal's width, or 120 columns in a file or pipe."""
    from rich.console import Console

    there = Console()
    return there if there.is_terminal else Console(width=120)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, cut: bool = False) -> None:
    """Rows below a head, in columns; a line each if they are ``cut``."""
    from rich.cells import cell_len, set_cell_size
    from rich.markup import escape
    from rich.table import Table

    there, gap = console(), 2
    texts = [[printable(cell) for cell in row] for row in rows]
    sheet = Table(*map(printable, head), box=None, pad_edge=False, padding=(0, gap, 0, 0), show_header=any(head))
    widths = [max(map(cell_len, column)) + gap for column in zip(head, *texts, strict=True)]
    room = there.width - sum(widths[:-1])
    for *first, last in texts:
        if cut and cell_len(last) > room:
            last = set_cell_size(last, max(1, room - 1)).rstrip() + "…"
        sheet.add_row(*map(escape, first), escape(last))
    with there.capture() as drawn:
        there.print(sheet)
    print("\n".join(line.rstrip() for line in drawn.get().split("\n")), end="", flush=True)


def follow(training: Training, again: str = "") -> None:
    """Play a training to its end with a progress bar.

    A signal that asks for an end, or a reader of the output who has gone, stops and saves it, and ends the command
    with the exit code of that signal; ``again`` is the command that goes on.
    """
    from genwerk.runs.progress import Progress, opening
    from genwerk.training import runtime

    trainer, main = training.trainer, training.runtime.main
    if main:
        for line in opening(training):
            say(line)
    with Progress(training, say, console()) as progress, trainer.stopping_on(*stop_signals()):
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
        say(f"stopped and saved at round {trainer.position.round}; go on with {again or '--resume'}", whole=True)
        if trainer.stopped_by is not None:
            sys.exit(128 + trainer.stopped_by)
