"""A model of domains whose answers are known: an image takes the mean colour of another class, or of another value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genwerk.core.abilities import TranslatesDomains
from genwerk.core.attributes import KEPT, Attributes
from genwerk.core.condition import Condition, Label
from genwerk.core.model import Config, Loss, Model
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.spec import Batch, DataSpec


@dataclass(frozen=True, kw_only=True)
class ShadesConfig(Config):
    """Settings of :class:`Shades`."""

    attributes: bool = False
    """Whether it is conditioned on attributes, of which the first is the shade, and not on the label."""


class Shades(Model, TranslatesDomains, config=ShadesConfig):
    """Moves the mean colour of an image, over all its pixels, to that of a class."""

    margin, stride = 0, 1
    provenance = True

    def __init__(self, config: ShadesConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.condition: Condition = Attributes.from_data(spec) if config.attributes else Label(spec.classes)
        of = self.condition.sizes[0] if isinstance(self.condition, Attributes) else self.condition.classes
        self.mean = nn.Parameter(torch.full((of, spec.shape[0], 1, 1), 0.5))

    def loss(self, batch: Batch) -> Loss:
        assert batch.condition is not None
        apart = self.mean[self.shade(batch.condition)] - batch.x.mean((2, 3), keepdim=True)
        return apart.square().mean(), {}

    @staticmethod
    def shade(condition: Tensor) -> Tensor:
        return condition if condition.dim() == 1 else condition[:, 0]

    def aims(self, condition: Tensor, *, seed: Seed | None = None) -> Tensor:
        others = len(self.mean) - 1
        step = 1 + (SeededNoise(len(condition), seed).uniform() * others).long() if others else torch.tensor(0)
        aim = (self.shade(condition) + step.to(condition.device)) % len(self.mean)
        if condition.dim() == 1:
            return aim
        return torch.cat([aim[:, None], torch.full_like(condition[:, 1:], KEPT)], 1)

    def translate(self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        return self.moved(source, source.mean((2, 3), keepdim=True), condition)

    def by_parts(
        self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Callable[[Tensor], Tensor]:
        own = source.mean((2, 3), keepdim=True)
        return lambda part: self.moved(part, own.to(part.device), condition)

    @torch.no_grad()
    def moved(self, x: Tensor, own: Tensor, condition: Tensor | None) -> Tensor:
        values = self.condition.check(condition, self)
        assert values is not None
        shade = self.shade(values).to(x.device)[:, None, None, None]
        aim = self.mean[shade[:, 0, 0, 0].clamp(min=0)]
        return torch.where(shade == KEPT, x, x - own + aim).clamp(0, 1)
