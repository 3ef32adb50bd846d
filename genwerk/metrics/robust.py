"""Robust means, which no single example dominates: to choose weights by, and to report beside a mean with outliers."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

TRIMMED = 0.05
"""Share of the examples that a trimmed mean leaves out at either end."""
FAR = 3.0
"""Interquartile ranges beyond a quartile from which a value is far out (Tukey, Exploratory Data Analysis, 1977)."""


def clipped_mean(values: Tensor) -> float:
    """Mean of ``values`` with shape (n,), clipped to Tukey's outer fences.

    Every example counts, but none without bound; this needs five of them.
    """
    values = values.double()
    low, high = values.quantile(values.new_tensor([0.25, 0.75]))
    reach = FAR * (high - low)
    return values.clamp(low - reach, high + reach).mean().item()


def trimmed_mean(values: Tensor) -> float:
    """Mean of ``values`` with shape (n,) without the greatest and the least :data:`TRIMMED` of them.

    At least one is left out at either end where that leaves any.
    """
    n = len(values)
    cut = min(ceil(TRIMMED * n), (n - 1) // 2)
    return values.double().sort().values[cut : n - cut].mean().item()


def heaviest(values: Tensor) -> tuple[int, float] | None:
    """The row of ``values`` (n,) that pulls their mean furthest from the median, and its share of that pull.

    None where the mean says what is usual: it lies between the first and the third quartile.
    """
    values = values.double()
    low, median, high = values.quantile(values.new_tensor([0.25, 0.5, 0.75]), interpolation="nearest")
    if low <= values.mean() <= high:
        return None
    off = (values - median).abs().nan_to_num(posinf=torch.finfo(values.dtype).max)
    row = int(off.argmax())
    return row, (off[row] / off.max() / (off / off.max()).sum()).item()
