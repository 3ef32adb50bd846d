"""Draw docs/pictures/architecture.svg: the rooms of genwerk by floor, and who imports whom, read from the source.

``python docs/architecture.py`` writes the picture; ``--check`` ends with 1 where the picture is out of date.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"
FLOORS = {
    "cli studio": "two faces of the same commands",
    "commands gallery": "declared commands, pictures for lectures",
    "testing": "what every family is checked for",
    "comparison": "recipes trained and measured alike",
    "runs": "run folders, sessions, model cards",
    "evaluation": "figures of a trained model",
    "tasks": "verbs: sample, encode, complete, ...",
    "evolve": "evolutionary optimisation",
    "recipes interop": "complete settings, other libraries' files",
    "families": "one file a paper",
    "metrics": "pure functions of features and samples",
    "training": "trainer, players, events",
    "data": "sources, readers, parts",
    "modalities": "one class a kind of data",
    "diffusion": "schedules, samplers, guidance",
    "nn": "networks that know no objective",
    "core": "models, abilities, conditions, specs",
}
"""Rooms, from the roof down, and what is in them."""
LEFT, WIDTH, HEIGHT, GAP = 20, 190, 30, 16


def imports() -> Counter[tuple[str, str]]:
    """How many modules of one room import another room."""
    rooms = {room for floor in FLOORS for room in floor.split()}
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted((ROOT / "genwerk").rglob("*.py")):
        here = path.relative_to(ROOT / "genwerk").parts[0].removesuffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for block in ast.walk(tree):
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
                block.body = [ast.Pass()]
        names = {
            name.split(".")[1]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
            if name.startswith("genwerk.")
        }
        found.update((here, there) for there in names & rooms if here in rooms and there != here)
    return found


def drawing() -> str:
    """The picture as SVG: a box a room, and at its right the rooms that it imports, widest line first."""
    used = imports()
    height = len(FLOORS) * (HEIGHT + GAP) + 30
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1010 {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="1010" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" fill="#555">room</text>',
        '<text x="245" y="18" fill="#555">what is in it</text>',
        '<text x="560" y="18" fill="#555">imports from (all below it), most used first</text>',
    ]
    for number, (floor, about) in enumerate(FLOORS.items()):
        y, rooms = 28 + number * (HEIGHT + GAP), floor.split()
        width = (WIDTH - GAP * (len(rooms) - 1)) / len(rooms)
        shade = f"hsl(210 60% {94 - 1.6 * number:.0f}%)"
        for place, room in enumerate(rooms):
            x = LEFT + place * (width + GAP)
            lines += [
                f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{HEIGHT}" rx="5" fill="{shade}" stroke="#456"/>',
                f'<text x="{x + width / 2:g}" y="{y + 20}" text-anchor="middle" font-weight="bold">{room}</text>',
            ]
        below = Counter({there: 0 for _, there in used})
        for (here, there), n in used.items():
            if here in rooms and there not in rooms:
                below[there] += n
        names = sorted((there for there, n in below.items() if n), key=lambda there: (-below[there], there))
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        lines += [
            f'<text x="245" y="{y + 20}" fill="#333">{escape(about)}</text>',
            f'<text x="560" y="{y + 20}" fill="#246">{shown or "nothing"}</text>',
        ]
        if number:
            lines.append(f'<path d="M{LEFT + WIDTH / 2:g} {y - GAP} v{GAP - 3}" stroke="#456" fill="none"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PICTURE.read_text(encoding="utf-8") != drawing())
    PICTURE.write_text(drawing(), encoding="utf-8")
