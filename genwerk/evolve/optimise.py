"""An optimisation from its request to its results: several runs side by side, and an archive with which it goes on
after a stop or a kill, and nothing is evaluated twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from types import CodeType
from typing import Any

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
from genwerk.evolve.source import Function, OfFunction, Source, bounds, check
from genwerk.evolve.together import Together
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
        for name, value, least in (
            ("evaluations", request.evaluations, 1),
            ("runs", request.runs, 1),
            ("jobs", jobs, 1),
            ("seed", request.seed, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise BadSetting(name, f"is {value}; expected a whole number, {least} or more")
        for name, values in (("penalty", (request.penalty,)), ("reference", request.reference)):
            if bad := next((each for each in values if each is not None and not isfinite(each)), None):
                raise BadSetting(name, f"is {bad}; expected a finite number")
        self.config, self.out, self.command = request.config(), out, command
        self._asked = _asked(request)
        self._content = request.source.content if problem is None else content(problem)
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
        seeds = range(self.request.seed, self.request.seed + self.request.runs)
        together = Together(self.config, self.problem, seeds, self.request.evaluations)
        with ExitStack() as held:
            archive = Archive(self._columns)
            if self.out is not None:
                held.enter_context(only_writer(self.out))
                held.enter_context(self._gone_if_refused_at_once(self.out))
                write_atomically(self.out / PLAN, json.dumps(self._plan(), indent=1).encode())
                archive = held.enter_context(Archive.opened(self.out / ARCHIVE, self._columns))
            together.evaluate = evaluate = self._evaluating(archive=archive)
            self.failures = evaluate.failures
            try:
                yield from self._played(together, evaluate.failed)
                self.done = True
            finally:
                if self.out is not None and self.curve.points:
                    front.write(self, self.out)

    @contextmanager
    def _gone_if_refused_at_once(self, folder: Path) -> Iterator[None]:
        """Leaves no file in ``folder`` behind where a new problem is refused in its first generation."""
        new = not (folder / PLAN).exists()
        try:
            yield
        except BadInput:
            if new and not self.evaluations:
                for name in (PLAN, ARCHIVE):
                    (folder / name).unlink(missing_ok=True)
            raise

    def _played(self, together: Together, failed: set[bytes]) -> Iterator[Progress]:
        total, every = self.request.runs * self.request.evaluations, -(-self.request.evaluations // POINTS)
        point: Point | None = None
        for generation, algorithms in enumerate(together, 1):
            self.evaluations, most = sum(together.spent), max(together.spent)
            if point is None or most >= point.evaluations + every or self.evaluations == total:
                point = self.curve.measure(most, algorithms, failed)
            yield Progress(self.evaluations, total, generation, point)
        if point is not None and point.evaluations < max(together.spent):
            self.curve.measure(max(together.spent), together.algorithms, failed)

    # --- what is written down first -----------------------------------------------------------------------------------

    @property
    def _columns(self) -> Columns:
        of = self.problem
        return Columns(of.n_var, of.n_obj, of.n_ieq_constr, of.n_eq_constr)

    def _plan(self) -> dict[str, Any]:
        source = self.request.source
        versions = {"genwerk": __version__, **{name: version(name) for name in ("numpy", "pymoo", "torch")}}
        values = {"library": "genwerk", "what": "optimisation", "content": self._content, "versions": versions}
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
        done = read_json(figures).get("evaluations") if (figures := self.out / front.FIGURES).exists() else 0
        if isinstance(done, int) and done > request.evaluations:
            raise BadSetting(
                "evaluations", f"is {request.evaluations:,}, and {self.out} has {done:,} a run; ask for as many or more"
            )
        if found.get("content") != self._content:
            raise BadInput(
                f"{request.source.file or 'the problem'} has changed since {self.out} was begun; choose another folder "
                "with ‹out›, or remove this one"
            )
        return found


def content(problem: Problem) -> str:
    """What a problem is, as a hash by which a change is known: its bounds, and the code of its functions or class, not
    what these call."""
    of = [each for each in problem.functions if each] if isinstance(problem, OfFunction) else [type(problem)._evaluate]
    bounds_of = [None if each is None else each.tolist() for each in (problem.xl, problem.xu)]
    return sha256(repr((bounds_of, [_code(getattr(each, "__code__", None)) for each in of])).encode()).hexdigest()


def _code(code: CodeType | None) -> object:
    """What ``code`` does, without the place where it stands."""
    if code is None:
        return None
    constants = [
        _code(each) if isinstance(each, CodeType) else sorted(map(repr, each)) if isinstance(each, frozenset) else each
        for each in code.co_consts
    ]
    return code.co_code, constants, code.co_names


def _asked(request: Request) -> dict[str, Any]:
    """What must be the same where an optimisation goes on, as a flat JSON object."""
    values = to_json(request)
    source, settings = values.pop("source"), values.pop("settings")
    del values["evaluations"], values["reference"], source["constraints"]
    return {**source, **values, "settings": settings}


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
    if not callable(problem) or isinstance(problem, Problem):
        given = {"lower": lower, "upper": upper, "constraints": constraints, "vectorised": vectorised or None}
        if name := next((name for name, value in given.items() if value is not None), None):
            raise BadSetting(name, "goes with a function, and the problem is none; leave it out")
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
