"""The command that helps to choose: recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

from genwerk.commands.command import TRAINING, Command, Positional
from genwerk.commands.results import Figures, Note, Table
from genwerk.core.errors import BadInput
from genwerk.data.settings import DataConfig
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from genwerk.evaluation.advice import Suggestion
    from genwerk.tasks.fitting import Fit, Offer

SHORT_LIST = 4
"""Recipes that are suggested for some data, and timed."""
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
    """Also references, which are made for one data set, with figures to reach."""
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
        from genwerk.data import open_data
        from genwerk.evaluation.advice import minutes, suggestions
        from genwerk.tasks.fitting import fits, mentions
        from genwerk.training import runtime

        train, device = open_data(self.data).train, runtime.pick_device()
        spec = train.spec
        found = {each.entry.name: each for each in fits(spec, references=self.all) if mentions(each, self.word)}
        if not found or self.kind not in (None, spec.kind):
            raise BadInput(f"no recipe {self._asked()} can be trained on these data ({spec})")
        first = [each for each in suggestions(spec, len(train)) if each.fit.entry.name in found][:SHORT_LIST]
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


YES = ("sample", "encode", "complete", "match texts")
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
    by = suggestion.fit.by
    return suggestion.why + (f"; samples by {by[0]}" if by else "")


def command(suggestion: Suggestion, data: DataConfig) -> str:
    """What to type for it."""
    from genwerk.runs.card import again

    fit = suggestion.fit
    return again(fit.entry.name, replace(fit.recipe, data=data), fit.spec) or ""
