"""Stable Diffusion in the small: random pipelines, built and saved by diffusers and transformers themselves."""

from __future__ import annotations

import importlib.util
import json
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

MERGES = ("c a", "ca t</w>")
GAIN = 5
"""Factor on what a random U-Net says, so that it and the way of sampling show in the picture."""


@contextmanager
def without_torchvision():
    """A torchvision that does not fit torch breaks transformers; nothing here needs it."""
    find = importlib.util.find_spec

    def hidden(name: str, *args: Any) -> Any:
        return None if name.split(".")[0] == "torchvision" else find(name, *args)

    with mock.patch("importlib.util.find_spec", hidden):
        yield


with without_torchvision():
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    from diffusers import (  # noqa: F401
        AutoencoderKL,
        DDIMScheduler,
        DPMSolverMultistepScheduler,
        EulerAncestralDiscreteScheduler,
        EulerDiscreteScheduler,
        HeunDiscreteScheduler,
        PNDMScheduler,
        StableDiffusionImg2ImgPipeline,
        StableDiffusionInpaintPipeline,
        StableDiffusionPipeline,
        UNet2DConditionModel,
        UniPCMultistepScheduler,
    )
    from transformers import CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer  # noqa: F401

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULERS = {
    "ddim": lambda: DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    "pndm": lambda: PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1),
    "euler": lambda: EulerDiscreteScheduler(**BETAS, steps_offset=1),
    "dpmpp2m": lambda: DPMSolverMultistepScheduler(**BETAS, steps_offset=1),
    "heun": lambda: HeunDiscreteScheduler(**BETAS),
    "ddim, trailing": lambda: DDIMScheduler(**BETAS, clip_sample=False, steps_offset=1, timestep_spacing="trailing"),
    "euler, leading": lambda: EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
    "euler, karras": lambda: EulerDiscreteScheduler(**BETAS, steps_offset=1, use_karras_sigmas=True),
    "dpmpp2m, leading": lambda: DPMSolverMultistepScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
    "dpmpp2m, trailing": lambda: DPMSolverMultistepScheduler(**BETAS, timestep_spacing="trailing"),
    "dpmpp2m of v": lambda: DPMSolverMultistepScheduler(**BETAS, prediction_type="v_prediction"),
    "dpmpp2m, not to the end": lambda: DPMSolverMultistepScheduler(**BETAS, final_sigmas_type="sigma_min"),
    "dpmpp2m-sde": lambda: DPMSolverMultistepScheduler(
        **BETAS, algorithm_type="sde-dpmsolver++", use_karras_sigmas=True
    ),
    "euler-ancestral": lambda: EulerAncestralDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
    "euler, karras within leading": lambda: EulerDiscreteScheduler(
        **BETAS, steps_offset=1, timestep_spacing="leading", use_karras_sigmas=True
    ),
    "unipc": lambda: UniPCMultistepScheduler(**BETAS, steps_offset=1),
    "unipc, karras": lambda: UniPCMultistepScheduler(**BETAS, use_karras_sigmas=True),
}
TINY = {
    "unet": {
        "block_out_channels": (4, 8),
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "cross_attention_dim": 8,
        "attention_head_dim": 2,
        "sample_size": 8,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    },
    "vae": {"block_out_channels": (4, 8), "norm_num_groups": 2, "sample_size": 16},
    "text": {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
}
FOUR_LEVELS = {
    "unet": {
        "block_out_channels": (32, 32, 64, 64),
        "norm_num_groups": 8,
        "cross_attention_dim": 32,
        "attention_head_dim": (1, 2, 4, 4),
        "use_linear_projection": True,
        "sample_size": 8,
    },
    "vae": {"block_out_channels": (16, 16, 32, 32), "norm_num_groups": 8, "layers_per_block": 2, "sample_size": 64},
    "text": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "hidden_act": "gelu",
    },
}


def tokenizer(folder: Path, merges: tuple[str, ...] = MERGES, **settings: Any) -> CLIPTokenizer:
    """The tokeniser of section 3e with few merges, in the form of vocab.json and merges.txt in ``folder``."""
    from tokenizers import pre_tokenizers

    printable = [chr(i) for i in (*range(33, 127), *range(161, 173), *range(174, 256))]
    others = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(printable))
    alphabet = [*printable, *others]
    joined = [pair.replace(" ", "") for pair in merges]
    symbols = [*alphabet, *(a + "</w>" for a in alphabet), *joined, "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77, **settings)


def pipeline(folder: Path, sizes: dict[str, Any] = TINY, scheduler: str = "ddim", channels: int = 4, **unet: Any):
    """A random StableDiffusionPipeline, or with 9 channels StableDiffusionInpaintPipeline, of ``sizes``."""
    torch.manual_seed(0)
    levels = len(sizes["vae"]["block_out_channels"])
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels, **sizes["vae"]
    )
    text = CLIPTextModel(CLIPTextConfig(vocab_size=1000, eos_token_id=2, **sizes["text"]))
    kind = StableDiffusionPipeline if channels == 4 else StableDiffusionInpaintPipeline
    made = kind(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer(folder / "made"),
        unet=UNet2DConditionModel(in_channels=channels, **{**sizes["unet"], **unet}),
        scheduler=SCHEDULERS[scheduler](),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with torch.no_grad():
        made.unet.conv_out.weight *= GAIN
    made.set_progress_bar_config(disable=True)
    return made


def saved(folder: Path, *args: Any, **settings: Any) -> Path:
    """The folder of such a pipeline, as diffusers writes it."""
    pipeline(folder, *args, **settings).save_pretrained(folder / "saved")
    return folder / "saved"


@cache
def opened(folder: Path, kind: Any = StableDiffusionPipeline) -> Any:
    """A saved pipeline, as diffusers opens it."""
    found = kind.from_pretrained(folder, safety_checker=None)
    found.set_progress_bar_config(disable=True)
    return found
