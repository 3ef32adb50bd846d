"""Files of a picture of its own: with 16 bits a value, or in motion."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.modalities.writers import chunks, exif_of, plain_pixels, replaced, require_room, write_image

MOVING = (".gif", ".webp", ".png")
"""Ends of the names of files that can hold an animation."""
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""How PNG calls grey, grey with alpha, colour, and colour with alpha (ISO/IEC 15948, table 11.1)."""


def with_alpha(image: Tensor, alpha: Tensor | None) -> Tensor:
    """An image of whole numbers with shape (c, h, w), as opaque as ``alpha`` of 8 bits says, which is brought to its
    size by bicubic resampling: with shape (4, h, w). Without ``alpha``, or with a channel of its own, as it is."""
    from PIL import Image

    if alpha is None or image.shape[0] == 4:
        return image
    size = image.shape[2], image.shape[1]
    found = torch.from_numpy(np.array(Image.fromarray(alpha.numpy()).resize(size, Image.Resampling.BICUBIC)))
    most = 257 if image.dtype == torch.uint16 else 1  # 255 x 257 = 65,535
    return torch.cat([image.expand(3, -1, -1), found.int().mul(most).to(image.dtype)[None]])


def require_held(path: Path, size: tuple[int, int], bits: int, moving: bool) -> None:
    """Refuse a file that cannot hold an image of ``size`` (height and width) and ``bits`` a value, or an animation."""
    end = path.suffix.lower()
    if moving and end not in MOVING:
        raise BadInput(f"{path} cannot hold an animation; name a {', '.join(MOVING[:-1])} or {MOVING[-1]}")
    if moving and bits > 8:
        raise BadInput("an animation has 8 bits a value; leave out ‹bits›")
    if bits > 8 and end != ".png":
        raise BadInput(f"{path} cannot hold 16 bits a value; name a .png, or leave out ‹bits›")
    require_room(path, size[::-1])


def write_picture(path: Path, image: Tensor, origin: Mapping[str, Any]) -> Path:
    """Write an image of 8 or 16 bits, uint8 or uint16 with shape (c, h, w), as ``path`` says."""
    if image.dtype == torch.uint16:
        return _write_deep(path, image, origin)
    if path.suffix.lower() == ".gif":
        return write_animation(path, [(image, 0)], None, origin)
    return write_image(path, plain_pixels(image), origin)


def _write_deep(path: Path, image: Tensor, origin: Mapping[str, Any]) -> Path:
    """A PNG of 16 bits, which Pillow writes of grey images alone; every row as the difference of its neighbours."""
    from PIL import PngImagePlugin

    channels, height, width = image.shape
    require_held(path, (height, width), 16, False)
    written = BytesIO(b"\x89PNG\r\n\x1a\n")
    written.seek(0, 2)
    PngImagePlugin.putchunk(written, b"IHDR", struct.pack(">2I5B", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0))
    for kind, data, *_ in chunks(origin, PngImagePlugin.PngInfo()).chunks:
        PngImagePlugin.putchunk(written, kind, data)
    rows = image.permute(1, 2, 0).numpy().astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.ones((height, 1 + rows.shape[1]), np.uint8)  # each row begins with its filter: 1, the value before
    filtered[:, 1:] = rows
    filtered[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
    PngImagePlugin.putchunk(written, b"IDAT", zlib.compress(filtered.tobytes(), 6))
    PngImagePlugin.putchunk(written, b"IEND", b"")
    return replaced(path, written)


def write_animation(
    path: Path, frames: Iterable[tuple[Tensor, int]], loop: int | None, origin: Mapping[str, Any]
) -> Path:
    """Write images, uint8 with shape (c, h, w), each with the milliseconds for which it stands, as ``path`` says.

    It is played ``loop`` times, 0 for ever; None does not say. GIF has 256 colours a frame; the others are lossless.
    """
    from PIL import Image, PngImagePlugin

    end, images, durations = path.suffix.lower(), list[Any](), list[int]()
    for image, duration in frames:
        require_held(path, (image.shape[1], image.shape[2]), 8 * image.element_size(), True)
        images.append(Image.fromarray(plain_pixels(image).numpy()))
        durations.append(duration)
    about: dict[str, Any] = {} if loop is None else {"loop": loop}
    if end == ".gif":
        about |= {"comment": json.dumps(dict(origin)).encode(), "disposal": 2 if images[0].mode == "RGBA" else 1}
    elif end == ".webp":
        about |= {"lossless": True, "exif": exif_of(origin, Image.Exif())}
    else:
        about |= {"pnginfo": chunks(origin, PngImagePlugin.PngInfo())}
    _save(images, durations, end, about, written := BytesIO())
    return replaced(path, written)


def _save(images: Sequence[Any], durations: list[int], end: str, about: Mapping[str, Any], file: BytesIO) -> None:
    """By Pillow, which joins frames that are alike."""
    first, *others = images
    more = {"save_all": True, "append_images": others, "duration": durations} if others else {}
    first.save(file, end[1:].upper(), **more, **about)
