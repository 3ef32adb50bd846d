"""Measured figures of a model on held-out data: what its abilities allow, each with its conditions beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite, log, log10, sqrt
from typing import Any

import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Diagnoses, Encodes, Samples, abilities
from genwerk.core.batching import Cost, batches
from genwerk.core.model import Model
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.toys import TOYS, Gaussians
from genwerk.evaluation.extractor import extractor_for
from genwerk.metrics import frechet_distance, kernel_distance, mode_coverage, prdc
from genwerk.metrics.features import Extractor
from genwerk.metrics.inception import inception_score
from genwerk.metrics.robust import TRIMMED, clipped_mean, heaviest, trimmed_mean
from genwerk.tasks import Likelihood, log_likelihood, reconstruct
from genwerk.tasks.classification import BINS, calibration, classify
from genwerk.tasks.outliers import log_evidence
from genwerk.training.choice import JUDGES, Judged
from genwerk.training.settings import EvaluateConfig
from genwerk.training.watchdog import energy_distance

FEWEST = 10
"""Held-out examples below which no distance is measured."""
COMPONENTS = 32
"""Principal components in which :func:`quick` compares samples."""
ENERGY = "energy_distance"
"""The figure of samples by which a model is judged: 0 where, and only where, their distribution is that of the data."""


# --- the report -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    spread: float | None = None
    """Standard error of the value, where it can be told."""
    unit: str = ""
    note: str = ""
    """The conditions under which it was measured."""
    floor: float | None = None
    """The same figure of real examples of the other part instead of samples: what a perfect model would get."""
    ceiling: float | None = None
    """The same figure of uniform noise instead of samples: what knowing nothing gets."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All figures of one evaluation."""

    figures: tuple[Figure, ...]
    extractor: str | None = None
    """The extractor of the features in which samples were compared, in one line."""
    notes: tuple[str, ...] = ()
    """What was left out and why, a sentence each."""

    def __getitem__(self, name: str) -> Figure:
        """The figure called ``name``."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; numbers that are not finite become None."""
        figures = [
            {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in asdict(figure).items()}
            for figure in self.figures
        ]
        return {"figures": figures, "extractor": self.extractor, "notes": list(self.notes)}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and rows of text below them; columns that are empty throughout are left out."""
        head = ["figure", "value", "floor", "ceiling", "unit", "conditions"]
        rows = []
        for f in self.figures:
            spread = "" if f.spread is None else f" ± {f.spread:.2g}"
            floor, ceiling = ("" if v is None else f"{v:.4g}" for v in (f.floor, f.ceiling))
            rows.append([f.name, f"{f.value:.4g}{spread}", floor, ceiling, f.unit, f.note])
        filled = [i for i in range(len(head)) if any(row[i] for row in rows)]
        return [head[i] for i in filled], [[row[i] for i in filled] for row in rows]

    def lines(self) -> list[str]:
        """The sentences that go with the table."""
        features = [] if self.extractor is None else [f"Distances are in the features of: {self.extractor}."]
        if any(f.floor is not None for f in self.figures):
            features.append("Floor: real examples in place of samples; ceiling: uniform noise in place of samples.")
        return [*features, *self.notes]

    def markdown(self) -> str:
        """The table in Markdown, with the sentences below it."""
        head, rows = self.table()
        table = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
        return "\n".join([*(f"| {row} |" for row in table), *(f"\n{line}" for line in self.lines())])


# --- evaluation -------------------------------------------------------------------------------------------------------


def evaluate(
    model: Model,
    splits: Splits,
    settings: EvaluateConfig,
    *,
    extractor: Extractor | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Every figure that ``model``'s abilities allow, on at most ``settings.examples`` of the test part.

    ``notes`` are sentences on the model that go first among the report's notes.

    Distances between samples and data are taken in the features of ``extractor``; None takes :func:`extractor_for`
    these data. No more samples are drawn than there are training examples, so that the floor has the model's size.
    """
    able = abilities(model)
    data = splits.test.subset(settings.examples, settings.seed).under(model.condition)
    n = min(settings.samples, len(splits.train))
    toy = TOYS.get(splits.settings.source)
    figures: list[Figure] = []
    notes = list(notes)
    sampled, rebuilt = "samples" in able and n > 0, rebuilds(model)
    compared = (sampled or rebuilt) and settings.samples > 0 and model.spec.modality.measured
    few = compared and min(len(data), n) < FEWEST
    compared = compared and not few
    if compared and extractor is None:
        extractor = extractor_for(splits, device=model.device)
    describe = extractor if compared else None
    of_samples = of_rebuilt = None
    with evaluating(model):
        if able & {"has-likelihood", "bounds-likelihood"}:
            found = log_likelihood(model, data, importance_samples=settings.importance_samples, seed=settings.seed)
            figures += likelihood_figures(found, data, summed=model.condition.classes > 0)
            notes += likelihood_notes(found)
        if able & {"has-likelihood", "bounds-likelihood"} and model.condition.classes:
            try:
                figures += bayes_figures(model, data, settings)
            except ValueError as error:  # no class finds an example possible
                notes.append(f"No Bayes accuracy: {error}.")
        if rebuilt:
            squared_error, of_rebuilt = reconstructed(model, data, describe)
            figures += reconstruction_figures(data, squared_error)
        if isinstance(model, Diagnoses):
            figures += diagnosis_figures(model, data)
        if sampled and isinstance(toy, Gaussians) and not model.spec.covariates:
            figures += mode_figures(draw(model, n, splits.train, settings.seed), toy)
        if sampled and describe is not None:
            of_samples = torch.cat([describe(x) for x in drawn(model, n, splits.train, settings.seed)])
    if few:
        notes.append(f"Distances need {FEWEST} training and held-out examples or more, so none were measured.")
    if describe is None:
        return Report(figures=tuple(figures), notes=tuple(notes))
    figures += distance_figures(describe, splits, data, of_samples, of_rebuilt, settings)
    return Report(figures=tuple(figures), extractor=describe.describe(), notes=tuple(notes))


