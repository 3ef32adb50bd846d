"""Pieces of HTML for notebooks and pages, complete in themselves."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

__all__ = ["escape", "player", "table"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, more: int = 0) -> str:
    """Rows of text below a head; ``more`` is how many there are beyond them."""
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{body}</table>{rest}"


def player(kind: str, content: bytes) -> str:
    """A file of the MIME type ``kind``, an image or a sound, as what shows or plays it."""
    source = f'src="data:{kind};base64,{b64encode(content).decode()}"'
    return f"<audio controls {source}></audio>" if kind.startswith("audio/") else f"<img {source}>"
