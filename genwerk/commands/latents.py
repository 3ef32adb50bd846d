"""Commands that look at the latents of examples: traverse, encode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from genwerk.commands.command import AtLeast, Command
from genwerk.commands.options import Greatest, Input, Label, Run
from genwerk.commands.results import Examples, Scatter, Values
from genwerk.runs.session import Session


@dataclass(frozen=True, kw_only=True)
class Traverse(Command):
    """Vary some latent dimensions of one example and hold the others still: two make a grid, else a row each."""

    needs = frozenset({"encodes", "decodes"})
    output = "traversal"

    folder: Run
    dims: tuple[int, ...]
    """Latent dimensions to vary, counted from 0."""
    input: str = "0"
    """The example: an image file, or a row of the run's test data (a number)."""
    steps: Annotated[int, AtLeast(2)] = 9
    """Values a dimension takes, over the range that 98 % of the training data have."""
    label: Label = None

    def run(self, session: Session) -> Iterator[Examples]:
        from genwerk import tasks
        from genwerk.core.spec import Batch

        opened = session.open(self.folder)
        span = tasks.latent_span(opened.model, opened.splits.train)
        plane = tasks.traverse(opened.model, opened.one(self.input, self.label), self.dims, steps=self.steps, span=span)
        batch, columns = Batch(plane.flatten(0, 1)), plane.shape[1]
        yield Examples.of(opened, batch, columns, dims=str(self.dims))


@dataclass(frozen=True, kw_only=True)
class Encode(Command):
    """Write the latent of each example as CSV, and draw a map of them in two dimensions.

    The map, in the plane of the first two principal components, goes beside the CSV file.
    """

    needs = frozenset({"encodes"})
    output = "codes"

    folder: Run
    input: Input = "test"
    n: Greatest = 2000
    label: Label = None

    def run(self, session: Session) -> Iterator[Values | Scatter]:
        from genwerk import tasks

        opened = session.open(self.folder)
        batch = opened.examples(self.input, self.n, self.label)
        z = tasks.encode(opened.model, batch)
        yield Values(z)
        flat = tasks.pca_2d(z)
        groups = {"codes": flat}
        if opened.spec.classes and (labels := opened.model.condition.labels(batch)) is not None:
            groups = {name: flat[labels == i] for i, name in enumerate(opened.spec.classes)}
        yield Scatter(groups, opened.path.name, {"run": opened.path.name})
