"""Shares of classes among samples, as a classifier of the data's own labels sees them."""

from __future__ import annotations

import torch
from torch import Tensor

from genwerk.evaluation.distances import Features
from genwerk.evaluation.report import Figure
from genwerk.metrics.features import Extractor
from genwerk.metrics.spread import of_mean


def classes_of(extractor: Extractor, features: Tensor) -> Tensor:
    """The likeliest class of each row, with shape (n,)."""
    return extractor.logits(features).argmax(1)


def shares(classes: Tensor, of: int) -> Tensor:
    """Share of each of so many classes, with shape (of,)."""
    return torch.bincount(classes, minlength=of).double() / len(classes)


def total_variation(a: Tensor, b: Tensor) -> float:
    """Share of one distribution over classes that must change its class to become the other: half the sum of their
    differences' sizes."""
    return float((a - b).abs().sum() / 2)


def label_figure(f: Features) -> tuple[Figure, dict[str, tuple[float, float]]]:
    """The total variation distance between the shares of classes among samples and among real examples, with floor and
    noise, and of each class both shares.

    The classifier sees real examples, too, so that its own mistakes count on both sides.
    """
    extractor, of = f.extractor, len(f.extractor.classes)
    real = f.beside.once("shares of classes", lambda: shares(classes_of(extractor, f.real), of))
    made = classes_of(extractor, f.made)
    found = shares(made, of)
    floor, noise = f.of_real("label divergence", lambda x: total_variation(shares(classes_of(extractor, x), of), real))
    figure = Figure(
        name="label divergence",
        value=total_variation(found, real),
        spread=of_mean((found - real).sign()[made] / 2),
        floor=floor,
        noise=noise,
        note=f"total variation between the shares of {of} classes; {f.sizes}{f.doubt}",
    )
    return figure, dict(zip(extractor.classes, zip(found.tolist(), real.tolist(), strict=True), strict=True))
