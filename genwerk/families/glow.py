"""Glow: activation normalisation, a learned mixing of the channels and a coupling, many times over, at several scales.

D. P. Kingma, P. Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions, 2018, arXiv:1807.03039.

Done differently: priors of what is factored out and of what is left are transforms to one standard normal, so that a
temperature multiplies the latent; logarithms of scales are bounded (the published sigmoid lets them fall without end,
and trainings of others have died of it); the coupling's networks are not normalised; activation normalisation is set
from the first 512 examples, once, and never again after loading.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from genwerk.core.spec import DataSpec
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.families.instead import recipes_for
from genwerk.nn.flows.actnorm import ActNorm
from genwerk.nn.flows.conditioner import ContextAffine
from genwerk.nn.flows.coupling import Coupling, Halves, Shape
from genwerk.nn.flows.image import MultiScale, Squeeze, check_sides, squeezed
from genwerk.nn.flows.image_conditioner import GlowConditioner, PriorConditioner
from genwerk.nn.flows.invertible import InvertibleConv
from genwerk.nn.flows.monotone import Additive, Affine
from genwerk.nn.flows.preprocessing import CentreTransform, PixelTransform
from genwerk.nn.flows.transform import Chain, Transform


@dataclass(frozen=True, kw_only=True)
class GlowConfig(FlowConfig):
    """Settings of a Glow."""

    pixel_transform: PixelTransform = field(default_factory=CentreTransform)
    """How pixels reach the whole line."""
    scales: int = 3
    """Levels (L), at each of which height and width are halved."""
    steps: int = 32
    """Steps of flow at each level (K)."""
    channels: int = 512
    """Channels of a coupling's network."""
    coupling: Literal["additive", "affine"] = "affine"
    """Whether a coupling only shifts, or scales too; additive ones train more calmly and sample better."""
    bound: float = 2.0
    """Greatest logarithm of an affine scale, either way."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; Glow needs 1 or more at each level")


class Glow(FlowModel, config=GlowConfig):
    """At each level a squeeze, then steps of normalise, mix and couple, after which half of the channels leave."""

    config: GlowConfig

    def __init__(self, config: GlowConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if not spec.modality.has_pixels:
            raise ValueError(f"Glow describes images and these data are {spec}; {recipes_for(spec)}")
        check_sides(spec, config.scales, "model.scales")
        tails = config.tail_bound
        monotone = Additive(tails) if config.coupling == "additive" else Affine(config.bound, tails)
        build = partial(GlowConditioner, channels=config.channels, context=self.condition.width)
        shape: Shape = spec.shape
        scales, shapes = [], []
        for i in range(config.scales):
            shape = squeezed(shape)
            parts: list[Transform] = [Squeeze()]
            for _ in range(config.steps):
                parts += [ActNorm(shape), InvertibleConv(shape), Coupling(shape, Halves(), monotone, build)]
            if i < config.scales - 1:
                parts.append(Coupling(shape, Halves(), Affine(config.bound), PriorConditioner))
            else:
                parts.append(ContextAffine(shape, self.condition.width) if self.condition.width else ActNorm(shape))
            scales.append(Chain(parts))
            shapes.append(shape)
            shape = shape[0] // 2, *shape[1:]
        self.flows(MultiScale(scales, shapes))
