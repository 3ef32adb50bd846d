"""Commands that go by the latents of examples: reconstruct, interpolate, traverse, encode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from genwerk.commands.command import USE, AtLeast, Command, OfCondition, Positional
from genwerk.commands.options import Greatest, Input, Label, Run, Space
from genwerk.commands.results import Examples, Figures, Note, Scatter, Table, Values, cell
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.marks import File
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from torch import Tensor

    from genwerk.runs.opened import OpenRun

HELD_OUT = 2000
"""Greatest number of held-out examples by which dimensions are called active."""
MOST_ACTIVE = 8
"""Greatest number of active dimensions that are shown unasked."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(Command):
    """Encode examples and decode them again: originals above, reconstructions below."""

    group = USE
    needs = frozenset({"encodes", "decodes"})
    output = "reconstructions"

    folder: Run
    input: Input = "test"
    n: Greatest = 16
    noise: Annotated[float, AtLeast(0)] = 0.0
    """Standard deviation of Gaussian noise added first, in the units of the data (for denoising models)."""
    label: Label = None
    seed: int = 0
    """Seed of the noise."""

    def run(self, session: Session) -> Iterator[Examples | Note | Table]:
        from genwerk import tasks
        from genwerk.core.noise import SeededNoise

        opened = session.open(self.folder)
        batch, known = opened.examples(self.input, self.n, self.label)
        if self.noise > 0:
            noise = SeededNoise(len(batch), self.seed, batch.x.device).normal(*opened.spec.shape)
            batch = replace(batch, x=opened.spec.modality.clamp(batch.x + self.noise * noise))
        made = tasks.reconstruct(opened.model, batch)
        yield Examples.of(opened, replace(batch, target=made), SQUARE, known, seed=self.seed, input=self.input)
        before, after = (opened.spec.modality.lines(x) for x in (batch.x, made))
        if after:
            yield Table(["text", "reconstruction"], [*map(list, zip(before, after, strict=True))])
        yield Note(f"{opened.spec.modality.difference(batch.x, made)} over {len(batch)} examples")


