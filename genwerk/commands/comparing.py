"""The command that compares runs, or recipes that it trains alike."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from genwerk.commands.command import MEASURE, TRAINING, AtLeast, Command, Positional, options
from genwerk.commands.results import Figures, Note, Result, Table, Written
from genwerk.data.settings import DataConfig
from genwerk.runs.session import Device, Session
from genwerk.training.protocol import EvaluateConfig

if TYPE_CHECKING:
    from genwerk.comparison.comparing import Comparing
    from genwerk.comparison.plan import Request


@dataclass(frozen=True, kw_only=True)
class Compare(Command):
    """Compare runs, or recipes that are trained alike on your data: figures with their spreads, costs and pictures.

    Name runs (`genwerk compare runs/vae runs/gan`), or data and recipes (`genwerk compare --data digits --recipes
    vae,gan,realnvp --minutes 2`). It writes report.html, report.md, report.csv and report.json. After a stop the same
    command continues.
    """

    group = MEASURE

    runs: Annotated[tuple[str, ...], Positional()] = ()
    """Run folders; those with equal settings but for the seed count as one."""
    data: DataConfig = field(default_factory=DataConfig)
    """Data to train recipes on, and how they are read."""
    recipes: tuple[str, ...] = ()
    """Names of recipes, separated by spaces or commas (default: those that `genwerk recipes --data` suggests)."""
    minutes: Annotated[float | None, AtLeast(0)] = None
    """Minutes of training per run: of one thread of the processor, or of the GPU."""
    examples: Annotated[int | None, AtLeast(1)] = None
    """Training examples per run, in place of minutes, so that a comparison can be repeated exactly; rounds would not be
    equal budgets, for one of a VAE takes one batch and one of WGAN-GP several. With neither, each recipe has its own
    length."""
    seeds: Annotated[int, AtLeast(1)] = 3
    """How often each recipe is trained: with fewer than 2, nothing is ranked."""
    threads: Annotated[int, AtLeast(1)] = 1
    """Threads of a training on the processor."""
    jobs: Annotated[int, AtLeast(1)] = 1
    """Trainings at once, each in a process of its own; with more than there are cores, all take longer."""
    evaluate: EvaluateConfig = field(default_factory=lambda: EvaluateConfig(minutes=2.0))
    """How each run is measured: all with as many samples as the slowest can make in these minutes."""
    reach: float | None = None
    """Distance whose first crossing is timed (default: the median of those that the runs end with)."""
    common: bool = False
    """Compare runs on different data on the test examples that they share."""
    device: Device = "auto"
    """Where to compute; auto is the first GPU, else the CPU."""
    out: Path = Path("comparison")
    """Folder for the report, and for the runs that are trained for it."""

    def run(self, session: Session) -> Iterator[Result]:
        from genwerk.comparison.comparing import Comparing

        yield from played(Comparing(self.out, self.request(), self.again()))

    def request(self) -> Request:
        """What is asked for, as the library takes it."""
        from genwerk.comparison.plan import Request, suggested

        recipes = tuple(name for word in self.recipes for name in word.replace(",", " ").split())
        if self.data.source and not recipes and not self.runs:
            recipes = suggested(self.data)
        own = {field.name: getattr(self, field.name) for field in fields(Request) if field.name != "recipes"}
        return Request(recipes=recipes, **own)

    def again(self) -> str:
        """What is typed to repeat it."""
        from genwerk.runs.card import differing

        words = ["genwerk", "compare", *self.runs]
        for option in options(Compare):
            if option.name != "runs":
                words += differing(option.name, option.default, getattr(self, option.name))
        return shlex.join("--data" if word == "--data.source" else word for word in words)


@dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Train five families on built-in digits, twenty seconds of the processor per run, and write a report of them."""

    group = TRAINING

    out: Path = Path("demo")
    """Folder for the runs and the report."""

    def run(self, session: Session) -> Iterator[Result]:
        from genwerk.comparison.comparing import Comparing
        from genwerk.comparison.plan import Request

        data, jobs = DataConfig(source="digits"), os.cpu_count() or 1
        request = Request(data=data, recipes=FAMILIES, minutes=THIRD, jobs=jobs)
        yield Note(f"training {', '.join(FAMILIES)} on digits, three times each, then comparing them")
        yield from played(Comparing(self.out, request, "genwerk demo"))
        runs = self.out / "runs"
        yield Note(f"runs to use, as in `genwerk sample {runs / 'vae-0'} -n 16`: {runs}")


FAMILIES = ("vae", "mixture", "realnvp", "pixelcnn", "gan")
"""Recipes of the demo: an autoencoder, a mixture, a flow, an autoregressive model and a game."""
THIRD = 1 / 3
"""Minutes of the demo's trainings."""


def played(comparing: Comparing) -> Iterator[Result]:
    """A comparison to be played, then the table of what came of it, unless it was stopped, and its report."""
    from genwerk.comparison.result import to_plain
    from genwerk.comparison.tables import lecture

    yield comparing
    if comparing.comparison is None:
        yield Note(f"stopped; the same command continues: {comparing.command}")
        return
    yield Figures(to_plain(comparing.comparison), [Table(*lecture(comparing.comparison))])
    for path in comparing.written:
        yield Written(path)
