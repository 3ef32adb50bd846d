"""Image-to-image recipes beat the source as it is, and paint colours that follow from the grey."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from learning import source, taught

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.evaluation.samples import translated
from genwerk.metrics.image_quality import psnr
from genwerk.recipes import find
from genwerk.training.trainer import Trainer


@pytest.mark.parametrize(("recipe", "gain"), [("superres", 2.0), ("denoise", 0.5), ("inpaint", 1.0)])
def test_a_task_is_learned_from_digits(recipe: str, gain: float) -> None:
    """In dB, of sources that have 20 dB or less; noise of any strength takes longest to learn, and holes are filled
    smoothly before."""
    model = taught(recipe, "digits", 150)
    parts = list(translated(model, source("digits").test.under(model.condition)))
    x, made, given = (torch.cat(each) for each in zip(*parts, strict=True))
    bad = psnr(given, x) < 20
    assert bad.sum() > 50
    assert (psnr(made, x) - psnr(given, x))[bad].mean() > gain


def test_colours_follow_from_their_luma() -> None:
    """Red and blue have lumas of their own, so that grey images of them have one colouring, which is found."""
    spec = DataSpec(kind="image", shape=(3, 8, 8))
    colours = torch.tensor([[255, 0, 0], [0, 0, 255]], dtype=torch.uint8)
    x = colours[torch.randint(2, (256, 2, 2), generator=torch.Generator().manual_seed(0))]  # four squares each
    images = x.permute(0, 3, 1, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    recipe = find("colourise").make(spec)
    torch.manual_seed(0)
    settings = replace(recipe.train, rounds=400, sample_every=0, evaluate_every=0, save_every=0)
    data = Dataset(x=images, spec=spec)
    model = Trainer(build(recipe.model, spec), data, settings).fit()
    batch = data.under(model.condition).batch(slice(64))
    assert batch.condition is not None
    made = model.translate(batch.condition)  # type: ignore[operator]
    assert psnr(made, batch.x).median() > 20  # an error of 10 % of the range; grey has 7.3 dB
    assert psnr(model.shown(batch.condition), batch.x).median() < 8  # type: ignore[operator]
