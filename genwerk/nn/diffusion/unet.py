"""The U-Net that predicts noise: down by residual blocks and attention, and up again with skip connections.

Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, arXiv:2006.11239, appendix B; with a context as in
Rombach, Blattmann, Lorenz, Esser & Ommer, High-Resolution Image Synthesis with Latent Diffusion Models, 2022,
arXiv:2112.10752. Every name of a module is the one under which the diffusers library files the weights of its classes
UNet2DConditionModel (with a context) and UNet2DModel (without).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.errors import BadInput
from genwerk.nn.diffusion.attention import SelfAttention, SpatialTransformer
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
from genwerk.nn.diffusion.denoiser import Denoiser

LONGEST_PERIOD = 10_000
"""Wavelength of the slowest sinusoid of a time step, divided by 2 pi."""


def sinusoids(t: Tensor, width: int, *, cosine_first: bool = True, shift: int = 0) -> Tensor:
    """Sines and cosines of time steps t with shape (n,), at ``width`` / 2 frequencies falling geometrically from 1, in
    float32 with shape (n, width).

    Frequency i is LONGEST_PERIOD ** (-i / (width / 2 - shift)). DDPM has the sines first and a ``shift`` of 1, so that
    the last frequency is 1 / LONGEST_PERIOD; Stable Diffusion the cosines first and no shift.
    """
    half = width // 2
    exponent = torch.arange(half, dtype=torch.float32, device=t.device) * -log(LONGEST_PERIOD) / (half - shift)
    angle = t.float()[:, None] * exponent.exp()
    return torch.cat([angle.cos(), angle.sin()] if cosine_first else [angle.sin(), angle.cos()], 1)


class TimeEmbedding(nn.Module):
    """Sinusoids with shape (n, width) to (n, out), by two linear layers."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(width, out), nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear_2(F.silu(self.linear_1(x.to(self.linear_1.weight.dtype))))
        return y


@dataclass(frozen=True, kw_only=True)
class UNetConfig(Denoiser, kind="unet"):
    """A U-Net, for images and maps of codes."""

    widths: tuple[int, ...] = (64, 128, 128)
    """Channels of the levels, finest first."""
    blocks: int = 2
    """Residual blocks of each level on the way down."""
    attention: tuple[bool, ...] = (False, False, True)
    """Which levels attend."""
    heads: tuple[int, ...] = (1,)
    """Attention heads of each level; one number is for all."""
    linear_projection: bool = False
    """Whether transformer blocks are entered and left by linear layers instead of 1x1 convolutions."""
    groups: int = 8
    """Groups of the group normalisation, which divide every width."""
    norm_eps: float = 1e-5
    """What group normalisation adds to variances."""
    symmetric_padding: bool = True
    """Whether a level is halved with a border of zeros all around, or on the right and below alone (DDPM's code)."""
    cosine_first: bool = True
    """Whether the time is embedded by cosines and then sines, or the other way round (DDPM's code)."""
    frequency_shift: int = 0
    """Frequencies of these by which the slowest comes nearer to 1 / 10,000 (DDPM's code: 1)."""
    extra_channels: int = 0
    """Channels that the network sees beside x, where a larger model gives it such (Stable Diffusion's inpainting: 5,
    for a mask and the code of what is known)."""
    patch: int = 1
    """Side in pixels of the squares that become one pixel inside the network."""
    dropout: float = 0.0
    """Share of the features that each residual block leaves out in training."""

    @property
    def conditioning_channels(self) -> int:
        return self.extra_channels

    @property
    def multiple(self) -> int:
        return self.patch

    def seeing(self, channels: int) -> Self:
        return replace(self, extra_channels=channels)

    def build(self, shape: tuple[int, ...], classes: int = 0, context: int = 0) -> nn.Module:
        if len(shape) != 3:
            raise BadInput(f"a U-Net needs images; for data of shape {shape} take ‹model.network› dense")
        return UNet(
            channels=shape[0] + self.extra_channels,
            out_channels=shape[0],
            widths=self.widths,
            blocks=self.blocks,
            attention=self.attention,
            heads=self.heads[0] if len(self.heads) == 1 else self.heads,
            context=context,
            linear_projection=self.linear_projection,
            classes=classes,
            groups=self.groups,
            eps=self.norm_eps,
            symmetric=self.symmetric_padding,
            cosine_first=self.cosine_first,
            frequency_shift=self.frequency_shift,
            patch=self.patch,
            dropout=self.dropout,
        )


