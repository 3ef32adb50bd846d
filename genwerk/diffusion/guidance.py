"""Classifier-free guidance: away from the network's output for the null condition, or for a negative prompt.

Ho & Salimans 2022, arXiv:2207.12598; rescaling: Lin et al. 2024, arXiv:2305.08891, equations 15 and 16.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from genwerk.diffusion.schedule import Level

Network = Callable[[Tensor, Level, Tensor], Tensor]
"""A network's output on x with shape (n, ...) at a level under a condition with shape (n, ...)."""


def guided(conditional: Tensor, unconditional: Tensor, scale: float, rescale: float = 0.0) -> Tensor:
    """The ``unconditional`` output plus ``scale`` times its difference from the ``conditional`` one.

    Scale 1 is the conditional output. ``rescale`` moves the standard deviation of each example towards that of its
    conditional output, fully at 1, because guidance saturates colours (0.7 is usual).
    """
    output = unconditional + scale * (conditional - unconditional)
    if not rescale:
        return output
    ratio = _std(conditional) / _std(output)
    return output * (rescale * ratio + 1 - rescale)


def guide(
    network: Network, condition: Tensor, unconditional: Tensor, scale: float, rescale: float = 0.0
) -> Callable[[Tensor, Level], Tensor]:
    """``network`` under ``condition``, guided away from ``unconditional`` (the null condition, or a negative prompt).

    Both branches run as one batch, the unconditional half first; a scale of 1 or less needs the conditional branch
    alone.
    """

    def output(x: Tensor, level: Level) -> Tensor:
        if scale <= 1:
            return network(x, level, condition)
        u, c = network(torch.cat([x, x]), level, torch.cat([unconditional, condition])).chunk(2)
        return guided(c, u, scale, rescale)

    return output


def _std(x: Tensor) -> Tensor:
    """Standard deviation of each example, that broadcasts to ``x``."""
    return x.std(dim=tuple(range(1, x.ndim)), keepdim=True)
