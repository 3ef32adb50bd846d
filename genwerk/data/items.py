"""Lists and data sets of examples in memory, read item by item, and what a single object is taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.memory import afford
from genwerk.data.chunks import Array
from genwerk.data.images import CAPTIONS
from genwerk.data.npy import X_NAMES, Y_NAMES
from genwerk.data.settings import DataConfig

NAME = "the data"
"""What they are called in sentences."""
PICTURES = ("image", "img", *X_NAMES)
"""Keys under which an item of a data set holds the example."""
KINDS = (
    "an array or tensor, (x, y), a DataFrame, a list of images or of texts, a map-style data set, a path, or the name "
    "of built-in data"
)
"""What can be passed as data."""


def is_frame(x: object) -> bool:
    """Whether ``x`` is a table of pandas, polars or their kin."""
    return all(hasattr(x, name) for name in ("columns", "dtypes", "__getitem__"))


def _is_picture(x: object) -> bool:
    from PIL import Image

    return isinstance(x, Image.Image)


def is_array(x: object) -> bool:
    """Whether ``x`` is a tensor or what NumPy takes for an array, and no image of Pillow."""
    return isinstance(x, Tensor) or (hasattr(x, "__array__") and not _is_picture(x))


def texts_in(x: object) -> list[object] | None:
    """The items of ``x`` where it is a one-dimensional array of strings, or a column of them; None where it is not."""
    if not is_array(x) or isinstance(x, Tensor):
        return None
    found = np.asarray(x)
    listed: list[object] = found.tolist()
    return listed if found.ndim == 1 and found.dtype.kind in "OUT" and any(isinstance(v, str) for v in listed) else None


def as_array(x: object) -> Array:
    """``x``, a tensor or what NumPy takes for an array, as an array that may be written to."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).numpy()
    try:
        found: Array = np.asarray(x)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{NAME} are not an array ({str(error).split('.')[0]}); expected rows of one length") from None
    if not found.flags.writeable:
        afford(found.nbytes, NAME, "save them as .npy and pass its path, so that they are mapped")
        found = found.copy()
    return found


@dataclass(frozen=True)
class Gathered:
    """The examples of a list or data set, read once."""

    x: Array | list[bytes] | list[str]
    """One example a row, or images as files, or texts."""
    labels: Sequence[object] | None = None
    captions: Sequence[object] | None = None

    @property
    def of_texts(self) -> bool:
        """Whether the examples are texts."""
        return isinstance(self.x, list) and isinstance(self.x[0], str)

    @classmethod
    def of(cls, items: Any, settings: DataConfig) -> Gathered:
        """The items of ``items``, all of them with labels (and captions) or none, as far as memory allows."""
        listed = all(hasattr(items, name) for name in ("__getitem__", "__len__"))
        if not listed or isinstance(items, (str, bytes, Mapping)):
            raise _unknown(items)
        if not len(items):
            raise BadInput("data is empty; expected at least one example")
        found, taken = list[Item](), 0
        for i in range(len(items)):
            item = Item.of(items[i], i, settings)
            taken += item.size
            if i % 1024 == 0:
                afford(2 * taken * len(items) // (i + 1), NAME, "take fewer, or pass the path of a folder of files")
            if found and type(item.x) is not type(found[0].x):
                if (item.caption is None) != (found[0].caption is None) and not isinstance(item.x, str):
                    raise _lacking(0 if found[0].caption is None else i, "caption")
                raise BadInput(f"example {i} is {item}, and the first is {found[0]}; expected the same of all")
            found.append(item)
        labels, captions = (_of_all([getattr(item, part) for item in found], part) for part in ("label", "caption"))
        return cls(_stacked([item.x for item in found]), labels, captions)


@dataclass(frozen=True)
class Item:
    """One example of a list or data set."""

    x: Array | bytes | str
    label: object = None
    caption: object = None

    @classmethod
    def of(cls, item: Any, number: int, settings: DataConfig) -> Item:
        """An item that is x, (x,), (x, y) or a dictionary of them."""
        label = caption = None
        if isinstance(item, tuple):
            if len(item) > 2:
                raise BadInput(f"example {number} is a tuple of {len(item)}; expected (x, y), or x alone")
            item, label = (*item, None)[:2]
        elif isinstance(item, Mapping):
            names = {part: next((k for k in keys if k in item), None) for part, keys in _keys(settings).items()}
            if names["x"] is None and names["text"] is not None:
                names = {**names, "x": names["text"], "text": None}
            lost = [v for k, v in item.items() if k not in names.values() and (is_array(v) or _is_picture(v))]
            if names["x"] is None or (isinstance(item[names["x"]], str) and any(np.ndim(v) for v in lost)):
                expected = settings.text or ", ".join((*PICTURES, *CAPTIONS))
                raise BadInput(
                    f"example {number} has the keys {', '.join(map(str, item))}; expected the example under {expected}"
                )
            item, label, caption = (None if k is None else item[k] for k in (names["x"], names["label"], names["text"]))
        if _is_picture(item):
            return cls(_file(item), label, caption)
        if isinstance(item, str):
            return cls(item, label)
        if not (is_array(item) or isinstance(item, (int, float, Sequence))):
            raise _unknown([item])
        try:
            x = as_array(item)
        except BadInput:
            raise BadInput(f"example {number} has rows of different lengths; expected one length in all") from None
        return cls(x if caption is None else _captioned(x, number), label, caption)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.x) if isinstance(self.x, (bytes, str)) else self.x.nbytes

    def __str__(self) -> str:
        return "an image" if isinstance(self.x, bytes) else "a text" if isinstance(self.x, str) else "an array"


