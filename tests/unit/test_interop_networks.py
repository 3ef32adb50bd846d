"""Folders of single networks: settings and outputs as in diffusers and transformers, and the sizes of the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from pipelines import (
    FOUR_LEVELS,
    TINY,
    AutoencoderKL,
    CLIPModel,
    CLIPTextModel,
    UNet2DConditionModel,
    saved,
    tokenizer,
    transformers,
)
from safetensors.torch import load_file, save_file
from torch import nn

from genwerk import interop
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import CLIPVocabulary
from genwerk.diffusion.schedule import ScaledLinear
from genwerk.families.autoencoder_kl import AutoencoderKLConfig
from genwerk.families.clip import CLIPConfig
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.text_encoder import TextEncoderConfig
from genwerk.interop import networks
from genwerk.interop.components import denoiser_config
from genwerk.nn.clip import ViTConfig
from genwerk.nn.diffusion import UNetConfig

CLOSE = {"rtol": 0, "atol": 1e-5}
SIZES = {"tiny": TINY, "four": FOUR_LEVELS}


@pytest.fixture(scope="module", params=SIZES)
def folder(request, tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("networks"), SIZES[request.param])


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


# --- outputs ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_unet_says_the_same(folder: Path) -> None:
    ours, theirs = interop.load(folder / "unet"), UNet2DConditionModel.from_pretrained(folder / "unet")
    x, context = normal(2, *ours.spec.shape), normal(2, 7, ours.config.context)
    t = torch.tensor([981, 3])
    torch.testing.assert_close(ours.network(x, t, context), theirs(x, t, context).sample, **CLOSE)


@torch.no_grad()
def test_the_autoencoder_does_the_same(folder: Path) -> None:
    ours, theirs = interop.load(folder / "vae"), AutoencoderKL.from_pretrained(folder / "vae")
    x = normal(2, *ours.spec.shape).sigmoid()
    mean, log_var = ours.posterior(x)
    posterior = theirs.encode(2 * x - 1).latent_dist
    torch.testing.assert_close(mean, posterior.mean, **CLOSE)
    torch.testing.assert_close(log_var, posterior.logvar, **CLOSE)
    decoded = (theirs.decode(mean).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(ours.decode(mean), decoded, **CLOSE)


@torch.no_grad()
def test_the_text_encoder_reads_the_same(folder: Path) -> None:
    ours, theirs = interop.load(folder / "text_encoder"), CLIPTextModel.from_pretrained(folder / "text_encoder")
    ids = ours.spec.vocabulary.encode(["a cat", ""])
    torch.testing.assert_close(ours.context(ids), theirs(ids).last_hidden_state, **CLOSE)


def test_a_network_alone_takes_what_stands_beside_it(folder: Path) -> None:
    unet = interop.load(folder / "unet")
    assert unet.config.schedule == ScaledLinear()
    assert unet.centred.scale == torch.tensor(0.18215)
    assert interop.load(folder / "text_encoder").spec.vocabulary == interop.load(folder).spec.vocabulary


# --- CLIP -------------------------------------------------------------------------------------------------------------


def clip(folder: Path, **vision: Any) -> Path:
    """A random CLIPModel of transformers, saved with its tokeniser and the preparation of pixels."""
    torch.manual_seed(0)
    tower = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu"}
    config = transformers.CLIPConfig(
        text_config={"vocab_size": 516, "hidden_size": 12, "intermediate_size": 48, "eos_token_id": 515, **tower},
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 64,
            "image_size": 12,
            "patch_size": 4,
            **tower,
            **vision,
        },
        projection_dim=10,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4]})
    )
    return folder


def similarities(folder: Path, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Scaled cosines of images and texts by transformers, which takes pixels as its processor would give them."""
    model = CLIPModel.from_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    mean, deviation = (torch.tensor(settings[key]).view(-1, 1, 1) for key in ("image_mean", "image_std"))
    return model(pixel_values=(x - mean) / deviation, input_ids=ids).logits_per_image


