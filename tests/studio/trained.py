"""Runs of each kind that the page has a view for, trained for a moment when they are first needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from browser import PICTURES

import genwerk

LONGER = 40 if PICTURES else 1
"""How many times as long runs are trained whose pictures are to be shown."""
QUICK: dict[str, Any] = {"evaluate": False, "save_every": 0, "evaluate_every": 0, "sample_every": 0}
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vae": ("vae", "digits", {**QUICK, "rounds": 30 * LONGER}),
    "pixelcnn": ("pixelcnn", "digits", {**QUICK, "rounds": 6 * LONGER}),
    "style": ("stylegan", "digits", {**QUICK, "rounds": 1}),
    "ddpm": ("ddpm", "digits", {**QUICK, "rounds": 1}),
    "poems": ("lstm-lm", "poems.txt", {**QUICK, "rounds": 2}),
    "ring": ("mixture", "ring", {"evaluate": False, "rounds": 3}),
}
"""Recipe, data and settings of each run."""


class Trained:
    """The runs, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "poems.txt").write_text("the cat sees the moon\na dog hears the rain\n" * 40)

    def into(self, root: Path, *names: str) -> None:
        """Copy runs, and the texts that one of them learns from, below a ``root``."""
        for name in names:
            recipe, data, settings = RUNS[name]
            data = str(self.folder / data) if data.endswith(".txt") else data
            if not (self.folder / name).exists():
                genwerk.train(recipe, data, out=self.folder / name, **settings)
            shutil.copytree(self.folder / name, root / "runs" / name)
