"""RealNVP: couplings in which one half of the values scales and shifts the other, for tables and for images.

L. Dinh, J. Sohl-Dickstein, S. Bengio: Density estimation using Real NVP, 2017, arXiv:1605.08803. monotone "spline":
Durkan, Bekasov, Murray & Papamakarios, Neural Spline Flows, 2019, arXiv:1906.04032, whose RQ-NSF (C) this is.

Done differently: a checkerboard's squares are packed to half the height and width, so that networks see no holes and go
through a quarter of the places; logarithms of scales are bounded by ``bound`` and not by a learned one; networks are
not normalised, and between couplings stands the activation normalisation of Glow instead of running averages, so that
an example's likelihood never depends on its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from genwerk.core.spec import DataSpec
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.nn.flows.actnorm import ActNorm
from genwerk.nn.flows.conditioner import DenseConditioner
from genwerk.nn.flows.coupling import Build, Checkerboard, Coupling, Halves, Interleaved, Shape, Split
from genwerk.nn.flows.image import MultiScale, Squeeze, check_sides, squeezed
from genwerk.nn.flows.image_conditioner import ResNetConditioner
from genwerk.nn.flows.invertible import InvertibleConv
from genwerk.nn.flows.monotone import MonotoneName, make_monotone
from genwerk.nn.flows.transform import Chain, Transform
from genwerk.nn.mlp import Activation

Halving = Literal["halves", "interleaved"]


@dataclass(frozen=True, kw_only=True)
class RealNVPConfig(FlowConfig):
    """Settings of a RealNVP."""

    monotone: MonotoneName = "affine"
    """What moves a value: a shift (additive), a scale and a shift (affine), or a rational-quadratic spline."""
    bound: float = 3.0
    """Greatest logarithm of an affine scale, either way."""
    bins: int = 8
    """Bins of a spline."""
    reach: float = 3.0
    """Half the side of the interval in which a spline moves values, in standard deviations of a column."""
    normalise: bool = True
    """Whether activations are normalised before each coupling."""
    couplings: int = 8
    """Tables: couplings; the two halves take turns."""
    split: Halving = "interleaved"
    """Tables: whether every second column moves the others, or the first half of the columns the second."""
    mix: bool = False
    """Tables: whether a learned invertible matrix mixes the columns before each coupling."""
    widths: tuple[int, ...] = (128, 128)
    """Tables: units of the hidden layers of a coupling's network."""
    activation: Activation = "relu"
    """Tables: function between layers."""
    scales: int = 2
    """Images: scales, at each of which height and width are halved."""
    channels: int = 32
    """Images: channels of a coupling's network at the first scale; each scale has twice those of the one before."""
    blocks: int = 4
    """Images: residual blocks of a coupling's network."""

    def __post_init__(self) -> None:
        if self.couplings < 2:
            raise ValueError(f"couplings is {self.couplings}; with fewer than 2 some values would never move")


class RealNVP(FlowModel, config=RealNVPConfig):
    """z = f(x) by couplings: dense ones in a row for tables, convolutional ones at several scales for images."""

    config: RealNVPConfig

    def __init__(self, config: RealNVPConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if not (spec.modality.has_columns or spec.modality.has_pixels):
            raise ValueError(f"RealNVP describes tables and images and these data are {spec}; take the recipe wavenet")
        self.monotone = make_monotone(
            config.monotone, bound=config.bound, bins=config.bins, reach=config.reach, tail_bound=config.tail_bound
        )
        if spec.modality.has_columns:
            self.flows(self._columns())
        else:
            check_sides(spec, config.scales)
            self.flows(self._images())

    def _columns(self) -> Transform:
        shape, config = self.spec.shape, self.config
        split = Interleaved() if config.split == "interleaved" else Halves()
        build = partial(
            DenseConditioner, widths=config.widths, activation=config.activation, context=self.condition.width
        )
        parts: list[Transform] = []
        for i in range(config.couplings):
            if config.mix:
                parts.append(InvertibleConv(shape))
            parts += self._coupling(shape, split, build, swap=bool(i % 2))
        return Chain(parts)

    def _images(self) -> Transform:
        """Per scale 3 checkerboard couplings, a squeeze and 3 channel couplings; 4 checkerboard ones at the last."""
        shape: Shape = self.spec.shape
        scales, shapes = [], []
        for i in range(self.config.scales):
            last = i == self.config.scales - 1
            build = partial(
                ResNetConditioner,
                channels=self.config.channels * 2**i,
                blocks=self.config.blocks,
                context=self.condition.width,
            )
            parts: list[Transform] = []
            for k in range(4 if last else 3):
                parts += self._coupling(shape, Checkerboard(), build, swap=bool(k % 2))
            if not last:
                shape = squeezed(shape)
                parts.append(Squeeze())
                for k in range(3):
                    parts += self._coupling(shape, Halves(), build, swap=bool(k % 2))
            scales.append(Chain(parts))
            shapes.append(shape)
            shape = shape[0] // 2, *shape[1:]
        return MultiScale(scales, shapes)

    def _coupling(self, shape: Shape, split: Split, build: Build, *, swap: bool) -> list[Transform]:
        norm = [ActNorm(shape)] if self.config.normalise else []
        return [*norm, Coupling(shape, split, self.monotone, build, swap=swap)]
