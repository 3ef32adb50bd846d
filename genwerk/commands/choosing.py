"""The commands that help to choose: recipes, and choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from genwerk.commands.command import TRAINING, Command, Positional
from genwerk.commands.results import Figures, Note, Table
from genwerk.core.errors import BadInput
from genwerk.core.printable import count
from genwerk.data.settings import DataConfig
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from genwerk.comparison.advice import Advice, Choice, Suggestion
    from genwerk.comparison.ranking import Standing
    from genwerk.core.spec import DataSpec
    from genwerk.tasks.fitting import Fit, Offer

HOW = """
A word narrows the list (`genwerk recipes label`), and so does --kind; --all adds references, made for one data set.
`genwerk recipes --data D` lists what fits your data, and `genwerk show RECIPE` prints one in full."""
TIMED = """
Minutes are estimated for a recipe's own length, by a few rounds on this {}. A stage may
end earlier; measuring, pictures and checkpoints come on top."""
STARVED = "Other programs use the processors now; without them it would take about {:.0%} of that."


@dataclass(frozen=True, kw_only=True)
class Recipes(Command):
    """List recipes by what their models can do; with --data those that fit your data, and which to begin with."""

    group = TRAINING

    word: Annotated[str, Positional()] = ""
    """Only recipes with this word in their name, family or description, or among what they can do."""
    kind: str | None = None
    """Only recipes for this kind of data, such as image."""
    all: bool = False
    """Also references: recipes for one data set, with the figures that they should reach."""
    data: DataConfig = field(default_factory=DataConfig)
    """Your data, and how they are read."""
    time_all: bool = False
    """With --data: time every recipe on this machine, and not only those suggested."""

    def run(self, session: Session) -> Iterator[Figures]:
        yield self._fitting() if self.data.source else self._offered()

    def _offered(self) -> Figures:
        """What there is."""
        from genwerk.tasks.fitting import WANTS, mentions, offers

        found = [offer for offer in offers(self.kind, references=self.all) if mentions(offer, self.word)]
        if not found:
            raise BadInput(f"no recipe {self._asked()}; `genwerk recipes` lists them, and ‹all› adds references")
        found.sort(key=lambda offer: (offer.entry.reference, [want not in offer.does for want in WANTS], offer.by))
        values = [
            {**_named(offer), "kinds": offer.kinds, "does": offer.does, "by": offer.by, "family": offer.family}
            for offer in found
        ]
        return Figures({"recipes": values}, [*_grouped(found, with_kinds=self.kind is None), Note(HOW)])

    def _fitting(self) -> Figures:
        """What suits the data."""
        from genwerk.comparison.advice import SHORT_LIST, minutes, suggestions, wanted
        from genwerk.data import open_data
        from genwerk.tasks.fitting import fits, mentions
        from genwerk.training import runtime

        train, device = open_data(self.data).train, runtime.pick_device()
        spec = train.spec
        found = {each.entry.name: each for each in fits(spec, references=self.all) if mentions(each, self.word)}
        if not found or self.kind not in (None, spec.kind):
            raise BadInput(f"no recipe {self._asked()} can be trained on these data ({spec})")
        first = [each for each in suggestions(spec, len(train), wanted(self.data)) if each.fit.entry.name in found][
            :SHORT_LIST
        ]
        names = list(dict.fromkeys([each.fit.entry.name for each in first]) | dict.fromkeys(found))
        timed = names if self.time_all else names[: len(first) or SHORT_LIST]
        processor = runtime.ProcessorTime()
        took = {name: minutes(found[name], train, runtime.Runtime(device)) for name in timed}
        share = processor.share() if device.type == "cpu" else 1.0
        values = {
            "source": self.data.source,
            "data": str(spec),
            "train": len(train),
            "device": str(device),
            "recipes": [_suited(found[name], took.get(name)) for name in names],
            "suggested": [suggested(each, self.data) for each in first],
        }
        head = Note(f"{self.data.source}: {spec}; {len(train):,} to train on; {len(names)} recipes fit\n")
        timing = [Note(TIMED.format(device.type))]
        if share < runtime.STARVED:
            timing.append(Note(STARVED.format(share)))
        table = _table([_row(found[name], took) for name in names])
        return Figures(values, [head, table, *timing, *_advised(first, self.data)])

    def _asked(self) -> str:
        """What was looked for."""
        of = [f"for {self.kind}"] if self.kind else []
        return " ".join([*of, *([f"that mentions {self.word!r}"] if self.word else [])])


@dataclass(frozen=True, kw_only=True)
class Choose(Command):
    """Recommend families for your data, by what was measured on the most similar data.

    The table that ships with Genwerk is of short trainings of a few recipes. `genwerk compare --data D` measures on
    your own data, and --compared counts that too.
    """

    group = TRAINING

    data: DataConfig = field(default_factory=DataConfig)
    """Your data, and how they are read."""
    want: Literal["samples", "likelihood", "codes", "control", "translation", "speed"] | None = None
    """What matters most: samples like real examples, likelihoods of examples, short codes of them, samples that can be
    steered (by label, completion or interpolation), images made from others, or speed of sampling (default: translation
    where ‹to› names a second source, else samples)."""
    compared: tuple[Path, ...] = ()
    """Folders of your own comparisons (`genwerk compare`), which count as measured too."""

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.comparison.advice import advise, wanted
        from genwerk.comparison.precedents import measured, precedent_in
        from genwerk.data import open_data

        if not self.data.source:
            raise BadInput("no data to choose for; name them with ‹data›")
        own = [precedent_in(folder) for folder in self.compared]
        train, want = open_data(self.data).train, self.want or wanted(self.data)
        advice = advise(train.spec, len(train), want, [*own, *measured()])
        head = Note(f"{self.data.source}: {train.spec}; {len(train):,} to train on; wanted: {want}")
        values = {"source": self.data.source, "data": str(train.spec), "train": len(train), "want": want}
        yield Figures({**values, **_advice(advice, self.data)}, [head, *_chosen(advice, self.data)])


# --- what there is ----------------------------------------------------------------------------------------------------


def _named(found: Offer | Fit) -> dict[str, Any]:
    entry = found.entry
    return {"recipe": entry.name, "summary": entry.summary, "reference": entry.reference}


def _grouped(found: Sequence[Offer], *, with_kinds: bool) -> Iterator[Note | Table]:
    """A table of all that do the same, below what they do."""
    from genwerk.tasks.fitting import examples

    every = len(examples())
    taken = ["any" if len(offer.kinds) == every else " ".join(offer.kinds) for offer in found]
    names = [f"  {offer.entry.name}" for offer in found]
    rows = [
        [name.ljust(max(map(len, names))), *([kinds.ljust(max(map(len, taken)))] if with_kinds else []), summary]
        for name, kinds, summary in zip(names, taken, (offer.entry.summary for offer in found), strict=True)
    ]
    for title, group in groupby(zip(map(_title, found), rows, strict=True), key=lambda each: each[0]):
        same = [row for _, row in group]
        yield Note(title)
        yield Table([""] * len(same[0]), same, cut=True)


def _title(offer: Offer) -> str:
    """What the models of a group can do, in a line."""
    by = f" by {' or '.join(offer.by)}" if offer.by else ""
    does = ", ".join(want + by * (want == "sample") for want in offer.does)
    return does + (" (references)" if offer.entry.reference else "")


# --- what suits the data ----------------------------------------------------------------------------------------------


YES = ("sample", "encode", "complete", "translate", "match texts")
"""What a model can do or not."""


def _suited(found: Fit, minutes: float | None) -> dict[str, Any]:
    can = {want: want in found.does for want in YES}
    return {**_named(found), **can, "score": found.score, "by": found.by, "family": found.family, "minutes": minutes}


def _row(found: Fit, took: Mapping[str, float]) -> dict[str, str]:
    time, can = took.get(found.entry.name), {want: "yes" if want in found.does else "" for want in YES}
    minutes = "" if time is None else f"{time:,.0f}" if time >= 10 else f"{time:.1f}"
    first = {"recipe": found.entry.name, "sample": can["sample"], "score": found.score}
    return {**first, **can, "by": " ".join(found.by), "minutes": minutes}


def _table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows in the columns that say anything."""
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    return Table(columns, [[row[name] for name in columns] for row in rows])


