"""Collapse, seen early: cheap figures of a game, and the rules by which they are judged.

A look compares a few hundred samples of fixed seeds with as many training examples. The rules, with the thresholds of
:class:`WatchdogConfig`; in all but the first, ``patience`` successive looks must agree:

* samples hold values that are not finite;
* the generator makes one thing: two samples are nearer to each other than ``min_diversity`` of what two examples are.
  This counts once they have been :data:`RISEN` times as far apart, for generators begin so, and after
  ``warmup_rounds``;
* the discriminator has won: it is never wrong, and either nobody else's gradient is left or samples are somewhere else
  than the data. Only families that report an accuracy are judged by this; a Wasserstein critic, say, is never wrong and
  does no harm by it;
* the held-out figure is more than ``max_metric_ratio`` times its best, and samples are somewhere else than the data
  (the second because a good figure is near 0, and ten times that is still good).

Only games are watched, rounds in which several players move: a model with one loss has that loss to go by.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genwerk.core.abilities import Samples
from genwerk.core.batching import Cost, batches
from genwerk.core.model import Metrics, Model
from genwerk.core.noise import Seeds
from genwerk.data.dataset import Dataset
from genwerk.training.settings import WatchdogConfig, from_json, to_json

COMPONENTS = 32
"""Principal components of the data in which samples are compared unless other features are given."""
RISEN = 3.0
"""Multiple of ``WatchdogConfig.min_diversity`` at which a generator has shown that it can make different things."""
ELSEWHERE = 0.4
"""Energy distance over the data's spread from which samples are somewhere else; a single point at the centre of normal
data has sqrt(2) - 1."""

SPREAD, DISTANCE, NOT_FINITE, ENTROPY = "spread of samples", "distance from data", "not finite", "class entropy"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a watchdog remembers, as checkpoints hold it."""

    counts: dict[str, int]
    """Successive looks that spoke for each kind of collapse."""
    risen: bool
    """Whether the generator has shown that it can make different things."""


