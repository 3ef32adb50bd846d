"""What the lessons' scripts share: a folder for runs, figures that go to a JSON file, pictures, and pages to be filled.

A lesson is one script, ``NN_name.py``, divided into sections by lines such as ``# [train]``, and two pages of prose,
``NN_name.md`` and ``zh/NN_name.md``. A page shows a section below the comment ``<!-- [train] -->`` and quotes a figure
before a comment that names it and its format, as in ``0.35<!-- distance:.2f -->``.

``python docs/lessons/lesson.py`` copies sections and figures into all pages; ``tests/docs/test_lessons.py`` checks that
there is nothing to copy, and runs the scripts (``-m slow``).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
SECTION = re.compile(r"^# \[([\w-]+)\]\n", re.MULTILINE)
SHOWN = re.compile(r"<!-- \[([\w-]+)\] -->\n```python\n(.*?)```", re.DOTALL)
QUOTED = re.compile(r"(?P<figure>[-−]?[\d,.]+)(?P<unit> ?%)?<!-- (?P<name>[\w.-]+):(?P<format>[^ ]*) -->")


class Lesson:
    """The figures and pictures of the script ``file``, which from now on works in a temporary folder and one thread."""

    def __init__(self, file: str) -> None:
        import torch

        path = Path(file).resolve()
        self.name, self.json = path.stem, path.with_suffix(".json")
        self.out = Path(os.environ.get("LESSON_OUT", path.parent)).resolve()
        self.pictures = self.out if "LESSON_OUT" in os.environ else HERE.parent / "pictures" / "lessons"
        self.figures: dict[str, float] = {}
        self.within: dict[str, float] = {}
        self._work = TemporaryDirectory()
        os.chdir(self._work.name)
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._began = self._seconds()

    def measured(self, name: str, value: Any, within: float = 0.1) -> float:
        """Note a figure, which another run of the script is to repeat up to the share ``within`` of it."""
        self.figures[name], self.within[name] = float(value), within
        print(f"{name}: {self.figures[name]:.4g}")
        return self.figures[name]

    def texts(self, name: str, lines: Sequence[str]) -> None:
        """Print texts that the pages quote."""
        print(f"{name}:", *lines, sep="\n  ")

    def picture(self, figure: Any, name: str) -> Path:
        """Write a figure of matplotlib as ``NN-name.png``, in 256 colours."""
        from PIL import Image

        self.pictures.mkdir(parents=True, exist_ok=True)
        path = self.pictures / f"{self.name[:2]}-{name}.png"
        figure.savefig(path, dpi=110)
        with Image.open(path) as drawn:
            drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        return path

    def _seconds(self) -> float:
        """Of the processor, for this process and those that it has started."""
        spent = os.times()
        return spent.user + spent.system + spent.children_user + spent.children_system

    def done(self) -> None:
        """Write the JSON file."""
        seconds = self._seconds() - self._began
        found = {"cpu_seconds": round(seconds), "figures": self.figures, "within": self.within}
        (self.out / self.json.name).write_text(json.dumps(found, indent=1) + "\n")
        print(f"{seconds:.0f} CPU-seconds")
        os.chdir(HERE)
        self._work.cleanup()


def sheet(x: Any, columns: int, pad: int = 1) -> Any:
    """Images with shape (n, c, h, w) side by side, as an array (h, w, 3) in [0, 1] with white lines between them."""
    import numpy as np
    import torch
    from torch.nn.functional import pad as padded

    x = torch.as_tensor(np.asarray(getattr(x, "x", x))).float().clamp(0, 1)
    x = padded(x.expand(-1, 3, -1, -1), (pad, pad, pad, pad), value=1.0)
    rows = [torch.cat(list(row), 2) for row in x.split(columns)]
    if rows[-1].shape != rows[0].shape:
        rows[-1] = padded(rows[-1], (0, rows[0].shape[2] - rows[-1].shape[2]), value=1.0)
    return torch.cat(rows, 1).movedim(0, 2).numpy()


def show(axes: Any, x: Any, columns: int, title: str = "", pad: int = 1) -> None:
    """A sheet of images on ``axes``."""
    axes.imshow(sheet(x, columns, pad), interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title)


def sections(script: Path) -> dict[str, str]:
    """The sections of a script by name, each up to the next one."""
    _, *parts = SECTION.split(script.read_text())
    return {name: code.strip("\n") + "\n" for name, code in zip(parts[::2], parts[1::2], strict=True)}


def pages(script: Path) -> list[Path]:
    """Both pages of a script."""
    return [script.with_suffix(".md"), script.parent / "zh" / f"{script.stem}.md"]


def filled(page: str, code: dict[str, str], figures: dict[str, float]) -> str:
    """A page with its sections and figures as they are; a KeyError names one that does not exist."""

    def quoted(match: re.Match[str]) -> str:
        value = figures[match["name"]] * (100 if match["unit"] else 1)
        text = format(value, match["format"]).replace("-", "−")
        return f"{text}{match['unit'] or ''}<!-- {match['name']}:{match['format']} -->"

    page = SHOWN.sub(lambda m: f"<!-- [{m[1]}] -->\n```python\n{code[m[1]]}```", page)
    return QUOTED.sub(quoted, page)


def main() -> None:
    """Fill all pages."""
    for script in sorted(HERE.glob("[0-9][0-9]_*.py")):
        if not script.with_suffix(".json").exists():
            continue  # it has not been run yet
        found = json.loads(script.with_suffix(".json").read_text())
        figures = {**found["figures"], "cpu_seconds": found["cpu_seconds"]}
        for page in pages(script):
            if page.exists():
                try:
                    page.write_text(filled(page.read_text(), sections(script), figures))
                except KeyError as missing:
                    print(f"{page}: there is no {missing}")


if __name__ == "__main__":
    main()