def _keys(settings: DataConfig) -> dict[str, Sequence[str]]:
    labels = (settings.label, *Y_NAMES) if settings.label == "label" else (settings.label,)
    if settings.text:
        return {"x": (settings.text,), "label": labels, "text": ()}
    return {"x": PICTURES, "label": labels, "text": CAPTIONS}


def _of_all(values: list[object], what: str) -> list[object] | None:
    """The labels or captions of all examples; None where no example has any."""
    lacking = [i for i, value in enumerate(values) if value is None]
    if lacking and len(lacking) < len(values):
        raise _lacking(lacking[0], what)
    return None if lacking else values


def _lacking(number: int, what: str) -> BadInput:
    return BadInput(f"example {number} has no {what}, and others have; expected a {what} of each, or none at all")


def _stacked(examples: list[Any]) -> Array | list[bytes] | list[str]:
    """Images and texts as they are; arrays, which must have one shape, as one."""
    if isinstance(examples[0], (bytes, str)):
        return examples
    shape = examples[0].shape
    if (other := next((i for i, x in enumerate(examples) if x.shape != shape), None)) is not None:
        cure = "images of Pillow may differ in size" if len(shape) > 1 else "bring them to one length"
        raise BadInput(
            f"example {other} has shape {examples[other].shape}, and the first has {shape}; expected one shape ({cure})"
        )
    return np.stack(examples)


def _file(picture: Any) -> bytes:
    """A picture of Pillow as a file that keeps all it holds; one of a mode that PNG lacks is converted."""
    written = BytesIO()
    kept = picture if picture.mode in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA") else picture.convert("RGB")
    kept.save(written, "PNG", compress_level=1)
    return written.getvalue()


def _captioned(x: Array, number: int) -> Array | bytes:
    """An array with a caption, which is an image: as a file where it is of bytes (sizes may differ), else as it is."""
    from PIL import Image

    if x.dtype != np.uint8 and x.ndim in (2, 3) and x.dtype.kind in "biuf":
        return x

    x = x.transpose(1, 2, 0) if x.ndim == 3 and x.shape[2] not in (1, 3, 4) and x.shape[0] in (1, 3, 4) else x
    if x.dtype != np.uint8 or not (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (1, 3, 4))):
        raise BadInput(
            f"example {number} has a caption, and is an array of {x.dtype} with shape {x.shape}; expected an image: "
            "of Pillow, or numbers with shape (h, w), (h, w, c) or (c, h, w)"
        )
    return _file(Image.fromarray(x[..., 0] if x.ndim == 3 and x.shape[2] == 1 else x))


def _unknown(data: Any) -> BadInput:
    if hasattr(data, "dataset"):
        return BadInput(
            f"data is a {type(data).__name__}, which draws batches; pass what it draws from: data=x.dataset"
        )
    what = f"a list, of {type(data[0]).__name__}" if isinstance(data, list) else f"of the type {type(data).__name__}"
    return BadInput(f"data is {what}; expected {KINDS}")
