"""Folders of one network, as diffusers and transformers save them: what they hold, and how they are written.

A component describes itself by config.json alone, where it can; what else it needs - a tokeniser, a scheduler - is
looked for in its own folder, and then beside it, where a pipeline keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genwerk.core.errors import Unsupported, called
from genwerk.core.files import read_json
from genwerk.core.model import Config, Model, family
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import CLIPVocabulary
from genwerk.families.autoencoder_kl import AutoencoderKL
from genwerk.families.clip import CLIP
from genwerk.families.ddpm import DDPM, DDPMConfig
from genwerk.families.latent_diffusion import LatentDiffusion
from genwerk.families.text_encoder import TextEncoder, TextEncoderConfig
from genwerk.interop import networks, weights
from genwerk.interop.networks import SCALING, Json
from genwerk.interop.scheduler import read_process, read_sampling
from genwerk.interop.tokenizer import read_vocabulary, write_vocabulary
from genwerk.interop.weights import DIFFUSERS, TRANSFORMERS
from genwerk.nn.clip import TextTower
from genwerk.nn.diffusion import UNetConfig
from genwerk.nn.diffusion.unet import UNet

Described = tuple[Config, DataSpec]
Precision = torch.dtype | None

WROTE = "0.36.0"
"""Version of diffusers whose layout is written."""
STABLE_DIFFUSION: Json = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "skip_prk_steps": True,
}
"""The noise that a denoiser without a scheduler beside it is taken to be trained on."""
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pixels of OpenAI's training images, by channel."""
PREFIX = "text_model."
"""Before every tensor of a text tower in most files; in those of the newest transformers it is missing."""
ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""The autoencoder's attention in files of Stable Diffusion 1, and today."""


class Component(NamedTuple):
    """A class whose folders are opened: what its model is, and how that gets its weights."""

    describe: Callable[[Path], Described]
    fill: Callable[[Any, Path, Precision], None]


# --- the denoiser -----------------------------------------------------------------------------------------------------


def describe_unet(folder: Path) -> Described:
    """A DDPM of latents, with the noise of the scheduler beside it, or of Stable Diffusion."""
    config = config_of(folder)
    beside = folder.parent / "scheduler" / "scheduler_config.json"
    scheduler = read_scheduler(beside) if beside.is_file() else STABLE_DIFFUSION
    channels = networks.typed(config, networks.UNET)["out_channels"]
    spec = DataSpec(kind="latent", shape=(channels, *networks.sides(config, 64)))
    return denoiser_config(config, scheduler), spec


def read_scheduler(path: Path) -> Json:
    """A scheduler_config.json, in which diffusers writes infinities."""
    return read_json(path, infinities=True)


def denoiser_config(config: Json, scheduler: Json) -> DDPMConfig:
    """Settings of a DDPM that is this U-Net with this scheduler."""
    process, prediction = read_process(scheduler)
    network, context = networks.unet_settings(config)
    return DDPMConfig(
        network=network,
        context=context,
        schedule=process.schedule,
        steps=process.steps,
        prediction=prediction,
        sampling=read_sampling(scheduler),
    )


def fill_unet(model: DDPM, folder: Path, precision: Precision) -> None:
    assert isinstance(model.network, UNet)
    weights.read(model.network, folder, dtype=precision)
    autoencoder = folder.parent / "vae" / "config.json"
    model.centred.scale.fill_(scaling(read_json(autoencoder) if autoencoder.is_file() else {}))


def write_unet(model: DDPM, folder: Path, half: bool) -> None:
    """Write the U-Net; a ValueError says so where diffusers has no counterpart."""
    if not isinstance(model.config.network, UNetConfig) or not model.config.context or model.config.conditional:
        raise ValueError(
            "this denoiser attends to no text, and Stable Diffusion's does; train a latent diffusion model with a text "
            "part to export it"
        )
    config = stamped(networks.unet_json(model.config.network, model.config.context, model.spec))
    weights.write(folder, DIFFUSERS, model.network.state_dict(), config, half=half)


# --- the autoencoder --------------------------------------------------------------------------------------------------


def describe_autoencoder(folder: Path) -> Described:
    config = config_of(folder)
    channels = networks.typed(config, networks.AUTOENCODER)["in_channels"]
    spec = DataSpec(kind="image", shape=(channels, *networks.sides(config, 512)))
    return networks.autoencoder_config(config), spec


def fill_autoencoder(model: AutoencoderKL, folder: Path, precision: Precision) -> None:
    weights.read(model.network, folder, modern, dtype=precision)


def write_autoencoder(model: AutoencoderKL, folder: Path, half: bool, scale: float = SCALING) -> None:
    """Write the autoencoder, without its discriminator, for codes that are multiplied by ``scale``."""
    config = stamped(networks.autoencoder_json(model.config, model.spec, scale))
    weights.write(folder, DIFFUSERS, model.network.state_dict(), config, half=half)


def modern(name: str) -> str:
    """The name of today for one that the first files of Stable Diffusion use."""
    return re.sub(rf"\.({'|'.join(ATTENTION)})\.", lambda found: f".{ATTENTION[found[1]]}.", name)


def scaling(config: Json) -> float:
    """The factor on an autoencoder's codes that its config.json states, or that goes without saying."""
    given = config.get("scaling_factor") or SCALING
    return float(networks.typed({"scaling_factor": given}, {"scaling_factor": SCALING})["scaling_factor"])


def decimal(value: Tensor) -> float:
    """The shortest number that is this one in float32."""
    return float(str(value.cpu().numpy()[()]))


# --- text -------------------------------------------------------------------------------------------------------------


