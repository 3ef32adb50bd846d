"""Pipelines of diffusers and ours give the same pictures from the same folder and seed, whoever wrote it."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pipelines import (
    FOUR_LEVELS,
    SCHEDULERS,
    AutoencoderKL,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
    opened,
    saved,
)
from torch import Tensor

from genwerk import interop
from genwerk.core.abilities import last
from genwerk.core.model import build
from genwerk.core.noise import SeededNoise
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import learn
from genwerk.diffusion.sampling import Diffusion
from genwerk.families.autoencoder_kl import AutoencoderKLConfig
from genwerk.families.clip import CLIPConfig
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.latent_diffusion import LatentDiffusion, LatentDiffusionConfig
from genwerk.families.text_encoder import TextEncoderConfig
from genwerk.interop.scheduler import read_sampling
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.clip import ConvTowerConfig
from genwerk.nn.diffusion import UNetConfig

PROMPT, NEGATIVE = "a  CAT!", "a dog, in 3 parts"
SEED = 3
NAMES = ("ddim", "pndm", "euler", "dpmpp2m")


load = cache(interop.load)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def filling(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("filling"), channels=9)


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("four"), FOUR_LEVELS)


def generators(n: int = 1) -> list[torch.Generator]:
    return SeededNoise(n, SEED).generators


def pixels(output: Any) -> Tensor:
    return torch.from_numpy(output.images).permute(0, 3, 1, 2)


def photograph(n: int, side: int) -> Tensor:
    """Images of 8-bit values with shape (n, 3, side, side)."""
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (n, 3, side, side), generator=generator) / 255


def pictures(x: Tensor) -> list[Image.Image]:
    return [Image.fromarray((255 * one).round().byte().permute(1, 2, 0).numpy()) for one in x]


def known(side: int) -> Tensor:
    """What is given of a picture: all but a box whose edges fall on those of the codes' places."""
    mask = torch.ones(1, side, side, dtype=torch.bool)
    mask[:, side // 4 : side // 2, side // 8 :] = False
    return mask


def asked(name: str, **settings: Any) -> dict[str, Any]:
    """What our verbs are to be asked, so that they do as diffusers' scheduler ``name``."""
    options = replace(read_sampling(config_of(SCHEDULERS[name]())), negative=NEGATIVE, **settings)
    return {"options": options, "seed": SEED}


def config_of(scheduler: Any) -> dict[str, Any]:
    return {**scheduler.config, "_class_name": type(scheduler).__name__}


def theirs(folder: Path, name: str, kind: Any = None, n: int = 1, **arguments: Any) -> Tensor:
    pipeline = opened(folder, *([kind] if kind else []))
    pipeline.scheduler = SCHEDULERS[name]()
    output = pipeline(
        [PROMPT] * n, negative_prompt=[NEGATIVE] * n, generator=generators(n), output_type="np", **arguments
    )
    return pixels(output)


def ids(model: LatentDiffusion, n: int = 1) -> Tensor:
    assert model.spec.vocabulary is not None
    return model.spec.vocabulary.encode([PROMPT] * n)


def drawn(model: LatentDiffusion, name: str, n: int = 1, **settings: Any) -> Tensor:
    return model.decode(last(model.latents(n, ids(model, n), **asked(name, **settings)))).detach()


# --- the same folder, the same seed, the same picture -----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_text_gives_the_same_picture(folder: Path, name: str) -> None:
    ours = drawn(load(folder), name)
    assert ours.std() > 0.05
    torch.testing.assert_close(ours, theirs(folder, name), rtol=0, atol=1e-4)


def test_every_picture_of_a_batch_is_the_same(folder: Path) -> None:
    ours = drawn(load(folder), "dpmpp2m", n=2, steps=5)
    torch.testing.assert_close(ours, theirs(folder, "dpmpp2m", n=2, num_inference_steps=5), rtol=0, atol=1e-4)
    assert (ours[0] - ours[1]).abs().max() > 0.1


@pytest.mark.parametrize("name, strength", [("ddim", 0.6), ("pndm", 1.0), ("euler", 0.6), ("dpmpp2m", 0.6)])
def test_an_image_gives_the_same_picture(folder: Path, name: str, strength: float) -> None:
    """With PNDM at strength 1 only: below, diffusers cuts into a list in which one time stands twice, and from then on
    tells the network the time of the next step."""
    model, x = load(folder), photograph(1, 16)
    ours = model.sdedit(x, strength, ids(model), **asked(name))
    same = theirs(folder, name, StableDiffusionImg2ImgPipeline, image=pictures(x), strength=strength)
    torch.testing.assert_close(ours, same, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_filled_in_the_same(folder: Path, name: str) -> None:
    compare_filling(folder, name)


@pytest.mark.parametrize(
    "name", ["pndm", *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name != "pndm")]
)
def test_a_network_that_sees_the_rest_fills_in_the_same(filling: Path, name: str) -> None:
    compare_filling(filling, name)


def compare_filling(folder: Path, name: str) -> None:
    model, x, mask = load(folder), photograph(1, 16), known(16)
    ours = model.complete(x, mask, 1, ids(model), **asked(name)).x[:, 0]
    image, hole = pictures(x)[0], Image.fromarray(np.uint8(255 * ~mask[0].numpy()))
    same = theirs(folder, name, StableDiffusionInpaintPipeline, image=image, mask_image=hole, height=16, width=16)
    missing = ~mask.expand_as(x[0])
    torch.testing.assert_close(ours[0][missing], same[0][missing], rtol=0, atol=1e-4)
    assert torch.equal(ours[0][~missing], x[0][~missing])
    assert (ours[0] - x[0])[missing].abs().max() > 0.1


def test_a_network_that_sees_the_rest_makes_a_picture_of_nothing_and_edits_none(filling: Path) -> None:
    model = load(filling)
    assert drawn(model, "dpmpp2m", steps=3).shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="has 5 extra input channels"):
        model.sdedit(photograph(1, 16), 0.5, ids(model))


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name not in NAMES])
def test_other_spacings_and_predictions_make_the_same_pictures(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path, scheduler=name)
    model = load(folder)
    assert model.config.prior.sampling.steps == 50
    assert model.config.prior.sampling.guidance == 7.5
    steps = 20 if name == "heun" else 10  # in fewer, our Heun is careful with its last (samplers.STIFF)
    ours = drawn(model, name, steps=steps)
    torch.testing.assert_close(ours, theirs(folder, name, num_inference_steps=steps), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_four_levels_make_the_same_pictures(four: Path, name: str) -> None:
    model, x, mask = load(four), photograph(1, 64), known(64)
    torch.testing.assert_close(drawn(model, name), theirs(four, name), rtol=0, atol=1e-4)
    strength = 1.0 if name == "pndm" else 0.6
    ours = model.sdedit(x, strength, ids(model), **asked(name))
    same = theirs(four, name, StableDiffusionImg2ImgPipeline, image=pictures(x), strength=strength)
    torch.testing.assert_close(ours, same, rtol=0, atol=1e-4)
    ours = model.complete(x, mask, 1, ids(model), **asked(name)).x[:, 0]
    hole = Image.fromarray(np.uint8(255 * ~mask[0].numpy()))
    arguments = {"image": pictures(x)[0], "mask_image": hole, "height": 64, "width": 64}
    same = theirs(four, name, StableDiffusionInpaintPipeline, **arguments)
    torch.testing.assert_close(ours[:, :, ~mask[0]], same[:, :, ~mask[0]], rtol=0, atol=1e-4)


# --- what we write ----------------------------------------------------------------------------------------------------


def of_our_own(sampling: Diffusion, tower: str = "text") -> LatentDiffusion:
    """A latent diffusion model as our recipes make it, with random weights, read by CLIP or by a text encoder."""
    torch.manual_seed(1)
    vocabulary = learn(["a small red ring on the left side", "a large blue square on the right side"] * 2)
    spec = DataSpec(kind="image", shape=(3, 16, 16), captions=True, vocabulary=vocabulary)
    text = {
        "clip": CLIPConfig(text_width=8, text_heads=2, tower=ConvTowerConfig(width=16, channels=(4,))),
        "text": TextEncoderConfig(width=8, layers=3, heads=2, hidden=16, gelu="gelu", skip=1),
    }
    config = LatentDiffusionConfig(
        autoencoder=AutoencoderKLConfig(widths=(4, 8), groups=2, discriminator=PatchGANConfig(width=8, halvings=1)),
        text=text[tower],
        prior=DDPMConfig(
            context=8,
            network=NETWORK,
            sampling=sampling,
        ),
    )
    model = build(config, spec).eval()
    assert isinstance(model, LatentDiffusion)
    for parameter in model.prior.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.prior.centred.scale.fill_(0.7)
    return model


NETWORK = UNetConfig(widths=(8, 12), groups=4, heads=(1, 3), attention=(False, True), blocks=1)
WAYS = [
    ("clip", Diffusion(sampler="dpmpp2m", spacing="even", steps=20, guidance=7.5)),
    ("text", Diffusion(sampler="ddim", spacing="leading", offset=1, final="first", steps=20, guidance=7.5)),
    ("text", Diffusion(sampler="euler", spacing="trailing", steps=20, guidance=3.0)),
]


@pytest.mark.parametrize("tower, sampling", WAYS)
def test_diffusers_opens_what_we_write_and_makes_the_same_picture(
    tmp_path: Path, tower: str, sampling: Diffusion
) -> None:
    model, prompt = of_our_own(sampling, tower), "A small  red square!"
    folder = interop.save(model, tmp_path / "exported")
    encode = model.spec.vocabulary.encode
    ours = model.sample(1, encode([prompt]), seed=SEED)
    arguments = {"num_inference_steps": sampling.steps, "guidance_scale": sampling.guidance}
    same = opened(folder)(prompt, generator=generators(), output_type="np", **arguments)
    assert ours.std() > 0.05
    torch.testing.assert_close(ours, pixels(same), rtol=0, atol=1e-4)


@pytest.mark.parametrize("tower, sampling", WAYS)
def test_what_we_write_comes_back(tmp_path: Path, tower: str, sampling: Diffusion) -> None:
    model = of_our_own(sampling, tower)
    again = interop.load(interop.save(model, tmp_path / "exported"))
    assert again.spec == model.spec
    pairs = zip(*(m.latents(2, ids(m, 2), sampling, seed=SEED) for m in (model, again)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert again.prior.config.sampling == replace(sampling, steps=50, guidance=7.5, resamples=1)


def test_a_folder_of_diffusers_comes_back_to_it_unchanged(folder: Path, tmp_path: Path) -> None:
    written = interop.save(load(folder), tmp_path / "again")
    pipeline, before = opened(written), opened(folder)
    for part in ("unet", "vae", "text_encoder"):
        weights, others = getattr(pipeline, part).state_dict(), getattr(before, part).state_dict()
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[name], others[name]) for name in weights)
    for part in ("unet", "vae"):
        config, other = dict(getattr(pipeline, part).config), dict(getattr(before, part).config)
        assert not {key for key in config.keys() | other.keys() if config.get(key) != other.get(key)} - {
            "_name_or_path",
            "_diffusers_version",
        }


def test_every_setting_is_written_out(tmp_path: Path) -> None:
    """What is left to a default is lost when it is read and saved again."""
    folder = interop.save(of_our_own(WAYS[0][1]), tmp_path / "exported")
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        written = json.loads((folder / part / "config.json").read_text())
        assert {"_class_name", "_diffusers_version", *signature(kind)} == set(written)


def signature(kind: Any) -> set[str]:
    return set(inspect.signature(kind.__init__).parameters) - {"self"}


def test_half_the_precision_takes_half_the_room(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    half = interop.save(model, tmp_path / "half", half=True)
    stored = interop.load(half, precision=None)
    assert {p.dtype for p in stored.parameters() if p.ndim} == {torch.float16}
    read = interop.load(half)
    assert {p.dtype for p in read.parameters()} == {torch.float32}
    for a, b in zip(model.prior.parameters(), read.prior.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)
    name = "dpmpp2m"
    torch.testing.assert_close(drawn(read, name, steps=4), theirs(half, name, num_inference_steps=4), rtol=0, atol=1e-4)


def test_a_model_in_bfloat16_makes_nearly_the_same_picture(folder: Path) -> None:
    coarse = interop.load(folder, precision=torch.bfloat16)
    a, b = (drawn(model, "dpmpp2m", steps=4) for model in (coarse, load(folder)))
    assert a.dtype == torch.float32
    assert 0 < (a - b).abs().max() < 0.1


@pytest.mark.parametrize(
    "change, says",
    [
        ({"text": None, "prior": {"context": 0}}, "takes no text"),
        ({"prior": {"network": replace(NETWORK, patch=2)}}, "patches of 2 pixels"),
        ({"prior": {"sampling": Diffusion(sampler="ddim", spacing="karras")}}, None),
    ],
)
def test_what_has_no_counterpart_is_named(tmp_path: Path, change: dict[str, Any], says: str | None) -> None:
    whole = of_our_own(Diffusion())
    prior = replace(whole.config.prior, **change.get("prior", {}))
    model = build(replace(whole.config, **{**change, "prior": prior}), whole.spec)
    if says is None:
        with pytest.warns(UserWarning, match="diffusers has no ddim with karras spacing"):
            interop.save(model, tmp_path / "exported")
        return
    with pytest.raises(ValueError, match=says):
        interop.save(model, tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="exists already; name a folder that is new or empty"):
        interop.save(load(folder), tmp_path)
