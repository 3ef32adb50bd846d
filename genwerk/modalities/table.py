"""Tables: rows of numbers, each column with a meaning and a unit of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.core.modality import Modality
from genwerk.core.spec import Batch, DataSpec
from genwerk.modalities.writers import ending, scatter, write_table
from genwerk.nn.flows.preprocessing import Continuous, PixelTransform, Preprocessing
from genwerk.nn.units import NetworkUnits, Standardise


class Table(Modality, kind="table"):
    """Float64 with shape (d,), as numbers near a large offset (times, coordinates) would be one in float32."""

    plural = "rows"
    has_columns = True

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.endings = (".png",) if spec.dims == 2 else ()

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, *self.spec.shape, generator=generator)
        return noise.cumsum(-1).double()

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return Standardise(self.spec.shape)

    def preprocessing(self, pixels: PixelTransform) -> Preprocessing:
        return Continuous(self.units(), self.spec.columns)

    def features(self, x: Tensor) -> tuple[str, Callable[[Tensor], Tensor], tuple[Tensor, ...]]:
        """The columns themselves, each shifted and scaled to mean 0 and standard deviation 1 over ``x``."""
        x = x.double().cpu()
        mean, std = x.mean(0), x.std(0, correction=0)
        std = std.where(std > 0, 1.0)
        return f"{self.spec.dims} standardised columns", lambda x: (x - mean) / std, (mean, std)

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], columns: int | None = None) -> Path:
        """A scatter plot of two columns; of more, a table of the targets where there are any."""
        if self.spec.dims == 2:
            groups = {"examples": batch.x} if batch.target is None else {"originals": batch.x, "made": batch.target}
            return scatter(ending(stem, self.endings), groups, origin, names=self.spec.columns)
        return write_table(ending(stem, (".csv",)), [batch.shown], self.spec)
