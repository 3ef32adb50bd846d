"""What a model makes: samples, the missing part of examples, changed examples, and how they come about."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genwerk.abilities import (
    Blends,
    Completion,
    Denoises,
    Observation,
    Observes,
    Samples,
    Steps,
    Streams,
    Tempers,
    Traces,
    last,
    told_what,
)
from genwerk.diffusion.sampling import Sampling
from genwerk.model import Model
from genwerk.noise import Seed, Seeds
from genwerk.spec import Batch, Prior
from genwerk.stepper import PLAIN, Decoding
from genwerk.verbs.asking import asked, condition_for, require


def sample(
    model: Model,
    n: int,
    *,
    label: int | None = None,
    seed: Seed | None = None,
    size: int = 256,
    text: Tensor | None = None,
    given: Tensor | None = None,
    decoding: Decoding | None = None,
    sampling: Sampling | None = None,
    negative: Tensor | None = None,
    picture: tuple[int, int] | None = None,
    seconds: float | None = None,
    prior: Prior = "train",
    observation: Observation | None = None,
) -> Batch:
    """``n`` samples in batches of ``size``; a conditional model gets ``label``, or its classes as ``prior`` says.

    "train" draws them as often as they are in the training data, "even" takes each in turn.

    A model that is told texts gets the rows of ``text``, token ids with shape (m, l), in turn, and one that is told
    numbers those of ``given``, with shape (m, len(spec.given)). Sample i of a seed is the same whatever ``size``
    is. ``decoding`` is for models that emit symbols (and its temperature alone for those whose latents can be drawn
    nearer to the mode); ``sampling``, ``negative`` (a condition to be led away from, with one row) and ``picture``, the
    height and width of each, are for those that take noise away; ``seconds``, the length of each sound, is for those
    that go on for as long as they are asked to. ``observation`` is for models that have a p(x | z) and shows a draw or
    the mean of it; None is what the model shows by itself (:attr:`~genwerk.abilities.Observes.observation`).
    """
    require(model, "sample", "samples")
    assert isinstance(model, Samples)
    colder = decoding is not None and isinstance(model, Tempers)
    if decoding is not None and not (colder and decoding == Decoding(temperature=decoding.temperature)):
        require(model, "sampling with a temperature, top-k or top-p" if not colder else "top-k or top-p", "steps")
    if n < 1:
        raise ValueError(f"asked for {n} samples; ask for 1 or more")
    length = None
    if seconds is not None:
        require(model, "a sound of another length", "streams")
        if (length := round(seconds * model.spec.sample_rate)) < 1:
            raise ValueError(f"{seconds:g} seconds hold no sample at {model.spec.sample_rate:,} a second; ask for more")
    if sampling is not None or negative is not None or picture is not None:
        require(model, "sampling with a sampler, steps, guidance or another size", "denoises")
    if observation is not None:
        require(model, "choosing between a draw and the mean of p(x | z)", "observes")
    seeds = Seeds.of(seed)
    condition = asked(model, n, label, text, given, prior=prior, seeds=seeds)
    parts: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, n, size):
            c = None if condition is None else condition[start : start + size]
            count, here = min(size, n - start), seeds + start
            if length is not None:
                assert isinstance(model, Streams)
                parts.append(next(model.stream(count, c, block=length, decoding=decoding or PLAIN, seed=here)))
            elif isinstance(model, Denoises):
                away = None if negative is None else negative.to(model.device)
                options: Any = {"sampling": sampling, "negative": away, "size": picture}
                parts.append(model.drawn(count, c, **options, seed=here))
            elif isinstance(model, Tempers) and decoding is not None:
                parts.append(model.tempered(count, decoding.temperature, c, seed=here))
            elif observation is not None:
                assert isinstance(model, Observes)
                parts.append(model.observed(count, observation, c, seed=here))
            elif decoding is not None:
                assert isinstance(model, Steps)
                parts.append(last(model.steps(count, c, decoding=decoding, seed=here)))
            else:
                parts.append(model.sample(count, c, seed=here))
    if told_what(model) == "text":
        return Batch(torch.cat(parts), text=condition)
    return Batch(torch.cat(parts), condition)


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
        require(model, f"{' and '.join(options)} in a completion", "steps")
    if sampling is not None or negative is not None:
        require(model, "a sampler, steps or guidance in a completion", "denoises")
        options |= {"sampling": sampling, "negative": None if negative is None else negative.to(model.device)}
    try:
        mask = known.expand(batch.x.shape).to(model.device)
    except RuntimeError:
        raise ValueError(
            f"the mask has shape {tuple(known.shape)}, the examples {tuple(batch.x.shape)}; they must match"
        ) from None
    with torch.no_grad():
        completed: Completion = capable.complete(
            batch.x.to(model.device), mask, k, condition_for(model, batch), seed=seed, **options
        )
    return completed


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
    condition = condition_for(model, batch)
    return model.edit(batch.x.to(model.device), strength, condition, sampling=sampling, negative=away, seed=seed)


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
