"""A family in a stranger's file: settings, a model and a recipe, given to Genwerk with --plugin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genwerk.core.abilities import HasLikelihood, Samples
from genwerk.core.model import Config, Loss, Model
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.options import SamplingOptions
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


@dataclass(frozen=True, kw_only=True)
class LeanGaussianConfig(Config):
    """Settings of :class:`LeanGaussian`."""

    width: float = 1.0
    """Standard deviation at the start, in units of the data."""

    def __post_init__(self) -> None:
        if self.width <= 0:
            raise ValueError(f"width is {self.width}; it must be above 0")


class LeanGaussian(Model, Samples, HasLikelihood, config=LeanGaussianConfig):
    """A normal distribution of every column of a table by itself."""

    def __init__(self, config: LeanGaussianConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if spec.kind != "table":
            raise ValueError(f"lean-gaussian describes tables, not {spec.kind}")
        self.mean = nn.Parameter(torch.zeros(spec.dims))
        self.log_std = nn.Parameter(torch.full((spec.dims,), config.width).log())

    def loss(self, batch: Batch) -> Loss:
        return -self.log_prob(batch.x).mean(), {}

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.distributions.Normal(self.mean, self.log_std.exp()).log_prob(x).sum(1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: Tensor | None = None,
        options: SamplingOptions | None = None,
        *,
        seed: Seed | None = None,
    ) -> Tensor:
        self.options.chosen(options)
        eps = SeededNoise(n, seed, self.device).normal(self.spec.dims)
        return (self.mean + eps * self.log_std.exp()).double()


@register(DataSpec(kind="table", shape=(2,), columns=("x", "y")))
def lean_gaussian(spec: DataSpec) -> Recipe:
    """A normal distribution a column, fitted by gradient descent."""
    train = TrainConfig(rounds=300, batch_size=64, optim={"model": OptimConfig(lr=0.05)}, sample_every=0)
    return Recipe(model=LeanGaussianConfig(), data=DataConfig(source="gaussians8"), train=train)
