"""NICE: additive couplings of every second value, which change no volume, and one learned scale a value at the end.

L. Dinh, D. Krueger, Y. Bengio: NICE: Non-linear Independent Components Estimation, 2015, arXiv:1410.8516.

Done differently: Adam throughout; pixels are spread over [0, 1] and centred, so that the paper's 1980.50 nats of MNIST
in [0, 1] are 4.36 bits a pixel here; the scales begin where they bring the first examples to unit variance, for a pixel
that hardly varies needs exp(7) and Adam would be long on its way; samples come from the logistic prior that training
assumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from genwerk.core.spec import DataSpec
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.nn.flows.actnorm import ActNorm
from genwerk.nn.flows.base import BaseConfig, LogisticBase
from genwerk.nn.flows.conditioner import DenseConditioner
from genwerk.nn.flows.coupling import Coupling, Interleaved
from genwerk.nn.flows.monotone import Additive
from genwerk.nn.flows.preprocessing import CentreTransform, PixelTransform
from genwerk.nn.flows.transform import Chain, Flatten
from genwerk.nn.mlp import Activation


@dataclass(frozen=True, kw_only=True)
class NICEConfig(FlowConfig):
    """Settings of a NICE flow."""

    base: BaseConfig = field(default_factory=LogisticBase)
    """Density of the latent."""
    pixel_transform: PixelTransform = field(default_factory=CentreTransform)
    """How pixels reach the whole line."""
    couplings: int = 4
    """Couplings; the odd and the even values take turns."""
    widths: tuple[int, ...] = (1000, 1000, 1000, 1000, 1000)
    """Units of a coupling's hidden layers."""
    activation: Activation = "relu"
    """Function between layers."""

    def __post_init__(self) -> None:
        if self.couplings < 2:
            raise ValueError(f"couplings is {self.couplings}; with fewer than 2 some values would never move")


class NICE(FlowModel, config=NICEConfig):
    """x to y by additive couplings, then z = exp(s) y + t."""

    config: NICEConfig

    def __init__(self, config: NICEConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        d = spec.dims

        def network(shape: Sequence[int], output: Sequence[int]) -> DenseConditioner:
            return DenseConditioner(shape, output, config.widths, config.activation, self.condition.width)

        additive = Additive(config.tail_bound)
        couplings = [
            Coupling((d,), Interleaved(), additive, network, swap=bool(i % 2)) for i in range(config.couplings)
        ]
        self.flows(Chain([Flatten(spec.shape), *couplings, ActNorm((d,))]))
