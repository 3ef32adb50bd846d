"""Examples at hand: a :class:`Dataset` answers any list of rows with a :class:`Batch`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, cast, overload

import torch
from torch import Tensor

from genwerk.core.condition import Condition
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.tokens import Vocabulary
from genwerk.core.vocabularies import TextVocabulary
from genwerk.data.documents import Long, Texts, tokenised
from genwerk.data.settings import DataConfig

PARTS = ("train", "validation", "test")
"""What :class:`Splits` are made of."""
AT_ONCE = 2**16
"""Values of the examples that :meth:`Dataset.parts` gives at once."""


class Rows:
    """Rows of a tensor, which may be mapped from a file, taken when they are asked for and never all at once.

    ``rows`` are indices with shape (n,), or (n, k) where an example is made of k rows. It is indexed and split as a
    tensor is; whatever else is asked of it is asked of a copy of the rows in memory.
    """

    def __init__(self, of: Tensor, rows: Tensor) -> None:
        self.of, self.rows = of, rows
        self.shape, self.dtype, self.device = torch.Size((*rows.shape, *of.shape[1:])), of.dtype, of.device
        self.nbytes = of.dtype.itemsize * prod(self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: Any) -> Tensor:
        return self.of[self.rows[which]]

    def split(self, size: int) -> tuple[Rows, ...]:
        """The rows in pieces of ``size``, each unread."""
        return tuple(Rows(self.of, rows) for rows in self.rows.split(size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self[:], name)


@dataclass(frozen=True)
class Skipped:
    """A file or row that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples in memory, on a device, or mapped from a file (then ``x`` may be the :class:`Rows` of a part).

    ``x`` holds one example a row, as the modality of the spec stores it.
    ``condition`` is None, class indices (int64), or covariates (float64) with shape (n, len(spec.covariates));
    ``texts`` are the texts that examples are (or are windows of) as they were read, one a row; their ``x`` has no
    tokens, and the spec no vocabulary, until they are :meth:`read`.
    ``attributes`` is None or the value of each of spec.attributes, int64 with shape (n, len(spec.attributes));
    ``source`` None or the image that each example is to be made from, stored as ``x`` is, with shape (n, *spec.source).
    ``captions`` None or one text a row, and ``text`` their token ids with shape (n, spec.vocabulary.length).
    ``rows`` is the place of each example in its source, int64 with shape (n,), counted from 0; None where all are here
    and in order. ``files`` has the name of the file at each place of the source; None where examples are not files.
    """

    x: Tensor
    spec: DataSpec
    condition: Tensor | None = None
    attributes: Tensor | None = None
    source: Tensor | None = None
    captions: Sequence[str] | None = None
    text: Tensor | None = None
    texts: Texts | None = None
    rows: Tensor | None = None
    files: Sequence[str] | None = None
    deriving: Condition | None = None
    """What makes the conditions of examples from these; None where they are carried, or there are none."""
    entropy: float | None = None
    """Differential entropy in nats of the distribution the examples come from, where it is known."""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def device(self) -> torch.device:
        return self.x.device

    def batch(self, rows: Tensor | slice = slice(None)) -> Batch:
        """The examples of ``rows`` in the units of the spec."""
        return Batch(self.spec.modality.from_stored(self.x[rows]), self.conditions(rows))

    def parts(self) -> Iterator[Tensor]:
        """All examples in the units of the spec, in order and a few at a time: as many whatever memory there is, so
        that what is summed over them is the same to the bit."""
        rows = max(1, AT_ONCE // self.spec.dims)
        return (self.batch(slice(start, start + rows)).x for start in range(0, len(self), rows))

    def conditions(self, rows: Tensor | slice) -> Tensor | None:
        """What a batch of ``rows`` has as its condition: float64, int64, or what is made from the examples."""
        if self.deriving is not None:
            return self.deriving.made(self.spec.modality.from_stored(self.x[rows]))
        found = None if self.condition is None else self.condition[rows]
        if found is None or found.is_floating_point():
            return found
        return self.spec.modality.from_stored(found) if found.dtype == torch.uint8 else found.long()

    def known(self, rows: slice = slice(None)) -> dict[str, list[Any]]:
        """What is known of the examples of ``rows`` beside what they hold, as named columns of an entry each.

        The first is the ``file`` that each was read from, or its ``row`` in the source; then its ``label``, its
        covariates by their names and its ``caption``, where the data carry them.
        """
        where = range(len(self))[rows] if self.rows is None else self.rows[rows].tolist()
        found: dict[str, list[Any]] = (
            {"row": list(where)} if self.files is None else {"file": [self.files[i] for i in where]}
        )
        if self.condition is not None:
            values = self.condition[rows].tolist()
            if self.spec.classes:
                found["label"] = [self.spec.classes[i] for i in values]
            for i, name in enumerate(self.spec.covariates):
                found[name] = [row[i] for row in values]
        if self.attributes is not None:
            for (name, among), column in zip(self.spec.attributes, self.attributes[rows].T.tolist(), strict=True):
                found[name] = [among[i] for i in column]
        if self.captions is not None:
            found["caption"] = list(self.captions[rows])
        return found

    def under(self, condition: Condition) -> Dataset:
        """The same examples, whose batches have that as their condition which ``condition`` describes."""
        return replace(self, condition=condition.column(self), deriving=condition if condition.derived else None)

    def select(self, rows: Tensor, *, mapped: bool = False) -> Dataset:
        """The data set of ``rows`` alone, in memory, or left where it is ``mapped`` from."""
        return replace(
            self,
            x=_some(self.x, rows, mapped),
            condition=None if self.condition is None else self.condition[rows],
            attributes=None if self.attributes is None else self.attributes[rows],
            source=_some(self.source, rows, mapped),
            captions=None if self.captions is None else [self.captions[i] for i in rows.tolist()],
            text=None if self.text is None else self.text[rows],
            texts=None if self.texts is None else self.texts.select(rows.cpu().numpy()),
            rows=rows.cpu() if self.rows is None else self.rows[rows.cpu()],
        )

    def subset(self, examples: int, seed: int = 0) -> Dataset:
        """At most ``examples`` of the examples, taken at random, for a source may be ordered by class."""
        if len(self) <= examples:
            return self
        return self.select(self.order(seed)[:examples].to(self.device))

    def order(self, seed: int = 0) -> Tensor:
        """All rows in the random order in which :meth:`subset` takes them, int64 with shape (n,)."""
        return torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))

    def to(self, device: torch.device | str) -> Dataset:
        """The same examples kept on ``device``."""
        source = None if self.source is None else self.source.to(device)
        told = source if self.condition is self.source else self.condition
        return replace(
            self,
            x=self.x.to(device),
            condition=None if told is None else told.to(device),
            attributes=None if self.attributes is None else self.attributes.to(device),
            source=source,
            text=None if self.text is None else self.text.to(device),
        )

    def read(self, vocabulary: Vocabulary, long: Long = "windows") -> Dataset:
        """The same examples with their captions, if they have any, as tokens of ``vocabulary``; or, where they are
        texts themselves, these texts, of which those that are longer than an example become what ``long`` says."""
        if self.texts is not None and isinstance(vocabulary, TextVocabulary):
            whole = self.select(torch.from_numpy(self.texts.distinct))
            assert whole.texts is not None
            x, owners = tokenised(whole.texts, vocabulary, long)
            spec = replace(self.spec, shape=(vocabulary.length,), vocabulary=vocabulary)
            return replace(whole.select(torch.from_numpy(owners)), x=torch.from_numpy(x), spec=spec)
        text = None if self.captions is None else vocabulary.encode(self.captions).to(self.device, torch.int32)
        return replace(self, text=text, spec=replace(self.spec, vocabulary=vocabulary))

    def counted(self) -> Dataset:
        """The same examples with a spec that knows how many there are of each class, or the range of covariates."""
        if self.condition is None or not len(self):
            return self
        values = self.condition.cpu()
        if self.spec.classes:
            counts = torch.bincount(values, minlength=len(self.spec.classes)).tolist()
            return replace(self, spec=replace(self.spec, class_counts=tuple(counts)))
        ends = zip(values.amin(0).tolist(), values.amax(0).tolist(), strict=True) if self.spec.covariates else ()
        return replace(self, spec=replace(self.spec, covariate_ranges=tuple(ends)))

    def fingerprint(self) -> str:
        """First 16 hex digits of the sha256 of the examples, labels and captions, in their order."""
        digest = hashlib.sha256(repr((tuple(self.x.shape), str(self.x.dtype), self.spec.levels)).encode())
        for part in (self.x, self.condition, self.attributes, self.source, self.text):
            if part is not None:
                for chunk in part.split(4096):
                    digest.update(chunk.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]


@overload
def _some(values: Tensor, rows: Tensor, mapped: bool) -> Tensor: ...
@overload
def _some(values: Tensor | None, rows: Tensor, mapped: bool) -> Tensor | None: ...
def _some(values: Tensor | None, rows: Tensor, mapped: bool) -> Tensor | None:
    """The ``rows`` of ``values`` in memory, or left where they are ``mapped`` from."""
    return values if values is None else cast(Tensor, Rows(values, rows)) if mapped else values[rows]


@dataclass(frozen=True, kw_only=True)
class Splits:
    """An opened source in three parts, and what was left out.

    Where nothing can be or is to be held out, a part is the same object as ``train``, which ``notes`` say.
    """

    train: Dataset
    validation: Dataset
    """What weights are chosen by during training."""
    test: Dataset
    """What the final report alone is measured on."""
    settings: DataConfig
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    """What was understood and done on the way in, a sentence each (sizes, resizing, labels, held-out part)."""
    path: Path | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """For every part the number of its examples, and digits that change with what they are, whatever their order."""
    chosen: tuple[str, ...] = ()
    """The parts that were taken from the source's examples, which does not have them itself."""

    @property
    def spec(self) -> DataSpec:
        return self.train.spec

    def part(self, name: str) -> Dataset:
        """The part called ``name``, one of :data:`PARTS`."""
        found: Dataset = getattr(self, name)
        return found

    def each(self, change: Callable[[Dataset], Dataset]) -> Splits:
        """These splits with ``change`` made to every part; parts that are one object stay so."""
        parts = {name: self.part(name) for name in PARTS}
        changed = {key: change(part) for key, part in {id(part): part for part in parts.values()}.items()}
        train, validation, test = (changed[id(part)] for part in parts.values())
        return replace(self, train=train, validation=validation, test=test)
