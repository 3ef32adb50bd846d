"""The config.json of networks in diffusers and transformers as settings of our families, and back.

Real files are shorter or longer than what any one version of those libraries writes. A key that is absent has the
default of its class; one that we do not know is ignored; one that asks for something that our networks have not is
refused by name. What we write gives every key, for a default is not remembered by those who read and save again.

diffusers calls the number of heads ``attention_head_dim`` in UNet2DConditionModel; in UNet2DModel, where the key is
what it is called, the number of heads follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import CLIPVocabulary
from genwerk.families.autoencoder_kl import AutoencoderKLConfig
from genwerk.families.clip import CLIPConfig
from genwerk.families.text_encoder import TextEncoderConfig
from genwerk.nn.clip import ViTConfig
from genwerk.nn.diffusion import UNetConfig

Json = Mapping[str, Any]

# --- the denoiser -----------------------------------------------------------------------------------------------------

UNET_FIXED: Json = {
    "act_fn": "silu",
    "center_input_sample": False,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "mid_block_scale_factor": 1,
    "only_cross_attention": False,
    "mid_block_only_cross_attention": None,
    "dual_cross_attention": False,
    "transformer_layers_per_block": 1,
    "reverse_transformer_layers_per_block": None,
    "num_attention_heads": None,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "class_embed_type": None,
    "num_class_embeds": None,
    "class_embeddings_concat": False,
    "projection_class_embeddings_input_dim": None,
    "addition_embed_type": None,
    "addition_time_embed_dim": None,
    "resnet_time_scale_shift": "default",
    "resnet_skip_time_act": False,
    "resnet_out_scale_factor": 1.0,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "time_embedding_act_fn": None,
    "timestep_post_act": None,
    "time_cond_proj_dim": None,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "attention_type": "default",
    "cross_attention_norm": None,
}
"""Keys of which our U-Net has one form."""
UNET: Json = {
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 1280,
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "dropout": 0.0,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "use_linear_projection": False,
}
"""Defaults of the keys that are read."""
UNET_IDLE: Json = {"upcast_attention": False, "addition_embed_type_num_heads": 64}
"""Keys that change nothing here."""


def unet_settings(config: Json) -> tuple[UNetConfig, int]:
    """Settings of a UNet2DConditionModel, and the number of channels of the context that it attends to."""
    check(config, UNET_FIXED)
    c = typed(config, UNET)
    widths = many(c["block_out_channels"])
    attention = tuple(kind.startswith("CrossAttn") for kind in many(c["down_block_types"]))
    check(c, _unet_blocks(attention))
    network = UNetConfig(
        widths=widths,
        blocks=whole(c, "layers_per_block"),
        attention=attention,
        heads=many(c["attention_head_dim"]),
        linear_projection=c["use_linear_projection"],
        groups=c["norm_num_groups"],
        norm_eps=c["norm_eps"],
        dropout=float(c["dropout"]),
        symmetric_padding=bool(c["downsample_padding"]),
        cosine_first=c["flip_sin_to_cos"],
        frequency_shift=c["freq_shift"],
        extra_channels=c["in_channels"] - c["out_channels"],
    )
    return network, whole(c, "cross_attention_dim")


def unet_json(config: UNetConfig, context: int, spec: DataSpec) -> dict[str, Any]:
    """The config.json of a UNet2DConditionModel that attends to ``context`` channels; ``spec`` is that of the codes."""
    if config.patch > 1:
        raise BadInput(
            f"this U-Net works on patches of {config.patch} pixels a side, for which diffusers has no counterpart; "
            "train with ‹model.prior.network.patch› 1 to export"
        )
    attention = tuple(config.attention)
    heads = list(config.heads)
    return {
        **UNET_FIXED,
        **UNET_IDLE,
        "_class_name": "UNet2DConditionModel",
        "sample_size": side(spec),
        "in_channels": spec.shape[0] + config.extra_channels,
        "out_channels": spec.shape[0],
        **_unet_blocks(attention),
        "block_out_channels": config.widths,
        "layers_per_block": config.blocks,
        "cross_attention_dim": context,
        "attention_head_dim": heads[0] if len(heads) == 1 else heads,
        "norm_num_groups": config.groups,
        "norm_eps": config.norm_eps,
        "dropout": config.dropout,
        "downsample_padding": int(config.symmetric_padding),
        "flip_sin_to_cos": config.cosine_first,
        "freq_shift": config.frequency_shift,
        "use_linear_projection": config.linear_projection,
    }


def _unet_blocks(attention: tuple[bool, ...]) -> Json:
    """Names of the levels, down and up again, that attend or do not."""
    return {
        "down_block_types": tuple(f"{'CrossAttn' * a}DownBlock2D" for a in attention),
        "up_block_types": tuple(f"{'CrossAttn' * a}UpBlock2D" for a in reversed(attention)),
    }


# --- the autoencoder --------------------------------------------------------------------------------------------------

AUTOENCODER_FIXED: Json = {
    "act_fn": "silu",
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "shift_factor": None,
    "latents_mean": None,
    "latents_std": None,
}
AUTOENCODER: Json = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",),
    "up_block_types": ("UpDecoderBlock2D",),
    "block_out_channels": (64,),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "mid_block_add_attention": True,
}
SCALING = 0.18215
"""Factor on the codes of Stable Diffusion 1 and 2, whose older files do not state it."""


def autoencoder_config(config: Json) -> AutoencoderKLConfig:
    """Settings of an AutoencoderKL, without a discriminator: files of diffusers have none."""
    check(config, AUTOENCODER_FIXED)
    c = typed(config, AUTOENCODER)
    widths = many(c["block_out_channels"])
    check(c, {**_autoencoder_blocks(len(widths)), "out_channels": c["in_channels"]})
    return AutoencoderKLConfig(
        widths=widths,
        blocks=whole(c, "layers_per_block"),
        latent=c["latent_channels"],
        groups=c["norm_num_groups"],
        attention=c["mid_block_add_attention"],
        adversarial=0.0,
    )


def autoencoder_json(config: AutoencoderKLConfig, spec: DataSpec, scaling: float) -> dict[str, Any]:
    """The config.json of an AutoencoderKL of images of ``spec``, whose codes are multiplied by ``scaling``."""
    return {
        **AUTOENCODER_FIXED,
        "_class_name": "AutoencoderKL",
        "sample_size": side(spec),
        "in_channels": spec.shape[0],
        "out_channels": spec.shape[0],
        **_autoencoder_blocks(len(config.widths)),
        "block_out_channels": config.widths,
        "layers_per_block": config.blocks,
        "latent_channels": config.latent,
        "norm_num_groups": config.groups,
        "mid_block_add_attention": config.attention,
        "scaling_factor": scaling,
        "force_upcast": True,
    }


def _autoencoder_blocks(levels: int) -> dict[str, Any]:
    return {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
    }


# --- text and images --------------------------------------------------------------------------------------------------

TOWER_FIXED: Json = {"layer_norm_eps": 1e-5, "attention_dropout": 0.0}
TEXT: Json = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
}
VISION: Json = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
}
IDLE: Json = {"dtype": "float32", "initializer_range": 0.02, "initializer_factor": 1.0}


def text_settings(config: Json) -> dict[str, Any]:
    """What a config.json of transformers says of a text tower, with defaults where it is silent."""
    return _tower(config, TEXT)


def text_encoder_config(config: Json) -> TextEncoderConfig:
    """Settings of a CLIPTextModel."""
    c = text_settings(config)
    return TextEncoderConfig(
        width=c["hidden_size"],
        layers=c["num_hidden_layers"],
        heads=c["num_attention_heads"],
        hidden=c["intermediate_size"],
        gelu=c["hidden_act"],
        size=c["vocab_size"],
    )


def text_json(config: TextEncoderConfig, spec: DataSpec) -> dict[str, Any]:
    """The config.json of a CLIPTextModel that is our text tower without the blocks it leaves out."""
    assert isinstance(spec.vocabulary, CLIPVocabulary)
    return {
        **TOWER_FIXED,
        **IDLE,
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": config.size or spec.vocabulary.size,
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers - config.skip,
        "num_attention_heads": config.heads,
        "max_position_embeddings": spec.vocabulary.length,
        "hidden_act": config.gelu,
        "projection_dim": config.width,
        "bos_token_id": spec.vocabulary.start,
        "eos_token_id": spec.vocabulary.end,
        "pad_token_id": spec.vocabulary.end if spec.vocabulary.pad == "end" else 0,
    }


def clip_config(config: Json) -> tuple[CLIPConfig, tuple[int, int, int]]:
    """Settings of a CLIPModel, and the shape of its images."""
    towers = typed(config, {"text_config": {}, "vision_config": {}, "projection_dim": 512})
    text, vision = _tower(towers["text_config"], TEXT), _tower(towers["vision_config"], VISION)
    for tower, c in (("text_config", text), ("vision_config", vision)):
        check(
            {f"{tower}: intermediate_size": c["intermediate_size"]},
            {f"{tower}: intermediate_size": 4 * c["hidden_size"]},
        )
    check({"vision_config: hidden_act": vision["hidden_act"]}, {"vision_config: hidden_act": text["hidden_act"]})
    images = ViTConfig(
        patch=vision["patch_size"],
        width=vision["hidden_size"],
        layers=vision["num_hidden_layers"],
        heads=vision["num_attention_heads"],
    )
    settings = CLIPConfig(
        tower=images,
        text_width=text["hidden_size"],
        text_layers=text["num_hidden_layers"],
        text_heads=text["num_attention_heads"],
        gelu=text["hidden_act"],
        embedding=towers["projection_dim"],
    )
    return settings, (vision["num_channels"], vision["image_size"], vision["image_size"])


def clip_json(config: CLIPConfig, spec: DataSpec) -> dict[str, Any]:
    """The config.json of a CLIPModel; ValueError for the convolutional tower, which has none."""
    tower = config.tower
    if not isinstance(tower, ViTConfig):
        raise BadInput(
            "this CLIP reads images by convolutions, for which transformers has no counterpart; train with "
            "‹model.tower› vit to export"
        )
    text = TextEncoderConfig(
        width=config.text_width,
        layers=config.text_layers,
        heads=config.text_heads,
        hidden=4 * config.text_width,
        gelu=config.gelu,
    )
    vision = {
        **TOWER_FIXED,
        **IDLE,
        "model_type": "clip_vision_model",
        "hidden_size": tower.width,
        "intermediate_size": 4 * tower.width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "num_channels": spec.shape[0],
        "image_size": spec.shape[1],
        "patch_size": tower.patch,
        "hidden_act": config.gelu,
        "projection_dim": config.embedding,
    }
    return {
        **IDLE,
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embedding,
        "logit_scale_init_value": 2.6592,
        "text_config": text_json(text, spec) | {"projection_dim": config.embedding},
        "vision_config": vision,
    }


def _tower(config: Json, defaults: Json) -> dict[str, Any]:
    check(config, TOWER_FIXED)
    c = typed(config, defaults)
    if c["hidden_act"] not in ("quick_gelu", "gelu"):
        raise ValueError(f"config.json has hidden_act {c['hidden_act']!r}; Genwerk's towers have quick_gelu and gelu")
    return c


# --- reading values ---------------------------------------------------------------------------------------------------

LARGEST = 2**20
"""Greatest whole number that a setting may be."""
BY_LEVEL = frozenset({"layers_per_block", "cross_attention_dim", "attention_head_dim"})
"""Settings that may be one number, or one for each level."""
ZERO = frozenset({"freq_shift", "downsample_padding", "steps_offset"})
"""Whole numbers that may be 0."""


def typed(config: Json, defaults: Json, where: str = "config.json") -> dict[str, Any]:
    """``config`` with ``defaults`` where it is silent; a BadFile names a value of another type than its default.

    A default of None takes anything; lists come as tuples, and null is silence where the default is an object.
    """
    found = {**defaults, **{key: tuple(v) if isinstance(v, list) else v for key, v in config.items()}}
    for key, default in defaults.items():
        value = found[key]
        if isinstance(default, dict) and value is None:
            found[key] = value = {}
        parts = value if isinstance(value, tuple) and (isinstance(default, tuple) or key in BY_LEVEL) else (value,)
        like = default[0] if isinstance(default, tuple) else default
        if not parts or not all(_is_like(part, like, key) for part in parts):
            raise BadFile(f"{where} has {key} {str(config[key])[:60]!r}; expected {_expected(like, key)}")
    return found


def _is_like(value: Any, like: Any, key: str) -> bool:
    match like:
        case None:
            return True
        case bool():
            return isinstance(value, bool)
        case int():
            least = 0 if key in ZERO else 1
            return isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST
        case float():
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case _:
            return isinstance(value, type(like))


def _expected(like: Any, key: str) -> str:
    match like:
        case bool():
            return "true or false"
        case int():
            return f"a whole number from {0 if key in ZERO else 1} to {LARGEST:,}"
        case float():
            return "a number"
        case str():
            return "a name"
        case _:
            return "an object"


def check(config: Json, only: Json) -> None:
    """ValueError for the first key of ``only`` to which ``config`` gives another value."""
    for key in only.keys() & config.keys():
        given = many(config[key]) if isinstance(only[key], tuple) else one(config[key])
        if given != only[key]:
            raise ValueError(f"config.json has {key} {config[key]!r}; Genwerk's network has {only[key]!r} only")


def one(value: Any) -> Any:
    """What a list gives each level, if that is the same for all; anything else as it is."""
    if isinstance(value, (list, tuple)) and len(value) > 0 and all(v == value[0] for v in value):
        return value[0]
    return tuple(value) if isinstance(value, list) else value


def many(value: Any) -> tuple[Any, ...]:
    """A list, of one if it is none."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def whole(config: Json, key: str) -> int:
    """A whole number that is the same for all levels."""
    value = one(config[key])
    if not isinstance(value, int):
        raise ValueError(f"config.json has {key} {value!r}; Genwerk's network has one number for all levels")
    return value


def sides(config: Json, default: int) -> tuple[int, int]:
    """Height and width that sample_size gives, as one number or two."""
    given = config.get("sample_size") or default
    found = typed({"sample_size": given}, {"sample_size": (default,)})["sample_size"]
    return (found[0], found[-1]) if isinstance(found, tuple) else (found, found)


def side(spec: DataSpec) -> int | list[int]:
    """Side in pixels of what ``spec`` describes, or height and width where they differ."""
    height, width = spec.shape[1:]
    return height if height == width else [height, width]
