"""What a model knows of its data: the :class:`DataSpec`, and the :class:`Batch` that a draw returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import torch
from torch import Tensor

from genwerk.core.modality import Modality, modality_of
from genwerk.core.printable import count
from genwerk.core.tokens import Vocabulary

Prior = Literal["train", "even"]
"""Probability of the classes beforehand: as often as in the training data, or all the same."""


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Shape, range and meaning of one example, fixed when a source is opened and stored with every run.

    Units are those of the :attr:`modality`: an image is in [0, 1] with shape (c, h, w), a sound in [-1, 1] with shape
    (channels, time), a row of a table has shape (d,).
    """

    kind: str
    """What one example is: the name of a modality (image, audio, text, table, latent, or one of your own)."""
    shape: tuple[int, ...]
    """Shape of one example, without the batch dimension."""
    levels: int = 256
    """Number of equally spaced values in [0, 1] that a stored image pixel takes (256: 8 bits, 2: binary)."""
    nominal: bool = False
    """Whether the levels of a pixel are names without an order (entries of a codebook) and not intensities."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """The colours (red, green and blue of 8 bits) of which alone the images are made; empty where any may occur."""
    sample_rate: int = 0
    """Samples a second of audio; 0 for what is not audio."""
    classes: tuple[str, ...] = ()
    """Names of the labels, in the order of their index; empty when the data carry none."""
    class_counts: tuple[int, ...] = field(default=(), compare=False)
    """Training examples of each class; empty where they were not counted (runs stored before this field)."""
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What every example has a value of (hair, eyes), and the values there are; empty when the data carry none."""
    source: tuple[int, ...] = ()
    """Shape of the image that goes with every example, which is made from it; empty where there is none."""
    captions: bool = False
    """Whether every example carries a text."""
    vocabulary: Vocabulary | None = None
    """How texts become token ids, learned from the training examples where these are texts, else from their captions;
    None where there are none."""
    columns: tuple[str, ...] = ()
    """Names of a table's columns; empty when they have none."""
    covariates: tuple[str, ...] = ()
    """Names of the numbers beside every row on which a model may be conditioned; empty where there are none."""
    header: tuple[str, ...] = field(default=(), compare=False)
    """Names of all columns of a table as its file has them, that of the labels included; empty where it is unknown."""
    integers: tuple[str, ...] = field(default=(), compare=False)
    """Names of a table's columns that hold nothing but whole numbers."""
    jittered: tuple[str, ...] = field(default=(), compare=False)
    """Those of :attr:`integers` to which noise from 0 to 1 was added, so that the whole number is the one below."""
    covariate_ranges: tuple[tuple[float, float], ...] = field(default=(), compare=False)
    """Least and greatest value of each among the training examples; empty where nobody looked."""

    @property
    def counted(self) -> bool:
        """Whether it is known how often each class is in the training data."""
        return bool(self.classes) and len(self.class_counts) == len(self.classes) and sum(self.class_counts) > 0

    @property
    def modality(self) -> Modality:
        """What is known of this kind of data; a BadInput where there is no such kind."""
        return modality_of(self)

    @property
    def dims(self) -> int:
        """Number of values in one example."""
        return prod(self.shape)

    @property
    def side(self) -> int:
        """Pixels of the shorter side of an image; 1 for what is none."""
        return min(self.shape[1:]) if len(self.shape) == 3 else 1

    def __str__(self) -> str:
        extras = [count(len(self.classes), "class", "classes")] if self.classes else []
        extras += [count(len(self.attributes), "attribute")] if self.attributes else []
        extras += ["a source image each"] if self.source else []
        extras += ["captions"] if self.captions else []
        extras += [listed(self.covariates)] if self.covariates else []
        return ", ".join([*self.modality.describe(), *extras])


def listed(names: Sequence[str], most: int = 5) -> str:
    """How many covariates have ``names``, and the first of these: 2 covariates (height, weight)."""
    more = ", ..." if len(names) > most else ""
    return f"{count(len(names), 'covariate')} ({', '.join(names[:most])}{more})"


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples with what goes with them.

    ``x`` has shape (n, *spec.shape) in the units of :class:`DataSpec`; ``condition`` is None or one row an example:
    the model's condition, or a label where the model takes none; ``target`` is None or what the example
    should be turned into.
    """

    x: Tensor
    condition: Tensor | None = None
    target: Tensor | None = None

    @property
    def shown(self) -> Tensor:
        """The targets where there are any, else the examples."""
        return self.x if self.target is None else self.target

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice) -> Batch:
        """The sub-batch of ``rows``."""
        return Batch(*(None if part is None else part[rows] for part in self._parts))  # type: ignore[arg-type]

    def select(self, rows: Tensor) -> Batch:
        """The sub-batch of ``rows``, indices with shape (m,)."""
        return Batch(*(None if part is None else part[rows] for part in self._parts))  # type: ignore[arg-type]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same examples on ``device``."""
        moved = (None if part is None else part.to(device, non_blocking=non_blocking) for part in self._parts)
        return Batch(*moved)  # type: ignore[arg-type]

    @property
    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.x, self.condition, self.target


def join(batches: Sequence[Batch]) -> Batch:
    """The examples of all ``batches``, which must carry the same things."""
    columns = zip(*(batch._parts for batch in batches), strict=True)
    return Batch(*(None if parts[0] is None else torch.cat(parts) for parts in columns))  # type: ignore[arg-type]


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
