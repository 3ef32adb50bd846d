"""The fully connected discriminator of the first GANs; its generator is :class:`MLPDecoder`.

Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661, section 5: maxout units and drop-out in the
discriminator, rectifiers in the generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from genwerk.nn.adversarial.output import Conditioning, DiscriminatorOutput, Head, Norm, normalisation
from genwerk.nn.mlp import one_hot


class MLPDiscriminator(nn.Module):
    """Data with shape (n, *shape), and the label, to a :class:`DiscriminatorOutput`.

    ``pieces`` above 1 makes each unit the greatest of so many linear ones (maxout), otherwise units are leaky
    rectifiers; ``dropout`` is the chance of dropping an input (half as great) or a unit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        widths: Sequence[int],
        norm: Norm = "none",
        pieces: int = 1,
        dropout: float = 0.0,
        classes: int = 0,
        conditioning: Conditioning = "none",
    ) -> None:
        super().__init__()
        self.beside, self.pieces = classes if conditioning == "concatenate" else 0, pieces
        sizes = [prod(shape) + self.beside, *widths]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(dropout / 2 if i == 0 else dropout),
                nn.Linear(a, b * pieces),
                normalisation(norm, b * pieces),
            )
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = Head(sizes[-1], classes if conditioning == "project" else 0)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        h = x.flatten(1)
        if self.beside:
            h = torch.cat([h, one_hot(condition, self.beside, h)], 1)
        features: list[Tensor] = []
        for layer in self.layers:
            h = layer(h)
            h = h.unflatten(1, (-1, self.pieces)).amax(2) if self.pieces > 1 else leaky_relu(h, 0.2)
            features.append(h)
        return DiscriminatorOutput(self.head(self.dropout(h), condition), tuple(features))
