"""What follows from the abilities: free functions over any model that has the primitives they need."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt
from typing import Any, Literal

import torch
from torch import Tensor

import genwerk.families  # noqa: F401  (registers who can do what)
from genwerk.abilities import (
    ABILITIES,
    Blends,
    Bounds,
    Completion,
    Decodes,
    Denoises,
    Encodes,
    Samples,
    Scores,
    Steps,
    Streams,
    Tempers,
    Traces,
    Weighs,
    abilities,
    condition_of,
    last,
    told_numbers,
    told_what,
)
from genwerk.data.dataset import Dataset
from genwerk.diffusion.sampling import Sampling
from genwerk.model import Model
from genwerk.spec import Batch, numbers
from genwerk.stepper import PLAIN, Decoding


class Unsupported(ValueError):
    """A verb was asked of a model that lacks a primitive."""


def require(model: Model, verb: str, *needed: str) -> None:
    """Raise :class:`Unsupported`, naming what is missing and who has it, unless ``model`` has all ``needed``."""
    for ability in needed:
        if ability not in abilities(model):
            able = sorted(cls.__name__ for _, cls in Model.registry.values() if issubclass(cls, ABILITIES[ability]))
            raise Unsupported(
                f"{verb} needs a model that {ability}, and {type(model).__name__} does not"
                + (f"; these do: {', '.join(able)}" if able else "")
            )


def in_batches(function: Callable[..., Tensor], *parts: Tensor | None, size: int = 512) -> Tensor:
    """``function`` of the rows of ``parts``, computed at most ``size`` rows at a time without gradients."""
    n = next(len(p) for p in parts if p is not None)
    with torch.no_grad():
        chunks = [
            function(*(None if p is None else p[start : start + size] for p in parts)) for start in range(0, n, size)
        ]
    return torch.cat(chunks)


# --- encoders and decoders --------------------------------------------------------------------------------------------


def encode(model: Model, batch: Batch) -> Tensor:
    """The latent of each example, with shape (n, *model.latent_shape)."""
    require(model, "encode", "encodes")
    assert isinstance(model, Encodes)
    return in_batches(model.encode, batch.x, _condition(model, batch))


def plane(z: Tensor) -> Tensor:
    """Latents with shape (n, ...) in the plane of their first two principal components, with shape (n, 2)."""
    flat = z.flatten(1)
    if flat.shape[1] <= 2:
        return torch.cat([flat, flat.new_zeros(len(flat), 2 - flat.shape[1])], 1)
    centred = flat - flat.mean(0)
    *_, directions = torch.linalg.svd(centred, full_matrices=False)
    return torch.mm(centred, directions[:2].T)


def reconstruct(model: Model, batch: Batch) -> Tensor:
    """Each example encoded and decoded again, with shape (n, *spec.shape)."""
    require(model, "reconstruct", "encodes", "decodes")
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    decode = model.decode
    encode = model.encode
    return in_batches(lambda x, c: decode(encode(x, c), c), batch.x, _condition(model, batch))


Path = Literal["line", "sphere"]


def interpolate(model: Model, start: Batch, end: Batch, steps: int = 9, path: Path = "line") -> Tensor:
    """The examples on the way from each of ``start`` to each of ``end`` in latent space, as :func:`way` shows it.

    A model that decodes latents of a prior and does not encode is steered instead (:mod:`genwerk.steering`): it
    interpolates between samples by their seeds, or between the projections of examples.
    """
    if "steers" in abilities(model) and "encodes" not in abilities(model):
        raise Unsupported(
            f"{type(model).__name__} has no encoder to place examples in its latent space; project them first "
            "(--project), or interpolate between seeds"
        )
    _require_continuous(model, "interpolate", "decodes")
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    c, d = _condition(model, start), _condition(model, end)
    a, b = in_batches(model.encode, start.x, c), in_batches(model.encode, end.x, d)
    return way(model.decode, a, b, steps, path, c, d)


def way(
    decode: Callable[..., Tensor],
    a: Tensor,
    b: Tensor,
    steps: int,
    path: Path,
    condition: Tensor | None = None,
    until: Tensor | None = None,
) -> Tensor:
    """``decode`` along the way from each latent of ``a`` to each of ``b``, with shape (n, steps, *spec.shape).

    Both ends are included. ``path`` is a straight line, or an arc that keeps the latent's length (spherical
    interpolation: White, 2016, arXiv:1609.04468), which suits a Gaussian prior. A condition that is numbers goes in a
    line to ``until``; any other stays what it is at the beginning.
    """
    if steps < 2:
        raise ValueError(f"an interpolation of {steps} steps has no two ends; ask for 2 or more")
    move, places = lerp if path == "line" else slerp, torch.linspace(0, 1, steps).tolist()
    z = torch.stack([move(a, b, t) for t in places], 1)
    told = None
    if condition is not None:
        end = condition if until is None else until
        led = condition.is_floating_point()
        told = torch.stack([lerp(condition, end, t) if led else condition for t in places], 1).flatten(0, 1)
    flat = in_batches(decode, z.flatten(0, 1), told)
    return flat.reshape(len(a), steps, *flat.shape[1:])


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """The point a fraction ``t`` (one, or one a row) of the way along the line from ``a`` to ``b``."""
    return a.lerp(b, _by_row(t, a))


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """The point a fraction ``t`` (one, or one a row) of the angle from ``a`` to ``b``, row by row.

    Rows that are nearly parallel take the line.
    """
    flat_a, flat_b = a.flatten(1), b.flatten(1)
    t = _by_row(t, flat_a)
    cosine = torch.cosine_similarity(flat_a, flat_b, dim=1).clamp(-1, 1)
    angle = torch.acos(cosine).unsqueeze(1)
    sine = torch.sin(angle)
    arc = (torch.sin((1 - t) * angle) * flat_a + torch.sin(t * angle) * flat_b) / sine
    return torch.where(sine < 1e-4, lerp(flat_a, flat_b, t), arc).view_as(a)


def _by_row(t: float | Tensor, like: Tensor) -> Tensor:
    """``t`` shaped to multiply the rows of ``like``."""
    return torch.as_tensor(t, dtype=like.dtype, device=like.device).reshape(-1, *[1] * (like.dim() - 1))


Span = tuple[float | Tensor, float | Tensor]


def traverse(model: Model, example: Batch, dims: Sequence[int], *, steps: int = 9, span: Span = (-3.0, 3.0)) -> Tensor:
    """What one example becomes as some latent dimensions move through ``span`` while the others hold still.

    Two dimensions give a grid with shape (steps, steps, *spec.shape), the first down and the second across; one or more
    than two give a row each with shape (len(dims), steps, *spec.shape). The lower and upper end of ``span`` may differ
    by latent dimension (:func:`latent_span` fits them to data).
    """
    _require_continuous(model, "traverse", "decodes")
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    c = _condition(model, example)
    z = in_batches(model.encode, example.x[:1], None if c is None else c[:1]).flatten(1)
    size = z.shape[1]
    if not dims or any(not 0 <= d < size for d in dims):
        raise ValueError(f"the latent has dimensions 0 to {size - 1}; asked for {', '.join(map(str, dims)) or 'none'}")
    if steps < 2:
        raise ValueError(f"a traversal of {steps} steps does not move; ask for 2 or more")
    low, high = (torch.as_tensor(end, dtype=z.dtype, device=z.device).expand(size) for end in span)
    way = torch.linspace(0, 1, steps, dtype=z.dtype, device=z.device)
    values = {d: low[d] + way * (high[d] - low[d]) for d in dims}
    if len(dims) == 2:
        plane = z.repeat(steps, steps, 1)
        plane[..., dims[0]] = values[dims[0]].unsqueeze(1)
        plane[..., dims[1]] = values[dims[1]].unsqueeze(0)
    else:
        plane = z.repeat(len(dims), steps, 1)
        for row, d in enumerate(dims):
            plane[row, :, d] = values[d]
    rows = plane.flatten(0, 1).unflatten(1, model.latent_shape)
    decoded = in_batches(model.decode, rows, None if c is None else c[:1].expand(len(rows), *c.shape[1:]))
    return decoded.reshape(*plane.shape[:2], *decoded.shape[1:])


def latent_span(model: Model, data: Dataset, *, examples: int = 2000, outside: float = 0.02) -> tuple[Tensor, Tensor]:
    """The range of each latent dimension over data, with a fraction ``outside`` of the examples left outside it."""
    _require_continuous(model, "traverse")
    assert isinstance(model, Encodes)
    batch = data.subset(examples).batch()
    z = in_batches(model.encode, batch.x.to(model.device), _condition(model, batch)).flatten(1)
    return z.quantile(outside / 2, 0), z.quantile(1 - outside / 2, 0)


def _require_continuous(model: Model, verb: str, *needed: str) -> None:
    """Raise :class:`Unsupported` unless ``model`` encodes to numbers, not names, and has all ``needed``."""
    require(model, verb, "encodes", *needed)
    if isinstance(model, Encodes) and model.discrete:
        raise Unsupported(
            f"{verb} moves through a latent of numbers; the codes of this {type(model).__name__} are entries of a "
            "codebook, and there is nothing between two of them"
        )


def _condition(model: Model, batch: Batch) -> Tensor | None:
    """The batch's condition where the model takes one; its absence is one sentence."""
    if (kind := told_what(model)) == "none":
        return None
    if (condition := condition_of(model, batch)) is None:
        if kind == "vector":
            wanted = numbers(model.spec.given)
            raise ValueError(f"this {type(model).__name__} is told {wanted}, and the examples lack them")
        option = "--label" if kind == "label" else "--prompt"
        raise ValueError(f"this {type(model).__name__} was trained with a {kind}; give one with {option}")
    return condition.to(model.device)


