"""Sounds: any sound file to samples, safely, and any set of recordings to examples of one rate and length."""

from __future__ import annotations

import os
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, gcd, isfinite
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genwerk.core.errors import BadInput
from genwerk.core.printable import count
from genwerk.core.spec import DataSpec
from genwerk.data import cache
from genwerk.data.dataset import Skipped
from genwerk.data.images import Listing, by_part, described, origins, usable_parts
from genwerk.data.parts import Found
from genwerk.data.picture import Picture as File
from genwerk.data.reading import Unusable, decoding
from genwerk.data.settings import DataConfig
from genwerk.modalities.writers import FULL_SCALE

if TYPE_CHECKING:
    from soundfile import SoundFile

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc"})
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
BLOCK = 2**23
"""Samples, over all channels, that are decoded at a time."""
INTEGERS = (2**15, 2**23, 2**31)
"""Full scales of floating-point recordings whose values are those of integers."""
LOUDEST = 256
"""Greatest peak of a floating-point recording whose full scale is 1; it is scaled down to 1."""
CANCELS = 0.01
"""Share of the loudest channel's energy below which the average of all channels counts as cancelled."""
UNKNOWN = 2**31 - 2**16
"""Bytes of sound from which a header that promises them was written before its length was known."""


@dataclass(frozen=True)
class Header:
    """What a sound file's header says: samples of each channel, samples a second, and channels.

    ``cut`` is whether it promises more than the file holds.
    """

    samples: int
    rate: int
    channels: int
    cut: bool = False

    def at(self, rate: int) -> int:
        """Samples of each channel once brought to ``rate``."""
        return ceil(self.samples * rate / self.rate)


# --- One recording --------------------------------------------------------------------------------------------------


def probe(file: File) -> Header:
    """The header of ``file``; nothing is decoded."""
    with _opened(file) as (sound, cut):
        header = Header(sound.frames, sound.samplerate, sound.channels, cut)
    if header.samples < 1:
        raise Unusable("it holds no samples")
    if header.rate not in RATES:
        raise Unusable(f"its header claims {header.rate:,} samples a second, expected {RATES[0]:,} to {RATES[-1]:,}")
    if header.samples * header.channels > MAX_SAMPLES:
        raise Unusable(
            f"its header claims {header.samples * header.channels:,} samples, more than the {MAX_SAMPLES:,} allowed in "
            "a file"
        )
    return header


@contextmanager
def _opened(file: File) -> Iterator[tuple[SoundFile, bool]]:
    """The recording in ``file``, of which only the header is read, and whether it promises more than there is."""
    import soundfile

    with decoding():
        opened = file.open()
    with opened:
        with decoding(), _quiet(file):
            cut = _is_cut(opened)
            sound = soundfile.SoundFile(_Forgiving(opened))
        with sound:
            yield sound, cut


