"""Data in their own units to values about zero, of about unit size, and back: what denoisers work on."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from genwerk.core.spec import DataSpec
from genwerk.nn.standardise import Standardise


class Centred(nn.Module):
    """Images go from [0, 1] to [-1, 1], sounds stay, a table's columns are standardised; latents share one scale.

    ``scale`` of latents is 1 / their standard deviation over all values, as latent diffusion takes it, and nothing is
    subtracted.
    """

    scale: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.kind, self.dims = spec.kind, spec.dims
        self.columns = Standardise(spec.shape, active=spec.kind == "table")
        if spec.kind == "latent":
            self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take what is needed from all training examples as they are stored."""
        self.columns.fit(x)
        if self.kind == "latent":
            self.scale.copy_(1 / x.double().std())

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "image":
            return 2 * x - 1
        y: Tensor = x * self.scale if self.kind == "latent" else self.columns(x)
        return y

    def inverse(self, y: Tensor) -> Tensor:
        """The example at ``y``, brought into the range of the data."""
        match self.kind:
            case "image":
                return ((y + 1) / 2).clamp(0, 1)
            case "audio":
                return y.clamp(-1, 1)
            case "latent":
                return y / self.scale
        return self.columns.inverse(y)

    def log_det(self) -> Tensor | float:
        """log |dy/dx|: log p(x) = log p(y) + log_det."""
        match self.kind:
            case "image":
                return self.dims * log(2)
            case "latent":
                return self.dims * self.scale.log()
        return self.columns.log_det()
