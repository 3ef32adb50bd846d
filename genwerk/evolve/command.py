"""A problem that a command evaluates: solutions as CSV on its standard input, objectives as CSV on its output."""

from __future__ import annotations

import csv
import io
import re
import shlex
import subprocess
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import Problem

from genwerk.core.errors import BadInput, reason

TRIES = 4
"""Solutions that are tried before a function or command counts as one that always fails."""


def places(lower: NDArray[np.float64], upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """The solutions (TRIES, d) that are tried: the middle of the bounds, then others between them."""
    d = len(lower)
    return lower + (upper - lower) * np.vstack([np.full(d, 0.5), np.random.default_rng(0).random((TRIES - 1, d))])


class CommandFailed(RuntimeError):
    """A call of the command ended with an error, or printed what cannot be read."""


class OfCommand(Problem):
    """Minimises what ``command`` prints.

    It reads a header x0,x1,... and a line a solution from standard input, and prints a header f0,f1,... (and g0,...,
    constraints that hold where they are not above 0) and a line a solution in the same order; other columns are left
    out. It is run without a shell in ``folder``. Unless ``objectives`` are known, it is run for the middle of the
    bounds to see its columns, and where it fails there for other solutions (:func:`places`).
    """

    def __init__(
        self,
        command: str,
        lower: NDArray[np.float64],
        upper: NDArray[np.float64],
        objectives: int | None = None,
        constraints: int | None = None,
        folder: str | None = None,
    ) -> None:
        super().__init__(n_var=len(lower), n_obj=0, xl=lower, xu=upper)
        self.command, self.folder = command, folder
        if objectives is None:
            objectives, constraints = self._tried(lower, upper)
        self.n_obj, self.n_ieq_constr = objectives, constraints or 0

    def _tried(self, lower: NDArray[np.float64], upper: NDArray[np.float64]) -> tuple[int, int]:
        for x in places(lower, upper):
            try:
                f, g = self.called(x[None])
                return f.shape[1], g.shape[1]
            except CommandFailed as error:
                failure = error
        raise BadInput(f"the command {self.command!r} {failure} (tried with {TRIES} solutions)")

    def called(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Objectives and constraints of the solutions ``x`` (n, d), by one call; a cell that is no number is nan."""
        given = io.StringIO()
        csv.writer(given, lineterminator="\n").writerows([[f"x{i}" for i in range(x.shape[1])], *x.tolist()])
        try:
            words = shlex.split(self.command)
            done = subprocess.run(words, input=given.getvalue(), capture_output=True, text=True, cwd=self.folder)
        except UnicodeDecodeError:
            raise CommandFailed("prints what is no text") from None
        except (OSError, ValueError, IndexError) as error:
            raise BadInput(f"the command {self.command!r} cannot be started: {reason(error)}") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [""])[-1]
            raise CommandFailed(f"ends with exit code {done.returncode}" + (f": {last}" if last else ""))
        head, *rows = [row for row in csv.reader(done.stdout.splitlines()) if row] or [[]]
        head = [name.strip() for name in head]
        f, g = (sorted(i for i, name in enumerate(head) if re.fullmatch(rf"{letter}\d+", name)) for letter in "fg")
        if not f:
            shown = ",".join(head)[:60]
            raise CommandFailed(f"prints the header {shown!r}; expected f0,f1,... and g0,... for constraints")
        if len(rows) != len(x):
            raise CommandFailed(f"prints {len(rows)} lines for {len(x)} solutions, below the header; expected as many")
        return tuple(np.array([[_number(row, i) for i in of] for row in rows]).reshape(len(x), -1) for of in (f, g))  # type: ignore[return-value]

    def _evaluate(self, x: NDArray[np.float64], out: dict[str, Any], *_: Any, **__: Any) -> None:
        f, g = self.called(x)
        if (f.shape[1], g.shape[1]) != (self.n_obj, self.n_ieq_constr):
            raise BadInput(
                f"the command {self.command!r} prints {f.shape[1]} objectives and {g.shape[1]} constraints now, and "
                f"{self.n_obj} and {self.n_ieq_constr} before; expected the same number always"
            )
        out["F"], out["G"] = f, g


def _number(row: list[str], i: int) -> float:
    try:
        return float(row[i])
    except (ValueError, IndexError):
        return float("nan")
