"""Image to image: networks of any size, tiles without seams, who learns from what, and the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from genwerk import tasks
from genwerk.core.degradation import Downscale, GaussianNoise, Greyscale, Holes
from genwerk.core.errors import BadInput
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.evaluation import extractor
from genwerk.evaluation.evaluate import evaluate
from genwerk.evaluation.report import Figure
from genwerk.evaluation.translation import translation_figures
from genwerk.families.pix2pix import Pix2Pix, Pix2PixConfig
from genwerk.metrics.image_quality import psnr
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation import EDSRConfig, UNetGeneratorConfig
from genwerk.testing.case import made_up
from genwerk.training.protocol import EvaluateConfig

COLOUR = DataSpec(kind="image", shape=(3, 16, 16))
SMALL = EDSRConfig(width=8, blocks=2)


def model(config: Pix2PixConfig, spec: DataSpec = COLOUR) -> Pix2Pix:
    """With weights away from what they begin as, so that everything depends on everything."""
    torch.manual_seed(0)
    built = build(config, spec)
    assert isinstance(built, Pix2Pix)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return built.eval()


def config(**changes: object) -> Pix2PixConfig:
    given = Pix2PixConfig(network=SMALL, discriminator=PatchGANConfig(width=4, halvings=1))
    return replace(given, **changes)  # type: ignore[arg-type]


CONFIGS = {
    "superres": config(),
    "superres x3": config(degradation=Downscale(factor=3)),
    "denoise": config(degradation=GaussianNoise()),
    "colourise": config(degradation=Greyscale(), residual=False),
    "inpaint": config(degradation=Holes()),
    "unet": config(degradation=Greyscale(), network=UNetGeneratorConfig(width=4, halvings=2), residual=False),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_tiles_make_what_the_whole_makes(name: str) -> None:
    """Also at borders, and for sides that no tile divides."""
    spec = replace(COLOUR, shape=(3, 18, 18))
    made = model(CONFIGS[name], spec)
    source = torch.rand(made.condition.shape[0], 61, 85, generator=torch.Generator().manual_seed(1))
    whole = made.translate(source.unsqueeze(0))[0]
    assert whole.shape == (3, made.scale * 61, made.scale * 85)
    assert whole.std() > 0.01
    there = torch.full_like(whole, torch.nan)
    for (rows, columns), part in tasks.tiles(made, source, 20):
        assert there[:, rows, columns].isnan().all()  # no pixel twice
        there[:, rows, columns] = part
    assert (there - whole).abs().max() < 1e-5
    assert (tasks.translate(made, source, 20).float() / 255 - whole).abs().max() < 0.6 / 255


def test_tiles_are_as_wide_as_what_surrounds_them() -> None:
    """Else a deep U-Net would compute its surroundings 49 times for every pixel of a tile of 256."""
    made = model(config(degradation=Greyscale(), network=UNetGeneratorConfig(width=1, halvings=8), residual=False))
    source = torch.rand(1, 20, 1600, generator=torch.Generator().manual_seed(1))
    parts = list(tasks.tiles(made, source))
    assert [place[1] for place, _ in parts] == [slice(0, 512), slice(512, 1024), slice(1024, 1536), slice(1536, 1600)]
    whole = made.translate(source.unsqueeze(0))[0]
    assert (torch.cat([part for _, part in parts], 2) - whole).abs().max() < 1e-5
    assert whole.std() > 0.001
    shallow = tasks.tiles(model(config()), source.expand(3, -1, -1)[..., :600])
    assert [place[1].stop for place, _ in shallow] == [512, 1024, 1200]  # of an image twice as large


def test_a_margin_is_as_wide_as_it_needs_to_be() -> None:
    """Some pixel just within the margin matters; none beyond it does."""
    for made in map(model, (config(), config(degradation=GaussianNoise()))):
        source = torch.rand(1, 3, 41, 41).requires_grad_()
        middle = made.generate(source)[..., 20 * made.scale, 20 * made.scale].sum()
        (gradient,) = torch.autograd.grad(middle, source)
        reach = (gradient.abs().sum((0, 1)).nonzero() - 20).abs().max().item()
        assert made.margin - 3 <= reach <= made.margin


def test_a_residual_model_begins_with_its_source() -> None:
    torch.manual_seed(0)
    fresh = build(config(), COLOUR)
    assert isinstance(fresh, Pix2Pix)
    source = torch.rand(2, 3, 8, 8)
    assert torch.equal(fresh.translate(source), fresh.shown(source))


def test_each_player_learns_from_its_own_loss() -> None:
    made = model(config())
    batch = Dataset(x=made_up(COLOUR, 4).x, spec=COLOUR).under(made.condition).batch()
    assert batch.condition is not None
    fakes: list[torch.Tensor] = []
    loss, metrics = made.generator_loss(batch.x, batch.condition, fakes)
    fake = made.generate(batch.condition)
    assert torch.equal(fakes[0], fake)
    patches = made.discriminator(2 * torch.cat([made.shown(batch.condition), fake], 1) - 1)[0]
    expected = 100 * (fake - batch.x).abs().mean() + torch.nn.functional.softplus(-patches).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert metrics["mse"].item() == pytest.approx((fake - batch.x).square().mean().item(), rel=1e-5)
    assert set(made.players()) == {"discriminator", "generator"}
    assert set(model(config(adversarial=0.0)).players()) == {"generator"}


def test_figures_stand_beside_those_of_the_source() -> None:
    data = made_up(COLOUR, 30)
    torch.manual_seed(0)
    untrained = build(config(), COLOUR).eval()
    figures = list[Figure]()
    for _ in translation_figures(untrained, data.under(untrained.condition), figures):
        pass
    ratio, similarity = figures
    assert ratio.value == ratio.reference  # what it makes is its source
    assert ratio.verdict == similarity.verdict == "like its source"
    assert isinstance(untrained, Pix2Pix)
    batch = data.under(untrained.condition).batch()
    assert batch.condition is not None
    by_hand = psnr(untrained.shown(batch.condition), batch.x)
    assert ratio.value == pytest.approx(by_hand.mean().item(), rel=1e-6)
    assert ratio.spread == pytest.approx(by_hand.std().item() / 30**0.5, rel=1e-6)


def test_no_classifier_is_trained_for_a_distance_of_too_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(*_: object) -> None:
        raise AssertionError("a classifier was trained")

    monkeypatch.delenv(extractor.INCEPTION, raising=False)
    monkeypatch.setattr(extractor, "training_classifier", trained)
    data = made_up(COLOUR, 30)
    few = Splits(train=data, validation=data, test=data, settings=DataConfig())
    report = evaluate(build(config(), COLOUR).eval(), few, EvaluateConfig())
    assert [figure.name for figure in report.figures] == ["translation PSNR", "translation SSIM"]
    assert "A distance of translations needs 128 held-out examples, so none was measured." in report.notes


@pytest.mark.parametrize(
    ("given", "spec", "why"),
    [
        (config(degradation=Greyscale()), replace(COLOUR, shape=(1, 16, 16)), "the images are grey"),
        (config(degradation=Downscale(factor=5)), COLOUR, "no whole number of times 5"),
        (config(network=UNetGeneratorConfig(halvings=2)), COLOUR, "take model.network edsr"),
        (config(), replace(COLOUR, palette=((0, 0, 0), (255, 255, 255))), "whose pixels have intensities"),
        (config(), DataSpec(kind="table", shape=(4,)), "translates images"),
    ],
)
def test_data_that_cannot_be_translated_are_refused(given: Pix2PixConfig, spec: DataSpec, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        build(given, spec)


def test_a_tile_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="the tile is 0 pixels"):
        list(tasks.tiles(model(config()), torch.rand(3, 8, 8), 0))


def test_a_source_of_other_channels_is_refused() -> None:
    with pytest.raises(BadInput, match="conditioned on a source image: pass condition, an image of 3 channels each"):
        model(config()).translate(torch.rand(3, 1, 16, 16))


def test_pictures_are_opened_in_their_own_size(tmp_path: Path) -> None:
    from genwerk import open_run
    from genwerk.runs.train import train

    few = {"rounds": 2, "evaluate": False, "progress": False}
    train("superres", "digits", out=tmp_path / "run", **few)  # type: ignore[arg-type]
    Image.new("RGB", (30, 21), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "several").mkdir()
    Image.new("L", (9, 8), 51).save(tmp_path / "several" / "grey.png")
    run = open_run(tmp_path / "run")
    assert run.model.spec.shape == (1, 8, 8)
    from genwerk.runs.opened import OpenRun

    opened = OpenRun(tmp_path / "run", "cpu", None, lambda _: None)
    found = dict(opened.pictures(str(tmp_path / "red.png"), str(tmp_path / "several")))
    assert {name: x.shape for name, x in found.items()} == {"red.png": (1, 21, 30), "grey.png": (1, 8, 9)}
    assert (found["grey.png"] == 51 / 255).all()
    with pytest.raises(BadInput, match="there is no image, folder or archive"):
        list(opened.pictures(str(tmp_path / "none.png")))
