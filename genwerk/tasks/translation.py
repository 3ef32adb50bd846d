"""Images from images of any size: a large one is cut into tiles, so that memory does not depend on its size."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genwerk.core.abilities import Translates
from genwerk.core.errors import BadInput
from genwerk.core.model import Model, evaluating
from genwerk.core.noise import Seed
from genwerk.tasks.conditioning import require

TILE = 256
"""Side of a tile in pixels of the source, without what surrounds it."""

Place = tuple[slice, slice]
"""Rows and columns of an image."""


def tiles(
    model: Model, source: Tensor, tile: int = TILE, *, condition: Tensor | None = None, seed: Seed | None = None
) -> Iterator[tuple[Place, Tensor]]:
    """What is made of ``source``, with shape (c', h, w), part by part: where each belongs, and its pixels in [0, 1].

    ``condition`` has one row: what a model of domains is to make of it.

    Each part is made of a tile of the source and of as much around it as it depends on (:attr:`Translates.margin`), so
    that it equals that part of what would be made of the whole, but for rounding, and there is no seam. What depends on
    all of the source is one part.
    """
    require(model, "translation", "translates")
    assert isinstance(model, Translates)
    if tile < 1:
        raise BadInput(f"the tile is {tile} pixels; expected 1 or more")
    if model.margin is None:
        with evaluating(model):
            made = model.translate(source.unsqueeze(0).to(model.device), condition, seed=seed)[0].cpu()
        yield (slice(0, made.shape[1]), slice(0, made.shape[2])), made
        return
    step = -(-tile // model.stride) * model.stride
    around = -(-model.margin // model.stride) * model.stride
    height, width = source.shape[1:]
    with evaluating(model):
        made_of = model.by_parts(source.unsqueeze(0), condition, seed=seed)
    for top in range(0, height, step):
        for left in range(0, width, step):
            rows, columns = _spread(top, step, around, height), _spread(left, step, around, width)
            part = source[:, rows, columns].unsqueeze(0).to(model.device)
            with evaluating(model):
                made = made_of(part)[0].cpu()
            inner = [
                slice(model.scale * (start - span.start), model.scale * (min(start + step, side) - span.start))
                for start, span, side in ((top, rows, height), (left, columns, width))
            ]
            place = tuple(
                slice(model.scale * start, model.scale * min(start + step, side))
                for start, side in ((top, height), (left, width))
            )
            yield (place[0], place[1]), made[:, inner[0], inner[1]]


def _spread(start: int, step: int, around: int, side: int) -> slice:
    """A tile with what is around it, as far as the image goes."""
    return slice(max(0, start - around), min(side, start + step + around))


def translate(
    model: Model, source: Tensor, tile: int = TILE, *, condition: Tensor | None = None, seed: Seed | None = None
) -> Tensor:
    """What is made of ``source``, an image with shape (c', h, w) as the model takes its sources: uint8 with shape
    (c, scale * h, scale * w), tile by tile (:func:`tiles`)."""
    require(model, "translation", "translates")
    assert isinstance(model, Translates)
    height, width = (model.scale * side for side in source.shape[1:])
    whole = torch.empty(model.spec.shape[0], height, width, dtype=torch.uint8)
    for (rows, columns), part in tiles(model, source, tile, condition=condition, seed=seed):
        whole[:, rows, columns] = part.mul(255).round().to(torch.uint8)
    return whole
