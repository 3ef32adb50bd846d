"""Sounds: samples in time, in [-1, 1]."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from genwerk.core.errors import BadInput
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.modality import Modality
from genwerk.core.moments import Moments
from genwerk.core.spec import Batch, DataSpec
from genwerk.modalities.writers import (
    FULL_SCALE,
    SOUNDS,
    ending,
    sheet,
    waves,
    with_pauses,
    write_image,
    write_sound,
)
from genwerk.nn.autoregressive.tokeniser import Binarise, MuLaw, Tokeniser
from genwerk.nn.flows.preprocessing import Continuous, PixelTransform, Preprocessing
from genwerk.nn.mel import QUIET, log_mel
from genwerk.nn.units import NetworkUnits, SoundUnits

SPANS = {"first-half": (0.0, 0.5), "last-half": (0.5, 1.0)}
"""What each half of a sound spans, as fractions of its length."""
PAUSE = 0.2
"""Seconds of silence between the sounds of one file."""


class Audio(Modality, kind="audio"):
    """Float32 in [-1, 1] with shape (channels, time), stored as int16 samples, -32767 to 32767."""

    plural = "sounds"
    is_sequence = one_per_file = True
    range = (-1.0, 1.0)
    endings = tuple(SOUNDS)
    drawn = ".waves.png"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.learned_features = len(spec.classes) > 1

    @property
    def size(self) -> str:
        channels, time = self.spec.shape
        return f"{time:,} samples" + f" in {channels} channels" * (channels > 1)

    def describe(self) -> list[str]:
        return [*super().describe(), *([f"{self.spec.sample_rate} Hz"] if self.spec.sample_rate else [])]

    def from_stored(self, x: Tensor) -> Tensor:
        if x.dtype != torch.int16:
            return x
        return x.to(torch.get_default_dtype()).div_(FULL_SCALE)

    def to_stored(self, x: Tensor) -> Tensor:
        return x.clamp(-1, 1).mul(FULL_SCALE).round().to(torch.int16)

    def read_as(self) -> dict[str, Any]:
        rate = self.spec.sample_rate
        return {"rate": rate, "seconds": self.spec.shape[-1] / rate} if rate else {}

    @classmethod
    def example(cls) -> DataSpec:
        return DataSpec(kind="audio", shape=(1, 96), sample_rate=8000, classes=("a", "b"))

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, *self.spec.shape, generator=generator).cumsum(-1)
        return noise / noise.abs().amax()

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return SoundUnits()

    def tokeniser(self, binarise: Binarise = "none") -> Tokeniser:
        if binarise != "none":
            raise BadInput(f"only grey images can be binarised, not {self.spec}; take ‹model.binarise› none")
        return MuLaw(self.spec)

    def preprocessing(self, pixels: PixelTransform) -> Preprocessing:
        return Continuous(self.units(), scored="the density of samples in [-1, 1]")

    def features(self, train: Iterable[Tensor]) -> tuple[str, Callable[[Tensor], Tensor], tuple[Tensor, ...]]:
        """Of sounds without labels: of each band of a log-mel spectrogram the mean over each third of the sound and the
        root mean square of its change from frame to frame, each with mean 0 and standard deviation 1 over ``train``."""

        def statistics(x: Tensor) -> Tensor:
            bands = log_mel(x, self.spec.sample_rate).flatten(1, 2)
            change = bands.diff(prepend=bands[..., :1]).square().mean(-1).sqrt()
            return torch.cat([adaptive_avg_pool1d(bands, 3).flatten(1), change], 1)

        found = Moments(map(statistics, train))
        mean, std = found.mean, found.std
        return f"{len(mean)} log-mel statistics", lambda x: (statistics(x) - mean) / std, (mean, std)

    def as_image(self, x: Tensor) -> Tensor:
        """A log-mel spectrogram, in units of 20 decibels above and below the middle of its range."""
        return (log_mel(x, self.spec.sample_rate) - QUIET / 2) / 20

    def mask(self, known: str, read: Callable[[Path], Tensor]) -> Tensor:
        """A half, or the first seconds."""
        mask = torch.zeros(1, *self.spec.shape, dtype=torch.bool)
        mask[..., self._span(known)] = True
        return mask

    def _span(self, known: str) -> slice:
        """The samples that ``known`` names."""
        length, rate = self.spec.shape[-1], self.spec.sample_rate
        if known in SPANS:
            start, stop = SPANS[known]
            return slice(round(start * length), round(stop * length))
        if not (seconds := re.fullmatch(r"(\d*\.?\d+)s", known)):
            raise BadInput(
                f"there is no part {known!r} of a sound; expected {', '.join(SPANS)}, or its first seconds, as in 0.25s"
            )
        stop = round(float(seconds[1]) * rate)
        if not 0 < stop < length:
            raise BadInput(
                f"{known} is {stop:,} samples of {length:,} ({length / rate:.3g} s); some must be known and some not"
            )
        return slice(stop)

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """One sound after the other."""
        heard = batch.x if batch.target is None else torch.stack([batch.x, batch.target], 1).flatten(0, 1)
        rate = self.spec.sample_rate
        return write_sound(ending(stem, self.endings), with_pauses(heard, round(PAUSE * rate)), rate, origin)

    def draw(self, path: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """Their waves."""
        drawn = Batch(waves(batch.x), target=None if batch.target is None else waves(batch.target))
        return write_image(path, sheet(drawn, layout, self.spec.classes), origin)

    def write_one(self, stem: Path, x: Tensor, origin: Mapping[str, Any]) -> Path:
        return write_sound(stem.with_suffix(self.endings[0]), x, self.spec.sample_rate, origin)