def judge(model: Model, validation: Dataset, train: Dataset, *, seed: int = 0) -> Judged:
    """How good ``model`` is by ``validation``, while it is trained; none of the figures need be a published one.

    Densities are judged by their likelihood, models that lose something on the way to a code and back by what they
    lose, all others by their samples. Figures of games are of samples too, or choose nothing: players that sharpen an
    image add to its squared error.
    """
    figures = quick(model, validation, train=train, seed=seed)
    able, game = abilities(model), len(model.players()) > 1
    if not figures:
        return Judged(figures, None)
    if able & {"has-likelihood", "bounds-likelihood"}:
        return Judged(figures, next(iter(figures)))
    if ENERGY in figures:
        return Judged(figures, ENERGY, steady=False)
    return Judged(figures, None if game else next(iter(figures)))


def quick(
    model: Model, dataset: Dataset, *, train: Dataset | None = None, examples: int = JUDGES, seed: int = 0
) -> dict[str, float]:
    """Cheap figures on at most ``examples`` of ``dataset``, for use during training; smaller is better.

    A likelihood (``nll``, exact, or ``nll_bound``, of one draw) in nats an example, with ``bits_per_dim``; the squared
    error a value of what is encoded and decoded; and, for models that only sample and for games, distances of samples
    in the first principal components of the data, from :data:`FEWEST` examples on. The first of a kind is robust: a
    mean in which no example counts beyond a bound, or an energy distance. Columns of tables are in units
    of their spread in ``train`` (None: in ``dataset``), for else the one in the smallest unit would decide.
    """
    able, game = abilities(model), len(model.players()) > 1
    data = dataset.subset(examples, seed).under(model.condition)
    figures: dict[str, float] = {}
    if len(data) == 0:
        return figures
    with evaluating(model):
        if able & {"has-likelihood", "bounds-likelihood"}:
            found = log_likelihood(model, data, importance_samples=1, seed=seed)
            name = "nll" if found.exact else "nll_bound"
            name += f"_given_{found.condition}" if model.condition.classes else ""
            figures |= {f"clipped_{name}": clipped_mean(-found.each), name: -found.nats}
            if found.bits_per_dim is not None:
                figures["bits_per_dim"] = found.bits_per_dim
        elif rebuilds(model):
            scale = column_scale(dataset if train is None else train)
            error = ((rebuild(model, data) - data.batch().x.cpu()).double() / scale).square().flatten(1).mean(1)
            figures |= {"clipped_reconstruction_mse": clipped_mean(error), "reconstruction_mse": error.mean().item()}
        if "samples" in able and (game or not figures) and len(data) >= FEWEST:
            samples = draw(model, len(data), dataset, seed)
            real, made = in_components(data, samples, column_scale(dataset if train is None else train))
            figures[ENERGY] = energy_distance(made, real, biased=True)
            figures[f"frechet_in_{COMPONENTS}_components"] = frechet_distance(made, real)
    return figures


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """The model in evaluation mode and without gradients; its mode is as before afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def rebuilds(model: Model) -> bool:
    """Whether something is lost when examples are encoded and decoded, other than by rounding or too few steps."""
    return isinstance(model, Encodes) and isinstance(model, Decodes) and not model.lossless


def rebuild(model: Model, data: Dataset) -> Tensor:
    """Every example encoded and decoded again, on the CPU."""
    parts = batches(lambda rows: reconstruct(model, data.batch(rows).to(model.device)).cpu(), len(data), model.device)
    return torch.cat(list(parts))


def reconstructed(model: Model, data: Dataset, describe: Extractor | None) -> tuple[float, Tensor | None]:
    """Mean squared error a value of what is encoded and decoded again, and its features where they are asked for."""

    def part(rows: slice) -> tuple[float, Tensor | None]:
        batch = data.batch(rows)
        made = reconstruct(model, batch.to(model.device)).cpu()
        error = (made.double() - batch.x.cpu().double()).square().sum().item()
        return error, None if describe is None else describe(made)

    found = list(batches(part, len(data), model.device))
    features = [f for _, f in found if f is not None]
    return sum(e for e, _ in found) / (len(data) * data.spec.dims), torch.cat(features) if features else None


def features_of(describe: Extractor, data: Dataset) -> Tensor:
    """The features of all examples of ``data``, of which a few at a time are in the units of the spec."""
    parts = batches(lambda rows: describe(data.batch(rows).x), len(data), torch.device(describe.device))
    return torch.cat(list(parts))


def drawn(model: Model, n: int, data: Dataset, seed: int) -> Iterator[Tensor]:
    """``n`` samples on the CPU, as many at a time as memory allows.

    A conditional model gets the conditions of examples of ``data``.
    """
    assert isinstance(model, Samples)
    if n < 1:
        raise ValueError(f"asked for {n} samples; ask for 1 or more")
    rows = torch.randint(len(data), (n,), generator=torch.Generator().manual_seed(seed))
    values = data.under(model.condition).conditions(rows.to(data.device))
    condition = None if (c := model.condition.check(values, model)) is None else c.to(model.device)

    def sampled(rows: slice) -> Tensor:
        c = None if condition is None else condition[rows]
        return model.sample(rows.stop - rows.start, c, seed=Seeds(seed, rows.start)).cpu()

    return batches(sampled, n, model.device, cost=Cost(model.row_cost))


def draw(model: Model, n: int, data: Dataset, seed: int) -> Tensor:
    """All that :func:`drawn` gives."""
    return torch.cat(list(drawn(model, n, data, seed)))


# --- figures ----------------------------------------------------------------------------------------------------------


def likelihood_figures(found: Likelihood, data: Dataset, *, summed: bool = False) -> list[Figure]:
    """Negative log-likelihood, bits per dimension, and divergence from the truth where its entropy is known.

    Figures of a condition that can be ``summed`` out are said to be given it, for beside them stands -log p(x).
    """
    sign, given = "" if found.exact else "≤ ", f" given {found.condition}" if summed else ""
    how = "exact" if found.exact else f"bound, K = {found.importance_samples}"
    if found.ess is not None:
        how += f", effective sample size {found.ess:.3g}"
    if found.condition:
        how += f", of an example given its {found.condition}"
    how += f"; {len(data):,} held-out"
    nll, error = -found.nats, found.standard_error if len(data) > 1 else None
    figures = [Figure(name=f"{sign}NLL{given}", value=nll, spread=error, unit="nats", note=how)]
    if heaviest(found.each) is not None:
        note = f"without the greatest and the least {TRIMMED:.0%} of the examples"
        figures += [
            Figure(name=f"median {sign}NLL{given}", value=-found.each.median().item(), unit="nats", note="of the same"),
            Figure(name=f"trimmed {sign}NLL{given}", value=-trimmed_mean(found.each), unit="nats", note=note),
        ]
    if found.bits_per_dim is not None:
        per_nat = 1 / (data.spec.dims * log(2))
        bits = Figure(
            name=f"{sign}bits/dim{given}",
            value=found.bits_per_dim,
            spread=None if error is None else error * per_nat,
            unit="bits",
            note=found.derivation,
        )
        figures.append(bits)
    if data.entropy is not None:
        note = f"NLL less entropy {data.entropy:.4f}"
        figures.append(
            Figure(name=f"{sign}KL to truth", value=nll - data.entropy, spread=error, unit="nats", note=note)
        )
    return figures


def likelihood_notes(found: Likelihood) -> list[str]:
    """A sentence where few examples make the mean, so that it does not say how likely most of them are."""
    heavy = heaviest(found.each)
    if heavy is None:
        return []
    row, share = heavy
    return [
        f"The mean NLL lies outside the middle half of the examples: number {row} of the {len(found.each):,}, counted "
        f"from 0, has {-found.each[row].item():.4g} nats and makes {share:.2%} of all distances from the median. The "
        "median and the trimmed mean say what is usual."
    ]


def bayes_figures(model: Model, data: Dataset, settings: EvaluateConfig, examples: int = 2000) -> list[Figure]:
    """-log p(x), the classes summed out, and how good the classes are that Bayes' rule finds.

    On at most ``examples`` of ``data``; for bounds, on no more than cost as much as the likelihood given the label.
    Bounds find no classes; and data without labels, or with others, do not tell whether they were found.
    """
    bound = "has-likelihood" not in abilities(model)
    few = data.subset(max(FEWEST, min(examples, len(data) // model.condition.classes)) if bound else examples)
    batch, n = few.batch(), len(few)
    often = "as frequent as in training" if model.spec.counted else "all as likely"
    note = f"{n:,} of {len(data):,} held-out; classes {often}"
    if bound:
        log_p = log_evidence(model, batch.x, importance_samples=settings.importance_samples, seed=settings.seed)
    else:
        by_class = classify(model, batch)
        log_p = by_class.log_evidence
    how = f"bound, K = {settings.importance_samples}" if bound else "exact"
    nll = Figure(
        name="≤ NLL" if bound else "NLL",
        value=-log_p.mean().item(),
        spread=log_p.std().item() / sqrt(n) if n > 1 else None,
        unit="nats",
        note=f"{how}, -log of p(x | label) summed over labels; {note}",
    )
    if bound or batch.condition is None or data.spec.classes != model.spec.classes:
        return [nll]
    found = calibration(by_class, batch.condition)
    spread = sqrt(found.accuracy * (1 - found.accuracy) / n)
    return [
        nll,
        Figure(name="Bayes accuracy", value=found.accuracy, spread=spread, note=note),
        Figure(name="calibration error", value=found.error, note=f"{BINS} bins, temperature 1; {note}"),
    ]


def reconstruction_figures(data: Dataset, error: float) -> list[Figure]:
    """Mean squared error a value, and for images the peak signal-to-noise ratio that follows from it."""
    note = f"{len(data):,} held-out"
    figures = [Figure(name="reconstruction MSE", value=error, unit="per value", note=note)]
    if data.spec.modality.has_levels:
        ratio = -10 * log10(error) if error > 0 else float("inf")
        figures.append(Figure(name="PSNR", value=ratio, unit="dB", note="of that error"))
    return figures


def diagnosis_figures(model: Diagnoses, data: Dataset, examples: int = 2000) -> list[Figure]:
    """The family's own figures; one with a value a dimension gives their sum, and all of them beside it."""
    assert isinstance(model, Model)
    batch = data.subset(examples).batch().to(model.device)
    figures = []
    for name, values in model.diagnose(batch.x, model.condition.of(batch)).items():
        each = sorted(values.flatten().tolist(), reverse=True)
        shown = [f"{v:.2g}" for v in each if v >= 0.01]
        rest = [f"and {len(each) - len(shown)} below 0.01"] if len(shown) < len(each) else []
        note = "by dimension: " + " ".join(shown + rest) if values.dim() else ""
        figures.append(Figure(name=name, value=sum(each), note=note))
    return figures


