"""Sounds: any sound file to samples, safely, and any set of recordings to examples of one rate and length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, gcd, isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genwerk.data import cache
from genwerk.data.dataset import FULL_SCALE, Data, Dataset, Skipped
from genwerk.data.images import Listing
from genwerk.data.images import Picture as File
from genwerk.data.parts import Found, index_labels
from genwerk.spec import DataSpec

SUFFIXES = frozenset({".wav", ".flac", ".ogg"})
"""File names that are taken for sounds, in any case."""
MAX_SAMPLES = 2**28
"""Samples, over all channels, above which a recording is refused from its header, without decoding."""
RATES = range(100, 768_001)
"""Samples a second that a recording may have, or be brought to."""
LONGEST = 600.0
"""Greatest length of an example in seconds that may be asked for."""
LONGEST_COMMON = 2.0
"""Greatest length in seconds that examples are given unless one is asked for."""
COMMON = 0.9
"""Share of the recordings that an example is long enough for, unless a length is asked for."""
CLIPPED = 0.01
"""Share of a recording's samples at full scale above which it counts as clipped."""


@dataclass(frozen=True)
class Header:
    """What a sound file's header says: samples of each channel, samples a second, and channels."""

    samples: int
    rate: int
    channels: int

    def at(self, rate: int) -> int:
        """Samples of each channel once brought to ``rate``."""
        return ceil(self.samples * rate / self.rate)


# --- One recording --------------------------------------------------------------------------------------------------


def probe(file: File) -> Header:
    """The header of ``file``; nothing is decoded."""
    import soundfile

    with file.open() as opened:
        if not opened.read(1):
            raise ValueError("it is empty")
        opened.seek(0)
        with soundfile.SoundFile(opened) as sound:
            header = Header(sound.frames, sound.samplerate, sound.channels)
    if header.samples < 1:
        raise ValueError("it holds no samples")
    if header.rate not in RATES:
        raise ValueError(f"its header claims {header.rate:,} samples a second, expected {RATES[0]:,} to {RATES[-1]:,}")
    if header.samples * header.channels > MAX_SAMPLES:
        raise ValueError(
            f"its header claims {header.samples * header.channels:,} samples, more than the {MAX_SAMPLES:,} allowed in "
            "a file"
        )
    return header


def decode(file: File, header: Header, rate: int) -> tuple[NDArray[np.float32], bool]:
    """Samples of ``file``, its channels averaged, at ``rate`` with shape (n,); and whether it is clipped.

    There are at most ``header.at(rate)``. Full scale is 1, which a resampled or floating-point recording may exceed.
    """
    import soundfile

    with file.open() as opened, soundfile.SoundFile(opened) as sound:
        x: NDArray[np.float32] = sound.read(header.samples, dtype="float32", always_2d=True)
    if not np.isfinite(x).all():
        raise ValueError("it holds values that are not finite numbers")
    clipped = bool((np.abs(x) >= FULL_SCALE / (FULL_SCALE + 1)).mean() > CLIPPED)
    mono = x[:, 0] if header.channels == 1 else x.mean(1)
    if header.rate != rate:
        from scipy.signal import resample_poly

        common = gcd(rate, header.rate)
        mono = resample_poly(mono, rate // common, header.rate // common)
    return mono, clipped


def pieces(samples: int, length: int) -> int:
    """How many examples of ``length`` a recording makes: the last is dropped when less than half full, never alone."""
    whole, rest = divmod(samples, length)
    return max(1, whole + (2 * rest >= length))


def cut(x: NDArray[np.float32], length: int) -> NDArray[np.int16]:
    """Consecutive pieces of ``x`` with shape (pieces, 1, length), the last filled up with silence.

    Samples of files of 16 bits stay as they are, but for -32768, which becomes -32767.
    """
    count = pieces(len(x), length)
    out = np.zeros(count * length, np.int16)
    kept = x[: len(out)] * (FULL_SCALE + 1)
    out[: len(kept)] = kept.round().clip(-FULL_SCALE, FULL_SCALE)
    return out.reshape(count, 1, length)


# --- Many recordings ------------------------------------------------------------------------------------------------


def holds_sounds(listing: Listing) -> bool:
    """Whether the files of ``listing``, which are of one kind, are sounds."""
    return any(f.name.lower().endswith(tuple(SUFFIXES)) for f in [*listing.train[:1], *listing.test[:1]])


def open_sounds(listing: Listing, settings: Data) -> Found:
    """Read every recording of ``listing`` that can be read, brought to one rate and cut or filled to one length.

    Where a random choice will have to be made (held-out part, limit) the recordings are read in random order, so that
    the choice is a slice of what may be a mapped file. The pieces of a recording stand together, so that one recording
    at most is in both parts.
    """
    _check(settings)
    train, test = list(listing.train), list(listing.test)
    shuffled = (not test and settings.holdout > 0) or settings.limit is not None
    if shuffled:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(settings.seed))
        train = [train[i] for i in order.tolist()]
    files = train + test
    x, facts = _read(files, settings, listing.name)
    owners: list[int] = facts["owners"]
    count = sum(i < len(train) for i in owners)
    if not count:
        raise ValueError(f"no training recording in {listing.name} can be used, only test recordings")

    kept = [[files[i] for i in part] for part in (owners[:count], owners[count:])]
    classes, conditions = index_labels(*([f.label for f in part] for part in kept))
    captions = all(f.caption is not None for part in kept for f in part)
    spec = DataSpec(
        kind="audio", shape=tuple(x.shape[1:]), sample_rate=facts["rate"], classes=classes, captions=captions
    )
    parts = [
        Dataset(x=samples, spec=spec, condition=c, captions=[f.caption or "" for f in part] if captions else None)
        for samples, c, part in zip(torch.from_numpy(x).split([len(k) for k in kept]), conditions, kept, strict=True)
    ]
    return Found(
        train=parts[0],
        test=parts[1] if kept[1] else None,
        skipped=listing.skipped + tuple(Skipped(*s) for s in sorted((files[i].name, r) for i, r in facts["lost"])),
        notes=(*listing.notes, *facts["notes"]),
        shuffled=shuffled,
    )


