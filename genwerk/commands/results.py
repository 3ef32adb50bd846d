"""What a command finds out, as values: a terminal writes them to files and prints about them, a page shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

from genwerk.core.layout import SQUARE, Layout

if TYPE_CHECKING:
    from torch import Tensor

    from genwerk.core.spec import Batch, DataSpec
    from genwerk.evaluation.report import Measuring, Report
    from genwerk.runs.opened import OpenRun
    from genwerk.runs.training import Training


Known: TypeAlias = Mapping[str, Sequence[Any]]
"""What is known of n examples beside what they hold: columns of n entries by name, such as file, row and label."""


def records(known: Known, **more: Sequence[Any]) -> list[dict[str, Any]]:
    """What is known of each example, and ``more`` columns, as an object each."""
    columns = {**known, **more}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def names(known: Known) -> list[str]:
    """What is known of each example in a line, as in cat/1.png: cat, or row 7: label 3, height 1.8."""
    plain = {"file", "caption", "prompt"} | ({"label"} if "file" in known else set())
    shown = [[cell(v) if name in plain else f"{name} {cell(v)}" for v in values] for name, values in known.items()]
    first = 1 if known.keys() & {"file", "row", "sample"} else 0
    lines = ([*row[:first], ", ".join(row[first:])] for row in zip(*shown, strict=True))
    return [": ".join(filter(None, line)) for line in lines]


def cell(value: object) -> str:
    """A value in a table, numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Note:
    """A sentence, or lines of them."""

    text: str
    whole: bool = False
    """Whether it is to be copied, such as a command or a path: a line is not broken where a terminal is narrower."""


@dataclass(frozen=True)
class Table:
    """Rows of cells below the names of their columns; there is no head where no column has a name."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    cut: bool = False
    """Whether each row takes one line of a terminal, the last cell cut where it ends."""


@dataclass(frozen=True)
class Figures:
    """What was found, as plain JSON values by name."""

    values: Mapping[str, Any]
    shown: Sequence[Note | Table | Figures] | None = None
    """The same as a person reads it; None where the values themselves are read."""

    @classmethod
    def of(cls, report: Report) -> Figures:
        """The figures of an evaluation."""
        swept = (Note("\nby temperature:"), Table(*report.sweep_table())) if report.sweep else ()
        return cls(report.to_json(), (Table(*report.table()), *swept, *(Note(line) for line in report.lines())))


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
    layout: Layout = SQUARE
    """How they stand in a sheet."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """How they came about, to be written into a file where there is room for it."""
    known: Known = field(default_factory=dict)
    headed: bool = False
    """Whether a table of them begins with the columns of what is known."""

    @classmethod
    def of(
        cls, opened: OpenRun, batch: Batch, layout: Layout = SQUARE, known: Known | None = None, /, **origin: Any
    ) -> Examples:
        """All examples of ``batch``, which came of an open run."""
        return cls([batch], opened.spec, len(batch), layout, {**opened.origin, **origin}, known or {})

    def table(self) -> tuple[list[str], Iterator[Sequence[Any]]]:
        """The columns, and the cells of each row; what is known gets a name that the data do not have."""
        names, rows = self.spec.modality.records(self.parts)
        known = self.known if self.headed else {}
        before = zip(*known.values(), strict=True)
        own = (f"{name}_" if name in names else name for name in known)
        return [*own, *names], ([*next(before, ()), *row] for row in rows)


@dataclass(frozen=True)
class Picture:
    """An image of a size of its own, or an animation of several."""

    source: str
    """Name of the file that it was made of."""
    stem: str
    """What its own is called, without an end."""
    frames: Iterable[tuple[Tensor, int]]
    """Pixels, uint8 or uint16 with shape (c, h, w), and the milliseconds for which each stands; computed one at a time
    as they are asked for."""
    size: tuple[int, int]
    """Its height and width, and its frames'."""
    bits: int = 8
    """Of a pixel's value."""
    moving: str = ""
    """How the name of its file ends where it is an animation; else empty."""
    loop: int | None = None
    """How often an animation is played, 0 for ever; None does not say."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """How it came about, beyond what all have in common."""


@dataclass(frozen=True)
class Pictures:
    """Images of a size of their own each."""

    parts: Iterable[Picture]
    """One at a time as they are asked for."""
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Values:
    """Numbers with shape (n, ...), a row for each of n examples: latents, say."""

    rows: Tensor
    end: str = ".csv"
    """How the name of their file ends."""
    known: Known = field(default_factory=dict)
    letter: str = "z"
    """What the numbers of an example are called, followed by their place from 0."""

    @property
    def columns(self) -> list[str]:
        """What is known of the examples, then their numbers."""
        return [*self.known, *(f"{self.letter}{i}" for i in range(self.rows[0].numel()))]

    def table(self) -> tuple[list[str], Iterator[Sequence[Any]]]:
        """The columns, and the cells of each row."""
        from genwerk.core.tensors import cells

        known = zip(*self.known.values(), strict=True)
        return self.columns, ([*next(known, ()), *row] for row in cells([self.rows]))


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


class Measurement(Protocol):
    """What measures, an evaluation or a comparison: it begins when it is iterated, and tells how far it is."""

    def __iter__(self) -> Iterator[Measuring]: ...


Result: TypeAlias = Union[Note, Table, Figures, Examples, Pictures, Values, Scatter, Written, "Training", Measurement]
"""A training and a measurement are results too: streams of events, which begin when they are iterated."""