# --- densities --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Likelihood:
    """Mean log-likelihood of data under a model, and how it was found."""

    nats: float
    """Mean per example."""
    standard_error: float
    """Of the mean, over examples."""
    exact: bool
    """False where the figure is a lower bound."""
    draws: int | None = None
    """Importance draws an example, for a bound."""
    ess: float | None = None
    """Mean effective sample size of the importance weights, of ``draws``."""
    bits_per_dim: float | None = None
    """The same figure in bits per dimension of the 8-bit data; None where that has no meaning."""
    derivation: str = ""
    """How bits per dimension follow from nats, and of which version of the data."""


def log_likelihood(
    model: Model, data: Dataset, *, draws: int = 100, examples: int | None = None, seed: int = 0
) -> Likelihood:
    """Mean log-likelihood of at most ``examples`` of ``data``: exact where the model knows it, else a lower bound.

    For importance-weighted bounds the draws are taken in one batched pass a chunk of examples; the effective sample
    size (sum w)^2 / sum w^2 says how much a bound of K draws can be trusted (Burda et al., 2015, arXiv:1509.00519).
    """
    if not isinstance(model, (Scores, Bounds)):
        require(model, "log-likelihood", "scores" if "bounds" in abilities(model) else "bounds")
    if draws < 1:
        raise ValueError(f"{draws} draws cannot estimate a bound; ask for 1 or more")
    values: list[Tensor] = []
    sizes: list[Tensor] = []
    data = data if examples is None else data.subset(examples, seed)
    n = len(data)
    chunk = 512 if isinstance(model, Scores) else max(1, min(512, 25_600 // draws))
    with torch.no_grad():
        for start in range(0, n, chunk):
            batch = data.batch(slice(start, min(start + chunk, n)))
            x, c = batch.x.to(model.device), _condition(model, batch)
            if isinstance(model, Scores):
                values.append(model.log_prob(x, c))
            elif isinstance(model, Weighs):
                w = model.log_weights(x, draws, c, seed=seed + start)
                values.append(torch.logsumexp(w, 1) - log(draws))
                sizes.append(torch.exp(2 * torch.logsumexp(w, 1) - torch.logsumexp(2 * w, 1)))
            elif isinstance(model, Bounds):
                values.append(model.log_prob_bound(x, draws, c, seed=seed + start))
    nats = torch.cat(values).double()
    mean = nats.mean().item()
    bits, derivation = bits_per_dim(model, mean)
    return Likelihood(
        nats=mean,
        standard_error=nats.std().item() / sqrt(len(nats)) if len(nats) > 1 else float("nan"),
        exact=isinstance(model, Scores),
        draws=None if isinstance(model, Scores) else draws,
        ess=torch.cat(sizes).double().mean().item() if sizes else None,
        bits_per_dim=bits,
        derivation=derivation,
    )


def bits_per_dim(model: Model, nats: float) -> tuple[float | None, str]:
    """Bits per dimension from mean nats an example, with its derivation; None for data that are not 8-bit images.

    ``log_prob`` is in nats of the stored levels, so bits are nats / (dims ln 2) and nothing is corrected by hand.
    """
    scored = model.scored if isinstance(model, (Scores, Bounds)) else ""
    if model.spec.kind != "image":
        return None, f"nats of {scored or 'the density in the units of the data'}"
    bits = -nats / (model.spec.dims * log(2))
    return bits, f"{-nats:.4g} nats / ({model.spec.dims} dimensions x ln 2), of {scored or 'the stored pixels'}"


# --- neighbours and pictures ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Neighbours:
    """The nearest training examples of some samples."""

    rows: Tensor
    """Indices into the training data with shape (n, k), nearest first."""
    distances: Tensor
    """Euclidean distances in the units of the data with shape (n, k)."""


def nearest(samples: Tensor, train: Dataset, k: int = 1) -> Neighbours:
    """The ``k`` training examples closest to each sample: a model that copies its data is seen here.

    Distances are computed in chunks of the training data and compared exactly, so memory stays bounded.
    """
    if not 1 <= k <= len(train):
        raise ValueError(f"asked for {k} neighbours of {len(train)} training examples")
    flat = samples.flatten(1).double()
    best = torch.full((len(flat), k), torch.inf, dtype=torch.float64)
    rows = torch.zeros((len(flat), k), dtype=torch.int64)
    for start in range(0, len(train), 4096):
        part = train.batch(slice(start, start + 4096)).x.to(flat.device).flatten(1).double()
        both = torch.cat([best, torch.cdist(flat, part, compute_mode="donot_use_mm_for_euclid_dist").cpu()], 1)
        here = torch.arange(start, start + len(part)).expand(len(flat), -1)
        best, order = both.topk(k, dim=1, largest=False)
        rows = torch.cat([rows, here], 1).gather(1, order)
    return Neighbours(rows, best)


def grid(images: Tensor, columns: int | None = None, *, gap: int = 1, scale: int | None = None) -> Tensor:
    """One picture of many: uint8 with shape (height, width, 3), images in rows of ``columns`` on a white ground.

    ``images`` has shape (n, c, h, w) with values in [0, 1] and 1 or 3 channels; small ones are enlarged by whole
    pixels (``scale``, chosen so that an image is at least 56 pixels high when None).
    """
    n, _, h, w = images.shape
    columns = columns or ceil(sqrt(n))
    scale = scale or max(1, ceil(56 / h))
    pixels = images.detach().cpu().float().clamp(0, 1).mul(255).round().to(torch.uint8).expand(n, 3, h, w)
    pixels = pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    rows, gap = ceil(n / columns), gap * scale
    height, width = h * scale, w * scale
    sheet = torch.full((3, rows * (height + gap) + gap, columns * (width + gap) + gap), 255, dtype=torch.uint8)
    for i, image in enumerate(pixels):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet.permute(1, 2, 0)


def sample(
    model: Model,
    n: int,
    *,
    label: int | None = None,
    seed: int | None = None,
    size: int = 256,
    text: Tensor | None = None,
    given: Tensor | None = None,
    decoding: Decoding | None = None,
    sampling: Sampling | None = None,
    negative: Tensor | None = None,
    picture: tuple[int, int] | None = None,
    seconds: float | None = None,
) -> Batch:
    """``n`` samples in batches of ``size``; a conditional model gets ``label``, or its classes in turn.

    A model that is told texts gets the rows of ``text``, token ids with shape (m, l), in turn, and one that is told
    numbers those of ``given``, with shape (m, len(spec.given)). Sample i is that of seed ``seed + i`` whatever ``size``
    is. ``decoding`` is for models that emit symbols (and its temperature alone for those whose latents can be drawn
    nearer to the mode); ``sampling``, ``negative`` (a condition to be led away from, with one row) and ``picture``, the
    height and width of each, are for those that take noise away; ``seconds``, the length of each sound, is for those
    that go on for as long as they are asked to.
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
    condition = _asked(model, n, label, text, given)
    first = secrets.randbelow(2**31) if seed is None else seed
    parts: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, n, size):
            c = None if condition is None else condition[start : start + size]
            count, here = min(size, n - start), first + start
            if length is not None:
                assert isinstance(model, Streams)
                parts.append(next(model.stream(count, c, block=length, decoding=decoding or PLAIN, seed=here)))
            elif isinstance(model, Denoises):
                away = None if negative is None else negative.to(model.device)
                options: Any = {"sampling": sampling, "negative": away, "size": picture}
                parts.append(model.drawn(count, c, **options, seed=here))
            elif isinstance(model, Tempers) and decoding is not None:
                parts.append(model.tempered(count, decoding.temperature, c, seed=here))
            elif decoding is not None:
                assert isinstance(model, Steps)
                parts.append(last(model.steps(count, c, decoding=decoding, seed=here)))
            else:
                parts.append(model.sample(count, c, seed=here))
    if told_what(model) == "text":
        return Batch(torch.cat(parts), text=condition)
    return Batch(torch.cat(parts), condition)


def _asked(
    model: Model, n: int, label: int | None = None, text: Tensor | None = None, given: Tensor | None = None
) -> Tensor | None:
    """The condition of each of ``n`` samples."""
    kind = told_what(model)
    if label is not None and kind != "label":
        raise ValueError(f"this {type(model).__name__} is not told a label; leave out --label")
    if text is not None and kind != "text":
        raise ValueError(f"this {type(model).__name__} is not told a text; leave out --prompt")
    if given is not None and kind != "vector":
        raise ValueError(f"this {type(model).__name__} is not told numbers; leave out --given")
    if kind == "none":
        return None
    if kind == "vector":
        if given is None:
            raise ValueError(f"this {type(model).__name__} is told {numbers(model.spec.given)}; give them with --given")
        condition = told_numbers(model, given, model.spec.given)[torch.arange(n) % len(given)]
    elif kind == "label":
        condition = torch.arange(n) % len(model.spec.classes) if label is None else torch.full((n,), label)
    elif text is None:
        raise ValueError(f"this {type(model).__name__} is told what to make; give a text with --prompt")
    else:
        condition = text[torch.arange(n) % len(text)]
    return condition.to(model.device)


def complete(
    model: Model,
    batch: Batch,
    known: Tensor,
    k: int = 1,
    *,
    seed: int | None = None,
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
            batch.x.to(model.device), mask, k, _condition(model, batch), seed=seed, **options
        )
    return completed


def edit(
    model: Model,
    batch: Batch,
    strength: float,
    *,
    seed: int | None = None,
    sampling: Sampling | None = None,
    negative: Tensor | None = None,
) -> Tensor:
    """Each example noised as far as ``strength`` (0 to 1) of the way and brought back, with shape (n, *spec.shape).

    A conditional model brings it back as the batch's condition says (SDEdit, Meng et al., 2022, arXiv:2108.01073).
    """
    require(model, "image to image", "denoises")
    assert isinstance(model, Denoises)
    away = None if negative is None else negative.to(model.device)
    condition = _condition(model, batch)
    return model.edit(batch.x.to(model.device), strength, condition, sampling=sampling, negative=away, seed=seed)


def watch(
    model: Model,
    n: int,
    frames: int = 8,
    *,
    label: int | None = None,
    text: Tensor | None = None,
    seed: int | None = None,
) -> Tensor:
    """How ``n`` samples come about: ``frames`` states of each, spread evenly, with shape (n, frames, *spec.shape)."""
    require(model, "watch", "traces")
    assert isinstance(model, Traces)
    if n < 1 or frames < 2:
        raise ValueError(f"asked for {frames} frames of {n} samples; ask for 2 or more of 1 or more")
    with torch.no_grad():
        states = list(model.trace(n, _asked(model, n, label, text), seed=seed))
    chosen = torch.linspace(0, len(states) - 1, min(frames, len(states))).round().long()
    return torch.stack([states[i] for i in chosen.tolist()], 1)


def between(model: Model, start: Tensor, end: Tensor, steps: int = 9, *, seed: int | None = None) -> Tensor:
    """Pictures on the way from one text to another, token ids with shape (1, l) each: shape (steps, *spec.shape)."""
    require(model, "a way between texts", "blends")
    assert isinstance(model, Blends)
    if steps < 2:
        raise ValueError(f"an interpolation of {steps} steps has no two ends; ask for 2 or more")
    return model.between(start.to(model.device), end.to(model.device), steps, seed=seed)
