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

FIELDS: dict[str, dict[str, str]] = {}
"""Fields of settings of format 1 that have another name now, by the settings' name of today."""


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a ``config.json`` of format 1 or 2, as format 2 has it."""
    if config.get("format") != 1:
        return dict(config)
    return dict(config) | {"format": FORMAT, "recipe": _renamed(config.get("recipe"))}


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    kind = value.get("$type")
    name = CONFIGS.get(kind, kind) if isinstance(kind, str) else kind
    fields = FIELDS.get(name, {}) if isinstance(name, str) else {}
    renamed = {fields.get(k, k): _renamed(v) for k, v in value.items()}
    return renamed | ({"$type": name} if "$type" in value else {})
