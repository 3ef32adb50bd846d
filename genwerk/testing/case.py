"""A recipe, trained for a moment on made-up data of the kind it is shown with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized

from genwerk.core.model import Model, build
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.diffusion.sampling import Diffusion
from genwerk.recipes import find
from genwerk.training.events import RoundDone
from genwerk.training.settings import Entry, Recipe, TrainConfig
from genwerk.training.trainer import Trainer

ROUNDS = 4
"""Rounds for which a model is trained before it is looked at."""
BATCH = 8
STAGES = {
    "text_rounds": ROUNDS,
    "prior_rounds": ROUNDS,
    "likelihood_rounds": ROUNDS,
    "discriminator_rounds": ROUNDS,
    "text_batch": BATCH,
    "prior_batch": BATCH,
    "d_batches": 1,
    "d_epochs": 2,
    "d_steps": 2,
    "critic_steps": 2,
    "critic_warmup": 2,
    "rollouts": 2,
}
"""Greatest values of settings that say how long a training, one of its stages or a round is."""
SAMPLING = {"steps": 8, "resamples": 2}
"""The same of a sampler's."""
PARTS = ("text", "network", "discriminator")
"""Settings of a model that are those of a network."""


def made_up(spec: DataSpec, n: int = 40, seed: int = 0) -> Dataset:
    """Random data of ``spec``, with labels, numbers, attributes, sources and captions where it has them."""
    generator = torch.Generator().manual_seed(seed)
    x = spec.modality.made_up(n, generator)
    condition = torch.arange(n) % len(spec.classes) if spec.classes else None
    if spec.covariates:
        condition = torch.randn(n, len(spec.covariates), generator=generator)
    data = Dataset(x=x, spec=spec, condition=condition)
    if spec.attributes:
        of = torch.tensor([len(values) for _, values in spec.attributes])
        data = replace(data, attributes=(torch.rand(n, len(of), generator=generator) * of).long())
    if spec.source:
        data = replace(data, source=replace(spec, shape=spec.source).modality.made_up(n, generator))
    if not spec.captions or spec.vocabulary is None:
        return data
    words = ["red", "ring", "blue", "star", "left", "right"]
    return replace(data, captions=[f"a {words[i % 6]} {words[i % 5]}" for i in range(n)]).read(spec.vocabulary)


@dataclass(frozen=True)
class Case:
    """A recipe, data that are made up for it, and its model: fresh, or after a training of ``rounds``."""

    entry: Entry
    recipe: Recipe
    data: Dataset
    model: Any
    rounds: tuple[int, ...] = ()
    unreached: tuple[str, ...] = ()
    """Parameters that require a gradient, and that none reached in that training."""

    @property
    def batch(self) -> Batch:
        batch = self.data.under(self.model.condition).batch(slice(8))
        return replace(batch, condition=self.model.condition.of(batch))

    @property
    def double(self) -> Dataset:
        """The data in float64, for sums that do not depend on their order."""
        return self.data if self.data.x.dtype == torch.uint8 else replace(self.data, x=self.data.x.double())

    @property
    def condition(self) -> torch.Tensor | None:
        return self.batch.condition

    @property
    def couples_over_processes(self) -> bool:
        """Whether an example's loss depends on which others its process has, or on a random draw of that process."""
        config = self.recipe.model
        configs = [config, *(getattr(config, part, None) for part in PARTS)]
        declared = any(m.couples for m in self.model.modules() if isinstance(m, Model))
        return declared or any(getattr(each, "dropout", 0) for each in configs)

    @property
    def couples_examples(self) -> bool:
        """Whether it depends on the others of its micro-batch, or on how often it is computed."""
        often = any(isinstance(m, _BatchNorm) or is_parametrized(m) for m in self.model.modules())
        return often or self.couples_over_processes


def without_dropout(case: Case) -> Case:
    """``case`` whose recipe leaves nothing out in training, which is a random draw of each process."""

    def whole(config: Any) -> Any:
        return replace(config, dropout=0.0) if getattr(config, "dropout", 0) else config

    config = case.recipe.model
    parts = {name: whole(part) for name in PARTS if (part := getattr(config, name, None)) is not None}
    return replace(case, recipe=replace(case.recipe, model=replace(whole(config), **parts)))


def unmagnified(train: TrainConfig, **changes: Any) -> TrainConfig:
    """``train`` with optimisers that do not blow rounding up.

    A gradient may be nought but for rounding (of a bias before instance normalisation): 1e-12, over Adam's eps of 1e-8.
    """
    return replace(train, optim={who: replace(o, eps=1e-3) for who, o in train.optim.items()}, **changes)


def fresh(recipe: Recipe, spec: DataSpec) -> Any:
    """The model of ``recipe`` with fresh weights."""
    torch.manual_seed(recipe.train.seed)
    return build(recipe.model, spec)


@contextmanager
def double_precision() -> Iterator[None]:
    """While inside, new weights, pixels and noise are float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def short(settings: Any) -> Any:
    """``settings`` of a model with no stage, batch or chain of steps longer than a moment, in any of its parts."""
    most = SAMPLING if isinstance(settings, Diffusion) else STAGES
    changes: dict[str, Any] = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        if is_dataclass(value):
            changes[each.name] = short(value)
        elif value is not None and each.name in most:
            changes[each.name] = min(value, most[each.name])
    return replace(settings, **changes)


def prepared(name: str, shorten: Callable[[Any], Any] = short) -> Case:
    """A recipe with made-up data and a fresh model, of settings that ``shorten`` makes quick."""
    entry = find(name)
    recipe = entry.make(entry.spec)
    train = replace(
        recipe.train, rounds=ROUNDS, batch_size=min(recipe.train.batch_size, BATCH), sample_every=0, save_every=0
    )
    recipe = replace(recipe, train=train, model=shorten(recipe.model))
    return Case(entry, recipe, made_up(entry.spec), fresh(recipe, entry.spec))


def learned(case: Case) -> Case:
    """``case`` with its model after a few rounds, in evaluation mode."""
    trainer = Trainer(case.model, case.data, case.recipe.train)
    rounds, reached = [], set[str]()
    for event in trainer:
        if isinstance(event, RoundDone):
            rounds.append(event.round)
            # a lone number may cancel: the bias of a score of which only differences count
            gradients = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
            reached |= {n for n, g in gradients.items() if g.numel() == 1 or g.abs().sum() > 0}
    unreached = [n for n, p in trainer.model.named_parameters() if p.requires_grad and n not in reached]
    return replace(case, model=trainer.finished(), rounds=tuple(rounds), unreached=tuple(unreached))


@cache
def case(name: str) -> Case:
    """A recipe with its model after a few rounds, in evaluation mode."""
    return learned(prepared(name))
