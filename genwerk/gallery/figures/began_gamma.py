"""BEGAN's gamma: the balance that trades how varied the samples are against how sharp.

After figure 3 of Berthelot, Schumm & Metz, BEGAN, 2017, arXiv:1703.10717, which shows faces for gamma 0.3, 0.5 and 0.7;
here 0.9 stands beside them, and diversity is a number, the mean distance between two samples, beside that between two
real examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from genwerk.data import DataConfig, open_data
from genwerk.families.began import BEGAN, BEGANConfig
from genwerk.gallery.figures import Figures, paper
from genwerk.modalities.writers import grid
from genwerk.recipes import find

GAMMAS = (0.3, 0.5, 0.7, 0.9)
ROUNDS, QUICK = 1500, 5
COMPARED = 500
"""Samples among which distances are taken."""


@dataclass(frozen=True)
class Outcome:
    """What came of one gamma."""

    diversity: float
    """Mean Euclidean distance between two samples, in pixels' units."""
    fidelity: float
    """Mean Euclidean distance of a sample from the nearest real example."""
    samples: Tensor


def pairwise(x: Tensor) -> float:
    """Mean Euclidean distance between two different rows of ``x``, flattened."""
    flat = x.flatten(1)
    return torch.pdist(flat).mean().item()


def outcome(gamma: float, seed: int, rounds: int) -> Outcome:
    """Train BEGAN with ``gamma`` on digits and measure its samples."""
    splits = open_data(DataConfig(source="digits"))
    recipe = find("began").make(splits.spec)
    assert isinstance(recipe.model, BEGANConfig)
    trainer = paper.trainer(
        replace(recipe.model, gamma=gamma), splits.train, replace(recipe.train, rounds=rounds), seed
    )
    model = trainer.fit()
    assert isinstance(model, BEGAN)
    x = model.sample(COMPARED, seed=seed)
    nearest = torch.cdist(x.flatten(1), splits.train.batch().x.flatten(1)).amin(1).mean()
    return Outcome(pairwise(x), nearest.item(), x)


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """Samples for each gamma, and their diversity."""
    rounds = QUICK if quick else ROUNDS
    outcomes = {}
    for gamma in GAMMAS:
        yield f"training BEGAN on digits with gamma {gamma} for {rounds} rounds"
        outcomes[gamma] = outcome(gamma, seed, rounds)
    real = pairwise(open_data(DataConfig(source="digits")).test.batch().x)
    path = out / "gan-began-gamma.png"
    yield picture(path, outcomes, real, {"figure": "began-gamma", "seed": seed, "rounds": rounds})
    yield {"diversity of data": real} | {
        f"gamma {gamma}: {what}": value
        for gamma, o in outcomes.items()
        for what, value in (("diversity", o.diversity), ("distance from the nearest example", o.fidelity))
    }


def picture(path: Path, outcomes: dict[float, Outcome], real: float, origin: dict[str, object]) -> Path:
    """A sheet of samples a gamma, and the curve of diversity over gamma."""
    with paper.letters():
        figure = paper.canvas(14, 3.5)
        *sheets, axes = figure.subplots(1, len(outcomes) + 1, width_ratios=[1] * len(outcomes) + [1.2])
        for sheet, (gamma, o) in zip(sheets, outcomes.items(), strict=True):
            sheet.imshow(grid(o.samples[:36], 6).numpy(), interpolation="nearest")
            sheet.set_title(f"$\\gamma$ = {gamma}")
            sheet.axis("off")
        axes.plot(list(outcomes), [o.diversity for o in outcomes.values()], "o-", color=paper.BLUE, label="two samples")
        axes.plot(
            list(outcomes),
            [o.fidelity for o in outcomes.values()],
            "s-",
            color=paper.ORANGE,
            label="sample and nearest example",
        )
        axes.axhline(real, color=paper.BLACK, linestyle=":", label="two real digits")
        axes.set(
            xlabel="$\\gamma$", ylabel="mean distance (pixels in [0, 1])", ylim=(0, 1.5 * real), xticks=list(outcomes)
        )
        axes.set_title("diversity")
        axes.legend(loc="upper left")
        return paper.write(figure, path, origin)
