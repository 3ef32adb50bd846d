"""A learned invertible matrix across columns or channels, held as P L U.

Kingma & Dhariwal, Glow, 2018, arXiv:1807.03039, section 3.2; for tables, the permutation with an LU-decomposed linear
layer of Neural Spline Flows (Durkan et al., 2019, arXiv:1906.04032, appendix B).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.flows.transform import Transform, Transformed, per_example


class InvertibleConv(Transform):
    """z = W x at every place, W = P L U with a fixed permutation P, ones on the diagonal of L, and a random rotation
    to begin with.

    The signs of U's diagonal stay as they are and its magnitudes are learned as logarithms, so that W cannot become
    singular and log |det W| is their sum. W is applied in full precision, inside autocast too.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        channels, self.places = shape[0], prod(shape[1:])
        rotation = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))[0]
        p, lower, upper = torch.linalg.lu(rotation)
        default = torch.get_default_dtype()
        self.register_buffer("order", p.argmax(1))
        self.register_buffer("sign", upper.diagonal().sign().to(default))
        self.log_scale = nn.Parameter(upper.diagonal().abs().log().to(default))
        self.triangles = nn.Parameter((lower.tril(-1) + upper.triu(1)).to(default))

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U, each with shape (channels, channels)."""
        lower = self.triangles.tril(-1) + torch.eye(len(self.sign)).to(self.triangles)
        return lower, self.triangles.triu(1) + torch.diag(self.sign * self.log_scale.exp())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Transformed:
        with torch.autocast(x.device.type, enabled=False):
            lower, upper = self.factors()
            z = across((lower @ upper)[self.order], x)
        return z, per_example(self.places * self.log_scale.sum(), x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Transformed:
        with torch.autocast(z.device.type, enabled=False):
            lower, upper = (factor.double() for factor in self.factors())
            permuted = torch.eye(len(self.sign)).to(lower)[:, self.order]
            middle = torch.linalg.solve_triangular(lower, permuted, upper=False, unitriangular=True)
            x = across(torch.linalg.solve_triangular(upper, middle, upper=True).to(z.dtype), z)
        return x, per_example(-self.places * self.log_scale.sum(), z)


def across(matrix: Tensor, x: Tensor) -> Tensor:
    """``matrix`` times the columns or channels of ``x`` at every place."""
    return F.linear(x, matrix) if x.dim() == 2 else F.conv2d(x, matrix[..., None, None])