class _Forgiving:
    """A file as libsndfile reads it, which cannot be told of a place that is none and asks for those of bad headers."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.readinto, self.tell = file.read, file.readinto, file.tell  # type: ignore[attr-defined]
        self._seek = file.seek

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, or stay where there is no such place."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


@contextmanager
def _quiet(file: File) -> Iterator[None]:
    """Around calls of libsndfile: of an MP3 it writes every odd frame to the terminal, and cannot be told not to."""
    if not file.name.lower().endswith(".mp3"):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _is_cut(opened: IO[bytes]) -> bool:
    """Whether the chunk of samples of a WAV or AIFF ends before it says; libsndfile passes over that."""
    length = opened.seek(0, os.SEEK_END)
    opened.seek(0)
    head = opened.read(12)
    order, wanted = (">", b"SSND") if head[:4] == b"FORM" else ("<", b"data")
    cut = False
    if not head:
        raise Unusable("it is empty")
    while head[:4] in (b"RIFF", b"FORM") and len(chunk := opened.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", chunk)
        start = opened.tell()
        if name == wanted:
            cut = length - start < size < UNKNOWN
            break
        opened.seek(start + size + size % 2)
    opened.seek(0)
    return cut


@dataclass(frozen=True)
class Heard:
    """What is to be known of a recording as a whole before it is brought to one channel and full scale."""

    samples: int
    """Samples of each channel that there are."""
    peak: float
    scale: float
    """The value that becomes 1."""
    clipped: bool
    channel: int | None
    """The loudest channel where the average of all would cancel most of it, else None."""


def listen(blocks: Iterable[NDArray[np.float32]]) -> Heard:
    """Go through ``blocks`` with shape (n, channels)."""
    samples = loud = 0
    peak, whole = 0.0, True
    together: Any = 0.0
    apart: Any = 0.0
    for x in blocks:
        if not np.isfinite(x).all():
            raise Unusable("it holds values that are not finite numbers")
        size = np.abs(x)
        samples += len(x)
        loud += int((size >= FULL_SCALE / (FULL_SCALE + 1)).sum())
        peak = max(peak, float(size.max(initial=0)))
        whole = whole and bool((x == np.rint(x)).all())
        if x.shape[1] > 1:
            together += np.square(x.mean(1, dtype=np.float64)).sum()
            apart += np.square(x, dtype=np.float64).sum(0)
    scale = 1.0
    if peak > 1:
        integers = whole or peak > LOUDEST
        scale = next((float(full) for full in INTEGERS if peak <= full), peak) if integers else peak
    channels = np.size(apart)
    cancels = channels > 1 and together < CANCELS * np.max(apart)
    clipped = peak <= 1 and loud > CLIPPED * samples * channels
    return Heard(samples, peak, scale, clipped, int(np.argmax(apart)) if cancels else None)


def decode(file: File, header: Header, rate: int) -> tuple[NDArray[np.int16], Heard]:
    """Samples of ``file`` at ``rate``, its channels averaged, of at most ``header.at(rate)``; and what they were."""
    short = header.samples * header.channels <= BLOCK
    kept = list(_blocks(file, header)) if short else None
    heard = listen(kept or _blocks(file, header))
    mono = (
        (x.mean(1) if heard.channel is None else x[:, heard.channel]) / np.float32(heard.scale)
        for x in kept or _blocks(file, header)
    )
    out, filled = np.zeros(header.at(rate), np.int16), 0
    for x in mono if header.rate == rate else _resampled(mono, header.rate, rate):
        out[filled : filled + len(x)] = quantise(x)
        filled += len(x)
    return out[:filled], heard


def _blocks(file: File, header: Header) -> Iterator[NDArray[np.float32]]:
    """The samples of ``file`` with shape (n, channels), so many at a time as memory is given for."""
    with _opened(file) as (sound, _):
        left = header.samples
        while left:
            with decoding(), _quiet(file):
                x = sound.read(min(left, max(BLOCK // header.channels, 1)), dtype="float32", always_2d=True)
            if not len(x):
                return
            left -= len(x)
            yield x


def _resampled(blocks: Iterable[NDArray[np.float32]], rate: int, wanted: int) -> Iterator[NDArray[np.float32]]:
    """One channel at another rate, a block at a time; blocks overlap by what the filter reaches."""
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    up, down = wanted // common, rate // common
    reach = down * (ceil(10 * max(up, down) / (up * down)) + 1)  # resample_poly's filter, in whole periods
    held, lead = np.zeros(0, np.float32), 0
    for block in blocks:
        done = lead + max(0, (len(held) - lead - reach) // down * down)
        if done > lead:
            yield resample_poly(held[: done + reach], up, down)[lead * up // down : done * up // down]
            held, lead = held[max(done - reach, 0) :], min(reach, done)
        held = np.concatenate([held, block])
    yield resample_poly(held, up, down)[lead * up // down :]


def quantise(x: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples in [-1, 1], which a resampled recording may exceed, in 16 bits.

    Those of files of 16 bits come back as they were, but for -32768, which becomes -32767.
    """
    return (x * (FULL_SCALE + 1)).round().clip(-FULL_SCALE, FULL_SCALE).astype(np.int16)


def pieces(samples: int, length: int, first: bool = False) -> int:
    """How many examples of ``length`` a recording makes: the last is dropped when less than half full, never alone.

    With ``first`` it is one.
    """
    whole, rest = divmod(samples, length)
    return 1 if first else max(1, whole + (2 * rest >= length))


def cut(x: NDArray[np.int16], length: int, first: bool = False) -> NDArray[np.int16]:
    """Consecutive :func:`pieces` of ``x`` with shape (pieces, 1, length), the last filled up with silence."""
    n = pieces(len(x), length, first)
    out = np.zeros(n * length, np.int16)
    out[: len(x)] = x[: len(out)]
    return out.reshape(n, 1, length)


# --- Many recordings ------------------------------------------------------------------------------------------------


