"""Fully connected encoder and decoder bodies, with named activations and an optional label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid"]

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def mlp(sizes: Sequence[int], activation: Activation) -> nn.Sequential:
    """Linear layers of ``sizes`` (input first), with the activation between them and none at the end."""
    layers: list[nn.Module] = []
    for i, o in pairwise(sizes):
        layers += [nn.Linear(i, o), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def with_label(x: Tensor, condition: Tensor | None, classes: int) -> Tensor:
    """``x``, rows or images, with the one-hot label as ``classes`` further columns or channels; itself where 0."""
    if not classes:
        return x
    if condition is None:
        raise ValueError(f"the label is missing; expected class indices 0 to {classes - 1}")
    label = F.one_hot(condition, classes).to(x.dtype)
    return torch.cat([x, label.view(*label.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])], 1)


class MLPEncoder(nn.Module):
    """Data with shape (n, *shape), and the label where ``classes`` > 0, to features with shape (n, features)."""

    def __init__(
        self, shape: Sequence[int], features: int, widths: Sequence[int], activation: Activation, classes: int = 0
    ) -> None:
        super().__init__()
        self.classes = classes
        self.body = mlp([prod(shape) + classes, *widths, features], activation)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        features: Tensor = self.body(with_label(x.flatten(1), condition, self.classes))
        return features


class MLPDecoder(nn.Module):
    """The mirror of :class:`MLPEncoder`: features with shape (n, features) to an output with shape (n, *shape).

    ``widths`` are given in the encoder's order, from the data to the features.
    """

    def __init__(
        self, shape: Sequence[int], features: int, widths: Sequence[int], activation: Activation, classes: int = 0
    ) -> None:
        super().__init__()
        self.classes = classes
        self.body = mlp([features + classes, *reversed(widths), prod(shape)], activation)
        self.unflatten = nn.Unflatten(1, tuple(shape))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        x: Tensor = self.unflatten(self.body(with_label(z, condition, self.classes)))
        return x
