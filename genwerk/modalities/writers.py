"""Files for a person to look at or hear: sheets of images, sounds and scatter plots, with their origin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from math import ceil, inf, sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d, pad

from genwerk import __version__
from genwerk.core.errors import BadInput
from genwerk.core.files import write_atomically
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.printable import printable
from genwerk.core.spec import Batch
from genwerk.modalities.glyphs import every_script
from genwerk.modalities.headings import arranged, headed

FULL_SCALE = 32_767
"""The stored sample of 16 bits that stands for a sound's greatest value, 1."""
SOUNDS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
"""Format and coding of sound files, by the end of their names."""
IMAGES = (".png", ".jpg", ".jpeg", ".webp")
"""Ends of the names of image files that can be written."""
LONGEST = {".jpg": ("JPEG", 65_535), ".jpeg": ("JPEG", 65_535), ".webp": ("WEBP", 16_383), ".gif": ("GIF", 65_535)}
"""What such files are called, and the most pixels a side that they hold."""
NOTE = "note"
"""What tells, in the origin of an image, a person who looks at it that it is no photo."""
LARGEST_SHEET = 4096
"""Most examples that are shown, or heard, in one file."""


def grid(images: Tensor, columns: int | None = None, *, gap: int = 1, scale: int | None = None) -> Tensor:
    """One picture of many: uint8 with shape (height, width, 3), images in rows of ``columns`` on a white ground.

    ``images`` has shape (n, c, h, w) with values in [0, 1] and 1, 3 or 4 channels; small ones are enlarged by whole
    pixels (``scale``, chosen so that an image is at least 56 pixels high when None).
    """
    scale = scale or enlarged(images.shape[2])
    return arranged(tiles(images, scale), columns or ceil(sqrt(len(images))), gap * scale)


def enlarged(height: int) -> int:
    """Pixels of a sheet to a pixel of images of this height."""
    return max(1, ceil(56 / height))


