"""How exactly encoding and decoding undo each other, in both orders.

An autoencoder loses something on the way of an example to its code and back. A flow loses rounding, and latents whose
examples lie beyond the range of the data; a diffusion model, both of whose ways are steps along an ODE, what the steps
are too coarse for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from time import perf_counter

import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Denoises, Encodes, HasLatentPrior, Samples
from genwerk.core.batching import Cost, batches
from genwerk.core.model import Model, evaluating
from genwerk.core.moments import Moments
from genwerk.core.noise import Seeds
from genwerk.data.dataset import Dataset
from genwerk.diffusion.sampling import Diffusion
from genwerk.evaluation.quick import column_scale
from genwerk.evaluation.report import Figure, number

EXAMPLES = 256
"""Examples, and latents, that go there and back, at most."""
SECONDS = 5.0
"""Seconds that are allowed for each order."""
FIRST = 4
"""Rows that go in any case."""

Pair = tuple[Tensor, Tensor]
"""What went out and what came back, a row each."""


def inverts(model: Model) -> bool:
    """Whether ``model`` goes both ways, so that there is something to measure."""
    return isinstance(model, Encodes) and isinstance(model, Decodes)


def invertibility(
    model: Model,
    data: Dataset,
    *,
    seconds: float = SECONDS,
    seed: int = 0,
    trained: bool = False,
    clock: Callable[[], float] = perf_counter,
) -> list[Figure]:
    """The errors of decode(encode(x)) for examples x of ``data``, and of encode(decode(z)) for latents z of the prior,
    or of those examples where the model has no prior.

    An error is the root of the mean squared difference over the spread of x, or of z; columns of a table are in units
    of their own spread first. Of codes, or data, that are names it is the share of those that do not come back.
    ``seconds`` are allowed for each of the two: where all would take longer fewer are measured, and the figures say so.
    ``trained`` says that the model was trained on ``data``.
    """
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    few, encode, decode = data.subset(EXAMPLES, seed).under(model.condition), model.encode, model.decode
    prior = model.prior if isinstance(model, HasLatentPrior) else None
    which, scale = f"{'training' if trained else 'held-out'} {model.spec.modality.plural}", column_scale(few)

    def seen(rows: slice) -> tuple[Tensor, Tensor | None]:
        batch = few.batch(rows).to(model.device)
        return batch.x, model.condition.check(batch.condition, model)

    def there(rows: slice) -> Pair:
        x, condition = seen(rows)
        return x.cpu() / scale, decode(encode(x, condition), condition).cpu() / scale

    def back(rows: slice) -> Pair:
        x, condition = seen(rows)
        z = encode(x, condition) if prior is None else drawn(rows)
        return z, encode(decode(z, condition), condition)

    def drawn(rows: slice) -> Tensor:
        assert prior is not None
        return prior(rows.stop - rows.start, seed=Seeds(seed, rows.start))

    names = model.discrete
    latents = "latents of the prior" if prior is not None else f"{'codes' if names else 'latents'} of {which}"
    with evaluating(model):
        of_x = Moments(x.cpu() / scale for x in few.parts())
        of_z = None if prior is None else Moments(batches(drawn, len(few), model.device))
        x, z = (_gone(pair, len(few), model, seconds, clock) for pair in (there, back))
    cut = ["" if len(gone.squared) == len(few) else f" (of {len(few):,}, for want of time)" for gone in (x, z)]
    return [
        _figure("encode-decode error", x, which + cut[0], model, of_x, names=not model.spec.modality.numeric),
        _figure("decode-encode error", z, latents + cut[1], model, of_z, names=names),
    ]


@dataclass
class Gone:
    """Rows that went there and back."""

    spread: Moments
    """Of what went out."""
    squared: Tensor
    """Mean squared error of each row, float64 with shape (n,)."""
    other: Tensor
    """Share of the values of each row that came back as others."""


def _gone(pair: Callable[[slice], Pair], n: int, model: Model, seconds: float, clock: Callable[[], float]) -> Gone:
    """At most ``n`` rows, some at first and then twice as many each time, as long as that is likely to end in time.

    Where samples are decoded latents a row takes as much memory as a sample.
    """
    known = model.row_cost if isinstance(model, Samples) and isinstance(model, HasLatentPrior) else None
    cost, spread, begun, done, size = Cost(known), Moments(), clock(), 0, FIRST
    found = list[Pair]()

    def errors(rows: slice) -> Pair:
        out, again = (part.cpu().double().flatten(1) for part in pair(slice(done + rows.start, done + rows.stop)))
        spread.add(out)
        return (again - out).square().mean(1), (again != out).double().mean(1)

    while done < n:
        size, start = min(size, n - done), clock()
        found += batches(errors, size, model.device, cost=cost)
        done, took = done + size, clock() - start
        if clock() - begun + 2 * took > seconds:
            break
        size *= 2
    squared, other = map(torch.cat, zip(*found, strict=True))
    return Gone(spread, squared, other)


def _figure(name: str, gone: Gone, what: str, model: Model, spread: Moments | None, *, names: bool = False) -> Figure:
    """The error over the ``spread`` of all that might go out; None takes that of what went out."""
    rows = f"{len(gone.squared):,} {what}"
    if names:
        return Figure(name=name, value=gone.other.mean().item(), note=f"share that does not come back; {rows}")
    unit = sqrt((spread or gone.spread).covariance.mean().item()) or 1.0
    error = gone.squared.sqrt() / unit
    note = f"over a spread of {number(unit, 3)}; {rows}"
    note += f", median {number(error.median().item(), 3)}, most {number(error.max().item(), 3)}"
    return Figure(name=name, value=sqrt(gone.squared.mean().item()) / unit, note=note + exactness(model))


def exactness(model: Model) -> str:
    """The end of a note that says what limits a model that loses nothing by itself; empty for others."""
    assert isinstance(model, Encodes)
    if not model.lossless:
        return ""
    dtype = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
    steps = (
        f"{model.options.sampler} in {model.options.steps} steps, "
        if (isinstance(model, Denoises) and isinstance(model.options, Diffusion))
        else ""
    )
    return f"; {steps}{str(dtype).removeprefix('torch.')} rounds to {torch.finfo(dtype).eps / 2:.1g} of a value"
