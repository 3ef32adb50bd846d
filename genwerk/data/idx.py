"""The idx format of MNIST (http://yann.lecun.com/exdb/mnist): a magic number, dimensions and bytes, often gzipped."""

from __future__ import annotations

import gzip
import re
import zlib
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadFile
from genwerk.core.files import open_regular
from genwerk.core.memory import afford
from genwerk.data.arrays import images_found
from genwerk.data.parts import Found
from genwerk.data.settings import DataConfig

_NAME = re.compile(r"images[-.]idx\d-ubyte(\.gz)?$|\.idx\d?(\.gz)?$", re.IGNORECASE)
DEFLATE = 1032
"""Greatest factor by which a gzipped file can grow when unpacked."""


def is_idx(path: Path) -> bool:
    """Whether the name is one under which idx images are kept."""
    return _NAME.search(path.name) is not None


def open_idx(path: Path, settings: DataConfig) -> Found:
    """An images file, or the images files of a folder (of which t10k or test is the test part), with their labels."""
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if "images" in f.name and is_idx(f))
    tests = [f for f in files if len(files) > 1 and re.search(r"t10k|test", f.name)]
    trains = [f for f in files if f not in tests]
    if len(trains) != 1 or len(tests) > 1:
        raise BadFile(
            f"{path} holds the idx image files {', '.join(f.name for f in files)}; expected one for training and at "
            "most one whose name says t10k or test; name the file you mean"
        )
    parts = [_part(f) for f in trains + tests]
    (x, y), (test_x, test_y) = parts[0], parts[1] if tests else (None, None)
    notes = () if y is not None else (f"There is no labels file beside {trains[0].name}.",)
    return images_found(x, test_x, y, test_y, settings, name=str(path), notes=notes)


def _part(images: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Images with shape (n, h, w) and, where a labels file is beside them, their labels with shape (n,)."""
    x = read_idx(images)
    if x.ndim not in (3, 4):
        raise BadFile(f"{images} has {x.ndim} dimensions; expected images, which have 3 (or 4 with colour)")
    name = re.sub(r"idx\d", "idx1", images.name.replace("images", "labels"))
    beside = [images.with_name(n) for n in (name, name.removesuffix(".gz"), name.removesuffix(".gz") + ".gz")]
    labels = next((f for f in beside if f != images and f.is_file()), None)
    y = read_idx(labels) if labels else None
    if y is not None and y.shape != x.shape[:1]:
        raise BadFile(f"{labels} has shape {y.shape}; expected one label for each of the {len(x):,} images")
    return x, y


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of unsigned bytes in ``path``, which is checked against the file's length before memory is taken."""
    stored = path.stat().st_size
    with open_regular(path) as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            return _read(cast(IO[bytes], gzip.open(raw)) if zipped else raw, path, stored, zipped)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadFile(f"{path} is damaged ({error}); download it again") from None


def _read(file: IO[bytes], path: Path, stored: int, zipped: bool) -> NDArray[np.uint8]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != 8 or not 1 <= magic[3] <= 4:
        raise BadFile(
            f"{path} begins with {magic.hex(' ') or 'nothing'}; expected 00 00 08 and the number of dimensions"
        )
    dims = file.read(4 * magic[3])
    if len(dims) < 4 * magic[3]:
        raise BadFile(f"{path} ends within its list of dimensions; download it again")
    shape = tuple(int(d) for d in np.frombuffer(dims, ">u4"))
    size, header = prod(shape), 4 + len(dims)
    if size == 0:
        raise BadFile(f"{path} has shape {shape}, so it holds no examples")
    if (size + header > DEFLATE * stored) if zipped else (size + header != stored):
        raise BadFile(
            f"{path} claims shape {shape}, that is {size + header:,} bytes, but the file is {stored:,} bytes long; "
            "download it again"
        )
    afford(size, str(path), "take fewer images, as a folder of image files or in several runs")
    values = np.empty(size, np.uint8)
    view, filled = values.data, 0
    while filled < size and (count := file.readinto(view[filled:])):  # type: ignore[attr-defined]
        filled += count
    if filled < size or file.read(1):
        raise BadFile(
            f"{path} holds {'less' if filled < size else 'more'} than its shape {shape} says; download it again"
        )
    return values.reshape(shape)