class UNet(nn.Module):
    """x_t with shape (n, channels, h, w) and time steps with shape (n,) to (n, out_channels, h, w), of any size.

    Structure: ``widths`` are the channels of the levels, from the finest to the coarsest, with ``blocks`` residual
    blocks each on the way down and one more on the way up; ``groups`` and ``eps`` are those of group normalisation.
    ``symmetric`` is the padding where a level halves (:class:`Downsample`). With a
    ``patch`` above 1, squares of that many pixels a side become the channels of one pixel on the way in and are spread
    again on the way out, which makes a small network fast; the sides must then be multiples of it.

    Attention: ``attention`` says which levels attend, ``middle_attention`` whether the coarsest does once more between
    way down and way up; by ``heads`` (of each level, or of all), or heads of ``head_size`` channels if that is given.
    Pixels attend to one another, and also to a context of ``context`` channels if that is above 0, by transformer
    blocks whose projections are 1x1 convolutions or, if ``linear_projection``, linear layers.

    Conditioning: ``cosine_first`` and ``frequency_shift`` are those of :func:`sinusoids`. With ``classes`` above 0 the
    embedding of a label is added to that of the time; label ``classes``, the last of classes + 1, is the null class.

    ``zero_init`` makes every branch and the output zero to begin with, as DDPM is trained.
    """

    def __init__(
        self,
        *,
        channels: int,
        out_channels: int | None = None,
        widths: Sequence[int],
        blocks: int = 2,
        attention: Sequence[bool],
        middle_attention: bool = True,
        heads: int | Sequence[int] = 1,
        head_size: int | None = None,
        context: int = 0,
        linear_projection: bool = False,
        classes: int = 0,
        groups: int = 32,
        eps: float = 1e-5,
        dropout: float = 0.0,
        symmetric: bool = True,
        patch: int = 1,
        cosine_first: bool = True,
        frequency_shift: int = 0,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        levels = len(widths)
        check_groups(widths, groups)
        per_level = [heads] * levels if isinstance(heads, int) else list(heads)
        if not len(attention) == len(per_level) == levels:
            raise ValueError(
                f"attention has {len(attention)} entries and heads {len(per_level)}, for {levels} levels;"
                " give one for each of widths"
            )
        if widths[0] % 2 or widths[0] < 4:
            raise ValueError(f"the first of widths is {widths[0]}; take an even number of channels, 4 or more")
        self.patch, self.context, self.classes = patch, context, classes
        self.width, self.cosine_first, self.frequency_shift = widths[0], cosine_first, frequency_shift
        time = 4 * widths[0]

        def resnet(before: int, width: int) -> ResnetBlock:
            return ResnetBlock(before, width, time=time, groups=groups, eps=eps, dropout=dropout)

        def attending(level: int) -> nn.Module:
            width = widths[level]
            count = per_level[level] if head_size is None else heads_in(width, head_size)
            if context:
                return SpatialTransformer(width, count, context, groups=groups, linear=linear_projection)
            return SelfAttention(width, count, groups=groups, eps=eps)

        self.conv_in = conv3(channels * patch**2, widths[0])
        self.time_embedding = TimeEmbedding(widths[0], time)
        self.class_embedding = nn.Embedding(classes + 1, time) if classes else None

        skips = [widths[0]]
        self.down_blocks = nn.ModuleList()
        for level, (before, width) in enumerate(pairwise([widths[0], *widths])):
            resnets = [resnet(before if i == 0 else width, width) for i in range(blocks)]
            attentions = [attending(level) for _ in resnets if attention[level]]
            halve = Downsample(width, symmetric=symmetric) if level < levels - 1 else None
            self.down_blocks.append(DownLevel(resnets, attentions, halve))
            skips += [width] * (blocks + (halve is not None))

        middle = [resnet(widths[-1], widths[-1]) for _ in range(2)]
        self.mid_block = MiddleLevel(middle, attending(levels - 1) if middle_attention else None)

        self.up_blocks = nn.ModuleList()
        for level in reversed(range(levels)):
            width = widths[level]
            incoming = [widths[min(level + 1, levels - 1)], *[width] * blocks]
            resnets = [resnet(coming + skips.pop(), width) for coming in incoming]
            attentions = [attending(level) for _ in resnets if attention[level]]
            self.up_blocks.append(UpLevel(resnets, attentions, Upsample(width) if level else None))

        self.conv_norm_out = nn.GroupNorm(groups, widths[0], eps)
        self.conv_out = conv3(widths[0], (out_channels or channels) * patch**2)
        if zero_init:
            silence(self)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """Raw outputs, in x's dtype whatever that of the weights, for time steps ``t``, whole or not, with shape (n,).

        ``context`` has shape (n, l, d); ``label`` is int64 with shape (n,), and None is the null class for all.
        """
        self._check(x, context, label)
        embedding = F.silu(self._embed(t, label))
        precision = self.conv_in.weight.dtype
        context = context if context is None else context.to(precision)
        h = self.conv_in(F.pixel_unshuffle(x, self.patch).to(precision))
        skips = [h]
        for level in self.down_blocks:
            skips += level(skips[-1], embedding, context)
        h = self.mid_block(skips[-1], embedding, context)
        for level in self.up_blocks:
            h = level(h, skips, embedding, context)
        y: Tensor = self.conv_out(norm_silu(self.conv_norm_out, h))
        return F.pixel_shuffle(y, self.patch).to(x.dtype)

    def _embed(self, t: Tensor, label: Tensor | None) -> Tensor:
        """The embedding of time and label with shape (n, d), in the weights' own precision under autocast too."""
        with torch.autocast(t.device.type, enabled=False):
            waves = sinusoids(t, self.width, cosine_first=self.cosine_first, shift=self.frequency_shift)
            embedding: Tensor = self.time_embedding(waves)
            if self.class_embedding is not None:
                null = torch.full_like(t, self.classes, dtype=torch.long)
                embedding = embedding + self.class_embedding(null if label is None else label)
        return embedding

    def _check(self, x: Tensor, context: Tensor | None, label: Tensor | None) -> None:
        """ValueError for what this network cannot take."""
        height, width = x.shape[2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"images of {width}x{height} pixels do not fall into patches of {self.patch}x{self.patch};"
                f" resize or pad them to multiples of {self.patch}, or set patch to 1"
            )
        given = 0 if context is None else context.shape[2]
        if given != self.context:
            raise ValueError(
                f"this U-Net was given a context of {given} channels, and is built for {self.context} (0 is none);"
                " pass one that fits, with shape (n, l, d), or build the U-Net with its number of channels"
            )
        if label is not None and not self.classes:
            raise ValueError("this U-Net was built without classes, and was given labels; build it with classes")


def heads_in(width: int, size: int) -> int:
    """Number of heads of ``size`` channels in a level that is ``width`` wide; ValueError if they do not fill it."""
    if size < 1 or width % size:
        raise ValueError(
            f"a level that attends is {width} channels wide, which do not fall into heads of {size};"
            f" take a head_size that divides {width}"
        )
    return width // size


def silence(network: UNet) -> None:
    """Set to zero the last layer of every residual block and attention, and the network's output."""
    for module in network.modules():
        match module:
            case ResnetBlock():
                last: nn.Module = module.conv2
            case SelfAttention():
                last = module.to_out[0]
            case SpatialTransformer():
                last = module.proj_out
            case UNet():
                last = module.conv_out
            case _:
                continue
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
