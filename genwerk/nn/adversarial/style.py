"""Layers of style-based generators and of the discriminator that goes with them.

Karras, Laine & Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, 2019, arXiv:1812.04948;
Karras et al., Progressive Growing of GANs, 2018, arXiv:1710.10196 (equalised learning rate, minibatch
standard deviation).

Done differently: doubling or halving and its convolution are one convolution of stride 2, with a 4x4 kernel that is the
3x3 kernel convolved with a box: the same function at under half of the arithmetic.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, group_norm, leaky_relu, linear, pad

HE = 2**0.5
"""Gain of a layer that a leaky rectifier follows."""


def activate(x: Tensor) -> Tensor:
    """Leaky rectifier of slope 0.2."""
    return leaky_relu(x, 0.2)


def unit_moment(x: Tensor) -> Tensor:
    """Rows with shape (n, d), each divided by the root of its mean square."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


# --- equalised learning rate ------------------------------------------------------------------------------------------


class EqualisedLinear(nn.Module):
    """A linear layer whose weight is stored with variance 1 / rate^2 and scaled when it is used.

    The scale is ``rate`` * ``gain`` / sqrt(inputs) for the weight and ``rate`` for the bias, so that Adam moves every
    layer at the same relative speed, times ``rate``.
    """

    def __init__(self, inputs: int, out: int, gain: float = 1.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(out))
        self.scale, self.rate = rate * gain / inputs**0.5, rate

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualisedConv(nn.Module):
    """A convolution with an equalised learning rate, after doubling the image (up) or before halving it (down).

    Doubling repeats pixels, halving takes means of 2x2.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        size: int = 3,
        resize: Literal["none", "up", "down"] = "none",
        gain: float = HE,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels, size, size))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.scale, self.resize, self.padding = gain / (channels * size**2) ** 0.5, resize, size // 2

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight * self.scale
        match self.resize:
            case "up":
                kernel = boxed(kernel).flip(2, 3).transpose(0, 1)
                return conv_transpose2d(x, kernel, self.bias, stride=2, padding=self.padding)
            case "down":
                return conv2d(x, boxed(kernel) / 4, self.bias, stride=2, padding=self.padding)
            case "none":
                return conv2d(x, kernel, self.bias, padding=self.padding)


def boxed(kernel: Tensor) -> Tensor:
    """``kernel`` with shape (out, channels, k, k) convolved with a 2x2 box of ones: (out, channels, k + 1, k + 1)."""
    rows = pad(kernel, (0, 0, 1, 0)) + pad(kernel, (0, 0, 0, 1))
    return pad(rows, (1, 0)) + pad(rows, (0, 1))


# --- blur -------------------------------------------------------------------------------------------------------------


class _Blur(torch.autograd.Function):
    """The blur is symmetric, so it is its own derivative of any order; autograd's own second derivative is slower."""

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:
        side = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
        kernel = (side[:, None] * side).expand(x.shape[1], 1, 3, 3)
        return conv2d(x, kernel, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return blur(gradient)


def blur(x: Tensor) -> Tensor:
    """Images smoothed by [1, 2, 1] / 4 along both sides, with zeros around the border."""
    blurred: Tensor = _Blur.apply(x)  # type: ignore[no-untyped-call]
    return blurred


# --- styles -----------------------------------------------------------------------------------------------------------


class AdaIN(nn.Module):
    """Adaptive instance normalisation, equation 1: every channel standardised, then given a scale and a shift by w."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style, 2 * channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        s, b = self.affine(w)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(b, group_norm(x, x.shape[1], eps=1e-8), s + 1)


class StyleLayer(nn.Module):
    """Half a block of figure 1b: convolution (and blur, where it doubles), noise, bias, rectifier and style.

    ``channels`` None is the first layer, whose input is the learned constant and which has no convolution.
    """

    def __init__(self, channels: int | None, out: int, style: int, *, up: bool = False) -> None:
        super().__init__()
        self.up = up
        self.conv = None
        if channels is not None:
            self.conv = EqualisedConv(channels, out, resize="up" if up else "none", bias=False)
        self.noise = nn.Parameter(torch.zeros(out, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out, 1, 1))
        self.style = AdaIN(out, style)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """``x`` (n, channels, h, w) by styles ``w`` (n, d), with noise maps (n or 1, 1, h, w) of the output's size."""
        if self.conv is not None:
            x = self.conv(x)
        if self.up:
            x = blur(x)
        y: Tensor = self.style(activate(x + torch.addcmul(self.bias, noise, self.noise)), w)
        return y


# --- the discriminator's statistic ------------------------------------------------------------------------------------


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """How much the examples of a group differ: a further channel for each, with shape (n, 1, h, w).

    Karras et al., 2018, section 3: the standard deviation over the group at every place of every channel, averaged to
    one number. Groups are consecutive examples: as few as hold at most ``group`` each, and as equal as may be (10 in
    groups of 4 are 4, 3 and 3), so that any batch will do and whole groups may be computed apart.
    """
    n, count = len(x), -(-len(x) // group)
    size, larger = divmod(n, count)
    cut = larger * (size + 1)
    parts = [(x[:cut], size + 1), (x[cut:], size)]
    values = [_deviation(part.unflatten(0, (-1, rows))).repeat_interleave(rows) for part, rows in parts if len(part)]
    return torch.cat(values).to(x.dtype).view(n, 1, 1, 1).expand(n, 1, *x.shape[2:])


def _deviation(groups: Tensor) -> Tensor:
    """(groups, rows, c, h, w) to the mean standard deviation within each group."""
    groups = groups.float() if groups.dtype == torch.bfloat16 else groups
    variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)
    return (variance + 1e-8).sqrt().flatten(1).mean(1)
