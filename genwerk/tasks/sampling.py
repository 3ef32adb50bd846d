"""What a model draws: samples, the missing part of examples, changed examples, and how they come about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ParamSpec

import torch
from torch import Tensor

from genwerk.core.abilities import (
    Completes,
    Completion,
    Denoises,
    InterpolatesPrompts,
    Samples,
    Traces,
    last,
)
from genwerk.core.batching import Cost, batches
from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.core.noise import Seed, Seeds
from genwerk.core.options import SamplingOptions
from genwerk.core.spec import Batch, Prior, join
from genwerk.tasks.conditioning import conditions, require
from genwerk.tasks.inputs import Array, Conditions, Examples, batch_of, condition_of, mask_of

Asked = SamplingOptions | Mapping[str, Any] | None
"""Options of the model's own type, some of them by name, or None for its own (:meth:`SamplingOptions.chosen`)."""


def samples(
    model: Model,
    n: int,
    condition: Conditions = None,
    options: Asked = None,
    *,
    prior: Prior = "train",
    seed: Seed | None = None,
    size: int | None = None,
    watch: Callable[[Tensor], None] | None = None,
) -> Iterator[Batch]:
    """``n`` samples, as many at a time as memory allows (and at most ``size``).

    Where they come about step by step, ``watch`` is called with each state of those that are drawn together.

    A conditional model gets the rows of ``condition`` (:attr:`Model.condition`) in turn. Without any, classes are drawn
    as ``prior`` says: "train" as often as they are in the training data, "even" each in turn. Sample i of a seed is the
    same however many are drawn at a time.
    """
    require(model, "sample", "samples")
    assert isinstance(model, Samples)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise BadInput(f"asked for {n!r} samples; ask for a whole number, 1 or more")
    seeds, chosen = Seeds.of(seed), model.options.chosen(options)
    own = drawn_conditions(model, n, seeds, condition_of(model, condition), prior)

    @torch.no_grad()
    def drawn(rows: slice) -> Tensor:
        c = None if own is None else own[rows]
        if watch is None or not isinstance(model, Traces):
            return model.sample(rows.stop - rows.start, c, chosen, seed=seeds + rows.start)
        frames = model.trace(rows.stop - rows.start, c, previews(chosen), seed=seeds + rows.start)
        return last(watched(frames, watch))

    def parts() -> Iterator[Batch]:
        start = 0
        for x in batches(drawn, n, model.device, cost=Cost(model.row_cost), most=size):
            yield Batch(x, None if own is None else own[start : start + len(x)])
            start += len(x)

    return parts()


def previews(options: SamplingOptions) -> SamplingOptions:
    """``options`` with cheap pictures of the states before the last, where a model has them."""
    return replace(options, **{each.name: True for each in fields(options) if each.name == "preview"})


def watched(frames: Iterator[Tensor], watch: Callable[[Tensor], None]) -> Iterator[Tensor]:
    """``frames``, each shown to ``watch`` as it comes."""
    for frame in frames:
        watch(frame)
        yield frame


def drawn_conditions(
    model: Model, n: int, seeds: Seeds, condition: Tensor | None, prior: Prior = "train"
) -> Tensor | None:
    """The condition of each of the ``n`` samples that ``seeds`` name (:meth:`Condition.draw`)."""
    found = model.condition.draw(n, seeds, model, condition, prior=prior)
    return None if found is None else found.to(model.device)


P = ParamSpec("P")


def _whole(parts: Callable[P, Iterator[Batch]]) -> Callable[P, Batch]:
    """``parts`` as one batch."""

    def whole(*args: P.args, **kwargs: P.kwargs) -> Batch:
        return joined(parts(*args, **kwargs))

    whole.__doc__ = "What :func:`samples` draws, as one batch."
    return whole


sample = _whole(samples)


def joined(parts: Iterable[Batch]) -> Batch:
    """The examples of ``parts``, and their conditions, as one batch."""
    found = list(parts)
    return found[0] if len(found) == 1 else join(found)


