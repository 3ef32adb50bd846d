"""What a model makes: samples, the missing part of examples, changed examples, and how they come about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any, ParamSpec

import torch
from torch import Tensor

from genwerk.core.abilities import (
    Autoregressive,
    Blends,
    Completion,
    Denoises,
    Observation,
    Observes,
    Samples,
    Streams,
    Tempers,
    Traces,
    last,
    told_what,
)
from genwerk.core.batching import Cost, batches
from genwerk.core.model import Model
from genwerk.core.noise import Seed, Seeds
from genwerk.core.options import PLAIN, Decoding
from genwerk.core.spec import Batch, Prior
from genwerk.diffusion.sampling import Sampling
from genwerk.tasks.conditioning import asked, condition_for, require


def samples(
    model: Model,
    n: int,
    *,
    label: int | None = None,
    seed: Seed | None = None,
    size: int | None = None,
    text: Tensor | None = None,
    given: Tensor | None = None,
    decoding: Decoding | None = None,
    sampling: Sampling | None = None,
    negative: Tensor | None = None,
    picture: tuple[int, int] | None = None,
    seconds: float | None = None,
    prior: Prior = "train",
    observation: Observation | None = None,
) -> Iterator[Batch]:
    """``n`` samples, as many at a time as memory allows (and at most ``size``).

    A conditional model gets ``label``, or its classes as ``prior`` says: "train" draws them as often as they are in the
    training data, "even" takes each in turn. A model that is told texts gets the rows of ``text``, token ids with shape
    (m, l), in turn, and one that is told numbers those of ``given``, with shape (m, len(spec.given)). Sample i of a
    seed is the same however many are drawn at a time. ``decoding`` is for models that emit symbols (and its temperature
    alone for those whose latents can be drawn nearer to the mode); ``sampling``, ``negative`` (a condition to be led
    away from, with one row) and ``picture``, the height and width of each, are for those that take noise away;
    ``seconds``, the length of each sound, is for those that go on for as long as they are asked to. ``observation`` is
    for models that have a p(x | z) and shows a draw or the mean of it; None is what the model shows by itself
    (:attr:`Observes.observation`).
    """
    require(model, "sample", "samples")
    assert isinstance(model, Samples)
    colder = decoding is not None and isinstance(model, Tempers)
    if decoding is not None and not (colder and decoding == Decoding(temperature=decoding.temperature)):
        require(
            model, "sampling with a temperature, top-k or top-p" if not colder else "top-k or top-p", "autoregressive"
        )
    if n < 1:
        raise ValueError(f"asked for {n} samples; ask for 1 or more")
    length = None
    if seconds is not None:
        require(model, "a sound of another length", "streams")
        length = round(seconds * model.spec.sample_rate) if isfinite(seconds) else 0
        if length < 1:
            raise ValueError(f"{seconds:g} seconds hold no sample at {model.spec.sample_rate:,} a second; ask for more")
    if sampling is not None or negative is not None or picture is not None:
        require(model, "sampling with a sampler, steps, guidance or another size", "denoises")
    if observation is not None:
        require(model, "choosing between a draw and the mean of p(x | z)", "observes")
    seeds = Seeds.of(seed)
    condition = asked(model, n, label, text, given, prior=prior, seeds=seeds)
    away = None if negative is None else negative.to(model.device)

    def drawn(rows: slice) -> Tensor:
        c, count, here = None if condition is None else condition[rows], rows.stop - rows.start, seeds + rows.start
        with torch.no_grad():
            if length is not None:
                assert isinstance(model, Streams)
                return next(model.stream(count, c, block=length, decoding=decoding or PLAIN, seed=here))
            if isinstance(model, Denoises):
                return model.drawn(count, c, sampling=sampling, negative=away, size=picture, seed=here)
            if isinstance(model, Tempers) and decoding is not None:
                return model.tempered(count, decoding.temperature, c, seed=here)
            if observation is not None:
                assert isinstance(model, Observes)
                return model.observed(count, observation, c, seed=here)
            if decoding is not None:
                assert isinstance(model, Autoregressive)
                return last(model.steps(count, c, decoding=decoding, seed=here))
            return model.sample(count, c, seed=here)

    def told(x: Tensor, start: int) -> Batch:
        c = None if condition is None else condition[start : start + len(x)]
        return Batch(x, text=c) if told_what(model) == "text" else Batch(x, c)

    def parts() -> Iterator[Batch]:
        start = 0
        for x in batches(drawn, n, model.device, cost=Cost(model.row_cost), most=size):
            yield told(x, start)
            start += len(x)

    return parts()


P = ParamSpec("P")


def _whole(parts: Callable[P, Iterator[Batch]]) -> Callable[P, Batch]:
    """``parts`` as one batch."""

    def whole(*args: P.args, **kwargs: P.kwargs) -> Batch:
        return joined(parts(*args, **kwargs))

    whole.__doc__ = "What :func:`samples` draws, as one batch."
    return whole


sample = _whole(samples)


def joined(parts: Iterable[Batch]) -> Batch:
    """The examples of ``parts``, and what they were told, as one batch."""
    found = list(parts)
    if len(found) == 1:
        return found[0]
    told = ((getattr(found[0], name), [getattr(part, name) for part in found]) for name in ("condition", "text"))
    condition, text = (None if first is None else torch.cat(each) for first, each in told)
    return Batch(torch.cat([part.x for part in found]), condition, text=text)


def complete(
    model: Model,
    batch: Batch,
    known: Tensor,
    k: int = 1,
    *,
    seed: Seed | None = None,
    decoding: Decoding | None = None,
    particles: int | None = None,
    sampling: Sampling | None = None,
    negative: Tensor | None = None,
) -> Completion:
    """``k`` completions of each example where ``known`` is False.

    ``decoding`` and ``particles`` are for models that go through an example symbol by symbol, ``sampling`` and
    ``negative`` for those that take noise away.
    """
    require(model, "complete", "completes")
    capable: Any = model
    if k < 1:
        raise ValueError(f"asked for {k} completions; ask for 1 or more")
    if particles is not None and particles < 1:
        raise ValueError(f"asked for {particles} particles; ask for 1 or more")
    options: dict[str, Any] = {
        name: v for name, v in (("decoding", decoding), ("particles", particles)) if v is not None
    }
    if options:
        require(model, f"{' and '.join(options)} in a completion", "autoregressive")
    if sampling is not None or negative is not None:
        require(model, "a sampler, steps or guidance in a completion", "denoises")
        options |= {"sampling": sampling, "negative": None if negative is None else negative.to(model.device)}
    try:
        mask = known.expand(batch.x.shape).to(model.device)
    except RuntimeError:
        raise ValueError(
            f"the mask has shape {tuple(known.shape)}, the examples {tuple(batch.x.shape)}; they must match"
        ) from None
    seeds, condition, x = Seeds.of(seed), condition_for(model, batch), batch.x.to(model.device)

    def completed(rows: slice) -> Completion:
        c = None if condition is None else condition[rows]
        with torch.no_grad():
            made: Completion = capable.complete(x[rows], mask[rows], k, c, seed=seeds + rows.start, **options)
        return made

    cost = model.row_cost if isinstance(model, Samples) else None
    return Completion.joined(
        list(batches(completed, len(x), model.device, cost=Cost(None if cost is None else k * cost)))
    )


def edit(
    model: Model,
    batch: Batch,
    strength: float,
    *,
    seed: Seed | None = None,
    sampling: Sampling | None = None,
    negative: Tensor | None = None,
) -> Tensor:
    """Each example noised as far as ``strength`` (0 to 1) of the way and brought back, with shape (n, *spec.shape).

    A conditional model brings it back as the batch's condition says (SDEdit, Meng et al., 2022, arXiv:2108.01073).
    """
    require(model, "image to image", "denoises")
    assert isinstance(model, Denoises)
    away = None if negative is None else negative.to(model.device)
    if not 0 <= strength <= 1:
        raise ValueError(f"the strength is {strength}; it lies from 0 (nothing changes) to 1 (nothing is left)")
    condition, seeds, x = condition_for(model, batch), Seeds.of(seed), batch.x.to(model.device)

    def edited(rows: slice) -> Tensor:
        c = None if condition is None else condition[rows]
        return model.edit(x[rows], strength, c, sampling=sampling, negative=away, seed=seeds + rows.start)

    with torch.no_grad():
        return torch.cat(list(batches(edited, len(x), model.device, cost=Cost(model.row_cost))))


def watch(
    model: Model,
    n: int,
    frames: int = 8,
    *,
    label: int | None = None,
    text: Tensor | None = None,
    seed: Seed | None = None,
) -> Tensor:
    """How ``n`` samples come about: ``frames`` states of each, spread evenly, with shape (n, frames, *spec.shape)."""
    require(model, "watch", "traces")
    assert isinstance(model, Traces)
    if n < 1 or frames < 2:
        raise ValueError(f"asked for {frames} frames of {n} samples; ask for 2 or more of 1 or more")
    seeds = Seeds.of(seed)
    with torch.no_grad():
        states = list(model.trace(n, asked(model, n, label, text, seeds=seeds), seed=seeds))
    chosen = torch.linspace(0, len(states) - 1, min(frames, len(states))).round().long()
    return torch.stack([states[i] for i in chosen.tolist()], 1)


def between(model: Model, start: Tensor, end: Tensor, steps: int = 9, *, seed: Seed | None = None) -> Tensor:
    """Pictures on the way from one text to another, token ids with shape (1, l) each: shape (steps, *spec.shape)."""
    require(model, "a way between texts", "blends")
    assert isinstance(model, Blends)
    if steps < 2:
        raise ValueError(f"an interpolation of {steps} steps has no two ends; ask for 2 or more")
    return model.between(start.to(model.device), end.to(model.device), steps, seed=seed)
