"""Generative classification: p(c | x) by Bayes' rule from class-conditional densities, and how far to believe it.

A. Y. Ng, M. I. Jordan: On discriminative vs. generative classifiers, 2001 (the rule and when it pays).
C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger: On calibration of modern neural networks, 2017, arXiv:1706.04599
(reliability, expected calibration error, temperature).
G. W. Brier: Verification of forecasts expressed in terms of probability, 1950.

log p(c | x) = log p(x | c) + log p(c) - log sum_c' p(x | c') p(c'). A log-likelihood is a sum over dimensions, and
its errors add up as if every dimension were a witness of its own: in high dimension classes differ by tens of nats even
where they are easily taken for each other, so that the posterior is nearly 0 or 1 and, where it errs, sure of itself.
One number mends most of that, the temperature by which the logarithms are divided. It changes no prediction, and must
be fitted on held-out examples: of those that it was trained on, the model is surer still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, isfinite, log

import torch
from torch import Tensor

from genwerk.core.abilities import HasLikelihood
from genwerk.core.condition import Label
from genwerk.core.model import Model
from genwerk.core.spec import DataSpec, Prior
from genwerk.tasks import in_batches, require
from genwerk.tasks.inputs import Examples, batch_of

COLDEST, HOTTEST = 1e-3, 1e6
"""Range in which a temperature is sought."""
BINS = 15
"""Bins of a reliability table, as in Guo et al."""

# --- Bayes' rule ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classification:
    """What Bayes' rule says of n examples and k classes."""

    log_likelihood: Tensor
    """log p(x | c) in nats with shape (n, k), float64."""
    log_prior: Tensor
    """log p(c) in nats with shape (k,), float64."""
    temperature: float = 1.0
    """What the logarithms of p(x | c) p(c) are divided by before they are normalised."""

    @property
    def log_posterior(self) -> Tensor:
        """log p(c | x) in nats with shape (n, k)."""
        return ((self.log_likelihood + self.log_prior) / self.temperature).log_softmax(1)

    @property
    def probabilities(self) -> Tensor:
        """p(c | x) with shape (n, k); rows sum to 1."""
        return self.log_posterior.exp()

    @property
    def prediction(self) -> Tensor:
        """The likeliest class of each example with shape (n,), whatever the temperature."""
        return (self.log_likelihood + self.log_prior).argmax(1)

    @property
    def log_evidence(self) -> Tensor:
        """log p(x) = log sum_c p(x | c) p(c) in nats with shape (n,)."""
        return (self.log_likelihood + self.log_prior).logsumexp(1)

    def at(self, temperature: float) -> Classification:
        """The same at another temperature."""
        return replace(self, temperature=_positive(temperature))

    def __getitem__(self, rows: Tensor | slice) -> Classification:
        """The examples of ``rows``."""
        return replace(self, log_likelihood=self.log_likelihood[rows])


def classify(
    model: Model, examples: Examples, prior: Tensor | Prior = "train", temperature: float = 1.0
) -> Classification:
    """p(c | x) for each of the ``examples`` and every class of ``model``, by Bayes' rule.

    ``prior`` is "train" (as often as in the training data), "even", or probabilities (or weights) of the classes with
    shape (k,). The densities are evaluated k times, in batches.
    """
    classes_of(model)
    found = Classification(
        log_likelihoods(model, batch_of(model, examples).x), log_prior(prior, model.spec), _positive(temperature)
    )
    lost = ~found.log_evidence.isfinite()
    if lost.any():
        raise ValueError(
            f"example {int(lost.int().argmax())} has no finite log-likelihood under any class; its values are outside "
            "what the model can make, or not numbers"
        )
    return found


def classes_of(model: Model) -> int:
    """Number of classes that ``model`` tells apart; :class:`Unsupported` says why where it cannot classify."""
    require(model, "classify", "has-likelihood", by=Label.option)
    return model.condition.classes


def log_likelihoods(model: Model, x: Tensor) -> Tensor:
    """log p(x | c) in nats of every class with shape (n, k), float64 on the CPU."""
    assert isinstance(model, HasLikelihood)
    x, score = x.to(model.device), model.log_prob
    labels = torch.arange(model.condition.classes, device=x.device)
    return torch.stack([in_batches(score, x, label.expand(len(x))).double().cpu() for label in labels], 1)


def log_prior(prior: Tensor | Prior, spec: DataSpec) -> Tensor:
    """log p(c) in nats with shape (k,), float64, of what ``prior`` names, or of its probabilities or weights."""
    label = Label(spec.classes, spec.class_counts if spec.counted else ())
    weights = (label.frequencies(prior) if isinstance(prior, str) else prior).detach().cpu().double()
    if (
        weights.shape != (label.classes,)
        or not bool((weights >= 0).all())
        or not 0 < weights.sum().item() < float("inf")
    ):
        raise ValueError(
            f"the prior has shape {tuple(weights.shape)} and the values {weights.flatten()[:4].tolist()} ...; expected "
            f"{label.classes} numbers that are not negative nor all zero, one a class"
        )
    return (weights / weights.sum()).log()


