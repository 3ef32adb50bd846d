"""The fully connected discriminator of the first GANs; its generator is :class:`MLPDecoder`.

Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661, section 5: maxout units and drop-out in the
discriminator, rectifiers in the generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from genwerk.nn.adversarial.networks import AdversarialNetwork
from genwerk.nn.adversarial.output import Conditioning, DiscriminatorOutput, Head, Norm, normalisation
from genwerk.nn.mlp import MLPDecoder, MLPEncoder, with_label


@dataclass(frozen=True, kw_only=True)
class MLPConfig(AdversarialNetwork, kind="mlp"):
    """Fully connected networks, for data of any shape."""

    width: int = 64
    """Units of each hidden layer."""
    discriminator_width: int | None = None
    """Units of each of the discriminator's, where they differ."""
    layers: int = 3
    """Hidden layers."""
    maxout_pieces: int = 1
    """Linear pieces of the discriminator's maxout units; 1 is a leaky rectifier."""
    dropout: float = 0.0
    """Chance that the discriminator drops a unit."""

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
        """As :meth:`AdversarialNetwork.build`; the generator has no normalisation."""
        extra_channels, widths = classes if conditioning != "none" else 0, [self.discriminator_width or self.width]
        return (
            MLPDecoder(shape, latent, (self.width,) * self.layers, "relu", extra_channels),
            MLPDiscriminator(
                shape, widths * self.layers, norm, self.maxout_pieces, self.dropout, classes, conditioning
            ),
        )

    def depth(self, shape: tuple[int, ...]) -> int:
        return self.layers

    def encoder(self, shape: tuple[int, ...], features: int, classes: int = 0) -> nn.Module:
        return MLPEncoder(shape, features, [self.width] * self.layers, "relu", classes)


class MLPDiscriminator(nn.Module):
    """Data with shape (n, *shape), and the label, to a :class:`DiscriminatorOutput`.

    ``maxout_pieces`` above 1 makes each unit the greatest of so many linear ones (maxout), otherwise units are leaky
    rectifiers; ``dropout`` is the chance of dropping an input (half as great) or a unit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        widths: Sequence[int],
        norm: Norm = "none",
        maxout_pieces: int = 1,
        dropout: float = 0.0,
        classes: int = 0,
        conditioning: Conditioning = "none",
    ) -> None:
        super().__init__()
        self.extra_channels, self.maxout_pieces = classes if conditioning == "concatenate" else 0, maxout_pieces
        sizes = [prod(shape) + self.extra_channels, *widths]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(dropout / 2 if i == 0 else dropout),
                nn.Linear(a, b * maxout_pieces),
                normalisation(norm, b * maxout_pieces),
            )
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = Head(sizes[-1], classes if conditioning == "project" else 0)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        h = with_label(x.flatten(1), condition, self.extra_channels)
        features: list[Tensor] = []
        for layer in self.layers:
            h = layer(h)
            h = h.unflatten(1, (-1, self.maxout_pieces)).amax(2) if self.maxout_pieces > 1 else leaky_relu(h, 0.2)
            features.append(h)
        return DiscriminatorOutput(self.head(self.dropout(h), condition), tuple(features))
