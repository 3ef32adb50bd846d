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


def player(kind: str, content: bytes, shows: str = "") -> str:
    """A file of the MIME type ``kind`` as what shows or plays it; ``shows`` says what an image or a sound is.

    Each line of a text is a paragraph, after what it is called in cells that end with a tab.
    """
    if kind.startswith("text/"):
        return f'<div class="texts">{"".join(map(_line, content.decode(errors="replace").splitlines()))}</div>'
    source = f'src="data:{kind};base64,{b64encode(content).decode()}"'
    if kind.startswith("audio/"):
        return f'<audio controls aria-label="{escaped(shows)}" {source}></audio>'
    return f'<img alt="{escaped(shows)}" {source}>'


def _line(line: str) -> str:
    *named, text = line.split("\t")
    return f"<p>{''.join(f'<b>{escaped(name)}</b> ' for name in named)}{escaped(text)}</p>"


def document(title: str, body: str, *, head: str = "", style: str = "") -> str:
    """A page of its own, in light or dark as the reader prefers: ``body`` is HTML, and ``style`` goes on from
    :data:`STYLE`."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}'
        f"<title>{escaped(title)}</title><style>{STYLE}{style}</style></head>\n<body><main>\n"
        f"{body}\n</main></body></html>\n"
    )


STYLE = """
:root { color-scheme: light dark; --back: #fbfbfa; --text: #1d1f21; --soft: #5c6168; --rule: #d9dbde; --panel: #fff;
  --link: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --back: #17191c; --text: #e6e7e8; --soft: #a3a8ae; --rule: #363a3f;
  --panel: #1f2226; --link: #8bbcf5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
a { color: var(--link); }
figure { margin: 0; padding: .5rem; background: var(--panel); border: 1px solid var(--rule); border-radius: 6px;
  min-width: 0; }
figcaption { font-size: .85rem; color: var(--soft); overflow-wrap: anywhere; }
img, svg { display: block; max-width: 100%; height: auto; }
svg { width: 100%; }
audio { display: block; width: 100%; }
.grid { display: grid; gap: .75rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.texts { max-height: 36rem; overflow-y: auto; font-size: .9rem; overflow-wrap: anywhere; }
.texts p { margin: 0 0 .35rem; }
summary { cursor: pointer; font-weight: 600; margin: .75rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--rule); }
dt { color: var(--soft); font-size: .9rem; } dd { margin: 0 0 .5rem; overflow-x: auto; }
code { font: .9rem ui-monospace, monospace; white-space: pre; }
"""
"""What the pages of Genwerk have in common."""