def tiles(images: Tensor, scale: int) -> Tensor:
    """Images with shape (n, c, h, w) in [0, 1] as uint8 pixels with shape (n, 3, scale * h, scale * w)."""
    n, _, h, w = images.shape
    pixels = opaque(images).mul(255).round().to(torch.uint8).expand(n, 3, h, w)
    return pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def opaque(images: Tensor) -> Tensor:
    """Images with shape (n, c, h, w) to look at, in [0, 1]; what is transparent (c = 4) shows a checkerboard of greys.

    Its squares are an eighth of the height.
    """
    images = images.detach().cpu().float().clamp(0, 1)
    if images.shape[1] != 4:
        return images
    row, column = (torch.arange(side) // max(1, images.shape[2] // 8) for side in images.shape[2:])
    ground = torch.where((row[:, None] + column) % 2 == 0, 1.0, 0.85)
    return ground.lerp(images[:, :3], images[:, 3:])


def end_of(path: Path) -> str:
    """How the name of a file ends, in lower case; empty where that is part of a number, as in samples-0.5."""
    end = path.suffix.lower()
    return "" if end[1:].isdecimal() else end


def named(path: Path, end: str) -> Path:
    """``path`` with ``end`` in place of its own, if it has one."""
    return path.with_suffix(end) if end_of(path) else path.with_name(path.name + end)


def ending(stem: Path, ends: Iterable[str]) -> Path:
    """``stem`` where it ends as one of ``ends``, else with the first of them."""
    return stem if end_of(stem) in (ends := list(ends)) else named(stem, ends[0])


def sheet(batch: Batch, layout: Layout = SQUARE, classes: Sequence[str] = ()) -> Tensor:
    """A picture of many images, uint8 with shape (h, w, 3); targets stand below their examples.

    ``classes`` are those that the names of ``layout`` may mean.
    """
    scale = enlarged(batch.x.shape[2])
    pixels, columns = tiles(batch.x, scale), layout.columns or ceil(sqrt(len(batch)))
    if batch.target is not None:
        pixels = torch.cat([pad(pixels, (0, 0, 0, scale), value=255), tiles(batch.target, scale)], 2)
        columns = layout.columns or 8
    return arranged(pixels, columns, scale) if layout.bare else headed(pixels, columns, scale, layout, classes)


def plain(image: Tensor) -> Tensor:
    """One image with shape (c, h, w) in [0, 1] as uint8 pixels with shape (h, w, 3), or 4 with alpha; not enlarged."""
    if image.shape[0] == 4:
        return image.detach().cpu().float().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    return grid(image.unsqueeze(0), gap=0, scale=1)


def plain_pixels(image: Tensor) -> Tensor:
    """One image with shape (c, h, w), uint8, as pixels with shape (h, w, 3), or 4 with alpha."""
    channels = image.shape[0] if image.shape[0] == 4 else 3
    return image.expand(channels, -1, -1).permute(1, 2, 0).contiguous()


def write_image(path: Path, pixels: Tensor, origin: Mapping[str, Any]) -> Path:
    """Write uint8 ``pixels`` with shape (h, w, 3 or 4) as PNG, JPEG or WebP, as ``path`` says, with ``origin`` inside.

    In PNG ``parameters`` is the line that image sites and tools read, ``genwerk`` the same as JSON. JPEG and WebP have
    the line as their description and the JSON as the user's comment in Exif. WebP is lossless. What is transparent is
    white in JPEG.
    """
    from PIL import Image, PngImagePlugin

    written, image, end = BytesIO(), Image.fromarray(pixels.numpy()), path.suffix.lower()
    if end not in (".jpg", ".jpeg", ".webp"):
        image.save(written, "PNG", pnginfo=chunks(origin, PngImagePlugin.PngInfo()))
        return replaced(path, written)
    if end != ".webp" and image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    require_room(path, image.size)
    form, how = ("WEBP", {"lossless": True}) if end == ".webp" else ("JPEG", {"quality": 95})
    image.save(written, form, exif=exif_of(origin, Image.Exif()), **how)
    return replaced(path, written)


def require_room(path: Path, size: tuple[int, int]) -> None:
    """Refuse a file whose kind holds no image of ``size``, width and height in pixels."""
    form, longest = LONGEST.get(path.suffix.lower(), ("", inf))
    if max(size) > longest:
        shown = "x".join(map(str, size))
        raise BadInput(f"{path} would have {shown} pixels, and {form} has at most {longest:,} a side; write a .png")


def _line(origin: Mapping[str, Any]) -> str:
    return printable(", ".join(f"{k}: {v}" for k, v in origin.items()))


def chunks(origin: Mapping[str, Any], info: Any) -> Any:
    """``info``, the texts of a PNG, with ``origin``; a note in it is also the description that any viewer shows."""
    info.add_text("parameters", _line(origin))
    info.add_text("genwerk", json.dumps(dict(origin)))
    if NOTE in origin:
        info.add_text("Software", f"Genwerk {__version__}")
        info.add_itxt("Description", origin[NOTE])
    return info


def exif_of(origin: Mapping[str, Any], exif: Any) -> Any:
    """``exif`` with ``origin``."""
    from PIL.ExifTags import IFD, Base

    exif[Base.ImageDescription] = _line(origin)
    exif.get_ifd(IFD.Exif)[Base.UserComment] = b"ASCII\0\0\0" + json.dumps(dict(origin)).encode()
    return exif


def replaced(path: Path, content: BytesIO) -> Path:
    """``path``, at which ``content`` stands now."""
    write_atomically(path, content.getvalue())
    return path


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
    """Write a sound with shape (channels, time) as .wav or .flac of 16 bits, or as .ogg, with ``origin`` as comment."""
    import soundfile

    written = BytesIO()
    samples = x.detach().cpu().float().clamp(-1, 1).mul(FULL_SCALE).round().to(torch.int16)
    form, coding = SOUNDS[path.suffix.lower()]
    try:
        with soundfile.SoundFile(written, "w", rate, len(samples), coding, format=form) as file:
            file.comment = json.dumps(dict(origin))
            file.write(samples.T.numpy())
    except soundfile.LibsndfileError as error:
        raise BadInput(
            f"{rate:,} samples a second cannot be written as {form} ({error.error_string}); write a .wav"
        ) from None
    return replaced(path, written)


LONGEST_SIDE = 4
"""Times its other side that a scatter plot with one scale for both axes may be long."""


def scatter(
    path: Path, groups: Mapping[str, Tensor], origin: Mapping[str, Any], *, names: Sequence[str] = (), title: str = ""
) -> Path:
    """Write a scatter plot of 2-D points, a colour for each named group of shape (n, 2).

    Both axes have one scale, unless one column spreads so much wider that the other could not be seen.
    """
    from matplotlib.figure import Figure

    written = BytesIO()
    with every_script():
        figure = Figure(figsize=(6, 6), layout="constrained")
        axes = figure.subplots()
        for name, points in groups.items():
            x, y = points.detach().cpu().T.numpy()
            axes.scatter(x, y, s=6, alpha=0.6, linewidths=0, label=name)
        axes.set(title=title, xlabel=names[0] if names else "", ylabel=names[1] if names else "")
        wide, high = axes.dataLim.size
        if max(wide, high) < LONGEST_SIDE * min(wide, high):
            axes.set_aspect("equal")
        axes.grid(alpha=0.2)
        if len(groups) > 1:
            axes.legend(markerscale=3, fontsize=8, frameon=False)
        figure.savefig(written, format="png", dpi=110, metadata={k: printable(str(v)) for k, v in origin.items()})
    return replaced(path, written)
