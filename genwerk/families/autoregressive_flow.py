"""Masked and inverse autoregressive flows: each value moves as the values before it say, in orders that turn round.

MAF: G. Papamakarios, T. Pavlakou, I. Murray: Masked Autoregressive Flow for Density Estimation, 2017, arXiv:1705.07057.
IAF: D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever, M. Welling: Improved Variational Inference with
Inverse Autoregressive Flow, 2016, arXiv:1606.04934. With ``monotone`` "spline", RQ-NSF (AR): C. Durkan, A. Bekasov,
I. Murray, G. Papamakarios: Neural Spline Flows, 2019, arXiv:1906.04032.

A MAF has the likelihood of an example in one pass, and makes examples value by value; an IAF is the same walked the
other way: examples in one pass, and likelihoods (training by them, too) value by value.

Done differently: activation normalisation in place of batch normalisation, so that examples do not depend on each other
and no statistics have to be taken again after training; log-scales are bounded; a label conditions the first value as
well. The splines stand on plain MADEs with orders that turn round, not on residual networks with linear layers between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from genwerk.core.spec import DataSpec
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.nn.flows.actnorm import ActNorm
from genwerk.nn.flows.autoregressive import Autoregressive, Inversion
from genwerk.nn.flows.made import MADE, Degrees
from genwerk.nn.flows.monotone import AffineConfig, MonotoneConfig
from genwerk.nn.flows.transform import Chain, Flatten, Inverse, Transform
from genwerk.nn.mlp import Activation

Order = Literal["reverse", "random"]


@dataclass(frozen=True, kw_only=True)
class MAFConfig(FlowConfig):
    """Settings of a masked autoregressive flow."""

    layers: int = 5
    """Autoregressive layers, each with a network of its own."""
    widths: tuple[int, ...] = (512,)
    """Units of the hidden layers of each network."""
    activation: Activation = "relu"
    """Function between layers."""
    degrees: Degrees = "even"
    """How far the hidden units see: as many units for every value, or drawn at random."""
    order: Order = "reverse"
    """Order of the values in the next layer: turned round, or drawn at random."""
    monotone: MonotoneConfig = field(default_factory=AffineConfig)
    """How a value moves."""
    normalise: bool = True
    """Whether activations are normalised before each layer."""
    inversion: Inversion = "jacobi"
    """The slow way: many values at a time by fixed-point iteration, or one after the other."""

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"layers is {self.layers}; a flow needs 1 or more")


@dataclass(frozen=True, kw_only=True)
class IAFConfig(MAFConfig):
    """Settings of an inverse autoregressive flow, which are those of the masked one."""


class MAF(FlowModel, config=MAFConfig):
    """z_i = exp(s_i) x_i + t_i, or a spline of x_i, with parameters from x_j before i; likelihoods are one pass."""

    config: MAFConfig

    def __init__(self, config: MAFConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.flows(stack(config, spec, self.condition.width))


class IAF(FlowModel, config=IAFConfig):
    """x_i = exp(s_i) z_i + t_i, or a spline of z_i, with parameters from z_j before i; samples are one pass."""

    config: IAFConfig

    def __init__(self, config: IAFConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.flows(stack(config, spec, self.condition.width, inverse=True))


def stack(config: MAFConfig, spec: DataSpec, context: int, *, inverse: bool = False) -> Chain:
    """From data to latent, conditioned on ``context`` numbers; ``inverse`` walks autoregressive layers backwards."""
    monotone = config.monotone.build(config.tail_bound)
    parts: list[Transform] = [Flatten(spec.shape)]
    for i, order in enumerate(orders(config.order, spec.dims, config.layers)):
        if config.normalise:
            parts.append(ActNorm((spec.dims,)))
        made = MADE(spec.dims, monotone.size, config.widths, config.activation, context, config.degrees, seed=i)
        layer = Autoregressive(made, monotone, order, inversion=config.inversion)
        parts.append(Inverse(layer) if inverse else layer)
    return Chain(parts)


def orders(kind: Order, dims: int, layers: int) -> list[list[int]]:
    """For each layer, the column that comes first, second and so on; the first layer takes them as they stand."""
    found = [list(range(dims))]
    random = Random(0)
    for _ in range(layers - 1):
        found.append(found[-1][::-1] if kind == "reverse" else shuffled(dims, random))
    return found


def shuffled(dims: int, random: Random) -> list[int]:
    """The numbers below ``dims`` in an order that depends on nothing but the state of ``random``."""
    keys = [random.random() for _ in range(dims)]
    return sorted(range(dims), key=keys.__getitem__)
