"""Commands about data: data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from genwerk.commands.command import Command, Positional, options
from genwerk.commands.results import Examples, Figures, Note, Written
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from genwerk.data import Splits


@dataclass(frozen=True, kw_only=True)
class Data(Command):
    """Say what was understood of some data, and name every file that cannot be used."""

    figures = True

    action: Annotated[Literal["check"], Positional()]
    """What to do (check)."""
    source: Annotated[str, Positional()]
    """Built-in, path, or hf:NAME."""
    size: int | None = None
    """Height and width that images are brought to, in pixels."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How an image of another shape is fitted."""
    colour: Literal["auto", "grey", "rgb"] = "auto"
    """Colour of images."""
    palette: int | None = None
    """Greatest number of colours that RGB images are brought to."""
    tolerance: int = 0
    """Largest difference a channel by which colours count as one when a palette is made."""
    covariates: str = ""
    """Columns of a table that a model is conditioned on, by name or number, joined by commas."""
    jitter: bool = False
    """Whether noise is added to a table's columns of few values."""
    rate: int | None = None
    """Samples a second that sounds are brought to (default: the rate that most have)."""
    seconds: float | None = None
    """Length of an example of sound (default: what nine in ten recordings do not exceed, at most 2)."""
    label: str = "label"
    """Name of the column or array that holds the labels."""
    label_pattern: str | None = None
    """Regular expression whose first group, found in a file's name, is its label."""
    holdout: float = 0.1
    """Fraction of the examples held out for testing, where there is no test part."""
    validation: float = 0.1
    """Fraction of the others that is kept apart to choose weights by."""
    test: str = ""
    """Another source that is the test part."""
    group: str = ""
    """Column, or pattern in files' names, of what must not be split among the parts."""
    seed: int = 0
    """Seed of the choice of parts."""
    out: Path | None = None
    """Also write a picture of some examples here (and a .wav of sounds)."""

    def run(self, session: Session) -> Iterator[Figures | Examples | Written]:
        from genwerk.data import DataConfig, open_data

        own = {option.name for option in options(Data)} - {"action", "out"}
        splits = open_data(DataConfig(**{name: getattr(self, name) for name in own}))
        spec = splits.spec
        yield Figures(_found(self.source, splits), _understood(self.source, splits))
        if self.out is not None:
            some = splits.train.batch(slice(64 if spec.modality.one_per_file else 2000))
            yield Written(spec.modality.write(self.out, some, {"data": self.source}))


def _found(source: str, splits: Splits) -> dict[str, object]:
    return {
        "source": source,
        "data": str(splits.spec),
        "shape": splits.spec.shape,
        "train": len(splits.train),
        "validation": len(splits.validation),
        "test": len(splits.test),
        "classes": splits.spec.classes,
        "covariates": splits.spec.covariates,
        "notes": splits.notes,
        "skipped": [{"name": s.name, "reason": s.reason} for s in splits.skipped],
    }


def _understood(source: str, splits: Splits) -> list[Note]:
    classes = splits.spec.classes
    judged, tested = (0 if part is splits.train else len(part) for part in (splits.validation, splits.test))
    parts = f"{len(splits.train):,} to train on, {judged:,} to choose weights by, {tested:,} held out"
    lines = [f"{source}: {splits.spec}; {parts}"]
    if classes:
        lines.append(f"classes: {', '.join(classes[:20])}" + (", ..." if len(classes) > 20 else ""))
    lines += splits.notes
    if splits.skipped:
        lines.append(f"{len(splits.skipped)} could not be used:")
        lines += [f"  {s.name}: {s.reason}" for s in splits.skipped]
    return [Note(line) for line in lines]
