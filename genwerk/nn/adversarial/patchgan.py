"""The discriminator of PatchGAN, which judges an image patch by patch.

Isola, Zhu, Zhou & Efros, Image-to-Image Translation with Conditional Adversarial Networks, 2017, arXiv:1611.07004,
section 3.2.2 and appendix 6.1.2.

Done differently: its hidden features are returned with its scores, for an autoencoder's perceptual loss; normalisation
is of one example, unless batch normalisation is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from genwerk.nn.adversarial.dcgan import channels, initialise
from genwerk.nn.adversarial.output import Norm, normalisation


@dataclass(frozen=True, kw_only=True)
class PatchGANConfig:
    """Settings of a discriminator of patches."""

    width: int = 64
    """Channels of the first layer."""
    halvings: int = 3
    """Times that the image is halved: patches of 16 (1), 34 (2) or 70 (3) pixels a side are judged."""
    norm: Norm = "layer"
    """Normalisation between layers."""

    def build(self, shape: tuple[int, ...]) -> PatchDiscriminator:
        """The discriminator of images of ``shape``."""
        return PatchDiscriminator(shape, self.width, self.halvings, self.norm)


def patches(side: int, halvings: int) -> int:
    """How many patches are judged along ``side`` pixels of an image, after so many halvings; none where 0 or less."""
    for _ in range(halvings):
        side //= 2
    return side - 2


class PatchDiscriminator(nn.Module):
    """Images with shape (n, c, h, w) to a raw score a patch, higher for more real, and the features they come of.

    4x4 convolutions, ``halvings`` of them of stride 2 and then two of stride 1, from ``width`` channels on, doubled
    each time up to 8 times as many. Without normalisation a score is of a patch of 16, 34 or 70 pixels a side, after 1,
    2 or 3 halvings (the paper's three); by layer or batch, the rest of the image affects its contrast alone.
    """

    def __init__(self, shape: tuple[int, ...], width: int = 64, halvings: int = 3, norm: Norm = "layer") -> None:
        super().__init__()
        if min(patches(side, halvings) for side in shape[1:]) < 1:
            raise ValueError(
                f"images of {shape[2]}x{shape[1]} pixels leave no patch to judge after {halvings} halvings; they take "
                f"sides of {3 * 2**halvings} or more, so let the discriminator halve less often"
            )
        widths = [shape[0], *channels(width, halvings + 1)]
        self.layers = nn.ModuleList()
        for i, (before, after) in enumerate(pairwise(widths)):
            plain = i == 0 or norm == "none"
            conv = nn.Conv2d(before, after, 4, stride=2 if i < halvings else 1, padding=1, bias=plain)
            self.layers.append(conv if plain else nn.Sequential(conv, normalisation(norm, after)))
        self.head = nn.Conv2d(widths[-1], 1, 4, padding=1)
        self.apply(initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores with shape (n, h', w'), and activations by layer, from the image inwards."""
        features: list[Tensor] = []
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.2)
            features.append(x)
        score: Tensor = self.head(x)
        return score.squeeze(1), tuple(features)
