"""The discriminator of StarGAN, which judges an image patch by patch and tells its attributes.

Choi, Choi, Kim, Ha, Kim & Choo, StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image
Translation, 2018, arXiv:1711.09020, appendix 7.2, table 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils import parametrizations


@dataclass(frozen=True, kw_only=True)
class AttributeDiscriminatorConfig:
    """Settings of the discriminator; the paper's halves images of 128 pixels 6 times."""

    width: int = 64
    """Channels of the first layer, doubled at each halving."""
    widest: int = 2048
    """Greatest number of channels."""
    halvings: int = 6
    """How often the image is halved, at most: until 2 pixels are left of its shorter side."""
    spectral_norm: bool = False
    """Whether every layer but the classifier is divided by its largest singular value."""

    def build(self, shape: tuple[int, ...], sizes: Sequence[int]) -> AttributeDiscriminator:
        """For images of ``shape`` whose attributes have so many values each."""
        return AttributeDiscriminator(shape, sizes, self)


class AttributeDiscriminator(nn.Module):
    """Images with shape (n, c, h, w) to scores of patches (n, h', w'), and logits of the values of each attribute.

    4x4 convolutions of stride 2 with leaky ReLU of slope 0.01; a 3x3 convolution makes the scores, and one of as many
    pixels as are left the logits.
    """

    def __init__(self, shape: tuple[int, ...], sizes: Sequence[int], config: AttributeDiscriminatorConfig) -> None:
        super().__init__()
        self.sizes = list(sizes)
        left, times = shape[1:], 0
        while times < config.halvings and min(left) >= 4:
            left, times = tuple(side // 2 for side in left), times + 1
        widths = [shape[0], *(min(config.widest, config.width << i) for i in range(max(1, times)))]
        stride = 2 if times else 1
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 2 + stride, stride, padding=1) for a, b in pairwise(widths))
        self.patches = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.classes = nn.Conv2d(widths[-1], sum(sizes), left, bias=False)  # type: ignore[arg-type]
        if config.spectral_norm:
            for layer in (*self.layers, self.patches):
                parametrizations.spectral_norm(layer)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.01)
        score, logits = (y.float() if y.dtype == torch.bfloat16 else y for y in (self.patches(x), self.classes(x)))
        return score.squeeze(1), list(logits.flatten(1).split(self.sizes, 1))
