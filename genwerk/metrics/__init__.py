"""Measures of samples: pure functions of features or of texts, and the networks that make features."""

from genwerk.metrics.bleu import Bleu, corpus_bleu, self_bleu, sentence_bleu
from genwerk.metrics.frechet import frechet_distance
from genwerk.metrics.kid import KernelDistance, kernel_distance
from genwerk.metrics.likelihood_divergence import feature_likelihood_divergence
from genwerk.metrics.memorisation import Memorisation, memorisation
from genwerk.metrics.modes import ModeCoverage, mode_coverage
from genwerk.metrics.prdc import PRDC, prdc
from genwerk.metrics.repetition import copied, distinct, duplicates, repeats
from genwerk.metrics.vendi import vendi_score

__all__ = [
    "Bleu",
    "KernelDistance",
    "Memorisation",
    "ModeCoverage",
    "PRDC",
    "copied",
    "corpus_bleu",
    "distinct",
    "duplicates",
    "feature_likelihood_divergence",
    "frechet_distance",
    "kernel_distance",
    "memorisation",
    "mode_coverage",
    "prdc",
    "repeats",
    "self_bleu",
    "sentence_bleu",
    "vendi_score",
]
