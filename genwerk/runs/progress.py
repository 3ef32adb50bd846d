"""What a person sees of a training while it is played: what is said before, a bar or lines, and what happens.

The command line and the library show the same; each gives ``say``, which takes a line of text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from genwerk.core.printable import printable
from genwerk.training import runtime
from genwerk.training.events import Collapsed, Evaluated, Event, RolledBack, RoundDone, Sampled, StageDone

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from genwerk.core.model import Config, Stage
    from genwerk.data import Skipped
    from genwerk.runs.training import Training

Say = Callable[[str], object]
"""Shows a line of text."""
EVERY = {True: 0.2, False: 30.0}
"""Seconds between two looks at the figures, with a bar and without."""
MANY = 6
"""Stages that are told one by one."""
CONSEQUENCE = {"rollback": "", "stop": "; stopping here", "warn": "; training goes on"}
"""How the line that tells of a collapse ends, by what is done about it."""


# --- before -----------------------------------------------------------------------------------------------------------


def opening(training: Training) -> Iterator[str]:
    """What there is to say before a training is played, a line each."""
    trainer, where = training.trainer, training.runtime
    yield from training.splits.notes
    yield from skipped(training.splits.skipped)
    if training.resumed is not None:
        yield f"going on from round {trainer.position.round} ({training.resumed.folder})"
        if trainer.position.impatient:
            yield "its last figures on validation examples were no better; to go on anyway: ‹train.patience› 0"
    elif training.resume:
        yield f"{training.path} holds no run to go on from, so a new one begins"
    yield from training.notes
    device = f"{where.device}" + (f" x {where.world}" if where.world > 1 else "")
    size = sum(p.numel() for p in trainer.model.parameters())
    yield f"training {training.name} on {device}: {size:,} parameters, {trainer.rounds:,} rounds"
    if len(trainer.stages) > 1:
        yield f"{len(trainer.stages)} stages: {plan(trainer.stages, trainer.model.config)}"
    yield f"to watch it: {training.path / 'index.html'}, {training.path / 'curves.png'}"


def plan(stages: Sequence[Stage], config: Config) -> str:
    """The stages with their rounds, and the setting of the model that says so where ``config`` has one.

    Where there are many, those of one length in a row are told together.
    """
    said = list[str]()
    for rounds, same in groupby(stages, key=lambda stage: stage.rounds):
        names = [stage.name for stage in same]
        if len(stages) > MANY and len(names) > 2:
            said.append(f"{names[0]} to {names[-1]} {len(names)} x {rounds:,}")
        else:
            said += [f"{name} {rounds:,}{_set_by(name, config)}" for name in names]
    return ", ".join(said)


def _set_by(stage: str, config: Config) -> str:
    setting = f"{stage.partition(' ')[0]}_rounds"
    return f" (‹model.{setting}›)" if getattr(config, setting, None) is not None else ""


def skipped(found: Sequence[Skipped]) -> Iterator[str]:
    """How many files could not be used, and which first."""
    if not found:
        return
    shown = found[:5]
    yield f"{len(found)} could not be used:"
    for each in shown:
        yield f"  {each.name}: {each.reason}"
    if len(shown) < len(found):
        yield f"  and {len(found) - len(shown)} more; `genwerk data check` names them all"


# --- meanwhile --------------------------------------------------------------------------------------------------------


class Progress:
    """Shows a training's events: a bar on a terminal and in a notebook, else a line each 30 seconds.

    Use it as ``with Progress(training, say) as progress``, and call ``progress(event)`` with each event.
    """

    def __init__(self, training: Training, say: Say, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self.training, self.say = training, say
        console = console or Console()
        self.live = (console.is_terminal or console.is_jupyter) and training.runtime.main
        at = training.trainer.position
        self.line = Line(training.trainer.stages[at.stage].name, at.round, training.trainer.rounds)
        self._bar = Live(self.line, console=console, refresh_per_second=4) if self.live else None
        self._seen = (time.monotonic(), at.examples)
        self._processor = runtime.ProcessorTime()

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case RoundDone():
                self._round(event)
            case Evaluated(figures=held_out, best=True):
                named = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in held_out.items())
                self._tell(event, f"best so far on validation examples: {named}")
            case StageDone(converged=converged, choice=choice):
                if choice.past:
                    self._tell(event, f"done; past its best, which is that of round {choice.round:,}")
                elif len(self.training.trainer.stages) > 1 or converged:
                    self._tell(event, "converged" if converged else "done")
            case Sampled():
                self.line.done = event.round
            case Collapsed(reason=reason, action=action):
                self._tell(event, f"collapsed: {reason}{CONSEQUENCE[action]}")
            case RolledBack(to_round=to_round, retry=retry):
                watch = self.training.recipe.train.watchdog
                self.line.total = self.training.trainer.rounds
                self._tell(
                    event,
                    f"back to round {to_round:,}, retry {retry} of {watch.retries}, "
                    f"learning rates times {watch.lr_factor**retry:.3g}",
                )

    def _round(self, event: RoundDone) -> None:
        now, (then, drawn) = time.monotonic(), self._seen
        if now - then < EVERY[self.live]:
            return
        self._seen = now, event.examples
        rate = (event.examples - drawn) / max(now - then, 1e-9)
        figures = [f"{name} {value.item():.4g}" for name, value in event.metrics.items()]
        self.line.move(event.stage, event.round, [*figures, f"{rate:,.0f} examples/s{self._starved()}"])
        if not self.live:
            self.say(self.line.plain())

    def _starved(self) -> str:
        """What slows one process on processors down, if it is other programs."""
        share, where = self._processor.share(), self.training.runtime
        if share >= runtime.STARVED or where.device.type != "cpu" or where.world > 1:
            return ""
        return f" (other programs use the processors: this one had a core for {share:.0%} of the time)"

    def _tell(self, event: Event, text: str) -> None:
        self.say(f"{event.stage} round {event.round:,}: {text}")


class Line:
    """Where training stands, in one line of whatever width there is: figures drop off from the right where it is less.

    First come the stage, the bar, the round and the time left: a long name is cut, and the bar is short or left out, so
    that these fit.
    """

    def __init__(self, stage: str, done: int, total: int) -> None:
        self.stage, self.done, self.total = stage, done, total
        self.figures: Sequence[str] = ()
        self._start = time.monotonic()
        self._since = self._start, done
        """When this stage, or all, began here, and with which round."""
        self._pace: float | None = None

    def move(self, stage: str, done: int, figures: Sequence[str]) -> None:
        """To round ``done`` of ``stage``, with what is to be seen of it."""
        now, (then, first) = time.monotonic(), self._since
        if stage != self.stage:
            self._since = now, done
        elif done > first:
            self._pace = (now - then) / (done - first)
        self.stage, self.done, self.figures = stage, done, figures

    def plain(self) -> str:
        """The whole of it as text."""
        return "  ".join([f"{self.stage} {self._count}", *self.figures])

    @property
    def _count(self) -> str:
        total, left = f"{self.total:,}", self.total - self.done
        done = f"{self.done:>{len(total)},}/{total}"
        if left <= 0:
            return f"{done} in {_clock(time.monotonic() - self._start)}"
        return f"{done} {'-:--' if self._pace is None else _clock(left * self._pace)} left"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.cells import cell_len
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        width = options.max_width
        stage, count = Text(printable(self.stage, keep=""), end=""), self._count
        stage.truncate(max(8, width // 4), overflow="ellipsis")
        room = width - stage.cell_len - len(count) - 2
        bar = min(width // 6, 24, room)
        room -= max(bar, 0)
        figures = [text for text in accumulate(f"  {each}" for each in self.figures) if cell_len(text) <= room]
        yield stage
        yield Text(" ", end="")
        if bar > 3:
            yield ProgressBar(self.total, self.done, width=bar)
            yield Text(" ", end="")
        yield Text.assemble(count, ("".join(figures[-1:]), "dim"), end="", overflow="crop", no_wrap=True)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
