"""What is seen of a model while it is trained: samples to look at, and held-out examples that judge it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from zlib import crc32

import torch

from genwerk.core.abilities import Decodes, Encodes, Samples, Translates
from genwerk.core.model import Model, Stage
from genwerk.core.spec import Batch
from genwerk.data.dataset import Dataset
from genwerk.training.choice import JUDGES, Judged
from genwerk.training.settings import TrainConfig

SHOWN = 64
"""Examples in a picture made during training."""
EVALUATIONS = {True: 40, False: 10}
"""Evaluations in a stage by a figure that is steady, and by one that is of samples, if no number of rounds is set."""
FEWEST_ROUNDS = 20
"""Rounds between evaluations, at the least, if no number is set: patience over fewer would be with noise."""
SHARE = {True: 16, False: 20}
"""Examples that are trained on, at the least, for each by which a model is then judged: what bounds the cost of it."""

Judge = Callable[[Model, Dataset, Dataset], Judged]
"""Judges a part of the model by validation examples; the training examples beside them tell what is usual."""


class Judging:
    """Held-out evaluations by ``evaluate``, of the part of ``averaged()`` that a stage trains, on data as it sees them.

    ``evaluate`` None judges nothing. ``validation`` None judges by the data that are trained on.
    """

    def __init__(
        self,
        evaluate: Judge | None,
        data: Dataset,
        validation: Dataset | None,
        settings: TrainConfig,
        averaged: Callable[[], AbstractContextManager[Model]],
    ) -> None:
        self.evaluate, self.data, self.settings, self.averaged = evaluate, data, settings, averaged
        self.judges = (data if validation is None else validation).subset(JUDGES)
        self._views: tuple[int, Dataset, Dataset] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """What the examples hold, in a word."""
        found = 0
        for row in self.judges.x.cpu():
            found = crc32(row.contiguous().numpy(), found)
        return f"{found:08x}"

    def every(self, stage: Stage, steady: bool, batch_size: int) -> int:
        """Rounds between evaluations in ``stage``, by a figure that is ``steady`` or not; 0 while there are none."""
        if self.evaluate is None or not stage.judged:
            return 0
        if self.settings.evaluate_every is not None:
            return self.settings.evaluate_every
        cost = math.ceil(SHARE[steady] * len(self.judges) / batch_size)
        return max(FEWEST_ROUNDS, stage.rounds // EVALUATIONS[steady], cost)

    def judge(self, stage: Stage, index: int) -> tuple[Judged, int] | None:
        """What the examples, and how many of them, say in ``stage``, number ``index``; None where it is not judged."""
        if self.evaluate is None or not stage.judged:
            return None
        if self._views is None or self._views[0] != index:
            sees = stage.sees or (lambda data: data)
            with self.averaged():
                self._views = index, sees(self.judges), sees(self.data.subset(JUDGES))
        _, validation, train = self._views
        with self.averaged() as model:
            return self.evaluate(model if stage.part is None else stage.part, validation, train), len(validation)


def shown(model: Model, stage: Stage, data: Dataset, seed: int) -> tuple[str, Batch] | None:
    """What there is to look at of ``model`` in ``stage``: samples, or examples of ``data`` beside what it makes of
    their codes, or sources beside what it makes of these.

    While a part is trained that takes the data as they are, before another learns its codes, it is that part's.
    """
    first = None if stage.sees is not None else stage.part
    if first is None and isinstance(model, Samples):
        rows = torch.arange(min(SHOWN, len(data)), device=data.device)
        condition = model.condition.shown(SHOWN, data.batch(rows))
        condition = None if condition is None else condition.to(model.device)
        n = SHOWN if condition is None else len(condition)
        return "samples", Batch(model.sample(n, condition, seed=seed), condition)
    if isinstance(model, Translates):
        return "translations", model.translated(data.subset(SHOWN).batch().to(model.device), seed=seed)
    coder = model if first is None else first
    if isinstance(coder, Encodes) and isinstance(coder, Decodes):
        x = data.batch(slice(SHOWN)).x.to(model.device)
        return "reconstructions", Batch(x, target=coder.decode(coder.encode(x)))
    return None
