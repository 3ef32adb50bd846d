"""Which recipes to take for data that a family cannot describe."""

from __future__ import annotations

from genwerk.core.spec import DataSpec


def recipes_for(spec: DataSpec) -> str:
    """The end of a sentence that names recipes for the kind of data of ``spec``."""
    modality = spec.modality
    if modality.is_text:
        return "take the recipe transformer-lm"
    if modality.is_sequence:
        return "take the recipe wavenet"
    return "take the recipe ddpm" if modality.has_pixels else "take the recipe maf or mixture"
