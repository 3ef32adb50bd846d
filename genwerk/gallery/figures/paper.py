"""What the figures share: colours, letters, files, and a quiet trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from genwerk.core.model import Config, build
from genwerk.data.dataset import Dataset
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

BLACK, GREY = "#222222", "#8a8a8a"
BLUE, ORANGE, GREEN, RED, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9"
"""Colours that colour-blind eyes tell apart (Okabe & Ito, 2008)."""


def trainer(config: Config, data: Dataset, settings: TrainConfig, seed: int) -> Trainer:
    """A trainer of a fresh model, which shows and judges nothing by itself."""
    torch.manual_seed(seed)
    quiet = replace(settings, seed=seed, sample_every=0, evaluate_every=0, save_every=0)
    return Trainer(build(config, data.spec), data, quiet)


def letters() -> AbstractContextManager[None]:
    """While inside, pictures are lettered alike."""
    from matplotlib import rc_context

    settings: Any = {
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "lines.linewidth": 1.8,
    }
    return rc_context(settings)


def canvas(width: float, height: float) -> Figure:
    """An empty picture of so many inches, to be drawn on and written within :func:`letters`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write(figure: Figure, path: Path, origin: Mapping[str, Any]) -> Path:
    """Write a picture as PNG, with where it came from in its text chunks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={k: str(v) for k, v in origin.items()})
    return path


def frame(figure: Figure) -> Image:
    """A picture as pixels, for an animation."""
    from PIL import Image

    canvas: Any = figure.canvas
    canvas.draw()
    return Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB").copy()


def animate(frames: Sequence[Image], path: Path, seconds: float = 0.12, rest: float = 2.0) -> Path:
    """Write frames as an endless GIF, with so many seconds a frame and a rest on the last one."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    palette = frames[-1].quantize(64, dither=Image.Dither.NONE)
    indexed = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    durations = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * rest)]
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=durations, loop=0, optimize=True)
    return path
