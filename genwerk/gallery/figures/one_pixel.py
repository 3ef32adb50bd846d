"""The one-pixel problem: two flaws of the same squared error, one of them plainly wrong.

The lecture's example (Hung-yi Lee, Machine Learning, 2016): a digit with a pixel added to the end of a stroke, and the
same digit with that pixel somewhere in the empty ground. To a loss that sums over pixels both are equally far from the
original. Asked here are models that see pixels together: how often does each of them rate the first above the second?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from genwerk.core.abilities import BoundsLikelihood, HasLikelihood
from genwerk.core.model import Model
from genwerk.data import DataConfig, Dataset, open_data
from genwerk.families.adversarial import AdversarialModel
from genwerk.gallery.figures import Figures, paper
from genwerk.recipes import recipe

STROKE = 0.5
"""Ink from which a pixel belongs to a stroke."""
INK = 0.75
"""Ink of the pixel that is added."""
ROUNDS = {"pixelcnn": 1500, "realnvp": 1500, "vae": 3000, "hinge-gan": 3000}
"""Recipes that are asked, and how long each is trained."""
QUICK = 10
DRAWS = 100
"""Importance samples for the likelihood of the VAE."""


@dataclass(frozen=True)
class Flaws:
    """Digits, and both flaws of each, with shape (n, 1, 8, 8)."""

    original: Tensor
    lengthened: Tensor
    """With a pixel beside a stroke."""
    stray: Tensor
    """With a pixel two or more away from all ink."""


def flaws(digits: Tensor, seed: int) -> Flaws:
    """Both flaws of all ``digits`` with shape (n, 1, 8, 8) that have room for them, each in a random place."""
    empty = digits == 0
    beside = empty & (_within(digits >= STROKE, 1))
    away = ~_within(~empty, 1)
    usable = beside.flatten(1).any(1) & away.flatten(1).any(1)
    generator = torch.Generator().manual_seed(seed)
    original = digits[usable]
    return Flaws(*(original, _added(original, beside[usable], generator), _added(original, away[usable], generator)))


def _within(mask: Tensor, pixels: int) -> Tensor:
    """Where ``mask`` is True within so many pixels, diagonals included."""
    return max_pool2d(mask.float(), 2 * pixels + 1, 1, pixels) > 0


def _added(digits: Tensor, where: Tensor, generator: torch.Generator) -> Tensor:
    """``digits`` with :data:`INK` in one of the pixels of each that ``where`` allows."""
    place = torch.multinomial(where.flatten(1).float(), 1, generator=generator)
    return digits.flatten(1).scatter(1, place, INK).view_as(digits)


@torch.no_grad()
def rated(model: Model, x: Tensor, seed: int) -> Tensor:
    """How real ``model`` takes each picture to be: its discriminator's output, else the log-likelihood in nats."""
    if isinstance(model, AdversarialModel):
        return model.judge(x).flatten()
    if isinstance(model, HasLikelihood):
        return model.log_prob(x)
    assert isinstance(model, BoundsLikelihood)
    return model.log_prob_bound(x, DRAWS, seed=seed)


def trained(name: str, data: Dataset, rounds: int, seed: int) -> Model:
    """The recipe ``name``, fitted to ``data``."""
    own = recipe(name, data.spec)
    model = paper.trainer(own.model, data, replace(own.train, rounds=rounds), seed).fit()
    return model.eval()


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """Some digits with both flaws, and what every model says of all of them."""
    splits = open_data(DataConfig(source="digits"))
    found = flaws(splits.test.batch().x, seed)
    differences: dict[str, Tensor] = {"squared error": torch.zeros(len(found.original))}
    for name, rounds in ROUNDS.items():
        yield f"training {name} for {QUICK if quick else rounds} rounds"
        model = trained(name, splits.train, QUICK if quick else rounds, seed)
        differences[name] = rated(model, found.lengthened, seed) - rated(model, found.stray, seed)
    errors = [(flaw - found.original).square().sum((1, 2, 3)) for flaw in (found.lengthened, found.stray)]
    differences["squared error"] = errors[1] - errors[0]
    preferred = {name: preference(values) for name, values in differences.items()}
    yield picture(out / "one-pixel.png", found, preferred, {"figure": "one-pixel", "seed": seed})
    yield {f"{name} rates the stroke above the stray pixel": share for name, share in preferred.items()}


def preference(differences: Tensor) -> float:
    """Fraction of differences above 0, those that are 0 counted as half."""
    return ((differences > 0).double() + 0.5 * (differences == 0).double()).mean().item()


def picture(path: Path, found: Flaws, preferred: dict[str, float], origin: dict[str, object]) -> Path:
    """Six digits with both flaws at the left, and at the right how often each model prefers the lengthened stroke."""
    with paper.letters():
        figure = paper.canvas(11, 4.2)
        left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1), squeeze=False).flat
        rows = ("original", "lengthened stroke", "stray pixel")
        for axes, title, digits in zip(
            left.subplots(3, 6), rows, (found.original, found.lengthened, found.stray), strict=True
        ):
            axes[0].set_title(title)
            for each, image in zip(axes, digits, strict=False):
                each.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
                each.set(xticks=[], yticks=[])
        axes = right.subplots()
        names = list(preferred)[::-1]
        shares = [preferred[name] for name in names]
        bars = axes.barh(names, shares, color=[paper.GREY if n == "squared error" else paper.BLUE for n in names])
        axes.bar_label(bars, [f"{share:.0%}" for share in shares], padding=3)
        axes.axvline(0.5, color=paper.BLACK, linestyle=":", linewidth=1.2)
        axes.set(xlim=(0, 1.12), xlabel="digits whose lengthened stroke is rated higher")
        axes.set_title(f"of {len(found.original)} digits; one half is blindness")
        return paper.write(figure, path, origin)
