"""WaveNet learns sounds whose likelihood is known, and what a label means, in seconds."""

from __future__ import annotations

from dataclasses import replace
from math import log

import torch
from torch import Tensor

from genwerk.core.model import build
from genwerk.core.options import Streamed
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.wavenet import WaveNet, WaveNetConfig
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="audio", shape=(1, 64), sample_rate=8000, classes=("low", "high"))
PERIODS = (16, 8)
SMALL = WaveNetConfig(stacks=1, layers=5, residual=16, gate=16, skip=32, head=32)
TRAIN = TrainConfig(
    rounds=150,
    batch_size=16,
    optim={"model": OptimConfig(lr=1e-2, schedule="cosine", warmup=20)},
    sample_every=0,
    evaluate_every=0,
    save_every=0,
)


def tones(n: int = 320, seed: int = 0) -> Dataset:
    """Sine waves of period 16 (label 0) or 8 (label 1) that begin at one of as many phases."""
    label = torch.arange(n) % 2
    period = torch.tensor(PERIODS)[label]
    phase = (torch.rand(n, generator=torch.Generator().manual_seed(seed)) * period).long()
    x = 0.9 * torch.sin(2 * torch.pi * (torch.arange(64) + phase[:, None] + 0.25) / period[:, None])
    return Dataset(x=x[:, None], spec=SPEC, condition=label)


def taught(config: WaveNetConfig, data: Dataset, seed: int = 0) -> WaveNet:
    torch.manual_seed(seed)
    model = build(config, data.spec)
    Trainer(model, data, replace(TRAIN, seed=seed)).fit()
    assert isinstance(model, WaveNet)
    return model.eval().requires_grad_(False)


def period(x: Tensor) -> Tensor:
    """Period in samples of each sound, by the peak of its spectrum."""
    return x.shape[2] / torch.fft.rfft(x[:, 0]).abs().argmax(1)


def test_a_label_means_a_pitch() -> None:
    """Only the phase is random: the entropy is log 16 or log 8 nats a sound, and a sample is a wave of its period."""
    model = taught(replace(SMALL, conditional=True), tones())
    held_out = tones(64, seed=1).batch()
    entropy = (log(16) + log(8)) / 2
    nll = -model.log_prob(held_out.x, held_out.condition).mean()
    assert entropy - 0.05 < nll < entropy + 0.7
    label = torch.arange(20) % 2
    made = model.sample(20, label, seed=0)
    assert (period(made) == torch.tensor(PERIODS)[label]).float().mean() >= 0.9
    assert len({tuple(x.tolist()) for x in made[:, 0, :4]}) > 8, "phases differ"


def test_without_a_label_the_pitch_is_told_by_what_was_heard() -> None:
    """One bit more; and a prompt of half a period or more is gone on from at its pitch."""
    model = taught(SMALL, tones())
    held_out = tones(64, seed=1).batch()
    entropy = log(2) + (log(16) + log(8)) / 2
    assert entropy - 0.05 < -model.log_prob(held_out.x).mean() < entropy + 0.7
    long = model.sample(
        64, options=Streamed(seconds=256 / model.spec.sample_rate), seed=0, prompt=held_out.x[:, :, :24]
    )
    assert (period(long) == torch.tensor(PERIODS)[held_out.condition]).float().mean() >= 0.9


def test_parts_teach_what_the_whole_does() -> None:
    model = taught(replace(SMALL, conditional=True, crop=16), tones())
    held_out = tones(64, seed=1).batch()
    entropy = (log(16) + log(8)) / 2
    assert entropy - 0.05 < -model.log_prob(held_out.x, held_out.condition).mean() < entropy + 0.9