def _check(settings: Data) -> None:
    """Refuse a rate or length that no recording could be brought to."""
    rate, seconds = settings.rate, settings.seconds
    if rate is not None and rate not in RATES:
        raise ValueError(
            f"the rate is {rate:,} samples a second; it must be from {RATES[0]:,} to {RATES[-1]:,}, for example "
            "--data.rate 16000"
        )
    if seconds is not None and not (isfinite(seconds) and 0 < seconds <= LONGEST):
        raise ValueError(
            f"the length of an example is {seconds:g} seconds; it must be above 0 and at most {LONGEST:g}, for example "
            "--data.seconds 0.5"
        )


def _read(files: Sequence[File], settings: Data, name: str) -> tuple[NDArray[np.int16], dict[str, Any]]:
    """Examples with shape (m, 1, length), and what is known of them.

    ``owners`` holds the index of the file of every example, in order; ``lost`` the index of every file that has none,
    with the reason; ``rate`` samples a second; ``notes`` what was done.
    """
    known = [(f.name, f.size, f.stamp) for f in files]
    key = cache.key("sounds 1", name, known, settings.rate, settings.seconds, MAX_SAMPLES)
    if (hit := cache.load(key)) is not None:
        return hit[0][: len(hit[1]["owners"])], hit[1]
    lost: dict[int, str] = {}
    headers: dict[int, Header] = {}
    for i, file in enumerate(files):
        try:
            headers[i] = probe(file)
        except Exception as error:  # on a damaged file a decoder may raise anything
            lost[i] = _reason(error)
    if not headers:
        raise _nothing(name, files, lost)
    rate = settings.rate or _usual([h.rate for h in headers.values()])
    for i, header in list(headers.items()):
        if header.at(rate) > MAX_SAMPLES:
            lost[i] = f"at {rate:,} samples a second it would have more than the {MAX_SAMPLES:,} samples allowed"
            del headers[i]
    if not headers:
        raise _nothing(name, files, lost)
    length, note = _common_length([h.at(rate) for h in headers.values()], rate, settings)

    def fill(array: NDArray[np.int16]) -> dict[str, Any]:
        owners: list[int] = []
        clipped: list[int] = []
        for i, header in headers.items():
            try:
                x, harsh = decode(files[i], header, rate)
                if not (examples := cut(x, length)).any():
                    raise ValueError("it is silent throughout")
            except Exception as error:
                lost[i] = _reason(error)
                continue
            array[len(owners) : len(owners) + len(examples)] = examples
            owners += [i] * len(examples)
            clipped += [i] * harsh
        used = [headers[i] for i in sorted(set(owners))]
        notes = [_rate_note(used, rate, settings), note, *_notes(used, rate, length, len(owners))]
        if clipped:
            notes.append(
                f"{_count(len(clipped))} clipped: more than {CLIPPED:.0%} of the samples are at full scale (the first "
                f"is {files[clipped[0]].name})."
            )
        return {"owners": owners, "lost": sorted(lost.items()), "notes": notes, "rate": rate}

    shape = (sum(pieces(h.at(rate), length) for h in headers.values()), 1, length)
    array, facts = cache.build(key, shape, np.int16, fill)
    if not facts["owners"]:
        raise _nothing(name, files, lost)
    if array.nbytes > cache.LARGE:
        facts["notes"].append(f"The decoded sounds ({array.nbytes / 1e9:.1f} GB) are mapped from a cached file.")
    return array[: len(facts["owners"])], facts


