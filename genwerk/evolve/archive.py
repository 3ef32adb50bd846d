"""The archive of an optimisation: every evaluation a line of a CSV file, written as it comes and never again.

After a kill the algorithm is replayed from its seed, and its evaluations are answered from here in their order, each
only where the solution is the same to the last bit. A line that a kill has cut short is dropped, and evaluated again.
"""

from __future__ import annotations

import csv
import os
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadFile, BadInput, Unwritable, reason
from genwerk.core.files import flush, open_own, open_regular
from genwerk.core.printable import printable

NAME = "archive.csv"
DONE = "ok"
"""What stands for the outcome of an evaluation that did not fail."""
SYNC = 2.0
"""Seconds between two waits until all lines are on disk; a kill of the process alone loses none that are written."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one evaluation gave."""

    values: tuple[float, ...]
    """Objectives, then inequality and equality constraints."""
    failure: str = ""
    """Why it failed; empty where it did not. The values are then penalties."""


@dataclass(frozen=True)
class Columns:
    """How many numbers of each kind an evaluation has."""

    x: int
    f: int
    g: int = 0
    h: int = 0

    def head(self) -> list[str]:
        """Names of the columns."""
        counts = (("x", self.x), ("f", self.f), ("g", self.g), ("h", self.h))
        return ["run", "generation", *(f"{letter}{i}" for letter, n in counts for i in range(n)), "outcome"]


class Archive:
    """Evaluations of several runs: those that are known, each given out once in the order of its run, and new ones.

    Without a file it only gathers. Use :meth:`opened` for one with a file.
    """

    def __init__(self, columns: Columns, file: IO[bytes] | None = None, where: str = "the archive") -> None:
        self.columns, self.where, self._file = columns, where, file
        self._known: dict[int, deque[tuple[tuple[float, ...], Outcome]]] = defaultdict(deque)
        self._synced = time.monotonic()

    @classmethod
    @contextmanager
    def opened(cls, path: Path, columns: Columns) -> Iterator[Archive]:
        """The archive in the file ``path``, begun where it is not there, with all that it holds.

        A BadFile names a line that cannot be read, a BadInput other columns than those expected.
        """
        with ExitStack() as held:
            file = held.enter_context(open_own(path, os.O_APPEND))
            archive = cls(columns, file, str(path))
            file.truncate(archive._read(path))
            if not file.tell() and not os.fstat(file.fileno()).st_size:
                archive._write(columns.head())
            yield archive
            flush(file)

    def __len__(self) -> int:
        """Evaluations that are known and not given out yet."""
        return sum(map(len, self._known.values()))

    def answer(self, run: int, x: NDArray[np.float64]) -> list[Outcome]:
        """The outcomes of the first of the solutions ``x`` (n, d) of ``run``, as many as are known.

        A BadInput says so where a known one is not the same to the last bit.
        """
        known, found = self._known[run], list[Outcome]()
        for row in x[: len(known)]:
            solution, outcome = known.popleft()
            if row.tobytes() != np.array(solution).tobytes():
                raise BadInput(
                    f"{self.where} holds other solutions than this algorithm proposes now (run {run}); it was written "
                    "with other versions, settings or hardware, so choose another folder with ‹out›"
                )
            found.append(outcome)
        return found

    def add(self, run: int, generation: int, x: NDArray[np.float64], outcome: Outcome) -> None:
        """Write down that the solution ``x`` (d,) was evaluated."""
        cells = [str(run), str(generation), *map(repr, x.tolist()), *map(repr, outcome.values)]
        failure = printable(" ".join(outcome.failure.split())).replace('"', "'")
        self._write([*cells, f'"{failure}"' if failure else DONE])

    def _write(self, cells: Sequence[str]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(f"{','.join(cells)}\n".encode())
            self._file.flush()
            if time.monotonic() - self._synced > SYNC:
                flush(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            raise Unwritable(
                f"{self.where} cannot be written ({reason(error)}); make room, and the same command goes on"
            ) from None

    def _read(self, path: Path) -> int:
        """Take in all whole lines, and return where they end."""
        end, head = 0, self.columns.head()
        with open_regular(path) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                cells = next(csv.reader([line.decode(errors="replace")]), [])
                if number == 1:
                    if cells != head:
                        raise BadInput(f"{path} has other columns than this optimisation; choose another ‹out›")
                    continue
                try:
                    run, _, *numbers, outcome = cells
                    values = tuple(map(float, numbers))
                    if len(values) != len(head) - 3:
                        raise ValueError(line)
                    found = Outcome(values[self.columns.x :], "" if outcome == DONE else outcome)
                    self._known[int(run)].append((values[: self.columns.x], found))
                except ValueError:
                    raise BadFile(
                        f"line {number:,} of {path} is damaged; remove it and all below it, and the same command goes "
                        "on from there"
                    ) from None
        return end
