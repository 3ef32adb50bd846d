"""Data in their own units to the units of networks, and back."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genwerk.core.spec import DataSpec

if TYPE_CHECKING:
    from genwerk.data.dataset import Dataset


class NetworkUnits(nn.Module):
    """y of x and x of y: here the same, in the subclasses what each kind of data takes."""

    range: tuple[float, float] | None = None
    """Least and greatest y of data; None where there is no bound."""

    def fit(self, x: Tensor) -> None:
        """Take what is needed from all training examples as they are stored."""

    @property
    def fresh(self) -> bool:
        """Whether there is something to fit that has not been fitted yet."""
        return False

    def fitted(self, data: Dataset) -> Dataset:
        """``data`` as they are, after a :meth:`fit` to them: what a stage begins with.

        Units that are fitted already stay: the weights around them were trained in these (of a run that goes on with
        more data, or of another run that was started from).
        """
        if self.fresh:
            self.fit(data.x)
        return data

    def forward(self, x: Tensor) -> Tensor:
        return x

    def inverse(self, y: Tensor) -> Tensor:
        """The example at ``y``, within the range of the data."""
        return y

    def squash(self, raw: Tensor) -> Tensor:
        """A network's raw output brought into the range that y has, where there is one."""
        return raw

    def clamp(self, y: Tensor) -> Tensor:
        """``y`` cut off where its range ends."""
        return y if self.range is None else y.clamp(*self.range)

    def log_det(self) -> Tensor | float:
        """log |dy/dx|, the same for every example: log p(x) = log p(y) + log_det."""
        return 0.0


class PixelUnits(NetworkUnits):
    """Pixels in [0, 1], as they are; an output is their logit."""

    range = (0.0, 1.0)

    def squash(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()


class CentredPixels(NetworkUnits):
    """Pixels from [0, 1] to [-1, 1]; ``dims`` of them are in an example."""

    range = (-1.0, 1.0)

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x - 1

    def inverse(self, y: Tensor) -> Tensor:
        return (self.clamp(y) + 1) / 2

    def squash(self, raw: Tensor) -> Tensor:
        return raw.tanh()

    def log_det(self) -> Tensor | float:
        return self.dims * log(2)


class SoundUnits(NetworkUnits):
    """Sound as it is, in [-1, 1]."""

    range = (-1.0, 1.0)

    def inverse(self, y: Tensor) -> Tensor:
        return self.clamp(y)

    def squash(self, raw: Tensor) -> Tensor:
        return raw.tanh()


class Standardise(NetworkUnits):
    """y = (x - mean) / std by column, with statistics that :meth:`fit` takes from the training data.

    Examples of a table are float64, networks are not. What is between them is here alone: values near a large offset
    (times, coordinates, identifiers) are apart by less than float32 tells, and their standardised values are not. So x
    is float64, as are the statistics, and y has the precision of the networks around it. Before a fit y = x. A column
    that never changes keeps its unit.
    """

    mean: Tensor
    std: Tensor
    precision: Tensor
    """Empty; it follows a model to another device and precision."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*shape, dtype=torch.float64))
        self.register_buffer("std", torch.ones(*shape, dtype=torch.float64))
        self.register_buffer("precision", torch.empty(0), persistent=False)

    @property
    def fresh(self) -> bool:
        return bool((self.mean == 0).all() and (self.std == 1).all())

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take mean and standard deviation from all rows of ``x``, with shape (n, *shape)."""
        chunks = x.split(65_536)
        mean = torch.stack([chunk.double().sum(0) for chunk in chunks]).sum(0) / len(x)
        variance = torch.stack([(chunk.double() - mean).square().sum(0) for chunk in chunks]).sum(0) / len(x)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(x.amin(0) == x.amax(0), 1.0, variance.sqrt()))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.std).to(self.precision.dtype)

    def inverse(self, y: Tensor) -> Tensor:
        """x = mean + std * y, in float64."""
        return self.mean + self.std * y

    def log_det(self) -> Tensor | float:
        return -self.std.log().sum().to(self.precision.dtype)


class Centred(nn.Module):
    """What denoisers work on: data in their centred units, and latents at the scale that latent diffusion gives them.

    ``scale`` is 1 / the standard deviation over all values of data whose modality :attr:`shares_scale`; nothing is
    subtracted from them. The units of the modality are called ``columns``, as in runs of format 1.
    """

    scale: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.dims, self.shared = spec.dims, spec.modality.shares_scale
        self.columns = spec.modality.units()
        if self.shared:
            self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def fitted(self, data: Dataset) -> Dataset:
        """``data`` as they are, after what is needed was taken from all of them, unless it had been before."""
        self.columns.fitted(data)
        if self.shared and self.scale == 1:
            self.scale.copy_(1 / data.x.double().std())
        return data

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.columns(x)
        return y * self.scale if self.shared else y

    def inverse(self, y: Tensor) -> Tensor:
        """The example at ``y``, brought into the range of the data."""
        return self.columns.inverse(y / self.scale if self.shared else y)

    def log_det(self) -> Tensor | float:
        """log |dy/dx|: log p(x) = log p(y) + log_det."""
        return self.columns.log_det() + (self.dims * self.scale.log() if self.shared else 0.0)
