"""What the figures of a comparison are about, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from genwerk.evaluation.texts import DISTINCT
from genwerk.metrics.bleu import ORDERS


class Section(Enum):
    """A part of the report."""

    QUALITY = "Quality of samples"
    LIKELIHOOD = "Likelihood"
    MEMORISATION = "Memorisation"
    RECONSTRUCTION = "Reconstruction"
    INVERTIBILITY = "Invertibility"
    TRAINING = "Cost of training"
    SAMPLING = "Cost of sampling"
    OWN = "Figures of the family's own"


class Better(Enum):
    """Which values of a figure are better."""

    LESS = "less"
    MORE = "more"
    NEITHER = "neither"
    """It describes, and ranks nothing."""


@dataclass(frozen=True)
class About:
    """What a figure is about."""

    section: Section
    better: Better
    meaning: str
    """In a sentence, for readers who do not know it."""


LESS, MORE, NEITHER = Better.LESS, Better.MORE, Better.NEITHER

ABOUT: dict[str, About] = {
    **{
        key: About(
            Section.QUALITY, LESS, "Distance between Gaussians fitted to the features of samples and of real examples."
        )
        for key in ("frechet_distance", "fid")
    },
    **{
        key: About(Section.QUALITY, LESS, "Squared maximum mean discrepancy of the features, with a cubic kernel.")
        for key in ("kernel_distance", "kid")
    },
    "precision": About(Section.QUALITY, MORE, "Share of samples that lie among the real examples."),
    "recall": About(Section.QUALITY, MORE, "Share of real examples that lie among the samples."),
    "density": About(Section.QUALITY, MORE, "How many real examples a sample lies among, 1 being as real ones do."),
    "coverage": About(Section.QUALITY, MORE, "Share of real examples with a sample among their nearest."),
    "feature_likelihood_divergence": About(
        Section.QUALITY, LESS, "How much less likely test examples are under a density of samples than of real ones."
    ),
    "vendi_score": About(Section.QUALITY, NEITHER, "Effective number of different samples."),
    "label_divergence": About(
        Section.QUALITY, LESS, "How far the shares of the classes among samples are from the real ones."
    ),
    "modes": About(Section.QUALITY, MORE, "Modes of the toy's density that samples reach."),
    "high_quality": About(Section.QUALITY, MORE, "Share of samples within three standard deviations of a mode."),
    "mode_kl": About(Section.QUALITY, LESS, "Divergence of the histogram of modes from an even one."),
    "reverse_lm_score": About(
        Section.QUALITY,
        LESS,
        "Nats a token of held-out texts under a small language model that was trained on samples: what these teach.",
    ),
    **{
        f"bleu_{k}": About(
            Section.QUALITY, NEITHER, f"How many runs of 1 to {k} words of a sample stand in a held-out text."
        )
        for k in ORDERS
    },
    **{
        f"self_bleu_{k}": About(
            Section.QUALITY,
            NEITHER,
            f"How many runs of 1 to {k} words of a sample stand in another one: less is more varied.",
        )
        for k in ORDERS
    },
    "lm_score": About(
        Section.QUALITY,
        NEITHER,
        "Nats a token of samples under a small language model of real texts: least where one likely text is said again "
        "and again.",
    ),
    "nll_oracle": About(
        Section.QUALITY,
        NEITHER,
        "Nats a token of samples under the distribution that the data were drawn from: least where one likely text is "
        "said again and again.",
    ),
    **{
        f"distinct_{n}": About(
            Section.QUALITY, NEITHER, f"Share of all runs of {n} words in samples that are different."
        )
        for n in DISTINCT
    },
    "repeats": About(Section.QUALITY, NEITHER, "Share of runs of words that a sample has said before."),
    "duplicates": About(Section.QUALITY, NEITHER, "Share of samples that another sample equals."),
    "copied": About(Section.MEMORISATION, NEITHER, "Share of samples that are word for word a training text."),
    "inception_score": About(Section.QUALITY, MORE, "Certainty and variety of the classes that Inception sees."),
    **{
        key: About(Section.LIKELIHOOD, LESS, meaning)
        for keys, meaning in (
            (("nll", "nll_bound"), "Nats that a model needs to tell a held-out example."),
            (("bits_per_dim", "bits_per_dim_bound"), "The same in bits a value."),
            (
                ("bits_per_character", "bits_per_word", "bits_per_byte_pair"),
                "The same in bits a character, word or byte pair, ends of texts counted.",
            ),
            (("kl_to_truth", "kl_to_truth_bound"), "Nats beyond those that the true density needs."),
        )
        for key in keys
    },
    "calibration_error": About(
        Section.LIKELIHOOD, LESS, "How far the probabilities of classes are from how often they are right."
    ),
    "nearest_training_distance_ratio": About(
        Section.MEMORISATION,
        NEITHER,
        "Median distance of samples to their nearest training example over that of test examples.",
    ),
    "nearer_than_any_test": About(
        Section.MEMORISATION,
        NEITHER,
        "Share of samples that are nearer to a training example than any test example is.",
    ),
    "authpct": About(
        Section.MEMORISATION,
        NEITHER,
        "Share of samples farther from their nearest training example than that is from its own nearest.",
    ),
    "c_t": About(
        Section.MEMORISATION,
        NEITHER,
        "Standard deviations by which samples are farther from the training data than test examples.",
    ),
    "reconstruction_mse": About(Section.RECONSTRUCTION, LESS, "Squared error a value of what is encoded and decoded."),
    "psnr": About(Section.RECONSTRUCTION, MORE, "The same error on a logarithmic scale, over that of the whole range."),
    "translation_psnr": About(
        Section.RECONSTRUCTION, MORE, "Peak signal-to-noise ratio of what is made of sources, beside their originals."
    ),
    "translation_ssim": About(
        Section.RECONSTRUCTION, MORE, "Structural similarity of what is made of sources to their originals."
    ),
    **{
        key: About(Section.RECONSTRUCTION, LESS, "Distance of reconstructions from their originals, in features.")
        for key in ("frechet_distance_of_reconstructions", "fid_of_reconstructions")
    },
    **{
        key: About(
            Section.RECONSTRUCTION, LESS, "Distance of translations from the images that are right, in features."
        )
        for key in ("translation_frechet_distance", "translation_fid")
    },
    "domain_agreement": About(
        Section.QUALITY, MORE, "Share of translations that a classifier of real examples takes for what they are to be."
    ),
    **{
        key: About(
            Section.QUALITY, LESS, "Squared maximum mean discrepancy of translations and their domain, in features."
        )
        for key in ("translation_kernel_distance", "translation_kid")
    },
    "identity_kept": About(
        Section.QUALITY, NEITHER, "Share of translations nearer to their own source than to others; a copy has 1."
    ),
    "unchanged_pixels": About(
        Section.QUALITY, NEITHER, "Share of the pixels of translations that are as in their source; a copy has 1."
    ),
    "cycle_error": About(
        Section.RECONSTRUCTION, NEITHER, "Mean absolute error of what is translated and back; a copy has 0."
    ),
    "encode_decode_error": About(
        Section.INVERTIBILITY,
        LESS,
        "Root of the mean squared difference of x and decode(encode(x)), over the spread of x.",
    ),
    "decode_encode_error": About(
        Section.INVERTIBILITY,
        LESS,
        "Root of the mean squared difference of z and encode(decode(z)), over the spread of z.",
    ),
    "parameters": About(Section.TRAINING, NEITHER, "Numbers that an optimiser descends, of all players."),
    "training_cpu_seconds": About(
        Section.TRAINING, NEITHER, "Processor seconds that training took, validation included."
    ),
    "training_examples_per_second": About(Section.TRAINING, MORE, "Training examples a processor second."),
    "peak_training_memory": About(Section.TRAINING, LESS, "Memory that the training process took at most."),
    "seconds_to_quality": About(
        Section.TRAINING, LESS, "Processor seconds of training until the stated distance was reached."
    ),
    "sampling_latency": About(Section.SAMPLING, LESS, "Time until a single sample is there."),
    "samples_per_second": About(Section.SAMPLING, MORE, "Samples a second, drawn in the best of the batches tried."),
    "growth_with_batch": About(
        Section.SAMPLING,
        LESS,
        "Exponent with which time grows with the samples of a batch: 0 is fully parallel, 1 one after the other.",
    ),
    "growth_with_size": About(
        Section.SAMPLING,
        LESS,
        "Exponent with which the time of a sample grows with its number of values: 1 is proportional.",
    ),
    "bayes_accuracy": About(Section.LIKELIHOOD, MORE, "How often the class that makes an example likeliest is right."),
}
"""The figures that are ranked or explained, by their keys; others are the family's own and rank nothing."""


def about(key: str) -> About:
    """What the figure of that key is about; "given label" and the like do not count."""
    base = key.partition("_given_")[0]
    return ABOUT.get(base, About(Section.OWN, NEITHER, ""))
