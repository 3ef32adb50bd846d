"""Vector quantisation: every vector becomes the nearest entry of a codebook, which follows the vectors.

A. van den Oord, O. Vinyals, K. Kavukcuoglu: Neural Discrete Representation Learning, 2017, arXiv:1711.00937: equation 1
(nearest entry), section 3.2 (straight-through gradient; codebook loss) and appendix A.1 (codebook by moving averages).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Learned = Literal["average", "gradient"]

LEAST = 1e-12
"""Share of the vectors below which an entry's moving average is not divided by it."""


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """The entry of ``codebook`` (k, d) with the least Euclidean distance from each row of ``z`` (n, d), shape (n,).

    In the codebook's precision, also under autocast: a product of few bits cannot distinguish near entries.
    """
    with torch.autocast(z.device.type, enabled=False):
        return torch.addmm(codebook.square().sum(1), z.to(codebook), codebook.mT, alpha=-2).argmin(1)


def straight_through(z: Tensor, q: Tensor) -> Tensor:
    """``q`` with the gradient of ``z``: the straight-through estimator (section 3.2)."""
    return z + (q - z).detach()


def gathered(index: Tensor, z: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Share of the rows of ``z`` (n, d) with each ``index`` below ``k``, (k,), and their sum divided by n, (k, d).

    A matrix product, unlike a scatter, adds in the same order every time on every device.
    """
    member = (index[:, None] == torch.arange(k, device=index.device)).to(z.dtype)
    with torch.autocast(z.device.type, enabled=False):
        return member.mean(0), member.mT @ z / len(z)


def perplexity(share: Tensor) -> Tensor:
    """exp of the entropy of ``share`` (k,), which need not sum to 1: how many entries, used evenly, are as varied."""
    p = share / share.sum().clamp_min(LEAST)
    return torch.exp(-torch.xlogy(p, p).sum())


class Quantiser(nn.Module):
    """A codebook of ``entries`` vectors of ``dims`` numbers, for maps of vectors with shape (n, dims, h, w).

    ``learned`` "average": an entry is the moving average of the vectors that it was nearest to, with ``decay`` a round.
    "gradient": it is a parameter, to be drawn to them by a loss. An entry whose moving share of the vectors is below
    ``revive`` / entries is dead and starts again from a vector drawn at random. Nothing has been used at the start, so
    the codebook begins at the encoder's first outputs; ``revive`` 0 leaves entries where they are.
    """

    codebook: Tensor
    usage: Tensor
    sums: Tensor

    def __init__(self, entries: int, dims: int, learned: Learned, decay: float, revive: float) -> None:
        super().__init__()
        self.learned, self.decay, self.revive = learned, decay, revive
        codebook = torch.randn(entries, dims) / dims**0.5
        if learned == "gradient":
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
            self.register_buffer("sums", torch.zeros(entries, dims))
        self.register_buffer("usage", torch.zeros(entries))

    def index(self, z: Tensor) -> Tensor:
        """The nearest entry to each vector of ``z``, int64 with shape (n, h, w)."""
        found: Tensor = nearest(rows(z), self.codebook).unflatten(0, (len(z), *z.shape[2:]))
        return found

    def forward(self, index: Tensor) -> Tensor:
        """The entries of ``index`` (n, h, w), with shape (n, dims, h, w)."""
        return self.codebook[index].movedim(-1, 1)

    def statistics(self, z: Tensor, index: Tensor, lot: Tensor | None = None) -> dict[str, Tensor]:
        """What :meth:`update` needs of the vectors ``z``: means over them, which add up over parts of a batch.

        ``lot``, int64 with the shape of ``index``, deals the vectors out at random: a dead entry i is to begin at the
        mean of lot i. With as many lots as vectors that is the mean of one or two, and no entry's where it is empty.
        """
        v, k = rows(z.detach()).to(self.codebook), len(self.codebook)
        share, total = gathered(index.flatten(), v, k)
        found = {"share": share, "sum": total}
        if lot is not None:
            found["lot share"], found["lot sum"] = gathered(lot.flatten(), v, k)
        return found

    @torch.no_grad()
    def update(self, found: Mapping[str, Tensor]) -> None:
        """Follow the vectors of a round, of which ``found`` are the :meth:`statistics`; then revive dead entries."""
        self.usage.lerp_(found["share"], 1 - self.decay)
        if self.learned == "average":
            self.sums.lerp_(found["sum"], 1 - self.decay)  # N and m of appendix A.1, both divided by the vectors
            n = self.usage[:, None]
            self.codebook.copy_(torch.where(n > LEAST, self.sums / n.clamp_min(LEAST), self.codebook))
        if "lot share" in found:
            alive, lots = self.revive / len(self.usage), found["lot share"]
            dead = (self.usage < alive) & (lots > 0)
            fresh = found["lot sum"] / lots.clamp_min(LEAST)[:, None]
            self.codebook.copy_(torch.where(dead[:, None], fresh, self.codebook))
            self.usage.masked_fill_(dead, 2 * alive)  # dead again after a half-life in which nothing is near
            if self.learned == "average":
                self.sums.copy_(torch.where(dead[:, None], 2 * alive * fresh, self.sums))


def rows(z: Tensor) -> Tensor:
    """A map of vectors (n, d, h, w) as a list of them, with shape (n h w, d)."""
    return z.movedim(1, -1).flatten(0, -2)
