"""Tensors in a file, as safetensors, and as rows of plain numbers."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from genwerk.core.files import flush, open_own

LISTED = 256
"""Rows that are plain numbers at once: these take some eight times the memory that they take in a tensor."""


def cells(parts: Iterable[Tensor]) -> Iterator[list[float]]:
    """The rows of ``parts``, each flattened to plain numbers."""
    for part in parts:
        for few in part.detach().cpu().flatten(1).split(LISTED):
            yield from few.tolist()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a new safetensors file, which others may read as they may any file that the user makes.

    Tensors must be contiguous and share no memory. safetensors itself makes its files readable by their owner alone.
    """
    with open_own(path, os.O_EXCL) as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    save_file(dict(tensors), path, None if metadata is None else dict(metadata))
    path.chmod(mode)
    with path.open("rb+") as file:
        flush(file)
