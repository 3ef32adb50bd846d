"""Autoregressive transforms: every value is transformed given those before it, in one pass; the inverse takes several.

Papamakarios, Pavlakou & Murray, Masked Autoregressive Flow for Density Estimation, 2017, arXiv:1705.07057.

The inverse solves x_i = inverse(z_i; parameters(x_1 ... x_(i-1))). Jacobi's iteration computes all x from all x of the
iteration before, and is exact after d iterations because value i is exact after i; mostly it converges long before
(Song, Meng, Liao & Ermon, Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving, 2021,
arXiv:2002.03629). Here it goes block by block: values before a block are final, and what they contribute to every
hidden unit is computed once, so that all iterations together cost little more than one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genwerk.nn.flows.made import MADE, Walk
from genwerk.nn.flows.monotone import Monotone
from genwerk.nn.flows.transform import Transform, Transformed, summed

Inversion = Literal["jacobi", "sequential"]


class Autoregressive(Transform):
    """z_i = f(x_i; network(x_j before i)) for examples with shape (n, d), by the ``monotone`` functions f.

    ``order`` is the column that comes first, second and so on; None takes them as they stand. ``inversion``: "jacobi"
    iterates ``block`` values at a time, until it is exact or no value changes by more than ``tolerance`` (times the
    greatest value, if above 1; None is :data:`REST` rounding errors); "sequential" takes one value after the other.

    Where a gradient is needed, no block stops early: a value that has converged by chance may still depend on others by
    paths that the iteration has not followed yet. Unrolled to the end, gradients are exact, too.
    """

    order: Tensor

    def __init__(
        self,
        network: MADE,
        monotone: Monotone,
        order: Sequence[int] | None = None,
        *,
        inversion: Inversion = "jacobi",
        block: int = 32,
        tolerance: float | None = None,
    ) -> None:
        super().__init__()
        if block < 1:
            raise ValueError(f"block is {block}; the inverse goes 1 value or more at a time")
        assert network.size == monotone.size
        self.network, self.monotone = network, monotone
        self.block = 1 if inversion == "sequential" else block
        self.tolerance = tolerance
        straight = list(range(network.dims))
        order = straight if order is None else list(order)
        self.columns = "in order" if order == straight else "reversed" if order == straight[::-1] else "permuted"
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        x = self._sorted(x)
        z, log_slope = self.monotone.forward(x, self.network(self.monotone.seen(x), context).to(x.dtype))
        return self._replaced(z), summed(log_slope)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        walk = Walk(self.network, z, context)
        found = [self._solve(part, walk) for part in self._sorted(z).split(self.block, 1)]
        x, log_slope = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return self._replaced(x), summed(log_slope)

    def _sorted(self, x: Tensor) -> Tensor:
        """Columns in their order."""
        if self.columns == "permuted":
            return x.index_select(1, self.order)
        return x if self.columns == "in order" else x.flip(1)

    def _replaced(self, x: Tensor) -> Tensor:
        """Columns that were in their order back in their places."""
        return x.index_select(1, self.order.argsort()) if self.columns == "permuted" else self._sorted(x)

    def _solve(self, z: Tensor, walk: Walk) -> Transformed:
        """x and log dx/dz of the next values, by iteration from z."""
        count = z.shape[1]
        walk.ahead(count)
        arithmetic = torch.finfo(z.dtype)
        limit, tolerance = arithmetic.max**0.5, REST * arithmetic.eps if self.tolerance is None else self.tolerance
        pause = 1 if z.device.type == "cpu" else LOOK
        x, at_rest = z, False
        for i in range(count):
            # what is not exact yet may be anything; it must stay finite, for infinity times a mask's 0 is not a number
            guess = x.clamp(-limit, limit).nan_to_num(0.0)
            parameters = walk.parameters(self.monotone.seen(guess)).to(z.dtype)
            x, log_slope = self.monotone.inverse(z, parameters)
            if (i + 1) % pause == 0 and i + 1 < count and not x.requires_grad:
                change, size = (x - guess).abs().amax(), x.abs().amax().clamp(min=1)
                at_rest = bool(change <= tolerance * size)
            if at_rest:
                break
        walk.take(self.monotone.seen(x))
        return x, log_slope


LOOK = 4
"""Iterations between looks at the change on a device, each of which waits for it."""
REST = 16
"""Rounding errors by which a value at rest may still change."""
