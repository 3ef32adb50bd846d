"""Sources by string: what a name or a path means, and the one function that opens any of them."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from genwerk.core.errors import BadInput
from genwerk.core.files import open_regular
from genwerk.data import oracle, palette, phases, scenes, sprites, toys
from genwerk.data.amat import open_amat
from genwerk.data.arrays import images_found
from genwerk.data.attributes import in_file
from genwerk.data.dataset import Splits
from genwerk.data.folders import SUFFIXES, list_file, list_folder, list_zip, zip_contents
from genwerk.data.hub import open_hub, open_parquet
from genwerk.data.idx import is_idx, open_idx
from genwerk.data.images import Listing, open_pictures
from genwerk.data.indexed import is_indexed, open_indexed
from genwerk.data.json_tables import SUFFIXES as JSON
from genwerk.data.labelling import attributed, relabelled
from genwerk.data.memory import MEMORY, found_in
from genwerk.data.metadata import METADATA
from genwerk.data.npy import open_npy, open_npz
from genwerk.data.pairing import open_sides
from genwerk.data.parts import Found, check, like, split, tested_on
from genwerk.data.reading import existing, open_zip
from genwerk.data.settings import DataConfig
from genwerk.data.sounds import holds_sounds, open_sounds
from genwerk.data.tables import SUFFIXES as TABLES
from genwerk.data.tables import one_of_each, open_csv, text_columns
from genwerk.data.texts import SUFFIX as TEXT
from genwerk.data.texts import columns_found, open_gzipped, open_json, open_texts, zipped_texts
from genwerk.data.uci import SETS, is_uci, missing, open_uci

Reader = Callable[[Path, DataConfig], Found]


def open_data(settings: DataConfig, data: object = None) -> Splits:
    """Open ``settings.source`` and choose the parts for training, choosing weights and testing.

    ``data`` are the examples themselves (:func:`genwerk.data.memory.found_in`), in place of a source. The result says
    what was understood (``notes``, ``spec``) and what was left out (``skipped``). Raises ValueError with one sentence
    when the source is unknown, empty or unreadable.
    """
    check(settings)
    if data is not None:
        settings = replace(settings, source=MEMORY)
    if settings.to and data is not None:
        raise BadInput("‹to› names images beside those of another folder, and these data are in memory; save both")
    found, path = _found(settings) if data is None else (found_in(data, settings), None)
    if settings.labels:
        found = relabelled(found, settings)
    if in_file(settings.attributes):
        found = attributed(found, settings)
    if settings.test:
        other = like(replace(settings, source=settings.test), found.train.spec)
        found = tested_on(found, _found(other)[0], settings.test)
    splits = replace(split(found, settings), path=path)
    if settings.covariates and not splits.spec.covariates:
        raise BadInput(f"‹data.covariates› names columns of a table, and these data are {splits.spec}; leave it out")
    return splits if settings.palette is None else palette.apply(splits)


def _found(settings: DataConfig) -> tuple[Found, Path | None]:
    """What ``settings.source`` holds, and the path it names, if it names one."""
    source = settings.source
    if settings.to:
        return open_sides(settings, lambda side: _found(side)[0]), existing(source)
    if source == MEMORY:
        raise BadInput("these data were in memory and are stored nowhere: in Python, pass them again as data")
    if source in BUILT_INS:
        return BUILT_INS[source](settings), None
    if source.startswith("hf:"):
        return open_hub(source.removeprefix("hf:"), settings), None
    published = is_uci(source)
    path = existing(source.partition(":")[2] if published else source)
    if path is None:
        raise missing(source) if published else _unknown(source)
    try:
        if not path.is_dir():
            open_regular(path).close()  # a pipe or a device has no end
        found = open_uci(source, path, settings) if published else open_path(path, settings)
    except PermissionError as error:
        raise BadInput(
            f"{error.filename or path} may not be read; change its permissions or name another source"
        ) from None
    return found, path


def names_data(source: str) -> bool:
    """Whether ``source`` names data, which need not be there, and is no sentence: by what it is or looks like."""
    named = source in BUILT_INS or source == MEMORY or source.startswith("hf:") or is_uci(source)
    path = ("/" in source and not any(map(str.isspace, source))) or _reader(Path(source)) is not None
    return named or path or existing(source) is not None


def open_path(path: Path, settings: DataConfig) -> Found:
    """Open a file by its name or a folder by what is in it."""
    if path.is_dir():
        return _open_folder(path, settings)
    reader = _reader(path)
    if reader is None:
        raise BadInput(f"{path} is of no known kind; expected {_KINDS} or a folder of images, sounds or texts")
    return reader(path, settings)


def _reader(path: Path) -> Reader | None:
    if is_idx(path):
        return open_idx
    name = path.name.lower()
    if name.endswith(f"{TEXT}.gz"):
        return open_gzipped
    return open_table if name.endswith(TABLES) else READERS.get(path.suffix.lower())


def open_table(path: Path, settings: DataConfig) -> Found:
    """A table of numbers, or of texts where a column of them is named."""
    if not settings.text:
        return open_csv(path, settings)
    files = [file for file in one_of_each(path, TABLES) if file is not None]
    return columns_found([{**text_columns(file, lambda _: False)} for file in files], settings, name=str(path))


def _open_folder(path: Path, settings: DataConfig) -> Found:
    """A folder of idx, images, indexed images, sounds, train and test tables, or texts; or of one file to be opened."""
    files = sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith("."))
    if any(is_idx(f) and "images" in f.name for f in files):
        return open_idx(path, settings)
    if is_indexed(path):
        return open_indexed(path, settings)
    listing = list_folder(path, settings)
    if listing.train or listing.validation or listing.test:
        return _open_listing(listing, settings)
    if any(path.rglob("*.parquet")):
        return open_parquet(path, settings)
    readable = [f for f in files if f.name not in METADATA and _reader(f) not in (None, open_texts)]
    known = [f for f in readable if _reader(f) is not open_json]
    if not known and any(path.rglob(f"*{TEXT}")):
        return open_texts(path, settings)
    known = known or readable
    if len(known) == 1:
        found = open_path(known[0], settings)
        return replace(
            found, notes=(f"{known[0].name} is the one file in the folder that can be opened.", *found.notes)
        )
    if len(readers := {_reader(f) for f in known}) == 1 and readers <= {open_table, open_amat}:
        return readers.pop()(path, settings)  # type: ignore[misc]
    if known:
        raise BadInput(f"{path} holds {', '.join(f.name for f in known[:5])}; name the one you mean")
    kinds = Counter(f.suffix.lower() or "no suffix" for f in path.rglob("*") if f.is_file())
    seen = ", ".join(f"{count:,} files with {suffix}" for suffix, count in kinds.most_common(3)) or "nothing"
    raise BadInput(
        f"{path} holds no image, sound or text ({seen}); expected {', '.join(sorted({*SUFFIXES, TEXT}))} files in it "
        "or in its sub-folders"
    )


def _open_listing(listing: Listing, settings: DataConfig) -> Found:
    return open_sounds(listing, settings) if holds_sounds(listing) else open_pictures(listing, settings)


def _open_file(path: Path, settings: DataConfig) -> Found:
    return _open_listing(list_file(path, settings), settings)


def _open_zip(path: Path, settings: DataConfig) -> Found:
    with open_zip(path) as archive:
        listing = list_zip(path, archive, settings)
        if not listing.train:
            contents = zip_contents(path, archive)
            if not contents.files and contents.texts:
                found = zipped_texts(path, list(contents.texts.values()), settings)
                return replace(found, skipped=(*found.skipped, *contents.skipped))
            raise BadInput(
                f"{path} holds no image, sound or text that may be read; expected "
                f"{', '.join(sorted({*SUFFIXES, TEXT}))} files in it"
            )
        return _open_listing(listing, settings)


def _open_digits(settings: DataConfig) -> Found:
    """The 1,797 digits of 8x8 pixels and 17 levels that scikit-learn ships (UCI, Alpaydin and Kaynak 1998).

    The file is read directly, as importing scikit-learn takes longer than a small model's first epoch.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise BadInput("the digits come with scikit-learn, which is not installed; type: pip install scikit-learn")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        with gzip.open(file) as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    else:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        table = np.column_stack([bunch.data, bunch.target]).astype(np.uint8)
    x = table[:, :64].reshape(-1, 8, 8)
    note = "Handwritten digits of scikit-learn, 8 x 8 pixels of 17 levels."
    return images_found(x, None, table[:, 64], None, settings, name="digits", levels=17, notes=(note,))


