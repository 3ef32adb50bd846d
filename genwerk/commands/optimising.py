"""The command that optimises a problem of several objectives."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from json import JSONDecodeError, loads
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Literal

from genwerk.commands.command import OPTIMISE, AtLeast, Command, Positional, options
from genwerk.commands.results import Figures, Note, Result, Table, Written, cell
from genwerk.core.marks import Common, Program
from genwerk.core.printable import count
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from genwerk.evaluation.report import Measuring
    from genwerk.evolve.optimise import Optimising, Progress, Request

FRONT = 300
"""Solutions of a front that are told while it moves, at most."""


@dataclass(frozen=True, kw_only=True)
class Optimise(Command):
    """Optimise a problem of several objectives, a generative model proposing solutions (without a problem: list them).

    PROBLEM is a name (`genwerk optimise zdt1`), your own Python file (`genwerk optimise mine.py`), or a TOML or JSON
    file that declares a command; --command takes one directly. All evaluations go into the folder of --out, where the
    same command goes on after a stop or a kill, and repeats none. docs/optimisation.md tells more.
    """

    group = OPTIMISE

    problem: Annotated[str, Positional(), Program()] = ""
    """A name, mine.py, mine.py:name, or mine.toml."""
    algorithm: Annotated[str, Common()] = "gmoea"
    """Which algorithm; `genwerk optimise` lists them."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the algorithm by name, as in --settings pop_size 50."""
    evaluations: Annotated[int, Common(), AtLeast(1)] = 5000
    """Evaluations of each run; more of them extend an optimisation that is there."""
    runs: Annotated[int, Common(), AtLeast(1)] = 1
    """Runs, with the seeds from --seed on; their models are trained together."""
    seed: Annotated[int, Common()] = 0
    """Seed of the first run."""
    out: Annotated[Path | None, Common()] = None
    """Folder to write (default: optimised/PROBLEM-ALGORITHM-SEED)."""
    variables: Annotated[int | None, Common(), AtLeast(1)] = None
    """Number of variables, of a problem that has any number of them."""
    objectives: Annotated[int | None, AtLeast(1)] = None
    """Number of objectives, of a problem that has any number of them."""
    matrices: Path | None = None
    """File of matrices (.npz or .mat) that the pairs cims, pims and nims need."""
    command: Annotated[str, Common(), Program()] = ""
    """Command that reads solutions as CSV (x0,x1,...) from standard input and prints objectives as CSV (f0,f1,..., and
    g0,..., constraints that hold where they are not above 0)."""
    lower: Annotated[tuple[float, ...], Common(), Program()] = ()
    """Lower bounds of the variables of --command, one for each or one for all."""
    upper: Annotated[tuple[float, ...], Common(), Program()] = ()
    """Upper bounds."""
    batch: Annotated[int | None, AtLeast(1), Program()] = None
    """Solutions that --command gets at a time (default: all of a generation, shared among --jobs)."""
    penalty: float | None = None
    """What a failed evaluation counts as in each objective (default: worse than all that its run has seen)."""
    reference: tuple[float, ...] = ()
    """Reference point of the hypervolume (default: a tenth beyond the known front, or the first populations)."""
    jobs: Annotated[int, Common(), AtLeast(1), Program()] = 1
    """Evaluations at once, each in a process of its own."""
    runner: Annotated[Literal["joblib", "dask", "ray"], Program()] = "joblib"
    """What the processes are run by; dask and ray where they are installed."""

    def run(self, session: Session) -> Iterator[Result]:
        from genwerk.evolve.optimise import Optimising

        if not self.problem and not self.command:
            yield listing()
            return
        request, again = self.request(), self.again()
        out = self.out or Path("optimised") / f"{request.source.name}-{self.algorithm}-{self.seed}"
        optimising = Optimising(request, out, jobs=self.jobs, runner=self.runner, batch=self.batch, command=again)
        yield from played(optimising)

    def request(self) -> Request:
        """What is asked for, as the library takes it."""
        from genwerk.evolve.optimise import Request
        from genwerk.evolve.source import Source

        return Request(
            source=Source(
                problem=self.problem,
                variables=self.variables,
                objectives=self.objectives,
                matrices=str(self.matrices or ""),
                command=self.command,
                lower=self.lower,
                upper=self.upper,
            ),
            algorithm=self.algorithm,
            settings={name: _value(text) for name, text in self.settings.items()},
            evaluations=self.evaluations,
            seed=self.seed,
            runs=self.runs,
            penalty=self.penalty,
            reference=self.reference,
        )

    def again(self) -> str:
        """What is typed to repeat it."""
        from genwerk.core.plugins import files
        from genwerk.runs.card import differing

        words = ["genwerk", "optimise", *([self.problem] if self.problem else [])]
        words += [word for file in files() for word in ("--plugin", file)]
        for option in options(Optimise):
            if option.name != "problem":
                words += differing(option.name, option.default, getattr(self, option.name))
        return shlex.join(words)


