"""How near translations come to the images that their sources were made of, beside the sources themselves."""

from __future__ import annotations

from math import hypot

import torch
from torch import Tensor

from genwerk.core.model import Model
from genwerk.data.dataset import Dataset
from genwerk.evaluation import distances, verdicts
from genwerk.evaluation.reference import Steps
from genwerk.evaluation.report import Figure, number
from genwerk.evaluation.samples import pace, translated
from genwerk.metrics import frechet_distance
from genwerk.metrics.features import Extractor
from genwerk.metrics.frechet import frechet_error
from genwerk.metrics.image_quality import psnr, ssim

SURE = 1.96
"""Standard errors by which a mean of differences has to be away from 0 to be said to be."""
COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}


def translation_figures(
    model: Model,
    data: Dataset,
    figures: list[Figure],
    extractor: Extractor | None = None,
    *,
    minutes: float | None = None,
) -> Steps:
    """PSNR and SSIM of translations, and their distance in the features of ``extractor``, each beside that of the
    source as it is; they are put into ``figures``. There are fewer where all would take longer than ``minutes``."""
    speed = pace(lambda n: list(translated(model, data.subset(n))), len(data), minutes)
    wanted, data = len(data), data.subset(max(1, speed.rows))
    cut = f" (of {wanted:,}, which would take {speed.minutes} minutes)" if len(data) < wanted else ""
    measures, found, done = (psnr, ssim), list[Tensor](), 0
    features: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    yield 0, len(data)
    for x, made, source in translated(model, data, speed.most):
        found.append(torch.stack([measure(image, x) for measure in measures for image in (made, source)], 1))
        for into, images in zip(features, (x, made, source), strict=True):
            into += [] if extractor is None else [extractor(images)]
        done += len(x)
        yield done, len(data)
    values = torch.cat(found)
    for i, (name, unit) in enumerate((("translation PSNR", "dB"), ("translation SSIM", ""))):
        made, copy = values[:, 2 * i], values[:, 2 * i + 1]
        there = made.isfinite() & copy.isfinite()
        made, copy = made[there], copy[there]
        if not len(made):
            continue
        exact = f", {len(values) - len(made):,} without an error left out" if len(made) < len(values) else ""
        sizes = f"{COLOURS[data.spec.shape[0]]}, mean of {len(made):,} held-out{cut}{exact}"
        figures.append(
            Figure(
                name=name,
                value=made.mean().item(),
                spread=(made.std() / len(made) ** 0.5).item() if len(made) > 1 else None,
                unit=unit,
                reference=copy.mean().item(),
                note=f"{sizes}; the source: {number(copy.mean().item())}",
                verdict=_verdict(made - copy),
            )
        )
    if extractor is not None and len(data) >= distances.fewest(features[0][0].shape[1]):
        figures.append(_distance(extractor, cut, *map(torch.cat, features)))


def _distance(extractor: Extractor, cut: str, real: Tensor, made: Tensor, source: Tensor) -> Figure:
    """The Fréchet distance of translations from the images that are right, by their features."""
    value, copy = (frechet_distance(each, real) for each in (made, source))
    error, why = frechet_error(made, real), distances.doubt(extractor)
    apart = hypot(error, frechet_error(source, real))
    return Figure(
        name=f"translation {distances.names(extractor)[0]}",
        value=value,
        spread=error,
        floor=0.0,
        reference=copy,
        note=f"{len(made):,} held-out{cut}, in features of {extractor.name}; the source: {number(copy)}{why}",
        verdict="" if why else verdicts.TRANSLATED.of(copy - value, apart),
    )


def _verdict(gain: Tensor) -> str:
    """Whether translations are surely nearer than their sources, by the gain of each."""
    if len(gain) < 2:
        return ""
    error = SURE * (gain.std() / len(gain) ** 0.5).item()
    mean = gain.mean().item()
    return "better than its source" if mean > error else "worse than its source" if mean < -error else "like its source"
