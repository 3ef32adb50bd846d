"""Commands that steer a generator by its latents: project, mix, truncate, edit, entanglement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from genwerk.commands.command import MEASURE, STEER, AtLeast, Command, OfAbility, Short
from genwerk.commands.options import Greatest, Input, Label, Likeness, Run, Space
from genwerk.commands.results import Examples, Figures, Note, Table, Values, cell, records
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.marks import File
from genwerk.runs.session import Session

Level = Literal["coarse", "middle", "fine"]


@dataclass(frozen=True, kw_only=True)
class Project(Command):
    """Search for the latents that decode to your examples: originals above, what was found below, latents as CSV.

    The latents go beside the examples.
    """

    group = STEER
    needs = frozenset({"has-latent-prior"})
    output = "projection"

    folder: Run
    input: Input = "test"
    n: Greatest = 8
    space: Space = None
    steps: Annotated[int, AtLeast(1)] = 1000
    """Steps of the search."""
    noise_maps: Annotated[bool, OfAbility("styles")] = False
    """Search for the noise maps too (in w and w+)."""
    similarity: Likeness = "pixels"
    resize: bool = False
    """Fit an image of another size as the training data were."""
    label: Label = None
    seed: int = 0
    """Seed of the search."""

    def run(self, session: Session) -> Iterator[Examples | Values | Figures]:
        from genwerk.core.spec import Batch
        from genwerk.tasks import steering

        opened = session.open(self.folder)
        batch, known = opened.examples(self.input, self.n, self.label, exact=not self.resize)
        space = self.space or steering.home(opened.model)
        search = steering.Search(space=space, steps=self.steps, noise_maps=self.noise_maps)
        similarity = opened.similarity(self.similarity)
        found = steering.project(opened.model, batch, search, similarity=similarity, seed=self.seed)
        pairs = Batch(batch.x, batch.condition, found.reconstruction)
        origin: dict[str, Any] = {"input": self.input, "space": found.space, "steps": self.steps}
        yield Examples.of(opened, pairs, SQUARE, known, seed=self.seed, **origin)
        yield Values(found.latent, ".latents.csv", known, self.space or found.space)
        mean = f"mean distance {found.distance.mean().item():.5g} in {self.similarity} over {len(batch)} examples"
        rows = records(known, distance=found.distance.tolist())
        values = {"similarity": self.similarity, "space": found.space, "examples": rows}
        yield Figures(
            values, [Table([*known, "distance"], [list(map(cell, row.values())) for row in rows]), Note(mean)]
        )


@dataclass(frozen=True, kw_only=True)
class Mix(Command):
    """Mix the styles of samples: every row's sample with the coarse, middle or fine styles of every column's."""

    group = STEER
    needs = frozenset({"styles"})
    output = "mixing"

    folder: Run
    rows: tuple[int, ...]
    """Numbers of the samples down the side, which keep their other styles: 0 is the first of `genwerk sample`."""
    columns: tuple[int, ...]
    """Numbers of the samples along the top, which give the styles."""
    layers: tuple[Level, ...] = ()
    """Which styles, a table each below the other: coarse act up to 8 pixels, middle up to 32, fine on all that is
    larger (thirds of the layers in models of small images); default: all that the model has."""
    label: Label = None
    seed: int = 0
    """Seed of the samples."""

    def run(self, session: Session) -> Iterator[Examples]:
        import torch

        from genwerk.core.spec import Batch
        from genwerk.tasks import steering

        opened = session.open(self.folder)
        model, condition = opened.model, opened.conditions(self.label)
        sizes = steering.styled(model, "mixing styles").style_sizes
        levels = self.layers or tuple(level for level in get_args(Level) if steering.layers_of(level, sizes))
        sheets = [
            steering.mix(model, self.rows, self.columns, level, condition, seed=self.seed).sheet() for level in levels
        ]
        sheet = torch.cat([sheets[0], *(s[1:] for s in sheets[1:])])
        sources = f"{self.rows} x {self.columns}"
        layout = Layout(
            sheet.shape[1],
            row_names=["", *(f"sample {row}, {level}" for level in levels for row in self.rows)],
            column_names=["", *(f"sample {column}" for column in self.columns)],
        )
        yield Examples.of(opened, Batch(sheet.flatten(0, 1)), layout, seed=self.seed, sources=sources, layers=levels)


@dataclass(frozen=True, kw_only=True)
class Truncate(Command):
    """Bring samples nearer to the mean style: a row for each sample, a column for each psi."""

    group = STEER
    needs = frozenset({"styles"})
    output = "truncation"

    folder: Run
    psi: tuple[float, ...] = (0.0, 0.25, 0.5, 0.7, 1.0)
    """Fractions of the way from the mean style (0) to the sample's own (1)."""
    rows: tuple[int, ...] = (0, 1, 2, 3)
    """Numbers of the samples: 0 is the first of `genwerk sample`."""
    label: Label = None
    seed: int = 0
    """Seed of the samples."""

    def run(self, session: Session) -> Iterator[Examples]:
        from genwerk.core.spec import Batch
        from genwerk.tasks import steering

        opened = session.open(self.folder)
        made = steering.truncate(opened.model, self.rows, self.psi, opened.conditions(self.label), seed=self.seed)
        layout = Layout(
            len(self.psi),
            row_names=[f"sample {row}" for row in self.rows],
            column_names=[f"psi {psi:.4g}" for psi in self.psi],
        )
        yield Examples.of(opened, Batch(made.flatten(0, 1)), layout, psi=self.psi, rows=self.rows, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class Edit(Command):
    """Move an example towards a class of the data, and away from it, along a direction of the latent space."""

    group = STEER
    needs = frozenset({"has-latent-prior"})
    output = "edit"

    folder: Run
    attribute: str
    """The class, by name or number."""
    input: Annotated[str, File()] = "0"
    """The example: an image file, or a number, which is a row of the run's test data (or, where the model has no
    encoder, the number of a sample of the seed; an image is then projected first)."""
    amounts: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0)
    """How far: 1 leads from the typical example of other classes to the typical one of this."""
    by: Literal["means", "svm"] | None = None
    """How the direction is found: the difference of two means (default for models that encode), or the normal of a
    support vector machine, which disregards what merely goes along with the class (default for others)."""
    space: Space = None
    n: Annotated[int, AtLeast(1), Short("n")] = 4000
    """Examples of the data, or samples judged by a classifier of the data, from which the direction is found."""
    label: Label = None
    seed: int = 0
    """Seed of these, of the sample that a number names, and of a search for an image's latent."""

    def run(self, session: Session) -> Iterator[Examples]:
        from genwerk.core.abilities import abilities
        from genwerk.core.spec import Batch
        from genwerk.tasks import steering

        opened = session.open(self.folder)
        model, wanted = opened.model, opened.label(self.attribute)
        place: Any = self.space or steering.home(model)
        encodes = "encodes" in abilities(model)
        if encodes and place == "z":
            some = opened.splits.train.subset(self.n, self.seed)
            batch = some.under(model.condition).batch().to(model.device)
            known = steering.labelled_codes(model, batch, some.condition, wanted)
        else:
            known = steering.labelled_draws(model, opened.classifier, wanted, n=self.n, space=place, seed=self.seed)
        direction = steering.attribute_direction(known, self.by or ("means" if encodes else "svm"))
        latent = opened.latent(self.input, self.label, place, search=True, seed=self.seed)
        c = steering.same(model, 1, opened.conditions(self.label)) if place == "z" else None
        made = steering.edit(model, latent, direction, self.amounts, space=place, condition=c)
        origin: dict[str, Any] = {"attribute": self.attribute, "input": self.input, "amounts": self.amounts}
        layout = Layout(
            len(self.amounts),
            row_names=[opened.spec.classes[wanted]],
            column_names=[f"{amount:+.4g}" if amount else "0" for amount in self.amounts],
        )
        yield Examples.of(opened, Batch(made.flatten(0, 1)), layout, **origin, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class Entanglement(Command):
    """Measure how entangled the latent spaces are: perceptual path length and linear separability, in z and in w."""

    group = MEASURE
    needs = frozenset({"has-latent-prior"})

    folder: Run
    pairs: Annotated[int, AtLeast(1)] = 1000
    """Paths whose length is measured."""
    samples: Annotated[int, AtLeast(1)] = 4000
    """Samples in which the class that a classifier finds is sought in the latent."""
    similarity: Likeness = "features"
    seed: int = 0
    """Seed of the latents."""

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.tasks import steering

        opened = session.open(self.folder)
        found = steering.entanglement(
            opened.model,
            similarity=opened.similarity(self.similarity),
            classify=opened.classifier if opened.spec.modality.learned_features and opened.spec.classes else None,
            pairs=self.pairs,
            samples=self.samples,
            seed=self.seed,
        )
        spaces = [
            {
                "space": e.space,
                "path_length": e.full.mean,
                "path_length_error": e.full.standard_error,
                "path_length_at_ends": e.ends.mean,
                "path_length_at_ends_error": e.ends.standard_error,
                "separability": None if e.separability is None else e.separability.score,
            }
            for e in found
        ]
        rows = [
            (
                e.space,
                *(f"{p.mean:.4g} ± {p.standard_error:.2g}" for p in (e.full, e.ends)),
                "-" if e.separability is None else f"{e.separability.score:.4g}",
            )
            for e in found
        ]
        measured = f"over {self.samples} samples" if found[0].separability else "is of images with classes"
        asked: dict[str, Any] = {"similarity": self.similarity, "pairs": self.pairs, "samples": self.samples}
        yield Figures(
            {**asked, "seed": self.seed, "spaces": spaces},
            [
                Table(("space", "path length", "at the ends", "separability"), rows),
                Note(
                    f"path length in {self.similarity}, over {self.pairs} paths; separability {measured}; less is "
                    "better"
                ),
            ],
        )
