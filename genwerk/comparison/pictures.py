"""What a contestant makes, to be looked at: the same sheets for all, of the same held-out examples and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk import tasks
from genwerk.core.abilities import Encodes, Translates, abilities
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.model import Model, evaluating
from genwerk.core.moments import Moments
from genwerk.core.spec import Batch
from genwerk.data import Splits
from genwerk.evaluation.samples import draw, rebuilds
from genwerk.modalities.writers import scatter
from genwerk.tasks import steering
from genwerk.tasks.inputs import mask_of
from genwerk.tasks.steering.latents import usual_conditions

SHEET = 36
"""Samples of a sheet."""
FEW = 6
"""Examples that are rebuilt, completed, or shown beside their neighbours."""
STEPS = 7
"""Examples on the way from one to another, both ends included."""
POINTS = 1000
"""Rows of a table that are drawn as points."""


@dataclass(frozen=True)
class Gallery:
    """Makes the pictures of one model, called ``name`` in the folder ``into``."""

    model: Model
    splits: Splits
    into: Path
    name: str
    seed: int

    def kinds(self) -> Iterator[tuple[str, Callable[[], dict[str, Path]]]]:
        """What can be shown of the model, by its abilities, and what makes it."""
        able, spec = abilities(self.model), self.splits.spec
        if not (spec.modality.one_per_file or spec.modality.is_text):
            if spec.modality.has_columns and "samples" in able:
                yield "samples", self.points
            return
        if "samples" in able:
            yield "samples", self.samples
        if rebuilds(self.model) or (spec.modality.is_text and {"encodes", "decodes"} <= able):
            yield "reconstructions", self.reconstructions
        if "translates" in able:
            yield "translations", self.translations
        named = isinstance(self.model, Encodes) and self.model.discrete
        if not named and ("has-latent-prior" in able or {"encodes", "decodes"} <= able):
            yield "interpolations", self.interpolations
        if "completes" in able:
            yield "completions", self.completions
        if "samples" in able:
            yield "nearest", self.nearest

    def samples(self) -> dict[str, Path]:
        """A sheet of samples."""
        return self.put("samples", Batch(draw(self.model, SHEET, self.splits.test, self.seed)))

    def reconstructions(self) -> dict[str, Path]:
        """Held-out examples above what becomes of them."""
        batch = self.held_out(2 * FEW)
        made = tasks.reconstruct(self.model, batch)
        return self.put("reconstructions", Batch(batch.x, target=made), Layout(FEW))

    def translations(self) -> dict[str, Path]:
        """Sources of held-out examples above what is made of them."""
        assert isinstance(self.model, Translates)
        return self.put("translations", self.model.translated(self.held_out(2 * FEW), seed=self.seed), Layout(FEW))

    def interpolations(self) -> dict[str, Path]:
        """The way from one example to another, or between samples where nothing is encoded."""
        model = self.model
        if {"encodes", "decodes"} <= abilities(model):
            batch = self.held_out(2 * FEW)
            c = batch.condition
            first, last = (Batch(batch.x[i::2], None if c is None else c[i::2]) for i in (0, 1))
            way = tasks.interpolate(model, first, last, STEPS)
        else:
            space = steering.home(model)
            conditions = usual_conditions(model, FEW)
            start, end = (
                torch.cat([self._latent(2 * i + odd, conditions, i, space) for i in range(FEW)]) for odd in (0, 1)
            )
            each = None if conditions is None or space != "z" else conditions.repeat_interleave(STEPS, 0)
            way = steering.interpolate(model, start, end, STEPS, space=space, condition=each)
        return self.put("interpolations", Batch(way.flatten(0, 1)), Layout(STEPS))

    def _latent(self, number: int, conditions: Tensor | None, row: int, space: steering.Space) -> Tensor:
        c = None if conditions is None else conditions[row : row + 1]
        return steering.latents(self.model, [number], space, c, seed=self.seed)

    def completions(self) -> dict[str, Path]:
        """Held-out examples of which the beginning is given: what is known, four completions, the original."""
        modality = self.splits.spec.modality
        mask = mask_of(self.model, modality.beginning).to(self.model.device)
        batch = self.held_out(FEW)
        found = tasks.complete(self.model, batch, mask, 4, seed=self.seed)
        begun = torch.where(mask, batch.x, batch.x.new_tensor(modality.unknown))
        shown = torch.cat([begun.unsqueeze(1), found.x, batch.x.unsqueeze(1)], 1)
        heads = ["known", "1", "2", "3", "4", "original"]
        return self.put("completions", Batch(shown.flatten(0, 1)), Layout(len(heads), column_names=heads))

    def nearest(self) -> dict[str, Path]:
        """Samples before the training examples that are nearest to them."""
        train, k = self.splits.train, 3
        made = draw(self.model, FEW, self.splits.test, self.seed).cpu()
        rows = tasks.nearest(made, train, k).rows
        near = train.batch(rows.flatten().to(train.device)).x.cpu().reshape(FEW, k, *self.splits.spec.shape)
        heads = ["sample", *(f"nearest {i + 1}" for i in range(k))]
        sheet = torch.cat([made.unsqueeze(1), near], 1).flatten(0, 1)
        return self.put("nearest", Batch(sheet), Layout(k + 1, column_names=heads))

    def points(self) -> dict[str, Path]:
        """Rows of a table among held-out ones, in the plane in which the held-out ones spread most."""
        test = self.splits.test.subset(POINTS, self.seed).batch().x.cpu().flatten(1).double()
        made = draw(self.model, len(test), self.splits.test, self.seed).cpu().flatten(1).double()
        groups = {"held out": test, "samples": made}
        return {"samples": in_plane(self.into / f"{self.name}-samples.png", self.splits, groups)}

    def held_out(self, n: int) -> Batch:
        """``n`` held-out examples with their conditions, on the model's device."""
        found = self.splits.test.subset(n, self.seed).under(self.model.condition)
        return found.batch(slice(n)).to(self.model.device)

    def put(self, what: str, batch: Batch, layout: Layout = SQUARE) -> dict[str, Path]:
        """Write a sheet."""
        return written(self.splits, self.into / f"{self.name}-{what}", what, batch, layout)


