"""What is measured when training has ended: the settings of an evaluation (nothing here loads torch)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genwerk.core.errors import NOUGHT, ONE, SEEDS, check_ranges

Features = Literal["auto", "classifier", "photo", "inception"]
"""What distances between samples and data may be measured in."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is measured when training has ended, and with how much work."""

    examples: int = 10_000
    """Greatest number of held-out examples to measure on."""
    samples: int = 10_000
    """Number of samples for Fréchet distance, KID, precision, recall, density and coverage, and of texts for BLEU,
    self-BLEU and every other figure of samples; 0 leaves these out."""
    reference: Literal["test", "train"] = "test"
    """Part of the data that samples are compared with; published FIDs are against the training part."""
    features: Features = "auto"
    """What distances are measured in: classifier (trained on these data), photo (EfficientNet-Lite0, of the extra
    photo) or inception (weights that GENWERK_INCEPTION names); auto is inception where it can be, else classifier, and
    of tables their columns."""
    importance_samples: int = 100
    """Importance samples per example for likelihood bounds."""
    temperatures: tuple[float, ...] = ()
    """Temperatures at which texts are sampled as well, to see how their quality depends on their variety."""
    lm_rounds: int = 400
    """Rounds, of at most 2,048 tokens, for which the small language models are trained whose scores tell what can be
    learned from sampled texts; 0 leaves these scores out."""
    minutes: float | None = 5.0
    """Minutes allowed for the samples, and as many for the likelihoods: where all would take longer, fewer are
    measured, and the figures say so. None sets no limit."""
    seed: int = 0
    """Seed of samples and of importance samples."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "evaluate",
            examples=ONE,
            samples=NOUGHT,
            temperatures=NOUGHT,
            lm_rounds=NOUGHT,
            importance_samples=ONE,
            minutes=NOUGHT,
            seed=SEEDS,
        )
