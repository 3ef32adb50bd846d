"""Tables: rows of numbers, each column with a meaning and a unit of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.core.layout import SQUARE, Layout
from genwerk.core.modality import Modality
from genwerk.core.moments import Moments
from genwerk.core.printable import count
from genwerk.core.spec import Batch, DataSpec
from genwerk.modalities.rows import TABLES, write_table
from genwerk.modalities.writers import ending, scatter
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

    @classmethod
    def example(cls) -> DataSpec:
        return DataSpec(kind="table", shape=(3,), classes=("a", "b"), covariates=("y",))

    def describe(self) -> list[str]:
        return [f"a table of {count(self.spec.dims, 'column')}"]

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, *self.spec.shape, generator=generator)
        return noise.cumsum(-1).double()

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return Standardise(self.spec.shape)

    def preprocessing(self, pixels: PixelTransform) -> Preprocessing:
        return Continuous(self.units(), self.spec.columns)

    def features(self, train: Iterable[Tensor]) -> tuple[str, Callable[[Tensor], Tensor], tuple[Tensor, ...]]:
        """The columns themselves, each shifted and scaled to mean 0 and standard deviation 1 over ``train``."""
        found = Moments(train)
        mean, std = found.mean, found.std
        return f"{self.spec.dims} standardised columns", lambda x: (x - mean) / std, (mean, std)

    def records(self, parts: Iterable[Batch]) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """The columns of the user's own table in their order: whole numbers where it has such, labels by their names.

        Conditions are among them where the batches carry them.
        """
        spec, parts = self.spec, iter(parts)
        first = next(parts)
        names = [*super().records(())[0]]
        if first.condition is not None:
            labels = [name for name in spec.header if name not in names] or ["label"]
            names += spec.covariates or (labels[:1] if spec.classes else [])
        order = sorted(names, key=lambda name: spec.header.index(name) if name in spec.header else len(spec.header))

        def rows(batch: Batch) -> Iterator[Sequence[Any]]:
            columns = dict(zip(names, self._columns(batch), strict=True))
            return zip(*(columns[name] for name in order), strict=True)

        return order, chain.from_iterable(map(rows, chain([first], parts)))

    def _columns(self, batch: Batch) -> Iterator[list[Any]]:
        """The cells of each column, then those of the condition."""
        spec, x = self.spec, batch.shown.detach().cpu().flatten(1)
        for i in range(x.shape[1]):
            name = spec.columns[i] if spec.columns else ""
            whole = x[:, i].floor() if name in spec.jittered else x[:, i].round()
            exact = name in spec.integers and bool(whole.isfinite().all())
            yield [int(v) for v in whole.tolist()] if exact else x[:, i].tolist()
        if batch.condition is not None and spec.classes:
            yield [spec.classes[i] for i in batch.condition.tolist()]
        elif batch.condition is not None and spec.covariates:
            for column in batch.condition.T.tolist():
                yield [int(v) if v.is_integer() else v for v in column]

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """A scatter plot of two columns; of more, a table of the targets where there are any."""
        if self.spec.dims == 2:
            groups = {"examples": batch.x} if batch.target is None else {"originals": batch.x, "made": batch.target}
            return scatter(ending(stem, self.endings), groups, origin, names=self.spec.columns)
        return write_table(ending(stem, TABLES), *self.records([batch]))
