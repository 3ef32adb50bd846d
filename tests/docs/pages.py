"""Pages of the documentation as they are read: their code blocks, and the data that a reader would have."""

from __future__ import annotations

import re
import shlex
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "zh").glob("*.md")),
]
"""All but the lessons, which have tests of their own, and the benchmarks."""
FENCE = re.compile(
    r"(?:^<!-- (?P<what>not run|says): (?P<about>.*?) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """Of its first line."""
    language: str
    text: str
    not_run: str = ""
    """Why it is not run, as the comment above it says."""
    says: str = ""
    """The command that prints this text, as the comment above it says."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of Genwerk in it."""
        if self.language not in ("", "sh", "console"):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        words = (shlex.split(line.removeprefix("$ "), comments=True) for line in lines)
        return [found[1:] for found in words if found and found[0] in ("genwerk", ".venv/bin/genwerk")]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        about = {(found["what"] or "").replace(" ", "_"): found["about"]} if found["what"] else {}
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["language"], found["text"], **about)


# --- the reader's own data --------------------------------------------------------------------------------------------

WORDS = [
    ["the", "a"],
    ["cat", "dog", "moon", "man"],
    ["sings", "sleeps", "runs"],
    ["at night.", "by the sea.", "alone."],
]
CAPTIONS = [
    f"{who} {what}{when}."
    for who in ("a man", "a woman", "a dog", "two dogs")
    for what in ("riding a wave", "in a kitchen", "on a beach", "with a cat")
    for when in ("", " today", " at night")
]


def make_data(folder: Path) -> None:
    """Small images, sounds, tables and texts under the names that the pages use."""
    rng = np.random.default_rng(0)
    captions = []
    for animal, colour in (("cat", (200, 120, 40)), ("dog", (60, 80, 200))):
        (folder / "photos" / animal).mkdir(parents=True)
        for i in range(30):
            name = f"{animal}/{i:02}.png"
            _image(rng, colour).save(folder / "photos" / name)
            captions.append(f"{name},a {'red' if i % 2 else 'blue'} {animal}")
    for name in ("mine.png", "photo.png", "old.jpg", "sketch.png"):
        _image(rng, (90, 160, 60)).save(folder / name)
    mask = Image.new("L", (40, 32), 255)
    ImageDraw.Draw(mask).rectangle([10, 10, 25, 22], fill=0)
    mask.save(folder / "mask.png")
    (folder / "captions.csv").write_text("file_name,text\n" + "\n".join(captions))
    (folder / "voices").mkdir()
    for i in range(24):
        time = np.arange(1000) / 2000
        tone = (12_000 * np.sin(2 * np.pi * rng.uniform(100, 400) * time)).astype("<i2")
        with wave.open(str(folder / "voices" / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 2000, len(tone), "NONE", "not compressed"))
            file.writeframes(tone.tobytes())
    people = [(rng.normal(170, 8), rng.normal(65, 9), rng.integers(18, 80)) for _ in range(240)]
    table = "height,weight,age\n" + "".join(f"{h:.1f},{w:.1f},{a}\n" for h, w, a in people)
    for name in ("table.csv", "new.csv", "people.csv"):
        (folder / name).write_text(table)
    rows = table.splitlines()[1:]
    (folder / "species.csv").write_text(
        "height,weight,species\n" + "".join(f"{row.rpartition(',')[0]},{'abc'[i % 3]}\n" for i, row in enumerate(rows))
    )
    (folder / "gaps.csv").write_text("height,weight\n1.7,65\n1.8,\n1.6,60\n" * 20)
    hours = rng.uniform(0, 24, 240)
    (folder / "weather.csv").write_text(
        "hour,temperature\n" + "".join(f"{h:.2f},{-np.cos(h * np.pi / 12) + rng.normal(0, 0.1):.3f}\n" for h in hours)
    )
    poems = "\n".join(" ".join(rng.choice(words) for words in WORDS) for _ in range(300))
    (folder / "poems.txt").write_text(poems + "\n明月几时有\n" * 3, encoding="utf-8")
    (folder / "captions.txt").write_text("\n".join(CAPTIONS * 5))


def _image(rng: np.random.Generator, colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (40, 32), tuple(int(c) for c in rng.integers(200, 255, 3)))
    x, y = (int(c) for c in rng.integers(4, 16, 2))
    ImageDraw.Draw(image).ellipse([x, y, x + 16, y + 14], fill=colour)
    return image
