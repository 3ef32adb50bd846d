"""From what a reader found to the parts for training, choosing and testing: labels, held-out choice, limit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.printable import count, first_of
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import learn
from genwerk.data import cache, shares
from genwerk.data.attributes import by_captions, in_file, placed
from genwerk.data.content import Hashes, fingerprint, hash_rows, hash_texts, mixed, occurrences, shared
from genwerk.data.dataset import PARTS, Dataset, Skipped, Splits
from genwerk.data.documents import Texts, described, learned
from genwerk.data.labels import names as label_names
from genwerk.data.settings import DataConfig

MOST = 2_000
"""Examples that a choice of weights is good enough with: of more data a smaller share is kept apart for it."""
FEW = 10
"""Rows to a distinct row from which rows of a table are alike by chance and not copies."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the examples of a part come from, an entry each; None where there is no more to say than they do."""

    keys: Hashes | None = None
    """What was read before it was brought to size, cut or given noise."""
    names: Sequence[str] | None = None
    """The files that they were read from."""
    groups: Sequence[str] | None = None
    """What they belong to (a speaker, a patient), as named by the settings, and which must not be split."""
    beside: Hashes | None = None
    """What else was read for each, which must not be split either: its source."""

    def at(self, rows: Sequence[int]) -> Origin:
        """The same of the examples ``rows``."""
        return Origin(
            keys=None if self.keys is None else self.keys[[*rows]],
            names=None if self.names is None else [self.names[i] for i in rows],
            groups=None if self.groups is None else [self.groups[i] for i in rows],
            beside=None if self.beside is None else self.beside[[*rows]],
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a reader made of a source, in its own order, before anything is held out."""

    train: Dataset
    validation: Dataset | None = None
    """The source's own part to choose weights by, where it has one."""
    test: Dataset | None = None
    """The source's own test part, where it has one."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """What is known of the examples of a part beside what they hold."""
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    mapped: str | None = None
    """The cache's name for training examples that are mapped from a file, and of which a part must be a view."""


def check(settings: DataConfig) -> None:
    """Refuse settings that no source could follow."""
    if not re.fullmatch(r"white|black|#[0-9a-fA-F]{6}", settings.background):
        raise BadInput(
            f"the background is {settings.background!r}; it must be white, black, or red, green and blue as in #ff8800"
        )
    if settings.tolerance and settings.palette is None:
        raise BadInput("the tolerance is for making a palette; say how many colours too, as in ‹data.palette› 64")


def split(found: Found, settings: DataConfig) -> Splits:
    """The three parts of ``found``, each in the order of the source.

    A part that the source does not have itself is chosen by a hash of what each example holds, or belongs to, and the
    seed, by thresholds: whatever else is added, removed or put elsewhere, an example stays where it is, and copies are
    in one part. There is an example in each part where there are enough, which alone may depend on the others; what
    cannot be held out is noted.
    """
    n, notes = len(found.train), list(found.notes)
    if settings.group and _groups(found) is None and (found.test is not None or settings.holdout > 0):
        raise BadInput(
            f"‹data.group› is {settings.group!r}, and {settings.source} has neither a column of that name nor files; "
            "leave it out, or name one of its columns"
        )
    hashes = {name: _hashes(found, name) for name in PARTS if _own(found, name) is not None}
    place, few = _places(found, settings, hashes["train"])
    holdout = 0.0 if found.test is not None else settings.holdout
    whole = found.test is None and holdout == 0
    validation = 0.0 if found.validation is not None or whole else min(settings.validation, MOST / ((1 - holdout) * n))
    tested, judged, forced = choose(place, holdout, validation)
    kept = ~(tested | judged)
    rows = {"train": np.flatnonzero(kept), "validation": np.flatnonzero(judged), "test": np.flatnonzero(tested)}
    chosen = [f"{m:,} {'is' if m == 1 else 'are'} {why}" for k, why in _WHY.items() if (m := len(rows[k]))]
    if found.test is not None:
        notes.append(f"The source has its own test part of {count(len(found.test), 'example')}.")
    if found.validation is not None:
        notes.append(f"The source has its own validation part of {count(len(found.validation), 'example')}.")
    if chosen:
        groups = _groups(found)
        what = f"the {len(set(groups)):,} groups they belong to" if groups is not None else "their content"
        notes.append(
            f"Of {n:,} examples {' and '.join(chosen)}, chosen by a hash of {what} and the seed {settings.seed}"
            + (
                ". They are so few that the choice may change when others are added or removed."
                if forced
                else ", so that each stays in its part when others are added or removed."
            )
        )
    if few:
        notes.append(
            f"The rows take {count(few, 'value')}, so equal ones are not held to be copies and are spread over the "
            "parts."
        )
    if settings.limit is not None and settings.limit < len(rows["train"]):
        order = torch.randperm(len(rows["train"]), generator=torch.Generator().manual_seed(settings.seed)).numpy()
        notes.append(
            f"{settings.limit:,} of {len(order):,} training examples, chosen by seed {settings.seed}, are used."
        )
        rows["train"] = np.sort(rows["train"][order[: settings.limit]])

    parts = {
        name: found.train.select(torch.from_numpy(rows[name]), mapped=found.mapped is not None)
        if len(rows[name]) < n
        else found.train
        for name in PARTS
        if len(rows[name])
    }
    of = {name: hashes["train"][rows[name]] for name in parts}
    for name in ("validation", "test"):
        if (own := _own(found, name)) is not None:
            parts[name], of[name] = own, hashes[name]
    notes += _copies(found, {**of, "train": hashes["train"]} if few == 0 else {}, parts)
    if "test" not in parts:
        notes.append(
            "There is one example in all: it is trained on and tested on."
            if n == 1
            else "Nothing is held out: every example is trained on and tested on."
            if settings.holdout == 0
            else f"All {n:,} examples are alike: they are trained on and tested on."
        )
    elif "validation" not in parts:
        notes.append("No example is kept apart to choose the weights; those trained on choose them.")
    train = parts["train"]
    if train.spec.classes and parts.get("test", train).condition is None:
        notes.append("Not every test example has a label, so the test part has none.")
    splits = Splits(
        train=train,
        validation=parts.get("validation", train),
        test=parts.get("test", train),
        settings=settings,
        skipped=found.skipped,
        chosen=tuple(name for name in parts if _own(found, name) is None),
        fingerprints={
            name: f"{len(part)}:{fingerprint(of[name])}:{fingerprint(mixed(of[name], *_beside(part)))}"
            for name, part in parts.items()
        },
    )
    counted = train.counted().spec
    splits = splits.each(lambda part: replace(part, spec=counted))
    if counted.counted and (
        without := [c for c, n in zip(counted.classes, counted.class_counts, strict=True) if not n]
    ):
        notes.append(f"No training example is of {first_of(without)}: all of them are in other parts.")
    splits = by_captions(splits, notes)
    notes += shares.told(splits)
    if train.captions is not None:
        splits = read(splits, notes)
    if train.texts is not None:
        splits = read_texts(splits, train.texts, notes)
    return replace(splits, notes=tuple(notes))


def groups_by_name(names: Sequence[str], pattern: str) -> list[str] | None:
    """What ``pattern`` finds in the names of files; a file in whose name it finds nothing is a group of its own."""
    if not pattern:
        return None
    expression = first_group(pattern, "data.group")
    found = [m[1] if (m := expression.search(name)) and m[1] else None for name in names]
    if not any(found):
        raise BadInput(
            f"‹data.group› {pattern!r} is found in none of the {len(names):,} names; the first is {names[0]!r}"
        )
    return [f"file {name}" if group is None else f"group {group}" for group, name in zip(found, names, strict=True)]


def first_group(pattern: str, option: str) -> re.Pattern[str]:
    """The regular expression that ``option`` gives, which must have a group."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise BadInput(
            f"‹{option}› {pattern!r} is not a regular expression ({error}); write one such as '^([a-z]+)_'"
        ) from None
    if not expression.groups:
        raise BadInput(f"‹{option}› {pattern!r} has no group; put brackets around what is meant, as in '^([a-z]+)_'")
    return expression


_CALLED = {"train": "training", "validation": "validation", "test": "test"}
_WHY = {"test": "held out for testing", "validation": "kept apart to choose the weights"}


def choose(
    place: NDArray[np.float64], holdout: float, validation: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Which examples, at ``place`` in [0, 1), are for testing and for choosing, and whether a threshold had to move.

    It moves where a part would be empty for no other reason than that few places are taken.
    """
    taken = np.unique(place)
    least = int(holdout > 0 and len(taken) > 1)  # places that a part must have
    less = int(validation > 0 and len(taken) > 1 + least)
    wanted = np.searchsorted(taken, [holdout, holdout + validation * (1 - holdout)])
    low = int(np.clip(wanted[0], least, len(taken) - 1 - less))
    high = int(np.clip(wanted[1], low + less, len(taken) - 1))
    tested = place < taken[low]
    return tested, (place < taken[high]) & ~tested, [low, high] != wanted.tolist()


def _own(found: Found, name: str) -> Dataset | None:
    data: Dataset | None = getattr(found, name)
    return data


def _groups(found: Found) -> Sequence[str] | None:
    return found.origins["train"].groups if "train" in found.origins else None


def _hashes(found: Found, name: str) -> Hashes:
    """A hash of each example of a part of ``found``, the same for copies."""
    data, origin = _own(found, name), found.origins.get(name, Origin())
    assert data is not None
    if origin.keys is not None and not data.spec.modality.has_pixels:
        return origin.keys  # a file's, of which there may be several pieces; or a row's before it was given noise

    def read() -> Hashes:
        return hash_rows(data.x) if data.source is None else mixed(hash_rows(data.x), hash_rows(data.source))

    return read() if found.mapped is None or name != "train" else cache.kept(f"{found.mapped}-hashes", read)


def _places(found: Found, settings: DataConfig, hashes: Hashes) -> tuple[NDArray[np.float64], int]:
    """Where in [0, 1) each training example stands for the choice, and how many values a table of few takes, or 0."""
    origin, few = found.origins.get("train", Origin()), 0
    if found.train.spec.modality.has_columns and (values := len(np.unique(hashes))) * FEW <= len(hashes):
        few, hashes = values, mixed(hashes, occurrences(hashes))
    keys = hashes if origin.keys is None or few else origin.keys
    together = [hashes] if origin.keys is None or few else [hashes, origin.keys]
    if origin.beside is not None:
        together.append(origin.beside)
    if origin.groups is not None:
        keys = hash_texts(origin.groups)
        together.append(keys)
    place = mixed(keys, settings.seed) / 2.0**64
    return (shared(place, *together) if len(together) > 1 else place), few


def _copies(found: Found, hashes: Mapping[str, Hashes], parts: Mapping[str, Dataset]) -> list[str]:
    """How many examples of a part of the source's own stand in its training part too, and which; how many repeat."""
    notes = []
    for name, one in (("test", "test"), ("validation", "validation")):
        if name not in hashes or _own(found, name) is None:
            continue
        again = np.flatnonzero(np.isin(hashes[name], hashes["train"]))
        if len(again):
            names = found.origins.get(name, Origin()).names
            shown = [names[i] if names is not None else f"number {i + 1:,}" for i in again[:3].tolist()]
            more = ", ..." if len(again) > 3 else ""
            are = "is a copy of a training example" if len(again) == 1 else "are copies of training examples"
            notes.append(
                f"{len(again):,} of {len(parts[name]):,} {one} examples ({', '.join(shown)}{more}) {are}, on which a "
                "model looks better than it is."
            )
    if "train" in hashes and found.train.spec.modality.has_pixels:
        repeated = len(hashes["train"]) - len(np.unique(hashes["train"]))
        if repeated:
            of = f"{repeated:,} of {len(hashes['train']):,} images"
            notes.append(
                f"{of} is a copy of another, and is kept in the same part as its original."
                if repeated == 1
                else f"{of} are copies of others, and are kept in the same part as their originals."
            )
    return notes


def _beside(data: Dataset) -> list[Hashes | int]:
    """What goes with each example: labels, captions, and attributes where there are any."""
    attributes = [] if data.attributes is None else [hash_rows(data.attributes)]
    return [_labels(data), _captions(data), *attributes]


def _labels(data: Dataset) -> Hashes | int:
    if data.condition is None or not data.spec.classes:
        return 0
    labels: Hashes = hash_texts(data.spec.classes)[data.condition.numpy()]
    return labels


def _captions(data: Dataset) -> Hashes | int:
    return 0 if data.captions is None else hash_texts(data.captions)


def like(settings: DataConfig, spec: DataSpec) -> DataConfig:
    """``settings`` by which another source is read as examples of ``spec``, all but its palette."""
    read = {"size": None, "colour": "auto", "rate": None, "seconds": None} | spec.modality.read_as()
    read |= {"attributes": ""} if in_file(settings.attributes) else {}
    return replace(settings, to="", palette=None, tolerance=0, test="", labels="", limit=None, **read)


def tested_on(found: Found, other: Found, name: str) -> Found:
    """``found`` with ``other``, which is called ``name``, or its test part, as its test part."""
    part = "train" if other.test is None else "test"
    test = arranged(other.train if other.test is None else other.test, found.train.spec, name)
    wanted, has = found.train.spec, test.spec
    if (has.kind, has.shape, has.levels, has.covariates) != (
        wanted.kind,
        wanted.shape,
        wanted.levels,
        wanted.covariates,
    ):
        raise BadInput(f"‹data.test› {name} holds {has}, and the training data are {wanted}; expected the same")
    if test.condition is not None and has.classes != wanted.classes and wanted.classes:
        new = next(c for c in has.classes if c not in wanted.classes)
        raise BadInput(f"‹data.test› {name} has the class {new!r}, which the training data lack")
    return replace(
        found,
        test=test if wanted.classes or wanted.covariates else replace(test, condition=None, spec=wanted),
        origins={k: v for k, v in found.origins.items() if k != "test"} | {"test": other.origins.get(part, Origin())},
        skipped=(*found.skipped, *other.skipped),
        notes=(*found.notes, f"{name} is the test part."),
    )


def arranged(data: Dataset, wanted: DataSpec, source: str) -> Dataset:
    """``data`` with the columns, the classes and the attributes of ``wanted`` in its order, each known by its name
    alone. Texts are read with its vocabulary.

    Columns that ``wanted`` lacks are left out; one that is lacking is a BadInput. Where either has no names the place
    counts. Classes stay as they are where ``wanted`` lacks one, and there are no attributes where it lacks a value.
    """
    found = data.spec
    if data.texts is not None and wanted.vocabulary is not None and found.vocabulary != wanted.vocabulary:
        data = data.read(wanted.vocabulary)
    if (order := _order(found.columns, wanted.columns, source)) is not None:
        spec = replace(data.spec, columns=wanted.columns, shape=(len(order),))
        data = replace(data, x=data.x[:, order], spec=spec)
    if data.condition is not None and (order := _order(found.covariates, wanted.covariates, source)) is not None:
        data = replace(data, condition=data.condition[:, order], spec=replace(data.spec, covariates=wanted.covariates))
    if data.spec.attributes != wanted.attributes:
        values = None if data.attributes is None else placed(data.attributes, data.spec.attributes, wanted.attributes)
        data = replace(data, attributes=values, spec=replace(data.spec, attributes=wanted.attributes))
    has, needs = data.spec.classes, wanted.classes
    if data.condition is not None and has and has != needs and set(has) <= set(needs):
        index = torch.tensor([needs.index(name) for name in has], device=data.condition.device)
        data = replace(data, condition=index[data.condition], spec=replace(data.spec, classes=needs))
    return data


def _order(has: Sequence[str], needs: Sequence[str], source: str) -> list[int] | None:
    """Where the columns that a model ``needs`` stand among those that ``source`` ``has``; None where places count."""
    if tuple(has) == tuple(needs) or not (_are_names(has) and _are_names(needs)):
        return None
    if missing := [column for column in needs if column not in has]:
        raise BadInput(
            f"{source} has no column {missing[0]!r}, which is needed; its columns are "
            f"{', '.join(has)}, and those needed are {', '.join(needs)}"
        )
    return [has.index(column) for column in needs]


def _are_names(columns: Sequence[str]) -> bool:
    """Whether ``columns`` have names, all different, and are not only counted (:func:`numbered`)."""
    return 0 < len(columns) == len(set(columns)) and tuple(columns) != numbered(len(columns))


def numbered(columns: int) -> tuple[str, ...]:
    """What columns without names are called."""
    return tuple(f"column {i + 1}" for i in range(columns))


def changed(before: Mapping[str, str], now: Splits, *, labels: bool = True) -> str | None:
    """What is different of data whose fingerprints were ``before``, in a sentence; None where nothing is.

    Labels and captions are only looked at if ``labels`` is set.
    """
    told = unlike(before, now, labels=labels)
    return f"The data have changed: the run was trained with {told}." if told else None


def unlike(of: Mapping[str, str], others: Splits, *, labels: bool = True) -> str | None:
    """What the data with these fingerprints have that ``others`` have not; None where they are the same."""
    return ", ".join(_differences(of, others, labels)) or None


def _differences(of: Mapping[str, str], others: Splits, labels: bool) -> Iterator[str]:
    """What is different of each part: its number of examples, or else these, or else, if looked at, their labels."""
    for name, called in _CALLED.items():
        one, other = (prints.get(name, "").split(":") for prints in (of, others.fingerprints))
        if name not in of or one == other:
            continue
        if one[0] != other[0]:
            yield f"{count(int(one[0] or 0), f'{called} example')} and not {len(others.part(name)):,}"
        elif one[:2] != other[:2]:
            yield f"other {called} examples"
        elif labels:
            yield f"other labels or captions of the {called} examples"


def read(splits: Splits, notes: list[str]) -> Splits:
    """``splits`` with their captions as tokens of a vocabulary learned from those of the training part."""
    captions = splits.train.captions
    assert captions is not None
    vocabulary = learn(captions)
    notes.append(f"Captions are read with a vocabulary of {vocabulary.size:,} tokens, learned from the training part.")
    if cut := sum(vocabulary.cuts(captions)):
        most = f"more than {vocabulary.length - 2} tokens"
        notes.append(
            f"1 caption has {most} and loses what comes after."
            if cut == 1
            else f"{cut:,} captions have {most} and lose what comes after."
        )
    return splits.each(lambda part: part.read(vocabulary))


def read_texts(splits: Splits, texts: Texts, notes: list[str]) -> Splits:
    """``splits`` of texts as tokens of a vocabulary learned from ``texts``, those of the training part."""
    settings = splits.settings
    vocabulary = learned(texts, settings)
    notes.append(
        f"Texts are read as {vocabulary.units}, with a vocabulary of {vocabulary.size:,} learned from the training "
        "part; choose with ‹data.tokens› and ‹data.vocabulary›."
    )
    found = splits.each(lambda part: part.read(vocabulary, settings.long))
    for name in PARTS:
        of, part = splits.part(name), found.part(name)
        if of.texts is not None and (name == "train" or of is not splits.train):
            notes += described(_CALLED[name], of.texts, vocabulary, settings.long)
        if not len(part):
            raise BadInput(
                f"all {len(of):,} texts of the {_CALLED[name]} part are longer than {vocabulary.length - 1:,} "
                f"{vocabulary.units}, and left out; take a greater ‹data.length›, or ‹data.long› windows"
            )
        if len(part) != len(of):
            notes.append(f"They make {len(part):,} examples of at most {vocabulary.length:,} {vocabulary.units}.")
    return found


def index_labels(*parts: Sequence[object] | None) -> tuple[tuple[str, ...], list[Tensor | None]]:
    """Class names over all ``parts``, sorted (as numbers where all are), and each part's class indices with shape (n,).

    A part that is None, or of which any label is missing, has no indices; if that is the first, there are no classes.
    """
    together = iter(label_names([value for part in parts if part is not None for value in part]))
    named = [None if part is None else [next(together) for _ in part] for part in parts]
    labelled = [None if p is None or None in p else [name for name in p if name is not None] for p in named]
    if labelled[0] is None:
        return (), [None for _ in parts]
    names = sorted({name for p in labelled if p is not None for name in p})
    if all(_is_whole(name) for name in names):
        names.sort(key=int)
    index = {name: i for i, name in enumerate(names)}
    return tuple(names), [p if p is None else torch.tensor([index[name] for name in p]) for p in labelled]


def _is_whole(name: str) -> bool:
    return len(name) < 19 and name.removeprefix("-").isdecimal()