def _advised(first: Sequence[Suggestion], data: DataConfig) -> Iterator[Note | Table]:
    if first:
        yield Note("\nTo begin with:")
        yield Table(["", ""], [(f"  {each.fit.entry.name}", each.why) for each in first])
        yield Note(f"\n{command(first[0], data)}", whole=True)


def suggested(suggestion: Suggestion, data: DataConfig) -> dict[str, Any]:
    """A suggestion as plain values."""
    name = suggestion.fit.entry.name
    return {"recipe": name, "why": reason(suggestion), "command": command(suggestion, data)}


def reason(suggestion: Suggestion) -> str:
    """Why a recipe is suggested, and what its samples can be asked for by."""
    by = suggestion.fit.by if "sample" in suggestion.fit.does else ()
    return suggestion.why + (f"; samples by {by[0]}" if by else "")


LARGE, TRIAL = 48, 32
"""Pixels of a side above which most recipes take hours of a processor, and to which a first trial brings them."""


def tried(data: DataConfig, spec: DataSpec) -> DataConfig:
    """``data`` of ``spec`` for a first trial: large images of no size that was asked for are made smaller."""
    large = spec.modality.has_pixels and not spec.source and data.size is None and spec.side > LARGE
    return replace(data, size=TRIAL) if large else data


