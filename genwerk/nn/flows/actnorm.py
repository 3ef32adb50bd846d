"""Activation normalisation: values brought to zero mean and unit variance once, and learned from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor, nn

from genwerk.nn.flows.transform import Transform, Transformed, per_example


class ActNorm(Transform):
    """z = exp(s) (x - mean) / std + t by column or channel: mean and std of the first data, s and t learned from 0.

    Kingma & Dhariwal, Glow, 2018, arXiv:1807.03039, section 3.1. Mean and log std are buffers and change only inside
    :func:`fitting`, so that neither loading nor going on with a training sets them anew, and averaged weights do not
    remember a time before them. A channel that does not vary keeps its unit.
    """

    mean: Tensor
    log_std: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.fits = False
        each = (shape[0], *[1] * (len(shape) - 1))
        self.places = prod(shape[1:])
        self.register_buffer("mean", torch.zeros(each))
        self.register_buffer("log_std", torch.zeros(each))
        self.log_scale = nn.Parameter(torch.zeros(each))
        self.shift = nn.Parameter(torch.zeros(each))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        if self.fits:
            self._fit(x)
        log_scale = self.log_scale - self.log_std
        z = torch.addcmul(self.shift, x - self.mean, log_scale.exp())
        return z, per_example(self.places * log_scale.sum(), x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        log_scale = self.log_std - self.log_scale
        x = torch.addcmul(self.mean, z - self.shift, log_scale.exp())
        return x, per_example(self.places * log_scale.sum(), z)

    @torch.no_grad()
    def _fit(self, x: Tensor) -> None:
        by_channel = x.double().movedim(1, 0).flatten(1)
        std, mean = torch.std_mean(by_channel, 1, correction=0)
        self.mean.copy_(mean.view_as(self.mean))
        self.log_std.copy_(torch.where(std > 1e-6, std, 1.0).log().view_as(self.log_std))


@contextmanager
def fitting(module: nn.Module) -> Iterator[None]:
    """While inside, every :class:`ActNorm` of ``module`` takes mean and std from what goes forward through it."""
    layers = [m for m in module.modules() if isinstance(m, ActNorm)]
    for layer in layers:
        layer.fits = True
    try:
        yield
    finally:
        for layer in layers:
            layer.fits = False