def _unknown(source: str) -> BadInput:
    names = ", ".join(BUILT_INS)
    if not source:
        return BadInput(f"no data are named; type ‹data› with a built-in ({names}), a path or hf:NAME")
    if is_uci(f"{source}:"):
        return missing(f"{source}:")
    near = get_close_matches(source, BUILT_INS, n=2, cutoff=0.6)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"the built-ins are {names}; anything else must be a path, hf:NAME, or NAME:PATH of {', '.join(SETS)}"
    )
    return BadInput(f"there are no data {source!r}: no such path exists and no built-in has that name; {hint}")


BUILT_INS: dict[str, Callable[[DataConfig], Found]] = {
    "digits": _open_digits,
    **{name: lambda settings, name=name: toys.open_toy(name, settings) for name in toys.TOYS},  # type: ignore[misc]
    "phases": phases.open_phases,
    "sprites": sprites.open_sprites,
    "scenes": scenes.open_scenes,
    oracle.NAME: oracle.open_oracle,
}
"""Data that need no file, by name."""

READERS: dict[str, Reader] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".amat": open_amat,
    ".parquet": open_parquet,
    ".zip": _open_zip,
    TEXT: open_texts,
    **dict.fromkeys(JSON, open_json),
    **dict.fromkeys(SUFFIXES, _open_file),
}
"""How a file is opened, by the end of its name."""

_KINDS = "idx, .npy, .npz, .csv, .tsv, .amat, .parquet, .zip, .txt, .json, .jsonl, an image, a sound"