def describe_text(folder: Path) -> Described:
    """A text encoder with the tokeniser in its own folder, or in that of a pipeline."""
    config = config_of(folder)
    vocabulary = tokeniser(folder, networks.text_settings(config)["max_position_embeddings"])
    spec = DataSpec(kind="text", shape=(vocabulary.length,), captions=True, vocabulary=vocabulary)
    return networks.text_encoder_config(config), spec


def tokeniser(folder: Path, places: int) -> CLIPVocabulary:
    """The vocabulary in ``folder`` or in the folder "tokenizer" beside it, for so many ``places``."""
    for place in (folder, folder.parent / "tokenizer"):
        if (place / "vocab.json").is_file() or (place / "tokenizer.json").is_file():
            return read_vocabulary(place, places)
    raise ValueError(f"{folder} comes without its tokeniser; put vocab.json and merges.txt, or tokenizer.json, there")


def fill_text(model: TextEncoder, folder: Path, precision: Precision) -> None:
    weights.read(model.text_model, folder, unprefixed, dtype=precision)


def write_text(tower: TextTower, config: TextEncoderConfig, spec: DataSpec, folder: Path, half: bool) -> None:
    """Write a text tower without the last blocks that it leaves out."""
    left_out = tuple(f"encoder.layers.{i}." for i in range(config.layers - config.skip, config.layers))
    kept = {PREFIX + k: v for k, v in tower.state_dict().items() if not k.startswith(left_out)}
    weights.write(folder, TRANSFORMERS, kept, networks.text_json(config, spec), half=half)


def unprefixed(name: str) -> str | None:
    """A text tower's own name for a tensor; None for the numbers of the places, which old files hold."""
    return None if name.endswith("position_ids") else name.removeprefix(PREFIX)


# --- images with text -------------------------------------------------------------------------------------------------


def describe_clip(folder: Path) -> Described:
    config = config_of(folder)
    settings, shape = networks.clip_config(config)
    text = networks.typed(config, {"text_config": {}})["text_config"]
    vocabulary = tokeniser(folder, networks.text_settings(text)["max_position_embeddings"])
    return settings, DataSpec(kind="image", shape=shape, captions=True, vocabulary=vocabulary)


def fill_clip(model: CLIP, folder: Path, precision: Precision) -> None:
    weights.read(model, folder, lambda name: None if name.endswith("position_ids") else name, dtype=precision)
    path = folder / "preprocessor_config.json"
    settings = networks.typed(
        read_json(path) if path.is_file() else {}, {"image_mean": MEAN, "image_std": DEVIATION}, str(path)
    )
    for buffer, given in ((model.mean, settings["image_mean"]), (model.deviation, settings["image_std"])):
        found = networks.many(given)
        if len(found) != len(buffer):
            raise ValueError(f"{path} has {len(found)} channels, and the config.json beside it {len(buffer)}")
        buffer.copy_(torch.tensor(found).view(-1, 1, 1))


def write_clip(model: CLIP, folder: Path, half: bool) -> None:
    """Write CLIP with its tokeniser and what is done to pixels; a ValueError for one that reads by convolutions."""
    assert isinstance(model.spec.vocabulary, CLIPVocabulary)
    config, side = networks.clip_json(model.config, model.spec), model.spec.shape[1]
    ours = dict[str, Tensor](model.named_buffers())
    kept = {k: v for k, v in model.state_dict().items() if k not in ours}
    weights.write(folder, TRANSFORMERS, kept, config, half=half)
    write_vocabulary(model.spec.vocabulary, folder)
    weights.write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": model.spec.shape[0] == 3,
            "do_resize": True,
            "size": {"shortest_edge": side},
            "resample": 3,
            "do_center_crop": True,
            "crop_size": {"height": side, "width": side},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [*map(decimal, model.mean.flatten())],
            "image_std": [*map(decimal, model.deviation.flatten())],
        },
    )


# --- all of them ------------------------------------------------------------------------------------------------------

COMPONENTS = {
    "AutoencoderKL": Component(describe_autoencoder, fill_autoencoder),
    "UNet2DConditionModel": Component(describe_unet, fill_unet),
    "CLIPTextModel": Component(describe_text, fill_text),
    "CLIPModel": Component(describe_clip, fill_clip),
}
MODEL_TYPES = {"clip": "CLIPModel", "clip_text_model": "CLIPTextModel"}
"""Classes of transformers by the model_type of a config.json that names none."""


def class_of(config: Json) -> str | None:
    """The class that a config.json of diffusers or transformers is of; None for any other file."""
    architectures = config.get("architectures")
    named = config.get("_class_name") or (architectures[0] if isinstance(architectures, list) and architectures else "")
    found = named or MODEL_TYPES.get(str(config.get("model_type")))
    return found if isinstance(found, str) else None


def config_of(folder: Path) -> dict[str, Any]:
    return read_json(folder / "config.json")


def stamped(config: Json) -> dict[str, Any]:
    return {**config, "_diffusers_version": WROTE}


def write_model(model: Model, folder: Path, half: bool) -> None:
    """Write a single network; Unsupported names the recipes whose models have a counterpart."""
    match model:
        case AutoencoderKL():
            write_autoencoder(model, folder, half)
        case CLIP():
            write_clip(model, folder, half)
        case _:
            from genwerk.recipes import REGISTRY

            kinds = (LatentDiffusion, AutoencoderKL, CLIP)
            shown = (entry for _, entry in sorted(REGISTRY.items()) if not entry.reference)
            able = [entry.name for entry in shown if issubclass(family(entry.make(entry.spec).model), kinds)]
            raise Unsupported(
                f"{called(model)} has no counterpart in diffusers or transformers; recipes with one: {', '.join(able)}"
            )
