"""Image-to-image diffusion draws what is possible, where a regression paints the mean."""

from __future__ import annotations

from dataclasses import replace

import torch

from genwerk.core.degradation import Greyscale
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.recipes import find
from genwerk.training.trainer import Trainer


def test_of_two_colourings_of_one_grey_both_are_drawn() -> None:
    """Red and green of one luma: p(x | source) is half on either, and nothing between."""
    spec = DataSpec(kind="image", shape=(3, 4, 4))
    colours = torch.tensor([[255, 0, 0], [0, 130, 0]], dtype=torch.uint8)
    images = colours[torch.arange(256) % 2][:, :, None, None].expand(-1, -1, 4, 4).contiguous()
    recipe = find("palette").make(spec)
    torch.manual_seed(0)
    settings = replace(recipe.train, rounds=400, batch_size=32, sample_every=0, evaluate_every=0, save_every=0, ema={})
    model = build(replace(recipe.model, degradation=Greyscale()), spec)  # type: ignore[type-var]
    data = Dataset(x=images, spec=spec)
    model = Trainer(model, data, settings).fit()
    one = data.under(model.condition).batch(slice(1)).condition
    assert one is not None
    made = model.translate(one.expand(100, -1, -1, -1), seed=0)  # type: ignore[operator]
    off = (made[:, None] - colours.view(2, 3, 1, 1) / 255).abs().flatten(2).mean(2)
    assert (off.amin(1) < 0.1).float().mean() > 0.9  # halfway it is 0.25
    assert 0.3 < (off[:, 0] < off[:, 1]).float().mean() < 0.7
