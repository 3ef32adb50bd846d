"""How near images are to their originals, pixel by pixel: PSNR and SSIM."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from genwerk.core.errors import BadInput

WINDOW, SIGMA = 11, 1.5
"""Side of the Gaussian window of SSIM in pixels, and its standard deviation."""
K1, K2 = 0.01, 0.03
"""Constants that keep SSIM stable where there is no light, and no contrast."""


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, float64 with shape (n,): -10 log10 of the mean squared error.

    Images have shape (n, c, h, w) in [0, 1]; the ratio of equal ones is infinite.
    """
    _check(made, real)
    return -10 * (made.double() - real.double()).square().flatten(1).mean(1).log10()


def ssim(made: Tensor, real: Tensor) -> Tensor:
    """Structural similarity of each image, float64 with shape (n,), 1 for equal ones: the mean over channels and over
    all places where the window lies within the image.

    Wang, Bovik, Sheikh & Simoncelli, Image Quality Assessment, 2004, equation 13, with the authors' Gaussian window of
    11x11 pixels; in images of fewer pixels, the greatest odd number that fits.
    """
    _check(made, real)
    n, channels, *size = made.shape
    side = min(WINDOW, *(each - 1 + each % 2 for each in size))
    at = torch.arange(side, dtype=torch.float64, device=made.device) - side // 2
    weight = (-at.square() / (2 * SIGMA**2)).exp()
    weight = weight / weight.sum()

    def mean(x: Tensor) -> Tensor:
        return conv2d(conv2d(x, weight.view(1, 1, -1, 1)), weight.view(1, 1, 1, -1))

    x, y = (each.double().reshape(n * channels, 1, *size) for each in (made, real))
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    light = (2 * mx * my + K1**2) / (mx * mx + my * my + K1**2)
    structure = (2 * vxy + K2**2) / (vx + vy + K2**2)
    return (light * structure).reshape(n, -1).mean(1)


def _check(made: Tensor, real: Tensor) -> None:
    if made.shape != real.shape or made.dim() != 4:
        raise BadInput(f"images of shape {tuple(made.shape)} and {tuple(real.shape)}; expected (n, c, h, w) twice")
