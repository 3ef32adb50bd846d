"""Runs that older versions wrote, read as this one writes them: the names of format 1, and what they are called now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = 2
"""Version of the layout written here; newer ones are refused by name."""

CONFIGS = {
    "LatentConfig": "TwoStageConfig",
    "ByClassConfig": "PerClassConfig",
    "DequantisedConfig": "VariationalDequantisationConfig",
}
"""Families by the name of their settings in format 1."""

Names = dict[str, str]


def names(*kept: str, **renamed: str) -> Names:
    """Names of fields by those of format 1."""
    return {name: name for name in kept} | renamed


FLOWS = ("GlowConfig", "NICEConfig", "MAFConfig", "IAFConfig", "RealNVPConfig")
FIELDS: dict[str, Names] = {
    "AutoencoderKLConfig": names(likeness="perceptual_weight"),
    "DDPMConfig": names(drop="condition_dropout"),
    "EDMConfig": names(
        drop="condition_dropout", log_mean="p_mean", log_std="p_std", least="sigma_min", most="sigma_max"
    ),
    "GANConfig": names(spectral="spectral_norm"),
    "StyleGANConfig": names(group="minibatch_group", mixing="style_mixing"),
    **dict.fromkeys(FLOWS, names(squash="pixel_transform")),
    "VAEConfig": names(draws="importance_samples"),
}
"""Fields of settings of format 1 that have another name now, by the settings' name of today."""

UNTYPED: dict[str, Names] = {
    "data": names(given="covariates"),
    "spec": names(given="covariates"),
    "train": names(watch="watchdog"),
    "evaluate": names(draws="importance_samples"),
    "watchdog": names(
        slower="lr_factor",
        grace="warmup_rounds",
        spread="min_diversity",
        sure="max_discriminator_accuracy",
        worse="max_metric_ratio",
    ),
}
"""The same of settings that no ``$type`` names, by the field of today that they stand in."""

