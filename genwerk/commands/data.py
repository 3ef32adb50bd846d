"""Commands about data: data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

from genwerk.commands.choosing import command, reason, suggested, tried
from genwerk.commands.command import MACHINE, Command, Positional
from genwerk.commands.results import Examples, Figures, Note
from genwerk.core.errors import BadInput, naming
from genwerk.data.settings import DataConfig
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from genwerk.data import Splits


LONG = "Images of this size take hours to learn without a GPU; for a first trial in minutes set ‹data.size› to 32."


@dataclass(frozen=True, kw_only=True)
class Data(Command):
    """Say how data are understood, and name every file that cannot be used."""

    group = MACHINE
    output = "examples"
    unasked = False

    action: Annotated[Literal["check"], Positional()]
    """What to do (check)."""
    source: Annotated[str, Positional()] = ""
    """Built-in, path, or hf:NAME (or give it by --data, as in training)."""
    data: DataConfig = field(default_factory=DataConfig)
    """How they are read."""

    def run(self, session: Session) -> Iterator[Figures | Examples]:
        from genwerk.comparison.advice import suggestions, wanted
        from genwerk.data import open_data

        if self.source and self.data.source not in ("", self.source):
            raise BadInput(f"the data are {self.source!r} and ‹data.source› {self.data.source!r}; name them once")
        settings = replace(self.data, source=self.source or self.data.source)
        splits = open_data(settings)
        spec, advice = splits.spec, suggestions(splits.spec, len(splits.train), wanted(settings))
        values, lines = _found(settings.source, splits), _understood(settings.source, splits)
        for first in advice[:1]:
            values["suggested"] = suggested(first, settings)
            train = command(first, settings)
            lines.append(Note(f"to begin with: {train} ({reason(first)})", whole=True))
            listing = train.replace(f"train {first.fit.entry.name} ", "recipes ", 1)
            lines.append(Note(f"all recipes that fit: {listing}", whole=True))
        if tried(settings, spec) != settings:
            lines.append(Note(LONG))
        yield Figures(values, lines)
        some = splits.train.batch(slice(64 if spec.modality.one_per_file else 2000))
        yield Examples([some], spec, len(some), origin={"data": settings.source})


def _found(source: str, splits: Splits) -> dict[str, object]:
    return {
        "source": source,
        "data": str(splits.spec),
        "shape": splits.spec.shape,
        "train": len(splits.train),
        "validation": len(splits.validation),
        "test": len(splits.test),
        "classes": splits.spec.classes,
        "attributes": dict(splits.spec.attributes),
        "covariates": splits.spec.covariates,
        "notes": [naming(note, str) for note in splits.notes],
        "skipped": [{"name": s.name, "reason": s.reason} for s in splits.skipped],
    }


def _understood(source: str, splits: Splits) -> list[Note]:
    classes = splits.spec.classes
    judged, tested = (0 if part is splits.train else len(part) for part in (splits.validation, splits.test))
    parts = f"{len(splits.train):,} to train on, {judged:,} to choose the weights, {tested:,} held out"
    lines = [f"{source}: {splits.spec}; {parts}"]
    for name, values in (("classes", classes), *splits.spec.attributes):
        if values:
            lines.append(f"{name}: {', '.join(values[:20])}" + (", ..." if len(values) > 20 else ""))
    lines += splits.notes
    if splits.skipped:
        lines.append(f"{len(splits.skipped)} could not be used:")
        lines += [f"  {s.name}: {s.reason}" for s in splits.skipped]
    return [Note(line) for line in lines]
