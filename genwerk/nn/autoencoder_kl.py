"""The autoencoder of latent diffusion: images to Gaussians over small feature maps, and back.

Rombach, Blattmann, Lorenz, Esser & Ommer, High-Resolution Image Synthesis with Latent Diffusion Models, 2022,
arXiv:2112.10752, appendix E and table 8; the first stage of Stable Diffusion is the default. Every name of a module is
the one under which the diffusers library files the weights of its class AutoencoderKL.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genwerk.nn.diffusion.attention import SelfAttention
from genwerk.nn.diffusion.blocks import (
    DownLevel,
    Downsample,
    MiddleLevel,
    ResnetBlock,
    UpLevel,
    Upsample,
    check_groups,
    conv3,
    norm_silu,
)

LOG_VAR = (-30.0, 20.0)
"""Range of the posterior's log-variance."""


def resnets(channels: int, out: int, blocks: int, groups: int) -> list[ResnetBlock]:
    """Residual blocks in a row, of which the first changes the width."""
    return [ResnetBlock(channels if i == 0 else out, out, groups=groups) for i in range(blocks)]


def middle(width: int, groups: int, attention: bool) -> MiddleLevel:
    """The coarsest level, with one attention head as wide as the level."""
    return MiddleLevel(resnets(width, width, 2, groups), SelfAttention(width, groups=groups) if attention else None)


class Encoder(nn.Module):
    """x with shape (n, channels, h, w) to (n, out, h / f, w / f), halved between levels: f = 2**(levels - 1)."""

    def __init__(
        self, channels: int, out: int, widths: Sequence[int], blocks: int, groups: int, attention: bool
    ) -> None:
        super().__init__()
        self.conv_in = conv3(channels, widths[0])
        self.down_blocks = nn.ModuleList()
        for i, (before, width) in enumerate(pairwise([widths[0], *widths])):
            halve = Downsample(width, symmetric=False) if i < len(widths) - 1 else None
            self.down_blocks.append(DownLevel(resnets(before, width, blocks, groups), downsample=halve))
        self.mid_block = middle(widths[-1], groups, attention)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], 1e-6)
        self.conv_out = conv3(widths[-1], out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)[-1]
        y: Tensor = self.conv_out(norm_silu(self.conv_norm_out, self.mid_block(x)))
        return y


class Decoder(nn.Module):
    """The encoder's mirror, with one residual block more a level."""

    def __init__(
        self, channels: int, out: int, widths: Sequence[int], blocks: int, groups: int, attention: bool
    ) -> None:
        super().__init__()
        self.conv_in = conv3(channels, widths[-1])
        self.mid_block = middle(widths[-1], groups, attention)
        self.up_blocks = nn.ModuleList()
        for i, (before, width) in enumerate(pairwise([widths[-1], *reversed(widths)])):
            double = Upsample(width) if i < len(widths) - 1 else None
            self.up_blocks.append(UpLevel(resnets(before, width, blocks + 1, groups), upsample=double))
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], 1e-6)
        self.conv_out = conv3(widths[0], out)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            x = level(x)
        y: Tensor = self.conv_out(norm_silu(self.conv_norm_out, x))
        return y


class AutoencoderKL(nn.Module):
    """Images in [-1, 1] to a diagonal Gaussian a pixel of the latent map, and latents to images.

    ``widths`` are the channels of the levels, from the finest to the coarsest, with ``blocks`` residual blocks each;
    height and width shrink by ``factor``, 2 to the power of one less than the number of levels, and must be multiples
    of it. ``groups`` must divide every width. ``attention`` puts self-attention into the coarsest level.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        out_channels: int | None = None,
        widths: Sequence[int] = (128, 256, 512, 512),
        blocks: int = 2,
        latent: int = 4,
        groups: int = 32,
        attention: bool = True,
    ) -> None:
        super().__init__()
        check_groups(widths, groups)
        self.latent, self.factor = latent, 2 ** (len(widths) - 1)
        self.encoder = Encoder(channels, 2 * latent, widths, blocks, groups, attention)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)
        self.decoder = Decoder(latent, out_channels or channels, widths, blocks, groups, attention)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), unscaled, each with shape (n, latent, h / factor, w / factor)."""
        height, width = x.shape[2:]
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"images of {width}x{height} pixels do not halve evenly {self.factor.bit_length() - 1} times;"
                f" resize or pad them to multiples of {self.factor}, or take fewer widths"
            )
        moments = self.quant_conv(self.encoder(x.to(self.quant_conv.weight.dtype))).to(x.dtype)
        mean, log_var = moments.chunk(2, dim=1)
        return mean, log_var.clamp(*LOG_VAR)

    def decode(self, z: Tensor) -> Tensor:
        """Images of unscaled latents with shape (n, latent, h / factor, w / factor): near [-1, 1], not cut to it."""
        x: Tensor = self.decoder(self.post_quant_conv(z.to(self.quant_conv.weight.dtype))).to(z.dtype)
        return x
