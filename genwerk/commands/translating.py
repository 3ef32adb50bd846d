"""The command that makes images from others."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from genwerk.commands.command import USE, AtLeast, Command, Positional
from genwerk.commands.options import Greatest, Run
from genwerk.commands.results import Examples, Note, Picture, Pictures
from genwerk.core.errors import BadInput, Caution
from genwerk.core.layout import SQUARE
from genwerk.core.marks import File
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from torch import Tensor

    from genwerk.data.film import Film
    from genwerk.runs.opened import OpenRun
    from genwerk.tasks import Smoothing

MARKED = (
    "Who or what somebody is may be another in these images: each file says that it was made by Genwerk, by which run "
    "and, where it was made of a file of yours, of which (its sha256)."
)
"""What is said where files carry a note on where they come from."""


@dataclass(frozen=True, kw_only=True)
class Translate(Command):
    """Make images from others, of any size: larger ones, without noise, in colour, with holes filled, as was learned.

    Name image files, folders or archives; what is made of each goes into a file of its own, of an animation (GIF, WebP
    or PNG) into one, frame by frame. Without any, held-out examples are shown: their sources above, and what is made of
    these below. A large image is cut into tiles that overlap, so that the network takes no more memory for it and there
    is no seam. What is transparent in a source is in what is made of it.
    """

    group = USE
    needs = frozenset({"translates"})
    output = "translations"
    animations = True

    folder: Run
    images: Annotated[tuple[str, ...], Positional(), File()] = ()
    """Image files, folders of them, or archives (.zip)."""
    to: tuple[str, ...] = ()
    """Models of several domains: the class, or values of attributes joined by commas ("blue hair, red eyes"), that
    images are to have; several make a file each."""
    mask: Annotated[str | None, File()] = None
    """For models that fill holes: an image of the same size that is light where pixels stay and dark where they are
    filled in."""
    tile: Annotated[int | None, AtLeast(16)] = None
    """Side of a tile in pixels of the source; less takes less memory and more time. By default 256, or as wide
    as what surrounds a tile where that is more, as with a deep U-Net."""
    bits: Literal[8, 16] = 8
    """Of a pixel's value in the files that are written; 16 are for PNG."""
    smooth: float = 0.0
    """Share of what was shown before in each frame of an animation, or each image of a folder of frames: calms what
    flickers, and drags what moves."""
    n: Greatest = 16
    seed: int = 0
    """Seed of what is random in a translation: the same for every image and frame."""

    @property
    def loose(self) -> bool:
        return bool(self.images)

    def run(self, session: Session) -> Iterator[Examples | Pictures | Note]:
        from genwerk import tasks

        opened = session.open(self.folder)
        tasks.require(opened.model, "translation", "translates")
        for doubt in opened.model.condition.doubts(self.to):
            warnings.warn(doubt, stacklevel=2)
        if self.images:
            if self.n != type(self).n:
                ignored = Caution("‹n› is for held-out examples, and every image that is named is translated")
                warnings.warn(ignored, stacklevel=2)
            ways = tasks.destinations(opened.model, self.to)
            yield Pictures(self._made(opened, ways), {**opened.origin, "seed": self.seed})
        elif self.mask is not None:
            raise BadInput("a mask is for images of yours; name them, or leave out ‹mask›")
        else:
            for name in ("tile", "bits", "smooth"):
                if getattr(self, name) != getattr(type(self), name):
                    raise BadInput(f"‹{name}› is for images of yours; name them, or leave it out")
            yield self._held_out(opened)
        if tasks.provenance(opened.model):
            yield Note(MARKED)

    def _made(self, opened: OpenRun, ways: Mapping[str, Tensor | None]) -> Iterator[Picture]:
        from genwerk import tasks
        from genwerk.core.abilities import Translates

        model = opened.model
        assert isinstance(model, Translates)
        mask = None if self.mask is None else self._mask(opened, self.mask)
        self._check(opened, mask)
        between = {to: tasks.Smoothing(self.smooth) for to in ways}
        for film in opened.films(*self.images):
            if film.lost:
                warnings.warn(f"{film.name}: {film.lost}", stacklevel=2)
            for to, condition in ways.items():
                opened.say(f"translating {film.name}" + (f" to {to}" if to else ""))
                stem = Path(film.name).stem + (f"-{slug(to)}" if len(ways) > 1 else "")
                smoothing = tasks.Smoothing(self.smooth) if film.moving else between[to]
                made = self._frames(opened, film, condition, mask, smoothing)
                size = model.scale * film.size[0], model.scale * film.size[1]
                origin = about(opened, film, to)
                yield Picture(film.name, stem, made, size, self.bits, film.moving, film.loop, origin)

    @staticmethod
    def _check(opened: OpenRun, mask: Tensor | None) -> None:
        """Refuse a mask that the model does not take, or the lack of one, before anything is said to be translated."""
        import torch

        from genwerk.core.abilities import Translates

        assert isinstance(opened.model, Translates)
        channels, height, width = opened.spec.shape
        known = None if mask is None else torch.ones(1, 1, height, width, dtype=torch.bool)
        if known is not None:
            known[..., 0] = False
        opened.model.taken(torch.zeros(1, max([channels, *opened.spec.source[:1]]), height, width), known)

    @staticmethod
    def _mask(opened: OpenRun, name: str) -> Tensor:
        """The one image that ``name`` is."""
        pixels, *more = (found for _, found in opened.pictures(name))
        if more:
            raise BadInput(f"the mask {name} holds {1 + len(more):,} images; name one")
        return pixels

    def _frames(
        self, opened: OpenRun, film: Film, condition: Tensor | None, mask: Tensor | None, smoothing: Smoothing
    ) -> Iterator[tuple[Tensor, int]]:
        """What is made of each frame, and for how long it stands."""
        from genwerk import tasks
        from genwerk.core.abilities import Translates
        from genwerk.core.degradation import luma
        from genwerk.modalities.pictures import with_alpha

        model = opened.model
        assert isinstance(model, Translates)
        known = None if mask is None else luma(mask.unsqueeze(0)) > 0.5
        for frame in film.frames():
            if known is not None and known.shape[2:] != frame.pixels.shape[1:]:
                size, own = ("x".join(map(str, reversed(x.shape[-2:]))) for x in (known, frame.pixels))
                raise BadInput(f"the mask {self.mask} is of {size} pixels and {film.name} of {own}; they must match")
            source = model.taken(frame.pixels.unsqueeze(0), known)[0]
            made = tasks.translate(model, source, self.tile, condition=condition, bits=self.bits, seed=self.seed)
            yield with_alpha(smoothing(made), frame.alpha), frame.duration

    def _held_out(self, opened: OpenRun) -> Examples:
        import torch

        from genwerk import tasks
        from genwerk.core.abilities import Translates

        batch, known = opened.examples("test", self.n, None)
        assert isinstance(opened.model, Translates)
        condition = None
        if self.to:
            ways = [way for way in tasks.destinations(opened.model, self.to).values() if way is not None]
            condition = torch.cat(ways)[torch.arange(len(batch)) % len(ways)].to(opened.model.device)
        batch = opened.model.translated(batch, condition, seed=self.seed)
        note = tasks.provenance(opened.model)
        return Examples.of(opened, batch, SQUARE, known, seed=self.seed, **note)


def about(opened: OpenRun, film: Film, to: str) -> dict[str, str]:
    """How a translation came about: to what, and, where it may show somebody as another, of which file."""
    from genwerk import tasks

    note = tasks.provenance(opened.model, to)
    return ({"to": to} if to else {}) | ({**note, "source_sha256": film.sha256} if note else {})


def slug(name: str) -> str:
    """``name`` as a part of a file's name."""
    return re.sub(r"\W+", "-", name).strip("-")
