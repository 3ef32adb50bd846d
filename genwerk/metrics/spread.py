"""Standard errors of figures of samples: how far they would move if as many samples were drawn again.

What the samples are compared with, real examples and what is known of them, stays as it is: it is the same for all
models that are compared.
"""

from __future__ import annotations

from math import sqrt

from torch import Tensor

DEVIATIONS = 2.0
"""Standard deviations to either side of a median between whose quantiles its standard error is read off."""


def of_mean(values: Tensor) -> float:
    """Standard error of the mean of independent ``values`` with shape (n,); nan of fewer than 2.

    Of the derivatives of a figure by the weight of each sample, it is that figure's standard error (the infinitesimal
    jackknife: Jaeckel, "The Infinitesimal Jackknife", 1972), which unlike the bootstrap repeats no sample.
    """
    return values.double().std().item() / sqrt(len(values)) if len(values) > 1 else float("nan")


def of_median(values: Tensor) -> float:
    """Standard error of the median of independent ``values`` with shape (n,), from their quantiles about it.

    McKean and Schrader, "A Comparison of Methods for Studentizing the Sample Median", 1984.
    """
    half = DEVIATIONS * sqrt(len(values)) / 2
    last = len(values) - 1
    ordered = values.double().sort().values
    low, high = (min(max(round(last / 2 + side * half), 0), last) for side in (-1, 1))
    return (ordered[high] - ordered[low]).item() / (2 * DEVIATIONS)
