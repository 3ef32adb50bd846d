"""What is made of a model to be measured: samples, reconstructions, noise, and how many of them there is time for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Encodes, Samples, Translates
from genwerk.core.batching import Cost, batches
from genwerk.core.model import Model
from genwerk.core.moments import Moments
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.data.dataset import Dataset
from genwerk.metrics.features import Extractor
from genwerk.tasks import reconstruct
from genwerk.training.runtime import Runtime

T = TypeVar("T")

SLICE = 5.0
"""Seconds that a part of a slow computation may take, after which it is said how far it is."""
PROBED = 0.25
"""Share of the time there is that may be spent on finding out how fast a computation is."""


# --- samples and reconstructions --------------------------------------------------------------------------------------


def drawn(
    model: Model,
    n: int,
    data: Dataset,
    seed: int,
    *,
    start: int = 0,
    most: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Tensor]:
    """``n`` samples on the CPU, as many at a time as memory allows, and at most ``most``; ``options`` are the model's,
    by name.

    A conditional model gets the conditions of examples of ``data``. The first samples are the same for any ``n``;
    those from the one numbered ``start`` on are drawn.
    """
    assert isinstance(model, Samples)
    chosen = model.options.chosen(options)
    if n < 1:
        raise ValueError(f"asked for {n} samples; ask for 1 or more")
    rows = torch.randint(len(data), (start + n,), generator=torch.Generator().manual_seed(seed))[start:]
    values = data.under(model.condition).conditions(rows.to(data.device))
    condition = None if (c := model.condition.check(values, model)) is None else c.to(model.device)

    def sampled(rows: slice) -> Tensor:
        c = None if condition is None else condition[rows]
        return model.sample(rows.stop - rows.start, c, chosen, seed=Seeds(seed, start + rows.start)).cpu()

    return batches(sampled, n, model.device, cost=Cost(model.row_cost), most=most)


def draw(model: Model, n: int, data: Dataset, seed: int) -> Tensor:
    """All that :func:`drawn` gives."""
    return torch.cat(list(drawn(model, n, data, seed)))


def rebuilds(model: Model) -> bool:
    """Whether an error is left when examples, of numbers, are encoded and decoded, other than by rounding or too few
    steps."""
    decodes = isinstance(model, Encodes) and isinstance(model, Decodes) and not model.lossless
    return decodes and model.spec.modality.numeric


def rebuilt(
    model: Model, data: Dataset, found: Callable[[Tensor, Tensor], T], rows: range | None = None
) -> Iterator[T]:
    """What is ``found`` of those ``rows`` of ``data``, of all by default, and of what they are encoded and decoded
    again, on the CPU and in parts for which, with what finding it takes, there is memory."""
    rows = range(len(data)) if rows is None else rows

    def part(some: slice) -> T:
        batch = data.batch(slice(rows.start + some.start, rows.start + some.stop))
        return found(batch.x.cpu(), reconstruct(model, batch.to(model.device)).cpu())

    return batches(part, len(rows), model.device)


def rebuild(model: Model, data: Dataset) -> Tensor:
    """Every example encoded and decoded again, on the CPU."""
    return torch.cat(list(rebuilt(model, data, lambda _, made: made)))


def translated(model: Model, data: Dataset, most: int | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Images of ``data``, which are under the model's condition, what is made of their sources, and the sources as they
    are without a model; all with shape (n, c, h, w), on the CPU, as many at once as there is memory for and at most
    ``most``."""
    assert isinstance(model, Translates)

    def part(rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        batch = data.batch(rows).to(model.device)
        found = model.translated(batch, seed=Seeds(0, rows.start))
        return batch.x.cpu(), found.shown.cpu(), found.x.cpu()

    return batches(part, len(data), model.device, most=most)


# --- real data and noise ----------------------------------------------------------------------------------------------


def features_of(describe: Extractor, data: Dataset, rows: Tensor | None = None) -> Iterator[Tensor]:
    """The features of those ``rows`` of ``data``, of all by default, a few at a time being in the units of the spec."""
    rows = torch.arange(len(data)) if rows is None else rows
    rows = rows.to(data.device)
    return batches(lambda part: describe(data.batch(rows[part]).x), len(rows), torch.device(describe.device))


def noise(train: Dataset, n: int, seed: int, *, start: int = 0) -> Iterator[Tensor]:
    """``n`` examples of uniform noise, from the one numbered ``start`` on, in parts: over the range of the data, or of
    each value where they have none."""
    shape, span = train.spec.shape, train.spec.modality.range
    if span is None:
        found, dtype = Moments(train.parts()), train.spec.modality.dtype
        low, high = (each.view(shape).to(dtype) for each in (found.least, found.greatest))
    else:
        low, high = map(torch.tensor, span)

    def uniform(rows: slice) -> Tensor:
        u = SeededNoise(rows.stop - rows.start, Seeds(seed, start + rows.start)).uniform(*shape)
        return low + (high - low) * u

    return batches(uniform, n, torch.device("cpu"))


# --- how many there is time for ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pace:
    """How many rows of a slow computation there is time for."""

    rows: int
    """All of them where that does not take too long, else fewer, rounded down to one digit."""
    most: int | None
    """Rows at once, so that parts do not take long; None is as many as memory allows."""
    seconds: float
    """Seconds that all rows would take."""

    @property
    def minutes(self) -> str:
        """Minutes that all rows would take, in words."""
        return f"{self.seconds / 60:,.2g}" if self.seconds < 6000 else f"{self.seconds / 60:,.0f}"


def pace(run: Callable[[int], object], n: int, minutes: float | None) -> Pace:
    """How many of ``n`` rows ``run``, which computes as many rows as it is given, gets through in ``minutes``.

    It is tried with one row, and with four times as many until all of them are a few seconds' work, a row gets no
    cheaper in company, or trying takes long itself. None is no bound.
    """
    rows, spent, each, before = 1, 0.0, 0.0, float("inf")
    bound = float("inf") if minutes is None else 60 * minutes
    while True:
        start = perf_counter()
        run(rows)
        took = perf_counter() - start
        spent, each = spent + took, took / rows
        if each * n <= SLICE or 4 * rows > n or spent > PROBED * min(bound, each * n) or before < 1.3 * each:
            break
        rows, before = 4 * rows, each
    most = None if each * n <= SLICE else max(rows, int(SLICE / each))
    if spent + each * n <= bound:
        return Pace(n, most, each * n)
    fits = int(max(0.0, bound - spent) / each)
    digit = 10 ** (len(str(fits)) - 1)
    return Pace(fits // digit * digit, most, each * n)


def common_pace(run: Callable[[int], object], n: int, minutes: float | None, runtime: Runtime) -> Pace:
    """:func:`pace` of ``n`` rows that the processes share: the first tries how long its own take, for all."""
    own = pace(run, len(runtime.share(n)), minutes) if runtime.main else Pace(0, None, 0.0)
    rows, most, seconds = (runtime.agree(each) for each in (own.rows, own.most or 0, own.seconds))
    return Pace(min(n, int(rows) * runtime.world), int(most) or None, seconds)
