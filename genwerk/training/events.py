"""What happens while a model is trained, as values: the command line, the log, the studio and tests all read these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from genwerk.core.spec import Batch
from genwerk.training.choice import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Where training stands."""

    stage: str
    """Name of the stage."""
    round: int
    """Rounds played so far, over all stages; those that a rollback undid count too, so this only ever rises."""
    examples: int
    """Training examples drawn so far, over all processes."""
    steps: Mapping[str, int]
    """Optimiser steps so far, by player."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDone(Event):
    """A round has been played; figures stay tensors on the device until somebody reads them."""

    metrics: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Event):
    """The model has shown what it can do: samples of fixed seeds, or reconstructions beside their originals."""

    what: str
    """samples or reconstructions."""
    batch: Batch
    """The samples, or the originals with their reconstructions as the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Event):
    """Figures of validation examples."""

    figures: Mapping[str, float]
    best: bool
    """Whether the one that chooses is the best of this stage so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved(Event):
    """A checkpoint is safely on disk."""

    path: Path
    best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDone(Event):
    """A stage has ended."""

    converged: bool
    """True when the algorithm said so itself; False when its rounds were used up, or its held-out figure got worse."""
    choice: Choice
    """Which of its rounds is the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Event):
    """A look at a game, in figures that tell whether it collapses."""

    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapsed(Event):
    """Training no longer leads anywhere."""

    reason: str
    """What was seen, in words."""
    action: Literal["rollback", "stop", "warn"]
    """What is done about it: go back, end training, or go on all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack(Event):
    """Weights, optimisers and position are again those of an earlier checkpoint; learning rate and noise are not."""

    to_round: int
    """The round after which that checkpoint was saved."""
    retry: int
    """How many rollbacks there have been, with this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """Training was asked to stop before its end, and has saved what it had."""