def mode_figures(samples: Tensor, toy: Gaussians) -> list[Figure]:
    """How many modes of a toy mixture the samples reach, and how evenly."""
    found, note = mode_coverage(samples, toy.centres, toy.std), f"{len(samples):,} samples"
    return [
        Figure(name="modes", value=found.modes, unit=f"of {found.of}", note=f"{note}"),
        Figure(name="high quality", value=found.quality, note=f"within 3 std of a mode; {note}"),
        Figure(name="mode KL", value=found.kl, unit="nats", note="from an even histogram"),
    ]


def distance_figures(
    extractor: Extractor,
    splits: Splits,
    data: Dataset,
    made: Tensor | None,
    rebuilt: Tensor | None,
    settings: EvaluateConfig,
) -> list[Figure]:
    """Distances between the reference and samples, and between ``data`` and its reconstructions.

    ``made`` and ``rebuilt`` are features of samples and reconstructions. The reference is the held-out ``data``, or as
    many training examples. Floor and ceiling are the distances of as many examples of the other part as there are
    samples, and of as many examples of noise.
    """
    figures, seed = [], settings.seed
    frechet, kid = ("FID", "KID") if extractor.inception else ("Fréchet distance", "kernel distance")
    if made is not None:
        against_test = settings.reference == "test"
        reference = data if against_test else splits.train.subset(settings.examples, seed)
        other = splits.train if against_test else splits.test
        real = features_of(extractor, reference)
        sizes = f"{len(made):,} samples, {len(reference):,} {'held-out' if against_test else 'training examples'}"
        floor = features_of(extractor, other.subset(len(made), seed))
        ceiling = torch.cat([extractor(x) for x in noise(splits.train, len(made), seed)])
        figures.append(
            Figure(
                name=frechet,
                value=frechet_distance(made, real),
                floor=frechet_distance(floor, real),
                ceiling=frechet_distance(ceiling, real),
                note=sizes,
            )
        )
        distance, low, high = (kernel_distance(x, real, seed=seed) for x in (made, floor, ceiling))
        figures.append(
            Figure(
                name=kid,
                value=distance.mean,
                spread=distance.standard_error,
                floor=low.mean,
                ceiling=high.mean,
                note=sizes,
            )
        )
        n = min(len(real), len(made))
        found, note = prdc(real[:n], made[:n]), f"5 neighbours, {n:,} of each"
        figures += [Figure(name=name, value=value, note=note) for name, value in asdict(found).items()]
        if extractor.head is not None:
            score, deviation = inception_score(made @ extractor.head.T)
            note = f"{len(made):,} samples in 10 splits, whose standard deviation stands beside"
            figures.append(Figure(name="inception score", value=score, spread=deviation, note=note))
    if rebuilt is not None:
        figures.append(
            Figure(
                name=f"{frechet} of reconstructions",
                value=frechet_distance(rebuilt, features_of(extractor, data)),
                note=f"{len(data):,} held-out",
            )
        )
    return figures


