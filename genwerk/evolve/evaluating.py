"""Evaluation of what algorithms propose: from the archive where it is known, else by the problem, in processes where
that is asked for; what fails is penalised."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from math import ceil
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import LoopedElementwiseEvaluation, Problem

from genwerk.core.errors import BadInput
from genwerk.evolve.archive import Archive, Outcome
from genwerk.evolve.command import CommandFailed, OfCommand
from genwerk.evolve.source import Source, told
from genwerk.evolve.survival import beyond

Array: TypeAlias = NDArray[np.float64]
RunnerName: TypeAlias = Literal["joblib", "dask", "ray"]
Runner: TypeAlias = Callable[[Callable[[Array], list[Outcome]], Sequence[Array]], Iterable[list[Outcome]]]
"""As those of pymoo: calls a function with each of several arguments, in processes of its own."""
NONE_YET = 1e6
"""Penalty of an objective of which no value is known yet."""
DIED = ("TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError")
"""What runners raise where one of their processes has died: loky's, Python's, dask's and ray's."""
SHORTEST = 0.5
"""Seconds that a call of a runner takes at the least, where there is so much to evaluate."""


def outcomes(problem: Problem, x: Array) -> list[Outcome]:
    """What ``problem`` gives for each of the solutions ``x`` (n, d); where it fails for all together, one by one."""
    try:
        found = problem.evaluate(x, return_values_of=["F", "G", "H"], return_as_dictionary=True)
    except BadInput:
        raise
    except (Exception, SystemExit) as error:
        if str(error).startswith("('Problem Error"):  # pymoo's: a shape that is not the declared one
            raise BadInput(f"{problem.name()}: {error.args[0].removeprefix('Problem Error: ')}") from None
        if len(x) > 1 and not isinstance(error, CommandFailed):
            return [each for row in x for each in outcomes(problem, row[None])]
        why = f"the command {error}" if isinstance(error, CommandFailed) else told(error)
        return [Outcome((), why)] * len(x)
    values = np.hstack([np.asarray(found[name], dtype=float).reshape(len(x), -1) for name in "FGH"])
    return [Outcome(tuple(row.tolist()), _lacking(problem, row)) for row in values]


def _lacking(problem: Problem, values: Array) -> str:
    """Which of ``values`` is no finite number; empty where all are. Of a problem of tasks, some are padded with nan."""
    if np.isfinite(values).all() or hasattr(problem, "tasks"):
        return ""
    counts = (("f", problem.n_obj), ("g", problem.n_ieq_constr), ("h", problem.n_eq_constr))
    names = [f"{letter}{i}" for letter, n in counts for i in range(n)]
    return next(f"{name} is {value}" for name, value in zip(names, values, strict=True) if not np.isfinite(value))


@dataclass(frozen=True)
class Worker:
    """Evaluates in any process: a problem that is made there, once, from its source, or one that is sent along."""

    source: Source | Problem
    pid: int = field(default_factory=os.getpid)
    """The process that hears Ctrl-C and ends the others."""

    def __call__(self, x: Array) -> list[Outcome]:
        if os.getpid() != self.pid:
            with suppress(ValueError):  # not in a thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        return outcomes(_made(self.source) if isinstance(self.source, Source) else self.source, x)


@cache
def _made(source: Source) -> Problem:
    return source.load()


def runner_called(name: RunnerName, jobs: int, threads: bool) -> Runner:
    """The runner of pymoo called ``name``, with ``jobs`` processes, or threads where a command computes anyway."""
    from pymoo import parallelization

    try:
        if name == "joblib":
            return parallelization.JoblibParallelization(jobs, prefer="threads" if threads else "processes")
        if name == "ray":
            return parallelization.RayParallelization()
        from dask.distributed import Client

        return parallelization.DaskParallelization(Client(n_workers=jobs, threads_per_worker=1))
    except ImportError:
        package = {"dask": "'dask[distributed]'"}.get(name, name)
        raise BadInput(f"the runner {name} is not installed; type: pip install {package}") from None


class Evaluating:
    """Evaluates generations of several runs and keeps an archive of them; see :meth:`__call__`."""

    def __init__(
        self,
        problem: Problem,
        source: Source | Problem,
        archive: Archive,
        *,
        penalty: float | None = None,
        jobs: int = 1,
        runner: Runner | None = None,
        batch: int | None = None,
    ) -> None:
        self.problem, self.archive, self.penalty = problem, archive, penalty
        self.jobs, self.batch, self._work = jobs, batch, Worker(source if jobs > 1 else problem)
        self._runner, self._together = runner, jobs
        """Pieces in a call of the runner."""
        self.seen: dict[int, tuple[Array, Array]] = {}
        """The least and the greatest of all values so far, by run."""
        self.failures: Counter[str] = Counter()
        """How often an evaluation failed, by reason."""
        self.failed: set[bytes] = set()
        """The solutions that failed."""
        self.fresh = 0
        """Evaluations that the archive did not know."""

    def __call__(self, runs: Sequence[int], generation: int, x: Sequence[Array]) -> list[dict[str, Array]]:
        """Evaluate the solutions ``x`` of each of ``runs``, (n, d) each: arrays F (n, m), G and H for each of them."""
        known = [self.archive.answer(run, own) for run, own in zip(runs, x, strict=True)]
        done: list[list[Outcome]] = [[] for _ in runs]
        for i, own in enumerate(known):
            for row, outcome in zip(x[i], own, strict=False):
                done[i].append(self._penalised(runs[i], row, outcome))
        asked = [(i, row) for i, own in enumerate(known) for row in x[i][len(own) :]]
        if asked:
            found = self._evaluated(np.array([row for _, row in asked]))
            for (i, row), outcome in zip(asked, found, strict=True):
                done[i].append(outcome := self._penalised(runs[i], row, outcome))
                self.archive.add(runs[i], generation, row, outcome)
                self.fresh += 1
        return [self._parts(np.array([each.values for each in own])) for own in done]

    def _parts(self, values: Array) -> dict[str, Array]:
        ends = [*accumulate((self.problem.n_obj, self.problem.n_ieq_constr, self.problem.n_eq_constr))]
        f, g, h, _ = np.split(values, ends, axis=1)
        return {"F": f, "G": g, "H": h}

    def _evaluated(self, x: Array) -> Iterator[Outcome]:
        """Outcomes of the solutions ``x`` (n, d) in their order, each as soon as it is there."""
        pieces = [*self._pieces(x)]
        if self._runner is None:
            for piece in pieces:
                yield from self._work(piece)
            return
        while pieces:
            some, pieces, start = pieces[: self._together], pieces[self._together :], time.monotonic()
            try:
                outcomes_of = list(self._runner(self._work, some))
            except Exception as error:
                if type(error).__name__ not in DIED:
                    raise
                raise BadInput(
                    f"a process that evaluates {self.problem.name()} died: it ran out of memory, or ended itself; what "
                    "was evaluated before stands in the archive, and ‹jobs 1› shows more"
                ) from None
            for found in outcomes_of:
                yield from found
            longer = time.monotonic() - start < SHORTEST
            self._together = max(self.jobs, self._together * 2 if longer else self._together // 2)

    def _pieces(self, x: Array) -> Iterator[Array]:
        """What is evaluated by one call each."""
        looped = type(getattr(self.problem, "elementwise_runner", None)) is LoopedElementwiseEvaluation
        size = 1 if self.problem.elementwise and looped else ceil(len(x) / self.jobs)
        if isinstance(self.problem, OfCommand) and self.batch is not None:
            size = self.batch
        return (x[i : i + size] for i in range(0, len(x), size))

    def _penalised(self, run: int, x: Array, outcome: Outcome) -> Outcome:
        """``outcome`` with penalties for values where it is a failure without any, and with both kept in mind.

        An objective that failed is as much worse than the worst of its run so far as that is than the best, unless a
        ``penalty`` says otherwise; a constraint is violated by 1 more than ever before.
        """
        n, m = self.problem.n_obj + self.problem.n_constr, self.problem.n_obj
        if not outcome.failure:
            values = np.array(outcome.values)
            least, most = self.seen.get(run, (values, values))
            self.seen[run] = np.minimum(least, values), np.maximum(most, values)
            return outcome
        self.failures[outcome.failure] += 1
        self.failed.add(x.tobytes())
        if len(outcome.values) == n and np.isfinite(outcome.values).all():  # from the archive, penalised already
            return outcome
        if run in self.seen:
            least, most = self.seen[run]
            values = beyond(least, most)
            values[m:] = np.maximum(np.abs(least), np.abs(most))[m:] + 1
        else:
            values = np.where(np.arange(n) < m, NONE_YET, 1.0)
        if self.penalty is not None:
            values[:m] = self.penalty
        return Outcome(tuple(values.tolist()), outcome.failure)
