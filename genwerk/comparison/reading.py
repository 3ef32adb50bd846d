"""What a comparison has in common, and what its ranks say, in sentences that follow from them by rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genwerk.comparison import curves
from genwerk.comparison.ranking import Column, Standing
from genwerk.comparison.result import Comparison
from genwerk.comparison.tables import answers, mean, unit
from genwerk.core.printable import first_of

SWEEP = "--evaluate.temperatures 0.7,1,1.3"
"""What is typed to compare whole curves."""


def facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What all runs have in common, by what it is called."""
    parts = ", ".join(f"{count:,} {name}" for name, count in comparison.examples.items())
    yield "Data", "; ".join(filter(None, (comparison.data, parts)))
    yield "Training", comparison.budget or "runs as they were given"
    yield "Measured on", f"{comparison.samples:,} samples of each run, seed {comparison.seed}"
    if comparison.extractor:
        yield "Features", comparison.extractor
    yield "Machine", comparison.machine
    yield "Versions", comparison.version


def reading(comparison: Comparison) -> list[tuple[str, str]]:
    """What is surely known for each question of the lecture's table, by what a reader wants who asks it."""
    said = []
    for answer in answers(comparison):
        sentences = [sentence for column in answer.columns if column.leaders for sentence in _sentences(column)]
        if sentences:
            said.append((answer.question.purpose, " ".join(sentences)))
    if together := curves.sentences(comparison):
        said.append(("quality and variety", " ".join(together)))
    elif any(run.figure(pair.quality) for run in comparison.measured for pair in curves.PAIRS[:1]) and not any(
        run.report.sweep for run in comparison.measured
    ):
        why = "At one temperature quality can be had for variety, so neither BLEU nor self-BLEU ranks anything"
        said.append(("quality and variety", f"{why}; compare whole curves with {SWEEP}."))
    single = [each for each in comparison.contestants if len({run.seed for run in comparison.of(each)}) < 2]
    if single:
        why = "Nothing tells how far another training would move the figures of a contestant with one training seed, "
        said.append(("certainty", f"{why}so it is not ranked: {_listed(single)}."))
    return said


def _sentences(column: Column) -> Iterator[str]:
    """Who is surely first and last in one figure, or between whom that is open."""
    placed = [each for each in column.standings if each.first]
    leaders = column.leaders
    if len(leaders) == len(placed):
        yield f"Inconclusive: in {column.name} no contestant is surely worse than any other."
        return
    if leaders[0].rank == 1:
        behind = min((s for s in placed if s is not leaders[0]), key=lambda s: abs(s.mean - leaders[0].mean))
        yield f"{_named(leaders[0], column)} is surely ahead in {column.name}, with {_named(behind, column)} next."
    else:
        yield f"The first in {column.name} is one of {_listed([_named(each, column) for each in leaders])}."
        if any(each.bound for each in leaders):
            yield "What is marked ≤ may be less than its bound."
    if len(placed) > 2:
        yield from (f"{_named(each, column)} is surely last." for each in placed if each.rank == len(placed))


def _named(standing: Standing, column: Column) -> str:
    value = " ".join(filter(None, (mean(standing), unit(column))))
    return f"{standing.contestant} ({value})"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 6:
        return first_of(names, 5)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
