"""An optimisation from its request to its results: several runs side by side, and an archive with which it goes on
after a stop or a kill, and nothing is evaluated twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pymoo.algorithms.moo.gde3 import GDE3
from pymoo.core.algorithm import Algorithm
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from genwerk import __version__
from genwerk.core.component import Component
from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.files import read_json, write_atomically
from genwerk.core.locks import only_writer
from genwerk.core.near import meant, one_of
from genwerk.evolve import front
from genwerk.evolve.algorithms import ALGORITHMS, AlgorithmConfig, algorithm
from genwerk.evolve.archive import Archive, Columns
from genwerk.evolve.command import OfCommand
from genwerk.evolve.curve import Curve, Front, Point
from genwerk.evolve.evaluating import Evaluating, RunnerName, runner_called
from genwerk.evolve.multitask.algorithm import MultitaskConfig
from genwerk.evolve.source import Array, Function, OfFunction, Source, bounds, check
from genwerk.training.settings import from_json, to_json

PLAN, ARCHIVE = "plan.json", "archive.csv"
POINTS = 50
"""Points of a curve, at the most."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be optimised, and how."""

    source: Source = field(default_factory=Source)
    algorithm: str = "gmoea"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the algorithm that differ from its own."""
    evaluations: int = 5000
    """Evaluations of each run."""
    seed: int = 0
    """Seed of the first run; the others have those that follow."""
    runs: int = 1
    penalty: float | None = None
    """What a failed evaluation counts as in each objective; None is worse than all that its run has seen."""
    reference: tuple[float, ...] = ()
    """Reference point of the hypervolume; none is that of the known front, or of the first populations."""

    def config(self) -> AlgorithmConfig:
        """The algorithm with its settings; a BadInput names those that there are."""
        default = algorithm(self.algorithm)
        names = [each.name for each in fields(default)]
        if unknown := next((name for name in self.settings if name not in names), None):
            raise BadInput(f"{self.algorithm} has no setting {unknown!r}{meant(unknown, names) or one_of(names)}")
        given = {
            name: {"$type": value}
            if isinstance(getattr(default, name), Component) and isinstance(value, str)
            else value
            for name, value in self.settings.items()
        }
        made: AlgorithmConfig = from_json(AlgorithmConfig, to_json(default) | to_json(given), self.algorithm)
        return made


@dataclass(frozen=True)
class Progress:
    """How far an optimisation is."""

    evaluations: int
    """Of all runs together, those that the archive knew included."""
    total: int
    generation: int
    point: Point
    """What was measured last."""


class Optimising:
    """Runs an algorithm on a problem: iterate once, for how far it is; then :attr:`fronts` and :attr:`figures` are
    there, and all files in ``out`` where that is named (:mod:`genwerk.evolve.front` lists them).

    What was evaluated before a stop or a kill is not evaluated again: the same request goes on, and so does one of more
    evaluations. ``jobs`` evaluations go on at once, by a runner of pymoo; ``batch`` solutions are given to a command at
    a time. ``command`` is what repeats it. A ``problem`` takes the place of the request's source.
    """

    def __init__(
        self,
        request: Request,
        out: Path | None = None,
        *,
        problem: Problem | None = None,
        jobs: int = 1,
        runner: RunnerName = "joblib",
        batch: int | None = None,
        command: str = "",
    ) -> None:
        for name in ("evaluations", "runs"):
            if getattr(request, name) < 1:
                raise BadSetting(name, f"is {getattr(request, name)}; expected 1 or more")
        self.config, self.out, self.command = request.config(), out, command
        self._asked = _asked(request)
        found = self._planned(request)
        source = request.source
        if problem is None:
            source = replace(source, **found["counts"]) if found else source.counted()
        else:
            check(problem, problem.name())
        self.request, self.problem = replace(request, source=source), problem or source.load()
        self.name = source.name if problem is None else problem.name()
        if hasattr(self.problem, "tasks") and not isinstance(self.config, MultitaskConfig):
            able = [name for name, kind in ALGORITHMS.items() if issubclass(kind, MultitaskConfig)]
            raise BadInput(
                f"{request.algorithm} solves one task, and {self.name} has {len(self.problem.tasks)}{one_of(able)}"
            )
        if len(request.reference) not in (0, self.problem.n_obj):
            raise BadSetting(
                "reference", f"has {len(request.reference)} values; {self.name} has {self.problem.n_obj} objectives"
            )
        self.curve = Curve(self.problem, request.reference)
        self._evaluating = partial(
            Evaluating,
            self.problem,
            source if problem is None else problem,
            penalty=request.penalty,
            jobs=jobs,
            runner=runner_called(runner, jobs, isinstance(self.problem, OfCommand)) if jobs > 1 else None,
            batch=batch,
        )
        self.failures = dict[str, int]()
        """How often an evaluation failed, by reason."""
        self.evaluations = 0
        """Of all runs, so far."""
        self.done = False

    @property
    def fronts(self) -> Sequence[Sequence[Front]]:
        """Of each run, one of each task, as they were measured last."""
        return self.curve.points[-1].fronts if self.curve.points else []

    @property
    def figures(self) -> dict[str, Any]:
        """What was found, as plain JSON values."""
        return front.figures(self)

    def __iter__(self) -> Iterator[Progress]:
        algorithms = self._built()
        with ExitStack() as held:
            archive = Archive(self._columns)
            if self.out is not None:
                held.enter_context(only_writer(self.out))
                write_atomically(self.out / PLAN, json.dumps(self._plan(), indent=1).encode())
                archive = held.enter_context(Archive.opened(self.out / ARCHIVE, self._columns))
            evaluate = self._evaluating(archive=archive)
            self.failures = evaluate.failures
            try:
                yield from self._played(algorithms, evaluate)
                self.done = True
            finally:
                if self.out is not None and self.curve.points:
                    front.write(self, self.out)

    def _built(self) -> list[Algorithm]:
        """The algorithm of each run."""
        first = self.request.seed
        try:
            return [self.config.build(self.problem, seed) for seed in range(first, first + self.request.runs)]
        except AssertionError as error:  # as pymoo refuses a problem
            raise BadInput(f"{self.request.algorithm} does not solve {self.name}: {error}") from None

    def _played(self, algorithms: Sequence[Algorithm], evaluate: Evaluating) -> Iterator[Progress]:
        request, total = self.request, self.request.runs * self.request.evaluations
        every, point = -(-request.evaluations // POINTS), None
        for generation, spent in enumerate(lockstep(algorithms, request.evaluations, evaluate), 1):
            self.evaluations = sum(spent)
            if point is None or max(spent) >= point.evaluations + every or self.evaluations == total:
                point = self.curve.measure(max(spent), algorithms, evaluate.failed)
            yield Progress(self.evaluations, total, generation, point)
        if point is not None and point.evaluations < max(spent):
            self.curve.measure(max(spent), algorithms, evaluate.failed)

    # --- what is written down first -----------------------------------------------------------------------------------

    @property
    def _columns(self) -> Columns:
        of = self.problem
        return Columns(of.n_var, of.n_obj, of.n_ieq_constr, of.n_eq_constr)

    def _plan(self) -> dict[str, Any]:
        source = self.request.source
        versions = {"genwerk": __version__, **{name: version(name) for name in ("numpy", "pymoo", "torch")}}
        values = {"library": "genwerk", "what": "optimisation", "content": source.content, "versions": versions}
        counts = {"objectives": source.objectives, "constraints": source.constraints}
        return {**values, "request": self._asked, "counts": counts}

    def _planned(self, request: Request) -> dict[str, Any]:
        """The plan in the folder, which must be of the same request; empty where there is none."""
        if self.out is None or not (path := self.out / PLAN).exists():
            if self.out is not None and self.out.exists() and any(p.name[0] != "." for p in self.out.iterdir()):
                raise BadInput(f"{self.out} is a folder of something else; choose a new one with ‹out›")
            return {}
        found = read_json(path)
        if found.get("what") != "optimisation" or not isinstance(found.get("counts"), dict):
            raise BadInput(f"{path} is not the plan of an optimisation; choose another folder with ‹out›")
        before, now = found.get("request", {}), self._asked
        if name := next((name for name in now if before.get(name) != now[name]), None):
            raise BadInput(
                f"{self.out} holds an optimisation with other settings: ‹{name}› was {before.get(name)} and is "
                f"{now[name]}; only evaluations can be changed, so choose another folder with ‹out›"
            )
        if found.get("content") != request.source.content:
            raise BadInput(
                f"{request.source.file} has changed since {self.out} was begun; choose another folder with ‹out›"
            )
        return found


def _asked(request: Request) -> dict[str, Any]:
    """What must be the same where an optimisation goes on, as a flat JSON object."""
    values = to_json(request)
    source, settings = values.pop("source"), values.pop("settings")
    del values["evaluations"], values["reference"], source["constraints"]
    return {**source, **values, "settings": settings}


def lockstep(
    algorithms: Sequence[Algorithm],
    evaluations: int,
    evaluate: Callable[[list[int], int, list[Array]], list[dict[str, Array]]],
) -> Iterator[list[int]]:
    """Play all ``algorithms``, a generation of each at a time, until each has had ``evaluations``.

    Yields how many each has had. The last generation is cut to that number.
    """
    spent, going, generation = [0] * len(algorithms), [*range(len(algorithms))], 0
    while going:
        asked = {i: found for i in going if (found := algorithms[i].ask()) is not None}
        cut = {i: population(found)[: evaluations - spent[i]] for i, found in asked.items()}
        going = [i for i in going if i in cut and len(cut[i])]
        if not going:
            return
        x = [np.asarray(cut[i].get("X"), dtype=float) for i in going]
        for i, found in zip(going, evaluate(going, generation, x), strict=True):
            cut[i].set(**found)
            tell(algorithms[i], asked[i], cut[i])
            spent[i] += len(cut[i])
        generation += 1
        yield [*spent]
        going = [i for i in going if spent[i] < evaluations]


def population(found: Population | Individual) -> Population:
    """What an algorithm asks for, which is a single solution where it asks for one at a time."""
    return Population.create(found) if isinstance(found, Individual) else found


def tell(algorithm: Algorithm, asked: Population | Individual, evaluated: Population) -> None:
    """Tell ``algorithm`` of the first of the solutions that it asked for, all of them unless the budget is spent."""
    if isinstance(asked, Individual) or len(evaluated) == len(asked):
        algorithm.tell(infills=asked)
    elif isinstance(algorithm, GDE3) and algorithm.is_initialized:  # it compares each with its parent: these lose
        for parent, each in [*zip(algorithm.pop, asked, strict=True)][len(evaluated) :]:
            each.set_by_dict(F=parent.F + 1, G=parent.G, H=parent.H)
        algorithm.tell(infills=asked)
    else:
        algorithm.tell(infills=evaluated)


# --- in Python --------------------------------------------------------------------------------------------------------


def optimise(
    problem: str | Problem | Function,
    algorithm: str = "gmoea",
    *,
    lower: float | Sequence[float] | None = None,
    upper: float | Sequence[float] | None = None,
    constraints: Function | None = None,
    vectorised: bool = False,
    variables: int | None = None,
    objectives: int | None = None,
    matrices: Path | str = "",
    evaluations: int = 5000,
    seed: int = 0,
    runs: int = 1,
    out: Path | str | None = None,
    penalty: float | None = None,
    reference: Sequence[float] = (),
    jobs: int = 1,
    on_progress: Callable[[Progress], object] | None = None,
    **settings: Any,
) -> Optimising:
    """Optimise a problem: ``genwerk.optimise("zdt1", algorithm="gmoea", evaluations=5000, seed=0, runs=10)``.

    ``problem`` is a registered name, a user's Python file, a problem of pymoo, or a function of a solution with shape
    (d,) (of many, (n, d), where ``vectorised``) within ``lower`` and ``upper``, with ``constraints`` that hold where
    none of their values is above 0. ``settings`` are those of the algorithm. With ``out`` everything is written into a
    folder, where the same call goes on after a stop. ``on_progress`` is called with each :class:`Progress`.

    Of what comes back, ``fronts[run][0].x`` and ``.f`` are the solutions that no other dominates, ``figures`` what was
    measured, and ``curve.points`` how that came about.
    """
    source, own = Source(variables=variables, objectives=objectives, matrices=str(matrices)), None
    if isinstance(problem, str):
        source = replace(source, problem=problem)
    elif isinstance(problem, Problem):
        own = problem
    elif callable(problem):
        low, high = bounds(lower, upper, variables, "lower", "upper")
        own = OfFunction(problem, low, high, constraints, vectorised=vectorised, name=getattr(problem, "__name__", "f"))
    else:
        raise BadInput(f"the problem is {problem!r}; expected a name, a problem of pymoo, or a function")
    request = Request(
        source=source,
        algorithm=algorithm,
        settings=settings,
        evaluations=evaluations,
        seed=seed,
        runs=runs,
        penalty=penalty,
        reference=tuple(reference),
    )
    optimising = Optimising(request, None if out is None else Path(out), problem=own, jobs=jobs)
    for progress in optimising:
        if on_progress is not None:
            on_progress(progress)
    return optimising