def _value(text: str) -> Any:
    """A setting as JSON has it, or as text."""
    try:
        return loads(text)
    except JSONDecodeError:
        return text


@dataclass(frozen=True)
class Played:
    """An optimisation as a stream of events."""

    optimising: Optimising

    def __iter__(self) -> Iterator[Measuring]:
        from genwerk.evaluation.report import Measuring

        for event in self.optimising:
            yield Measuring(
                what=f"{self.optimising.name}, {self.optimising.request.algorithm}",
                step=1,
                steps=1,
                done=event.evaluations,
                total=event.total,
                seconds_left=None,
                figures=tuple(found(event)),
                fronts=[thinned(each.f.tolist()) for each in event.point.fronts[0]],
            )


def thinned(front: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    """At most :data:`FRONT` of the solutions, from all over a front."""
    return front[:: -(-len(front) // FRONT) or 1]


def found(event: Progress) -> Iterator[str]:
    """What is to be seen while it goes on, means over all runs."""
    shares = dict[str, float]()
    for name, values in event.point.figures.items():
        _, share, operator = name.partition("share of ")
        if share:
            shares[operator] = fmean(values)
        else:
            yield f"{_called(name)} {fmean(values):.4g}"
    if shares:
        yield ", ".join(f"{name} {value:.0%}" for name, value in shares.items())


def played(optimising: Optimising) -> Iterator[Result]:
    """An optimisation to be played, then what was found, and where it was written."""
    from genwerk.evolve.front import notes

    assert optimising.out is not None
    yield Played(optimising)
    if not optimising.done:
        done = f"stopped after {optimising.evaluations:,} evaluations"
        yield Note(f"{done}; the same command goes on: {optimising.command}", whole=True)
        return
    figures = optimising.figures
    yield Figures(figures, [_measured(figures), *map(Note, notes(optimising))])
    for name in ("front.csv", "curve.csv", "figures.json", "front.png", "front.gif"):
        yield Written(optimising.out / name)


def _measured(figures: dict[str, Any]) -> Table:
    from genwerk.evolve.front import spread

    sizes = spread([n for own in figures["solutions"] for n in own])
    found = {**figures["measured"], "solutions of a front": sizes}
    rows = [(_called(name), *(cell(each[key]) for key in ("median", "q1", "q3"))) for name, each in found.items()]
    runs = count(figures["runs"], "run")
    what = f"{figures['problem']} by {figures['algorithm']}, {runs} of {figures['evaluations']:,} evaluations"
    return Table((what, "median", "lower quartile", "upper quartile"), rows)


def _called(name: str) -> str:
    return name.replace("igd", "IGD").replace("hv", "hypervolume")


def listing() -> Figures:
    """All algorithms and problems."""
    from genwerk.evolve.algorithms import ALGORITHMS
    from genwerk.evolve.problems import ABOUT

    about = {name: " ".join((getdoc(kind) or "").partition("\n\n")[0].split()) for name, kind in ALGORITHMS.items()}
    collections: dict[str, list[str]] = {}
    for name, what in ABOUT.items():
        collections.setdefault(what, []).append(name)
    shown: list[Note | Table | Figures] = [
        Table(("algorithm", "what it is"), list(about.items())),
        Note(""),
        Table(("problems", "what they are"), [(", ".join(names), what) for what, names in collections.items()]),
        Note("\nyour own: mine.py, mine.toml or --command; docs/optimisation.md shows how"),
    ]
    return Figures({"algorithms": about, "problems": ABOUT}, shown)
