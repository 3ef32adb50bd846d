"""Log-mel spectrograms of sounds whose loudness and pitch are known."""

from math import pi

import pytest
import torch

from genwerk.core.spec import DataSpec
from genwerk.nn.mel import BANDS, QUIET, hertz, log_mel, mel_bands, mels

RATE = 8000


def sine(pitch: float, seconds: float = 0.5, rate: int = RATE) -> torch.Tensor:
    return torch.sin(2 * pi * pitch * torch.arange(round(seconds * rate)) / rate).view(1, 1, -1)


def test_the_mel_scale_has_1000_at_1000_hertz_and_comes_back():
    pitch = torch.tensor([0.0, 1000.0, 4000.0])
    assert mels(pitch)[:2].tolist() == pytest.approx([0, 1000], abs=0.02)
    assert torch.allclose(hertz(mels(pitch)), pitch, atol=1e-2)


def test_bands_overlap_by_half_and_leave_no_gap():
    bands = mel_bands(RATE, 256)
    assert bands.shape == (BANDS, 129)
    middle = hertz(torch.linspace(0, float(mels(torch.tensor(RATE / 2))), BANDS + 2))
    between = (torch.arange(129) * RATE / 256 >= middle[1]) & (torch.arange(129) * RATE / 256 <= middle[-2])
    assert torch.allclose(bands.sum(0)[between], torch.ones(int(between.sum())), atol=1e-5)
    assert (mel_bands(1000, 32).sum(1) > 0).all(), "a band without a frequency is left out"


@pytest.mark.parametrize("pitch, band", [(200, 3), (1000, 14), (3000, 28)])
def test_a_sine_is_as_loud_as_it_is_in_the_band_of_its_pitch(pitch, band):
    full, quiet = (log_mel(scale * sine(pitch), RATE)[0, 0, :, 5:-5].mean(-1) for scale in (1, 0.1))
    assert full.argmax() == band
    assert full[band].item() == pytest.approx(0, abs=1.5)
    assert (full - quiet)[band].item() == pytest.approx(20, abs=0.01)


def test_silence_is_quiet_and_channels_stay_apart():
    two = torch.cat([sine(440), torch.zeros(1, 1, RATE // 2)], 1)
    found = log_mel(two, RATE)
    assert found.shape == (1, 2, BANDS, 1 + RATE // 2 // 128)
    assert (found[0, 1] == QUIET).all()
    assert torch.equal(found[:, :1], log_mel(sine(440), RATE))


def test_a_sound_that_is_shorter_than_a_frame_has_one():
    assert log_mel(torch.zeros(3, 1, 40), RATE).shape == (3, 1, BANDS, 1)


def test_statistics_hear_order_and_loudness():
    """A tone that falls silent and one that begins late differ in their thirds and in nothing else."""
    tone = torch.cat([sine(440), torch.zeros(1, 1, RATE)], 2)
    train = torch.cat([tone, tone.flip(-1), 0.5 * tone, 0.1 * tone.flip(-1)])
    spec = DataSpec(kind="audio", shape=(1, 3 * RATE // 2), sample_rate=RATE)
    name, features, (mean, std) = spec.modality.features([train])
    assert name == f"{4 * BANDS} log-mel statistics"
    assert features(train).shape == (4, 4 * BANDS)
    assert torch.allclose(features(train).mean(0), torch.zeros(4 * BANDS).double(), atol=1e-4)
    ahead, behind = ((features(x) * std + mean)[0, : 3 * BANDS].view(BANDS, 3).T for x in (tone, tone.flip(-1)))
    assert ahead[0].max().item() == pytest.approx(0, abs=3), "decibels, of the third with the tone"
    assert ahead[2].max().item() == pytest.approx(QUIET, abs=3)
    assert torch.allclose(ahead, behind.flip(0), atol=3), "a frame more or less"
