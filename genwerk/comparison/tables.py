"""The tables of a comparison as rows of text: the lecture's, one for each section, and one line a figure for CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from genwerk.comparison import digits
from genwerk.comparison.figures import Better
from genwerk.comparison.ranking import Column, Standing, columns
from genwerk.comparison.result import Comparison
from genwerk.core.printable import printable

INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Question:
    """One column of the lecture's table."""

    head: str
    purpose: str
    """What a reader wants who looks at it first."""
    keys: tuple[str, ...]
    """Figures that answer it, the first that most contestants have is taken."""
    abilities: frozenset[str] = frozenset()
    """Abilities of which it takes one; none where every model has such figures."""
    without: str = ""
    """What is said of a contestant that has none of these."""

    def missing(self, abilities: Sequence[str]) -> str:
        """What is said of a contestant with these abilities that has no such figure."""
        return "not measured" if not self.abilities or self.abilities & set(abilities) else self.without


SAMPLES = frozenset({"samples"}), "does not sample"
LIKELIHOODS = frozenset({"has-likelihood", "bounds-likelihood"})

QUESTIONS = (
    Question(
        "Quality",
        "samples like real data",
        (
            "fid",
            "frechet_distance",
            "reverse_lm_score",
            "feature_likelihood_divergence",
            "mode_kl",
            "high_quality",
            "bleu_5",
        ),
        *SAMPLES,
    ),
    Question("Likelihood", "a likelihood", ("bits_per_dim", "kl_to_truth", "nll"), LIKELIHOODS, "none"),
    Question("Training", "quick training", ("training_examples_per_second", "seconds_to_quality")),
    Question("Sampling", "quick sampling", ("samples_per_second", "sampling_latency"), *SAMPLES),
    Question(
        "Invertibility",
        "codes that lead back to the data",
        ("encode_decode_error", "reconstruction_mse"),
        frozenset({"encodes"}),
        "no encoder",
    ),
    Question("Parallelism", "many samples at once", ("growth_with_batch",), *SAMPLES),
)
"""The columns of the table in which a lecture ends."""


@dataclass(frozen=True)
class Answer:
    """A column of the lecture's table with the figures that answer its question."""

    question: Question
    columns: tuple[Column, ...]
    """One, or several where likelihoods are of unlike things; none where nobody has such a figure."""

    def of(self, contestant: str) -> tuple[Column, Standing] | None:
        """The figure of that contestant."""
        found = ((column, column.of(contestant)) for column in self.columns)
        return next(((column, standing) for column, standing in found if standing is not None), None)


def answers(comparison: Comparison) -> list[Answer]:
    """The lecture's table: to each question the figure that most contestants have, the first of them at a tie."""
    every = columns(comparison)

    def those(key: str) -> tuple[Column, ...]:
        alike = {key, *(c.key for c in every if c.key.startswith((f"{key}_given_", f"{key} of ")))}
        return tuple(column for column in every if column.key in alike)

    made = []
    for question in QUESTIONS:
        ways = [those(key) for key in question.keys]
        best = max(ways, key=lambda way: len({s.contestant for c in way for s in c.standings if isfinite(s.mean)}))
        # the plain column last: a contestant whose classes are summed out has both
        made.append(Answer(question, tuple(sorted(best, key=lambda column: column.key not in question.keys))))
    return made


def place(standing: Standing) -> str:
    """The rank in words: "1 of 9", "inconclusive (2 to 4 of 9)", "one training seed", or nothing."""
    if standing.first == 0:
        return ""
    if standing.rank is not None:
        return f"{standing.rank} of {standing.among}"
    if standing.training is None:
        return "one training with a value" if standing.lost else "one training seed"
    return f"{INCONCLUSIVE} ({standing.first} to {standing.last} of {standing.among})"


def mean(standing: Standing) -> str:
    """Its value, "≤" where it is a bound; in place of one that is not finite what its verdict says of it."""
    if not isfinite(standing.mean) and standing.verdict:
        return standing.verdict
    sign = "≤ " if standing.bound and isfinite(standing.mean) else ""
    return sign + digits.value(standing.mean, standing.sampling, standing.training)