class Watchdog:
    """Looks at a game and counts what speaks for collapse; on several processes the first one's counts decide.

    ``features`` takes examples with shape (n, *spec.shape) to vectors with shape (n, d) in which distance means
    something; None takes principal components of the data, and compares nothing where these are text. ``classes`` takes
    examples to class indices with shape (n,); None reports no histogram of classes.
    """

    def __init__(
        self,
        settings: WatchdogConfig,
        data: Dataset,
        *,
        features: Callable[[Tensor], Tensor] | None = None,
        classes: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.settings, self.data, self.features, self.classes = settings, data, features, classes
        self.counts: Counter[str] = Counter()
        self.risen = False
        self._real: Tensor | None = None
        self._condition: Tensor | None = None

    # --- figures ------------------------------------------------------------------------------------------------------

    def look(self, model: Model, metrics: Metrics, seed: int) -> dict[str, float]:
        """Figures of ``model``, on samples of fixed seeds if it makes any, and of its last round's ``metrics``."""
        known = {k: v.item() for k, v in metrics.items() if k == "accuracy" or k.endswith("gradient norm")}
        if not isinstance(model, Samples) or (self.features is None and not model.spec.modality.numeric):
            return known
        real = self._examples(model)
        condition, cost = self._condition, Cost(model.row_cost)

        def sampled(rows: slice) -> Tensor:
            return model.sample(
                rows.stop - rows.start, None if condition is None else condition[rows], seed=Seeds(seed, rows.start)
            )

        x = torch.cat(list(batches(sampled, len(real), model.device, cost=cost)))
        finite = x.flatten(1).isfinite()
        figures = {NOT_FINITE: 1 - finite.float().mean().item()}
        whole = x[finite.all(1)]
        if len(whole) > 1:
            assert self.features is not None
            made = self.features(whole).float().cpu()
            scale = mean_distance(real)
            figures[SPREAD] = mean_distance(made) / scale if scale > 0 else 1.0
            figures[DISTANCE] = energy_distance(made, real) / scale if scale > 0 else 0.0
            if self.classes is not None:
                figures[ENTROPY] = entropy(self.classes(whole))
        return figures | known

    def _examples(self, model: Model) -> Tensor:
        """Features of the training examples that samples are compared with, and their conditions."""
        if self._real is None:
            batch = self.data.subset(self.settings.samples).under(model.condition).batch()
            self.features = self.features or components(batch.x.to(model.device))
            self._real = self.features(batch.x.to(model.device)).float().cpu()
            self._condition = model.condition.of(batch.to(model.device))
        return self._real

    # --- rules --------------------------------------------------------------------------------------------------------

    def verdict(self, figures: Mapping[str, float], learners: Mapping[str, float], stage_round: int) -> str | None:
        """Why this is collapse, in words; None where it is not, or not yet.

        ``learners`` are the gradient norms of the players other than the discriminator.
        """
        watch = self.settings
        if figures.get(NOT_FINITE, 0.0) > 0:
            return f"{figures[NOT_FINITE]:.1%} of the values in samples are not finite"
        spread, accuracy = figures.get(SPREAD, math.inf), figures.get("accuracy", 0.0)
        norm, elsewhere = max(learners.values(), default=math.inf), figures.get(DISTANCE, 0.0) > ELSEWHERE
        self.risen |= SPREAD in figures and spread >= RISEN * watch.min_diversity
        self._count("alike", spread < watch.min_diversity and (self.risen or stage_round > watch.warmup_rounds))
        self._count("won", accuracy >= watch.max_discriminator_accuracy and (norm < watch.vanishing or elsewhere))
        if self.counts["alike"] >= watch.patience:
            return f"samples are nearly the same: two differ by {spread:.1%} of what two training examples differ by"
        if self.counts["won"] >= watch.patience:
            left = (
                "samples are nowhere near the data" if elsewhere else f"leaves the others a gradient of norm {norm:.2g}"
            )
            return f"the discriminator tells {accuracy:.1%} apart and {left}"
        if self.counts["worse"] >= watch.patience and elsewhere:
            times = self.counts["worse"]
            ratio = f"{watch.max_metric_ratio:g} times its best"
            return f"the held-out figure has been over {ratio}, {times} evaluations in succession"
        return None

    def evaluated(self, score: float, best: float) -> None:
        """Take note of a held-out figure and the best so far; figures without a scale, not above 0, do not count."""
        self._count("worse", best > 0 and not score <= self.settings.max_metric_ratio * best)

    def _count(self, what: str, seen: bool) -> None:
        self.counts[what] = self.counts[what] + 1 if seen else 0

    def forget(self) -> None:
        """Begin to count anew."""
        self.counts.clear()

    def state(self) -> dict[str, Any]:
        """What has been seen so far, for a checkpoint."""
        found: dict[str, Any] = to_json(Seen(counts=self.counts, risen=self.risen))
        return found

    def load(self, state: Any, where: str) -> None:
        """Go on from ``state``, which was read at ``where``."""
        seen = from_json(Seen, state, f"{where}: watchdog")
        self.counts, self.risen = Counter(seen.counts), seen.risen


# --- figures of samples -----------------------------------------------------------------------------------------------


def mean_distance(x: Tensor) -> float:
    """Mean Euclidean distance between two different rows of ``x`` with shape (n, d)."""
    return (torch.pdist(x).mean() if len(x) > 1 else torch.zeros(())).item()


def energy_distance(x: Tensor, y: Tensor, *, biased: bool = False) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| between the rows of both: 0 in expectation for one and the same distribution.

    Székely & Rizzo, Energy statistics, 2013, equation 6, as an unbiased estimate (which may fall below 0), or as their
    statistic (6.1), which is of the rows as they are: 0 for the same rows, and never less.
    """
    within = [mean_distance(part) * (1 - 1 / len(part) if biased else 1) for part in (x, y)]
    return 2 * torch.cdist(x, y).mean().item() - sum(within)


def entropy(classes: Tensor) -> float:
    """Entropy in nats of the histogram of class indices."""
    share = torch.bincount(classes.flatten()).double() / classes.numel()
    return float(torch.special.entr(share).sum())


def components(x: Tensor, number: int = COMPONENTS) -> Callable[[Tensor], Tensor]:
    """The map to the first principal components of ``x``."""
    flat = x.flatten(1)
    mean = flat.mean(0)
    *_, directions = torch.linalg.svd(flat - mean, full_matrices=False)
    basis = directions[:number].T
    return lambda y: (y.flatten(1).to(mean) - mean) @ basis
