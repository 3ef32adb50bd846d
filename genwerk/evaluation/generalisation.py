"""Whether samples are new: their density at held-out examples, and how near they come to the training examples.

None of it proves that a model copies, nor that it does not, so there are no verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from genwerk.evaluation.distances import Features
from genwerk.evaluation.reference import Reference
from genwerk.evaluation.report import Figure, counted
from genwerk.metrics.likelihood_divergence import Divergence
from genwerk.metrics.memorisation import Near, Neighbourhood, compared

CENTRES, FITTED = 1_500, 3_000
"""Samples, and training and held-out examples, at most of which the feature likelihood divergence is."""
JUDGED = 2_000
"""Samples, and held-out examples, at most whose nearest training examples are sought."""
UNSEPARATED = "No feature likelihood divergence and no memorisation: no examples are held out from training."


def divergence_figure(f: Features, seed: int) -> Figure:
    """The feature likelihood divergence of samples, with noise; its floor is 0 by definition."""
    beside, doubt = f.beside, f.doubt
    train, test = beside.train[:FITTED], beside.held_out[:FITTED]
    n = min(CENTRES, len(f.made), len(train) // 2)

    def prepared() -> tuple[Divergence, float]:
        divergence = Divergence(train, test, n, seed=seed)
        return divergence, divergence.of(beside.noise[:n])

    divergence, noise = beside.once(("likelihood divergence", n), prepared)
    return Figure(
        name="feature likelihood divergence",
        value=divergence.of(f.made[:n]),
        spread=divergence.error(f.made[:n]),
        floor=0.0,
        noise=noise,
        note=f"{n:,} samples, {len(train):,} training and {len(test):,} held-out examples{doubt}",
    )


def judged(f: Features, seed: int) -> Near:
    """Where the first samples lie among the training examples."""
    return _among(f.beside, seed)[0].near(f.made[:JUDGED])


def _among(beside: Reference, seed: int) -> tuple[Neighbourhood, Near]:
    """The training examples, and where held-out ones lie among them."""

    def found() -> tuple[Neighbourhood, Near]:
        among = Neighbourhood(beside.train, seed=seed)
        return among, among.near(beside.held_out[:JUDGED])

    return beside.once("neighbourhood", found)


def memorisation_figures(f: Features, near: Near, seed: int) -> Sequence[Figure | str]:
    """How near samples come to the training examples beside how near held-out examples come, with the same of one half
    of the held-out examples beside the other (floor)."""
    test, of, everything = _among(f.beside, seed)[1], len(f.beside.train), len(f.beside.splits.train)
    seen = f.beside.splits.test is f.beside.splits.train
    values, errors = compared(near, test)
    floors, _ = compared(test[: len(test) // 2], test[len(test) // 2 :])
    whole = "" if of == everything else f" (a random part of {everything:,})"
    sizes = f"{len(near):,} samples, {counted(len(test), seen=seen)}"
    note = f"{sizes}; the nearest of {of:,} training examples{whole}{f.doubt}"
    found = list[Figure | str]()
    for name, key, factor, unit in (
        ("nearest training distance ratio", "ratio", 1.0, ""),
        ("nearer than any test", "nearer_than_any_test", 1.0, ""),
        ("AuthPct", "authenticity", 100.0, "%"),
        ("C_T", "copying", 1.0, ""),
    ):
        value, error, floor = (factor * float(getattr(each, key)) for each in (values, errors, floors))
        if not isfinite(value):
            found.append(f"No {name}: {UNTOLD[key]}.")
            continue
        spread, below = (each if isfinite(each) else None for each in (error, floor))
        found.append(Figure(name=name, value=value, spread=spread, floor=below, unit=unit, note=note))
    return found


UNTOLD = {
    "ratio": "half of the held-out examples equal a training example",
    "copying": "no cluster of the training examples holds enough samples and held-out examples",
}
"""Why a figure of memorisation may not be told."""
