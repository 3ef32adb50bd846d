"""Recipes for WaveNet."""

from __future__ import annotations

from dataclasses import replace
from math import log2

from genwerk.core.spec import DataSpec
from genwerk.families.wavenet import WaveNetConfig
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

SOUND = DataSpec(kind="audio", shape=(1, 96), sample_rate=8000)
DIGITS = replace(SOUND, classes=tuple("0123456789"))

FIELD = 0.25
"""Seconds that a network fitted to the data sees: about the 240 ms that the paper has for speech (section 3.2)."""
SHORT = 1024
"""Samples below which a sound is learned by a small network."""
CROP = 8192
"""Samples that are learned from in a round, of sounds that are twice as long or longer."""


def fitted(spec: DataSpec) -> WaveNetConfig:
    """One stack of three taps that sees a quarter of a second, or half of a sound that is shorter than two of these.

    It sees as far as two stacks of the paper's two taps, with half the layers: on a processor at 0.6 of their cost.
    """
    field = min(FIELD * (spec.sample_rate or 16_000), spec.dims / 2)
    short = spec.dims < SHORT
    return WaveNetConfig(
        stacks=1,
        layers=max(2, round(log2(field)) - 1),
        kernel=3,
        residual=16 if short else 32,
        gate=16 if short else 32,
        skip=32 if short else 128,
        head=32 if short else 128,
        crop=CROP if spec.dims >= 2 * CROP else 0,
    )


@register(SOUND)
def wavenet(spec: DataSpec) -> Recipe:
    """A WaveNet that fits its field to the sample rate and the length of mono sounds."""
    return Recipe(
        model=fitted(spec),
        train=TrainConfig(
            rounds=20_000,
            batch_size=8,
            optim={"model": OptimConfig(lr=3e-3, schedule="cosine", warmup=200)},
            evaluate_every=2_000,
        ),
        evaluate=EvaluateConfig(examples=500, samples=500),
    )


@register(DIGITS, reference=True)
def wavenet_digits(spec: DataSpec) -> Recipe:
    """Spoken digits of 8 kHz, each asked for by its name, learned in about 40 minutes of one CPU core.

    For the Free Spoken Digit Dataset, whose 2,700 training recordings are 0.4 s long on average: of 0.64 s (5,120
    samples, 93 in 100 recordings whole) a round takes 0.38 s. What is learned in so short a time is limited by the
    number of rounds: so the field is 256 ms (2,047 samples, more than a phoneme) in 10 layers and not in 20, the output
    64 wide, the batch 4. No crop: the zeros before the beginning tell the network that a word begins, and a part of a
    sound would be computed with its field, which is half as long as the sound, all the same.

        genwerk train wavenet-digits --data RECORDINGS --data.label-pattern '^([0-9])_' --data.seconds 0.64 --out run
    """
    model = fitted(spec)
    parent = wavenet(spec)
    return replace(
        parent,
        model=replace(model, conditional=True, skip=min(model.skip, 64), head=min(model.head, 64)),
        train=replace(parent.train, rounds=6_000, batch_size=4, evaluate_every=1_500, save_every=1_500),
    )


@register(SOUND, reference=True)
def wavenet_published(spec: DataSpec) -> Recipe:
    """The published dilations: 1 to 512 three times over with two taps, 30 layers that see 3,070 samples.

    The paper states dilations (section 2.1), 256 mu-law levels (2.2) and 16 kHz, and no widths; 32 residual and 128
    skip channels are those of which benchmarks/wavenet_speed.py gives the speed.
    """
    published = WaveNetConfig(stacks=3, layers=10, kernel=2, residual=32, gate=32, skip=128, head=128)
    return replace(wavenet(spec), model=replace(published, crop=fitted(spec).crop))