@torch.no_grad()
def test_clip_finds_the_same_alike(tmp_path: Path) -> None:
    folder = clip(tmp_path / "clip")
    ours, x = interop.load(folder), normal(3, 3, 12, 12).sigmoid()
    ids = ours.spec.vocabulary.encode(["a cat", "dog", ""])
    found = ours.logit_scale.exp() * ours.embed(x) @ ours.embed_text(ids).T
    torch.testing.assert_close(found, similarities(folder, x, ids), **CLOSE)
    again = interop.save(ours, tmp_path / "again")
    torch.testing.assert_close(found, similarities(again, x, ids), **CLOSE)
    assert interop.load(again).config == ours.config


@torch.no_grad()
def test_our_clip_is_read_by_transformers(tmp_path: Path) -> None:
    torch.manual_seed(2)
    spec = DataSpec(
        kind="image", shape=(1, 8, 8), captions=True, vocabulary=CLIPVocabulary(merges=("c a",), pad="zero")
    )
    ours = build(CLIPConfig(tower=ViTConfig(patch=4, width=16, layers=2), embedding=8), spec).eval()
    ours.mean.fill_(0.3)
    folder, x = interop.save(ours, tmp_path / "clip"), normal(2, 1, 8, 8).sigmoid()
    ids = spec.vocabulary.encode(["a cat sat", "7"])
    found = ours.logit_scale.exp() * ours.embed(x) @ ours.embed_text(ids).T
    torch.testing.assert_close(found, similarities(folder, x, ids), **CLOSE)
    assert interop.load(folder).spec == spec


def test_a_convolutional_clip_has_no_counterpart(tmp_path: Path) -> None:
    spec = DataSpec(kind="image", shape=(3, 16, 16), captions=True, vocabulary=CLIPVocabulary())
    with pytest.raises(ValueError, match=r"reads images by convolutions.*model.tower vit"):
        interop.save(build(CLIPConfig(), spec), tmp_path / "clip")


# --- settings ---------------------------------------------------------------------------------------------------------


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def public(module: Any) -> dict[str, Any]:
    """All settings of a network of diffusers."""
    return {key: value for key, value in module.config.items() if not key.startswith("_")}


