"""Files for a person to look at or hear: sheets of images, sounds, scatter plots and tables, with their origin."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO, TextIOWrapper
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d

from genwerk.core.files import write_atomically, writing
from genwerk.core.printable import printable
from genwerk.core.spec import Batch

FULL_SCALE = 32_767
"""The stored sample of 16 bits that stands for a sound's greatest value, 1."""
SOUNDS = (".wav", ".flac")
"""Ends of the names of sound files that can be written."""
IMAGES = (".png", ".jpg", ".jpeg")
"""Ends of the names of image files that can be written."""
WRITTEN = (*IMAGES, *SOUNDS, ".csv", ".npz")
"""Ends of names that say what is to be written; any other belongs to the name."""
LARGEST_SHEET = 4096
"""Most examples that are shown, or heard, in one file."""


def grid(images: Tensor, columns: int | None = None, *, gap: int = 1, scale: int | None = None) -> Tensor:
    """One picture of many: uint8 with shape (height, width, 3), images in rows of ``columns`` on a white ground.

    ``images`` has shape (n, c, h, w) with values in [0, 1] and 1 or 3 channels; small ones are enlarged by whole
    pixels (``scale``, chosen so that an image is at least 56 pixels high when None).
    """
    n, _, h, w = images.shape
    columns = columns or ceil(sqrt(n))
    scale = scale or max(1, ceil(56 / h))
    pixels = images.detach().cpu().float().clamp(0, 1).mul(255).round().to(torch.uint8).expand(n, 3, h, w)
    pixels = pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    rows, gap = ceil(n / columns), gap * scale
    height, width = h * scale, w * scale
    sheet = torch.full((3, rows * (height + gap) + gap, columns * (width + gap) + gap), 255, dtype=torch.uint8)
    for i, image in enumerate(pixels):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet.permute(1, 2, 0)


def named(path: Path, end: str) -> Path:
    """``path`` with ``end``: in place of an end that can be written, else after the whole of the name."""
    return path.with_suffix(end) if path.suffix.lower() in WRITTEN else path.with_name(path.name + end)


def ending(stem: Path, ends: Sequence[str]) -> Path:
    """``stem`` where it ends as one of ``ends``, else with the first of them."""
    return stem if stem.suffix.lower() in ends else named(stem, ends[0])


def sheet(batch: Batch, columns: int | None = None) -> Tensor:
    """A picture of many images, uint8 with shape (h, w, 3); targets stand below their examples, row by row."""
    if batch.target is None:
        return grid(batch.x, columns)
    columns = columns or 8
    rows = []
    for start in range(0, len(batch.x), columns):
        pair = batch.x[start : start + columns], batch.target[start : start + columns]
        blank = torch.ones(columns - len(pair[0]), *batch.x.shape[1:], device=batch.x.device)
        rows += [torch.cat([part, blank]) for part in pair]
    return grid(torch.cat(rows), columns)


def plain(image: Tensor) -> Tensor:
    """One image with shape (c, h, w) in [0, 1] as uint8 pixels with shape (h, w, 3), nothing enlarged."""
    return grid(image.unsqueeze(0), gap=0, scale=1)


def write_image(path: Path, pixels: Tensor, origin: Mapping[str, Any]) -> Path:
    """Write uint8 ``pixels`` with shape (h, w, 3) as PNG, or JPEG as ``path`` says, with ``origin`` inside.

    In PNG ``parameters`` is the line that image sites and tools read, ``genwerk`` the same as JSON; in JPEG the JSON is
    the comment.
    """
    from PIL import Image, PngImagePlugin

    written = BytesIO()
    if path.suffix.lower() in (".jpg", ".jpeg"):
        comment = json.dumps(dict(origin)).encode()
        Image.fromarray(pixels.numpy()).save(written, "JPEG", quality=95, comment=comment)
    else:
        Image.fromarray(pixels.numpy()).save(written, "PNG", pnginfo=_chunks(origin, PngImagePlugin.PngInfo()))
    return _written(path, written)


def _written(path: Path, content: BytesIO) -> Path:
    """``path``, at which ``content`` stands now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
    return path


def _chunks(origin: Mapping[str, Any], info: Any) -> Any:
    info.add_text("parameters", printable(", ".join(f"{k}: {v}" for k, v in origin.items())))
    info.add_text("genwerk", json.dumps(dict(origin)))
    return info


def waves(x: Tensor, height: int = 57, width: int = 240) -> Tensor:
    """Pictures of sounds with shape (n, channels, time): images with shape (n, 1, height, width), dark on pale.

    Each column of pixels spans from the least to the greatest sample of its stretch of time, over all channels.
    """
    x = x.detach().cpu().float()
    high = adaptive_max_pool1d(x, width).amax(1)[:, None, None]
    low = -adaptive_max_pool1d(-x, width).amax(1)[:, None, None]
    level = torch.linspace(1, -1, height)[:, None]
    half = 1 / (height - 1)
    inked = (level <= high + half) & (level >= low - half)
    return torch.where(inked, 0.2, 0.94)


def with_pauses(x: Tensor, pause: int) -> Tensor:
    """Sounds with shape (n, channels, time) as one with shape (channels, all), ``pause`` silent samples between."""
    return torch.nn.functional.pad(x, (0, pause)).movedim(0, 1).flatten(1)[:, : len(x) * (x.shape[2] + pause) - pause]


def write_sound(path: Path, x: Tensor, rate: int, origin: Mapping[str, Any]) -> Path:
    """Write a sound with shape (channels, time) as .wav or .flac of 16 bits; ``origin`` is its comment, as JSON."""
    import soundfile

    written = BytesIO()
    samples = x.detach().cpu().float().clamp(-1, 1).mul(FULL_SCALE).round().to(torch.int16)
    form = path.suffix.removeprefix(".").upper()
    with soundfile.SoundFile(written, "w", rate, len(samples), "PCM_16", format=form) as file:
        file.comment = json.dumps(dict(origin))
        file.write(samples.T.numpy())
    return _written(path, written)


def scatter(
    path: Path, groups: Mapping[str, Tensor], origin: Mapping[str, Any], *, names: Sequence[str] = (), title: str = ""
) -> Path:
    """Write a scatter plot of 2-D points, a colour for each named group of shape (n, 2)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    for name, points in groups.items():
        x, y = points.detach().cpu().T.numpy()
        axes.scatter(x, y, s=6, alpha=0.6, linewidths=0, label=name)
    axes.set(title=title, xlabel=names[0] if names else "", ylabel=names[1] if names else "", aspect="equal")
    axes.grid(alpha=0.2)
    if len(groups) > 1:
        axes.legend(markerscale=3, fontsize=8, frameon=False)
    written = BytesIO()
    figure.savefig(written, format="png", dpi=110, metadata={k: printable(str(v)) for k, v in origin.items()})
    return _written(path, written)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write rows of cells as CSV below the names of their columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as file:
        text = TextIOWrapper(file, "utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows(rows)
        text.flush()
        text.detach()
    return path


def write_values(path: Path, rows: Iterable[Tensor], n: int) -> Path:
    """Write ``n`` rows, a part after the other, as the array ``x`` of an .npz file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        writing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as entry,
    ):
        headed = False
        for part in rows:
            values = part.detach().cpu()
            array = np.ascontiguousarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())
            if not headed:
                about = {"descr": array.dtype.str, "fortran_order": False, "shape": (n, *array.shape[1:])}
                np.lib.format.write_array_header_2_0(entry, about)
                headed = True
            entry.write(array.tobytes())
    return path
