"""Mixing and truncating styles.

Karras, Laine & Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, 2019, arXiv:1812.04948,
section 3.1 (mixing) and appendix B (truncation in w).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.tasks import in_batches
from genwerk.tasks.steering.latents import latents, steady, styled

Level = Literal["coarse", "middle", "fine"]
COARSE, MIDDLE = 8, 32
"""Largest side in pixels on which coarse and middle styles act; fine ones act on all that is larger."""


@dataclass(frozen=True)
class Mixing:
    """A table of mixed styles with the samples that these came from."""

    rows: Tensor
    """The samples that keep their other styles, with shape (r, *spec.shape)."""
    columns: Tensor
    """The samples that give styles, with shape (c, *spec.shape)."""
    table: Tensor
    """Row i with the given styles of column j, with shape (r, c, *spec.shape)."""

    def sheet(self) -> Tensor:
        """All with the sources along the edges and a white corner, with shape (r + 1, c + 1, *spec.shape)."""
        corner = torch.ones_like(self.columns[:1])
        top = torch.cat([corner, self.columns]).unsqueeze(0)
        return torch.cat([top, torch.cat([self.rows.unsqueeze(1), self.table], 1)])


def layers_of(level: Level, sizes: Sequence[int]) -> list[int]:
    """The layers whose styles are coarse, middle or fine, where style i acts on an image of side ``sizes[i]``.

    Coarse styles act up to 8 pixels, middle ones up to 32 and fine ones on all that is larger (section 3.1). Where
    nothing is larger than 32 pixels there would be no fine styles, so the layers are divided in thirds instead.
    """
    names, n = get_args(Level), len(sizes)
    if max(sizes) > MIDDLE:
        levels = [names[(size > COARSE) + (size > MIDDLE)] for size in sizes]
    else:
        levels = [names[(i >= round(n / 3)) + (i >= round(2 * n / 3))] for i in range(n)]
    return [i for i, found in enumerate(levels) if found == level]


def mix(
    model: Model,
    rows: Sequence[int],
    columns: Sequence[int],
    layers: Level | Sequence[int] = "coarse",
    condition: Tensor | None = None,
    *,
    psi: float = 1.0,
    seed: int = 0,
) -> Mixing:
    """The samples of ``seed`` numbered ``rows``, each given the styles at ``layers`` of each of those ``columns``.

    All styles are first brought nearer to their mean, as :func:`truncate` does by ``psi``.
    """
    steered = styled(model, "mixing styles")
    sizes = steered.style_sizes
    chosen = layers_of(layers, sizes) if isinstance(layers, str) else list(layers)
    if not chosen:
        raise ValueError(f"this model has {len(sizes)} styles, none of them {layers}; name layers by number instead")
    if any(not 0 <= i < len(sizes) for i in chosen):
        raise ValueError(f"this model has layers 0 to {len(sizes) - 1}; asked for {', '.join(map(str, chosen))}")
    kept, given = (latents(model, numbers, "w", condition, seed=seed) for numbers in (rows, columns))
    if psi != 1:
        mean = steered.mean_style()
        kept, given = (mean + psi * (w - mean) for w in (kept, given))
    mixed = kept.unsqueeze(1).repeat(1, len(given), 1, 1)
    mixed[:, :, chosen] = given[:, chosen]
    with steady(model):
        of_rows, of_columns, table = (in_batches(steered.synthesise, w) for w in (kept, given, mixed.flatten(0, 1)))
    return Mixing(of_rows, of_columns, table.unflatten(0, (len(kept), len(given))))


def truncate(
    model: Model, numbers: Sequence[int], psis: Sequence[float], condition: Tensor | None = None, *, seed: int = 0
) -> Tensor:
    """The samples of ``seed`` with these ``numbers``, their styles nearer to the mean: w' = mean + psi (w - mean).

    The shape is (n, len(psis), *spec.shape); psi 0 is the picture of the mean style, 1 the sample as it is, beyond 1
    it is exaggerated.
    """
    steered = styled(model, "truncation")
    if not psis:
        raise BadInput("name one psi or more, as in ‹psi› 0 0.5 1")
    mean = steered.mean_style()
    w = latents(model, numbers, "w", condition, seed=seed)
    moved = torch.stack([mean + psi * (w - mean) for psi in psis], 1)
    with steady(model):
        made = in_batches(steered.synthesise, moved.flatten(0, 1))
    return made.reshape(*moved.shape[:2], *made.shape[1:])
