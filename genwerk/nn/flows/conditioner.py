"""Conditioners: networks from one part of an example to the parameters by which another is transformed."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from genwerk.nn.flows.transform import Transform, Transformed, summed
from genwerk.nn.mlp import Activation, mlp


def zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """``layer`` with all weights 0, so that a flow begins as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class DenseConditioner(nn.Module):
    """A fully connected network of any example and its context, zero to begin with."""

    def __init__(
        self,
        shape: Sequence[int],
        output: Sequence[int],
        widths: Sequence[int],
        activation: Activation = "relu",
        context: int = 0,
    ) -> None:
        super().__init__()
        self.output = tuple(output)
        self.body = mlp([prod(shape) + context, *widths, prod(output)], activation)
        last = self.body[-1]
        assert isinstance(last, nn.Linear)
        zeroed(last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        x = x.flatten(1)
        found: Tensor = self.body(x if context is None else torch.cat([x, context.to(x.dtype)], 1))
        return found.view(-1, *self.output)


class ContextAffine(Transform):
    """z = exp(s(c)) x + t(c) by column or channel: a latent that has another mean and scale for each context.

    The learned top prior of Glow (Kingma & Dhariwal, 2018), written as a transform to the standard normal.
    """

    def __init__(self, shape: Sequence[int], context: int, bound: float = 3.0) -> None:
        super().__init__()
        self.each = (shape[0], *[1] * (len(shape) - 1))
        self.shape, self.bound = tuple(shape), bound
        self.body = zeroed(nn.Linear(context, 2 * shape[0]))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        s, t = self._scale_and_shift(x, context)
        return s.exp() * x + t, summed(s.expand_as(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        s, t = self._scale_and_shift(z, context)
        return (z - t) * (-s).exp(), -summed(s.expand_as(z))

    def _scale_and_shift(self, like: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        assert context is not None
        raw, t = self.body(context.to(like.dtype)).to(like.dtype).view(-1, 2, *self.each).unbind(1)
        return self.bound * torch.tanh(raw / self.bound), t
