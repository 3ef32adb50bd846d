"""What an evaluation finds, as values: figures, each with its conditions and a verdict beside it, and how far it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite, nan
from typing import Any

from genwerk.core import html
from genwerk.core.errors import BadInput
from genwerk.core.printable import count
from genwerk.training.settings import from_json

ROUNDING = 1e-12
"""Share of a value up to which its spread is a rounding error, and not shown."""
UNJUDGED = "n/a"
"""What stands for a verdict where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """How far an evaluation is."""

    what: str
    """What is being measured."""
    step: int
    """Which step that is, from 1."""
    steps: int
    done: int
    """Examples (rounds, where a network is trained for it) behind it in this step."""
    total: int
    seconds_left: float | None
    """Until the end of this step; None while nothing tells."""
    figures: tuple[str, ...] = ()
    """What has been found so far, in a few words each, in place of the step."""
    fronts: Sequence[Sequence[Sequence[float]]] = ()
    """Where something is optimised, objectives of the solutions of each task that no other dominates, a row each."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    spread: float | None = None
    """Standard error of the value, where it can be told."""
    unit: str = ""
    note: str = ""
    """The conditions under which it was measured."""
    floor: float | None = None
    """The same figure of real examples of the other part instead of samples: what a perfect model would get."""
    noise: float | None = None
    """The same figure of uniform noise instead of samples: what knowing nothing gets."""
    reference: float | None = None
    """The same figure of a simple model of the training part, which the verdict names."""
    verdict: str = ""
    """The value in words, by the rules of :mod:`genwerk.evaluation.verdicts`; empty where there is none to give."""

    @property
    def key(self) -> str:
        """``name`` in ASCII without spaces, by which it stands in JSON: ``frechet_distance``, ``nll_bound``."""
        base, given, condition = self.name.partition(" given ")
        bound = "_bound" if "≤ " in base else ""
        plain = unicodedata.normalize("NFKD", base.replace("≤ ", "").replace("/", " per ")).encode("ascii", "ignore")
        words = plain.decode().lower() + bound + (given + condition).lower()
        return re.sub(r"\W+", "_", words, flags=re.ASCII).strip("_")


@dataclass(frozen=True, kw_only=True)
class AtTemperature:
    """The figures of samples that were drawn at one temperature."""

    temperature: float
    figures: tuple[Figure, ...]

    def figure(self, key: str) -> Figure | None:
        """The figure with that key."""
        return next((figure for figure in self.figures if figure.key == key), None)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All figures of one evaluation."""

    figures: tuple[Figure, ...]
    extractor: str | None = None
    """The extractor of the features in which samples were compared, in one line."""
    notes: tuple[str, ...] = ()
    """What was left out and why, a sentence each."""
    complete: bool = True
    """Whether all was measured that was to be."""
    labels: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of every class its share of the samples and of the real examples, as the classifier whose features are compared
    sees them; empty where it is none of the data's own labels."""
    sweep: tuple[AtTemperature, ...] = ()
    """The figures of samples at each temperature that was asked for, in that order."""

    def __getitem__(self, name: str) -> Figure:
        """The figure with that name or key."""
        for figure in self.figures:
            if name in (figure.name, figure.key):
                return figure
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, figures by their keys; numbers that are not finite, and verdicts not given, become None."""
        return {
            "complete": self.complete,
            "figures": _by_key(self.figures),
            "extractor": self.extractor,
            "notes": list(self.notes),
            "labels": {name: list(shares) for name, shares in self.labels.items()},
            "sweep": [{"temperature": at.temperature, "figures": _by_key(at.figures)} for at in self.sweep],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Report:
        """The report that :meth:`to_json` gave, values that became None being NaN; a BadInput says what is none."""
        try:
            sweep = [{**each, "figures": _listed(each["figures"])} for each in found.get("sweep", ())]
            plain = {**found, "figures": _listed(found["figures"]), "sweep": sweep}
        except (AttributeError, KeyError, TypeError):
            raise BadInput("the report holds no figures by name; expected what Report.to_json gives") from None
        report: Report = from_json(cls, plain, "report")
        return report

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and rows of text below them; columns that are empty throughout are left out."""
        head = ["figure", "value", "floor", "noise", "verdict"]
        rows = []
        for f in self.figures:
            told = f.spread is not None and f.spread > ROUNDING * abs(f.value)
            spread = f" ± {number(f.spread or 0.0, 2)}" if told else ""
            unit = f" {f.unit}" if f.unit else ""
            floor, noise = ("" if v is None else number(v) for v in (f.floor, f.noise))
            rows.append([f.name, f"{number(f.value)}{spread}{unit}", floor, noise, f.verdict or UNJUDGED])
        filled = [i for i in range(len(head)) if any(row[i] for row in rows)]
        return [head[i] for i in filled], [[row[i] for i in filled] for row in rows]

    def sweep_table(self) -> tuple[list[str], list[list[str]]]:
        """The same of the sweep: a row a figure, a column a temperature, and its floor; no rows where there is none."""
        if not self.sweep:
            return [], []
        first, rows = self.sweep[0].figures, []
        for f in first:
            found = (at.figure(f.key) for at in self.sweep)
            values = ["" if each is None else number(each.value) for each in found]
            rows.append([f.name, *values, "" if f.floor is None else number(f.floor)])
        return ["figure", *(f"T = {at.temperature:g}" for at in self.sweep), "floor"], rows

    def lines(self) -> list[str]:
        """The sentences that go with the table: the conditions of its figures, and the notes."""
        conditions: dict[str, list[str]] = {}
        for figure in self.figures:
            if figure.note:
                conditions.setdefault(figure.note, []).append(figure.name)
        said = [f"{', '.join(names)}: {note}." for note, names in conditions.items()]
        if self.extractor is not None:
            said.append(f"Distances are in the features of: {self.extractor}.")
        if any(f.floor is not None for f in self.figures):
            said.append("Floor: real examples in place of samples; noise: uniform noise in place of samples.")
        if not self.complete:
            said.append("The evaluation was stopped before its end, so figures are missing.")
        return [*said, *self.notes]

    def _repr_html_(self) -> str:
        head, rows = self.table()
        swept = html.table(*self.sweep_table()) if self.sweep else ""
        return html.table(head, rows) + swept + "".join(f"<p>{html.escaped(line)}</p>" for line in self.lines())

    def tables(self) -> str:
        """The table, and that of the sweep, in Markdown."""
        return "\n\n".join(_markdown(*each) for each in (self.table(), self.sweep_table()) if each[0])

    def markdown(self) -> str:
        """The tables in Markdown, with the sentences below them."""
        return "\n".join([self.tables(), *(f"\n{line}" for line in self.lines())])


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (" | ".join(row) for row in (head, ["---"] * len(head), *rows))
    return "\n".join(f"| {line} |" for line in lines)


def _by_key(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Figures as plain values."""
    return {
        figure.key: {k: None if _infinite(v) else v for k, v in asdict(figure).items()}
        | {"verdict": figure.verdict or None}
        for figure in figures
    }


def _listed(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Such values as the fields of figures."""
    return [
        each | {"verdict": each["verdict"] or "", "value": nan if each["value"] is None else each["value"]}
        for each in figures.values()
    ]


def counted(n: int, *, seen: bool = False) -> str:
    """``n`` examples of a note: held-out ones, or training examples where a model has ``seen`` them."""
    return count(n, "training example") if seen else f"{n:,} held-out"


def number(value: float, digits: int = 4) -> str:
    """``value`` to that many digits, and no powers of ten where it is not very small or large."""
    return f"{float(f'{value:.{digits}g}'):,.10g}"


def _infinite(value: Any) -> bool:
    return isinstance(value, float) and not isfinite(value)
