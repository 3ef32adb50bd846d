"""What Genwerk knows of a kind of data, as one object: a :class:`Modality`, which `DataSpec.modality` gives.

The kinds that are built in stand in :mod:`genwerk.modalities`, one class each; a class of your own is known as soon as
it is defined.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.tensors import cells

if TYPE_CHECKING:
    from genwerk.core.spec import Batch, DataSpec
    from genwerk.nn.autoregressive.tokeniser import Binarise, Tokeniser
    from genwerk.nn.flows.preprocessing import PixelTransform, Preprocessing
    from genwerk.nn.units import NetworkUnits

MODALITIES: dict[str, type[Modality]] = {}
"""Every modality by the ``kind`` under which a :class:`DataSpec` stores it."""


class Modality(ABC):
    """A kind of data, bound to the ``spec`` of one data set.

    A subclass registers itself by ``class Graph(Modality, kind="graph")`` and says what differs from numbers without a
    fixed range, each in a unit of its own. Families and commands ask for these properties and never for a kind by name.
    """

    kind: ClassVar[str]
    plural: ClassVar[str] = "examples"
    """What several examples are called."""
    numeric: ClassVar[bool] = True
    """Whether values are numbers, near to each other or far, and not names."""
    has_levels: ClassVar[bool] = False
    """Whether every value is one of ``spec.levels`` equally spaced numbers from 0 to 1, with a probability."""
    has_columns: ClassVar[bool] = False
    """Whether every value has a meaning, a unit and often a name of its own, so that an average of examples is none."""
    has_pixels: ClassVar[bool] = False
    """Whether an example is a picture: 1 or 3 channels of pixels in [0, 1] on a grid."""
    is_grid: ClassVar[bool] = False
    """Whether an example has shape (c, h, w) with neighbours in two directions, for convolutional networks."""
    is_sequence: ClassVar[bool] = False
    """Whether an example has shape (channels, time) and is made in order of time."""
    is_text: ClassVar[bool] = False
    """Whether an example is ids of ``spec.vocabulary`` in order, whose end fills up the places after it."""
    shares_scale: ClassVar[bool] = False
    """Whether all values have one unit, of which nothing is known beforehand."""
    range: ClassVar[tuple[float, float] | None] = None
    """Least and greatest value; None where there is no bound."""
    one_per_file: ClassVar[bool] = False
    """Whether an example makes a file by itself, for a person to look at or to hear."""
    beginning: ClassVar[str] = "first-half"
    """The :meth:`mask` of what is known where it is shown how a model completes examples."""
    unknown: ClassVar[float] = 0.0
    """Value that stands for the others there."""
    learned_features: bool = False
    """Whether distances are measured in the features of a classifier trained for it, and not in :meth:`features`."""
    endings: tuple[str, ...] = ()
    """Ends of names of the files that :meth:`write` writes, the usual one first; empty where these are only tables."""
    drawn: str = ""
    """End of the name of the picture that :meth:`draw` writes beside such a file; empty where it is one itself."""

    def __init_subclass__(cls, *, kind: str | None = None, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if kind is not None:
            cls.kind = kind
            MODALITIES[kind] = cls

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec

    # --- meaning and storage ------------------------------------------------------------------------------------------

    @property
    def size(self) -> str:
        """Shape of an example as a person reads it."""
        return "x".join(map(str, self.spec.shape))

    def describe(self) -> list[str]:
        """What the data are, as in "these data are ...", and what else is particular to them, in a few words each."""
        return [f"{self.plural} of {self.size}"]

    @property
    def dtype(self) -> torch.dtype:
        """Precision of examples in their units."""
        return torch.get_default_dtype()

    def from_stored(self, x: Tensor) -> Tensor:
        """Examples in their units, of rows as a data set stores them; rows in their units already stay as they are."""
        return x

    def to_stored(self, x: Tensor) -> Tensor:
        """Rows for a data set to store, of examples in their units."""
        return x

    def clamp(self, x: Tensor) -> Tensor:
        """``x`` brought into the range of the data, where they have one."""
        return x if self.range is None else x.clamp(*self.range)

    @classmethod
    def example(cls) -> DataSpec | None:
        """Small data of this kind, with all that may go with its examples, to ask what a recipe can use; None where no
        source holds such data."""
        return None

    @abstractmethod
    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` examples at random as a data set stores them, neighbouring values alike: for tests."""

    def read_as(self) -> dict[str, Any]:
        """Fields of a :class:`DataConfig` by which another source is read as data of this spec."""
        return {}

    # --- networks -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def units(self, *, centred: bool = True) -> NetworkUnits:
        """The way to the units in which networks work and back: about zero, or, unless ``centred``, as data that have
        a range are."""

    def tokeniser(self, binarise: Binarise = "none") -> Tokeniser:
        """The symbols that autoregressive models emit for these data; ``binarise`` is for grey images."""
        raise ValueError(f"an autoregressive model of images or sound cannot take {self.spec}")

    def preprocessing(self, pixels: PixelTransform) -> Preprocessing:
        """The way to the whole line, on which flows work, and back; ``pixels`` is for images."""
        raise ValueError(
            f"a flow describes numbers and these data are names ({self.spec}); take a recipe of an autoregressive model"
        )

    # --- figures ------------------------------------------------------------------------------------------------------

    def bits_per_dim(self, nats: float, scored: str = "") -> tuple[float | None, str]:
        """Bits per dimension of ``nats`` an example, with the derivation; None where that has no meaning.

        ``scored`` says what the likelihood is of, where that is not the data as stored.
        """
        return None, f"nats of {scored or 'the density in the units of the data'}"

    def counted(self, x: Tensor) -> dict[str, int]:
        """What there is in the examples ``x`` by which their likelihood is also counted, and how many: characters."""
        return {}

    def distances(self, x: Tensor, others: Tensor) -> Tensor:
        """Distances of examples to others, with shape (n, m): here Euclidean, in their units."""
        one, two = x.flatten(1).double(), others.flatten(1).double()
        return torch.cdist(one, two, compute_mode="donot_use_mm_for_euclid_dist")

    @property
    def measured(self) -> bool:
        """Whether distances between samples and data can be measured."""
        return self.learned_features or type(self).features is not Modality.features

    def features(self, train: Iterable[Tensor]) -> tuple[str, Callable[[Tensor], Tensor], tuple[Tensor, ...]]:
        """What distances are measured in, by all training examples, a part at a time: its name, the map from examples
        to rows of features with shape (n, d), and the numbers it depends on; a ValueError where nobody knows."""
        raise ValueError(f"there are no features for {self.kind}; distances are measured on images, sounds and tables")

    def words(self, x: Tensor) -> list[list[str]]:
        """Texts as the words by which they are compared, where ``is_text``."""
        raise BadInput(f"{self.plural} are not compared word by word; texts are")

    def at_random(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Texts as long as ``x`` of tokens drawn uniformly from the vocabulary, where ``is_text``."""
        raise BadInput(f"{self.plural} are not made of tokens; texts are")

    def as_image(self, x: Tensor) -> Tensor:
        """Examples as a convolutional classifier looks at them: images (n, c, h, w) of values from about -2 to 2."""
        raise ValueError(f"there is no classifier of {self.plural}; there is one of images and of sounds")

    # --- what a person types and gets ---------------------------------------------------------------------------------

    def mask(self, known: str, read: Callable[[Path], Tensor]) -> Tensor:
        """Which values ``known`` names, boolean with shape (1, *spec.shape), or a BadInput that says what it may be.

        By default columns, the last dimension, by name or number and joined by commas; ``read`` gives the example in a
        file.
        """
        names = self.spec.columns or tuple(map(str, range(self.spec.shape[-1])))
        mask = torch.zeros(1, *self.spec.shape, dtype=torch.bool)
        for name in known.split(","):
            if name not in names and not (name.isdecimal() and int(name) < len(names)):
                raise BadInput(f"there is no column {name!r}; the columns are {', '.join(names)}")
            mask[..., names.index(name) if name in names else int(name)] = True
        return mask

    def begun(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Examples that begin as a person typed, and which of their values are known, each with shape (n, *shape)."""
        raise BadInput(f"the beginning of {self.plural} cannot be typed; name what is known with ‹known›")

    def typed(self, text: str) -> Tensor | None:
        """The example that a person wrote out as ``text``, with shape (1, *shape); None where none can be."""
        return None

    def difference(self, x: Tensor, made: Tensor) -> str:
        """How far examples ``made`` of ``x`` are from them, in a few words."""
        return f"mean squared error {(made - x).square().mean().item():.4g} per value"

    def lines(self, x: Tensor) -> list[str]:
        """Examples as a terminal can show them, one a string; none where it cannot."""
        return []

    def records(self, parts: Iterable[Batch]) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Examples, of targets where there are any, as rows of cells below the names of their columns."""
        names = self.spec.columns if len(self.spec.columns) == self.spec.dims else ()
        return names or [f"x{i}" for i in range(self.spec.dims)], cells(part.shown for part in parts)

    @abstractmethod
    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """Write examples into one file as what they are; returns the file, ``stem`` with an end where it has none.

        Where the batch has a target, each example stands above (or before) its target. A sheet follows ``layout``.
        """

    def draw(self, path: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """Write a picture of examples that are not to be seen otherwise, where ``drawn``."""
        raise BadInput(f"{self.plural} are not drawn")

    def write_one(self, stem: Path, x: Tensor, origin: Mapping[str, Any]) -> Path:
        """Write one example with shape (*spec.shape), where ``one_per_file``."""
        raise BadInput(f"{self.plural} are not written one to a file")


def modality_of(spec: DataSpec) -> Modality:
    """The modality of ``spec``; a BadInput names those that there are."""
    if spec.kind not in MODALITIES:
        importlib.import_module("genwerk.modalities")
    if spec.kind not in MODALITIES:
        raise BadInput(f"there is no kind of data {spec.kind!r}; there are {', '.join(sorted(MODALITIES))}")
    return MODALITIES[spec.kind](spec)
