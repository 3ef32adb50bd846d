"""Recipes for NICE."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.nice import NICEConfig
from genwerk.recipes.autoregressive_flow import tails
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> NICEConfig:
    """Networks as wide as the data need."""
    width = 128 if spec.dims <= 128 else 1000
    widths = (width,) * (2 if spec.dims <= 128 else 5)
    return NICEConfig(couplings=4 if spec.dims > 2 else 6, widths=widths, tail_bound=tails(spec))


@register()
def nice(spec: DataSpec) -> Recipe:
    """NICE: additive couplings with a logistic prior (Dinh et al., 2015)."""
    optim = OptimConfig(lr=1e-3, schedule="cosine", warmup=100, clip_norm=10.0)
    return Recipe(model=fitted(spec), train=TrainConfig(rounds=5_000, optim={"model": optim}))


@register(reference=True)
def nice_mnist(spec: DataSpec) -> Recipe:
    """Bits a pixel of MNIST under the published NICE, for 2 CPU cores.

    Dinh et al., 2015, table 3: 1980.50 nats of pixels spread over [0, 1], which are 4.36 bits/dim; 4 couplings of
    5 x 1000 ReLU, batches of 200, 1500 epochs. Here the rate falls to 0 over 12 epochs: 4.91 bits/dim after about 27
    minutes of one core. Data of 128 values or fewer get narrower networks.
    `genwerk train nice-mnist --data MNIST_FOLDER --out runs/nice-mnist`.
    """
    return replace(
        nice(spec),
        train=TrainConfig(
            rounds=3_500,
            batch_size=200,
            optim={"model": OptimConfig(lr=1e-3, schedule="cosine", warmup=200, clip_norm=50.0)},
            log_every=200,
            sample_every=1_750,
            evaluate_every=500,
            save_every=500,
        ),
    )
