"""Files for a person to look at or hear: sheets of images, sounds, scatter plots and tables, with their origin."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d

from genwerk.data.dataset import FULL_SCALE
from genwerk.printable import printable
from genwerk.spec import Batch, DataSpec

SOUNDS = (".wav", ".flac")
"""Ends of the names of sound files that can be written."""
PAUSE = 0.2
"""Seconds of silence between the sounds of one file."""


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


def write_examples(
    stem: Path, batch: Batch, spec: DataSpec, origin: Mapping[str, Any], columns: int | None = None
) -> Path:
    """Write examples as what they are: a sheet of images, a scatter plot of a 2-D table, or a CSV; returns the file.

    Sounds are written one after the other into one file, with a picture of their waves beside it. Where the batch has a
    target, each example stands above (or before) its target.
    """
    if spec.kind == "image":
        return write_image(stem.with_suffix(".png"), sheet(batch, columns), origin)
    if spec.kind == "audio":
        drawn = Batch(waves(batch.x), target=None if batch.target is None else waves(batch.target))
        write_image(stem.with_suffix(".png"), sheet(drawn, columns), origin)
        heard = batch.x if batch.target is None else torch.stack([batch.x, batch.target], 1).flatten(0, 1)
        path = stem if stem.suffix in SOUNDS else stem.with_suffix(".wav")
        return write_sound(path, in_turn(heard, round(PAUSE * spec.sample_rate)), spec.sample_rate, origin)
    if spec.kind == "table" and spec.dims == 2:
        groups = {"examples": batch.x} if batch.target is None else {"originals": batch.x, "made": batch.target}
        return scatter(stem.with_suffix(".png"), groups, origin, names=spec.columns)
    return write_table(stem.with_suffix(".csv"), batch.x if batch.target is None else batch.target, spec)


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
    """Write uint8 ``pixels`` with shape (h, w, 3) as PNG; ``origin`` goes into its text chunks.

    ``parameters`` is the line that image sites and tools read, ``genwerk`` the same as JSON.
    """
    from PIL import Image, PngImagePlugin

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.numpy()).save(path, pnginfo=_chunks(origin, PngImagePlugin.PngInfo()))
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


def in_turn(x: Tensor, pause: int) -> Tensor:
    """Sounds with shape (n, channels, time) as one with shape (channels, all), ``pause`` silent samples between."""
    return torch.nn.functional.pad(x, (0, pause)).movedim(0, 1).flatten(1)[:, : len(x) * (x.shape[2] + pause) - pause]


def write_sound(path: Path, x: Tensor, rate: int, origin: Mapping[str, Any]) -> Path:
    """Write a sound with shape (channels, time) as .wav or .flac of 16 bits; ``origin`` is its comment, as JSON."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    samples = x.detach().cpu().float().clamp(-1, 1).mul(FULL_SCALE).round().to(torch.int16)
    with soundfile.SoundFile(path, "w", rate, len(samples), "PCM_16") as file:
        file.comment = json.dumps(dict(origin))
        file.write(samples.T.numpy())
    return path


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
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={k: printable(str(v)) for k, v in origin.items()})
    return path


def write_table(path: Path, rows: Tensor, spec: DataSpec | None = None) -> Path:
    """Write rows of numbers as CSV, with the columns' names where there are any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = rows.detach().cpu().flatten(1)
    names = spec.columns if spec and len(spec.columns) == flat.shape[1] else [f"x{i}" for i in range(flat.shape[1])]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(flat.tolist())
    return path
