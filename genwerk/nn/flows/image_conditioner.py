"""Convolutional conditioners: from one part of an image to the parameters by which the other is transformed.

They run with channels last in memory, in which convolutions of few channels are a quarter faster on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.flows.conditioner import zeroed


class ContextBias(nn.Module):
    """Adds a bias of the context to each channel; nothing where ``context`` is 0."""

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        self.bias = nn.Linear(context, channels, bias=False) if context else None

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        if self.bias is None:
            return h
        assert context is not None
        bias: Tensor = self.bias(context.to(h.dtype))
        return h + bias[:, :, None, None]


class ResidualBlock(nn.Module):
    """h + two 3x3 convolutions of h, each after a ReLU; the second is zero to begin with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, h: Tensor) -> Tensor:
        found: Tensor = h + self.second(F.relu(self.first(F.relu(h))))
        return found


class ResNetConditioner(nn.Module):
    """3x3, residual blocks, and 3x3 that is zero to begin with: the networks of RealNVP.

    No layer of it couples the examples of a batch: blocks begin as the identity instead of being normalised.
    """

    def __init__(
        self, shape: Sequence[int], output: Sequence[int], channels: int, blocks: int = 2, context: int = 0
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(shape[0], channels, 3, padding=1)
        self.told = ContextBias(context, channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.last = zeroed(nn.Conv2d(channels, output[0], 3, padding=1))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.told(self.first(x.contiguous(memory_format=torch.channels_last)), context)
        found: Tensor = self.last(F.relu(self.blocks(h)))
        return found


class GlowConditioner(nn.Module):
    """3x3, 1x1 and 3x3 with ReLUs between, the last zero to begin with: the networks of Glow (appendix B)."""

    def __init__(self, shape: Sequence[int], output: Sequence[int], channels: int, context: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(shape[0], channels, 3, padding=1)
        self.told = ContextBias(context, channels)
        self.middle = nn.Conv2d(channels, channels, 1)
        self.last = zeroed(nn.Conv2d(channels, output[0], 3, padding=1))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.told(self.first(x.contiguous(memory_format=torch.channels_last)), context)
        found: Tensor = self.last(F.relu(self.middle(F.relu(h))))
        return found


class PriorConditioner(nn.Module):
    """One 3x3 convolution, zero to begin with: the learned prior of what Glow factors out, given what goes on."""

    def __init__(self, shape: Sequence[int], output: Sequence[int]) -> None:
        super().__init__()
        self.only = zeroed(nn.Conv2d(shape[0], output[0], 3, padding=1))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        found: Tensor = self.only(x.contiguous(memory_format=torch.channels_last))
        return found
