"""Arrays as examples: what an array of numbers is taken for, and how it becomes images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec
from genwerk.data.chunks import TEST, Array, Labelled, chunks, convert
from genwerk.data.columns import table_found
from genwerk.data.dataset import Dataset
from genwerk.data.images import TWO_LEVELS, clear_notes, common_size
from genwerk.data.parts import Found, index_labels, numbered
from genwerk.data.picture import covered, fitted, laid_over
from genwerk.data.settings import DataConfig

DARK = 64
"""Value of 255 that at least one pixel of images is expected to reach."""


# --- What an array is -----------------------------------------------------------------------------------------------


def array_found(
    x: Array,
    test_x: Array | None,
    y: Array | None,
    test_y: Array | None,
    settings: DataConfig,
    *,
    name: str,
    key: str | None = None,
    notes: tuple[str, ...] = (),
) -> Found:
    """Images where there are three or four dimensions, else a table.

    ``key`` names the cached copy of an array without labels that is too large for memory.
    """
    parts = [x] if test_x is None else [x, test_x]
    for part, labels in zip(parts, (y, test_y), strict=False):
        if part.dtype.kind not in "biuf":
            raise BadInput(f"the array in {name} has the type {part.dtype}; expected numbers")
        if part.ndim < 1 or part.ndim > 4 or part.size == 0:
            raise BadInput(f"the array in {name} has shape {part.shape}; expected one example a row and at least one")
        if labels is not None and labels.shape not in (part.shape[:1], (len(part), 1)):
            raise BadInput(
                f"the labels in {name} have shape {labels.shape}; expected one for each of {len(part):,} examples"
            )
    if len({part.shape[1:] for part in parts}) > 1:
        raise BadInput(
            f"training and test examples in {name} have the shapes {x.shape[1:]} and {parts[1].shape[1:]}; expected one"
        )
    if x.ndim > 2:
        return images_found(x, test_x, y, test_y, settings, name=name, key=key, notes=notes)
    columns = numbered(x.shape[1] if x.ndim == 2 else 1)
    return table_found(x, test_x, _items(y), _items(test_y), columns, settings, name=name, key=key, notes=notes)


def _items(labels: Array | None) -> list[object] | None:
    return None if labels is None else list(labels.reshape(-1).tolist())


# --- Images ---------------------------------------------------------------------------------------------------------


def images_found(
    x: Array,
    test_x: Array | None,
    y: Array | None,
    test_y: Array | None,
    settings: DataConfig,
    *,
    name: str,
    key: str | None = None,
    levels: int | None = None,
    notes: tuple[str, ...] = (),
) -> Found:
    """Images from arrays with shape (n, h, w), (n, h, w, c) or (n, c, h, w), fitted as ``settings`` ask.

    Values are whole numbers from 0 to 255, floats in [0, 1] or [-1, 1] (rounded to 8 bits), or two alone, black and
    white, of any type; ``levels`` says how many values a pixel takes where that is known to be other than 256.
    """
    found = [Labelled.of(x, _items(y))]
    if test_x is not None:
        found.append(Labelled.of(test_x, _items(test_y), TEST))
    notes += tuple(note for part in found for note in part.notes)
    parts = [_channels_last(part.x, name) for part in found]
    scale, shift, found_levels, note = (1.0, 0.0, levels, None) if levels else _range(parts, name)
    levels = found_levels
    notes += () if note is None else (note,)
    channels = parts[0].shape[3]
    all_grey = channels == 1 or all(_equal_channels(part) for part in parts)
    grey = settings.colour == "grey" or (settings.colour == "auto" and all_grey)
    if channels == 4 or settings.colour == "rgba":
        notes += tuple(clear_notes(sum(map(len, parts)) if channels == 4 else 0, settings))
    if grey and all_grey and channels == 3:
        parts, channels = [part[..., :1] for part in parts], 1
    height, width, note = common_size([parts[0].shape[1:3]], settings)
    if levels != 256 and ((height, width) != parts[0].shape[1:3] or channels > 1 or not grey):
        scale, shift, levels = scale * 255 / (levels - 1), shift * 255 / (levels - 1), 256
    shape = (1 if grey else 4 if settings.colour == "rgba" else 3, height, width)
    values = []
    for part in parts:
        view = part.transpose(0, 3, 1, 2)
        same = part.dtype == np.uint8 and scale == 1 and view.shape[1:] == shape and shape[0] != 4
        if same and (key is None or view.flags.c_contiguous):
            values.append(np.ascontiguousarray(view))
        else:
            pixels = partial(_pixels, part, scale, shift, shape, settings)
            values.append(convert(len(part), shape, np.uint8, key, settings, pixels))
    classes, conditions = index_labels(*(part.y for part in found))
    spec = DataSpec(kind="image", shape=shape, levels=levels, classes=classes)
    sets = [
        Dataset(x=torch.from_numpy(v), spec=spec, condition=c, rows=part.rows)
        for v, c, part in zip(values, conditions, found, strict=True)
    ]
    return Found(train=sets[0], test=sets[1] if test_x is not None else None, notes=(*notes, note), mapped=key)


def _channels_last(x: Array, name: str) -> Array:
    """``x`` as a view with shape (n, h, w, c), c being 1, 3 or 4 (where both ends could be, the lesser)."""
    if x.ndim == 3:
        return x[..., None]
    first, last = x.shape[1] in (1, 3, 4), x.shape[3] in (1, 3, 4)
    if last and not (first and x.shape[1] < x.shape[3]):
        return x
    if first:
        return x.transpose(0, 2, 3, 1)
    raise BadInput(
        f"the images in {name} have shape {x.shape}; expected 1, 3 or 4 channels, as (n, h, w, c) or (n, c, h, w)"
    )


def _equal_channels(x: Array) -> bool:
    """Whether colour images with shape (n, h, w, 3) are grey throughout."""
    return x.shape[3] == 3 and all(bool((part == part[..., :1]).all()) for part in chunks(x))


def _range(parts: Sequence[Array], name: str) -> tuple[float, float, int, str | None]:
    """Factor and shift that bring the values of all ``parts`` to level numbers, number of levels, and what is to be
    said."""
    if all(part.dtype == np.uint8 for part in parts) and any(map(_usual, _each(parts))):
        return 1.0, 0.0, 256, None
    low, high = _ends(parts)
    floats = all(part.dtype.kind == "f" for part in parts)
    if np.isnan(low):
        raise BadInput(f"the images in {name} hold NaN; expected numbers alone")
    if (low, high) in ((0, 1), (0, 255), (-1, 1)) and _two_alone(parts, low, high):
        return 1 / (high - low), -low / (high - low), 2, None if high == 1 else TWO_LEVELS
    if floats and low >= 0 and high <= 1:
        return 255.0, 0.0, 256, "The pixels are floats in [0, 1] and are rounded to 8 bits."
    if floats and -1 <= low <= -0.5 and high <= 1:
        return 127.5, 127.5, 256, "The pixels are floats in [-1, 1], -1 black, and are rounded to 8 bits."
    whole = all(part.dtype.kind != "f" or bool((part == np.floor(part)).all()) for part in _each(parts))
    if not (low >= 0 and high <= 255 and whole):
        cure = f"; divide them by {high:g}" if low >= 0 and high > 255 else ""
        raise BadInput(
            f"the images in {name} hold values from {low:g} to {high:g}; expected floats in [0, 1] or [-1, 1], or "
            f"whole numbers from 0 to 255{cure}"
        )
    if high == 0:
        return 1.0, 0.0, 256, "Every pixel is 0."
    if high < DARK:
        dark = f"The greatest value of a pixel is {high:g} of 255, so the images are dark"
        return 1.0, 0.0, 256, f"{dark}; if {high:g} is white, divide them by it."
    return 1.0, 0.0, 256, None


def _two_alone(parts: Sequence[Array], low: float, high: float) -> bool:
    """Whether there are no other values than ``low`` and ``high``."""
    return all(bool(((part == low) | (part == high)).all()) for part in _each(parts))


def _usual(pixels: Array) -> bool:
    """Whether bytes are neither two values alone nor all dark."""
    return bool(((pixels > 1) & (pixels < 255)).any() and (pixels >= DARK).any())


def _each(parts: Sequence[Array]) -> Iterator[Array]:
    return (chunk for part in parts for chunk in chunks(part))


def _ends(parts: Sequence[Array]) -> tuple[float, float]:
    """The least and the greatest value of all ``parts``."""
    ends = [(float(chunk.min()), float(chunk.max())) for chunk in _each(parts)]
    return float(np.min([low for low, _ in ends])), float(np.max([high for _, high in ends]))


def _pixels(
    x: Array, scale: float, shift: float, shape: tuple[int, int, int], settings: DataConfig, rows: Any
) -> NDArray[np.uint8]:
    """Level numbers with shape (n, *shape) of ``rows`` of the images ``x`` with shape (n, h, w, c)."""
    from PIL import Image

    x = x[rows]
    x = (x * scale + shift).round().astype(np.uint8) if scale != 1 else x.astype(np.uint8)
    if x.shape[3] == 4 > shape[0]:
        x = laid_over(x, settings.background)
    if x.shape[3] < 4 == shape[0]:
        opaque = np.full((*x.shape[:3], 1), 255, np.uint8)
        x = np.concatenate([np.broadcast_to(x, (*x.shape[:3], 3)) if x.shape[3] == 1 else x, opaque], 3)
    if shape[0] == 1 and x.shape[3] == 3:
        x = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in x])[..., None]
    if x.shape[1:3] != shape[1:]:
        images = (Image.fromarray(image[..., 0] if image.shape[2] == 1 else image) for image in x)
        x = np.stack([np.asarray(fitted(image, *shape[1:], settings.fit)) for image in images])
        x = x[..., None] if x.ndim == 3 else x
    if shape[0] == 4:
        x = covered(x, settings.background)
    return np.broadcast_to(x, (*x.shape[:3], shape[0])).transpose(0, 3, 1, 2)
