"""Distances between samples and held-out data, each beside those of real examples (floor) and of noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TypeVar

from torch import Tensor

from genwerk.evaluation import verdicts
from genwerk.evaluation.quick import FEWEST
from genwerk.evaluation.reference import Reference
from genwerk.evaluation.report import Figure, counted
from genwerk.metrics import frechet_distance, kernel_distance, prdc, vendi_score
from genwerk.metrics.features import Extractor
from genwerk.metrics.frechet import frechet_error
from genwerk.metrics.inception import inception_score
from genwerk.metrics.prdc import prdc_with_errors
from genwerk.metrics.vendi import vendi_error

T = TypeVar("T")

NEIGHBOURS = 5
"""Neighbours that make the balls of precision, recall, density and coverage."""
SUBSETS = 25
"""Subsets that the kernel distance of real examples and of noise takes."""
SCALES = {("precision", "density"): verdicts.REAL, ("recall", "coverage"): verdicts.VARIETY}
"""What is said of figures of one thing."""


def fewest(features: int) -> int:
    """Samples from which a Fréchet distance in that many features means something: twice as many, for a covariance of
    fewer than there are features says nothing of some directions."""
    return max(FEWEST, 2 * features)


@dataclass(frozen=True)
class Features:
    """Features of samples, with shape (n, d), and what they are compared with."""

    made: Tensor
    beside: Reference
    sizes: str
    """How many samples there are, and of what they are compared with, in words."""

    @property
    def extractor(self) -> Extractor:
        """What the features come from."""
        return self.beside.extractor

    @property
    def real(self) -> Tensor:
        """Features of the reference: held-out data, or training data."""
        return self.beside.real

    def of_real(self, name: str, figure: Callable[[Tensor], T]) -> tuple[T, T]:
        """That ``figure`` of as many real examples of the other part (floor) and of noise, found once by its name."""
        n, beside = len(self.made), self.beside
        return beside.once((name, n), lambda: (figure(beside.floor(n)), figure(beside.noise[:n])))

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


def frechet_figure(f: Features) -> Figure | str:
    """The Fréchet distance of samples, with floor and noise; why there is none where there are too few of them."""
    name, n, d = names(f.extractor)[0], min(len(f.made), len(f.real)), f.made.shape[1]
    if n < fewest(d):
        return f"No {name}: in {d} features it needs {fewest(d):,} samples and as many real examples or more."
    floor, noise = f.of_real("Fréchet distance", lambda x: frechet_distance(x, f.real))
    value, error = frechet_distance(f.made, f.real), frechet_error(f.made, f.real)
    return Figure(
        name=name,
        value=value,
        spread=error,
        floor=floor,
        noise=noise,
        note=f.sizes + f.doubt,
        verdict="" if f.doubt else verdicts.distance(value, floor, noise, error, biased=True),
    )


def kernel_figure(f: Features, seed: int) -> Figure:
    """The kernel distance of samples, with floor and noise, which take a quarter as many subsets."""
    value = kernel_distance(f.made, f.real, seed=seed)
    floor, noise = f.of_real("kernel distance", lambda x: kernel_distance(x, f.real, subsets=SUBSETS, seed=seed).mean)
    return Figure(
        name=names(f.extractor)[1],
        value=value.mean,
        spread=value.standard_error,
        floor=floor,
        noise=noise,
        note=f.sizes + f.doubt,
        verdict="" if f.doubt else verdicts.distance(value.mean, floor, noise, value.standard_error),
    )


def neighbour_figures(f: Features, seed: int) -> list[Figure]:
    """Precision, recall, density and coverage of samples, with floor and noise."""
    n = min(len(f.real), len(f.made))

    def of(x: Tensor) -> dict[str, float]:
        return asdict(prdc(f.real[:n], x[:n], NEIGHBOURS)) if len(x) >= n else {}

    (low, high), found = f.of_real("neighbours", of), prdc_with_errors(f.real[:n], f.made[:n], NEIGHBOURS, seed=seed)
    values, errors = map(asdict, found)
    said = dict.fromkeys(values, "")
    for pair, scale in SCALES.items():
        if low and high and not f.doubt:
            said |= verdicts.shares(
                scale, *({name: each[name] for name in pair} for each in (values, low, high, errors))
            )
    figures = []
    for name, value in values.items():
        blind = "; means little: noise gets much of what real data get" if low and not said[name] else ""
        figures.append(
            Figure(
                name=name,
                value=value,
                spread=errors[name] if isfinite(errors[name]) else None,
                floor=low.get(name),
                noise=high.get(name),
                note=f"{NEIGHBOURS} neighbours, {n:,} of each{f.doubt or blind}",
                verdict=said[name],
            )
        )
    return figures


def vendi_figure(f: Features) -> Figure | str:
    """The Vendi score of samples, with that of as many real examples and of noise; why there is none where one cannot
    be told."""
    if not all(bool(x.any(1).all()) for x in (f.made, f.beside.floor(len(f.made)), f.beside.noise[: len(f.made)])):
        return "No Vendi score: the features of some examples are all zeros, and so like nothing."
    floor, noise = f.of_real("Vendi score", vendi_score)
    note = f"{len(f.made):,} samples, of {f.made.shape[1]} features{f.doubt}"
    value, spread = vendi_score(f.made), vendi_error(f.made)
    return Figure(name="Vendi score", value=value, spread=spread, floor=floor, noise=noise, note=note)


def inception_figure(extractor: Extractor, made: Tensor) -> Figure:
    """The inception score of samples with features ``made``; the extractor is Inception, its last layer included."""
    score, deviation = inception_score(extractor.logits(made))
    note = f"{len(made):,} samples in 10 splits, whose standard deviation stands beside"
    return Figure(name="inception score", value=score, spread=deviation, note=note)


def rebuilt_figure(extractor: Extractor, rebuilt: Tensor, real: Tensor, noise: Tensor, *, seen: bool = False) -> Figure:
    """The Fréchet distance of reconstructions from their originals, beside that of as many examples of noise."""
    value, high, why = frechet_distance(rebuilt, real), frechet_distance(noise, real), doubt(extractor)
    return Figure(
        name=f"{names(extractor)[0]} of reconstructions",
        value=value,
        floor=0.0,
        noise=high,
        note=f"{counted(len(real), seen=seen)}{why}",
        verdict="" if why else verdicts.distance(value, 0.0, high),
    )