def _usual(rates: Sequence[int]) -> int:
    """The rate that most recordings have; of several such, the highest."""
    counts = Counter(rates)
    return max(counts, key=lambda rate: (counts[rate], rate))


def _common_length(samples: Sequence[int], rate: int, settings: Data) -> tuple[int, str]:
    """Samples of an example for recordings of so many ``samples``, and a sentence that says why."""
    if settings.seconds is not None:
        length = round(settings.seconds * rate)
        if length < 2:
            raise ValueError(
                f"{settings.seconds:g} seconds are {length} samples at {rate:,} a second; ask for a longer example "
                "with --data.seconds"
            )
        return length, f"An example is {length:,} samples ({length / rate:.3g} s), as asked."
    if len(set(samples)) == 1 and samples[0] <= LONGEST_COMMON * rate:
        return samples[0], f"Every recording is {samples[0]:,} samples ({samples[0] / rate:.3g} s)."
    nine = int(np.quantile(samples, COMMON, method="inverted_cdf"))
    length = min(nine, round(LONGEST_COMMON * rate))
    why = "the length that nine in ten recordings do not exceed" if length == nine else "the longest unless asked for"
    return length, f"An example is {length:,} samples ({length / rate:.3g} s), {why}; choose with --data.seconds."


def _rate_note(used: Sequence[Header], rate: int, settings: Data) -> str:
    changed = sum(h.rate != rate for h in used)
    if not changed:
        return f"Every recording has {rate:,} samples a second."
    why = "as asked" if settings.rate else "the rate that most have; choose with --data.rate"
    return f"{_count(changed)} resampled to {rate:,} samples a second, {why}."


def _notes(used: Sequence[Header], rate: int, length: int, examples: int) -> list[str]:
    """What mixing, cutting and filling did to the recordings, a sentence each."""
    sizes = [h.at(rate) for h in used]
    notes = []
    if mixed := sum(h.channels > 1 for h in used):
        notes.append(f"{_count(mixed)} mixed from several channels to one.")
    if short := sum(n < length for n in sizes):
        notes.append(f"{_count(short)} shorter than an example and filled up with silence.")
    if long := sum(n > length for n in sizes):
        dropped = sum(n > length * pieces(n, length) for n in sizes)
        rest = f" The last piece of {dropped:,}, less than half full, is dropped." if dropped else ""
        notes.append(f"{_count(long)} longer and cut into consecutive pieces: {examples:,} examples in all.{rest}")
    return notes


def _count(recordings: int) -> str:
    return "1 recording is" if recordings == 1 else f"{recordings:,} recordings are"


def _nothing(name: str, files: Sequence[File], lost: dict[int, str]) -> ValueError:
    first = min(lost)
    return ValueError(
        f"none of the {len(files):,} recordings in {name} can be used; the first, {files[first].name}, fails because "
        f"{lost[first]}; open it in a sound editor and save it again as WAV, or name another folder"
    )


def _reason(error: Exception) -> str:
    """Why a recording cannot be used, as the end of a sentence."""
    if said := getattr(error, "error_string", None):  # libsndfile's own words
        return f"it cannot be decoded ({said.removeprefix('Error : ').rstrip('.')})"
    return str(error).strip().rstrip(".") or type(error).__name__
