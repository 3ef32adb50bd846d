"""Recipes for NICE."""

from __future__ import annotations

from genwerk.families.nice import NICEConfig
from genwerk.settings import Optim, Recipe, Train, register
from genwerk.spec import DataSpec


def fitted(spec: DataSpec) -> NICEConfig:
    """Networks as wide as the data need."""
    width = 128 if spec.dims <= 128 else 1000
    return NICEConfig(couplings=4 if spec.dims > 2 else 6, widths=(width,) * (2 if spec.dims <= 128 else 5))


@register()
def nice(spec: DataSpec) -> Recipe:
    """NICE: additive couplings with a logistic prior (Dinh et al., 2015)."""
    optim = Optim(lr=1e-3, schedule="cosine", warmup=100, clip_norm=10.0)
    return Recipe(model=fitted(spec), train=Train(rounds=5_000, optim={"model": optim}))
