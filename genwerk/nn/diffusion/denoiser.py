"""What every network that tells data from noise offers, whatever its layers."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

from torch import nn

from genwerk.core.component import Component
from genwerk.core.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Denoiser(Component):
    """Settings of a network that is called with (x, t, context, label)."""

    @property
    def conditioning_channels(self) -> int:
        """Channels that the network sees beside those of x."""
        return 0

    @property
    def multiple(self) -> int:
        """What the sides of an image have to be a multiple of."""
        return 1

    def seeing(self, channels: int) -> Self:
        """The same network with so many channels beside those of x; a BadInput where its layers take none."""
        raise BadInput(
            f"a network of the kind {self.kind!r} sees nothing beside x; take ‹model.diffusion.network› unet"
        )

    @abstractmethod
    def build(self, shape: tuple[int, ...], classes: int = 0, context: int = 0) -> nn.Module:
        """The network for x of ``shape``, conditioned on one of ``classes`` or on vectors of ``context`` channels."""
