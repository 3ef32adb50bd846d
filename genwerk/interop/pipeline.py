"""Folders of diffusers' StableDiffusionPipeline, versions 1 and 2, for making and for filling in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genwerk.core.files import read_json
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import CLIPVocabulary
from genwerk.families.autoencoder_kl import AutoencoderKL
from genwerk.families.clip import CLIP
from genwerk.families.ddpm import DDPM
from genwerk.families.latent_diffusion import LatentDiffusion, LatentDiffusionConfig
from genwerk.families.text_encoder import TextEncoder, TextEncoderConfig
from genwerk.interop import networks
from genwerk.interop.components import (
    Component,
    Described,
    Precision,
    config_of,
    decimal,
    denoiser_config,
    fill_autoencoder,
    fill_text,
    fill_unet,
    read_scheduler,
    stamped,
    tokeniser,
    write_autoencoder,
    write_text,
    write_unet,
)
from genwerk.interop.scheduler import scheduler_json
from genwerk.interop.tokenizer import write_vocabulary
from genwerk.interop.weights import write_json
from genwerk.nn.clip import TextTower

INDEX = "model_index.json"
PARTS = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
"""The class of each part that has weights."""
ABSENT = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that a pipeline may have and ours have not."""
MAKING, FILLING = "StableDiffusionPipeline", "StableDiffusionInpaintPipeline"


def describe_pipeline(folder: Path) -> Described:
    """A LatentDiffusion of the pipeline's autoencoder, text encoder, U-Net and scheduler; a safety checker is left."""
    index = read_json(folder / INDEX)
    for part, expected in PARTS.items():
        given = index.get(part)
        found = given[-1] if isinstance(given, list) and given else given
        if found != expected:
            raise ValueError(f"{folder / INDEX} has {found} as its {part}; Genwerk opens pipelines with {expected}")
    unet, vae, text = (config_of(folder / part) for part in PARTS)
    autoencoder = networks.autoencoder_config(vae)
    prior = denoiser_config(unet, read_scheduler(folder / "scheduler" / "scheduler_config.json"))
    extra = prior.network.conditioning_channels
    if extra not in (0, 1 + autoencoder.latent):
        raise ValueError(
            f"{folder / 'unet'} has {extra} extra input channels; Genwerk knows U-Nets that have none, or "
            f"{1 + autoencoder.latent}: a mask and another code"
        )
    factor = 2 ** (len(autoencoder.widths) - 1)
    height, width = networks.sides(unet, max(1, networks.sides(vae, 512)[0] // factor))
    shape = (networks.typed(vae, networks.AUTOENCODER)["in_channels"], height * factor, width * factor)
    places = networks.text_settings(text)["max_position_embeddings"]
    vocabulary = tokeniser(folder / "tokenizer", places)
    config = LatentDiffusionConfig(
        autoencoder=autoencoder,
        text=networks.text_encoder_config(text),
        prior=prior,
    )
    return config, DataSpec(kind="image", shape=shape, captions=True, vocabulary=vocabulary)


def fill_pipeline(model: LatentDiffusion, folder: Path, precision: Precision) -> None:
    assert isinstance(model.autoencoder, AutoencoderKL)
    assert isinstance(model.text, TextEncoder)
    assert isinstance(model.prior, DDPM)
    fill_autoencoder(model.autoencoder, folder / "vae", precision)
    fill_text(model.text, folder / "text_encoder", precision)
    fill_unet(model.prior, folder / "unet", precision)


def write_pipeline(model: LatentDiffusion, folder: Path, half: bool) -> None:
    """Write every part of ``model`` into a new ``folder``; a ValueError says what has no counterpart."""
    assert isinstance(model.autoencoder, AutoencoderKL)
    assert isinstance(model.spec.vocabulary, CLIPVocabulary)
    if not isinstance(model.prior, DDPM):
        raise ValueError(f"the prior is of the family {type(model.prior).__name__}, and Stable Diffusion's is a DDPM")
    tower, text = text_part(model)
    write_unet(model.prior, folder / "unet", half)
    write_autoencoder(model.autoencoder, folder / "vae", half, decimal(model.prior.centred.scale))
    write_text(tower, text, model.spec, folder / "text_encoder", half)
    write_vocabulary(model.spec.vocabulary, folder / "tokenizer")
    config = model.prior.config
    scheduler = scheduler_json(model.prior.process, config.prediction, config.sampling)
    (folder / "scheduler").mkdir()
    write_json(folder / "scheduler" / "scheduler_config.json", stamped(scheduler))
    write_json(folder / INDEX, _index(FILLING if model.prior.extra_channels else MAKING, scheduler["_class_name"]))


def text_part(model: LatentDiffusion) -> tuple[TextTower, TextEncoderConfig]:
    """What reads prompts, as a text encoder."""
    match model.text:
        case TextEncoder():
            return model.text.text_model, model.text.config
        case CLIP():
            c = model.text.config
            return model.text.text_model, TextEncoderConfig(
                width=c.text_width, layers=c.text_layers, heads=c.text_heads, hidden=4 * c.text_width, gelu=c.gelu
            )
    raise ValueError("this model takes no text, and Stable Diffusion does; train one with captions to export it")


def _index(name: str, scheduler: str) -> dict[str, Any]:
    return {
        **stamped({"_class_name": name}),
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", PARTS["text_encoder"]],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", PARTS["unet"]],
        "vae": ["diffusers", PARTS["vae"]],
        **{part: [None, None] for part in ABSENT},
        "requires_safety_checker": False,
    }


PIPELINE = Component(describe_pipeline, fill_pipeline)
PIPELINES = dict.fromkeys((MAKING, FILLING, "StableDiffusionImg2ImgPipeline"), PIPELINE)
