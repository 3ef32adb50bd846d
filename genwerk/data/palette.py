"""Palettes: images of many colours brought to few, so that a pixel is one symbol, and what that costs.

The colours of a palette are always colours of the images: those kept when near ones count as one, or the most frequent
of each cluster. The mean of a cluster would be nearer on average (by 0.3 to 1.8 dB on pixel art: benchmarks/palette.py)
but would grey an outline and tint a background that are flat in the images; it moves with the last bit of a sum, and
the same data must give the same palette on every machine; and rounding can make two of them equal.

Clusters are formed in CIE Lab, where distance is difference to the eye. What stands for a colour afterwards is the
nearest of the palette in RGB, the same for training data, held-out data and a picture handed in years later, and the
measure that PSNR is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, log2, log10, prod
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.data import cache
from genwerk.data.dataset import Dataset, Rows, Splits
from genwerk.data.settings import DataConfig

Bytes = NDArray[np.uint8]
Palette = tuple[tuple[int, int, int], ...]

CHUNK = 2**20
"""Pixels, or distances, handled at a time."""
MANY = 2**13
"""Colours beyond which near ones are merged, for speed, before they are clustered."""


@dataclass(frozen=True)
class Histogram:
    """Distinct colours and how many pixels have each, the most frequent first."""

    colours: Bytes
    """Red, green and blue with shape (k, 3)."""
    counts: NDArray[np.int64]
    """Pixels of each colour, with shape (k,)."""

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def entropy(self) -> float:
        """Bits a pixel that an ideal code of single pixels takes."""
        p = self.counts[self.counts > 0] / self.counts.sum()
        return float(-(p * np.log2(p)).sum())


@dataclass(frozen=True)
class Report:
    """What a palette costs the pixels it was applied to."""

    colours: int
    """Size of the palette."""
    psnr: float
    """Peak signal-to-noise ratio in dB over all channels; infinite where nothing changed."""
    changed: float
    """Share of pixels whose colour is another now."""
    index_bits: float
    """Bits of an index without a code, log2 of the size (a pixel of three bytes takes 24)."""
    entropy: float
    """Empirical entropy of the indices in bits a pixel."""
    lost: float
    """Bits a pixel by which that is less than the entropy of the exact colours."""


# --- colours --------------------------------------------------------------------------------------------------------


def histogram(images: Bytes | Tensor) -> Histogram:
    """The exact colours of ``images`` with shape (n, 3, h, w), which are read in chunks."""
    codes: NDArray[np.int32] = np.empty(0, np.int32)
    counts: NDArray[Any] = np.empty(0, np.int64)
    for rows in _chunks(images):
        new, more = np.unique(_codes(np.asarray(images[rows]).transpose(0, 2, 3, 1)), return_counts=True)
        codes, place = np.unique(np.concatenate([codes, new]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, more]))
    return _ranked(_colours(codes), counts.astype(np.int64))


def merge(found: Histogram, tolerance: int) -> Histogram:
    """The colours left when each within ``tolerance`` a channel of a more frequent one that is kept counts as it.

    It counts as the most frequent such one, so a chain of near colours is not merged into one.
    """
    owner = np.zeros((256, 256, 256), np.int32)  # one more than the place of the kept colour that a colour counts as
    kept = []
    for place, (r, g, b) in enumerate(found.colours.tolist()):
        if not owner[r, g, b]:
            kept.append(place)
            near = owner[tuple(slice(max(v - tolerance, 0), v + tolerance + 1) for v in (r, g, b))]
            near[near == 0] = len(kept)
    owners = owner.reshape(-1)[_codes(found.colours)] - 1
    return _ranked(found.colours[kept], np.bincount(owners, found.counts).astype(np.int64))


def cluster(found: Histogram, n: int, seed: int) -> Histogram:
    """At most ``n`` of the colours: the most frequent of each cluster of k-means in CIE Lab, weighted by pixels."""
    from sklearn.cluster import KMeans

    few, tolerance = found, 0
    while len(few) > max(MANY, n):
        few, tolerance = merge(few, tolerance + 1), tolerance + 1
    if len(few) > n:
        means = KMeans(n, n_init=4, random_state=seed)
        member = means.fit(lab(few.colours), sample_weight=few.counts.astype(np.float64)).labels_
        first = np.unique(member, return_index=True)[1]  # of each cluster: the most frequent
        return recount(found, few.colours[first])
    return recount(found, few.colours)


def recount(found: Histogram, palette: Bytes) -> Histogram:
    """The colours of ``palette`` with the pixels for which each is the nearest."""
    counts = np.bincount(nearest(found.colours, palette), found.counts, len(palette))
    return _ranked(palette, counts.astype(np.int64))


def lab(colours: Bytes) -> NDArray[np.float64]:
    """sRGB colours with shape (..., 3) in CIE 1976 L*a*b* under D65: L in [0, 100], a and b about [-110, 100].

    IEC 61966-2-1 from bytes to XYZ, CIE 15 from there; white is what (255, 255, 255) gives, so greys have a = b = 0.
    """
    v = colours / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ matrix.T / matrix.sum(1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def nearest(colours: Bytes, palette: Bytes) -> NDArray[np.intp]:
    """Index in ``palette`` (p, 3) of the nearest colour in RGB to each of ``colours`` (k, 3); the first of equals."""
    table = palette.astype(np.float32)  # products and sums of bytes are whole numbers below 2^24: exact
    parts = [
        (np.square(table).sum(1) - 2 * (part.astype(np.float32) @ table.T)).argmin(1)
        for part in np.split(colours, range(0, len(colours), max(CHUNK // len(palette), 1))[1:])
    ]
    return np.concatenate(parts)


def report(found: Histogram, palette: Bytes) -> Report:
    """What is lost when pixels of the colours ``found`` take the nearest of ``palette``."""
    index, pixels = nearest(found.colours, palette), found.counts.sum()
    gap = np.square(found.colours.astype(np.int64) - palette[index]).sum(1)
    error = float(gap @ found.counts / (3 * pixels))
    used = Histogram(palette, np.bincount(index, found.counts, len(palette)).astype(np.int64))
    return Report(
        colours=len(palette),
        psnr=10 * log10(255**2 / error) if error else inf,
        changed=float(found.counts[gap > 0].sum() / pixels),
        index_bits=log2(len(palette)),
        entropy=used.entropy,
        lost=found.entropy - used.entropy,
    )


def outside(found: Histogram, palette: Bytes) -> int:
    """Number of pixels whose colour ``palette`` lacks."""
    return int(found.counts[~np.isin(_codes(found.colours), _codes(palette))].sum())


def paint(images: Bytes, palette: Bytes, out: Bytes | None = None) -> Bytes:
    """``images`` with shape (n, 3, h, w), every pixel replaced by the nearest colour of ``palette`` (in ``out``)."""
    out = np.empty_like(images) if out is None else out
    known = np.zeros(2**24, np.int32)  # one more than the index of each colour met so far
    for rows in _chunks(images):
        codes = _codes(images[rows].transpose(0, 2, 3, 1))
        new = np.unique(codes[known[codes] == 0])
        if len(new):
            known[new] = nearest(_colours(new), palette) + 1
        out[rows] = palette[known[codes] - 1].transpose(0, 3, 1, 2)
    return out


def _chunks(images: Bytes | Tensor) -> Iterator[slice]:
    step = max(CHUNK // max(prod(images.shape[2:]), 1), 1)
    return (slice(i, i + step) for i in range(0, len(images), step))


def _codes(colours: Bytes) -> NDArray[np.int32]:
    """Colours with shape (..., 3) as numbers of 24 bits."""
    r, g, b = np.moveaxis(colours, -1, 0).astype(np.int32)
    codes: NDArray[np.int32] = (r << 16) | (g << 8) | b
    return codes


def _colours(codes: NDArray[Any]) -> Bytes:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


def _ranked(colours: Bytes, counts: NDArray[np.int64]) -> Histogram:
    order = np.argsort(-counts, kind="stable")
    return Histogram(colours[order], counts[order])


# --- data -----------------------------------------------------------------------------------------------------------


def choose(found: Histogram, settings: DataConfig) -> tuple[Bytes, str]:
    """At most ``settings.palette`` colours for pixels of the colours ``found``, and a sentence on how."""
    assert settings.palette is not None
    kept = merge(found, settings.tolerance) if settings.tolerance else found
    said = f"The training images have {len(found):,} colours"
    if settings.tolerance:
        said += f", {len(kept):,} when those within {settings.tolerance} a channel count as one"
    if len(kept) <= settings.palette:
        few, how = kept, "the palette holds them all"
    else:
        few = cluster(kept, settings.palette, settings.seed)
        how = f"they are clustered in CIE Lab to {len(few):,}"
    if settings.tolerance:
        few = recount(found, few.colours)
    return few.colours, f"{said}; {how}."


def apply(splits: Splits) -> Splits:
    """``splits`` in the palette that their settings ask for, chosen on the training part."""
    if not splits.spec.modality.has_pixels or splits.spec.shape[0] != 3:
        raise BadInput(
            f"‹data.palette› chooses among the colours of RGB images, and these data are {splits.spec}; leave it out"
            + (", or read the images in colour by ‹data.colour› rgb" if splits.spec.modality.has_pixels else "")
        )
    found = histogram(splits.train.x)
    palette, how = choose(found, splits.settings)
    cost = report(found, palette)
    bits = f"An index of {cost.index_bits:.2f} bits replaces 24 bits a pixel; its entropy is {cost.entropy:.2f} bits"
    if cost.changed:
        bits += f", {cost.lost:.2f} less than before: {cost.changed:.1%} of pixels changed, PSNR {cost.psnr:.1f} dB"
    return bring(replace(splits, notes=(*splits.notes, how, bits + ".")), as_tuples(palette))


def bring(splits: Splits, palette: Palette) -> Splits:
    """``splits`` of RGB images in ``palette``; a note says what that changes in the test part, if anything."""
    brought = splits.each(lambda part: painted(part, palette))
    if splits.test is splits.train:
        return brought
    cost = report(histogram(splits.test.x), as_array(palette))
    if not cost.changed:
        return brought
    note = f"Of the held-out pixels {cost.changed:.2%} take the nearest colour (PSNR {cost.psnr:.1f} dB)."
    return replace(brought, notes=(*splits.notes, note))


def painted(data: Dataset, palette: Palette) -> Dataset:
    """``data`` in the colours of ``palette`` alone, which its spec then names; large data stay in a mapped file."""
    if isinstance(data.x, Rows):  # of the parts of one mapped file a mapped copy is painted whole, once
        whole = painted(Dataset(x=data.x.of, spec=data.spec), palette)
        return replace(data, x=cast(Tensor, Rows(whole.x, data.x.rows)), spec=whole.spec)
    x, table, key = data.x.numpy(), as_array(palette), None

    def fill(out: Bytes) -> dict[str, Any]:
        paint(x, table, out)
        return {}

    if x.nbytes > cache.LARGE:
        key = cache.key("palette 1", data.fingerprint(), palette)
    stored = (key and cache.load(key)) or cache.build(key, x.shape, np.uint8, fill)
    return replace(data, x=torch.from_numpy(stored[0]), spec=replace(data.spec, palette=palette))


def as_tuples(palette: Bytes) -> Palette:
    return tuple((int(r), int(g), int(b)) for r, g, b in palette)


def as_array(palette: Palette) -> Bytes:
    return np.array(palette, np.uint8).reshape(-1, 3)
