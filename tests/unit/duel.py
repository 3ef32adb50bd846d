"""The smallest game in which everything can go wrong, for tests of the trainer and of what it stores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.settings import DataConfig
from genwerk.runs import store
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="table", shape=(3,))


@dataclass(frozen=True, kw_only=True)
class DuelConfig(Config):
    """Two linear players, a drop-out layer and noise: the smallest game in which everything can go wrong."""

    explode: int = -1
    """Round in which the critic's loss becomes infinite; -1 never."""
    layers: int = 0
    """Layers that the critic has beyond its two."""
    width: int = 4
    """Width of the critic."""


class Duel(Model, config=DuelConfig):
    def __init__(self, config: DuelConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.critic = nn.Sequential(
            nn.Linear(spec.dims, config.width), nn.Tanh(), nn.Dropout(0.1), nn.Linear(config.width, 1)
        )
        for _ in range(config.layers):
            self.critic.append(nn.Linear(1, 1))
        self.generator = nn.Linear(2, spec.dims)
        self.register_buffer("mean", torch.zeros(spec.dims))
        self.register_buffer("played", torch.tensor(0))
        self.order: list[str] = []

    def players(self) -> Mapping[str, nn.Module]:
        return {"critic": self.critic, "generator": self.generator}

    def critic_loss(self, x: Tensor, z: Tensor) -> Loss:
        gap = self.critic(self.generator(z)).mean() - self.critic(x).mean()
        explode = math.inf if self.config.explode == int(self.played) else 1.0
        return gap * explode, {"gap": gap}

    def generator_loss(self, z: Tensor) -> Loss:
        return -self.critic(self.generator(z)).mean(), {}

    def statistics(self, batch: Batch) -> Loss:
        return batch.x.square().mean(), {"mean": batch.x.mean(0)}

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        for _ in range(2):
            batch = stream.next_batch()
            yield Turn("critic", self.critic_loss, batch.x, stream.normal(2))
        yield Turn("generator", self.generator_loss, stream.normal(2))
        report = yield Turn(None, self.statistics, batch)
        self.mean += 0.5 * (report["mean"] - self.mean)
        self.played += 1

    def stages(self, rounds: int) -> list[Stage]:
        return [
            Stage("first", rounds // 2, self.turns),
            Stage("second", rounds - rounds // 2, self.turns, batch_size=5, fresh=("generator",)),
        ]


def data(n: int = 37) -> Dataset:
    return Dataset(x=torch.randn(n, 3, generator=torch.Generator().manual_seed(0)) + 2, spec=SPEC)


SETTINGS = TrainConfig(
    rounds=12,
    batch_size=8,
    optim={
        "critic": OptimConfig(lr=0.01, schedule="cosine", warmup=2),
        "generator": OptimConfig(name="rmsprop", clip_norm=0.5),
    },
    ema={"generator": 20.0},
    save_every=0,
)


def trainer(
    folder: Path | None = None, settings: TrainConfig = SETTINGS, explode: int = -1, **kwargs: object
) -> Trainer:
    torch.manual_seed(settings.seed)
    config = DuelConfig(explode=explode)
    model = Duel(config, SPEC)
    recipe = Recipe(model=config, train=settings, data=DataConfig(source="made"))
    checkpoints = None if folder is None else store.Checkpoints(folder, store.describe("duel", recipe, SPEC), keep=50)
    return Trainer(model, data(), settings, checkpoints=checkpoints, **kwargs)  # type: ignore[arg-type]
