"""Distances between samples and held-out data, each beside those of real examples (floor) and of noise."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor

from genwerk.evaluation import verdicts
from genwerk.evaluation.quick import FEWEST
from genwerk.evaluation.report import Figure
from genwerk.metrics import frechet_distance, kernel_distance, prdc
from genwerk.metrics.features import Extractor
from genwerk.metrics.inception import inception_score

NEIGHBOURS = 5
"""Neighbours that make the balls of precision, recall, density and coverage."""
SCALES = {("precision", "density"): verdicts.REAL, ("recall", "coverage"): verdicts.VARIETY}
"""What is said of figures of one thing."""


def fewest(features: int) -> int:
    """Samples from which a Fréchet distance in that many features means something: twice as many, for a covariance of
    fewer than there are features says nothing of some directions."""
    return max(FEWEST, 2 * features)


@dataclass(frozen=True)
class Features:
    """Features of samples and of what they are compared with, each with shape (n, d); and how they came about."""

    extractor: Extractor
    made: Tensor
    real: Tensor
    """Of the reference: held-out data, or training data."""
    floor: Tensor
    """Of as many examples of the other part as there are samples."""
    noise: Tensor
    """Of as many examples of uniform noise."""
    sizes: str
    """How many there are of each, in words."""

    @property
    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Samples, floor and noise: what is compared with the reference."""
        return self.made, self.floor, self.noise

    @property
    def doubt(self) -> str:
        """:func:`doubt` of these features."""
        return doubt(self.extractor)


def doubt(extractor: Extractor) -> str:
    """The end of a note that says how little a classifier's features tell; empty where they tell enough."""
    if extractor.accuracy is None or not verdicts.weak(extractor.accuracy, extractor.chance):
        return ""
    right = f"{extractor.accuracy:.1%} (chance {extractor.chance:.1%})"
    return f"; means little: its features are of a classifier that is right for {right}"


def names(extractor: Extractor) -> tuple[str, str]:
    """What the Fréchet and the kernel distance are called: FID and KID only in Inception's features."""
    return ("FID", "KID") if extractor.inception else ("Fréchet distance", "kernel distance")


def frechet_figure(f: Features) -> Figure:
    """The Fréchet distance of samples, with floor and noise."""
    value, floor, noise = (frechet_distance(x, f.real) for x in f.rows)
    verdict = "" if f.doubt else verdicts.distance(value, floor, noise)
    name = names(f.extractor)[0]
    return Figure(name=name, value=value, floor=floor, noise=noise, note=f.sizes + f.doubt, verdict=verdict)


def kernel_figure(f: Features, seed: int) -> Figure:
    """The kernel distance of samples, with floor and noise."""
    value, floor, noise = (kernel_distance(x, f.real, seed=seed) for x in f.rows)
    return Figure(
        name=names(f.extractor)[1],
        value=value.mean,
        spread=value.standard_error,
        floor=floor.mean,
        noise=noise.mean,
        note=f.sizes + f.doubt,
        verdict="" if f.doubt else verdicts.distance(value.mean, floor.mean, noise.mean, value.standard_error),
    )


def neighbour_figures(f: Features) -> list[Figure]:
    """Precision, recall, density and coverage of samples, with floor and noise."""
    n = min(len(f.real), len(f.made))
    found, low, high = (asdict(prdc(f.real[:n], x[:n], NEIGHBOURS)) if len(x) >= n else {} for x in f.rows)
    said = dict.fromkeys(found, "")
    for pair, scale in SCALES.items():
        if low and high and not f.doubt:
            verdict = verdicts.shares(scale, *([each[name] for name in pair] for each in (found, low, high)))
            said |= dict.fromkeys(pair, verdict)
    figures = []
    for name, value in found.items():
        blind = "; means little: noise gets much of what real data get" if low and not said[name] else ""
        figures.append(
            Figure(
                name=name,
                value=value,
                floor=low.get(name),
                noise=high.get(name),
                note=f"{NEIGHBOURS} neighbours, {n:,} of each{f.doubt or blind}",
                verdict=said[name],
            )
        )
    return figures


def inception_figure(extractor: Extractor, made: Tensor) -> Figure:
    """The inception score of samples with features ``made``; the extractor is Inception, its last layer included."""
    score, deviation = inception_score(extractor.logits(made))
    note = f"{len(made):,} samples in 10 splits, whose standard deviation stands beside"
    return Figure(name="inception score", value=score, spread=deviation, note=note)


def rebuilt_figure(extractor: Extractor, rebuilt: Tensor, real: Tensor, noise: Tensor) -> Figure:
    """The Fréchet distance of reconstructions from their originals, beside that of as many examples of noise."""
    value, high, why = frechet_distance(rebuilt, real), frechet_distance(noise, real), doubt(extractor)
    return Figure(
        name=f"{names(extractor)[0]} of reconstructions",
        value=value,
        floor=0.0,
        noise=high,
        note=f"{len(real):,} held-out{why}",
        verdict="" if why else verdicts.distance(value, 0.0, high),
    )
