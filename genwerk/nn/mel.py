"""Log-mel spectrograms: how loud a sound is in each band of pitch, frame by frame, about as an ear tells.

Davis & Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in continuously spoken
sentences", 1980, IEEE TASSP 28(4): triangular bands that overlap by half, equally spaced on the mel scale, here of
O'Shaughnessy's formula (1987).
"""

from __future__ import annotations

import torch
from torch import Tensor

BANDS = 32
"""Bands from 0 to half the sample rate; of fewer samples a second there may be fewer."""
WINDOW, HOP = 0.032, 0.016
"""Seconds that a frame looks at through a Hann window, and between the middles of two frames."""
QUIET = -80.0
"""Decibels below which nothing is told apart from silence; a sine wave of full scale has 0, to about one."""


def log_mel(x: Tensor, rate: int) -> Tensor:
    """Sounds in [-1, 1] with shape (n, channels, time) as decibels with shape (n, channels, bands, frames).

    A frame stands for every :data:`HOP` seconds from the first sample on; outside of the sound is silence.
    """
    window = torch.hann_window(max(2, round(WINDOW * rate)), dtype=x.dtype, device=x.device)
    hop = max(1, round(HOP * rate))
    found = torch.stft(x.flatten(0, 1), len(window), hop, window=window, pad_mode="constant", return_complex=True)
    power = (found.abs() / (window.sum() / 2)).square()
    bands = mel_bands(rate, len(window)).to(x) @ power
    loud: Tensor = 10 * bands.clamp(min=10 ** (QUIET / 10)).log10()
    return loud.view(*x.shape[:2], *loud.shape[1:])


def mel_bands(rate: int, size: int) -> Tensor:
    """Share of each band, a row, in each frequency of a Fourier transform of ``size`` samples, a column.

    A band so narrow that no frequency lies within is left out.
    """
    ends = hertz(torch.linspace(0, float(mels(torch.tensor(rate / 2))), BANDS + 2))
    frequency = torch.arange(size // 2 + 1) * rate / size
    low, middle, high = ends[:-2, None], ends[1:-1, None], ends[2:, None]
    share = torch.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)).clamp(min=0)
    return share[share.sum(1) > 0]


def mels(hertz: Tensor) -> Tensor:
    """Pitch of a frequency."""
    return 2595 * (1 + hertz / 700).log10()


def hertz(mels: Tensor) -> Tensor:
    """Frequency of a pitch."""
    return 700 * (10 ** (mels / 2595) - 1)
