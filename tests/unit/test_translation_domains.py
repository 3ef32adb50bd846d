"""Translation to domains, by a model whose answers are known: what is shown, measured in training, tiled and asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from shades import Shades, ShadesConfig

from genwerk import tasks
from genwerk.comparison.pictures import Gallery
from genwerk.core.attributes import KEPT
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig
from genwerk.data.dataset import Dataset, Splits
from genwerk.evaluation.quick import judge
from genwerk.testing.case import made_up
from genwerk.training.judging import shown
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

TWO = DataSpec(kind="image", shape=(3, 8, 8), classes=("dark", "light"))
HAIR = replace(TWO, classes=(), attributes=(("hair", ("black hair", "red hair", "blond hair")), ("eyes", ("blue",))))


def darker(spec: DataSpec = TWO, n: int = 40) -> Dataset:
    """Images of which those of the first class, or value, are dark."""
    data = made_up(spec, n)
    value = data.condition if data.attributes is None else data.attributes[:, 0]
    assert value is not None
    return replace(data, x=data.x // 4 + 96 * value[:, None, None, None].to(torch.uint8).clamp(max=1))


def model(spec: DataSpec = TWO) -> Shades:
    built = build(ShadesConfig(attributes=bool(spec.attributes)), spec)
    assert isinstance(built, Shades)
    with torch.no_grad():
        built.mean.copy_(torch.linspace(0.3, 0.7, len(built.mean))[:, None, None, None].expand_as(built.mean))
    return built.eval()


@pytest.mark.parametrize("spec", [TWO, HAIR])
def test_sources_are_shown_with_what_they_become(spec: DataSpec) -> None:
    made, data = model(spec), darker(spec).under(model(spec).condition)
    found = shown(made, made.stages(1)[0], data, 3)
    assert found is not None
    what, batch = found
    assert what == "translations"
    assert torch.equal(batch.x, data.batch().x)
    assert batch.condition is not None
    assert batch.target is not None
    shade = made.shade(batch.condition)
    assert torch.allclose(batch.target.mean((2, 3)), made.mean[shade][..., 0, 0], atol=0.05)
    assert (shade != made.shade(data.conditions(slice(None)))).all()
    if spec is HAIR:
        assert (batch.condition[:, 1] == KEPT).all()


def test_no_error_chooses_weights_where_nobody_knows_the_answer() -> None:
    judged = judge(model(), darker(), darker())
    assert judged.figures == {}
    assert judged.by is None


def test_it_is_trained_and_its_translations_are_shown(tmp_path: Path) -> None:
    data = darker()
    settings = TrainConfig(rounds=30, batch_size=16, sample_every=15)
    events = list(trainer := Trainer(model(), data, settings))
    assert any(getattr(event, "what", "") == "translations" for event in events)
    assert trainer.model.mean[0].mean() < trainer.model.mean[1].mean()
    gallery = Gallery(
        trainer.model, Splits(train=data, validation=data, test=data, settings=DataConfig()), tmp_path, "shades", 0
    )
    assert gallery.translations()["translations"].is_file()


@pytest.mark.parametrize("spec", [TWO, HAIR])
def test_tiles_of_a_large_image_take_what_depends_on_all_of_it_from_the_whole(spec: DataSpec) -> None:
    made, source = model(spec), torch.rand(3, 37, 53)
    aim = made.condition.parse(["red hair" if spec is HAIR else "light"])
    whole = made.translate(source.unsqueeze(0), aim)[0]
    tiled = tasks.translate(made, source, 16, condition=aim)
    assert (tiled.float() / 255 - whole).abs().max() < 0.6 / 255
