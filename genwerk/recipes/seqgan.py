"""Recipes for SeqGAN."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import Characters
from genwerk.families.language_model import LSTMConfig
from genwerk.families.seqgan import SeqGANConfig
from genwerk.nn.adversarial.text_cnn import TextCNNConfig
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

WORDS = DataSpec(kind="text", shape=(8,), vocabulary=Characters(symbols=tuple("etaoin "), length=8))
"""Very short texts of few letters."""


@register(WORDS)
def seqgan(spec: DataSpec) -> Recipe:
    """A generator of sentences that learns from a discriminator after maximum likelihood, cut to what a processor can.

    The published schedule at a few hundredths of its cost: a smaller discriminator that sees 32 batches once in a
    round and not five times 157 batches three times, and so learns at ten times the rate. 16 rollouts of a beginning as
    published, 4 for texts beyond 40 tokens. With a baseline, and a third of the generator's rate: as published,
    NLL_oracle falls further where the discriminator is left out (benchmarks/text.md, SeqGAN's synthetic experiment).
    """
    discriminator = TextCNNConfig(widths=(1, 2, 3, 4, 5, 6, 8, 10, 15, 20), filters=(64,) * 10)
    return Recipe(
        model=SeqGANConfig(
            network=LSTMConfig(embedding=32, width=64),
            discriminator=discriminator,
            likelihood_rounds=8_000,
            discriminator_rounds=40,
            rollouts=16 if spec.dims <= 40 else 4,
            baseline="batch",
            d_steps=1,
            d_batches=32,
            d_epochs=1,
        ),
        train=TrainConfig(
            rounds=200,
            batch_size=64,
            optim={"generator": OptimConfig(lr=3e-3), "discriminator": OptimConfig(lr=1e-3)},
            sample_every=50,
        ),
        evaluate=EvaluateConfig(samples=0),
    )


@register(WORDS, reference=True)
def seqgan_published(spec: DataSpec) -> Recipe:
    """The schedule of the paper's synthetic data: 10,000 texts of 20 tokens in batches of 64.

    120 epochs of maximum likelihood, 50 rounds of the discriminator and 200 of the game, each round of the
    discriminator three times over 10,000 real and as many generated texts (section 5.1 and the authors' code). On a
    processor this takes more than a day, nearly all of it the discriminator's. The first weights are the authors',
    which lower NLL_oracle by 0.28 (benchmarks/text.md).
    """
    base = seqgan(spec)
    rates = {"generator": OptimConfig(lr=1e-2), "discriminator": OptimConfig(lr=1e-4)}
    return replace(
        base,
        model=SeqGANConfig(
            network=LSTMConfig(embedding=32, width=32, init=0.1),
            likelihood_rounds=18_720,
            discriminator_rounds=50,
            d_steps=5,
            d_batches=156,
            d_epochs=3,
        ),
        train=replace(base.train, optim=rates),
    )
