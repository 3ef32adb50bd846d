"""Who is ahead: figures over the training seeds of each contestant, with both spreads, and the places that they leave.

A rank needs certainty. Each contestant has an interval, of the spread of training (Student's t over its seeds) and that
of sampling together; one is surely better than another where the intervals do not touch and the gap is not of the size
that means nothing. The place of a contestant lies between 1 + those surely better and all but those surely worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import hypot, inf, isfinite, nan, sqrt
from statistics import fmean, stdev

from genwerk.comparison.figures import About, Better, Section, about
from genwerk.comparison.result import Comparison, Measured
from genwerk.evaluation.report import Figure

NORMAL = 1.96
"""Standard errors on either side of a value that make an interval of 95 %."""
MEANINGLESS = 0.013
"""Gap between two figures, as a share of the greater, below which it means nothing whatever the seeds say."""
OF_EXAMPLES = ("nll", "bits_per_dim", "kl_to_truth")
"""Figures of a likelihood, which are alike only for the same version of the data and the same condition."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One contestant in one figure."""

    contestant: str
    mean: float
    """Over the training seeds; NaN where no run has a finite value."""
    sampling: float | None
    """Spread of sampling: root mean square of the standard errors of the runs; None where none is known."""
    training: float | None
    """Spread of training: standard deviation over training seeds; None where there is only one."""
    runs: int
    """Runs with a finite value."""
    lost: int = 0
    """Runs that were measured and whose value is not finite."""
    bound: bool = False
    """Whether the true value may be less."""
    floor: float | None = None
    """Of real examples in place of samples: what a perfect model would get."""
    noise: float | None = None
    """Of noise in place of samples: what knowing nothing gets."""
    unit: str = ""
    notes: tuple[str, ...] = ()
    """The conditions under which its runs were measured, each once."""
    verdict: str = ""
    """In words, where its runs agree on them."""
    first: int = 0
    """The best place that it may have, from 1; 0 where it is not ranked."""
    last: int = 0
    """The worst place that it may have."""
    among: int = 0
    """How many contestants have places."""

    @property
    def rank(self) -> int | None:
        """Its place, where that is certain."""
        return self.first if 0 < self.first == self.last else None

    @property
    def of_sampling(self) -> float:
        """Half the width of an interval of 95 % of the mean, as sampling alone would have it."""
        return NORMAL * (self.sampling or 0.0) / sqrt(self.runs) if self.runs else 0.0

    @property
    def of_training(self) -> float:
        """The same as training alone would have it; infinite where a single training seed tells nothing of it."""
        if self.training is None:
            return inf
        from scipy.special import stdtrit  # quantiles of Student's t

        return float(stdtrit(self.runs - 1, 0.975)) * self.training / sqrt(self.runs)

    @property
    def margin(self) -> float:
        """Half the width of the interval by which it is ranked, of both."""
        return hypot(self.of_sampling, self.of_training)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure of all contestants that have it, in the order of the comparison."""

    key: str
    """Of the figure; bounds stand beside exact values under the key of these."""
    name: str
    """What it is called, with what it is of where likelihoods are of unlike things."""
    about: About
    standings: tuple[Standing, ...]

    def of(self, contestant: str) -> Standing | None:
        """How that contestant stands; None where it does not have the figure."""
        return next((each for each in self.standings if each.contestant == contestant), None)

    @property
    def leaders(self) -> tuple[Standing, ...]:
        """Those than whom nobody is surely better, best first; none where nothing is ranked."""
        sign = -1 if self.about.better is Better.MORE else 1
        return tuple(sorted((s for s in self.standings if s.first == 1), key=lambda s: sign * s.mean))


def columns(comparison: Comparison, section: Section | None = None) -> list[Column]:
    """The figures of a comparison (of one section), in the order of the sections, those that rank first."""
    found: dict[str, dict[str, list[tuple[Measured, Figure]]]] = {}
    for run in comparison.measured:
        for key, figure in _figures(run):
            found.setdefault(key, {}).setdefault(run.contestant, []).append((run, figure))
    made = [_column(key, comparison.contestants, runs) for key, runs in found.items()]
    order, known = list(Section), {column.key: i for i, column in enumerate(made)}
    made.sort(key=lambda c: (order.index(c.about.section), c.about.better is Better.NEITHER, known[c.key]))
    return [column for column in made if section in (None, column.about.section)]


def places(standings: Sequence[Standing], better: Better, section: Section) -> tuple[Standing, ...]:
    """The standings with the places that are left to each; without, where there is nothing to rank."""
    finite = [each for each in standings if isfinite(each.mean)]
    if better is Better.NEITHER or len(finite) < 2:
        return tuple(standings)
    ahead = {(a.contestant, b.contestant) for a in finite for b in finite if surely_better(a, b, better, section)}
    placed = []
    for each in standings:
        if isfinite(each.mean):
            above = sum((other.contestant, each.contestant) in ahead for other in finite)
            below = sum((each.contestant, other.contestant) in ahead for other in finite)
            each = replace(each, first=1 + above, last=len(finite) - below, among=len(finite))
        placed.append(each)
    return tuple(placed)


def surely_better(a: Standing, b: Standing, better: Better, section: Section) -> bool:
    """Whether ``a`` is better than ``b`` beyond the intervals of both.

    The true value of a bound may be less, so that nothing is surely better than a bound. Nats have no zero of their
    own (they depend on the units of the data), so that the share of a gap counts for all but likelihoods.
    """
    gap = a.mean - b.mean if better is Better.MORE else b.mean - a.mean
    if b.bound or gap <= a.margin + b.margin:
        return False
    return section is Section.LIKELIHOOD or gap > MEANINGLESS * max(abs(a.mean), abs(b.mean))


# --- from runs to columns ---------------------------------------------------------------------------------------------


def _figures(run: Measured) -> Iterator[tuple[str, Figure]]:
    """The figures of a run by the column that each belongs to, an exact value rather than a bound of the same."""
    every = (*run.report.figures, *run.efficiency.figures)
    keys = {figure.key for figure in every}
    summed = any("_given_" in key for key in keys)
    for figure in every:
        base, given, condition = figure.key.partition("_given_")
        plain = base.removesuffix("_bound")
        if plain != base and plain + given + condition in keys:
            continue
        if plain in OF_EXAMPLES:
            if run.condition and not summed:
                given, condition = "_given_", run.condition
            if run.scored_as != "stored":
                condition += f" of {run.scored_as}"
        yield plain + given + condition, figure


def _column(key: str, order: Sequence[str], runs: dict[str, list[tuple[Measured, Figure]]]) -> Column:
    some = next(iter(runs.values()))[0][1]
    plain, _, scored = key.partition(" of ")
    base, given, condition = plain.partition("_given_")
    name = some.name.replace("≤ ", "").partition(" given ")[0]
    if given:
        name += f" given {condition}"
    if scored:
        name += f" of {SCORED.get(scored, scored)}"
    what = about(base)
    seeds = {each: len({run.seed for run, _ in found}) for each, found in runs.items()}
    every = tuple(standing(each, [figure for _, figure in runs[each]], seeds[each]) for each in order if each in runs)
    better = Better.NEITHER if scored == "symbols" else what.better  # a model's own, which are no other's
    return Column(key=key, name=name, about=what, standings=places(every, better, what.section))


SCORED = {"binary": "binary pixels", "symbols": "the model's symbols"}
"""What a likelihood is of that is not of the data as stored."""


def standing(contestant: str, figures: Sequence[Figure], seeds: int) -> Standing:
    """How a contestant stands by one figure of its runs, which have so many different training seeds."""
    finite = [each for each in figures if isfinite(each.value)]
    spreads = [each.spread for each in finite if each.spread is not None and isfinite(each.spread)]
    values = [each.value for each in finite]
    verdicts = {each.verdict for each in figures}
    return Standing(
        contestant=contestant,
        mean=fmean(values) if values else nan,
        sampling=sqrt(fmean(each * each for each in spreads)) if spreads else None,
        training=stdev(values) if len(values) > 1 and seeds > 1 else None,
        runs=len(values),
        lost=len(figures) - len(values),
        bound=any(_bound(each) for each in figures),
        floor=_mean([each.floor for each in figures]),
        noise=_mean([each.noise for each in figures]),
        unit=figures[0].unit,
        notes=tuple(dict.fromkeys(each.note for each in figures if each.note)),
        verdict=verdicts.pop() if len(verdicts) == 1 else "",
    )


def _bound(figure: Figure) -> bool:
    return figure.key.partition("_given_")[0].endswith("_bound")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None and isfinite(each)]
    return fmean(known) if known else None
