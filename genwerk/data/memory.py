"""Data that are in memory already: arrays, tensors, tables, pictures, texts, and map-style data sets such as PyTorch's.

They are read as files of the same content are, by the same code, and so fall into the same parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import torch

from genwerk.core.errors import BadInput
from genwerk.core.memory import afford
from genwerk.core.spec import DataSpec
from genwerk.data.arrays import array_found
from genwerk.data.chunks import Array
from genwerk.data.columns import table_found
from genwerk.data.content import hash_bytes
from genwerk.data.dataset import Dataset
from genwerk.data.images import Listing, open_pictures
from genwerk.data.items import NAME, Gathered, as_array, is_array, is_frame, texts_in
from genwerk.data.labels import continuous, label_column, labelled
from genwerk.data.parts import Found, index_labels, numbered
from genwerk.data.picture import Picture
from genwerk.data.settings import DataConfig
from genwerk.data.texts import columns_found

MEMORY = "memory"
"""The source of data that were passed from Python."""


def found_in(data: object, settings: DataConfig) -> Found:
    """What ``data`` hold: x, or a pair of x and y.

    x is an array of examples, one a row: images with shape (n, h, w), (n, h, w, c) or (n, c, h, w), whole numbers from
    0 to 255 or floats in [0, 1] or [-1, 1]; tables with shape (n, d); with ``settings.rate``, sounds with shape (n,
    time) or (n, channels, time) in [-1, 1]. Or it is a DataFrame, a list of images of Pillow, of texts or of arrays, or
    a data set with items x, (x, y), or dictionaries of them. y are classes by name or number, or measured numbers,
    which go beside the rows of a table as covariates.
    """
    if isinstance(data, Dataset):
        return Found(train=data)
    if isinstance(data, tuple) and len(data) != 2:
        raise BadInput(f"data is a tuple of {len(data)}; expected (x, y), examples and their labels")
    x, y = data if isinstance(data, tuple) else (data, None)
    if is_frame(x):
        return _of_frame(x, y, settings)
    if (texts := texts_in(x)) is not None:
        return _of_texts(texts, NONE if y is None else Labels.of(y, len(texts)), settings)
    gathered = Gathered.of(x, settings) if not is_array(x) else Gathered(as_array(x))
    y = gathered.labels if y is None else y
    labels = NONE if y is None else Labels.of(y, len(gathered.x))
    if isinstance(gathered.x, list):
        if gathered.of_texts:
            return _of_texts(gathered.x, labels, settings)
        return _of_pictures(gathered, labels, settings)
    if settings.rate is not None:
        return _of_sounds(gathered.x, labels, settings)
    if gathered.x.ndim > 2:
        y = None if labels.classes is None else labels.values
        found = array_found(gathered.x, None, y, None, settings, name=NAME, notes=labels.unused)
        return found if gathered.captions is None else _captioned(found, gathered.captions)
    if gathered.x.ndim < 1 or gathered.x.dtype.kind not in "biuf":
        return array_found(gathered.x, None, None, None, settings, name=NAME)  # which says what is wrong
    rows = gathered.x.reshape(len(gathered.x), -1)
    return _of_rows(rows, numbered(rows.shape[1]), labels, settings)


# --- y ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labels:
    """What goes with the examples: classes with shape (n,), or measured numbers with shape (n, k)."""

    values: Array
    names: tuple[str, ...] = ()
    measured: bool = False

    @property
    def classes(self) -> list[object] | None:
        """The classes, where there are any."""
        return None if self.measured or not self.names else self.values.tolist()

    @property
    def unused(self) -> tuple[str, ...]:
        """What is said where measured numbers cannot be used."""
        sentence = f"{' '.join(self.names)!r} holds measured numbers, not classes, so it is not used."
        return (sentence,) if self.measured else ()

    @classmethod
    def of(cls, y: Any, n: int) -> Labels:
        """``y``, one or several values for each of ``n`` examples."""
        own = [str(c) for c in y.columns] if is_frame(y) else [str(getattr(y, "name", None) or "y")]
        if isinstance(y, (list, tuple)):
            values = np.empty(len(y), object)
            values[:] = [v.item() if hasattr(v, "item") else v for v in y]
        elif is_array(y):
            values = as_array(y)
        else:
            raise BadInput(f"y is a {type(y).__name__}; expected a label for each of {n:,} examples")
        if values.ndim == 2 and values.shape[-1] == 1:
            values = values.reshape(-1)
        if not values.ndim or len(values) != n:
            raise BadInput(f"there are {n:,} examples in x, and y has shape {values.shape}; expected one label each")
        if values.ndim == 1:
            measured = continuous(values.tolist())
            return cls(values[:, None].astype(float) if measured else values, tuple(own), measured)
        if values.ndim > 2 or values.dtype.kind != "f":
            raise BadInput(
                f"y has shape {values.shape}; expected one label for each of {n:,} examples, or floats to condition on "
                "(of one-hot rows: y.argmax(1))"
            )
        k = values.shape[-1]
        return cls(values, tuple(own if len(own) == k else [f"{own[0]}{i + 1}" for i in range(k)]), measured=True)


NONE = Labels(np.empty(0))
"""No labels."""


# --- what it is -------------------------------------------------------------------------------------------------------


def _of_frame(x: Any, y: object, settings: DataConfig) -> Found:
    """A table by the names of its columns; the one that ``settings.label`` names gives the classes."""
    names = [str(name) for name in x.columns]
    if len(set(names)) < len(names):
        raise BadInput(f"the DataFrame has several columns called {max(names, key=names.count)!r}; name each otherwise")
    columns = {name: np.asarray(x[column]) for name, column in zip(names, x.columns, strict=True)}
    if settings.label != "label" and settings.label not in columns:
        raise BadInput(f"the DataFrame has no column {settings.label!r} for ‹label›; it has {', '.join(names)}")
    if settings.text:
        beside = {} if y is None else {settings.label: Labels.of(y, len(x)).values.tolist()}
        return columns_found(
            [{name: column.tolist() for name, column in columns.items()} | beside], settings, name="the DataFrame"
        )
    labels, name = NONE if y is None else Labels.of(y, len(x)), label_column(settings.label, names)
    if y is None and name in columns and labelled(of := columns[name].tolist()):
        if not continuous(of):
            labels = Labels(columns.pop(name), (name,), measured=False)
        elif settings.label != "label":
            raise BadInput(f"the column {settings.label!r} holds measured numbers, not classes; leave out ‹label›")
    if not columns or not len(x):
        raise BadInput(
            f"the DataFrame has {len(x)} rows and {len(columns)} columns beside labels; expected some of both"
        )
    values = np.column_stack([_numbers(name, column) for name, column in columns.items()])
    if all(name.isdecimal() for name in columns):
        return _of_rows(values, numbered(len(columns)), labels, settings)
    return _of_rows(values, tuple(columns), labels, settings, names if y is None else ())


def _numbers(name: str, column: Array) -> Array:
    """A column as numbers, gaps as NaN."""
    if column.dtype.kind in "biuf":
        return column
    texts = [v for v in column.tolist() if isinstance(v, str)]
    if texts or column.dtype.kind != "O":
        shown = texts[0] if texts else column[0]
        raise BadInput(
            f"the column {name!r} holds {shown!r}; expected numbers (a column of classes is named with ‹label=NAME›, "
            "one of texts to learn with ‹text=NAME›; leave others out)"
        )
    try:
        return np.array([np.nan if v is None or v != v else float(v) for v in column.tolist()])
    except (TypeError, ValueError):
        raise BadInput(f"the column {name!r} has gaps; fill them, or leave out their rows: data.dropna()") from None


def _of_rows(
    rows: Array, columns: Sequence[str], labels: Labels, settings: DataConfig, header: Sequence[str] = ()
) -> Found:
    """A table; measured numbers that go with its rows become covariates. ``header`` is that of :func:`table_found`."""
    afford(8 * rows.size, NAME, "take fewer rows")
    if not labels.measured:
        return table_found(rows, None, labels.classes, None, tuple(columns), settings, name=NAME, header=header)
    beside = ",".join([*filter(None, [settings.covariates]), *labels.names])
    whole, names = np.column_stack([rows, labels.values]), (*columns, *labels.names)
    return table_found(whole, None, None, None, names, replace(settings, covariates=beside), name=NAME)


def _captioned(found: Found, captions: Sequence[object]) -> Found:
    """Images from arrays with their captions, of which there is one for each array."""
    kept = range(len(captions)) if found.train.rows is None else found.train.rows.tolist()
    return replace(found, train=replace(found.train, captions=[str(captions[i]) for i in kept]))


def _of_pictures(gathered: Gathered, labels: Labels, settings: DataConfig) -> Found:
    """Images of any size, as files of a folder are read."""
    files = [file for file in gathered.x if isinstance(file, bytes)]
    blank = [None] * len(files)
    pictures = [
        Picture(
            f"image {i}",
            partial(BytesIO, file),
            size=len(file),
            stamp=hash_bytes(file),  # pictures of one size in bytes are told apart where they are kept in the cache
            label=label,
            caption=None if caption is None else str(caption),
        )
        for i, (file, label, caption) in enumerate(
            zip(files, labels.classes or blank, gathered.captions or blank, strict=True)
        )
    ]
    return open_pictures(Listing(name=NAME, train=pictures, notes=labels.unused), settings)


def _of_texts(texts: Sequence[object], labels: Labels, settings: DataConfig) -> Found:
    """Texts, a line or many each, as those in a column of a table are read."""
    table: dict[str, Sequence[object]] = {"text": texts}
    if labels.classes is not None:
        table["label"] = labels.classes
    return columns_found([table], replace(settings, text="text", label="label"), name=NAME, notes=labels.unused)


def _of_sounds(x: Array, labels: Labels, settings: DataConfig) -> Found:
    """Sounds of ``settings.rate`` samples a second, int16 or floats in [-1, 1]."""
    x = x[:, None] if x.ndim == 2 else x
    if x.ndim != 3 or not x.size or settings.seconds is not None:
        raise BadInput(
            f"with ‹rate› {NAME} are sounds, and have shape {x.shape}; expected (n, time) or (n, channels, time), cut "
            "to the length of an example, and no ‹seconds›"
        )
    whole = x.dtype == np.int16
    if not whole and (x.dtype.kind != "f" or not np.abs(x).max() <= 1):
        raise BadInput(f"{NAME} are sounds of {x.dtype}; expected int16, or floats from -1 to 1")
    classes, conditions = index_labels(labels.classes)
    spec = DataSpec(kind="audio", shape=x.shape[1:], sample_rate=settings.rate or 0, classes=classes)
    samples = torch.from_numpy(x)
    stored = samples.clamp(min=-32767) if whole else spec.modality.to_stored(samples)
    return Found(train=Dataset(x=stored, spec=spec, condition=conditions[0]))
