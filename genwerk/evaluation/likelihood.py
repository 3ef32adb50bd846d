"""Figures of a likelihood: how likely held-out data are, and whether a simple model finds them likelier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import log, pi, sqrt

import torch
from torch import Tensor

from genwerk.core.abilities import BoundsLikelihood, HasLikelihood, abilities
from genwerk.core.batching import budget
from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.core.moments import Moments
from genwerk.core.noise import Seeds
from genwerk.data.dataset import Dataset
from genwerk.evaluation import verdicts
from genwerk.evaluation.quick import FEWEST
from genwerk.evaluation.report import Figure, counted, number
from genwerk.metrics.robust import TRIMMED, heaviest, trimmed_mean
from genwerk.tasks import Likelihood
from genwerk.tasks.classification import BINS, Classification, calibration, log_likelihoods, log_prior
from genwerk.tasks.outliers import log_evidence
from genwerk.training.protocol import EvaluateConfig

WIDEST = 1024
"""Values of an example up to which a Gaussian has a covariance of all with all."""
FLAT = 1e-6
"""Share of a column's spread that the others must leave unexplained for the rows to have a density."""
MOST = 2000
"""Held-out examples at most on which Bayes' rule is measured."""

# --- a simple model to compare with -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Simple:
    """A simple model of the training part, by which a likelihood is known to be good or bad."""

    name: str
    log_prob: Callable[[Tensor], Tensor]
    """Log-likelihood in nats with shape (n,) of flattened examples with shape (n, d), float64."""

    def of(self, data: Dataset) -> Tensor:
        """Log-likelihood in nats of each example of ``data``, with shape (n,)."""
        return torch.cat([self.log_prob(x.cpu().flatten(1).double()) for x in data.parts()])


def simple_model(model: Model, train: Dataset) -> Simple | None:
    """A simple model of ``train`` that scores what ``model`` does: pixels that are black or white, else a Gaussian.

    Stored levels are spread uniformly over their width for it, which bounds its likelihood of the levels. None where
    there is none: of names, of a model's own symbols, and of rows that lie in a plane and so have no density.
    """
    assert isinstance(model, (HasLikelihood, BoundsLikelihood))
    if model.scored_as == "symbols" or not train.spec.modality.numeric or len(train) < 2:
        return None
    if model.scored_as == "binary":
        white = Moments(train.parts()).mean * len(train)
        logit = ((white + 1) / (len(train) - white + 1)).log()  # as if one of each had been seen besides
        off = torch.nn.functional.softplus(logit).sum()
        return Simple("pixel means", lambda x: x @ logit - off)
    return gaussian(train)


def gaussian(train: Dataset) -> Simple | None:
    """A Gaussian of ``train``, of independent values where there are many of them or few examples."""
    d, levelled = train.spec.dims, train.spec.modality.has_levels
    unit, noise = (train.spec.levels - 1, 1 / 12) if levelled else (1, 0.0)  # the variance of a uniform number
    full = d <= WIDEST and 2 * d < len(train)
    found = Moments((x.double() * unit for x in train.parts()), full=full)
    std = ((found.covariance.diagonal() if full else found.covariance) + noise).sqrt()
    if not bool((std > 0).all()):
        return None
    root = None
    if full:
        covariance = found.covariance + noise * torch.eye(d, dtype=torch.float64)
        root, fault = torch.linalg.cholesky_ex(covariance / torch.outer(std, std))
        if fault or root.diagonal().min() < FLAT:
            return None

    def white(z: Tensor) -> Tensor:
        return z if root is None else torch.linalg.solve_triangular(root, z.T, upper=False).T

    trace = std.square().reciprocal().sum() if root is None else white((1 / std).diag()).square().sum()
    constant = 0.5 * (noise * trace + d * log(2 * pi)) + std.log().sum()
    constant += 0.0 if root is None else root.diagonal().log().sum()
    name = "a Gaussian" if full else "a diagonal Gaussian"
    return Simple(name, lambda x: -0.5 * white((x * unit - found.mean) / std).square().sum(1) - constant)


def beside(simple: Simple | None, data: Dataset, each: Tensor, *, exact: bool) -> tuple[float | None, str, str]:
    """Its mean negative log-likelihood of ``data`` in nats, what there is to say beside it of a model that gives the
    same examples the log-likelihoods ``each`` (or bounds), and the end of a note that states it."""
    if simple is None:
        return None, "", ""
    theirs, verdict = simple.of(data), ""
    ahead = each.cpu().double() - theirs
    if len(ahead) > 1:
        error = ahead.std().item() / sqrt(len(ahead))
        mean = ahead.mean().item()
        verdict = verdicts.likelihood(mean, error, simple.name, examples=len(ahead), exact=exact)
    nats = -theirs.mean().item()
    return nats, verdict, f"; {simple.name}: {number(nats)} nats"


# --- figures ----------------------------------------------------------------------------------------------------------


