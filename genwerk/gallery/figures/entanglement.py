"""Entanglement in z against w: the same two samples joined in the prior's space and in the space of styles.

After section 4 of Karras, Laine & Aila, A Style-Based Generator Architecture for GANs, 2019, arXiv:1812.04948. The
paper's similarity is LPIPS and its factors are forty attributes of faces; here the similarity is of pixels and the
factors are the ten digits, as the classifier of the data sees them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from genwerk.data import DataConfig, open_data
from genwerk.evaluation.extractor import classifier_for
from genwerk.families.stylegan import StyleGAN
from genwerk.gallery.figures import Figures, paper
from genwerk.modalities.writers import grid
from genwerk.recipes import recipe
from genwerk.tasks import steering
from genwerk.tasks.steering import Entanglement, Space

ROUNDS, QUICK = 2000, 3
PAIRS, SAMPLES = 2000, 4000
"""Paths whose length is measured, and samples whose class is to be told."""
STEPS = 9
"""Pictures on the way from one sample to another."""
ENDS = ((0, 1), (2, 3), (4, 5))
"""Numbers of the samples of the figure's seed that are joined."""


def ways(model: StyleGAN, space: Space, seed: int) -> Tensor:
    """The pictures on the way between each pair of samples through ``space``, with shape (pairs * STEPS, c, h, w)."""
    starts, stops = (steering.latents(model, [pair[end] for pair in ENDS], space, seed=seed) for end in (0, 1))
    with torch.no_grad():
        return steering.interpolate(model, starts, stops, STEPS, space=space).flatten(0, 1)


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """Ways through both spaces, path lengths along them, and how well a line tells the digits apart."""
    splits = open_data(DataConfig(source="digits"))
    made = recipe("stylegan", splits.spec)
    rounds = QUICK if quick else ROUNDS
    yield f"training StyleGAN on digits for {rounds} rounds"
    model = paper.trainer(made.model, splits.train, replace(made.train, rounds=rounds), seed).fit()
    assert isinstance(model, StyleGAN)
    yield "measuring z and w"
    classify = classifier_for(splits)
    pairs, samples = (20, 200) if quick else (PAIRS, SAMPLES)
    found = steering.entanglement(model, classify=classify, pairs=pairs, samples=samples, seed=seed)
    sheets = {one.space: ways(model, one.space, seed) for one in found}
    yield picture(out / "gan-entanglement.png", sheets, found, {"figure": "entanglement", "seed": seed})
    figures: Figures = {}
    for one in found:
        assert one.separability is not None
        figures |= {
            f"path length in {one.space}": one.full.mean,
            f"path length in {one.space}, ends": one.ends.mean,
            f"separability in {one.space}": one.separability.score,
        }
    yield figures


def picture(path: Path, sheets: dict[Space, Tensor], found: list[Entanglement], origin: dict[str, object]) -> Path:
    """A sheet of ways a space, the path lengths, and the separabilities."""
    with paper.letters():
        figure = paper.canvas(14, 3.2)
        *pictures, lengths, scores = figure.subplots(1, 4, width_ratios=[2.4, 2.4, 1, 1])
        for axes, (space, sheet) in zip(pictures, sheets.items(), strict=True):
            axes.imshow(grid(sheet, STEPS).numpy(), interpolation="nearest")
            axes.set_title(f"the way through ${space}$" + (" (arc)" if space == "z" else " (line)"))
            axes.axis("off")
        names, colours = [f"${one.space}$" for one in found], [paper.ORANGE, paper.BLUE]
        lengths.bar(names, [o.full.mean for o in found], yerr=[o.full.standard_error for o in found], color=colours)
        lengths.set_title("path length (pixels)")
        scores.bar(names, [o.separability.score for o in found if o.separability], color=colours)
        scores.axhline(1, color=paper.BLACK, linestyle=":")
        scores.set_title("separability (1: a line\ntells the digit)")
        return paper.write(figure, path, origin)
