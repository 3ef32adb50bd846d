"""Measures of samples: pure functions of features, and the networks that make features."""

from genwerk.metrics.frechet import frechet_distance
from genwerk.metrics.kid import KernelDistance, kernel_distance
from genwerk.metrics.likelihood_divergence import feature_likelihood_divergence
from genwerk.metrics.memorisation import Memorisation, memorisation
from genwerk.metrics.modes import ModeCoverage, mode_coverage
from genwerk.metrics.prdc import PRDC, prdc
from genwerk.metrics.vendi import vendi_score

__all__ = [
    "KernelDistance",
    "Memorisation",
    "ModeCoverage",
    "PRDC",
    "feature_likelihood_divergence",
    "frechet_distance",
    "kernel_distance",
    "memorisation",
    "mode_coverage",
    "prdc",
    "vendi_score",
]
