"""Instance normalisation that can be given the statistics of another image, so that parts of one fit together.

Ulyanov, Vedaldi & Lempitsky, Instance Normalization: The Missing Ingredient for Fast Stylization, 2016,
arXiv:1607.08022.

Done differently: an image larger than those trained on is normalised by the statistics that it has when it is shrunk to
their size. So every part of it is normalised alike, in memory that does not depend on its size, and by statistics of
the kind that the network was trained with. A channel that does not vary (of an image of one flat colour) becomes the
bias exactly: else its rounding errors are amplified 300 times by every layer, and gradients overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

Statistics = tuple[Tensor, Tensor]
"""Variance and mean of each channel of each example, with shape (n, c, 1, 1); an infinite variance makes it flat."""
FLAT = 1e-5
"""Range of a channel, absolute or as a share of its values, up to which its pixels differ by rounding alone."""


class InstanceNorm(nn.Module):
    """Every channel of an example brought to mean 0 and variance 1 over its pixels, then scaled and shifted."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.given: Statistics | None = None
        """Statistics to normalise by in place of the input's own."""

    def forward(self, x: Tensor) -> Tensor:
        if self.given is None:
            y = torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, True)
            if x.is_cpu and not torch.compiler.is_compiling() and not may_be_flat(x):  # elsewhere the branch costs more
                return y
            return self.bias.view(-1, 1, 1).where(is_flat(x), y)
        variance, mean = self.given
        scale = self.weight.view(-1, 1, 1) * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias.view(-1, 1, 1) - mean * scale, x, scale)


@torch.no_grad()
def is_flat(x: Tensor) -> Tensor:
    """Which channels of ``x``, with shape (n, c, h, w), do not vary over their pixels: shape (n, c, 1, 1)."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return high - low <= FLAT * torch.maximum(high, -low).clamp(min=1)


@torch.no_grad()
def may_be_flat(x: Tensor) -> bool:
    """Whether any channel of ``x`` may be :func:`flat <is_flat>`, as far as two of its pixels tell."""
    corner, middle = x[..., 0, 0], x[..., x.shape[2] // 2, x.shape[3] // 2]
    return bool(((corner - middle).abs() <= 2 * FLAT * corner.abs().clamp(min=1)).any())


def statistics(network: nn.Module, x: Tensor, *rest: Tensor) -> dict[InstanceNorm, Statistics]:
    """What each normalisation in ``network``, called with ``x`` and the ``rest``, normalises by."""
    found: dict[InstanceNorm, Statistics] = {}

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(module, InstanceNorm)
        variance, mean = torch.var_mean(args[0], (2, 3), correction=0, keepdim=True)
        found[module] = variance.masked_fill(is_flat(args[0]), torch.inf), mean

    hooks = [m.register_forward_pre_hook(note) for m in network.modules() if isinstance(m, InstanceNorm)]
    try:
        network(x, *rest)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def normalised_by(given: Mapping[InstanceNorm, Statistics]) -> Iterator[None]:
    """While inside, normalisations use the statistics that are ``given``."""
    for module, values in given.items():
        module.given = values
    try:
        yield
    finally:
        for module in given:
            module.given = None


def shrunk(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Images with shape (n, c, h, w) of at most ``size`` (height, width), by the mean of the pixels that become one."""
    small = min(x.shape[2], size[0]), min(x.shape[3], size[1])
    return x if small == x.shape[2:] else interpolate(x, small, mode="area")


def by_parts(network: nn.Module, source: Tensor, size: tuple[int, int], *rest: Tensor) -> Callable[[Tensor], Tensor]:
    """``network`` for parts, in [-1, 1], of ``source``, in [0, 1], which is normalised as it is when it has at most
    ``size``; it is called with the ``rest`` besides. The source is shrunk where it is, and then moved to the parts."""
    small = shrunk(source, size)
    given = dict[InstanceNorm, Statistics]()

    def of(part: Tensor) -> Tensor:
        if part.shape == small.shape == source.shape:
            return network(part, *rest)  # type: ignore[no-any-return]
        if not given:
            given.update(statistics(network, 2 * small.to(part) - 1, *rest))
        with normalised_by(given):
            return network(part, *rest)  # type: ignore[no-any-return]

    return of
