"""Files that a person looks at: sheets of images, scatter plots and tables, each saying where it came from."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.spec import Batch, DataSpec
from genwerk.verbs import grid


def write_examples(
    stem: Path, batch: Batch, spec: DataSpec, origin: Mapping[str, Any], columns: int | None = None
) -> Path:
    """Write examples as what they are: a sheet of images, a scatter plot of a 2-D table, or a CSV; returns the file.

    Where the batch has a target, each example stands above (or before) its target.
    """
    if spec.kind == "image":
        return write_image(stem.with_suffix(".png"), sheet(batch, columns), origin)
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
    info.add_text("parameters", ", ".join(f"{k}: {v}" for k, v in origin.items()))
    info.add_text("genwerk", json.dumps(dict(origin)))
    return info


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
    figure.savefig(path, dpi=110, metadata={k: str(v) for k, v in origin.items()})
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
