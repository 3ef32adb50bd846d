"""Attributes that captions, or columns beside the files, tell of examples: hair and eyes of "blue hair, red eyes"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from genwerk.core.errors import NoColumn
from genwerk.core.printable import count
from genwerk.data.dataset import PARTS, Dataset, Splits
from genwerk.data.labels import continuous
from genwerk.data.labels import names as as_names

Spec = tuple[tuple[str, tuple[str, ...]], ...]
"""Attributes and the values of each, as a :class:`~genwerk.core.spec.DataSpec` has them."""
Key = TypeVar("Key", bound=Hashable)
Told = Mapping[str, str]
"""What one caption says: the value of each noun, such as "blue" of "hair"."""

NEARLY = 0.95
"""Share of the captions that must be lists of values and nouns, and of those that must name a noun."""
BETWEEN = re.compile(r"[,;.]|\band\b")
"""What may stand between the things that a caption lists."""
ARTICLES = frozenset({"a", "an", "the", "with"})
BINARY = (("0", "1"), ("-1", "1"), ("false", "true"), ("no", "yes"))
"""Values of columns that say whether something holds, the one for no first."""


# --- captions ---------------------------------------------------------------------------------------------------------


def by_captions(splits: Splits, notes: list[str]) -> Splits:
    """``splits`` with the attributes that the captions of the training part tell, or those that the settings name;
    ``notes`` are told.

    Untold, captions tell attributes where :data:`NEARLY` all of them are lists of values and nouns, each noun a word
    that as many of them have: "blue hair red eyes", "light blue hair, red eyes". Each noun that has several values, and
    on average two examples or more to a value, is an attribute.
    """
    captions, asked = splits.train.captions, named(splits.settings.attributes)
    if splits.spec.attributes:
        return splits
    if captions is None:
        if asked:
            raise NoColumn(
                f"‹data.attributes› names {asked[0]!r}, and the data have neither captions nor a column of that name; "
                "leave it out, or write captions such as 'blue hair, red eyes'",
                "attributes",
            )
        return splits
    reading, nouns = _form(captions)
    given = {id(part): part.captions for part in map(splits.part, PARTS) if part.captions is not None}
    told: dict[int, list[Told]] = {key: [*map(reading, each)] for key, each in given.items()}
    if asked:
        if not set(asked) <= set(nouns):
            told = {key: [_before(caption, asked) for caption in each] for key, each in given.items()}
        for noun in asked:
            if len({each[noun] for each in told[id(splits.train)] if noun in each}) < 2:
                raise NoColumn(
                    f"‹data.attributes› names {noun!r}, before which the captions have no two different words, as in "
                    f"'blue {noun}'; " + (f"they tell {', '.join(nouns)}" if nouns else f"one is {captions[0]!r}"),
                    "attributes",
                )
        nouns = asked
    else:
        values = {n: {each[n] for each in told[id(splits.train)] if n in each} for n in nouns}
        nouns = [noun for noun in nouns if 1 < len(values[noun]) <= len(captions) / 2]
    if not nouns:
        return splits
    columns = {
        key: [[f"{each[n]} {n}" if n in each else None for each in part] for n in nouns] for key, part in told.items()
    }
    found, indices = indexed(nouns, columns)
    notes += [f"The captions tell {described(found)}.", *_untold(found, indices[id(splits.train)])]
    spec = replace(splits.spec, attributes=found)
    return splits.each(lambda part: replace(part, attributes=indices.get(id(part)), spec=spec))


def in_file(setting: str) -> bool:
    """Whether the attributes that a person names are columns of a file of their own."""
    return re.search(r"[./\\:]", setting) is not None


def named(setting: str) -> list[str]:
    """The attributes that a person names, joined by commas."""
    return [name.strip().lower() for name in setting.split(",") if name.strip()]


def _form(captions: Sequence[str]) -> tuple[Callable[[str], Told], list[str]]:
    """How ``captions`` are read, and the nouns that they have; none where they are no lists of values and nouns."""
    for reading in (_pairs, _phrases):
        told = [*map(reading, captions)]
        times = Counter(noun for each in told for noun in each)
        nouns = [noun for noun, n in times.items() if n >= NEARLY * len(captions)]
        if sum(bool(each) and each.keys() <= set(nouns) for each in told) >= NEARLY * len(captions):
            return reading, nouns
    return _pairs, []


def _pairs(caption: str) -> Told:
    """Values and nouns in turn, a word each; nothing where that cannot be."""
    words = _words(BETWEEN.sub(" ", caption.lower()))
    return _once([*zip(words[::2], words[1::2], strict=True)] if len(words) % 2 == 0 else [])


def _phrases(caption: str) -> Told:
    """Phrases of a value and a noun, which is the last word; nothing where one has a single word."""
    phrases = [_words(phrase) for phrase in BETWEEN.split(caption.lower())]
    found = [(" ".join(words[:-1]), words[-1]) for words in phrases if words]
    return _once(found if all(value for value, _ in found) else [])


def _once(found: Sequence[tuple[str, str]]) -> Told:
    """The value of each noun, unless one has several."""
    told = {noun: value for value, noun in found}
    return told if len(told) == len(found) else {}


def _before(caption: str, nouns: Sequence[str]) -> Told:
    """The word before each of ``nouns`` in any sentence."""
    words = re.findall(r"[^\W_](?:[\w'-]*[^\W_])?", caption.lower())
    return {noun: word for word, noun in pairwise(words) if noun in nouns and word not in ARTICLES}


def _words(phrase: str) -> list[str]:
    return [word for word in phrase.split() if word not in ARTICLES]


# --- columns ----------------------------------------------------------------------------------------------------------


def by_columns(names: Sequence[str], parts: Mapping[str, Sequence[Sequence[object]]]) -> tuple[Spec, dict[str, Tensor]]:
    """The attributes of columns: of every part one a name, each with a cell an example; and the indices of each part.

    A column of yes and no (1 and 0, 1 and -1) has the values "smiling" and "not smiling"; one of several, "happy face".
    """
    called = [name.strip().lower().replace("_", " ") for name in names]
    cells = {key: [as_names(column) for column in columns] for key, columns in parts.items()}
    for i, name in enumerate(names):
        found = [cell for columns in cells.values() for cell in columns[i] if cell is not None]
        if continuous(found):
            raise NoColumn(
                f"‹data.attributes› names {name!r}, which holds measured numbers; leave it out", "attributes"
            )
        if len(set(found)) < 2:
            raise NoColumn(f"‹data.attributes› names {name!r}, which has one value alone; leave it out", "attributes")
    said = [_said(name, [cell for columns in cells.values() for cell in columns[i]]) for i, name in enumerate(called)]
    columns = {
        key: [[*map(say, column)] for say, column in zip(said, part, strict=True)] for key, part in cells.items()
    }
    return indexed(called, columns)


def _said(name: str, cells: Sequence[str | None]) -> Callable[[str | None], str | None]:
    """What gives the value that a cell of the column ``name`` is; of 1, 0 and -1 the 0 is none."""
    found = {cell.lower() for cell in cells if cell is not None}
    for no, yes in BINARY:
        if found <= {no, yes} or (no == "-1" and found == {"-1", "0", "1"}):
            return lambda cell: {yes: name, no: f"not {name}"}.get((cell or "").lower())
    return lambda cell: cell and (cell.lower() if name in cell.lower().split() else f"{cell.lower()} {name}")


# --- both -------------------------------------------------------------------------------------------------------------


def indexed(
    names: Sequence[str], parts: Mapping[Key, Sequence[Sequence[str | None]]]
) -> tuple[Spec, dict[Key, Tensor]]:
    """Attributes called ``names`` with their values in all ``parts``, sorted, and of each part the indices, int64 with
    shape (n, len(names)).

    A value that some examples do not have (None) is "unknown hair", the last.
    """
    found, indices = [], dict[Key, list[Tensor]]({key: [] for key in parts})
    for i, name in enumerate(names):
        there = {value for columns in parts.values() for value in columns[i]}
        values = [*sorted(v for v in there if v is not None), *([f"unknown {name}"] if None in there else [])]
        place = {value: k for k, value in enumerate(values)} | {None: len(values) - 1}
        for key, columns in parts.items():
            indices[key].append(torch.tensor([place[value] for value in columns[i]], dtype=torch.int64))
        found.append((name, tuple(values)))
    return tuple(found), {key: torch.stack(columns, 1) for key, columns in indices.items()}


def placed(indices: Tensor, has: Spec, needs: Spec) -> Tensor | None:
    """``indices`` of the attributes that data have, with shape (n, len(has)), as those of the attributes ``needs``;
    None where one of these, or a value, is not among them."""
    names, among = [name for name, _ in has], dict(needs)
    if not needs or any(name not in names or not set(dict(has)[name]) <= set(values) for name, values in needs):
        return None
    columns = [indices[:, names.index(name)] for name, _ in needs]
    place = [torch.tensor([among[name].index(value) for value in dict(has)[name]]) for name, _ in needs]
    return torch.stack([index[column] for index, column in zip(place, columns, strict=True)], 1)


def without_attributes(data: Dataset) -> Dataset:
    """``data`` as if nothing told attributes of them."""
    return replace(data, attributes=None, spec=replace(data.spec, attributes=()))


def described(attributes: Spec) -> str:
    """How many attributes there are, and how many values each has."""
    each = ", ".join(f"{name} ({count(len(values), 'value')})" for name, values in attributes)
    return f"{count(len(attributes), 'attribute')}: {each}"


def _untold(attributes: Spec, indices: Tensor) -> list[str]:
    """How many training examples lack the value of an attribute, a sentence each."""
    found = []
    for (name, values), column in zip(attributes, indices.T, strict=True):
        if values[-1] == f"unknown {name}" and (n := int((column == len(values) - 1).sum())):
            found.append(f"{n:,} training captions do not tell the {name}: it counts as {values[-1]!r}.")
    return found
