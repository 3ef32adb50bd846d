"""What a model says of examples: how likely they are, and which of the data its samples are near to."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from math import log, sqrt

import torch
from torch import Tensor

from genwerk.core.abilities import BoundsLikelihood, HasLikelihood, ImportanceWeighted, abilities
from genwerk.core.batching import batches
from genwerk.core.model import Model
from genwerk.core.noise import Seeds
from genwerk.core.outcome import outcome
from genwerk.data.dataset import Dataset
from genwerk.tasks.conditioning import conditions, require
from genwerk.tasks.inputs import Array, Conditions, Examples, data_of


@dataclass(frozen=True)
class Likelihood:
    """Mean log-likelihood of data under a model, and how it was found."""

    nats: float
    """Mean per example."""
    standard_error: float
    """Of the mean, over examples; not a number where there is one."""
    exact: bool
    """False where the figure is a lower bound."""
    condition: str = ""
    """Name of the condition that the likelihood is given (label, covariates); empty where this is log p(x) itself."""
    importance_samples: int | None = None
    """Importance samples an example, for a bound."""
    ess: float | None = None
    """Mean effective sample size of the importance weights, of ``importance_samples``."""
    bits_per_dim: float | None = None
    """The same figure in bits per dimension of the 8-bit data; None where that has no meaning."""
    derivation: str = ""
    """How bits per dimension follow from nats, and of which version of the data."""
    each: Tensor = field(default_factory=lambda: torch.empty(0), repr=False, compare=False)
    """The examples' own, in nats with shape (n,)."""


def log_likelihood(
    model: Model,
    data: Examples,
    *,
    condition: Conditions = None,
    importance_samples: int = 100,
    examples: int | None = None,
    seed: int = 0,
) -> Likelihood:
    """Mean log-likelihood of at most ``examples`` of ``data``: exact where the model knows it, else a lower bound.

    Of a conditional model it is that of an example given its own condition: :attr:`Likelihood.condition` says what.

    Importance-weighted bounds take all samples of a chunk of examples in one batched pass; the effective sample size
    (sum w)^2 / sum w^2 says how much a bound of K samples can be trusted (Burda et al., 2015, arXiv:1509.00519).
    """
    whole = data_of(model, data, condition)
    some = whole if examples is None else whole.subset(examples, seed)
    return outcome(scored(model, some, importance_samples=importance_samples, seed=seed))


def scored(
    model: Model, data: Dataset, *, importance_samples: int = 100, seed: int = 0, most: int | None = None
) -> Generator[tuple[int, int], None, Likelihood]:
    """:func:`log_likelihood` of all of ``data``, at most ``most`` at once: how many are scored so far, of how many."""
    if not isinstance(model, (HasLikelihood, BoundsLikelihood)):
        require(
            model,
            "log-likelihood",
            "has-likelihood" if "bounds-likelihood" in abilities(model) else "bounds-likelihood",
        )
    if importance_samples < 1:
        raise ValueError(f"{importance_samples} importance samples cannot estimate a bound; ask for 1 or more")
    values: list[Tensor] = []
    sizes: list[Tensor] = []
    data, done = data.under(model.condition), 0

    def part(rows: slice) -> Tensor:
        batch, seeds = data.batch(rows), Seeds(seed, rows.start)
        x, c = batch.x.to(model.device), conditions(model, batch)
        with torch.no_grad():
            if isinstance(model, HasLikelihood):
                return model.log_prob(x, c)
            if isinstance(model, ImportanceWeighted):
                return model.log_weights(x, importance_samples, c, seed=seeds)
            assert isinstance(model, BoundsLikelihood)
            return model.log_prob_bound(x, importance_samples, c, seed=seeds)

    for found in batches(part, len(data), model.device, most=most):
        if isinstance(model, ImportanceWeighted):
            values.append(torch.logsumexp(found, 1) - log(importance_samples))
            sizes.append(torch.exp(2 * torch.logsumexp(found, 1) - torch.logsumexp(2 * found, 1)))
        else:
            values.append(found)
        done += len(found)
        yield done, len(data)
    nats = torch.cat(values).double()
    mean = nats.mean().item()
    bits, derivation = bits_per_dim(model, mean)
    return Likelihood(
        nats=mean,
        standard_error=nats.std().item() / sqrt(len(nats)) if len(nats) > 1 else float("nan"),
        exact=isinstance(model, HasLikelihood),
        condition=model.condition.name,
        importance_samples=None if isinstance(model, HasLikelihood) else importance_samples,
        ess=torch.cat(sizes).double().mean().item() if sizes else None,
        bits_per_dim=bits,
        derivation=derivation,
        each=nats.cpu(),
    )


def bits_per_dim(model: Model, nats: float) -> tuple[float | None, str]:
    """Bits per dimension from mean nats an example, with its derivation; None where the modality knows none."""
    scored = model.scored if isinstance(model, (HasLikelihood, BoundsLikelihood)) else ""
    return model.spec.modality.bits_per_dim(nats, scored)


@dataclass(frozen=True)
class Neighbours:
    """The nearest training examples of some samples."""

    rows: Tensor
    """Indices into the training data with shape (n, k), nearest first."""
    distances: Tensor
    """As the modality measures them (Euclidean, in the units of the data) with shape (n, k)."""


def nearest(samples: Tensor | Array, train: Dataset, k: int = 1) -> Neighbours:
    """The ``k`` training examples closest to each sample: a model that copies its data is seen here.

    Distances are computed in chunks of the training data and compared exactly, so memory stays bounded.
    """
    if not 1 <= k <= len(train):
        raise ValueError(f"asked for {k} neighbours of {len(train)} training examples")
    made, apart = torch.as_tensor(samples), train.spec.modality.distances
    best = torch.full((len(made), k), torch.inf, dtype=torch.float64)
    rows = torch.zeros((len(made), k), dtype=torch.int64)

    def distances(part: slice) -> Tensor:
        return apart(made, train.batch(part).x.to(made.device)).cpu()

    start = 0
    for found in batches(distances, len(train), made.device, most=4096):
        here = torch.arange(start, start + found.shape[1]).expand(len(made), -1)
        best, order = torch.cat([best, found], 1).topk(k, dim=1, largest=False)
        rows = torch.cat([rows, here], 1).gather(1, order)
        start += found.shape[1]
    return Neighbours(rows, best)
