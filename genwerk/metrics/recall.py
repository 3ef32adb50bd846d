"""Recall at k: how often a right answer is among the k most similar."""

from __future__ import annotations

import torch
from torch import Tensor


def alike(text: Tensor) -> Tensor:
    """Which of n texts are equal, boolean with shape (n, n), of their token ids with shape (n, l)."""
    which: Tensor = text.unique(dim=0, return_inverse=True)[1]
    return which[:, None] == which


def recall(similarity: Tensor, right: Tensor, k: int) -> Tensor:
    """The fraction of n queries that have a right answer among the ``k`` most similar, a scalar in [0, 1].

    The ``similarity`` of each query to each of m answers and whether that answer is ``right``, boolean, have shape
    (n, m). A query to which no answer is right counts as missed.
    """
    _check(k, right)
    return right.gather(1, similarity.topk(k, dim=1).indices).any(1).float().mean()


def chance(right: Tensor, k: int) -> Tensor:
    """The expected recall of answers in random order, a scalar in [0, 1]; ``right`` has shape (n, m)."""
    _check(k, right)
    answers, drawn = right.shape[1], torch.arange(k, device=right.device)
    wrong = answers - right.sum(1, keepdim=True)
    return 1 - ((wrong - drawn).clamp(min=0) / (answers - drawn)).prod(1).mean()


def _check(k: int, right: Tensor) -> None:
    if not 1 <= k <= right.shape[1]:
        raise ValueError(f"recall at {k} needs more than {right.shape[1]} answers; take 1 to {right.shape[1]}")