def holds_sounds(listing: Listing) -> bool:
    """Whether the files of ``listing``, which are of one kind, are sounds."""
    return any(
        f.name.lower().endswith(tuple(SUFFIXES))
        for f in [*listing.train[:1], *listing.validation[:1], *listing.test[:1]]
    )


def open_sounds(listing: Listing, settings: DataConfig) -> Found:
    """Read every recording of ``listing`` that can be read, brought to one rate and cut or filled to one length.

    The pieces of a recording, and copies of it, are known by its file, and so are in one part.
    """
    _check(settings)
    parts = usable_parts(listing)
    files = [f for part in parts.values() for f in part]
    x, facts, mapped = _read(files, settings, listing.name)
    kept = by_part(parts, facts["owners"])
    if not kept["train"]:
        raise BadInput(f"no training recording in {listing.name} can be used, only test recordings")
    skipped = [Skipped(files[i].name, reason) for i, reason in facts["lost"]]
    return Found(
        **described(x, kept, DataSpec(kind="audio", shape=tuple(x.shape[1:]), sample_rate=facts["rate"])),
        origins=origins(kept, mapped, settings),
        skipped=tuple(sorted((*listing.skipped, *skipped), key=lambda s: s.name)),
        notes=(*listing.notes, *facts["notes"]),
        mapped=mapped,
    )


def _check(settings: DataConfig) -> None:
    """Refuse a rate or length that no recording could be brought to."""
    rate, seconds = settings.rate, settings.seconds
    if rate is not None and rate not in RATES:
        raise BadInput(
            f"the rate is {rate:,} samples a second; it must be from {RATES[0]:,} to {RATES[-1]:,}, for example "
            "‹data.rate› 16000"
        )
    if seconds is not None and not (isfinite(seconds) and 0 < seconds <= LONGEST):
        raise BadInput(
            f"the length of an example is {seconds:g} seconds; it must be above 0 and at most {LONGEST:g}, for example "
            "‹data.seconds› 0.5"
        )


def _read(
    files: Sequence[File], settings: DataConfig, name: str
) -> tuple[NDArray[np.int16], dict[str, Any], str | None]:
    """Examples with shape (m, 1, length), and what is known of them.

    ``owners`` holds the index of the file of every example, in order; ``lost`` the index of every file that has none,
    with the reason; ``rate`` samples a second; ``notes`` what was done.
    """
    known, first = [(f.name, f.size, f.stamp) for f in files], settings.first_piece
    key = cache.key("sounds 3", name, known, settings.rate, settings.seconds, first, MAX_SAMPLES)
    if (hit := cache.load(key)) is not None:
        return hit[0][: len(hit[1]["owners"])], hit[1], key
    lost: dict[int, str] = {}
    headers: dict[int, Header] = {}
    for i, file in enumerate(files):
        try:
            headers[i] = probe(file)
        except Unusable as error:
            lost[i] = str(error)
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
        heard: dict[int, Heard] = {}
        for i, header in headers.items():
            try:
                x, known = decode(files[i], header, rate)
                if not (examples := cut(x, length, first)).any():
                    raise Unusable("it is silent throughout")
            except Unusable as error:
                lost[i] = str(error)
                continue
            array[len(owners) : len(owners) + len(examples)] = examples
            owners += [i] * len(examples)
            heard[i] = known
        used = [headers[i] for i in sorted(heard)]
        notes = [_rate_note(used, rate, settings), note, *_notes(used, rate, length, len(owners), first)]
        notes += _warnings(files, headers, heard)
        return {"owners": owners, "lost": sorted(lost.items()), "notes": notes, "rate": rate}

    shape = (sum(pieces(h.at(rate), length, first) for h in headers.values()), 1, length)
    array, facts = cache.build(key, shape, np.int16, fill)
    if not facts["owners"]:
        raise _nothing(name, files, lost)
    if array.nbytes > cache.LARGE:
        facts["notes"].append(f"The decoded sounds ({array.nbytes / 1e9:.1f} GB) are mapped from a cached file.")
    mapped = key if array.nbytes > cache.LARGE else None
    return array[: len(facts["owners"])], facts, mapped


def _usual(rates: Sequence[int]) -> int:
    """The rate that most recordings have; of several such, the highest."""
    counts = Counter(rates)
    return max(counts, key=lambda rate: (counts[rate], rate))