# --- calibration ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bin:
    """The examples whose likeliest class has a probability in (``low``, ``high``]."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean probability of the likeliest class; NaN where there are no examples."""
    accuracy: float
    """Fraction of the examples of which it is the true class; NaN where there are no examples."""


@dataclass(frozen=True)
class Calibration:
    """How well stated probabilities agree with what is the case."""

    bins: tuple[Bin, ...]
    """The reliability table, from low to high confidence."""
    accuracy: float
    """Fraction of the examples whose likeliest class is the true one."""
    error: float
    """Expected calibration error: |accuracy - confidence| of a bin, averaged over the examples (Guo et al., eq. 3)."""
    brier: float
    """Brier score: squared distance of p(. | x) from the true class as a unit vector, 0 to 2."""
    nll: float
    """Mean of -log p(true class | x) in nats."""


def calibration(found: Classification, labels: Tensor | None, bins: int = BINS) -> Calibration:
    """The calibration of ``found`` on examples whose true classes are ``labels`` with shape (n,), in equal bins."""
    labels = _labels(found, labels)
    if bins < 1:
        raise ValueError(f"asked for {bins} bins; ask for 1 or more")
    p, n = found.probabilities, len(labels)
    confidence, right = p.amax(1), (found.prediction == labels).double()
    which = (confidence * bins).ceil().long().clamp(1, bins) - 1
    counts, sure, true = (
        torch.zeros(bins, dtype=torch.float64).index_add_(0, which, v)
        for v in (torch.ones_like(right), confidence, right)
    )
    rows = zip(counts.tolist(), (sure / counts).tolist(), (true / counts).tolist(), strict=True)
    return Calibration(
        bins=tuple(Bin(i / bins, (i + 1) / bins, int(c), s, t) for i, (c, s, t) in enumerate(rows)),
        accuracy=right.mean().item(),
        error=(true - sure).abs().sum().item() / n,
        brier=(p - torch.nn.functional.one_hot(labels, p.shape[1])).square().sum(1).mean().item(),
        nll=_nll(found, labels),
    )


def fit_temperature(found: Classification, labels: Tensor | None) -> float:
    """The temperature at which the mean of -log p(true class | x) over these examples is least.

    With s = 1 / temperature that mean is convex, and its slope is the logarithm p(x | c) p(c) expected under the
    posterior less that of the true class; where the slope is zero is found by bisection on log s, between
    :data:`COLDEST` and :data:`HOTTEST`. Where the likeliest class is the true one throughout, colder is always better
    and the examples cannot say by how much: the temperature is 1.
    """
    labels = _labels(found, labels)
    z = found.log_likelihood + found.log_prior
    z = z - z.amax(1, keepdim=True)
    own = z.gather(1, labels[:, None]).squeeze(1)
    if bool((own == 0).all()):
        return 1.0

    def slope(s: float) -> float:
        p = (s * z).softmax(1)
        return (torch.where(p > 0, p * z, 0.0).sum(1) - own).mean().item()

    low, high = -log(HOTTEST), -log(COLDEST)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(exp(middle)) > 0 else (middle, high)
    return exp(-(low + high) / 2)


@dataclass(frozen=True)
class Calibrated:
    """A temperature with what it is worth on other examples than those it was fitted on."""

    temperature: float
    fitted_on: int
    """Examples that the temperature was fitted on."""
    measured_on: int
    """Examples, none of them among those, that ``before`` and ``after`` are of."""
    before: Calibration
    """At temperature 1."""
    after: Calibration
    """At ``temperature``."""


def calibrate(found: Classification, labels: Tensor | None, *, seed: int = 0, bins: int = BINS) -> Calibrated:
    """Fit the temperature on a random half of held-out examples, and measure calibration on the other."""
    labels = _labels(found, labels)
    if len(labels) < 2:
        raise ValueError(
            "one example cannot be halved into one to fit the temperature on and one to measure; give more"
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    fit, rest = order[: len(order) // 2], order[len(order) // 2 :]
    temperature = fit_temperature(found[fit], labels[fit])
    return Calibrated(
        temperature,
        len(fit),
        len(rest),
        calibration(found[rest].at(1.0), labels[rest], bins),
        calibration(found[rest].at(temperature), labels[rest], bins),
    )


# --- helpers ----------------------------------------------------------------------------------------------------------


def _nll(found: Classification, labels: Tensor) -> float:
    return -found.log_posterior.gather(1, labels[:, None]).mean().item()


def _labels(found: Classification, labels: Tensor | None) -> Tensor:
    """``labels`` on the CPU, checked against the examples and classes of ``found``."""
    n, k = found.log_likelihood.shape
    if labels is None:
        raise ValueError("the examples carry no labels to compare the model's classes with; give labelled ones")
    if labels.shape != (n,) or not n:
        raise ValueError(
            f"there are {len(labels)} labels for {n} examples; one each is needed, and one example or more"
        )
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"a label is {int(labels.max())} or {int(labels.min())}; the model's classes are 0 to {k - 1}")
    return labels.cpu()


def _positive(temperature: float) -> float:
    if not (temperature > 0 and isfinite(temperature)):
        raise ValueError(f"the temperature is {temperature}; it must be above 0 (1 leaves the posterior as it is)")
    return temperature