def lecture(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the lecture's table, in words."""
    found = answers(comparison)
    head = ["contestant"]
    head += [": ".join(filter(None, (answer.question.head, measure(answer)))) for answer in found]
    rows = []
    for contestant in comparison.contestants:
        row = [contestant]
        for answer in found:
            cell = answer.of(contestant)
            if cell is None:
                row.append(answer.question.missing(comparison.of(contestant)[0].abilities))
                continue
            column, standing = cell
            kind = likelihood(comparison, contestant, column) if answer.question.head == "Likelihood" else ""
            row.append("; ".join(filter(None, (mean(standing), kind, place(standing)))))
        rows.append(row)
    return head, rows


def measure(answer: Answer) -> str:
    """The figure that answers a question, with its unit."""
    if not answer.columns:
        return ""
    column = answer.columns[-1]
    name = column.name.partition(" given ")[0].partition(" of ")[0]
    return " ".join(filter(None, (name, arrow(column), f"({unit(column)})" if unit(column) else "")))


def likelihood(comparison: Comparison, contestant: str, column: Column) -> str:
    """What the likelihood of a contestant is: "exact", "bound", with what it is of where that is not the data."""
    runs = comparison.of(contestant)
    _, given, condition = column.name.partition(" given ")
    of = condition if given else column.name.partition(" of ")[2]
    return " ".join(filter(None, (runs[0].likelihood, "given" if given else "of" if of else "", of)))


def unit(column: Column) -> str:
    """The unit of its values, where its name does not say it."""
    found = next((each.unit for each in column.standings if each.unit), "")
    return "" if found in column.name else found


def arrow(column: Column) -> str:
    """Up where more is better, down where less is."""
    return {Better.LESS: "↓", Better.MORE: "↑", Better.NEITHER: ""}[column.about.better]


CELLS: dict[str, Callable[[Standing], str]] = {
    "value": mean,
    "sampling ±": lambda standing: digits.spread(standing.sampling),
    "training ±": lambda standing: digits.spread(standing.training),
    "floor": lambda standing: digits.value(standing.floor),
    "noise": lambda standing: digits.value(standing.noise),
    "runs": lambda standing: f"{standing.runs} of {standing.runs + standing.lost}",
    "place": place,
    "in words": lambda standing: standing.verdict,
}
"""The columns of a section's table, after the contestant."""


def cells(column: Column) -> tuple[list[str], list[list[str]]]:
    """The table of one figure; what is empty in all rows is left out."""
    rows = [[each.contestant, *(cell(each) for cell in CELLS.values())] for each in column.standings]
    head = ["contestant", *CELLS]
    filled = [i for i in range(len(head)) if any(row[i] not in ("", digits.NONE) for row in rows)]
    return [head[i] for i in filled], [[row[i] for i in filled] for row in rows]


# --- CSV --------------------------------------------------------------------------------------------------------------

SWEPT = ("contestant", "seed", "temperature", "key", "figure", "value", "spread", "unit", "floor", "noise")
"""The columns of the CSV file of a sweep."""
FIELDS = (
    *("contestant", "section", "key", "figure", "unit", "better", "mean", "bound", "sampling_spread"),
    *("training_spread", "runs", "not_finite", "seeds", "floor", "noise", "first_place", "last_place", "among"),
    *("conclusive", "conditions"),
)
"""The columns of the CSV file."""


def as_csv(comparison: Comparison) -> str:
    """One line a contestant and figure, numbers in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for column in columns(comparison):
        for s in column.standings:
            seeds = " ".join(str(run.seed) for run in comparison.of(s.contestant))
            numbers = [s.floor, s.noise, s.first or None, s.last or None, s.among or None]
            writer.writerow(
                [
                    *(s.contestant, column.about.section.value, column.key, column.name, s.unit),
                    *(column.about.better.value, _full(s.mean), s.bound, _full(s.sampling), _full(s.training)),
                    *(s.runs, s.lost, seeds, *map(_full, numbers), s.rank is not None, "; ".join(s.notes)),
                ]
            )
    return printable(text.getvalue())


def _full(found: float | None) -> str:
    return "" if found is None else repr(found)


def sweep_csv(comparison: Comparison) -> str:
    """One line a run, temperature and figure, numbers in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SWEPT)
    for run in comparison.measured:
        for at in run.report.sweep:
            for f in at.figures:
                numbers = f.value, f.spread, f.unit, f.floor, f.noise
                writer.writerow([printable(run.contestant), run.seed, at.temperature, f.key, f.name, *numbers])
    return text.getvalue()
