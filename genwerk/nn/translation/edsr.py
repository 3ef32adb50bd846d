"""The network of EDSR: residual blocks without normalisation, and enlargement by sub-pixel convolutions.

Lim, Son, Kim, Nah & Lee, Enhanced Deep Residual Networks for Single Image Super-Resolution, 2017, arXiv:1707.02921,
figure 3; sub-pixel convolution: Shi et al., 2016, arXiv:1609.05158.

Done differently: the last layer begins at zero, so that a model that adds its output to its source begins with that.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from genwerk.core.errors import BadInput
from genwerk.nn.translation.network import TranslationNetwork


@dataclass(frozen=True, kw_only=True)
class EDSRConfig(TranslationNetwork, kind="edsr"):
    """Settings of the network; those of the paper's baseline are a width of 64 and 16 blocks."""

    width: int = 64
    """Channels of every layer."""
    blocks: int = 16
    """Residual blocks of two 3x3 convolutions each."""
    residual_scale: float = 1.0
    """What the output of a block is multiplied by (0.1 in networks of 256 channels)."""

    def build(self, channels: int, out: int, scale: int) -> EDSR:
        return EDSR(channels, out, scale, self)

    @property
    def margin(self) -> int:
        return 2 * self.blocks + 6  # the blocks, two convolutions before and after, two on the way up, bicubic's two


class EDSR(nn.Module):
    """Images with shape (n, channels, h, w) to (n, out, scale * h, scale * w)."""

    def __init__(self, channels: int, out: int, scale: int, config: EDSRConfig) -> None:
        super().__init__()
        width = config.width
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width, config.residual_scale) for _ in range(config.blocks)))
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.Sequential(
            *(
                layer
                for factor in factors(scale)
                for layer in (nn.Conv2d(width, factor**2 * width, 3, padding=1), nn.PixelShuffle(factor))
            )
        )
        self.tail = nn.Conv2d(width, out, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(x)
        return self.tail(self.up(y + self.body(self.blocks(y))))  # type: ignore[no-any-return]


def factors(scale: int) -> list[int]:
    """``scale`` as a product of enlargements by 2 and 3."""
    found = []
    for factor in (2, 3):
        while scale % factor == 0:
            found.append(factor)
            scale //= factor
    if scale > 1:
        raise BadInput(f"the network enlarges by 2 and 3 in turn, of which {scale} is no product; take another factor")
    return found


class Block(nn.Module):
    """x + scale * conv(relu(conv(x)))."""

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.layers(x)  # type: ignore[no-any-return]
