"""What a model is conditioned on: a kind of condition, whose values travel as one tensor with a row an example.

A kind is one small class and says all there is to say of its values: which data carry them, how they are checked, typed
by a person, drawn for samples, left out for classifier-free guidance, and turned into numbers for a network. A model
has one (:attr:`Model.condition`) and branches on none; defining a class here or elsewhere is all that a new kind takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genwerk.core.errors import BadInput, BadSetting, MissingCondition, called
from genwerk.core.noise import Noise, SeededNoise, Seeds
from genwerk.core.plugins import is_told
from genwerk.core.spec import Batch, DataSpec, Prior, listed
from genwerk.core.tokens import CLIPVocabulary, Vocabulary

CLASSES = 1
"""The use of seeds beside those of the examples: to draw classes."""


class Carrier(Protocol):
    """A data set, with all that goes with its examples."""

    @property
    def condition(self) -> Tensor | None: ...

    @property
    def text(self) -> Tensor | None: ...

    @property
    def attributes(self) -> Tensor | None: ...

    @property
    def source(self) -> Tensor | None: ...


OFFERED = ("", "label", "prompt", "covariates", "to")
"""The options by which commands take conditions, and none."""


class Condition:
    """A kind of condition. The model is passed as ``model`` wherever its name belongs into a sentence."""

    kinds: ClassVar[list[type[Condition]]] = []
    """All kinds, the last defined first."""
    name: ClassVar[str] = ""
    """What likelihoods are said to be given; empty for the absence of a condition."""
    plural: ClassVar[str] = ""
    """What data carry where they carry this."""
    option: ClassVar[str] = ""
    """The setting by which a person gives a value."""
    source: ClassVar[str] = ""
    """The setting that makes data carry this, where there is one."""
    borrowed: ClassVar[bool] = False
    """Whether samples take the values of held-out examples where a person gives none."""
    continuous: ClassVar[bool] = False
    """Whether values are numbers of any scale, with others between them."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Condition.kinds.insert(0, cls)

    # --- what it is ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_spec(cls, spec: DataSpec) -> Self | None:  # noqa: ARG003
        """The kind as data of ``spec`` carry it; None where they do not."""
        return None

    @classmethod
    def carried(cls, spec: DataSpec) -> DataSpec:
        """``spec`` of data that carry this kind besides, with made-up names: to ask what a recipe can use."""
        return spec

    @property
    def noun(self) -> str:
        """What a model is conditioned on: the class, a text, 2 covariates (height, weight)."""
        return self.name

    @property
    def expected(self) -> str:
        """What values have to be, to follow "pass condition, "."""
        return "one value each"

    @property
    def given_by(self) -> str:
        """The setting by which a person really gives a value: condition, of a kind whose option no command has."""
        return self.option if self.option in OFFERED else "condition"

    @property
    def derived(self) -> bool:
        """Whether values are made from the examples (:meth:`made`), and not carried beside them."""
        return False

    @property
    def classes(self) -> int:
        """Number of values, where these are indices from 0; else 0."""
        return 0

    @property
    def choices(self) -> tuple[str, ...]:
        """What a person may type (:meth:`parse`), where that is one of a few names."""
        return ()

    @property
    def width(self) -> int:
        """Numbers that :meth:`features` makes of a value; 0 where it makes none."""
        return 0

    # --- values -------------------------------------------------------------------------------------------------------

    def valid(self, values: Tensor) -> bool:
        """Whether ``values`` are of this kind."""
        return True

    def check(self, values: Tensor | None, model: object) -> Tensor | None:
        """``values``, which must be given and valid; None for a model that takes no condition."""
        if values is None or not self.valid(values):
            raise MissingCondition(f"this {called(model)} is conditioned on {self.noun}", self.given_by, self.expected)
        return values

    def of(self, batch: Batch) -> Tensor | None:
        """The values in ``batch``; None where it has none, or the model takes none."""
        return batch.condition

    def column(self, data: Carrier) -> Tensor | None:
        """Which part of ``data`` a batch of them has as its condition."""
        return data.condition

    def made(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """The values of examples ``x``, where these are derived; what is random is drawn from ``noise``, or, so that
        an example has one value wherever it is met, by what it holds."""
        raise NotImplementedError(f"values of {type(self).__name__} are not made from examples")

    def labels(self, batch: Batch) -> Tensor | None:
        """The labels of the examples, where ``batch`` has them as its condition."""
        return None

    def parse(self, typed: Sequence[str]) -> Tensor:
        """The values that a person ``typed``, one a string."""
        raise BadInput(f"this model takes no condition that can be typed, so {typed[0]!r} means nothing to it")

    def read(self, typed: Sequence[str]) -> Tensor:
        """:meth:`parse`; a BadInput says what is expected in place of what cannot be parsed or is not valid."""
        values = self._parsed(typed)
        if values is None or not self.valid(values):
            wrong = (each for each in typed if (value := self._parsed([each])) is None or not self.valid(value))
            raise BadSetting(self.given_by or "condition", f"is {next(wrong, typed[0])}; expected {self.expected}")
        return values

    def _parsed(self, typed: Sequence[str]) -> Tensor | None:
        """What :meth:`parse` makes of ``typed``; None where Python failed at it with a ValueError."""
        try:
            return self.parse(typed)
        except ValueError as error:
            if isinstance(error, BadInput) or is_told(error):
                raise
            return None

    def doubts(self, typed: Sequence[str]) -> list[str]:
        """What of that which a person ``typed`` lies far from all that the model has seen, a sentence each."""
        return []

    def named(self, values: Tensor) -> dict[str, list[Any]]:
        """``values`` as a person reads them: columns of an entry each, by name."""
        return {}

    def features(self, values: Tensor) -> Tensor:
        """Values as vectors with shape (n, width) for a network."""
        raise NotImplementedError(f"{type(self).__name__} makes no vectors of its values")

    def encoded(self, values: Tensor) -> Tensor:
        """Values as the model's network takes them: as they are, unless the kind has an encoder of its own."""
        return values

    def blend(self, start: Tensor, end: Tensor, t: float) -> Tensor:
        """Values a fraction ``t`` of the way from ``start`` to ``end``; ``start`` where none lie between."""
        return start.lerp(end, t) if self.continuous else start

    # --- sampling -----------------------------------------------------------------------------------------------------

    def draw(
        self, n: int, seeds: Seeds, model: object, values: Tensor | None = None, *, prior: Prior = "train"
    ) -> Tensor | None:
        """Those of the ``n`` samples that ``seeds`` name: the rows of ``values`` in turn, or drawn by ``prior``."""
        values = self.check(values, model)
        return None if values is None else values[torch.arange(seeds.first, seeds.first + n) % len(values)]

    def or_drawn(self, values: Tensor | None, uniform: Callable[[], Tensor], model: object) -> Tensor | None:
        """``values``, or in their place some as frequent as in the training data, by ``uniform`` numbers (n,)."""
        return self.check(values, model)

    def shown(self, n: int, batch: Batch) -> Tensor | None:
        """At most ``n`` values by which samples are looked at during training, which ``batch`` is a part of."""
        values = self.of(batch)
        return None if values is None else values[:n]

    # --- classifier-free guidance -------------------------------------------------------------------------------------

    def null(self, values: Tensor) -> Tensor:
        """What stands for the absence of a condition, one for each of ``values``."""
        raise BadInput("this model can be guided only away from something: pass negative, or guidance 1")

    def dropped(self, values: Tensor, u: Tensor, share: float) -> Tensor:
        """``values``, a ``share`` of which is the null condition, by numbers ``u`` uniform on [0, 1)."""
        return values.where((u >= share).reshape(-1, *[1] * (values.dim() - 1)), self.null(values))


@dataclass(frozen=True)
class NoCondition(Condition):
    """None; what goes with the examples passes the model by."""

    @classmethod
    def carried(cls, spec: DataSpec) -> DataSpec:
        """``spec`` of data that carry nothing."""
        return replace(
            spec,
            classes=(),
            class_counts=(),
            attributes=(),
            source=(),
            captions=False,
            vocabulary=None,
            covariates=(),
        )

    def check(self, values: Tensor | None, model: object) -> Tensor | None:
        return None

    def of(self, batch: Batch) -> Tensor | None:
        return None

    def labels(self, batch: Batch) -> Tensor | None:
        return batch.condition

    def draw(
        self, n: int, seeds: Seeds, model: object, values: Tensor | None = None, *, prior: Prior = "train"
    ) -> Tensor | None:
        return self.or_drawn(values, lambda: torch.empty(0), model)

    def or_drawn(self, values: Tensor | None, uniform: Callable[[], Tensor], model: object) -> Tensor | None:
        if values is not None:
            raise BadInput(f"this {called(model)} was trained without a condition and takes none")
        return None


@dataclass(frozen=True)
class Label(Condition):
    """One of several classes: indices, int64 with shape (n,)."""

    name, plural, option = "label", "labels", "label"
    names: tuple[str, ...]
    """Of the classes, in the order of their index."""
    counts: tuple[int, ...] = ()
    """Training examples of each; empty where they were not counted."""

    @classmethod
    def from_spec(cls, spec: DataSpec) -> Self | None:
        return cls(spec.classes, spec.class_counts if spec.counted else ()) if spec.classes else None

    @classmethod
    def carried(cls, spec: DataSpec) -> DataSpec:
        return replace(spec, classes=("a", "b"), class_counts=(1, 1))

    @property
    def noun(self) -> str:
        return "the class"

    @property
    def expected(self) -> str:
        return f"a class index from 0 to {self.classes - 1} each"

    @property
    def classes(self) -> int:
        return len(self.names)

    @property
    def choices(self) -> tuple[str, ...]:
        return self.names

    @property
    def width(self) -> int:
        return len(self.names)

    def labels(self, batch: Batch) -> Tensor | None:
        return batch.condition

    def valid(self, values: Tensor) -> bool:
        return not len(values) or bool(values.min() >= 0 and values.max() < self.classes)

    def parse(self, typed: Sequence[str]) -> Tensor:
        """Classes by name (case does not count), or by number where no class has a number for a name."""
        return torch.tensor([self._index(name) for name in typed])

    def _index(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        if name.isdecimal() and int(name) < self.classes and not any(map(_is_number, self.names)):
            return int(name)
        if len(alike := [i for i, each in enumerate(self.names) if each.casefold() == name.casefold()]) == 1:
            return alike[0]
        known = ", ".join(self.names[:12]) + (", ..." if self.classes > 12 else "")
        raise BadInput(
            f"there is no class {name!r}; " + (f"the classes are {known}" if self.names else "there are none")
        )

    def doubts(self, typed: Sequence[str]) -> list[str]:
        never = [name for name in dict.fromkeys(typed) if self.counts and not self.counts[self._index(name)]]
        return [f"no training example is of the class {name!r}: what is made of it is a guess" for name in never]

    def named(self, values: Tensor) -> dict[str, list[Any]]:
        return {"label": [self.names[i] for i in values.tolist()]}

    def features(self, values: Tensor) -> Tensor:
        return one_hot(values, self.classes)

    def frequencies(self, prior: Prior = "train") -> Tensor:
        """Probability of each class with shape (k,), float64; even where nobody counted the training examples."""
        counts = self.counts if prior == "train" and self.counts else [1] * self.classes
        weight = torch.tensor(counts, dtype=torch.float64)
        return weight / weight.sum()

    def drawn(self, u: Tensor) -> Tensor:
        """Classes of numbers uniform on [0, 1), each as often as in the training data."""
        edges = self.frequencies().cumsum(0)[:-1]
        return torch.bucketize(u.detach().cpu().double(), edges, right=True).to(u.device)

    def draw(
        self, n: int, seeds: Seeds, model: object, values: Tensor | None = None, *, prior: Prior = "train"
    ) -> Tensor | None:
        if values is not None:
            return super().draw(n, seeds, model, values)
        if prior == "even" or not self.counts:
            return torch.arange(seeds.first, seeds.first + n) % self.classes
        return self.drawn(SeededNoise(n, seeds.beside(CLASSES)).uniform())

    def or_drawn(self, values: Tensor | None, uniform: Callable[[], Tensor], model: object) -> Tensor | None:
        return self.drawn(uniform()) if values is None else self.check(values, model)

    def shown(self, n: int, batch: Batch) -> Tensor | None:
        return torch.arange(n) % self.classes

    def null(self, values: Tensor) -> Tensor:
        """The index after the last class, for which networks that are guided have an embedding."""
        return torch.full_like(values, self.classes)


@dataclass(frozen=True)
class Text(Condition):
    """A text: token ids, int64 with shape (n, vocabulary.length)."""

    name, plural, option, borrowed = "text", "captions", "prompt", True
    vocabulary: Vocabulary

    @classmethod
    def from_spec(cls, spec: DataSpec) -> Self | None:
        return cls(spec.vocabulary) if spec.captions and spec.vocabulary is not None else None

    @classmethod
    def carried(cls, spec: DataSpec) -> DataSpec:
        return replace(spec, captions=True, vocabulary=CLIPVocabulary())

    @property
    def noun(self) -> str:
        return "a text"

    @property
    def expected(self) -> str:
        return f"{self.vocabulary.length} token ids each"

    def valid(self, values: Tensor) -> bool:
        return values.shape[1:] == (self.vocabulary.length,)

    def column(self, data: Carrier) -> Tensor | None:
        return data.text

    def parse(self, typed: Sequence[str]) -> Tensor:
        """Prompts; one that is too long is refused with the words that do not fit."""
        return torch.cat([self.vocabulary.prompt(text) for text in typed])

    def doubts(self, typed: Sequence[str]) -> list[str]:
        rare = list(dict.fromkeys(word for text in typed for word in self.vocabulary.rare(text)))
        return [f"the training captions have {_quoted(rare)} at most once: the model cannot know it"] if rare else []

    def named(self, values: Tensor) -> dict[str, list[Any]]:
        return {"prompt": self.vocabulary.decode(values)}

    def null(self, values: Tensor) -> Tensor:
        """A text without words."""
        return self.vocabulary.encode([""]).to(values.device).expand(len(values), -1)


@dataclass(frozen=True)
class Covariates(Condition):
    """Numbers that go with an example: float64 with shape (n, len(columns))."""

    name, plural, option, continuous = "covariates", "covariates", "covariates", True
    source = "data.covariates"
    columns: tuple[str, ...]
    """Their names."""
    ranges: tuple[tuple[float, float], ...] = ()
    """Least and greatest training value of each; empty where nobody looked."""

    @classmethod
    def from_spec(cls, spec: DataSpec) -> Self | None:
        return cls(spec.covariates, spec.covariate_ranges) if spec.covariates else None

    @classmethod
    def carried(cls, spec: DataSpec) -> DataSpec:
        return replace(spec, covariates=("a",))

    @property
    def noun(self) -> str:
        return listed(self.columns)

    @property
    def expected(self) -> str:
        return "as many finite numbers each"

    @property
    def width(self) -> int:
        return len(self.columns)

    def valid(self, values: Tensor) -> bool:
        return values.shape[1:] == (self.width,) and bool(values.isfinite().all())

    def parse(self, typed: Sequence[str]) -> Tensor:
        """Numbers joined by commas."""
        return torch.stack([self._row(each) for each in typed])

    def _row(self, typed: str) -> Tensor:
        row = torch.tensor([float(v) if _is_number(v) else torch.nan for v in typed.split(",")], dtype=torch.float64)
        if len(row) != self.width or not row.isfinite().all():
            raise BadInput(f"the covariates are {typed!r}; expected {self.noun}, finite and joined by commas")
        return row

    def doubts(self, typed: Sequence[str]) -> list[str]:
        found = []
        for name, (low, high), values in zip(self.columns, self.ranges, self.parse(typed).T.tolist(), strict=False):
            worst = max(values, key=lambda value: max(low - value, value - high))
            if max(low - worst, worst - high) > high - low:  # farther out than the range is wide
                found.append(
                    f"{name} is {worst:g}, and in training it was from {low:g} to {high:g}: what is made so far from "
                    "there is a guess"
                )
        return found

    def named(self, values: Tensor) -> dict[str, list[Any]]:
        return {name: values[:, i].tolist() for i, name in enumerate(self.columns)}

    def features(self, values: Tensor) -> Tensor:
        return values


def choose(conditional: bool, spec: DataSpec, *kinds: type[Condition]) -> Condition:
    """The condition of a ``conditional`` model: the first of ``kinds`` that the data carry, or NoCondition.

    Without ``kinds`` it is any that becomes a vector, those defined last first.
    """
    if not conditional:
        return NoCondition()
    asked = kinds or [kind for kind in Condition.kinds if kind.features is not Condition.features]
    if (found := next((c for kind in asked if (c := kind.from_spec(spec)) is not None), None)) is None:
        wanted = " or ".join(kind.plural for kind in reversed(asked) if kind.plural)
        sentence = f"a conditional model needs {wanted} and the data carry none; see `genwerk data check`"
        raise BadInput(sentence + "".join(f", or set ‹{kind.source}›" for kind in asked if kind.source))
    return found


def _quoted(words: Sequence[str]) -> str:
    return f"the word{'s' if len(words) > 1 else ''} {', '.join(map(repr, words))}"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
