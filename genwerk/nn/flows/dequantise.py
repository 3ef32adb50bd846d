"""Variational dequantisation: noise within the levels of pixels, from uniform noise by a flow conditioned on the image.

J. Ho, X. Chen, A. Srinivas, Y. Duan, P. Abbeel: Flow++: Improving Flow-Based Generative Models with Variational
Dequantization and Architecture Design, 2019, arXiv:1902.00275, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.flows.base import EDGE
from genwerk.nn.flows.coupling import Checkerboard, Coupling
from genwerk.nn.flows.image_conditioner import ResNetConditioner
from genwerk.nn.flows.monotone import Affine
from genwerk.nn.flows.transform import Transformed, summed


class WithContext(nn.Module):
    """A residual network of a part of an image and the context, an image as high and wide, as extra channels."""

    def __init__(self, shape: Sequence[int], output: Sequence[int], context: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.network = ResNetConditioner((shape[0] + context, *shape[1:]), output, channels, blocks)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        found: Tensor = self.network(torch.cat([x, context.to(x.dtype)], 1))
        return found


class Dequantiser(nn.Module):
    """q(u | x) as a bijection of the cube: uniform e becomes u = sigmoid(f(logit(e), x)), and q(u | x) = |de/du|.

    f are affine couplings over a checkerboard. They begin as the identity, so that q begins as the uniform density.
    """

    def __init__(
        self, shape: Sequence[int], couplings: int = 4, channels: int = 32, blocks: int = 1, bound: float = 2.0
    ) -> None:
        super().__init__()

        def network(part: Sequence[int], output: Sequence[int]) -> WithContext:
            return WithContext(part, output, 4 * shape[0], channels, blocks)

        self.couplings = nn.ModuleList(
            Coupling(shape, Checkerboard(), Affine(bound), network, swap=bool(i % 2)) for i in range(couplings)
        )

    def forward(self, e: Tensor, x: Tensor) -> Transformed:
        """u in (0, 1) of e in [0, 1) with the shape of the pixels x in [0, 1], and -log q(u | x) with shape (n,)."""
        seen = F.pixel_unshuffle(x - 0.5, 2)
        v = torch.logit(e.clamp(EDGE, 1 - EDGE))
        log_det = -summed(_log_slope(v))
        for coupling in self.couplings:
            v, change = coupling(v, seen)
            log_det = log_det + change
        return torch.sigmoid(v), log_det + summed(_log_slope(v))


def _log_slope(v: Tensor) -> Tensor:
    """log of the derivative of the sigmoid at ``v``."""
    return F.logsigmoid(v) + F.logsigmoid(-v)