def _common_length(samples: Sequence[int], rate: int, settings: DataConfig) -> tuple[int, str]:
    """Samples of an example for recordings of so many ``samples``, and a sentence that says why."""
    if settings.seconds is not None:
        length = round(settings.seconds * rate)
        if length < 2:
            raise BadInput(
                f"{settings.seconds:g} seconds are {length} samples at {rate:,} a second; ask for a longer example "
                "with ‹data.seconds›"
            )
        return length, f"An example is {length:,} samples ({length / rate:.3g} s)."
    if len(set(samples)) == 1 and samples[0] <= LONGEST_COMMON * rate:
        return samples[0], f"Every recording is {samples[0]:,} samples ({samples[0] / rate:.3g} s)."
    nine = int(np.quantile(samples, COMMON, method="inverted_cdf"))
    length = min(nine, round(LONGEST_COMMON * rate))
    why = "the length that nine in ten recordings do not exceed" if length == nine else "the longest unless asked for"
    return length, f"An example is {length:,} samples ({length / rate:.3g} s), {why}; choose with ‹data.seconds›."


def _rate_note(used: Sequence[Header], rate: int, settings: DataConfig) -> str:
    changed = sum(h.rate != rate for h in used)
    if not changed:
        return f"Every recording has {rate:,} samples a second."
    why = "" if settings.rate else ", the rate that most have; choose with ‹data.rate›"
    return f"{_count(changed)} resampled to {rate:,} samples a second{why}."


def _notes(used: Sequence[Header], rate: int, length: int, examples: int, first: bool) -> Iterator[str]:
    """What mixing, cutting and filling did to the recordings, a sentence each."""
    sizes = [h.at(rate) for h in used]
    if mixed := sum(h.channels > 1 for h in used):
        yield f"{_count(mixed)} mixed from several channels to one."
    if short := sum(n < length for n in sizes):
        yield f"{_count(short)} shorter than an example and filled up with silence."
    long = [n for n in sizes if n > length]
    if long and first:
        yield f"{_count(len(long))} longer, of which the first piece is used."
    elif long:
        dropped = sum(n > length * pieces(n, length) for n in long)
        filled = sum(n < length * pieces(n, length) for n in long)
        yield (
            f"{_count(len(long))} longer and cut into consecutive pieces: {examples:,} examples in all. "
            "With ‹data.first_piece› only the first of each is used."
        )
        if dropped:
            yield f"The last piece of {count(dropped, 'recording')} is dropped, for it is less than half full."
        if filled:
            whose = count(filled, "recording")
            yield f"The last piece of {whose} is filled up with silence, for it is at least half full."


def _warnings(files: Sequence[File], headers: dict[int, Header], heard: dict[int, Heard]) -> list[str]:
    """What was odd about recordings, a sentence each that names the first."""
    notes = []

    def tell(odd: Iterable[int], words: str, more: str = "") -> None:
        if rows := list(odd):
            told = words.format(first=f"the first is {files[rows[0]].name}{more.format(heard[rows[0]].peak)}")
            notes.append(f"{_count(len(rows))} {told}")

    tell(
        (i for i, h in heard.items() if h.clipped),
        f"clipped: over {CLIPPED:.0%} of the samples are at full scale ({{first}}).",
    )
    integers = [i for i, h in heard.items() if h.scale in INTEGERS]
    tell(integers, "of floats on the scale of integers and divided by their full scale ({first}).", ", up to {:,.0f}")
    above = [i for i, h in heard.items() if h.scale > 1 and i not in integers]
    tell(above, "louder than full scale and scaled down to it ({first}).", ", with a peak of {:.3g}")
    cancel = (i for i, h in heard.items() if h.channel is not None)
    tell(cancel, "of channels that cancel each other when mixed, so the loudest channel is taken ({first}).")
    short = (i for i, h in heard.items() if headers[i].cut or h.samples < headers[i].samples)
    tell(short, "cut short: the header promises more than the file holds, which is used as it is ({first}).")
    return notes


def _count(recordings: int) -> str:
    return count(recordings, "recording is", "recordings are")


def _nothing(name: str, files: Sequence[File], lost: dict[int, str]) -> BadInput:
    first = min(lost)
    return BadInput(
        f"none of the {len(files):,} recordings in {name} can be used; the first, {files[first].name}, fails because "
        f"{lost[first]}; open it in a sound editor and save it again as WAV, or name another folder"
    )
