"""Tables brought to zero mean and unit variance, with the log-determinant that keeps densities in the data's units.

Examples of a table are float64, networks are not. What is between them is here alone: values near a large offset
(times, coordinates, identifiers) are apart by less than float32 tells, and their standardised values are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """y = (x - mean) / std by column, with statistics that :meth:`fit` takes from the training data.

    x is float64, as are the statistics, and y has the precision of the networks around it. Before a fit, and where
    ``active`` is False (images and audio, whose range is fixed), y = x. A column that never changes keeps its unit.
    """

    mean: Tensor
    std: Tensor
    precision: Tensor
    """Empty; it follows a model to another device and precision."""

    def __init__(self, shape: Sequence[int], active: bool) -> None:
        super().__init__()
        self.active = active
        if active:
            self.register_buffer("mean", torch.zeros(*shape, dtype=torch.float64))
            self.register_buffer("std", torch.ones(*shape, dtype=torch.float64))
            self.register_buffer("precision", torch.empty(0), persistent=False)

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take mean and standard deviation from all rows of ``x``, with shape (n, *shape)."""
        if not self.active:
            return
        chunks = x.split(65_536)
        mean = torch.stack([chunk.double().sum(0) for chunk in chunks]).sum(0) / len(x)
        variance = torch.stack([(chunk.double() - mean).square().sum(0) for chunk in chunks]).sum(0) / len(x)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(x.amin(0) == x.amax(0), 1.0, variance.sqrt()))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.std).to(self.precision.dtype) if self.active else x

    def inverse(self, y: Tensor) -> Tensor:
        """x = mean + std * y, in float64."""
        return self.mean + self.std * y if self.active else y

    def log_det(self) -> Tensor | float:
        """log |dy/dx|, the same for every example: log p(x) = log p(y) + log_det."""
        return -self.std.log().sum().to(self.precision.dtype) if self.active else 0.0
