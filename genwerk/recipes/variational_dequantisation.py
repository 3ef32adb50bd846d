"""Recipes for flows whose dequantisation is learned."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.realnvp import MultiScaleCouplings
from genwerk.families.variational_dequantisation import VariationalDequantisationConfig
from genwerk.recipes.realnvp import fitted, realnvp
from genwerk.training.settings import Recipe, register


@register()
def realnvp_variational(spec: DataSpec) -> Recipe:
    """A RealNVP of images with learned noise within their levels (variational dequantisation, Ho et al., 2019)."""
    flow = fitted(spec)
    channels = flow.architecture.channels if isinstance(flow.architecture, MultiScaleCouplings) else 32
    return replace(realnvp(spec), model=VariationalDequantisationConfig(flow=flow, channels=channels))
