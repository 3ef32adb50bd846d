"""Tables brought to zero mean and unit variance, with the log-determinant that keeps densities in the data's units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """y = (x - mean) / std by column, with statistics that :meth:`fit` takes from the training data.

    Before a fit, and where ``active`` is False (images and audio, whose range is fixed), y = x. A column that never
    changes keeps its unit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], active: bool) -> None:
        super().__init__()
        self.active = active
        if active:
            self.register_buffer("mean", torch.zeros(*shape))
            self.register_buffer("std", torch.ones(*shape))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take mean and standard deviation from all rows of ``x``, with shape (n, *shape)."""
        if not self.active:
            return
        chunks = x.split(65_536)
        mean = torch.stack([chunk.double().sum(0) for chunk in chunks]).sum(0) / len(x)
        variance = torch.stack([(chunk.double() - mean).square().sum(0) for chunk in chunks]).sum(0) / len(x)
        std = variance.sqrt()
        self.mean.copy_(mean)
        constant = std <= 1e-9 * mean.abs()  # nothing but rounding
        self.std.copy_(torch.where(constant, 1.0, std))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std if self.active else x

    def inverse(self, y: Tensor) -> Tensor:
        """x = mean + std * y."""
        return self.mean + self.std * y if self.active else y

    def log_det(self) -> Tensor | float:
        """log |dy/dx|, the same for every example: log p(x) = log p(y) + log_det."""
        return -self.std.log().sum() if self.active else 0.0
