"""The layers of PixelCNN++: weight-normalised convolutions that need no mask, for they reach only to what stands.

Weights are normalised (Salimans & Kingma, 2016, arXiv:1602.07868); their gains start without looking at data, at the
value that keeps the variance of inputs of variance 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def concat_elu(x: Tensor) -> Tensor:
    """Twice the channels: ELU of x and of -x."""
    return F.elu(torch.cat([x, -x], dim=1))


class Normed(nn.Module):
    """A convolution's weight as direction and gain, and its bias."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int] = (1, 1), gain: float = 1.0) -> None:
        super().__init__()
        self.direction = nn.Parameter(0.05 * torch.randn(outputs, inputs, *kernel))
        self.gain = nn.Parameter(torch.full((outputs,), gain))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def weight(self) -> Tensor:
        """The weight with shape (outputs, inputs, *kernel)."""
        weight = F.normalize(self.direction.flatten(1)) * self.gain.unsqueeze(1)
        return weight.view_as(self.direction)


class Pointwise(Normed):
    """A convolution of one cell."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias)


class Located(Normed):
    """A layer with a cache of what stands around its input; ``every`` counts pixels between its inputs' cells.

    ``right`` says of which stream it is: false for u, which goes by rows, true for ul, which goes by cells.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], right: bool, every: int, gain: float = 1.0
    ) -> None:
        super().__init__(inputs, outputs, kernel, gain)
        self.kernel, self.right, self.every = kernel, right, every


class Shifted(Located):
    """A convolution that reaches upwards and to both sides, or (``right``) upwards and to the left."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        right: bool,
        every: int,
        gain: float = 1.0,
        stride: int = 1,
    ) -> None:
        super().__init__(inputs, outputs, kernel, right, every, gain)
        self.stride = stride
        before = kernel[1] - 1 if right else kernel[1] // 2
        self.sides = (before, kernel[1] - 1 - before)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (*self.sides, self.kernel[0] - 1, 0))
        return F.conv2d(padded, self.weight(), self.bias, self.stride)


class Grow(Located):
    """A transposed convolution from maps of ``every`` pixels a cell to twice the size: the mirror of stride 2."""

    def __init__(self, filters: int, kernel: tuple[int, int], right: bool, every: int) -> None:
        super().__init__(filters, filters, kernel, right, every, gain=2.0)  # each output meets a quarter of the taps
        self.left = 0 if right else 1

    def forward(self, x: Tensor) -> Tensor:
        """Maps of twice the height and width of ``x``."""
        return self.enlarge(x, self.weight())

    def enlarge(self, x: Tensor, weight: Tensor) -> Tensor:
        grown: Tensor = F.conv_transpose2d(x, weight.transpose(0, 1), self.bias, stride=2)
        return grown[..., self.left : self.left + 2 * x.shape[3]]
