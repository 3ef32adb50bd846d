"""From what a reader found to training and test part: labels, held-out choice, limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genwerk.data.dataset import Data, Dataset, Skipped, Splits
from genwerk.tokens import learn


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a reader made of a source, before anything is held out."""

    train: Dataset
    test: Dataset | None = None
    """The source's own test part, where it has one."""
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    shuffled: bool = False
    """Whether the training examples already stand in a random order drawn from the seed, so that a slice of them is a
    random choice (data mapped from a file can be sliced without being read)."""


def check(settings: Data) -> None:
    """Refuse settings that no source could follow."""
    if settings.size is not None and settings.size < 1:
        raise ValueError(f"the image size is {settings.size}; it must be 1 pixel or more, for example --data.size 32")
    if settings.palette is not None and settings.palette < 2:
        raise ValueError(f"the palette is of {settings.palette} colours; it must be 2 or more, or left out to keep all")
    if settings.tolerance and settings.palette is None:
        raise ValueError("the tolerance is for making a palette; say how many colours too, as in --data.palette 64")
    if not 0 <= settings.tolerance <= 255:
        raise ValueError(f"the tolerance is {settings.tolerance}; it must be a difference of colour levels, 0 to 255")
    if not 0 <= settings.holdout < 1:
        raise ValueError(f"the held-out fraction is {settings.holdout}; it must be at least 0 and less than 1")
    if not 0 <= settings.validation < 1:
        raise ValueError(f"the validation fraction is {settings.validation}; it must be at least 0 and less than 1")
    if settings.limit is not None and settings.limit < 1:
        raise ValueError(f"the limit on training examples is {settings.limit}; it must be 1 or more")


def split(found: Found, settings: Data) -> Splits:
    """Training and test part of ``found``; the same seed always holds out the same examples, whatever the limit.

    At least one example is held out of two or more, unless none is asked for. A single example is both trained and
    tested on, which is noted.
    """
    train, test, notes = found.train, found.test, list(found.notes)
    generator = torch.Generator().manual_seed(settings.seed)

    def order(n: int) -> Tensor:
        return torch.arange(n) if found.shuffled else torch.randperm(n, generator=generator)

    n = len(train)
    if test is None and n == 1:
        test = train
        notes.append("There is one example in all: it is trained on and tested on.")
    elif test is None and settings.holdout == 0:
        test = train
        notes.append("Nothing is held out, as asked: every example is trained on and tested on.")
    elif test is None:
        k = min(max(round(n * settings.holdout), 1), n - 1)
        rows = order(n)
        train, test = take(train, rows[: n - k], found.shuffled), take(train, rows[n - k :], found.shuffled)
        notes.append(f"{k:,} of {n:,} examples, chosen by seed {settings.seed}, are held out for testing.")
    else:
        notes.append(f"The source has its own test part of {len(test):,} examples.")
    validation = None
    if settings.validation > 0 and len(train) > 1 and test is not train:
        k, n = min(max(round(n * settings.validation), 1), len(train) - 1), len(train)
        rows = order(n)
        train, validation = take(train, rows[: n - k], found.shuffled), take(train, rows[n - k :], found.shuffled)
        notes.append(f"{k:,} examples, chosen by seed {settings.seed}, are kept apart to choose weights by.")
    test_is_train = test is train
    if train.spec.classes and test.condition is None:
        notes.append("Not every test example has a label, so the test part has none.")
    if settings.limit is not None and settings.limit < len(train):
        notes.append(
            f"{settings.limit:,} of {len(train):,} training examples, chosen by seed {settings.seed}, are used."
        )
        train = take(train, order(len(train))[: settings.limit], found.shuffled)
    test = train if test_is_train else test
    validation = validation or test  # until choosing by rows of their own is the default
    splits = Splits(train=train, validation=validation, test=test, settings=settings, skipped=found.skipped)
    if train.captions is not None:
        splits = read(splits, notes)
    return replace(splits, notes=tuple(notes))


def read(splits: Splits, notes: list[str]) -> Splits:
    """``splits`` with their captions as tokens of a vocabulary learned from those of the training part."""
    captions = splits.train.captions
    assert captions is not None
    vocabulary = learn(captions)
    notes.append(f"Captions are read with a vocabulary of {vocabulary.size:,} tokens, learned from the training part.")
    if cut := sum(vocabulary.cuts(captions)):
        notes.append(f"{cut:,} captions have more than {vocabulary.length - 2} tokens and lose what comes after.")
    return splits.each(lambda part: part.read(vocabulary))


def take(data: Dataset, rows: Tensor, contiguous: bool) -> Dataset:
    """The examples of ``rows`` in their own order; of ``contiguous`` rows a view, so that mapped data stay mapped."""
    if not contiguous:
        return data.select(rows.sort().values)
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    return replace(
        data,
        x=data.x[part],
        condition=None if data.condition is None else data.condition[part],
        captions=None if data.captions is None else data.captions[part],
        text=None if data.text is None else data.text[part],
    )


def index_labels(*parts: Sequence[object] | None) -> tuple[tuple[str, ...], list[Tensor | None]]:
    """Class names over all ``parts``, sorted (as numbers where all are), and each part's class indices with shape (n,).

    A part that is None, or of which any label is None, has no indices; if that is the first, there are no classes.
    """
    labelled = [[_name(v) for v in p] if p is not None and all(v is not None for v in p) else None for p in parts]
    if labelled[0] is None:
        return (), [None for _ in parts]
    names = sorted({name for p in labelled if p is not None for name in p})
    if all(_is_whole(name) for name in names):
        names.sort(key=int)
    index = {name: i for i, name in enumerate(names)}
    return tuple(names), [p if p is None else torch.tensor([index[name] for name in p]) for p in labelled]


def _name(value: object) -> str:
    """A label as text: 3.0 and 3 are the same class."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_whole(name: str) -> bool:
    return len(name) < 19 and name.removeprefix("-").isdecimal()
