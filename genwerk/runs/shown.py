"""What a model made, as people use it in Python: a tensor, an array, a file, and a picture or table in a notebook."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

import numpy as np
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.files import check_numbers_free, check_replaceable, numbered
from genwerk.core.html import player, table
from genwerk.core.layout import Layout
from genwerk.core.printable import count
from genwerk.core.spec import Batch, DataSpec
from genwerk.modalities.rows import ARRAYS, TABLES, write_array, write_table
from genwerk.modalities.writers import end_of

PLAYERS, ROWS = 16, 20
"""Most sounds, and rows of a table, that a notebook shows."""


@dataclass(frozen=True, eq=False, repr=False)
class Shown:
    """Examples that a model made, or was shown: with a length, rows, and what goes with them.

    A notebook shows them as a sheet, with players, or as a table. ``numpy.asarray`` and ``torch.as_tensor`` take them,
    and so do verbs.
    """

    batch: Batch
    """The examples; those that they were made of stand before their targets."""
    spec: DataSpec
    columns: int | None = None
    """Examples in a row of a sheet; None is as many as make it square."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """How they came about."""
    figures: Mapping[str, Tensor] = field(default_factory=dict)
    """What was found of them, an entry each."""

    @property
    def x(self) -> Tensor:
        """What was made, in the units of the data, with shape (n, *spec.shape)."""
        return self.batch.shown

    @property
    def originals(self) -> Tensor | None:
        """What it was made of, where it was made of examples."""
        return None if self.batch.target is None else self.batch.x

    @property
    def labels(self) -> list[str] | None:
        """Names of their classes, where they have any."""
        if self.batch.condition is None or not self.spec.classes or self.batch.condition.dim() != 1:
            return None
        return [self.spec.classes[i] for i in self.batch.condition.tolist()]

    @property
    def texts(self) -> list[str]:
        """What they say, where they can be read."""
        return self.spec.modality.lines(self.x)

    @property
    def layout(self) -> Layout:
        """How they stand in a sheet: with their classes below them, where these differ."""
        labels = self.labels or []
        return Layout(self.columns, captions=labels if len(set(labels)) > 1 and self.batch.target is None else ())

    def table(self) -> dict[str, list[Any]]:
        """Columns by name, with what goes with each example: ``pandas.DataFrame(samples.table())``."""
        names, rows = self.spec.modality.records([self.batch])
        return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write them as the end of ``path`` says: a sheet (.png), sounds (.wav), a table (.csv), an array (.npy); into
        a folder (NAME/) one by one, where they make files of their own.

        A file that is there is replaced only with ``overwrite``; else it is a BadInput.
        """
        where, modality = Path(path), self.spec.modality
        if modality.one_per_file and (str(path).endswith(("/", os.sep)) or where.is_dir()):
            check_numbers_free(where, range(len(self)), overwrite)
            for i, one in enumerate(self.x):
                modality.write_one(where / numbered(i), one, {**self.origin, "index": i})
            return where
        end = end_of(where)
        if end not in (*modality.endings, *TABLES, *ARRAYS):
            ends = ", ".join((*modality.endings, *TABLES, *ARRAYS))
            folder = ", or a folder (NAME/)" if modality.one_per_file else ""
            raise BadInput(f"{modality.plural} cannot be saved as {path}; expected a name that ends in {ends}{folder}")
        check_replaceable(where, overwrite)
        if end in modality.endings:
            return modality.write(where, self.batch, self.origin, self.layout)
        if end in ARRAYS:
            return write_array(where, [self.x], len(self))
        return write_table(where, *modality.records([self.batch]))

    # --- as a sequence and an array -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.batch)

    @overload
    def __getitem__(self, which: int) -> Tensor: ...
    @overload
    def __getitem__(self, which: slice) -> Shown: ...
    def __getitem__(self, which: int | slice) -> Tensor | Shown:
        """One example, with shape (*spec.shape), or some of them."""
        if isinstance(which, slice):
            figures = {name: values[which] for name, values in self.figures.items()}
            return replace(self, batch=self.batch[which], figures=figures)
        return self.x[which]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.x)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.x.detach().cpu().numpy(), dtype)

    def __dlpack__(self, **asked: Any) -> Any:
        return self.x.detach().__dlpack__(**asked)

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()

    # --- in a notebook ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        figures = "".join(f", {name} {tuple(values.shape)}" for name, values in self.figures.items())
        return f"{count(len(self), 'example')}: {self.spec}{figures}"

    def _repr_png_(self) -> bytes | None:
        modality = self.spec.modality
        with TemporaryDirectory() as folder:
            path = Path(folder) / "shown.png"
            if path.suffix in modality.endings:
                modality.write(path, self.batch, self.origin, self.layout)
            elif modality.drawn:
                modality.draw(path, self.batch, self.origin, self.layout)
            return path.read_bytes() if path.exists() else None

    def _repr_html_(self) -> str | None:
        modality = self.spec.modality
        if ".png" in modality.endings:
            return None
        if modality.one_per_file:
            picture = self._repr_png_()
            above = f"<div>{player('image/png', picture)}</div>" if picture else ""
            return above + "".join(self._players())
        names, rows = modality.records([self.batch])
        return table(names, [[_cell(v) for v in row] for row in islice(rows, ROWS)], more=len(self) - ROWS)

    def _players(self) -> Iterator[str]:
        """Each of the first examples as what a browser plays."""
        with TemporaryDirectory() as folder:
            for i, one in enumerate(self.x[:PLAYERS]):
                file = self.spec.modality.write_one(Path(folder) / f"{i}", one, {})
                yield player(mimetypes.guess_type(file)[0] or "", file.read_bytes())


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
