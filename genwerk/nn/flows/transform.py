"""The invertible transform, its inverse, and transforms in a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

Transformed = tuple[Tensor, Tensor]
"""The transformed examples, and the log-determinant of each with shape (n,)."""


class Transform(nn.Module, ABC):
    """A bijection of examples; ``context`` with shape (n, k), where there is one, decides which.

    ``forward`` goes from the data to the latent, ``inverse`` back. Both also return log |det| of their own Jacobian for
    each example, so that log p(x) = log p(z) + log_det of ``forward``, and the two sum to 0.
    """

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        """z and log |det dz/dx|."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        """x and log |det dx/dz|."""


class Chain(Transform):
    """One transform after the other; the first is next to the data."""

    def __init__(self, parts: Sequence[Transform]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        log_det = x.new_zeros(len(x))
        for part in self.parts:
            x, change = part(x, context)
            log_det = log_det + change
        return x, log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        log_det = z.new_zeros(len(z))
        for part in reversed(self.parts):
            assert isinstance(part, Transform)
            z, change = part.inverse(z, context)
            log_det = log_det + change
        return z, log_det


class Inverse(Transform):
    """A transform with ``forward`` and ``inverse`` exchanged."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        return self.transform.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        found: Transformed = self.transform(z, context)
        return found


def summed(by_value: Tensor) -> Tensor:
    """The sum over all but the first dimension, with shape (n,)."""
    return by_value.flatten(1).sum(1)


def per_example(log_det: Tensor, x: Tensor) -> Tensor:
    """One log-determinant for all of ``x``, once for each example."""
    return log_det.to(x.dtype).expand(len(x))


class Flatten(Transform):
    """Examples of ``shape`` as rows of values."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        return z.unflatten(1, self.shape), z.new_zeros(len(z))