STABLE_DIFFUSION_1: dict[str, dict[str, Any]] = {
    "unet": {
        "_class_name": "UNet2DConditionModel",
        "_diffusers_version": "0.6.0",
        "act_fn": "silu",
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "center_input_sample": False,
        "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": 32,
        "out_channels": 4,
        "sample_size": 64,
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    },
    "vae": {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "layers_per_block": 2,
        "sample_size": 512,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
    "text": {
        "architectures": ["CLIPTextModel"],
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "model_type": "clip_text_model",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
    },
}
"""What the files of Stable Diffusion 1.5 say."""


def test_stable_diffusion_has_its_keys_and_sizes() -> None:
    """UNet 859,520,964, autoencoder 83,653,863 and text encoder 123,060,480 parameters."""
    latents, images = DataSpec(kind="latent", shape=(4, 64, 64)), DataSpec(kind="image", shape=(3, 512, 512))
    texts = DataSpec(kind="text", shape=(77,), captions=True, vocabulary=CLIPVocabulary())
    unet, vae, text = STABLE_DIFFUSION_1.values()
    with torch.device("meta"):
        ours = (
            build(denoiser_config(unet, {"_class_name": "DDIMScheduler"}), latents).network,
            build(networks.autoencoder_config(vae), images).network,
            build(networks.text_encoder_config(text), texts).text_model,
        )
        theirs = (
            UNet2DConditionModel.from_config(unet),
            AutoencoderKL.from_config(vae),
            CLIPTextModel(transformers.CLIPTextConfig(**text)),
        )
    assert [parameters(module) for module in ours] == [859_520_964, 83_653_863, 123_060_480]
    assert [shapes(module) for module in ours] == [shapes(module) for module in theirs]


@pytest.mark.parametrize(
    "settings",
    [
        {"attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True, "cross_attention_dim": 1024},
        {"in_channels": 9, "cross_attention_dim": 768},
        {"layers_per_block": 1, "dropout": 0.1, "norm_eps": 1e-6, "flip_sin_to_cos": False, "freq_shift": 1},
    ],
)
def test_settings_of_a_unet_go_there_and_back(settings: dict[str, Any]) -> None:
    with torch.device("meta"):
        theirs = UNet2DConditionModel(sample_size=64, **settings)
        config = denoiser_config(public(theirs), {})
        spec = DataSpec(kind="latent", shape=(4, 64, 64))
        model = build(config, spec)
    assert shapes(model.network) == shapes(theirs)
    assert isinstance(config, DDPMConfig)
    assert isinstance(config.network, UNetConfig)
    written = json.loads(json.dumps(networks.unet_json(config.network, config.context, spec)))
    expected = json.loads(json.dumps(public(theirs)))
    assert {key: written.get(key) for key in expected} == expected


def test_settings_of_an_autoencoder_go_there_and_back() -> None:
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    with torch.device("meta"):
        theirs = AutoencoderKL(block_out_channels=(32, 64), mid_block_add_attention=False, in_channels=1,
                               out_channels=1, **kinds)  # fmt: skip
        config = networks.autoencoder_config(public(theirs))
        spec = DataSpec(kind="image", shape=(1, 32, 32))
        assert shapes(build(config, spec).network) == shapes(theirs)
    assert isinstance(config, AutoencoderKLConfig)
    assert config.adversarial == 0
    written = json.loads(json.dumps(networks.autoencoder_json(config, spec, 0.18215)))
    expected = json.loads(json.dumps(public(theirs)))
    assert {key: written.get(key) for key in expected} == expected


def test_keys_that_are_missing_or_unknown_do_no_harm() -> None:
    config = networks.text_encoder_config({"hidden_size": 768, "transformers_version": "9", "eos_token_id": 2})
    assert isinstance(config, TextEncoderConfig)
    assert (config.width, config.hidden, config.layers, config.size) == (768, 2048, 12, 49408)


@pytest.mark.parametrize(
    "read, config, says",
    [
        (networks.unet_settings, {"act_fn": "gelu"}, "act_fn 'gelu'; Genwerk's network has 'silu' only"),
        (networks.unet_settings, {"transformer_layers_per_block": [1, 2, 10]}, "transformer_layers_per_block"),
        (networks.unet_settings, {"layers_per_block": [1, 2, 2, 2]}, "one number for all levels"),
        (networks.unet_settings, {"up_block_types": ["UpBlock2D"] * 4}, "up_block_types"),
        (networks.unet_settings, {"addition_embed_type": "text_time"}, "addition_embed_type 'text_time'"),
        (networks.autoencoder_config, {"block_out_channels": [32, 64]}, "block_types"),
        (networks.autoencoder_config, {"shift_factor": 0.1}, "shift_factor 0.1"),
        (networks.text_encoder_config, {"hidden_act": "relu"}, "quick_gelu and gelu"),
        (networks.clip_config, {"text_config": {"intermediate_size": 7}}, "text_config: intermediate_size 7"),
    ],
)
def test_what_our_networks_have_not_is_refused_by_name(read: Any, config: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(config)


# --- spellings --------------------------------------------------------------------------------------------------------


def respelt(folder: Path, **names: str) -> None:
    """Write the weights in ``folder`` again, with each name put in place of another."""
    path = next(folder.glob("*.safetensors"))
    tensors = load_file(path)
    for new, old in names.items():
        new = new.replace("__", ".")
        assert any(old in name for name in tensors)
        tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    save_file(tensors, path)


def test_old_names_of_attention_are_read(folder: Path, tmp_path: Path) -> None:
    folder = copytree(folder / "vae", tmp_path / "vae")
    before = interop.load(folder).state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    respelt(folder, __query__=".to_q.", __key__=".to_k.", __value__=".to_v.", __proj_attn__=".to_out.0.")
    after = interop.load(folder).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("prefixed", [True, False])
def test_text_towers_are_read_with_and_without_prefix(folder: Path, tmp_path: Path, prefixed: bool) -> None:
    folder = copytree(folder, tmp_path / "whole") / "text_encoder"
    before = {name: tensor.clone() for name, tensor in interop.load(folder).state_dict().items()}
    path = folder / "model.safetensors"
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in load_file(path).items()}
    tensors["embeddings.position_ids"] = torch.arange(77).unsqueeze(0)
    prefix = "text_model." if prefixed else ""
    save_file({prefix + name: tensor for name, tensor in tensors.items()}, path)
    after = interop.load(folder).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
