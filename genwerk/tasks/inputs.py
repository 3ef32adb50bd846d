"""What people pass in Python as examples, conditions and masks, as the tensors that models take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.memory import found_in
from genwerk.data.parts import arranged, like
from genwerk.data.settings import DataConfig


class Array(Protocol):
    """What NumPy takes for an array: its own, tensors, DataFrames."""

    def __array__(self, *arguments: Any, **options: Any) -> Any: ...


class MapStyle(Protocol):
    """A data set of PyTorch or its kin."""

    def __getitem__(self, index: Any, /) -> Any: ...


Examples: TypeAlias = Batch | Dataset | Tensor | Array | Sequence[Any] | MapStyle
"""Examples for a model: a batch or data set, an array or tensor, a DataFrame, a list of images or texts, or (x,
labels).

Floats with shape (n, *spec.shape), or of one example without n, that lie in the range of the data are in their units
already; whatever else is read as :func:`genwerk.data.memory.found_in` reads data.
"""

Conditions: TypeAlias = Tensor | Array | Sequence[Any] | str | float | None
"""Conditions for a model, used in turn: one as a person types it (a class by its name, a prompt, a number), several of
them, rows of covariates, or a tensor as :attr:`Model.condition` describes it (of classes, their indices)."""

EDGE = 1e-3
"""What rounding may add to a value at the end of the range."""


def batch_of(model: Model, given: Examples, condition: Conditions = None) -> Batch:
    """``given`` as a batch for ``model``, on its device; a ``condition`` takes the place of their own."""
    labels: Conditions = None
    if isinstance(given, Dataset):
        batch = given.under(model.condition).batch()
    elif isinstance(given, Batch):
        batch = given
    else:
        if isinstance(given, tuple) and len(given) == 2:
            given, labels = given
        batch = _read(model.spec, given, model)
    if condition is None and (own := condition_of(model, labels)) is not None:
        if len(own) != len(batch):
            raise BadInput(f"there are {len(batch):,} examples and {len(own):,} labels; expected as many")
        batch = replace(batch, condition=own)
    if condition is not None:
        batch = replace(batch, condition=condition_of(model, condition, len(batch)))
    return batch.to(model.device)


def data_of(model: Model, given: Examples, condition: Conditions = None) -> Dataset:
    """``given`` as a data set for ``model``."""
    if isinstance(given, Dataset) and condition is None:
        return given
    batch = batch_of(model, given, condition)
    return Dataset(x=batch.x, spec=model.spec, condition=batch.condition, text=batch.condition)


def condition_of(model: Model, condition: Conditions, n: int | None = None) -> Tensor | None:
    """``condition`` as conditions of ``model``, a row each; ``n`` of them in turn, where that is said."""
    values = condition if condition is None or isinstance(condition, Tensor) else _parsed(model, condition)
    return values if values is None or n is None else values[torch.arange(n) % len(values)]


def _parsed(model: Model, condition: Array | Sequence[Any] | str | float) -> Tensor:
    kind, several = model.condition, not isinstance(condition, (str, int, float))
    values = np.asarray(condition).tolist() if several else [condition]
    if not kind.continuous or any(isinstance(value, str) for value in values):
        return kind.read([str(value) for value in values])
    try:
        return torch.tensor(values, dtype=torch.float64).reshape(-1, kind.width)
    except (ValueError, TypeError, RuntimeError):
        raise BadInput(f"the condition is {condition!r}; expected {kind.noun}, a finite number each") from None


def images_of(model: Model, given: Examples | Any) -> Tensor:
    """``given``, images of one size that need not be that of the ``model``, in [0, 1] with shape (n, c, h, w)."""
    channels, x = model.spec.shape[0], _tensor(given)
    if x is not None and x.is_floating_point() and x.dim() in (3, 4) and x.shape[-3] == channels:
        if x.min() < -EDGE or x.max() > 1 + EDGE:
            raise BadInput(f"the images have values from {x.min():.3g} to {x.max():.3g}; expected 0 to 1")
        return x.reshape(-1, *x.shape[-3:]).float().clamp(0, 1)
    listed = given if isinstance(given, (list, tuple)) else [given] if x is None and hasattr(given, "size") else given
    if isinstance(listed, (list, tuple)) and len({getattr(each, "size", None) for each in listed}) > 1:
        raise BadInput("the images are of several sizes; translate those of one size at a time")
    unsized = replace(model.spec, shape=(channels, 1, 2))  # of which no side could be asked for
    found = found_in(listed, like(DataConfig(), unsized))
    if found.skipped:
        first = found.skipped[0]
        raise BadInput(f"{first.name.removeprefix('train ')} of the images cannot be used: {first.reason}")
    if not found.train.spec.modality.has_pixels or found.train.spec.shape[0] != channels:
        raise BadInput(f"the examples are {found.train.spec}, and this {type(model).__name__} translates {model.spec}")
    return found.train.batch().x


def mask_of(model: Model, known: Tensor | Array | Sequence[Any] | str) -> Tensor:
    """Which values are known, boolean: an array or tensor, or a part by its name (top-half, 0.25s, or columns)."""
    if isinstance(known, str) or (isinstance(known, (list, tuple)) and all(isinstance(k, str) for k in known)):
        return model.spec.modality.mask(known if isinstance(known, str) else ",".join(known), _unread)
    mask = known if isinstance(known, Tensor) else torch.from_numpy(np.array(known))
    if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
        raise BadInput("the mask holds other values than True and False; expected True where values are known")
    return mask.bool()


def _unread(path: Path) -> Tensor:
    raise BadInput(f"open the mask {path} and pass it as an array, True where values are known")


def _read(spec: DataSpec, given: Any, model: Model) -> Batch:
    modality = spec.modality
    x = _tensor(given)
    if x is not None and x.shape == spec.shape:
        given, x = x.unsqueeze(0), x.unsqueeze(0)
    if x is not None and x.shape[1:] == spec.shape and len(x):
        if x.dtype.is_floating_point or not modality.numeric:
            low, high = modality.range or (-torch.inf, torch.inf)
            if x.min() >= low - EDGE and x.max() <= high + EDGE:
                return Batch(x.to(modality.dtype))
        elif modality.has_levels and spec.levels < 256 and x.min() >= 0 and x.max() < spec.levels:
            return Batch(modality.from_stored(x.to(torch.uint8)))
    beside = ",".join(c for c in spec.covariates if c in map(str, getattr(given, "columns", ())))
    settings = replace(like(DataConfig(covariates=beside), spec), seconds=None)
    found = found_in(given, settings)
    if found.skipped:
        first = found.skipped[0]
        raise BadInput(f"{first.name.removeprefix('train ')} of the examples cannot be used: {first.reason}")
    part = arranged(found.train, spec, "the data")
    if part.spec.shape != spec.shape:
        raise BadInput(f"the examples are {part.spec}, and this {type(model).__name__} was trained on {spec}")
    if part.spec.classes != spec.classes:
        part = replace(part, condition=None)
    return part.under(model.condition).batch()


def _tensor(given: Any) -> Tensor | None:
    """An array as a tensor; None where it is none."""
    if isinstance(given, Tensor):
        return given
    if isinstance(given, (list, tuple)) or not hasattr(given, "__array__") or hasattr(given, "columns"):
        return None
    array = np.asarray(given)
    return torch.from_numpy(array.copy()) if array.dtype.kind in "biuf" else None
