"""Layers of R networks side by side, one a run: each product is batched over the runs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genwerk.core.model import Loss, Turn
from genwerk.evolve.operators.operator import Rngs
from genwerk.training.descent import Descent
from genwerk.training.players import PlayerState
from genwerk.training.runtime import Runtime
from genwerk.training.settings import OptimConfig


def tensor(x: object) -> Tensor:
    return torch.as_tensor(np.asarray(x), dtype=torch.float32)


class Linear(nn.Module):
    """R linear layers: (R, n, inputs) to (R, n, outputs), initialised uniformly within 1 / sqrt(inputs) by default."""

    def __init__(self, inputs: int, outputs: int, rngs: Rngs, scale: float = 1.0) -> None:
        super().__init__()
        bound = scale / np.sqrt(inputs)
        self.weight = nn.Parameter(tensor([rng.uniform(-bound, bound, (inputs, outputs)) for rng in rngs]))
        self.bias = nn.Parameter(tensor([rng.uniform(-bound, bound, (1, outputs)) for rng in rngs]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class BatchNorm(nn.Module):
    """Batch normalisation of each run's batch, with running statistics in evaluation mode."""

    mean: Tensor
    var: Tensor

    def __init__(self, runs: int, width: int) -> None:
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(runs, 1, width)), nn.Parameter(torch.zeros(runs, 1, width))
        self.register_buffer("mean", torch.zeros(runs, 1, width))
        self.register_buffer("var", torch.ones(runs, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.mean, self.var
        if self.training:
            var, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
            with torch.no_grad():
                self.mean.lerp_(mean, 0.1)
                self.var.lerp_(var * (x.shape[1] / (x.shape[1] - 1)), 0.1)
        return (x - mean) * torch.rsqrt(var + 1e-5) * self.gain + self.bias


class Players:
    """Networks with an optimiser each, which take turns; their weights are those of R runs, which never mix.

    A loss is a sum over runs of each run's mean, so a run's gradient is what it would be alone.
    """

    def __init__(self, modules: dict[str, nn.Module], optim: dict[str, OptimConfig]) -> None:
        states = {
            name: PlayerState(name, module, optim[name], {p: key for key, p in module.named_parameters()})
            for name, module in modules.items()
        }
        self.descent, self.turns = Descent(states, Runtime(torch.device("cpu")), None), 0

    def take(self, turn: Turn) -> NDArray[np.float64]:
        """Play ``turn``; each run's loss."""
        self.turns += 1
        return (
            self.descent.take(turn, "pool", 0, lambda player: player.optim.lr, measured=False)["each"].double().numpy()
        )


def of_runs(losses: Tensor) -> Loss:
    """Losses with shape (R, ...) as a loss of :class:`Players`, with each run's mean as a figure."""
    each = losses.flatten(1).mean(1)
    return each.sum(), {"each": each}