def complete(
    model: Model,
    examples: Examples,
    known: Tensor | Array | Sequence[Any] | str,
    k: int = 1,
    options: Asked = None,
    *,
    condition: Conditions = None,
    seed: Seed | None = None,
) -> Completion:
    """``k`` completions of each example where ``known``, an array or a part by its name, is False."""
    require(model, "complete", "completes")
    assert isinstance(model, Completes)
    if k < 1:
        raise ValueError(f"asked for {k} completions; ask for 1 or more")
    batch, mask = batch_of(model, examples, condition), mask_of(model, known)
    chosen = model.options.chosen(options)
    try:
        mask = mask.expand(batch.x.shape).to(model.device)
    except RuntimeError:
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)}, the examples {tuple(batch.x.shape)}; they must match"
        ) from None
    seeds, own, x = Seeds.of(seed), conditions(model, batch), batch.x

    @torch.no_grad()
    def completed(rows: slice) -> Completion:
        c = None if own is None else own[rows]
        return model.complete(x[rows], mask[rows], k, c, chosen, seed=seeds + rows.start)

    cost = model.row_cost if isinstance(model, Samples) else None
    return Completion.joined(
        list(batches(completed, len(x), model.device, cost=Cost(None if cost is None else k * cost)))
    )


def sdedit(
    model: Model,
    examples: Examples,
    strength: float,
    options: Asked = None,
    *,
    condition: Conditions = None,
    seed: Seed | None = None,
) -> Tensor:
    """Each example noised as far as ``strength`` (0 to 1) of the way and brought back, with shape (n, *spec.shape).

    A conditional model brings it back as the batch's condition says (SDEdit, Meng et al., 2022, arXiv:2108.01073).
    """
    require(model, "image to image", "denoises")
    assert isinstance(model, Denoises)
    if not 0 <= strength <= 1:
        raise ValueError(f"the strength is {strength}; it lies from 0 (nothing changes) to 1 (nothing is left)")
    batch = batch_of(model, examples, condition)
    own, seeds, x = conditions(model, batch), Seeds.of(seed), batch.x
    chosen = model.options.chosen(options)

    @torch.no_grad()
    def edited(rows: slice) -> Tensor:
        c = None if own is None else own[rows]
        return model.sdedit(x[rows], strength, c, chosen, seed=seeds + rows.start)

    return torch.cat(list(batches(edited, len(x), model.device, cost=Cost(model.row_cost))))


def trajectory(
    model: Model,
    n: int,
    condition: Conditions = None,
    options: Asked = None,
    *,
    frames: int = 8,
    seed: Seed | None = None,
) -> Tensor:
    """How ``n`` samples come about: ``frames`` states of each, spread evenly, with shape (n, frames, *spec.shape)."""
    require(model, "watch", "traces")
    assert isinstance(model, Traces)
    if n < 1 or frames < 2:
        raise ValueError(f"asked for {frames} frames of {n} samples; ask for 2 or more of 1 or more")
    seeds, chosen = Seeds.of(seed), model.options.chosen(options)
    with torch.no_grad():
        own = drawn_conditions(model, n, seeds, condition_of(model, condition))
        states = list(model.trace(n, own, chosen, seed=seeds))
    picked = torch.linspace(0, len(states) - 1, min(frames, len(states))).round().long()
    return torch.stack([states[i] for i in picked.tolist()], 1)


def interpolate_prompts(
    model: Model,
    start: Tensor,
    end: Tensor,
    steps: int = 9,
    options: Asked = None,
    *,
    seed: Seed | None = None,
) -> Tensor:
    """Pictures on the way from one text to another, token ids with shape (1, l) each: shape (steps, *spec.shape)."""
    require(model, "interpolation between prompts", "interpolates-prompts")
    assert isinstance(model, InterpolatesPrompts)
    if steps < 2:
        raise ValueError(f"an interpolation of {steps} steps has no two ends; ask for 2 or more")
    chosen = model.options.chosen(options)
    return model.interpolate_prompts(start.to(model.device), end.to(model.device), steps, chosen, seed=seed)