def command(suggestion: Suggestion, data: DataConfig) -> str:
    """What to type for it."""
    from genwerk.runs.card import again

    fit = suggestion.fit
    return again(fit.entry.name, replace(fit.recipe, data=tried(data, fit.spec)), fit.spec) or ""


# --- which family -----------------------------------------------------------------------------------------------------


def _advice(advice: Advice, data: DataConfig) -> dict[str, Any]:
    """Advice as plain values."""
    from genwerk.training.settings import to_json

    found = advice.precedent
    on = found and {name: value for name, value in to_json(found).items() if not isinstance(value, dict)}
    choices = [
        suggested(each, data)
        | {"measured_as": each.measured_as, "latent": each.latent or None}
        | {"figures": {key: to_json(standing) for key, standing in advice.figures(each).items()}}
        for each in advice.choices
    ]
    opinions = [suggested(each, data) for each in advice.opinions]
    return {"measured_on": on, "figure": advice.key or None, "choices": choices, "opinions": opinions}


def _chosen(advice: Advice, data: DataConfig) -> Iterator[Note | Table]:
    """Advice as a person reads it."""
    from genwerk.comparison.advice import SHORT_LIST

    found = advice.precedent
    if found is None:
        yield Note("nothing that tells was measured on data of this kind; these are opinions\n")
    else:
        told = (found.data, f"{found.examples:,} examples", found.budget, _times(found.seeds))
        yield Note(f"most alike of the data measured: {found.source} ({'; '.join(filter(None, told))})\n")
        yield _table([_standing(advice, each) for each in advice.choices])
        yield Note(f"\n{advice.sentence}")
        yield from map(Note, found.notes)
        yield from (Note(f"{name} could not be measured there: {why}") for name, why in found.failed.items())
    if advice.opinions:
        yield Table(["", ""], [(f"  {each.fit.entry.name}", each.why) for each in advice.opinions])
    first = [*advice.choices[:SHORT_LIST], *advice.opinions]
    for each in first[:1]:
        train = command(each, data)
        yield Note(f"\n{train}", whole=True)
        names = ",".join(other.fit.entry.name for other in first)
        own = train.replace(f"train {each.fit.entry.name} ", f"compare --recipes {names} ", 1)
        yield Note("\nor, for what they reach on these data in more time:\n")
        yield Note(f"{own} --minutes 10", whole=True)


def _standing(advice: Advice, choice: Choice) -> dict[str, str]:
    """A row of the table: how a recipe stands in each figure, with 95 % intervals of both spreads."""
    from genwerk.comparison.advice import WANTED, controls

    assert advice.precedent is not None
    own, standing = choice.fit.entry.name, choice.standing
    known, figures = advice.precedent.figures, advice.figures(choice)
    place = f"{standing.first}" if standing.rank else f"{standing.first}-{standing.last}" if standing.among else ""
    return {
        "recipe": own,
        "measured as": "" if choice.measured_as == own else choice.measured_as,
        "place": place,
        **{
            known[key].name: _interval(figures[key]) if key in figures else ""
            for key in (advice.key, *advice.want.beside)
            if key in known
        },
        "numbers of a code": str(choice.latent) if advice.want is WANTED["codes"] else "",
        "steered": ", ".join(controls(choice.fit)) if advice.want is WANTED["control"] else "",
    }


def _interval(standing: Standing) -> str:
    """A mean, with the half of its interval where that is known."""
    from genwerk.comparison import digits

    margin = f" ± {digits.spread(standing.margin)}" if isfinite(standing.margin) else ""
    mean = digits.value(standing.mean, standing.margin)
    return f"{'≤ ' * standing.bound}{mean}{margin}{f' {standing.unit}' * bool(standing.unit)}"


def _times(n: int) -> str:
    return "trained once" if n == 1 else count(n, "seed")
