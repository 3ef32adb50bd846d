"""Images from images of any size: a large one is cut into tiles, so that the network takes no more memory for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from genwerk.core.abilities import Translates, TranslatesDomains
from genwerk.core.errors import BadInput, called
from genwerk.core.model import Model, evaluating
from genwerk.core.noise import Seed
from genwerk.tasks.conditioning import require
from genwerk.tasks.inputs import Conditions, condition_of

TILE = 256
"""Side of a tile in pixels of the source, without what surrounds it, where nobody says another; as wide as that where
that is more, since what surrounds a tile is computed with each."""

Bits = Literal[8, 16]
"""Of a pixel's value."""
DEPTHS = {8: torch.uint8, 16: torch.uint16}
Place = tuple[slice, slice]
"""Rows and columns of an image."""


def tiles(
    model: Model, source: Tensor, tile: int | None = None, *, condition: Tensor | None = None, seed: Seed | None = None
) -> Iterator[tuple[Place, Tensor]]:
    """What is made of ``source``, with shape (c', h, w), part by part: where each belongs, and its pixels in [0, 1].

    ``condition`` has one row: what a model of domains is to make of it.

    Each part is made of a tile of the source and of as much around it as it depends on (:attr:`Translates.margin`), so
    that it equals that part of what would be made of the whole, but for rounding, and there is no seam. What depends on
    all of the source is one part.
    """
    require(model, "translation", "translates")
    assert isinstance(model, Translates)
    if tile is not None and tile < 1:
        raise BadInput(f"the tile is {tile} pixels; expected 1 or more")
    condition = None if condition is None else condition.to(model.device)
    if model.margin is None:
        with evaluating(model):
            made = model.translate(source.unsqueeze(0).to(model.device), condition, seed=seed)[0].cpu()
        yield (slice(0, made.shape[1]), slice(0, made.shape[2])), made
        return
    step = -(-(max(TILE, model.margin) if tile is None else tile) // model.stride) * model.stride
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
    model: Model,
    source: Tensor,
    tile: int | None = None,
    *,
    condition: Tensor | None = None,
    bits: Bits | None = 8,
    seed: Seed | None = None,
) -> Tensor:
    """What is made of ``source``, an image with shape (c', h, w) as the model takes its sources, tile by tile
    (:func:`tiles`): with shape (c, scale * h, scale * w), uint8 or uint16 as ``bits`` say, or in [0, 1] for None."""
    require(model, "translation", "translates")
    assert isinstance(model, Translates)
    height, width = (model.scale * side for side in source.shape[1:])
    whole = torch.empty(model.spec.shape[0], height, width, dtype=torch.float32 if bits is None else DEPTHS[bits])
    for (rows, columns), part in tiles(model, source, tile, condition=condition, seed=seed):
        whole[:, rows, columns] = part if bits is None else part.mul(2**bits - 1).round().to(whole.dtype)
    return whole


def destinations(model: Model, to: Sequence[str] = ()) -> dict[str, Tensor | None]:
    """What sources are to become, as a person typed it, with the condition that it is for ``model``, of shape (1, ...).

    A model of two domains goes to the last of them where nothing is typed; one that learned from pairs knows one way,
    called "", and None is its condition.
    """
    require(model, "translation", "translates")
    if not isinstance(model, TranslatesDomains):
        if to:
            raise BadInput(f"this {called(model)} makes one thing of every source; leave out ‹to›")
        return {"": None}
    choices = model.condition.choices
    if not to and len(choices) != 2:
        raise BadInput(f"this {called(model)} makes several things of a source; name one as ‹to›: {', '.join(choices)}")
    return {typed: model.condition.read([typed]) for typed in to or choices[-1:]}


def destination(model: Model, to: Conditions, n: int) -> Tensor | None:
    """What each of ``n`` sources is to become: ``to``, in turn, or what :func:`destinations` says without it."""
    if to is not None and isinstance(model, TranslatesDomains):
        return condition_of(model, to, n)
    (one,) = destinations(model, () if to is None else [str(to)]).values()
    return None if one is None else one.expand(n, *one.shape[1:])


class Smoothing:
    """Exponential smoothing of images in a row, which calms what flickers and drags what moves: each is a ``share`` of
    what was shown before it and else itself. It begins anew where the size changes."""

    def __init__(self, share: float) -> None:
        if not 0 <= share < 1:
            raise BadInput(f"‹smooth› is {share:g}; expected a share from 0 up to, and less than, 1")
        self.share, self._shown = share, torch.empty(0)

    def __call__(self, image: Tensor) -> Tensor:
        """The next image, of whole numbers with shape (c, h, w), as it is shown."""
        if not self.share:
            return image
        new = image.float()
        self._shown = new if self._shown.shape != new.shape else self._shown.lerp(new, 1 - self.share)
        return self._shown.round().to(image.dtype)


def provenance(model: Model, to: str = "") -> dict[str, str]:
    """What the origin of a translation says to people who look at it, where who or what somebody is may be another."""
    require(model, "translation", "translates")
    assert isinstance(model, Translates)
    if not model.provenance:
        return {}
    changed = f"changed to {to}" if to else "changed"
    return {"note": f"Made by a {called(model)} of Genwerk, and no photo as it was taken: what it shows was {changed}."}
