"""Recipes for masked and inverse autoregressive flows."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.autoregressive_flow import IAFConfig, MAFConfig
from genwerk.nn.flows.base import MixtureBase
from genwerk.nn.flows.monotone import AffineConfig, SplineConfig
from genwerk.nn.flows.preprocessing import LogitTransform
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

POWER = DataSpec(kind="table", shape=(6,))
DECAY = 1.0
"""Weight decay of flows of wide tables, without which a few hundred rows are learned by heart (docs/choosing.md)."""
SIMULATION = DataSpec(kind="table", shape=(3,), columns=("a", "b", "c"), covariates=("x", "y"))


def fitted(spec: DataSpec) -> MAFConfig:
    """Few columns need many layers, for each layer does little; many columns need wide networks."""
    if spec.dims <= 4:
        bounded = AffineConfig(bound=1.0)
        return MAFConfig(layers=20, widths=(64, 64), monotone=bounded, tail_bound=tails(spec), normalise=False)
    widths = (128, 128) if spec.dims <= 128 else (1024,)
    return MAFConfig(layers=5, widths=widths, activation="silu", tail_bound=tails(spec))


def tails(spec: DataSpec) -> float | None:
    """Columns of a table may be of any size, and have linear tails from 5 standard deviations on; pixels may not."""
    return 5.0 if spec.modality.has_columns else None


def splines(spec: DataSpec) -> MAFConfig:
    """Three layers, for a spline does more than a scale and a shift; its interval reaches beyond all but outliers."""
    return replace(fitted(spec), monotone=SplineConfig(tail_bound=5.0), layers=3)


@register()
def maf(spec: DataSpec) -> Recipe:
    """A masked autoregressive flow: likelihoods in one pass (Papamakarios et al., 2017)."""
    narrow = spec.dims <= 4
    optim = OptimConfig(lr=2e-3 if narrow else 1e-3, schedule="cosine", warmup=100, clip_norm=10.0)
    if spec.modality.has_columns and not narrow:
        optim = replace(optim, name="adamw", weight_decay=DECAY)
    train = TrainConfig(rounds=7_000 if narrow else 5_000, batch_size=256 if narrow else 128, optim={"model": optim})
    return Recipe(model=fitted(spec), train=train)


@register()
def cmaf(spec: DataSpec) -> Recipe:
    """A masked autoregressive flow conditioned on the label, or on covariates (--data.covariates)."""
    return replace(maf(spec), model=replace(fitted(spec), conditional=True))


@register()
def maf_mixture(spec: DataSpec) -> Recipe:
    """MAF MoG: a masked autoregressive flow onto a learned mixture of Gaussians (Papamakarios et al., 2017)."""
    return replace(maf(spec), model=replace(fitted(spec), base=MixtureBase()))


@register()
def spline_maf(spec: DataSpec) -> Recipe:
    """RQ-NSF (AR): a masked autoregressive flow of rational-quadratic splines (Durkan et al., 2019)."""
    return replace(maf(spec), model=splines(spec))


@register(SIMULATION)
def cspline_maf(spec: DataSpec) -> Recipe:
    """A spline MAF conditioned on the label, or on covariates: columns of a table given others (--data.covariates).

    Trained on parameters of a simulator, given its output for them, it is the posterior of the parameters: neural
    posterior estimation, in one round (Papamakarios & Murray, 2016, arXiv:1605.06376; Greenberg et al., 2019,
    arXiv:1905.07488).
    """
    return replace(maf(spec), model=replace(splines(spec), conditional=True))


@register()
def iaf(spec: DataSpec) -> Recipe:
    """An inverse autoregressive flow: samples in one pass, likelihoods value by value (Kingma et al., 2016).

    Training by likelihood goes value by value too, so this is for few columns; a MAF learns the same faster.
    """
    small = fitted(spec)
    config = IAFConfig(layers=3, widths=small.widths, activation=small.activation, tail_bound=small.tail_bound)
    return replace(maf(spec), model=config)


@register(reference=True)
def maf_mnist(spec: DataSpec) -> Recipe:
    """The likelihood of MNIST in logit space, alpha 1e-6, under a MAF of 5 layers.

    Papamakarios et al., 2017, table 2 and appendix E: -1300.5 nats in logit space, 1.89 bits a pixel, which are -1027
    nats of the stored levels. 60 epochs here; the paper goes on until the validation likelihood has not risen for 30.
    Not run: `genwerk train maf-mnist --data MNIST_FOLDER --out runs/maf-mnist`.
    """
    model = MAFConfig(layers=5, widths=(1024,), degrees="random", pixel_transform=LogitTransform(logit_alpha=1e-6))
    optim = OptimConfig(lr=1e-4, weight_decay=1e-6)
    return replace(maf(spec), model=model, train=TrainConfig(rounds=36_000, batch_size=100, optim={"model": optim}))


@register(POWER, reference=True)
def maf_power(spec: DataSpec) -> Recipe:
    """The density of POWER under a MAF of 5 layers.

    Papamakarios et al., 2017, table 1: 0.14 nats (log-likelihood of the test rows, as that paper prepares them). 12
    epochs here; the paper goes on until the validation likelihood has not risen for 30.
    Not run: `genwerk train maf-power --data power:FOLDER --out runs/maf-power`.
    """
    model = MAFConfig(layers=5, widths=(100, 100))
    optim = OptimConfig(lr=1e-4, weight_decay=1e-6)
    train = TrainConfig(
        rounds=200_000, batch_size=100, optim={"model": optim}, evaluate_every=20_000, save_every=20_000
    )
    return replace(maf(spec), model=model, train=train)