def made(gallery: Gallery) -> Iterator[tuple[str, dict[str, Path]]]:
    """All pictures of a gallery, one kind after the other."""
    for what, make in gallery.kinds():
        with evaluating(gallery.model):
            yield what, make()


def real(splits: Splits, into: Path, seed: int) -> dict[str, Path]:
    """A sheet of held-out examples, as many as there are samples of each contestant."""
    sheet = splits.spec.modality.one_per_file or splits.spec.modality.is_text
    data = splits.test.subset(SHEET if sheet else POINTS, seed)
    if sheet:
        return written(splits, into / "real", "real", data.batch(slice(SHEET)), SQUARE)
    if splits.spec.modality.has_columns:
        return {"real": in_plane(into / "real.png", splits, {"held out": data.batch().x.cpu().flatten(1).double()})}
    return {}


def written(splits: Splits, stem: Path, what: str, batch: Batch, layout: Layout) -> dict[str, Path]:
    """The files of a sheet by what they are: pictures, and sounds called "... (sound)" beside their pictures."""
    modality, origin = splits.spec.modality, dict[str, Any]()
    path = modality.write(stem, Batch(batch.x, target=batch.target), origin, layout)
    if not modality.drawn:
        return {what: path}
    drawn = modality.draw(stem.with_name(f"{stem.name}{modality.drawn}"), batch, origin, layout)
    return {what: drawn, f"{what} (sound)": path}


def in_plane(path: Path, splits: Splits, groups: Mapping[str, Tensor]) -> Path:
    """Rows of a table as points: its two columns, or the first two principal components of the standardised rows."""
    spec = splits.spec
    names = spec.columns if len(spec.columns) == spec.dims else tuple(f"x{i}" for i in range(spec.dims))
    if spec.dims == 2:
        return scatter(path, groups, {}, names=names)
    found = Moments(splits.train.parts(), full=True)
    std = found.covariance.diagonal().sqrt().clamp(min=1e-12)
    _, vectors = torch.linalg.eigh(found.covariance / torch.outer(std, std))
    plane = partial(_placed, mean=found.mean, std=std, axes=vectors.flip(1)[:, :2])
    return scatter(
        path,
        {name: plane(rows) for name, rows in groups.items()},
        {},
        names=("first principal component", "second principal component"),
    )


def _placed(rows: Tensor, mean: Tensor, std: Tensor, axes: Tensor) -> Tensor:
    return (rows - mean) / std @ axes
