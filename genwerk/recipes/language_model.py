"""Recipes for language models."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import Characters
from genwerk.families.language_model import LanguageModelConfig, LSTMConfig, TransformerConfig
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

LETTERS = DataSpec(kind="text", shape=(24,), vocabulary=Characters(symbols=tuple("etaoinshr "), length=24))
"""Short texts of few letters."""


@register(LETTERS)
def transformer_lm(spec: DataSpec) -> Recipe:
    """A decoder-only transformer that writes texts token by token; small enough for a CPU."""
    optim = OptimConfig(
        name="adamw",
        lr=1e-3,
        betas=(0.9, 0.99),
        weight_decay=0.1,
        decay="matrices",
        clip_norm=float(spec.dims),
        schedule="cosine",
        final=0.1,
        warmup=100,
    )
    return Recipe(
        model=LanguageModelConfig(network=TransformerConfig(dropout=0.1)),
        train=TrainConfig(rounds=3_000, batch_size=max(8, min(64, 4096 // spec.dims)), optim={"model": optim}),
        evaluate=EvaluateConfig(samples=0),
    )


@register(LETTERS)
def lstm_lm(spec: DataSpec) -> Recipe:
    """A long short-term memory that writes texts token by token, quick on short ones."""
    base = transformer_lm(spec)
    optim = replace(base.train.optim["model"], name="adam", lr=2e-3, weight_decay=0.0)
    return replace(
        base,
        model=LanguageModelConfig(network=LSTMConfig(dropout=0.2)),
        train=replace(base.train, optim={"model": optim}),
    )
