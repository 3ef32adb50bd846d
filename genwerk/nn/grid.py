"""Convolutional encoder and decoder between an image and a smaller grid of vectors, with residual blocks.

The network of van den Oord, Vinyals & Kavukcuoglu (2017, arXiv:1711.00937, section 4.1): 4x4 convolutions of stride 2,
residual blocks of a 3x3 and a 1x1 convolution with rectifiers before each, and the mirror of these; no normalisation.
Sides are halved rounding up, so that any image suits.
"""

from __future__ import annotations

from torch import Tensor, nn

from genwerk.nn.conv import Crop, halvings


class Residual(nn.Module):
    """x + conv 1x1 (relu (conv 3x3 (relu x))), half as wide between the two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(1, width // 2)
        self.body = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, inner, 3, padding=1), nn.ReLU(), nn.Conv2d(inner, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


def grid_encoder(shape: tuple[int, ...], dims: int, width: int, halve: int, blocks: int) -> nn.Sequential:
    """Images (n, c, h, w) to vectors (n, dims, h', w'), the sides halved ``halve`` times."""
    layers: list[nn.Module] = []
    channels = shape[0]
    for h, w in halvings(shape[1], shape[2], halve)[:-1]:
        layers += [nn.ZeroPad2d((1, 1 + w % 2, 1, 1 + h % 2)), nn.Conv2d(channels, width, 4, stride=2), nn.ReLU()]
        channels = width
    layers += [nn.Conv2d(channels, width, 3, padding=1), *(Residual(width) for _ in range(blocks)), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, dims, 1))


def grid_decoder(shape: tuple[int, ...], dims: int, width: int, halve: int, blocks: int) -> nn.Sequential:
    """The mirror of :func:`grid_encoder`: vectors (n, dims, h', w') to images (n, c, h, w) of any range."""
    *larger, _ = halvings(shape[1], shape[2], halve)
    layers: list[nn.Module] = [nn.Conv2d(dims, width, 3, padding=1), *(Residual(width) for _ in range(blocks))]
    for i, size in enumerate(reversed(larger), 1):
        channels = shape[0] if i == halve else width
        layers += [nn.ReLU(), nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1), Crop(*size)]
    return nn.Sequential(*layers)