def noise(train: Dataset, n: int, seed: int) -> Iterator[Tensor]:
    """``n`` examples of uniform noise, in parts: over the range of the data, or of each value where they have none."""
    shape, span = train.spec.shape, train.spec.modality.range
    if span is None:
        x = train.batch().x.cpu()
        low, high = x.amin(0), x.amax(0)
    else:
        low, high = map(torch.tensor, span)

    def uniform(rows: slice) -> Tensor:
        u = SeededNoise(rows.stop - rows.start, Seeds(seed, rows.start)).uniform(*shape)
        return low + (high - low) * u

    return batches(uniform, n, torch.device("cpu"))


def column_scale(data: Dataset) -> Tensor | float:
    """Spread of each column of a table, 1 where it does not vary; 1 for what has one unit throughout."""
    if not data.spec.modality.has_columns:
        return 1.0
    spread = data.batch().x.cpu().double().std(0, correction=0)
    return spread.where(spread > 0, 1.0)


def in_components(data: Dataset, samples: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Data and samples, over ``scale``, in the first :data:`COMPONENTS` principal components of the data."""
    x, y = ((part.double() / scale).flatten(1) for part in (data.batch().x.cpu(), samples))
    mean = x.mean(0)
    *_, directions = torch.linalg.svd(x - mean, full_matrices=False)
    basis = directions[:COMPONENTS].T
    return (x - mean) @ basis, (y - mean) @ basis


def frechet_in_components(data: Dataset, samples: Tensor) -> float:
    """Fréchet distance of samples from data in the first :data:`COMPONENTS` principal components of the data."""
    real, made = in_components(data, samples)
    return frechet_distance(made, real)
