"""The recipe of image-to-image diffusion."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.degradation import Holes
from genwerk.core.spec import DataSpec
from genwerk.families.palette import PaletteConfig
from genwerk.recipes.ddpm import ddpm, fitted
from genwerk.recipes.pix2pix import COLOUR, paired
from genwerk.training.settings import Recipe, register


@register(spec=COLOUR)
def palette(spec: DataSpec) -> Recipe:
    """Palette: diffusion that fills holes, or learns another task (`--model.degradation downscale`, `noise`, `grey`).

    A translation is a draw: another `--seed` gives another (Saharia et al., 2022).
    """
    base = ddpm(spec)
    model = PaletteConfig(degradation=paired(spec, Holes()), diffusion=fitted(spec))
    return replace(base, model=model, train=replace(base.train, evaluate_every=0))
