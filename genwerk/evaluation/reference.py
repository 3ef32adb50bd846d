"""What models are measured beside: real examples, and the features of these and of noise, found once for all models."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from genwerk.core.batching import budget
from genwerk.core.errors import BadInput
from genwerk.data.dataset import Dataset, Splits
from genwerk.evaluation.samples import common_pace, features_of, noise
from genwerk.metrics.features import Extractor
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.runtime import ALONE, Runtime

T = TypeVar("T")

Steps = Iterator[tuple[int, int]]
"""A step of an evaluation: how many examples are behind it, and of how many."""
LARGEST = 100_000
"""Training examples at most among which the nearest ones are sought."""
CPU = torch.device("cpu")


class Beside:
    """The data that models are measured beside, and what is found of them, once for all models alike.

    An :class:`~genwerk.evaluation.evaluate.Evaluation` makes its own, or is handed one that others have used before it,
    with the same figures.
    """

    depends: ClassVar[tuple[str, ...]] = ("examples", "seed", "reference")
    """The settings on which it depends."""

    def __init__(self, splits: Splits, settings: EvaluateConfig) -> None:
        self.splits, self.settings = splits, settings
        self._known = dict[Hashable, Any]()

    def check(self, splits: Splits, settings: EvaluateConfig) -> None:
        """That it is of these data and settings; a BadInput says what differs."""
        if (found := splits.fingerprints) != self.splits.fingerprints:
            raise BadInput(f"the reference is of other data: {self.splits.fingerprints}; these are {found}")
        for name in self.depends:
            ours, theirs = (getattr(each, name) for each in (self.settings, settings))
            if ours != theirs:
                raise BadInput(f"the reference was found with ‹{name}› {ours}; this evaluation has {theirs}")

    @property
    def against_test(self) -> bool:
        """Whether samples are compared with the test part, and not with the training part."""
        return self.settings.reference == "test"

    @property
    def separate(self) -> bool:
        """Whether there are examples that the training part does not hold."""
        return self.splits.test is not self.splits.train

    def once(self, key: Hashable, find: Callable[[], T]) -> T:
        """What ``find`` finds of the data here, found the first time it is asked for by that key."""
        if key not in self._known:
            self._known[key] = find()
        found: T = self._known[key]
        return found


class Reference(Beside):
    """Features of the test part, of the training part and of noise, in those of ``extractor``.

    Rows are in a random order, so that the first of them are a random subset. The processes of ``runtime`` share the
    work.
    """

    depends = (*Beside.depends, "features")

    def __init__(
        self, splits: Splits, settings: EvaluateConfig, extractor: Extractor, runtime: Runtime = ALONE
    ) -> None:
        super().__init__(splits, settings)
        self.extractor, self.runtime = extractor, runtime
        self.train_rows, self.test_rows = (part.order(settings.seed) for part in (splits.train, splits.test))
        self.test = self.train = self.noise = torch.empty(0)

    @property
    def held_out(self) -> Tensor:
        """Features of the test examples that are measured on."""
        return self.test[: self.settings.examples]

    @property
    def real(self) -> Tensor:
        """Features of the real examples that samples are compared with."""
        return self.held_out if self.against_test else self.train[: self.settings.examples]

    def floor(self, n: int) -> Tensor:
        """Features of ``n`` real examples of the other part, or of as many as it has."""
        return (self.train if self.against_test else self.test)[:n]

    def preparing(self, made: int, rebuilt: int) -> Steps:
        """Find all features that so many samples and reconstructions are compared with, but for those there are."""
        splits, examples = self.splits, self.settings.examples
        train, test = (0 if self.against_test else examples, 0 if self.against_test else made) if made else (0, 0)
        test = min(len(splits.test), max(test, examples))
        train = min(len(splits.train), max(train, made))
        if made and self.separate and len(self.train) < train:
            train = self._affordable(train)
        noisy = max(made, rebuilt)
        wanted: dict[str, tuple[int, Callable[[], Iterator[Tensor]]]] = {
            "test": (test, lambda: self._features(splits.test, self.test_rows[:test])),
            "train": (train, lambda: self._features(splits.train, self.train_rows[:train])),
            "noise": (noisy, lambda: self._noise(self.runtime.share(noisy))),
        }
        missing = {name: each for name, each in wanted.items() if len(getattr(self, name)) < each[0]}
        done, total = 0, sum(len(self.runtime.share(rows)) for rows, _ in missing.values())
        yield 0, total
        for name, (_, features) in missing.items():
            parts = list[Tensor]()
            for part in features():
                parts.append(part)
                done += len(part)
                yield done, total
            setattr(self, name, self.runtime.gather(torch.cat(parts))[0])

    def _features(self, data: Dataset, rows: Tensor) -> Iterator[Tensor]:
        """Of this process's share of the ``rows``."""
        own = self.runtime.share(len(rows))
        return features_of(self.extractor, data, rows[own.start : own.stop])

    def _noise(self, rows: range) -> Iterator[Tensor]:
        made = noise(self.splits.train, len(rows), self.settings.seed, start=rows.start)
        return map(self.extractor, made)

    def _affordable(self, least: int) -> int:
        """All training examples, unless they are more than memory, :data:`LARGEST` or the minutes there are allow."""
        train, rows = self.splits.train, self.train_rows
        values = next(features_of(self.extractor, train, rows[:1])).shape[1]
        fits = int(self.runtime.agree(budget(CPU) // (8 * values)))  # twice: neighbours are sought in a copy
        most = min(len(train), LARGEST, fits)

        def some(n: int) -> None:
            for _ in features_of(self.extractor, train, rows[:n]):
                pass

        pace = common_pace(some, max(most, least), self.settings.minutes, self.runtime)
        return max(least, min(most, pace.rows))
