"""Pieces of HTML for notebooks and pages, complete in themselves."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from genwerk.core.printable import printable


def escaped(text: str) -> str:
    """``text``, which may come from outside, as HTML on one line."""
    return escape(printable(text, keep=""))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, more: int = 0) -> str:
    """Rows of text below a head; ``more`` is how many there are beyond them."""

    def row(cells: Sequence[str], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{escaped(cell)}</{kind}>" for cell in cells) + "</tr>"

    body = "".join(row(each, "td") for each in rows)
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return f"<table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>{rest}"


def player(kind: str, content: bytes) -> str:
    """A file of the MIME type ``kind``, an image or a sound, as what shows or plays it."""
    source = f'src="data:{kind};base64,{b64encode(content).decode()}"'
    return f"<audio controls {source}></audio>" if kind.startswith("audio/") else f"<img {source}>"
