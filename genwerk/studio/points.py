"""Questions about points of a latent space: what each is, where examples are, and what is made of several.

They are answered with models that stay open, as a page asks them while somebody drags a point.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from genwerk import tasks
from genwerk.cli.rendering import plain_json
from genwerk.commands.results import names
from genwerk.core.abilities import Decodes, abilities
from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.core.spec import Batch
from genwerk.modalities.writers import grid, opaque
from genwerk.runs.opened import OpenRun
from genwerk.studio.showing import data_url, gif, png, shown
from genwerk.tasks import steering

POINTS, CODES, ACROSS, SMALL = 100, 400, 20, 40
"""Points that are decoded at a time and examples on a map of codes, at most; pictures in a row of the sheet of a map,
and their longer side in pixels, at most."""
ANIMATED, TABLE = 192, 81
"""Height of an animation in pixels, at least; and pictures in a table of styles, at most."""
FEW, RANGE, WIDER = 24, 3.0, 0.25
"""Latent dimensions that a page begins with, how far from 0 a slider goes where no data tell, and how much farther than
the data where they do, as a fraction of their range."""


@dataclass(frozen=True)
class Codes:
    """The codes of examples, these, and what is known of each."""

    z: Tensor
    x: Tensor
    known: Mapping[str, Sequence[Any]]

    def chosen(self, of: Mapping[str, Any]) -> Tensor | None:
        """Which examples are of a class (``label``) or among ``rows``; None where neither is said."""
        if (label := of.get("label")) is not None:
            found = torch.tensor([name == label for name in self.known.get("label", ())])
            return found if len(found) else torch.zeros(len(self.z), dtype=torch.bool)
        if (rows := of.get("rows")) is None:
            return None
        if not isinstance(rows, list) or not all(isinstance(row, int) for row in rows):
            raise BadInput("‹rows› are no numbers of examples on the map")
        return torch.tensor([i in rows for i in range(len(self.z))])


class Points:
    """Answers, by their names as methods, of runs that ``opened`` opens."""

    def __init__(self, opened: Callable[[str], OpenRun]) -> None:
        self._opened = opened
        self._maps: dict[OpenRun, Codes] = {}

    def latent(
        self,
        run: str,
        z: Sequence[Sequence[float]] | None = None,
        samples: Sequence[int] = (0,),
        seed: int = 0,
        label: str | None = None,
        source: str | None = None,
    ) -> dict[str, Any]:
        """What the points ``z`` of a latent space are; without any, samples by their numbers, or an example encoded."""
        opened = self._opened(run)
        model = opened.model
        if not latent_size(model):
            raise BadInput("this model has no latent space to move in")
        assert isinstance(model, Decodes)
        condition = opened.conditions(label)
        if z is not None:
            points = self._points(model, z)
        elif source is not None:
            points = opened.latent(source, label, "z")
        elif "encodes" in abilities(model) and not tasks.lacks_encoder(model):
            batch, _ = opened.examples("test", max(samples) + 1, label)
            points = tasks.encode(model, batch.select(torch.tensor(list(samples))))
        else:
            points = steering.latents(model, list(samples), "z", condition, seed=seed)
        x = self._decode(model, points, condition)
        return {
            "z": [[round(value, 4) for value in row] for row in points.flatten(1).tolist()],
            "shown": [shown(Batch(each.unsqueeze(0)), opened.spec) for each in x],
        }

    def codes(self, run: str, n: int = CODES) -> dict[str, Any]:
        """The map of codes: held-out examples (samples, of a model without an encoder) in the plane of their first two
        principal components, with a sheet of small pictures of them."""
        found = self._codes(run, n)
        opened, spec = self._opened(run), self._opened(run).spec
        flat = tasks.pca_2d(found.z)
        sheet = None
        if spec.modality.has_pixels:
            side = min(SMALL, max(spec.shape[1:]))
            small = torch.nn.functional.interpolate(opaque(found.x), size=(side, side), mode="area")
            sheet = data_url(png(grid(small, ACROSS, gap=0, scale=1)), "image/png")
        else:
            side = 0
        of = {name: values for name, values in found.known.items() if name != "label"}  # which stands in a list apart
        lines = spec.modality.lines(Batch(found.x).shown) if spec.modality.is_text else names(of)
        named = found.known.get("label")
        classes = list(dict.fromkeys(sorted(named, key=spec.classes.index))) if named else []
        return {
            "x": [round(value, 4) for value in flat[:, 0].tolist()],
            "y": [round(value, 4) for value in flat[:, 1].tolist()],
            "names": lines or [str(i) for i in range(len(flat))],
            "labels": [classes.index(name) for name in named] if named else [],
            "classes": classes,
            "sheet": sheet,
            "side": side,
            "across": ACROSS,
            "encoded": "encodes" in abilities(opened.model) and not tasks.lacks_encoder(opened.model),
        }

    def direction(self, run: str, plus: Mapping[str, Any], minus: Mapping[str, Any], n: int = CODES) -> dict[str, Any]:
        """The mean code of some examples of the map less that of others: each a class (``label``), ``rows`` of the map,
        or neither, which is all the others."""
        found = self._codes(run, n)
        more, less = found.chosen(plus), found.chosen(minus)
        if more is None:
            if less is None:
                raise BadInput("choose what is to be added, or what is to be taken away")
            more = ~less
        less = ~more if less is None else less
        if not more.any() or not less.any():
            raise BadInput("none of the examples on the map is one of these; choose others")
        z = torch.cat([found.z[more], found.z[less]])
        present = torch.arange(len(z)) < more.sum()
        way = steering.attribute_direction(steering.Labelled(z, present.to(z.device)))
        return {"z": [round(value, 4) for value in way.flatten().tolist()], "of": [int(more.sum()), int(less.sum())]}

    def film(self, run: str, z: Sequence[Sequence[float]], label: str | None = None) -> dict[str, Any]:
        """The points ``z`` of a latent space as an animation, there and back."""
        opened, frames = self._opened(run), self._decoded(run, z, label)
        if not opened.spec.modality.has_pixels:
            raise BadInput("only images make an animation")
        scale = max(1, -(-ANIMATED // frames.shape[2]))
        pictures = [grid(each.unsqueeze(0), gap=0, scale=scale) for each in frames]
        told = {**opened.origin, "label": label, "z": [[round(float(v), 4) for v in z[i]] for i in (0, -1)]}
        return {"image": data_url(gif([*pictures, *pictures[-2:0:-1]], json.dumps(plain_json(told))), "image/gif")}

    def styled(
        self,
        run: str,
        rows: Sequence[int],
        columns: Sequence[int] = (),
        level: steering.Level = "coarse",
        psi: float = 1.0,
        label: str | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """The samples of those numbers with their styles nearer to the mean by ``psi``; and with ``columns`` the table
        of each row's sample with the styles at ``level`` of each column's."""
        opened, spec = self._opened(run), self._opened(run).spec
        numbers = [*rows, *columns]
        if not all(isinstance(i, int) and 0 <= i < 10**9 for i in numbers):
            raise BadInput("the numbers of samples are whole and from 0 on")
        if not rows or (len(rows) + 1) * (len(columns) + 1) > TABLE:
            raise BadInput(f"a table has 1 to {TABLE} pictures; choose other samples")
        condition = opened.conditions(label)
        sizes = steering.styled(opened.model, "mixing styles").style_sizes
        levels = [each for each in get_args(steering.Level) if steering.layers_of(each, sizes)]
        if not columns:
            made = steering.truncate(opened.model, rows, [psi], condition, seed=seed)[:, 0]
            return {"levels": levels, "rows": [shown(Batch(each[None]), spec) for each in made]}
        mixed = steering.mix(opened.model, rows, columns, level, condition, psi=psi, seed=seed)
        parts = (mixed.rows, mixed.columns, mixed.table.flatten(0, 1))
        of_rows, of_columns, table = ([shown(Batch(each[None]), spec) for each in part] for part in parts)
        return {"levels": levels, "rows": of_rows, "columns": of_columns, "table": table}

    def example(self, run: str, row: int = 0) -> dict[str, Any]:
        """A held-out example of a run's data."""
        opened = self._opened(run)
        batch = opened.one(str(row), None)
        return {"shown": shown(Batch(batch.x), opened.spec)}

    def axes(self, run: str) -> dict[str, Any]:
        """Which latent dimensions to begin with, and how far each goes: those that vary most over held-out examples."""
        opened = self._opened(run)
        size = latent_size(opened.model)
        low, high = torch.full((size,), -RANGE), torch.full((size,), RANGE)
        if "encodes" in abilities(opened.model):
            with suppress(BadInput, ValueError):
                low, high = tasks.latent_span(opened.model, opened.splits.test, examples=500)
                low, high = low - WIDER * (high - low), high + WIDER * (high - low)
                low, high = low.clamp(max=0), high.clamp(min=0)  # the origin is among them
        order = (high - low).argsort(descending=True)[:FEW].tolist()
        return {"dims": order, "low": low[order].tolist(), "high": high[order].tolist(), "size": size}

    # --- inside -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _points(model: Decodes, z: Sequence[Sequence[float]]) -> Tensor:
        if not 0 < len(z) <= POINTS:
            raise BadInput(f"1 to {POINTS} points are decoded at a time")
        points = torch.tensor(z, dtype=torch.get_default_dtype()).reshape(len(z), *model.latent_shape)
        if not points.isfinite().all():
            raise BadInput("‹z› holds something that is no finite number")
        return points

    @staticmethod
    def _decode(model: Model, points: Tensor, condition: Tensor | None) -> Tensor:
        """What is decoded from ``points`` under the first row of a condition, of classes the first where none is."""
        if condition is None and model.condition.classes:
            condition = torch.zeros(len(points), dtype=torch.int64)
        return tasks.decode(model, points, condition if condition is None else condition[:1].expand(len(points)))

    def _decoded(self, run: str, z: Sequence[Sequence[float]], label: str | None) -> Tensor:
        opened = self._opened(run)
        if not latent_size(opened.model):
            raise BadInput("this model has no latent space to move in")
        assert isinstance(opened.model, Decodes)
        return self._decode(opened.model, self._points(opened.model, z), opened.conditions(label))

    def _codes(self, run: str, n: int) -> Codes:
        """The codes of a map, as they were found before unless the run has other weights by now."""
        opened = self._opened(run)
        model = opened.model
        if not latent_size(model):
            raise BadInput("this model has no latent space to move in")
        if opened not in self._maps:
            number = min(n, CODES)
            if "encodes" in abilities(model) and not tasks.lacks_encoder(model):
                batch, known = opened.examples("test", number, None)
                found = Codes(tasks.encode(model, batch), batch.x, known)
            else:
                z = steering.latents(model, list(range(number)), "z")
                found = Codes(z, self._decode(model, z, None), {"sample": list(range(number))})
            self._maps = {opened: found}
        return self._maps[opened]


def latent_size(model: Model | None) -> int:
    """How many numbers a point of the latent space has that a page can move; 0 where there are none."""
    if not isinstance(model, Decodes) or getattr(model, "discrete", False):
        return 0
    size = 1
    for side in model.latent_shape:
        size *= side
    return size
