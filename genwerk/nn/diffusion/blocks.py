"""The convolutional blocks that diffusion networks and their autoencoders are made of.

Residual blocks with the time added in the middle (Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020,
arXiv:2006.11239, appendix B), halving and doubling by convolution, and the levels of a network that goes down and up.
Every name of a module is the one under which the diffusers library files its weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv3(channels: int, out: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(channels, out, 3, padding=1)


def norm_silu(norm: nn.Module, x: Tensor) -> Tensor:
    """SiLU of the normalised ``x``."""
    return F.silu(norm(x))


def check_groups(widths: Iterable[int], groups: int) -> None:
    """ValueError unless ``groups`` divides every width."""
    for width in widths:
        if width % groups:
            raise ValueError(
                f"a level is {width} channels wide, which do not fall into {groups} equal groups for group"
                f" normalisation; take widths that are multiples of {groups}, or other groups"
            )


class ResnetBlock(nn.Module):
    """x with shape (n, channels, h, w) to (n, out, h, w): x, through a 1x1 convolution if the width changes, plus two
    3x3 convolutions of it, each after GroupNorm and SiLU.

    ``time`` is the width of the embedding that is projected and added to the first convolution's output, 0 for none;
    it comes with shape (n, time) and SiLU already applied.
    """

    def __init__(
        self, channels: int, out: int, *, time: int = 0, groups: int = 32, eps: float = 1e-6, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, channels, eps), conv3(channels, out)
        self.time_emb_proj = nn.Linear(time, out) if time else None
        self.norm2, self.conv2 = nn.GroupNorm(groups, out, eps), conv3(out, out)
        self.dropout = nn.Dropout(dropout)
        self.conv_shortcut = nn.Conv2d(channels, out, 1) if channels != out else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        h = self.conv1(norm_silu(self.norm1, x))
        if self.time_emb_proj is not None:
            h = h + self.time_emb_proj(time)[:, :, None, None]
        h = self.conv2(self.dropout(norm_silu(self.norm2, h)))
        y: Tensor = h + (x if self.conv_shortcut is None else self.conv_shortcut(x))
        return y


class Downsample(nn.Module):
    """Half as many pixels a side, by a 3x3 convolution of stride 2.

    It pads by one pixel all round (an odd side is rounded up), or, if not ``symmetric``, only on the right and at the
    bottom (an odd side is rounded down).
    """

    def __init__(self, channels: int, *, symmetric: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1 if symmetric else 0)
        self.symmetric = symmetric

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x if self.symmetric else F.pad(x, (0, 1, 0, 1)))
        return y


class Upsample(nn.Module):
    """Twice as many pixels a side, or the given ``size``, by repeating pixels; then a 3x3 convolution.

    On a CPU the two are one step, but for images so small beside the number of channels that summing the kernels costs
    more than is saved.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3(channels, channels)

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> Tensor:
        channels, height, width = x.shape[1:]
        doubled = (2 * height, 2 * width)
        size = doubled if size is None else tuple(size)
        if size == doubled and x.device.type == "cpu" and 4 * height * width >= channels:
            return double_and_convolve(x, self.conv.weight, self.conv.bias)
        y: Tensor = self.conv(F.interpolate(x, size, mode="nearest"))
        return y


def double_and_convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Repeating every pixel to 2x2, then a 3x3 convolution, with 4/9 of its multiplications.

    Of the nine pixels that one of the output sees only 2x2 differ, and which of the nine share a value depends on
    whether its row and column are even or odd. So each of these four phases is a 2x2 convolution of the small image,
    whose weights are sums of the given ones.
    """
    height, width = x.shape[2:]
    kernels = phases(phases(weight, 2), 4).flatten(0, 2)
    y = F.conv2d(x, kernels, None if bias is None else bias.repeat(4), padding=1).unflatten(1, (2, 2, len(weight)))
    even, odd = (
        torch.stack([y[:, q, p, :, p : p + height, q : q + width] for q in (0, 1)], dim=4).flatten(3) for p in (0, 1)
    )
    return torch.stack([even, odd], dim=3).flatten(2, 3)


def phases(weight: Tensor, dim: int) -> Tensor:
    """Three taps along ``dim`` to the two that an even and an odd output place see, stacked before all dimensions."""
    before, here, after = weight.unbind(dim)
    return torch.stack([torch.stack([before, here + after], dim), torch.stack([before + here, after], dim)])


# --- levels -----------------------------------------------------------------------------------------------------------


class DownLevel(nn.Module):
    """Residual blocks, each followed by attention if there is any, then a halving unless it is the last level."""

    def __init__(
        self, resnets: Iterable[nn.Module], attentions: Iterable[nn.Module] = (), downsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.resnets, self.attentions = nn.ModuleList(resnets), nn.ModuleList(attentions)
        self.downsamplers = nn.ModuleList([] if downsample is None else [downsample])

    def forward(self, x: Tensor, time: Tensor | None = None, context: Tensor | None = None) -> list[Tensor]:
        """What each of its blocks and the halving give, in order; the last is the level's output."""
        made = []
        for i, resnet in enumerate(self.resnets):
            x = resnet(x, time)
            if self.attentions:
                x = self.attentions[i](x, context)
            made.append(x)
        for downsample in self.downsamplers:
            made.append(downsample(x))
        return made


class MiddleLevel(nn.Module):
    """Two residual blocks, with attention between them if there is any, at the coarsest size."""

    def __init__(self, resnets: Iterable[nn.Module], attention: nn.Module | None) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList([] if attention is None else [attention])

    def forward(self, x: Tensor, time: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        first, *others = self.resnets
        x = first(x, time)
        for attention in self.attentions:
            x = attention(x, context)
        for resnet in others:
            x = resnet(x, time)
        return x


class UpLevel(nn.Module):
    """Residual blocks, each followed by attention if there is any, then a doubling unless it is the last level."""

    def __init__(
        self, resnets: Iterable[nn.Module], attentions: Iterable[nn.Module] = (), upsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.resnets, self.attentions = nn.ModuleList(resnets), nn.ModuleList(attentions)
        self.upsamplers = nn.ModuleList([] if upsample is None else [upsample])

    def forward(
        self,
        x: Tensor,
        skips: list[Tensor] | None = None,
        time: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """The level's output; each block takes one of ``skips`` from the end of the list, and concatenates it to x.

        Doubling goes to the size of the skip that then comes next, where there is one.
        """
        for i, resnet in enumerate(self.resnets):
            x = resnet(torch.cat([x, skips.pop()], 1) if skips else x, time)
            if self.attentions:
                x = self.attentions[i](x, context)
        for upsample in self.upsamplers:
            x = upsample(x, skips[-1].shape[2:] if skips else None)
        return x
