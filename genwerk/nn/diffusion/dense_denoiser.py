"""A denoiser of rows of numbers: fully connected, conditioned on the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.diffusion.denoiser import Denoiser
from genwerk.nn.diffusion.unet import TimeEmbedding, sinusoids


@dataclass(frozen=True, kw_only=True)
class DenseDenoiserConfig(Denoiser, kind="dense"):
    """A fully connected network, for rows of numbers."""

    widths: tuple[int, ...] = (128, 128, 128)
    """Units of the hidden layers."""

    def build(self, shape: tuple[int, ...], classes: int = 0, context: int = 0) -> nn.Module:
        return DenseDenoiser(prod(shape), self.widths, classes)


class DenseDenoiser(nn.Module):
    """x_t with shape (n, *shape) and times with shape (n,) to an output with the shape of x_t.

    ``widths`` are the units of the hidden layers, at least one; the embedding of the time, to which that of a label is
    added, enters every one of them. Label ``classes`` is the null class. The output begins as zero.
    """

    def __init__(self, dims: int, widths: Sequence[int], classes: int = 0) -> None:
        super().__init__()
        time = widths[0]
        self.frequencies, self.classes = time // 2 * 2, classes
        self.time_embedding = TimeEmbedding(self.frequencies, time)
        self.class_embedding = nn.Embedding(classes + 1, time) if classes else None
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise([dims, *widths]))
        self.told = nn.ModuleList(nn.Linear(time, o) for o in widths)
        self.out = nn.Linear(widths[-1], dims)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """As the U-Net's, without a context."""
        embedding = self.time_embedding(sinusoids(t, self.frequencies))
        if self.class_embedding is not None:
            null = torch.full_like(t, self.classes, dtype=torch.long)
            embedding = embedding + self.class_embedding(null if label is None else label)
        embedding, h = F.silu(embedding), x.flatten(1)
        for layer, time in zip(self.layers, self.told, strict=True):
            h = F.silu(layer(h) + time(embedding))
        y: Tensor = self.out(h).view_as(x)
        return y.to(x.dtype)
