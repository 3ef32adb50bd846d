"""Cheap figures on few examples: by what a model is judged while it is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from genwerk.core.abilities import Translates, abilities
from genwerk.core.batching import budget
from genwerk.core.model import Model, evaluating
from genwerk.core.moments import Moments
from genwerk.data.dataset import Dataset
from genwerk.evaluation.samples import drawn, rebuilds, rebuilt, translated
from genwerk.metrics import frechet_distance
from genwerk.metrics.robust import clipped_mean
from genwerk.tasks import log_likelihood
from genwerk.training.choice import JUDGES, Judged
from genwerk.training.watchdog import energy_distance

CPU = torch.device("cpu")
FEWEST = 10
"""Held-out examples below which no distance is measured."""
COMPONENTS = 32
"""Principal components in which :func:`quick` compares samples."""
ENERGY = "energy_distance"
"""The figure of samples by which a model is judged: 0 where, and only where, their distribution is that of the data."""


def judge(model: Model, validation: Dataset, train: Dataset, *, seed: int = 0) -> Judged:
    """How good ``model`` is by ``validation``, while it is trained; none of the figures need be a published one.

    Densities are judged by their likelihood, models that lose something on the way to a code and back by what they
    lose, all others by their samples. Figures of games are of samples too, or choose nothing: players that sharpen an
    image add to its squared error.
    """
    figures = quick(model, validation, train=train, seed=seed)
    able, game = abilities(model), len(model.players()) > 1
    if not figures:
        return Judged(figures, None)
    if able & {"has-likelihood", "bounds-likelihood"}:
        return Judged(figures, next(iter(figures)))
    if ENERGY in figures:
        return Judged(figures, ENERGY, steady=False)
    return Judged(figures, None if game else next(iter(figures)))


def quick(
    model: Model, dataset: Dataset, *, train: Dataset | None = None, examples: int = JUDGES, seed: int = 0
) -> dict[str, float]:
    """Cheap figures on at most ``examples`` of ``dataset``, for use during training; smaller is better.

    A likelihood (``nll``, exact, or ``nll_bound``, of one draw) in nats an example, with ``bits_per_dim``; the squared
    error a value of what is encoded and decoded, or of translations learned from pairs (of others nobody knows the
    answers); and, for models that only sample and for games, distances of samples in the first principal components of
    the data, from :data:`FEWEST` examples on. The first of a kind is robust: a mean in which no example counts beyond a
    bound, or an energy distance. Columns of tables are in units of their spread in ``train`` (None: in ``dataset``),
    for else the one in the smallest unit would decide.
    """
    able, game = abilities(model), len(model.players()) > 1
    data = dataset.subset(examples, seed).under(model.condition)
    figures: dict[str, float] = {}
    if len(data) == 0:
        return figures
    with evaluating(model):
        if able & {"has-likelihood", "bounds-likelihood"}:
            found = log_likelihood(model, data, importance_samples=1, seed=seed)
            name = "nll" if found.exact else "nll_bound"
            name += f"_given_{found.condition}" if model.condition.classes else ""
            figures |= {f"clipped_{name}": clipped_mean(-found.each), name: -found.nats}
            if found.bits_per_dim is not None:
                figures["bits_per_dim"] = found.bits_per_dim
        elif rebuilds(model):
            scale = column_scale(dataset if train is None else train)

            def off(x: Tensor, made: Tensor) -> Tensor:
                return ((made - x).double() / scale).square().flatten(1).mean(1)

            error = torch.cat(list(rebuilt(model, data, off)))
            figures |= {"clipped_reconstruction_mse": clipped_mean(error), "reconstruction_mse": error.mean().item()}
        elif isinstance(model, Translates) and "translates-domains" not in able:
            apart = (made.double() - x.double() for x, made, _ in translated(model, data))
            error = torch.cat([each.square().flatten(1).mean(1) for each in apart])
            figures |= {"clipped_translation_mse": clipped_mean(error), "translation_mse": error.mean().item()}
        if "samples" in able and (game or not figures) and len(data) >= FEWEST:
            samples = drawn(model, len(data), dataset, seed)
            real, made = in_components(data, samples, column_scale(dataset if train is None else train))
            figures[ENERGY] = energy_distance(made, real, biased=True)
            figures[f"frechet_in_{COMPONENTS}_components"] = frechet_distance(made, real)
    return figures


def column_scale(data: Dataset) -> Tensor | float:
    """Spread of each column of a table, 1 where it does not vary; 1 for what has one unit throughout."""
    if not data.spec.modality.has_columns:
        return 1.0
    return Moments(data.parts()).std.view(data.spec.shape)


def in_components(data: Dataset, samples: Iterable[Tensor], scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Data and samples, over ``scale``, in the first :data:`COMPONENTS` principal components of the data.

    The samples come in parts, and of the data as many examples are in the units of the spec at once as memory allows.
    """

    def flat(x: Tensor) -> Tensor:
        return (x.cpu().double() / scale).flatten(1)

    n, d = len(data), data.spec.dims
    mean = Moments(map(flat, data.parts())).mean
    step = max(1, budget(CPU) // (32 * d))  # float64, with what it is made of

    def centred() -> Iterator[Tensor]:
        return (flat(data.batch(slice(i, i + step)).x) - mean for i in range(0, n, step))

    def against_data(x: Tensor) -> Tensor:
        return torch.cat([x @ rows.T for rows in centred()], 1)

    if d <= n:
        basis = leading(sum((rows.T @ rows for rows in centred()), torch.zeros(d, d, dtype=torch.float64)))[1]
        real = torch.cat([rows @ basis for rows in centred()])
        return real, torch.cat([(flat(x) - mean) @ basis for x in samples])
    squares, vectors = leading(torch.cat([against_data(rows) for rows in centred()]))  # X X^T = U S^2 U^T
    rounding = squares[0].clamp(min=0) * n * torch.finfo(squares.dtype).eps
    there = squares > rounding
    root = squares.where(there, 1.0).sqrt()
    basis = vectors / root * there  # X^T times which is V = X^T U / S
    return vectors * root * there, torch.cat([against_data(flat(x) - mean) @ basis for x in samples])


def leading(products: Tensor) -> tuple[Tensor, Tensor]:
    """The :data:`COMPONENTS` greatest eigenvalues (k,) of a symmetric matrix, falling, and their vectors (n, k)."""
    values, vectors = torch.linalg.eigh(products)
    return values.flip(0)[:COMPONENTS], vectors.flip(1)[:, :COMPONENTS]


def frechet_in_components(data: Dataset, samples: Tensor) -> float:
    """Fréchet distance of samples from data in the first :data:`COMPONENTS` principal components of the data."""
    real, made = in_components(data, [samples])
    return frechet_distance(made, real)
