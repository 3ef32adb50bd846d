"""What a command finds out, as values: a terminal writes them to files and prints about them, a page shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

if TYPE_CHECKING:
    from torch import Tensor

    from genwerk.core.spec import Batch, DataSpec
    from genwerk.evaluation.evaluate import Evaluation
    from genwerk.evaluation.report import Report
    from genwerk.runs.opened import OpenRun
    from genwerk.runs.training import Training


@dataclass(frozen=True)
class Note:
    """A sentence."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells below the names of their columns; there is no head where no column has a name."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    cut: bool = False
    """Whether each row takes one line of a terminal, the last cell cut where it ends."""


@dataclass(frozen=True)
class Figures:
    """What was found, as plain JSON values."""

    values: Any
    shown: Sequence[Note | Table | Figures] | None = None
    """The same as a person reads it; None where the values themselves are read."""

    @classmethod
    def of(cls, report: Report) -> Figures:
        """The figures of an evaluation."""
        return cls(report.to_json(), (Table(*report.table()), *map(Note, report.lines())))


@dataclass(frozen=True)
class Examples:
    """Pictures, sounds or rows of a table, as ``spec`` says: what a model made, or what it was shown.

    ``parts`` may be computed one at a time as they are asked for; where a part has a target, each example is shown with
    its target.
    """

    parts: Iterable[Batch]
    spec: DataSpec
    n: int
    """Number of examples in all parts together."""
    columns: int | None = None
    """Examples in a row of a sheet; None is as many as make it square."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """How they came about, to be written into a file where there is room for it."""

    @classmethod
    def of(cls, opened: OpenRun, batch: Batch, columns: int | None = None, **origin: Any) -> Examples:
        """All examples of ``batch``, which came of an open run."""
        return cls([batch], opened.spec, len(batch), columns, {**opened.origin, **origin})


@dataclass(frozen=True)
class Values:
    """Numbers with shape (n, ...), a row for each of n examples: latents, say."""

    rows: Tensor
    end: str = ".csv"
    """How the name of their file ends."""


@dataclass(frozen=True)
class Scatter:
    """Points in the plane, with shape (n, 2) for each named group."""

    groups: Mapping[str, Tensor]
    title: str
    origin: Mapping[str, Any]
    end: str = ".map.png"
    """How the name of its file ends."""


@dataclass(frozen=True)
class Written:
    """A file or folder that a command has written where its options said."""

    path: Path


Result: TypeAlias = Union[Note, Table, Figures, Examples, Values, Scatter, Written, "Training", "Evaluation"]
"""A training and an evaluation are results too: streams of events, which begin when they are iterated."""
