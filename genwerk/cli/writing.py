"""Files that a command's examples, values and pictures become: where they go, and in what form."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genwerk.commands.results import Examples, Scatter, Values
from genwerk.core.errors import BadInput, BadSetting

if TYPE_CHECKING:
    from genwerk.core.modality import Modality

UNWRITTEN = (
    *(".parquet", ".npy", ".pt", ".safetensors", ".json", ".txt", ".tsv", ".xlsx", ".zip", ".svg", ".pdf"),
    *(".gif", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".mp3", ".ogg", ".m4a", ".aiff", ".mp4"),
)
"""Ends of names that ask for what cannot be written, so that they are no part of a name."""


@dataclass(frozen=True)
class Files:
    """Files named ``what`` in the folder ``outputs``, or those that the user named as ``out``."""

    what: str
    outputs: Path
    out: str | None = None

    def examples(self, found: Examples) -> str:
        """What was written: examples with their origin inside, where a file has room for it.

        Values and folders are written a part at a time.
        """
        from genwerk import tasks
        from genwerk.modalities import writers

        (form, path), modality = self._target(found.spec.modality), found.spec.modality
        origin = {k: v for k, v in found.origin.items() if v is not None}
        if form == "table":
            return str(writers.write_table(path, *modality.records(found.parts)))
        shown = (part.shown for part in found.parts)
        if form == "values":
            return str(writers.write_values(path, shown, found.n))
        if form == "folder":
            i = first = origin.pop("first", 0)
            for one in (one for part in shown for one in part):
                modality.write_one(path / f"{i:05d}", one, {**origin, "index": i})
                i += 1
            return f"{i - first} {modality.plural} into {path}"
        if found.n > writers.LARGEST_SHEET and modality.one_per_file:
            raise BadInput(
                f"{found.n:,} are too many for one file, which holds {writers.LARGEST_SHEET:,}; have them as a folder "
                f"(‹out› {self.what}/) or as values (‹out› {self.what}.npz)"
            )
        return str(modality.write(path, tasks.joined(found.parts), origin, found.columns))

    def values(self, found: Values) -> Path:
        """The table that was written."""
        from genwerk.modalities import writers

        rows = found.rows.detach().cpu().flatten(1)
        return writers.write_table(self._beside(found.end), [f"x{i}" for i in range(rows.shape[1])], rows.tolist())

    def scatter(self, found: Scatter) -> Path:
        """The picture that was written."""
        from genwerk.modalities import writers

        path = writers.named(self._beside(".csv"), found.end)
        return writers.scatter(path, found.groups, found.origin, title=found.title)

    def _target(self, modality: Modality) -> tuple[Literal["values", "table", "folder", "examples"], Path]:
        """What is to be written, and where; a name's end counts where it can be written."""
        from genwerk.modalities import writers

        if self.out is None:
            return "examples", self.outputs / self.what
        path, several = Path(self.out), modality.one_per_file
        named = self.out.endswith(("/", os.sep))
        if several and not named and path.is_dir() and any(path.iterdir()):
            raise BadSetting(
                "out",
                f"is {self.out}, a folder that holds something; to put {modality.plural} there: ‹out› {self.out}/",
            )
        if named or path.is_dir():
            return ("folder", path) if several else ("examples", path / self.what)
        end = path.suffix.lower()
        if end == ".npz":
            return "values", path
        if end == ".csv":
            return "table", path
        if end in modality.endings:
            return "examples", path
        if end in writers.WRITTEN or end in UNWRITTEN:
            raise BadSetting(
                "out",
                f"is {self.out}, and {end} is not what these examples can be written as; expected "
                f"{', '.join((*modality.endings, '.csv', '.npz'))}" + (", or a folder (NAME/)" if several else ""),
            )
        return ("folder" if several else "examples"), path

    def _beside(self, end: str) -> Path:
        """Where a table or picture goes that is written beside examples, or in their place."""
        from genwerk.modalities import writers

        if self.out is None:
            return writers.named(self.outputs / self.what, end)
        path = Path(self.out)
        if path.suffix.lower() in UNWRITTEN:
            raise BadSetting("out", f"is {self.out}, and {path.suffix} cannot be written; expected .csv")
        return writers.named(path / self.what if self.out.endswith(("/", os.sep)) else path, end)
