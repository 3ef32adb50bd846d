"""The ResNet generator of CycleGAN: convolutions of stride 2, residual blocks, and as much on the way up.

Johnson, Alahi & Fei-Fei, Perceptual Losses for Real-Time Style Transfer and Super-Resolution, 2016, arXiv:1603.08155;
Zhu, Park, Isola & Efros, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, 2017,
arXiv:1703.10593, appendix 7.2. A condition: conditional instance normalisation, Dumoulin, Shlens & Kudlur, 2017,
arXiv:1610.07629.

Done differently: images are enlarged by nearest neighbours and a convolution, which leave no checkerboard (Odena,
Dumoulin & Olah, 2016), where transposed convolutions are not chosen; images of any size, padded by reflection to a
multiple of what the halvings need and cropped again; the normalisation of large ones
(:mod:`genwerk.nn.translation.instance_norm`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from genwerk.core.errors import BadInput
from genwerk.nn.adversarial.dcgan import initialise
from genwerk.nn.translation.instance_norm import InstanceNorm
from genwerk.nn.translation.network import TranslationNetwork
from genwerk.nn.translation.unet import reflected


@dataclass(frozen=True, kw_only=True)
class ResNetGeneratorConfig(TranslationNetwork, kind="resnet"):
    """Settings of the network; the paper's have 6 blocks for images of 128 pixels, and 9 for larger ones."""

    width: int = 64
    """Channels of the first layer, doubled at each halving."""
    halvings: int = 2
    """How often the image is halved before the residual blocks."""
    blocks: int = 9
    """Residual blocks of two 3x3 convolutions each."""
    kernel: int = 7
    """Side of the kernels of the first and the last convolution, an odd number."""
    patch: int = 1
    """Side in pixels of the squares that become channels before the first layer, and pixels again after the last
    (sub-pixel convolution): 2 takes about a quarter of the time."""
    subpixel: bool = True
    """Whether the squares of the output are made pixel by pixel, or one value each, which is enlarged bilinearly and so
    has no texture of its own."""
    up: Literal["nearest", "transposed"] = "nearest"
    """Nearest neighbours and a 3x3 convolution, or the paper's 3x3 transposed convolution."""
    norm: Literal["instance", "none"] = "instance"
    """Normalisation after every convolution but the last."""

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0 or min(self.kernel, self.width, self.patch) < 1 or min(self.halvings, self.blocks) < 0:
            raise ValueError("the kernel is odd, width and patch are 1 or more, halvings and blocks 0 or more")

    def build(self, channels: int, out: int, scale: int, condition: int = 0) -> ResidualTranslator:
        """As :meth:`TranslationNetwork.build`; called with a ``condition`` of so many numbers, where there is one."""
        if scale != 1:
            raise BadInput("the resnet makes images of the size of their source; take ‹model.network› edsr to enlarge")
        return ResidualTranslator(channels, out, self, condition)

    @property
    def margin(self) -> int:
        innermost = 1 << self.halvings
        down, up = innermost - 1, 2 * innermost - 2  # 1 of each size on the way down; on the way up 1 and the nearest
        return self.patch * (self.kernel - 1 + down + 2 * self.blocks * innermost + up + 2)

    @property
    def stride(self) -> int:
        return self.patch << self.halvings


class ResidualTranslator(nn.Module):
    """Images with shape (n, channels, h, w), and a condition (n, k), to raw output with shape (n, out, h, w)."""

    def __init__(self, channels: int, out: int, config: ResNetGeneratorConfig, condition: int = 0) -> None:
        super().__init__()
        self.multiple, self.patch, self.subpixel = config.stride, config.patch, config.subpixel
        self.least = max(2 * config.stride, config.patch * (config.kernel // 2 + 1))  # a side that can be reflected
        width, area, ends, plain = config.width, config.patch**2, config.kernel, config.norm == "none"

        def layer(conv: nn.Module, channels: int, activation: bool = True) -> nn.Sequential:
            norm = [] if plain else [InstanceNorm(channels)]
            return nn.Sequential(conv, *norm, *([nn.ReLU()] if activation else []))

        def conv(before: int, after: int, kernel: int = 3, stride: int = 1, bias: bool = plain) -> nn.Conv2d:
            return nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=bias, padding_mode="reflect")

        self.down = nn.ModuleList([layer(conv(channels * area, width, ends), width)])
        for _ in range(config.halvings):
            width *= 2
            self.down.append(layer(conv(width // 2, width, stride=2), width))
        self.blocks = nn.ModuleList(
            Residual(
                layer(conv(width, width), width, activation=False),
                layer(conv(width, width), width, activation=False),
                width,
                condition,
            )
            for _ in range(config.blocks)
        )
        ups: list[nn.Module] = []
        for _ in range(config.halvings):
            width //= 2
            if config.up == "nearest":
                ups += [nn.Upsample(scale_factor=2), layer(conv(2 * width, width), width)]
            else:
                conv_up = nn.ConvTranspose2d(2 * width, width, 3, 2, padding=1, output_padding=1, bias=plain)
                ups.append(layer(conv_up, width))
        self.up: nn.Module = nn.Sequential(*ups, conv(width, out * (area if config.subpixel else 1), ends, bias=True))
        if not plain:
            self.apply(initialise)
        for block in self.blocks:
            if isinstance(told := block.told, nn.Linear):
                nn.init.normal_(told.weight, std=0.2)  # so that values differ from the start

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.decode(self.features(x, condition)[-1], x)

    def features(self, x: Tensor, condition: Tensor | None = None, last: int | None = None) -> list[Tensor]:
        """The image, then the outputs of the first layer, of each halving and of each residual block, up to number
        ``last`` of them."""
        height, width = x.shape[2:]
        more = [max(side, self.least) - side + -max(side, self.least) % self.multiple for side in (height, width)]
        x = pixel_unshuffle(reflected(x, *more), self.patch)
        found = [x.contiguous(memory_format=torch.channels_last)]  # which is faster
        for layer in [*self.down, *self.blocks][:last]:
            found.append(layer(found[-1], condition) if isinstance(layer, Residual) else layer(found[-1]))
        return found

    def decode(self, y: Tensor, x: Tensor) -> Tensor:
        """The raw output of ``y``, the last features of ``x``."""
        return self.enlarged(self.up(y))[..., : x.shape[2], : x.shape[3]]

    def enlarged(self, raw: Tensor) -> Tensor:
        """Raw output of squares of pixels as that of pixels."""
        if self.subpixel or self.patch == 1:
            return pixel_shuffle(raw, self.patch)
        return interpolate(raw, scale_factor=self.patch, mode="bilinear", align_corners=False)


class Residual(nn.Module):
    """x + second(relu(first(x))), where a condition scales and shifts what comes of ``first``."""

    def __init__(self, first: nn.Module, second: nn.Module, channels: int, condition: int) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.told = nn.Linear(condition, 2 * channels, bias=False) if condition else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y: Tensor = self.first(x)
        if self.told is not None:
            scale, shift = self.told(condition)[:, :, None, None].chunk(2, 1)
            y = torch.addcmul(shift, 1 + scale, y)
        return x + self.second(y.relu())  # type: ignore[no-any-return]
