"""Figures that need no features: of reconstructions, of a family's own, and of the modes of toys."""

from __future__ import annotations

from math import log10

from torch import Tensor

from genwerk.core.abilities import Diagnoses
from genwerk.core.batching import Meter, budget
from genwerk.core.model import Model
from genwerk.data.dataset import Dataset
from genwerk.data.toys import Gaussians
from genwerk.evaluation import verdicts
from genwerk.evaluation.report import Figure, counted, number
from genwerk.metrics import mode_coverage

SHOWN = 16
"""Dimensions at most of which a family's figure is told."""
DIAGNOSED = 2000
"""Held-out examples at most on which a family takes its own figures."""


def reconstruction_figures(data: Dataset, error: float, of_mean: float, *, seen: bool = False) -> list[Figure]:
    """Mean squared error a value, and for images the peak signal-to-noise ratio that follows from it.

    ``of_mean`` is the error of answering with the mean of the training part throughout, and ``seen`` says that the
    model was trained on ``data``.
    """
    note = f"{counted(len(data), seen=seen)}; the training mean: {number(of_mean)}"
    verdict = verdicts.on(verdicts.REBUILT, error / of_mean) if of_mean > 0 else ""
    name = "reconstruction MSE"
    figures = [Figure(name=name, value=error, unit="per value", note=note, reference=of_mean, verdict=verdict)]
    if data.spec.modality.has_levels:
        ratio = -10 * log10(error) if error > 0 else float("inf")
        figures.append(Figure(name="PSNR", value=ratio, unit="dB", note="of that error", verdict=verdict))
    return figures


def diagnosis_figures(model: Diagnoses, data: Dataset) -> list[Figure]:
    """The family's own figures; one with a value a dimension gives their sum, and all of them beside it.

    They are of examples together, so no more are taken than memory holds at once.
    """
    assert isinstance(model, Model)

    def found(rows: slice) -> dict[str, Tensor]:
        batch = few.batch(rows).to(model.device)
        return model.diagnose(batch.x, model.condition.of(batch))

    few = data.subset(DIAGNOSED)
    with Meter() as meter:
        found(slice(2))
    fitting = max(2, budget(model.device) // max(1, meter.peak))
    figures = []
    for name, values in found(slice(fitting)).items():
        each = sorted(values.flatten().tolist(), reverse=True)
        shown = [f"{v:.2g}" for v in each[:SHOWN] if v >= 0.01]
        lower = len(each) - len(shown)
        rest = ([f"and {lower} lower"] if shown else [f"{lower} below 0.01"]) if lower else []
        note = "by dimension: " + " ".join(shown + rest) if values.dim() else ""
        figures.append(Figure(name=name, value=sum(each), note=note))
    return figures


def mode_figures(samples: Tensor, toy: Gaussians, cut: str = "") -> list[Figure]:
    """How many modes of a toy mixture the samples reach, and how evenly; ``cut`` says why there are no more."""
    found, note = mode_coverage(samples, toy.centres, toy.std), f"{len(samples):,} samples{cut}"
    missed = found.of - found.modes
    return [
        Figure(
            name="modes",
            value=found.modes,
            unit=f"of {found.of}",
            note=note,
            verdict=f"{missed} missed" if missed else "none missed",
        ),
        Figure(
            name="high quality",
            value=found.quality,
            note=f"within 3 std of a mode; {note}",
            verdict=verdicts.on(verdicts.REAL, found.quality),
        ),
        Figure(
            name="mode KL",
            value=found.kl,
            unit="nats",
            note="from an even histogram",
            verdict=verdicts.on(verdicts.EVEN, found.kl),
        ),
    ]
