"""Images are brought from one domain to another without pairs: what domains differ in changes, all else stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.cyclegan import CycleGANConfig
from genwerk.recipes import find
from genwerk.training.trainer import Trainer

COLOURS = torch.tensor([[220, 40, 40], [40, 60, 220], [60, 200, 80]], dtype=torch.uint8)
NAMES = ("red", "blue", "green")


def squares(n: int, colours: int) -> Dataset:
    """Grey images of 8 pixels a side with a square of 4 somewhere, whose colour is the class."""
    generator = torch.Generator().manual_seed(0)
    x = torch.full((n, 3, 8, 8), 110, dtype=torch.uint8)
    labels = torch.arange(n) % colours
    for image, k, (top, left) in zip(x, labels, torch.randint(5, (n, 2), generator=generator).tolist(), strict=True):
        image[:, top : top + 4, left : left + 4] = COLOURS[k].view(3, 1, 1)
    noise = torch.randint(-8, 9, x.shape, generator=generator)
    spec = DataSpec(kind="image", shape=(3, 8, 8), classes=NAMES[:colours], class_counts=(n // colours,) * colours)
    return Dataset(x=(x + noise).clamp(0, 255).to(torch.uint8), spec=spec, condition=labels)


def taught(recipe: str, data: Dataset) -> Any:
    """The model of ``recipe``, small and after a few rounds; weights of losses that hold it back are lower."""
    found, small = find(recipe).make(data.spec), find("restyle").make(data.spec)
    assert isinstance(small.model, CycleGANConfig)
    changes: dict[str, Any] = {
        "recolour-hair": {"change": 1.0},
        "cut": {"nce": 0.3, "nce_identity": 0.3, "network": small.model.network, "features": 32},
    }
    model = replace(found.model, **changes.get(recipe, {}))
    torch.manual_seed(0)
    settings = replace(small.train if recipe == "cut" else found.train, rounds=250 if recipe == "cut" else 150)
    settings = replace(settings, sample_every=0, evaluate_every=0, save_every=0)
    return Trainer(build(model, data.spec), data, settings).fit()


def colours(x: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colour of ``x`` where ``source`` has its square and where not, with shape (n, 3) each, of 255."""
    square = ((source - 110 / 255).abs().amax(1, keepdim=True) > 0.15).float()
    inside = (x * square).sum((2, 3)) / square.sum((2, 3))
    return 255 * inside, 255 * (x * (1 - square)).sum((2, 3)) / (1 - square).sum((2, 3))


@pytest.mark.parametrize("recipe", ["restyle", "cut", "swap-faces", "recolour-hair"])
def test_squares_take_the_colour_of_another_domain_where_they_are(recipe: str) -> None:
    data = squares(300, 3 if recipe == "recolour-hair" else 2)
    made = taught(recipe, data)
    batch = data.under(made.condition).batch(slice(60))
    aims = made.aims(batch.condition, seed=0)
    goes = (aims != batch.condition).reshape(60)
    square, ground = colours(made.translate(batch.x[goes], aims[goes]), batch.x[goes])
    aim = aims[goes].flatten()
    nearest = (square.unsqueeze(1) - COLOURS[: len(data.spec.classes)]).norm(dim=2).argmin(1)
    assert (nearest == aim).float().mean() > 0.9
    assert (ground - 110).abs().mean() < 30  # colours are about 100 apart
