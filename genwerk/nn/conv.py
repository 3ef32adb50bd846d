"""Convolutional encoder and decoder bodies: 4x4 convolutions of stride 2 with batch normalisation, and their mirror.

The network of Tolstikhin et al. (2018, arXiv:1711.01558) and Ghosh et al. (2020, arXiv:1903.12436), for any image size:
each layer halves height and width, rounding up, so that any number of layers suits any image, and the mirror crops what
rounding has added.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from genwerk.nn.mlp import ACTIVATIONS, Activation, with_label


def halvings(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """Height and width before the first of ``times`` halvings (rounding up), and after each."""
    sizes = [(height, width)]
    for _ in range(times):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


class ConvEncoder(nn.Module):
    """Images with shape (n, c, h, w), and the label where ``classes`` > 0, to features with shape (n, features).

    ``widths`` are the channels of the convolutions; the label enters as ``classes`` further input channels.
    """

    def __init__(
        self, shape: Sequence[int], features: int, widths: Sequence[int], activation: Activation, classes: int = 0
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.classes = classes
        sizes = halvings(height, width, len(widths))
        layers: list[nn.Module] = []
        for (i, o), (h, w) in zip(pairwise([channels + classes, *widths]), sizes, strict=False):
            layers += [
                nn.ZeroPad2d((1, 1 + w % 2, 1, 1 + h % 2)),
                nn.Conv2d(i, o, kernel_size=4, stride=2, bias=False),
                nn.BatchNorm2d(o),
                ACTIVATIONS[activation](),
            ]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * prod(sizes[-1]), features))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        features: Tensor = self.body(with_label(x, condition, self.classes))
        return features


class ConvDecoder(nn.Module):
    """The mirror of :class:`ConvEncoder`: features with shape (n, features) to an output with shape (n, c, h, w).

    ``widths`` are given in the encoder's order, from the data to the features.
    """

    def __init__(
        self, shape: Sequence[int], features: int, widths: Sequence[int], activation: Activation, classes: int = 0
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.classes = classes
        *larger, smallest = halvings(height, width, len(widths))
        layers: list[nn.Module] = [
            nn.Linear(features + classes, widths[-1] * prod(smallest)),
            nn.Unflatten(1, (widths[-1], *smallest)),
            ACTIVATIONS[activation](),
        ]
        for (i, o), size in zip(pairwise(reversed(widths)), reversed(larger[1:]), strict=True):
            layers += [
                nn.ConvTranspose2d(i, o, kernel_size=4, stride=2, padding=1, bias=False),
                Crop(*size),
                nn.BatchNorm2d(o),
                ACTIVATIONS[activation](),
            ]
        last = nn.ConvTranspose2d(widths[0], channels, kernel_size=4, stride=2, padding=1)
        self.body = nn.Sequential(*layers, last, Crop(height, width))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        x: Tensor = self.body(with_label(z, condition, self.classes))
        return x


class Crop(nn.Module):
    """The top left ``height`` x ``width`` of an image."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : self.height, : self.width]