def likelihood_figures(
    found: Likelihood,
    data: Dataset,
    simple: Simple | None = None,
    *,
    summed: bool = False,
    cut: str = "",
    seen: bool = False,
) -> list[Figure]:
    """Negative log-likelihood, bits per dimension, and divergence from the truth where its entropy is known.

    Figures of a condition that can be ``summed`` out are said to be given it, for beside them stands -log p(x).
    ``cut`` says why there are no more examples, and ``seen`` that the model was trained on these.
    """
    sign, given = "" if found.exact else "≤ ", f" given {found.condition}" if summed else ""
    how = "exact" if found.exact else f"bound, K = {found.importance_samples}"
    if found.ess is not None:
        how += f", effective sample size {found.ess:.3g}"
    if found.condition:
        how += f", of an example given its {found.condition}"
    how += f"; {counted(len(data), seen=seen)}{cut}"
    nll, error = -found.nats, found.standard_error if len(data) > 1 else None
    reference, verdict, said = beside(simple, data, found.each, exact=found.exact)
    how += said
    figures = [
        Figure(
            name=f"{sign}NLL{given}",
            value=nll,
            spread=error,
            unit="nats",
            note=how,
            reference=reference,
            verdict=verdict,
        )
    ]
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
            reference=None if reference is None else reference * per_nat,
            verdict=verdict,
        )
        figures.append(bits)
    for unit, count in _counted(data).items():
        per_nat = len(data) / (count * log(2))
        figures.append(
            Figure(
                name=f"{sign}bits/{unit}{given}",
                value=nll * per_nat,
                spread=None if error is None else error * per_nat,
                unit="bits",
                note=f"of {count:,} {unit}s, ends counted; perplexity {number(2 ** (nll * per_nat))}",
            )
        )
    if data.entropy is not None:
        away = nll - data.entropy
        like_truth = error is not None and abs(away) <= verdicts.ERRORS * error
        figure = Figure(
            name=f"{sign}KL to truth",
            value=away,
            spread=error,
            unit="nats",
            note=f"NLL less entropy {data.entropy:.4f}",
            reference=None if reference is None else reference - data.entropy,
            verdict="like the truth" if like_truth else verdict,
        )
        figures.append(figure)
    return figures


def _counted(data: Dataset) -> Counter[str]:
    """What a likelihood of ``data`` is also counted by, and how many there are (:meth:`Modality.counted`)."""
    return sum((Counter(data.spec.modality.counted(x)) for x in data.parts()), Counter[str]())


def likelihood_notes(found: Likelihood) -> list[str]:
    """A sentence where few examples make the mean, so that it does not say how likely most of them are."""
    heavy = heaviest(found.each)
    if heavy is None:
        return []
    row, share = heavy
    return [
        f"The mean NLL lies outside the middle half of the examples: row {row} of {len(found.each):,} (from 0) has "
        f"{-found.each[row].item():.4g} nats, {share:.2%} of all distances from the median. The median and the trimmed "
        "mean describe a typical example."
    ]


def bayes_figures(
    model: Model, data: Dataset, simple: Simple | None, settings: EvaluateConfig, *, seen: bool = False
) -> Generator[tuple[int, int], None, list[Figure]]:
    """-log p(x), the classes summed out, and how good the classes are that Bayes' rule finds.

    On at most :data:`MOST` of ``data``; for bounds, on no more than cost as much as the likelihood given the label.
    Bounds find no classes; and data without labels, or with others, do not tell whether they were found. A BadInput
    says so where no class finds some example possible. ``seen`` says that the model was trained on ``data``.
    """
    bound, classes = "has-likelihood" not in abilities(model), model.condition.classes
    few = data.subset(max(FEWEST, min(MOST, len(data) // classes)) if bound else MOST)
    n, step = len(few), max(1, budget(torch.device("cpu")) // (16 * data.spec.dims))
    often = "as frequent as in training" if model.spec.counted else "all as likely"
    note = f"{n:,} of {counted(len(data), seen=seen)}; classes {often}"
    parts = []
    yield 0, n
    for start in range(0, n, step):
        x = few.batch(slice(start, start + step)).x
        if bound:
            seeds, k = Seeds(settings.seed, start), settings.importance_samples
            parts.append(log_evidence(model, x, importance_samples=k, seed=seeds))
        else:
            parts.append(log_likelihoods(model, x))
        yield min(start + step, n), n
    log_p = torch.cat(parts)
    if not bound:
        by_class = Classification(log_p, log_prior("train", model.spec))
        log_p = by_class.log_evidence
        if not bool(log_p.isfinite().all()):
            row = int((~log_p.isfinite()).int().argmax())
            raise BadInput(f"example {row} has no finite log-likelihood under any class")
    how = f"bound, K = {settings.importance_samples}" if bound else "exact"
    reference, verdict, said = beside(simple, few, log_p, exact=not bound)
    nll = Figure(
        name="≤ NLL" if bound else "NLL",
        value=-log_p.mean().item(),
        spread=log_p.std().item() / sqrt(n) if n > 1 else None,
        unit="nats",
        note=f"{how}, -log of p(x | label) summed over labels; {note}{said}",
        reference=reference,
        verdict=verdict,
    )
    labels = few.conditions(slice(n))
    if bound or labels is None or data.spec.classes != model.spec.classes:
        return [nll]
    found = calibration(by_class, labels)
    spread = sqrt(found.accuracy * (1 - found.accuracy) / n)
    chance = torch.bincount(labels.cpu()).max().item() / n
    return [
        nll,
        Figure(
            name="Bayes accuracy",
            value=found.accuracy,
            spread=spread,
            note=f"{note}; the most frequent class: {chance:.1%}",
            reference=chance,
            verdict=verdicts.accuracy(found.accuracy, chance),
        ),
        Figure(
            name="calibration error",
            value=found.error,
            note=f"{BINS} bins, temperature 1; {note}",
            verdict=verdicts.on(verdicts.CALIBRATED, found.error),
        ),
    ]