NETWORKS = {
    "dcgan": names("width", "discriminator_width", "kernel"),
    "mlp": names("width", "discriminator_width", "layers", "dropout", pieces="maxout_pieces"),
    "resnet": names("width", "discriminator_width"),
}
CODERS = {"mlp": names("widths", "activation"), "conv": names("widths", "activation")}
OBJECTIVES = {
    "non-saturating": names(),
    "minimax": names(),
    "least-squares": names("head", coding="lsgan_targets"),
    "wasserstein": names(),
    "hinge": names(),
}
DENOISERS = {
    "unet": names(
        "widths",
        "blocks",
        "attention",
        "heads",
        "linear_projection",
        "groups",
        "cosine_first",
        "frequency_shift",
        "patch",
        "dropout",
        eps="norm_eps",
        symmetric="symmetric_padding",
        extra="extra_channels",
    ),
    "dense": names("widths"),
}
BY_DATA = {
    "DDPMConfig": ("network", "dense", "unet"),
    "EDMConfig": ("network", "dense", "unet"),
    "RealNVPConfig": ("architecture", "dense", "multi-scale"),
}
"""Families of which the data chose the kind of a part: of which, its kind for rows, and its kind for others."""
ROWS = ("AutoencoderConfig", "VAEConfig")
"""Families whose codes are rows."""
SCHEDULES = {
    "linear": names(start="beta_start", end="beta_end"),
    "scaled-linear": names(start="beta_start", end="beta_end"),
    "cosine": names(),
}
FLOW = {
    "base": {"normal": names(), "logistic": names(), "mixture": names("components")},
    "squash": {"logit": names(edge="logit_alpha"), "none": names()},
}
MONOTONE = {"affine": names("bound"), "additive": names(), "spline": names("bins", reach="tail_bound")}
COUPLINGS = {
    "dense": names("couplings", "split", "mix", "widths", "activation"),
    "multi-scale": names("scales", "channels", "blocks"),
}
PARTS: dict[str, dict[str, dict[str, Names]]] = {
    "AutoencoderKLConfig": {
        "discriminator": {"": names(patch_width="width", patch_halvings="halvings", patch_norm="norm")}
    },
    "GANConfig": {"network": NETWORKS, "objective": OBJECTIVES},
    "StyleGANConfig": {
        "mapping": {"": names(style="width", mapping="layers")},
        "synthesis": {"": names("width", cap="max_width")},
    },
    "GlowConfig": FLOW,
    "NICEConfig": FLOW,
    "MAFConfig": {**FLOW, "monotone": MONOTONE},
    "IAFConfig": {**FLOW, "monotone": MONOTONE},
    "RealNVPConfig": {**FLOW, "monotone": MONOTONE, "architecture": COUPLINGS},
    "DDPMConfig": {"network": DENOISERS, "schedule": SCHEDULES},
    "EDMConfig": {"network": DENOISERS},
    "EGANConfig": {"network": NETWORKS},
    "VAEGANConfig": {"network": NETWORKS},
    "AutoencoderConfig": {"network": CODERS},
    "CLIPConfig": {
        "tower": {
            "conv": names("channels", image_width="width"),
            "vit": names("patch", image_width="width", image_layers="layers", image_heads="heads"),
        }
    },
    "VAEConfig": {
        "network": CODERS,
        "posterior": {"gaussian": names(), "iaf": names("steps", "activation", step_width="width")},
        "likelihood": {"bernoulli": names(), "gaussian": names("sigma"), "logistic": names()},
    },
    "BEGANConfig": {"network": {"conv": names("width"), "mlp": names("width", "layers")}},
}
"""By the settings' name: fields of format 1 that named a kind of part, and are its settings now. By kind: the fields
that are the part's now, by their name in format 1; those of other kinds were not read, and are left out. The first
kind is that of files older than the field; a part of one kind has no name for it."""


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a ``config.json`` of format 1 or 2, as format 2 has it."""
    spec = config.get("spec")
    if isinstance(spec, Mapping) and isinstance(words := spec.get("vocabulary"), Mapping):
        spec = {**spec, "vocabulary": {"$type": "clip", **words}}  # the only kind there was before kinds had names
        config = {**config, "spec": spec}
    if config.get("format") != 1:
        return dict(config)
    rows = isinstance(spec, Mapping) and spec.get("kind") == "table"
    return (
        dict(config)
        | {"format": FORMAT}
        | {part: _renamed(config.get(part), part, rows) for part in ("recipe", "spec")}
    )


def _renamed(value: Any, part: str, rows: bool) -> Any:
    """``value`` of the field ``part`` by its names of today; ``rows`` is whether it is of data that are rows."""
    if isinstance(value, list):
        return [_renamed(v, "", rows) for v in value]
    if not isinstance(value, Mapping):
        return value
    kind = value.get("$type")
    name = CONFIGS.get(kind, kind) if isinstance(kind, str) else kind
    if not isinstance(name, str):
        fields, nested = UNTYPED.get(part, {}), dict(value)
    else:
        settings = dict(value)
        if name in BY_DATA:
            chosen, of_rows, of_others = BY_DATA[name]
            settings.setdefault(chosen, of_rows if rows else of_others)
        fields, nested = FIELDS.get(name, {}), _nested(settings, PARTS.get(name, {})) | {"$type": name}
    if name == "LatentDiffusionConfig" and "drop" in nested:
        nested["prior"] = _with_dropout(nested.get("prior"), nested.pop("drop"), nested.get("text"))
    codes, first = rows, nested.get("autoencoder")
    if isinstance(first, Mapping):  # whose codes the prior is of
        codes = first.get("$type") in ROWS
    return {fields.get(k, k): _renamed(v, fields.get(k, k), codes if k == "prior" else rows) for k, v in nested.items()}


def _nested(settings: Mapping[str, Any], parts: Mapping[str, Mapping[str, Names]]) -> dict[str, Any]:
    """``settings`` with each of ``parts`` as settings of its own."""
    inner, moved = {}, set[str]()
    for part, kinds in parts.items():
        kind, first = settings.get(part), next(iter(kinds))
        if not first or (part not in settings and kinds[first].keys() & settings.keys()):
            kind = first
        if isinstance(kind, str) and kind in kinds:
            own = {new: settings[old] for old, new in kinds[kind].items() if old in settings}
            inner[part] = own | ({"$type": kind} if kind else {})
            moved |= {old for names in kinds.values() for old in names}
    return {k: v for k, v in settings.items() if k not in moved} | inner


def _with_dropout(prior: Any, share: Any, text: Any) -> Any:
    """``prior`` with the share of captions to leave out, which latent diffusion from a text had beside it."""
    return prior if text is None or not isinstance(prior, Mapping) else {**prior, "drop": share}
