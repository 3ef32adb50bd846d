"""What a trainer keeps to go on from, and what it asks of the place where that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from genwerk.core.errors import BadFile
from genwerk.core.model import Model


@dataclass(frozen=True)
class TrainerState:
    """What the trainer needs to go on: figures (JSON), averaged weights by name, and optimiser tensors."""

    figures: dict[str, Any]
    averages: dict[str, Tensor]
    tensors: dict[str, Tensor]
    where: str = "the checkpoint"
    """Where it was read, for messages."""


class Checkpointer(Protocol):
    """Keeps the checkpoints of one run; a run folder does it in files (``genwerk.runs.store.Checkpoints``)."""

    def save(self, model: Model, state: TrainerState, score: float | None = None) -> Path:
        """Keep a whole checkpoint, and say where.

        ``score`` is its held-out figure, if it was measured on these weights and beats all before it in its stage.
        """
        ...

    def newest(self) -> Path | None:
        """The newest checkpoint that is intact."""
        ...

    def home(self, round: int) -> Path | None:
        """The checkpoint of ``round``; the best or the newest where that is gone or damaged."""
        ...

    def round_of(self, checkpoint: Path) -> int:
        """The round after which a checkpoint was saved."""
        ...

    def load_weights(self, checkpoint: Path, *, averaged: bool = True) -> dict[str, Tensor]:
        """The model's state, with its averaged weights where the run keeps them; a BadFile where it is another's."""
        ...

    def load_state(self, checkpoint: Path) -> TrainerState:
        """What :meth:`save` was given; the trainer compares it with its players."""
        ...


def check_tensor(tensor: Tensor, like: Tensor, where: str) -> None:
    """Raise BadFile unless ``tensor`` has the shape and kind of number of ``like``, and all of it is finite."""
    if tensor.shape != like.shape:
        raise BadFile(f"{where} has shape {tuple(tensor.shape)}; expected {tuple(like.shape)}")
    if tensor.dtype != like.dtype and not (tensor.is_floating_point() and like.is_floating_point()):
        raise BadFile(f"{where} holds {tensor.dtype}; expected {like.dtype}")
    if tensor.is_floating_point() and not tensor.isfinite().all():
        raise BadFile(f"{where} is not finite")
