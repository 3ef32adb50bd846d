"""The interface of every pair of generator and discriminator."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import nn

from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.nn.adversarial.output import Conditioning, Norm


@dataclass(frozen=True, kw_only=True)
class AdversarialNetwork(Component):
    """Settings of a generator, and of the discriminator and the encoder that mirror it."""

    @abstractmethod
    def build(
        self,
        shape: tuple[int, ...],
        latent: int,
        *,
        norm: Norm = "batch",
        generator_norm: Norm = "batch",
        classes: int = 0,
        conditioning: Conditioning = "none",
    ) -> tuple[nn.Module, nn.Module]:
        """A generator of data of ``shape`` from z, called with (z, condition), and a discriminator of them.

        ``norm`` is the discriminator's. A ValueError says where such networks do not fit the data or the norms.
        """

    @abstractmethod
    def depth(self, shape: tuple[int, ...]) -> int:
        """Number of layers of the discriminator for data of ``shape``, each of which gives features."""

    def encoder(self, shape: tuple[int, ...], features: int, classes: int = 0) -> nn.Module:
        """Of data of ``shape`` to ``features`` numbers, as deep as the discriminator."""
        raise BadInput(f"{self.kind} networks have no encoder; take ‹model.network› mlp or dcgan")


def check_image(kind: str, shape: tuple[int, ...]) -> None:
    """A ValueError unless data of ``shape`` are images."""
    if len(shape) != 3:
        raise BadInput(f"the {kind} networks need images; for data of shape {shape} take ‹model.network› mlp")
