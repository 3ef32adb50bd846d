"""The command that makes images from others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from genwerk.commands.command import USE, AtLeast, Command, Positional
from genwerk.commands.options import Greatest, Run
from genwerk.commands.results import Examples, Pictures
from genwerk.core.errors import BadInput
from genwerk.core.layout import SQUARE
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from torch import Tensor

    from genwerk.runs.opened import OpenRun


@dataclass(frozen=True, kw_only=True)
class Translate(Command):
    """Make images from others, of any size: larger ones, without noise, in colour, with holes filled, as was learned.

    Name image files, folders or archives; what is made of each goes into a file of its own. Without any, held-out
    examples are shown: their sources above, and what is made of these below. A large image is cut into tiles that
    overlap, so that memory does not depend on its size and there is no seam.
    """

    group = USE
    needs = frozenset({"translates"})
    output = "translations"

    folder: Run
    images: Annotated[tuple[str, ...], Positional()] = ()
    """Image files, folders of them, or archives (.zip)."""
    mask: str | None = None
    """For models that fill holes: an image of the same size that is light where pixels stay and dark where they are
    filled in."""
    tile: Annotated[int, AtLeast(16)] = 256
    """Side of a tile in pixels of the source; less takes less memory and more time."""
    n: Greatest = 16
    seed: int = 0
    """Seed of what is random in a translation."""

    def run(self, session: Session) -> Iterator[Examples | Pictures]:
        from genwerk.tasks import require

        opened = session.open(self.folder)
        require(opened.model, "translation", "translates")
        if self.images:
            yield Pictures(self._made(opened), {**opened.origin, "seed": self.seed})
            return
        if self.mask is not None:
            raise BadInput("a mask is for images of yours; name them, or leave out ‹mask›")
        yield self._held_out(opened)

    def _made(self, opened: OpenRun) -> Iterator[tuple[str, Tensor]]:
        from genwerk import tasks
        from genwerk.core.abilities import Translates
        from genwerk.core.degradation import luma

        model = opened.model
        assert isinstance(model, Translates)
        mask = None if self.mask is None else next(opened.pictures(self.mask))[1]
        for name, image in opened.pictures(*self.images):
            known = None
            if mask is not None:
                known = luma(mask.unsqueeze(0)) > 0.5
                if known.shape[2:] != image.shape[1:]:
                    size, own = ("x".join(map(str, reversed(x.shape[-2:]))) for x in (known, image))
                    raise BadInput(f"the mask {self.mask} is of {size} pixels and {name} of {own}; they must match")
            opened.say(f"translating {name}")
            yield name, tasks.translate(model, model.taken(image.unsqueeze(0), known)[0], self.tile, seed=self.seed)

    def _held_out(self, opened: OpenRun) -> Examples:
        from genwerk.core.abilities import Translates

        batch, known = opened.examples("test", self.n, None)
        assert isinstance(opened.model, Translates)
        batch = opened.model.translated(batch, seed=self.seed)
        return Examples.of(opened, batch, SQUARE, known, seed=self.seed)
