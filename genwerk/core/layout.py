"""How examples stand in one picture: the columns of a sheet, and what is written beside rows, columns and examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """A sheet of examples, row by row; names are shortened, or wrapped, to the room that there is."""

    columns: int | None = None
    """Examples in a row; None is as many as make the sheet square."""
    row_names: Sequence[str] = ()
    """Headings at the left, one a row; empty for none."""
    column_names: Sequence[str] = ()
    """Headings at the top, one a column; empty for none."""
    captions: Sequence[str] = ()
    """What stands below each example; empty for nothing."""

    @property
    def bare(self) -> bool:
        """Whether nothing is written."""
        return not any((*self.row_names, *self.column_names, *self.captions))


SQUARE = Layout()
"""As many columns as rows, and no names."""
