"""Measures of samples: pure functions of features, and the networks that make features."""

from genwerk.metrics.frechet import frechet_distance
from genwerk.metrics.kid import KernelDistance, kernel_distance
from genwerk.metrics.modes import ModeCoverage, mode_coverage
from genwerk.metrics.prdc import PRDC, prdc

__all__ = [
    "KernelDistance",
    "ModeCoverage",
    "PRDC",
    "frechet_distance",
    "kernel_distance",
    "mode_coverage",
    "prdc",
]
