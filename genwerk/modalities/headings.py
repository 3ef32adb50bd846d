"""Sheets with names in white margins: rows at the left, columns at the top, captions below the examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from genwerk.core.layout import Layout
from genwerk.core.printable import printable

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

SIZE = 12
"""Height of letters in pixels, of examples that are less than 16 times as high."""
WIDEST = 150
"""Width of the names of rows in pixels at this size."""
LINES = 3
"""Most lines below an example or above a column."""
GAP = 3
"""Pixels between names and what they name."""
ELSEWHERE = (
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc"),
    *("DroidSansFallbackFull.ttf", "DroidSansFallback.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc"),
    *("msyh.ttc", "simsun.ttc", "Arial Unicode.ttf", "arialuni.ttf"),
)
"""Files of fonts with Chinese, Japanese and Korean signs, as systems have them."""


def arranged(tiles: Tensor, columns: int, gap: int) -> Tensor:
    """uint8 ``tiles`` with shape (n, 3, h, w) in rows of ``columns`` on white, with shape (height, width, 3)."""
    n, _, h, w = tiles.shape
    rows = -(-n // columns)
    sheet = torch.full((3, rows * (h + gap) + gap, columns * (w + gap) + gap), 255, dtype=torch.uint8)
    for i, tile in enumerate(tiles):
        top, left = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[:, top : top + h, left : left + w] = tile
    return sheet.permute(1, 2, 0)


def headed(tiles: Tensor, columns: int, gap: int, layout: Layout, classes: Sequence[str] = ()) -> Tensor:
    """:func:`arranged` ``tiles`` with the names of ``layout``.

    A name that no font here can write gives way to its number: of the class of ``classes`` that it names, or its place.
    """
    from PIL import Image, ImageDraw

    n, _, h, w = tiles.shape
    size = max(SIZE, min(h, w) // 16)
    rows = _fitted(layout.row_names, WIDEST * size // SIZE, max(1, h // _height(size)), size, classes)
    heads = _fitted(layout.column_names, w, LINES, size, classes)
    captions = _fitted(layout.captions, w, LINES, size, classes)
    band = _room(captions, size)
    left = max((text.width for text in rows), default=0) + 2 * GAP * bool(rows)
    top = _room(heads, size)
    sheet = arranged(pad(tiles, (0, 0, 0, band), value=255), columns, gap)
    canvas = Image.new("RGB", (left + sheet.shape[1], top + sheet.shape[0]), "white")
    canvas.paste(Image.fromarray(sheet.numpy()), (left, top))
    draw = ImageDraw.Draw(canvas)

    def write(text: Text, x: float, y: float, anchor: str) -> None:
        for k, line in enumerate(text.lines):
            draw.text((x, y + k * _height(size)), line, "black", text.font, anchor=anchor)

    for r, text in enumerate(rows):
        middle = top + gap + r * (h + band + gap) + h / 2
        write(text, left - GAP, middle - (len(text.lines) - 1) * _height(size) / 2, "rm")
    for c, text in enumerate(heads):
        write(text, left + gap + c * (w + gap) + w / 2, top - len(text.lines) * _height(size), "ma")
    for i, text in enumerate(captions[:n]):
        below = top + gap + i // columns * (h + band + gap) + h + GAP // 2
        write(text, left + gap + i % columns * (w + gap) + w / 2, below, "ma")
    return torch.from_numpy(np.array(canvas))


class Text:
    """A name in ``lines`` of ``font``, each at most ``width`` pixels wide."""

    def __init__(self, name: str, width: int, most: int, font: Font) -> None:
        self.font = font
        self.lines = _wrapped(name, width, most, font.getlength)
        self.width = max((int(font.getlength(line)) + 1 for line in self.lines), default=0)


def _fitted(names: Sequence[str], width: int, most: int, size: int, classes: Sequence[str]) -> list[Text]:
    found = []
    for i, name in enumerate(names):
        name, number = printable(name), classes.index(name) if name in classes else i
        font = _font(frozenset(name), size)
        found.append(Text(str(number), width, most, _fonts(size)[0]) if font is None else Text(name, width, most, font))
    return found


def _height(size: int) -> int:
    """Pixels from one line to the next."""
    return size + size // 4


def _room(texts: Sequence[Text], size: int) -> int:
    """Pixels that the longest of ``texts`` takes."""
    lines = max((len(text.lines) for text in texts), default=0)
    return lines * _height(size) + GAP * bool(lines)


def _wrapped(name: str, width: int, most: int, length: Callable[[str], float]) -> list[str]:
    """``name`` in at most ``most`` lines, broken at spaces, _, - and / where it can be; dots stand for the rest."""
    lines, rest = list[str](), " ".join(name.split())
    while rest and len(lines) < most:
        fits = next((k for k in range(len(rest), 1, -1) if length(rest[:k]) <= width), 1)
        if fits < len(rest):
            if len(lines) == most - 1:
                fits = next((k for k in range(fits, 0, -1) if length(rest[:k] + "...") <= width), 1)
                lines.append(rest[:fits].rstrip() + "...")
                break
            breaks = [k for k in range(1, fits + 1) if rest[k] == " " or rest[k - 1] in "_-/"]
            fits = max(breaks, default=fits)
        lines.append(rest[:fits])
        rest = rest[fits:].strip()
    return lines


# --- fonts ------------------------------------------------------------------------------------------------------------


@cache
def _fonts(size: int) -> list[Font]:
    """Pillow's own font, matplotlib's, and those of :data:`ELSEWHERE` that are installed."""
    from PIL import ImageFont

    found: list[Font] = [ImageFont.load_default(size)]
    matplotlib = find_spec("matplotlib")
    beside = (
        [Path(matplotlib.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"]
        if matplotlib and matplotlib.origin
        else []
    )
    for file in (*map(str, beside), *ELSEWHERE):
        try:
            found.append(ImageFont.truetype(file, size))
        except OSError:
            continue
    return found


def _font(signs: frozenset[str], size: int) -> Font | None:
    """The first font that has all ``signs``; None where none has."""
    return next((font for font in _fonts(size) if all(_has(font, sign) for sign in signs)), None)


def _has(font: Font, sign: str) -> bool:
    """Whether ``font`` draws something else for ``sign`` than for a character that does not exist."""
    return sign.isspace() or bytes(font.getmask(sign)) != bytes(font.getmask("\U0010fffd"))
