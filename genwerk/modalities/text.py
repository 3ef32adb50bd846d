"""Texts: token ids in order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.core.layout import SQUARE, Layout
from genwerk.core.modality import Modality
from genwerk.core.spec import Batch
from genwerk.modalities.rows import TABLES, write_table
from genwerk.modalities.writers import ending
from genwerk.nn.units import NetworkUnits


class Text(Modality, kind="text"):
    """Token ids, int64 with shape (length,), stored as int32."""

    plural = "texts"
    numeric = False

    @property
    def dtype(self) -> torch.dtype:
        return torch.int64

    def from_stored(self, x: Tensor) -> Tensor:
        return x.long()

    def to_stored(self, x: Tensor) -> Tensor:
        return x.to(torch.int32)

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        most = 1 if self.spec.vocabulary is None else self.spec.vocabulary.size
        return torch.randint(most, (n, *self.spec.shape), generator=generator, dtype=torch.int32)

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return NetworkUnits()

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """A table of token ids, of the targets where there are any."""
        return write_table(ending(stem, TABLES), *self.records([batch]))
