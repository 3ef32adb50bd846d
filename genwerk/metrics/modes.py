"""Mode coverage: which modes of a known mixture the samples reach.

The protocol of Srivastava et al., "VEEGAN", 2017, arXiv:1705.07761, section 4.1, and Lin et al., "PacGAN", 2018,
arXiv:1712.04086, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor


@dataclass(frozen=True)
class ModeCoverage:
    """Which modes of a mixture of equal Gaussians the samples cover."""

    modes: int
    """Modes with at least one sample of high quality."""
    of: int
    """Modes in all."""
    quality: float
    """Fraction of samples of high quality: within the threshold of their nearest centre."""
    entropy: float
    """Entropy in nats of the nearest modes of the samples of high quality (log ``of`` when all are hit alike)."""
    kl: float
    """Kullback-Leibler divergence in nats of that histogram from the uniform one (infinite when no sample counts)."""


def mode_coverage(x: Tensor, centres: Tensor, std: float, threshold: float = 3.0) -> ModeCoverage:
    """Modes reached by samples ``x`` with shape (n, d) of a mixture at ``centres`` with shape (modes, d).

    A sample is of high quality within ``threshold`` times ``std``, the mixture's standard deviation along one axis, of
    the nearest centre. (Of exact samples in two dimensions, 1 - exp(-threshold^2 / 2) are: 98.9 % for 3.)
    """
    if x.ndim != 2 or x.shape[1:] != centres.shape[1:] or len(x) == 0:
        raise ValueError(f"samples have the shape {tuple(x.shape)}; expected (n, {centres.shape[-1]}), n at least 1")
    distance, nearest = torch.cdist(x.double(), centres.double().to(x.device)).min(1)
    good = distance <= threshold * std
    counts = torch.bincount(nearest[good], minlength=len(centres)).double()
    share = counts / counts.sum()
    entropy = torch.special.entr(share).sum().item() if good.any() else 0.0
    kl = log(len(centres)) - entropy if good.any() else float("inf")
    return ModeCoverage(int((counts > 0).sum()), len(centres), good.double().mean().item(), entropy, max(kl, 0.0))
