"""Between examples and their latents: there, back, along a way, and along single dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Encodes, abilities
from genwerk.core.batching import in_batches
from genwerk.core.errors import BadInput, Unsupported, called
from genwerk.core.model import Model
from genwerk.core.spec import Batch
from genwerk.data.dataset import Dataset
from genwerk.tasks.conditioning import conditions, require
from genwerk.tasks.inputs import Array, Conditions, Examples, batch_of, condition_of


def encode(model: Model, examples: Examples, condition: Conditions = None) -> Tensor:
    """The latent of each example, with shape (n, *model.latent_shape)."""
    require(model, "encode", "encodes")
    assert isinstance(model, Encodes)
    batch = batch_of(model, examples, condition)
    return in_batches(model.encode, batch.x, code_conditions(model, batch))


def pca_2d(z: Tensor) -> Tensor:
    """Latents with shape (n, ...) in the plane of their first two principal components, with shape (n, 2)."""
    flat = z.flatten(1)
    if flat.shape[1] > 2:
        centred = flat - flat.mean(0)
        *_, directions = torch.linalg.svd(centred, full_matrices=False)
        flat = torch.mm(centred, directions[:2].T)  # of one example there is one direction, and no spread
    return torch.cat([flat, flat.new_zeros(len(flat), 2 - flat.shape[1])], 1)


def decode(model: Model, z: Tensor | Array, condition: Conditions = None) -> Tensor:
    """The example of each latent with shape (n, *model.latent_shape), with shape (n, *spec.shape)."""
    require(model, "decode", "decodes")
    assert isinstance(model, Decodes)
    z = torch.as_tensor(z).to(model.device)
    if z.shape[1:] != model.latent_shape:
        wanted = ", ".join(map(str, model.latent_shape))
        raise BadInput(f"the latents have shape {tuple(z.shape)}; expected (n, {wanted})")
    return in_batches(model.decode, z, code_conditions(model, Batch(z, condition_of(model, condition, len(z)))))


def reconstruct(model: Model, examples: Examples, condition: Conditions = None) -> Tensor:
    """Each example encoded and decoded again, with shape (n, *spec.shape)."""
    require(model, "reconstruct", "encodes", "decodes")
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    decode = model.decode
    encode, batch = model.encode, batch_of(model, examples, condition)
    return in_batches(lambda x, c: decode(encode(x, c), c), batch.x, code_conditions(model, batch))


LatentPath = Literal["line", "sphere"]


def interpolate(
    model: Model,
    start: Examples,
    end: Examples,
    steps: int = 9,
    path: LatentPath | None = None,
    condition: Conditions = None,
) -> Tensor:
    """The examples on the way from each of ``start`` to each of ``end`` in latent space (:func:`interpolate_latents`).

    ``path`` None is an arc where codes are noise, whose length must be kept, else a line.

    A model that decodes latents of a prior and does not encode is steered instead (:mod:`genwerk.tasks.steering`): it
    interpolates between samples by their numbers, or between the projections of examples.
    """
    if lacks_encoder(model):
        raise Unsupported(
            f"{called(model)} has no encoder to place examples in its latent space; project them first "
            "(‹project›), or interpolate between samples, by their numbers"
        )
    _require_continuous(model, "interpolate", "decodes")
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    first, last = batch_of(model, start, condition), batch_of(model, end, condition)
    c, d = code_conditions(model, first), code_conditions(model, last)
    a, b = in_batches(model.encode, first.x, c), in_batches(model.encode, last.x, d)
    return interpolate_latents(
        model.decode,
        a,
        b,
        steps,
        path or ("sphere" if {"has-latent-prior", "denoises"} <= abilities(model) else "line"),
        lambda t: None if c is None or d is None else model.condition.blend(c, d, t),
    )


def code_conditions(model: Model, batch: Batch) -> Tensor | None:
    """What ``model`` encodes and decodes ``batch`` by: its conditions; None where codes do not depend on them."""
    return conditions(model, batch) if getattr(model, "codes_by_condition", True) else None


def lacks_encoder(model: Model) -> bool:
    """Whether ``model`` decodes latents of a prior and does not encode: its samples, by number, have a latent."""
    return "has-latent-prior" in abilities(model) and "encodes" not in abilities(model)


def interpolate_latents(
    decode: Callable[..., Tensor],
    a: Tensor,
    b: Tensor,
    steps: int,
    path: LatentPath,
    condition: Callable[[float], Tensor | None] = lambda t: None,  # noqa: ARG005
) -> Tensor:
    """``decode`` along the way from each latent of ``a`` to each of ``b``, with shape (n, steps, *spec.shape).

    Both ends are included. ``path`` is a straight line, or an arc that keeps the latent's length (spherical
    interpolation: White, 2016, arXiv:1609.04468), which suits a Gaussian prior. ``condition`` is that at a fraction of
    the way.
    """
    if steps < 2:
        raise ValueError(f"an interpolation of {steps} steps has no two ends; ask for 2 or more")
    move, places = lerp if path == "line" else slerp, torch.linspace(0, 1, steps).tolist()
    z = torch.stack([move(a, b, t) for t in places], 1)
    each = [c for t in places if (c := condition(t)) is not None]
    flat = in_batches(decode, z.flatten(0, 1), torch.stack(each, 1).flatten(0, 1) if each else None)
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


def traverse(
    model: Model,
    example: Examples,
    dims: Sequence[int],
    *,
    steps: int = 9,
    span: Span = (-3.0, 3.0),
    condition: Conditions = None,
) -> Tensor:
    """What one example becomes as some latent dimensions move through ``span`` while the others hold still.

    Two dimensions give a grid with shape (steps, steps, *spec.shape), the first down and the second across; one or more
    than two give a row each with shape (len(dims), steps, *spec.shape). The lower and upper end of ``span`` may differ
    by latent dimension (:func:`latent_span` fits them to data).
    """
    _require_continuous(model, "traverse", "decodes")
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    batch = batch_of(model, example, condition)
    c = code_conditions(model, batch)
    z = in_batches(model.encode, batch.x[:1], None if c is None else c[:1]).flatten(1)
    size = z.shape[1]
    if not dims or any(not 0 <= d < size for d in dims):
        raise ValueError(f"the latent has dimensions 0 to {size - 1}; asked for {', '.join(map(str, dims)) or 'none'}")
    if steps < 2:
        raise ValueError(f"a traversal of {steps} steps does not move; ask for 2 or more")
    values = {d: latent_values(span, d, steps).to(z) for d in dims}
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


def latent_values(span: Span, dim: int, steps: int) -> Tensor:
    """The ``steps`` values, from end to end of ``span``, that latent dimension ``dim`` takes, with shape (steps,)."""
    low, high = (end if isinstance(end, float) else end[dim].item() for end in span)
    return low + torch.linspace(0, 1, steps) * (high - low)


def latent_span(model: Model, data: Dataset, *, examples: int = 2000, outside: float = 0.02) -> tuple[Tensor, Tensor]:
    """The range of each latent dimension over data, with a fraction ``outside`` of the examples left outside it."""
    _require_continuous(model, "traverse")
    assert isinstance(model, Encodes)
    batch = data.subset(examples).under(model.condition).batch()
    z = in_batches(model.encode, batch.x.to(model.device), code_conditions(model, batch)).flatten(1)
    return z.quantile(outside / 2, 0), z.quantile(1 - outside / 2, 0)


def _require_continuous(model: Model, verb: str, *needed: str) -> None:
    """Raise :class:`Unsupported` unless ``model`` encodes to numbers, not names, and has all ``needed``."""
    require(model, verb, "encodes", *needed)
    if isinstance(model, Encodes) and model.discrete:
        raise Unsupported(
            f"{verb} moves through a latent of numbers; the codes of {called(model)} are entries of a "
            "codebook, and there is nothing between two of them"
        )
