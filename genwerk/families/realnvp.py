"""RealNVP: couplings in which one half of the values scales and shifts the other, for tables and for images.

L. Dinh, J. Sohl-Dickstein, S. Bengio: Density estimation using Real NVP, 2017, arXiv:1605.08803. monotone "spline":
Durkan, Bekasov, Murray & Papamakarios, Neural Spline Flows, 2019, arXiv:1906.04032, whose RQ-NSF (C) this is.

Done differently: a checkerboard's squares are packed to half the height and width, so that networks see no holes and go
through a quarter of the places; logarithms of scales are bounded by ``bound`` and not by a learned one; networks are
not normalised, and between couplings stands the activation normalisation of Glow instead of running averages, so that
an example's likelihood never depends on its batch.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.families.instead import recipes_for
from genwerk.nn.flows.actnorm import ActNorm
from genwerk.nn.flows.conditioner import DenseConditioner
from genwerk.nn.flows.coupling import Build, Checkerboard, Coupling, Halves, Interleaved, Shape, Split
from genwerk.nn.flows.image import MultiScale, Squeeze, check_sides, squeezed
from genwerk.nn.flows.image_conditioner import ResNetConditioner
from genwerk.nn.flows.invertible import InvertibleConv
from genwerk.nn.flows.monotone import AffineConfig, Monotone, MonotoneConfig
from genwerk.nn.flows.transform import Chain, Transform
from genwerk.nn.mlp import Activation

Halving = Literal["halves", "interleaved"]


@dataclass(frozen=True, kw_only=True)
class Couplings(Component):
    """Settings of how couplings stand behind each other, and of their networks."""

    @abstractmethod
    def build(self, spec: DataSpec, monotone: Monotone, normalise: bool, context: int) -> Transform:
        """From examples to rows, conditioned on ``context`` numbers; ``normalise`` is before each coupling."""


@dataclass(frozen=True, kw_only=True)
class DenseCouplings(Couplings, kind="dense"):
    """Fully connected couplings in a row, for tables."""

    couplings: int = 8
    """Couplings; the two halves take turns."""
    split: Halving = "interleaved"
    """Whether every second column moves the others, or the first half of the columns the second."""
    mix: bool = False
    """Whether a learned invertible matrix mixes the columns before each coupling."""
    widths: tuple[int, ...] = (128, 128)
    """Units of the hidden layers of a coupling's network."""
    activation: Activation = "relu"
    """Function between layers."""

    def __post_init__(self) -> None:
        if self.couplings < 2:
            raise BadInput(f"couplings is {self.couplings}; with fewer than 2 some values would never move")

    def build(self, spec: DataSpec, monotone: Monotone, normalise: bool, context: int) -> Transform:
        if len(spec.shape) != 1:
            raise BadInput(f"dense couplings are for tables, and these data are {spec}; take multi-scale ones")
        split = Interleaved() if self.split == "interleaved" else Halves()
        network = partial(DenseConditioner, widths=self.widths, activation=self.activation, context=context)
        parts: list[Transform] = []
        for i in range(self.couplings):
            parts += [InvertibleConv(spec.shape)] if self.mix else []
            parts += [ActNorm(spec.shape)] if normalise else []
            parts.append(Coupling(spec.shape, split, monotone, network, swap=bool(i % 2)))
        return Chain(parts)


@dataclass(frozen=True, kw_only=True)
class MultiScaleCouplings(Couplings, kind="multi-scale"):
    """Convolutional couplings at several scales, for images.

    Per scale 3 checkerboard couplings, a squeeze and 3 channel couplings; 4 checkerboard ones at the last.
    """

    scales: int = 2
    """Scales, at each of which height and width are halved."""
    channels: int = 32
    """Channels of a coupling's network at the first scale; each scale has twice those of the one before."""
    blocks: int = 4
    """Residual blocks of a coupling's network."""

    def build(self, spec: DataSpec, monotone: Monotone, normalise: bool, context: int) -> Transform:
        if not spec.modality.has_pixels:
            raise BadInput(f"multi-scale couplings are for images, and these data are {spec}; take dense ones")
        check_sides(spec, self.scales, "model.architecture.scales")
        shape: Shape = spec.shape
        scales, shapes = [], []
        for i in range(self.scales):
            network = partial(ResNetConditioner, channels=self.channels * 2**i, blocks=self.blocks, context=context)

            def coupled(shape: Shape, split: Split, times: int, network: Build = network) -> list[Transform]:
                parts: list[Transform] = []
                for k in range(times):
                    parts += [ActNorm(shape)] if normalise else []
                    parts.append(Coupling(shape, split, monotone, network, swap=bool(k % 2)))
                return parts

            last = i == self.scales - 1
            parts = coupled(shape, Checkerboard(), 4 if last else 3)
            if not last:
                shape = squeezed(shape)
                parts += [Squeeze(), *coupled(shape, Halves(), 3)]
            scales.append(Chain(parts))
            shapes.append(shape)
            shape = shape[0] // 2, *shape[1:]
        return MultiScale(scales, shapes)


@dataclass(frozen=True, kw_only=True)
class RealNVPConfig(FlowConfig):
    """Settings of a RealNVP."""

    monotone: MonotoneConfig = field(default_factory=AffineConfig)
    """What moves a value."""
    normalise: bool = True
    """Whether activations are normalised before each coupling."""
    architecture: Couplings = field(default_factory=DenseCouplings)
    """How couplings stand behind each other, and their networks."""


class RealNVP(FlowModel, config=RealNVPConfig):
    """z = f(x) by couplings: dense ones in a row for tables, convolutional ones at several scales for images."""

    config: RealNVPConfig

    def __init__(self, config: RealNVPConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if not (spec.modality.has_columns or spec.modality.has_pixels):
            raise BadInput(f"RealNVP describes tables and images and these data are {spec}; {recipes_for(spec)}")
        monotone = config.monotone.build(config.tail_bound)
        self.flows(config.architecture.build(spec, monotone, config.normalise, self.condition.width))
