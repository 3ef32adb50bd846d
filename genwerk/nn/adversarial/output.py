"""What a discriminator returns, and how the label enters an adversarial pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from genwerk.core.errors import BadInput

Conditioning = Literal["none", "concatenate", "project"]
"""How the label enters: not at all; concatenated to z and x (Mirza & Osindero, 2014, arXiv:1411.1784); or by
conditional batch normalisation in the generator and an inner product in the discriminator (Miyato & Koyama, 2018,
arXiv:1802.05637).
"""

Norm = Literal["batch", "layer", "none"]
"""Normalisation between layers; layer is over channels and pixels of one example."""


@dataclass(frozen=True, slots=True)
class DiscriminatorOutput:
    """A discriminator's output for each example."""

    score: Tensor
    """Raw, with shape (n,), higher for more real."""
    features: tuple[Tensor, ...] = ()
    """Activations by layer, from the data inwards."""
    reconstruction: Tensor | None = None
    """An autoencoder's reconstruction, with the shape of the example."""


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """A layer that normalises ``channels`` of a vector or an image."""
    match norm:
        case "batch":
            return BatchNorm(channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "none":
            return nn.Identity()


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of vectors and images alike, with the scale drawn from N(1, 0.02) as DCGAN's."""

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(channels, affine=affine)
        if affine:
            nn.init.normal_(self.weight, 1.0, 0.02)

    def _check_input_dim(self, input: Tensor) -> None:
        if self.training and input.numel() == input.shape[1]:
            raise BadInput("batch normalisation needs two examples or more in a batch; raise ‹train.batch_size›")


class LabelledBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift belong to the label, where there are ``classes``."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.norm = BatchNorm(channels, affine=not classes)
        if classes:
            self.scale, self.shift = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
            nn.init.normal_(self.scale.weight, 1.0, 0.02)
            nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y: Tensor = self.norm(x)
        if not self.classes:
            return y
        ones = (1,) * (x.dim() - 2)
        scale, shift = (e(condition).unflatten(1, (-1, *ones)) for e in (self.scale, self.shift))
        return torch.addcmul(shift, scale, y)


class Head(nn.Module):
    """Features with shape (n, d) to a score with shape (n,), and with ``classes`` their inner product with the label's
    embedding added (the projection discriminator)."""

    def __init__(self, features: int, classes: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.embedding = nn.Embedding(classes, features) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=features**-0.5)

    def forward(self, h: Tensor, condition: Tensor | None = None) -> Tensor:
        score: Tensor = self.linear(h).squeeze(1)
        if self.embedding is not None:
            score = score + (self.embedding(condition) * h).sum(1)
        return score.float() if score.dtype == torch.bfloat16 else score