@dataclass(frozen=True, kw_only=True)
class Interpolate(Command):
    """Walk from one example to another through the latent space, or from one text to another."""

    group = USE
    needs = frozenset({"decodes or interpolates-prompts"})
    output = "interpolation"

    folder: Run
    a: Annotated[str, Positional(), File()]
    """First example: an image file, a sentence of a model of texts, or a number, which is a row of the run's test data
    (or, where the model has no encoder, the number of a sample of the seed); or a text."""
    b: Annotated[str, Positional(), File()]
    """Last example, likewise."""
    steps: Annotated[int, AtLeast(2)] = 9
    """Pictures on the way, both ends included."""
    path: Literal["auto", "line", "sphere"] = "auto"
    """A straight line, or an arc that keeps the latent's length; auto is an arc between samples, or what was
    projected, in z and between the noises of a diffusion model, else a line."""
    space: Space = None
    project: bool = False
    """Search for the latents of image files, which a model without an encoder needs."""
    texts: Annotated[bool, OfCondition("prompt")] = False
    """A and B are texts, and the pictures are of one noise (models that make pictures from words)."""
    label: Label = None
    seed: int = 0
    """Seed of the samples that numbers name, of that search, or of that noise."""

    def run(self, session: Session) -> Iterator[Examples | Table]:
        from genwerk.core.spec import Batch
        from genwerk.data.sources import names_data

        opened = session.open(self.folder)
        batch = Batch(self._between_texts(opened) if self.texts else self._between_examples(opened))
        between = [f"{i / (self.steps - 1):.2g}" for i in range(1, self.steps - 1)]
        number = "sample" if opened.samples(self.a, self.b) else "test row"
        ends = [
            f"{number} {end}" if end.isdecimal() and not self.texts else Path(end).name if names_data(end) else end
            for end in (self.a, self.b)
        ]
        layout = Layout(self.steps, column_names=[ends[0], *between, ends[1]])
        yield Examples.of(opened, batch, layout, a=self.a, b=self.b, seed=self.seed)
        if lines := opened.spec.modality.lines(batch.x):
            yield Table(["place", "text"], [*map(list, zip(layout.column_names, lines, strict=True))])

    def _between_texts(self, opened: OpenRun) -> Tensor:
        from genwerk import tasks

        start, end = (opened.model.condition.read([text]) for text in (self.a, self.b))
        return tasks.interpolate_prompts(opened.model, start, end, self.steps, seed=self.seed)

    def _between_examples(self, opened: OpenRun) -> Tensor:
        from genwerk import tasks
        from genwerk.core.abilities import abilities
        from genwerk.tasks import steering

        model, drawn = opened.model, opened.samples(self.a, self.b)
        space = self.space or steering.home(model)
        path = None if self.path == "auto" else self.path
        if "has-latent-prior" in abilities(model) and (self.project or space != "z" or drawn):
            start, end = (
                opened.latent(source, self.label, space, search=self.project, seed=self.seed)
                for source in (self.a, self.b)
            )
            c = steering.same(model, 1, opened.conditions(self.label)) if space == "z" else None
            found = steering.interpolate(model, start, end, self.steps, space=space, path=path, condition=c)
        else:
            first, last = (opened.one(source, self.label) for source in (self.a, self.b))
            found = tasks.interpolate(model, first, last, self.steps, path)
        return found.flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class Traverse(Command):
    """Vary some latent dimensions of one example and hold the others still: two make a grid, else a row each."""

    group = USE
    needs = frozenset({"encodes", "decodes"})
    output = "traversal"

    folder: Run
    dims: tuple[int, ...] = ()
    """Latent dimensions to vary, counted from 0 (default: the most active ones, eight at most)."""
    input: Annotated[str, File()] = "0"
    """The example: an image file, or a row of the run's test data (a number)."""
    steps: Annotated[int, AtLeast(2)] = 9
    """Values a dimension takes, over the range that 98 % of the training data have."""
    label: Label = None

    def run(self, session: Session) -> Iterator[Examples | Note | Figures | Table]:
        from genwerk import tasks
        from genwerk.core.spec import Batch

        opened = session.open(self.folder)
        model = opened.model
        span = tasks.latent_span(model, opened.splits.train)
        found = active_dimensions(tasks.encode(model, opened.examples("test", HELD_OUT, None)[0]))
        dims = self.dims or tuple(found.values["active"][:MOST_ACTIVE]) or tuple(range(span[0].numel()))[:2]
        one = opened.one(self.input, self.label)
        plane = tasks.traverse(model, one, dims, steps=self.steps, span=span)
        values = {d: [f"{v:.2f}" for v in tasks.latent_values(span, d, self.steps).tolist()] for d in dims}
        named = [[f"z{d} = {v}" for v in row] for d, row in values.items()]
        if len(dims) == 2:
            layout = Layout(self.steps, row_names=named[0], column_names=named[1])
        else:
            captions = [v for row in values.values() for v in row]
            layout = Layout(self.steps, row_names=[f"z{d}" for d in dims], captions=captions)
        condition = model.condition.of(one)
        held = {} if condition is None else {name: v[0] for name, v in model.condition.named(condition).items()}
        yield Examples.of(opened, Batch(plane.flatten(0, 1)), layout, dims=str(dims), **held)
        if lines := opened.spec.modality.lines(plane.flatten(0, 1)):
            places = (
                [f"{a}, {b}" for a in named[0] for b in named[1]] if len(dims) == 2 else [v for r in named for v in r]
            )
            yield Table(["place", "text"], [*map(list, zip(places, lines, strict=True))])
        if held:
            yield Note(f"held still: {', '.join(f'{name} {cell(v)}' for name, v in held.items())}")
        yield found


@dataclass(frozen=True, kw_only=True)
class Encode(Command):
    """Write the latent of each example as CSV, and draw a map of them in two dimensions.

    The map, in the plane of the first two principal components, goes beside the CSV file.
    """

    group = USE
    needs = frozenset({"encodes"})
    output = "codes"
    numbers = True

    folder: Run
    input: Input = "test"
    n: Greatest = 2000
    label: Label = None

    def run(self, session: Session) -> Iterator[Values | Scatter | Figures]:
        from genwerk import tasks

        opened = session.open(self.folder)
        batch, known = opened.examples(self.input, self.n, self.label)
        z = tasks.encode(opened.model, batch)
        yield Values(z, known=known)
        flat = tasks.pca_2d(z)
        groups = {"codes": flat}
        if opened.spec.classes and (labels := opened.model.condition.labels(batch)) is not None:
            groups = {name: flat[labels == i] for i, name in enumerate(opened.spec.classes)}
        yield Scatter(groups, opened.path.name, {"run": opened.path.name})
        if len(z) > 1 and not opened.model.discrete:
            yield active_dimensions(z)


def active_dimensions(z: Tensor) -> Figures:
    """How active each latent dimension is over the examples of the latents ``z``, and which are."""
    from genwerk.metrics import activity

    variance = activity.activity(z)
    active = activity.active(variance)
    most = ", ".join(f"z{d} ({variance[d]:.2g})" for d in active[:MOST_ACTIVE])
    said = (
        f"{len(active):,} of {len(variance):,} latent dimensions are active (their variance over {len(z):,} examples "
        f"is above {activity.ACTIVE:g})" + (f": {most}" if most else "") + ", ..." * (len(active) > MOST_ACTIVE)
    )
    return Figures({"active": active, "activity": variance.tolist()}, [Note(said)])
