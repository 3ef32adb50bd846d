"""The players at the table, each with its module, its optimiser and its averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genwerk.core.errors import BadFile, called
from genwerk.core.model import Model
from genwerk.training.checkpointer import check_tensor
from genwerk.training.settings import OptimConfig, TrainConfig


class PlayerState:
    """A player at the table: its module, its optimiser and its averaged weights."""

    def __init__(self, name: str, module: nn.Module, optim: OptimConfig, names: Mapping[Tensor, str]) -> None:
        self.name, self.module, self.optim, self.steps, self.rate = name, module, optim, 0, 1.0
        self.parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        if optim.decay == "matrices":  # the optimiser numbers its parameters group by group
            self.parameters.sort(key=lambda p: p.dim() < 2)
        self.names = [names[p] for p in self.parameters]
        self.optimizer = make_optimizer(optim, self.parameters) if self.parameters else None
        self.average: list[Tensor] | None = None
        self.half_life, self.warmup = 0.0, False

    def average_weight(self, examples: int) -> float:
        """Share of the newest weights in their average after a step on ``examples``.

        It follows the half-life; with a warm-up it is no less than 9 / (10 + steps), for an average that still
        remembers the first, random weights says nothing of the model.
        """
        follows: float = 1 - 0.5 ** (examples / self.half_life)
        return max(follows, 9 / (10 + self.steps)) if self.warmup else follows

    def freeze(self, frozen: bool) -> None:
        for p in self.parameters:
            p.requires_grad_(not frozen)

    def snapshot(self) -> dict[str, Any]:
        """Copy of weights, buffers and optimiser state."""
        state = {} if self.optimizer is None else self.optimizer.state_dict()["state"]
        return {
            "module": {k: v.clone() for k, v in self.module.state_dict().items()},
            "optimizer": {i: {k: torch.as_tensor(v).clone() for k, v in s.items()} for i, s in state.items()},
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Put a snapshot back."""
        self.module.load_state_dict(snapshot["module"])
        self.restore_optimizer(snapshot["optimizer"])

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimiser's state, named ``<parameter's index>.<field>``."""
        states = {} if self.optimizer is None else self.optimizer.state_dict()["state"]
        return {f"{i}.{key}": torch.as_tensor(v) for i, state in states.items() for key, v in state.items()}

    def load_optimizer(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Put back what :meth:`optimizer_tensors` gave; a BadFile says what is not this optimiser's state."""
        states: dict[int, dict[str, Tensor]] = {}
        fields = state_fields(self.optim)
        for name, value in tensors.items():
            index, _, field = name.partition(".")
            if not index.isdecimal() or int(index) >= len(self.parameters) or field not in fields:
                raise BadFile(f"{where} has the surplus tensor {name!r}")
            like = torch.zeros(()) if field == "step" else self.parameters[int(index)]
            check_tensor(value, like, f"{where}: tensor {name!r}")
            states.setdefault(int(index), {})[field] = value
        for i, state in states.items():
            for field in fields - state.keys():
                raise BadFile(f"{where} lacks the tensor '{i}.{field}'")
        self.restore_optimizer(states)

    def restore_optimizer(self, state: Mapping[int, Mapping[str, Tensor]]) -> None:
        if self.optimizer is not None:
            groups = self.optimizer.state_dict()["param_groups"]
            copy = {i: {k: v.clone() for k, v in s.items()} for i, s in state.items()}
            self.optimizer.load_state_dict({"state": copy, "param_groups": groups})


def player_states(model: Model, settings: TrainConfig) -> dict[str, PlayerState]:
    """The state of each of ``model``'s players; a ValueError names a player in the settings that it does not have."""
    modules = model.players()
    for kind in ("optim", "ema"):
        if unknown := sorted(getattr(settings, kind).keys() - modules.keys()):
            raise ValueError(
                f"train.{kind} names the player {unknown[0]!r}; {called(model)} has " + (", ".join(modules) or "none")
            )
    names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
    players = {}
    for name, module in modules.items():
        players[name] = player = PlayerState(name, module, settings.optim.get(name, OptimConfig()), names)
        if half_life := settings.ema.get(name):
            player.half_life, player.average = half_life, [p.detach().clone() for p in player.parameters]
            player.warmup = settings.ema_warmup
    return players


@contextmanager
def averaged(players: Iterable[PlayerState]) -> Iterator[None]:
    """While inside, players that keep averaged weights have these as their weights."""
    pairs = [
        pair for player in players if player.average for pair in zip(player.parameters, player.average, strict=True)
    ]

    def swap() -> None:
        for p, a in pairs:
            p.data, a.data = a.data, p.data

    swap()
    try:
        yield
    finally:
        swap()


def make_optimizer(optim: OptimConfig, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
    """The torch optimiser that the settings describe."""
    parameters: Any = weights
    if optim.decay == "matrices":
        vectors = {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0}
        parameters = [{"params": [p for p in weights if p.dim() >= 2]}, vectors]
    common: dict[str, Any] = {"lr": optim.lr, "weight_decay": optim.weight_decay}
    adam: dict[str, Any] = {"betas": optim.betas, "eps": optim.eps}
    match optim.name:
        case "adam":
            return torch.optim.Adam(parameters, **common, **adam, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, **common, **adam, fused=True)
        case "adamax":
            return torch.optim.Adamax(parameters, **common, **adam, foreach=True)
        case "sgd":
            return torch.optim.SGD(parameters, **common, momentum=optim.momentum, fused=True)
        case "adagrad":
            return torch.optim.Adagrad(parameters, **common, fused=weights[0].device.type == "cpu")
        case "rmsprop":
            alpha: dict[str, Any] = {"alpha": optim.betas[1], "eps": optim.eps, "momentum": optim.momentum}
            return torch.optim.RMSprop(parameters, **common, **alpha, foreach=True)


def state_fields(optim: OptimConfig) -> set[str]:
    """Names of what an optimiser remembers of a parameter; all but ``step``, a number, have the parameter's shape."""
    moments = {
        "adam": {"step", "exp_avg", "exp_avg_sq"},
        "adamw": {"step", "exp_avg", "exp_avg_sq"},
        "adamax": {"step", "exp_avg", "exp_inf"},
        "adagrad": {"step", "sum"},
        "rmsprop": {"step", "square_avg"},
        "sgd": set[str](),
    }[optim.name]
    return moments | ({"momentum_buffer"} if optim.name in ("sgd", "rmsprop") and optim.momentum else set())


def learning_rate(optim: OptimConfig, round: int, rounds: int) -> float:
    """Learning rate in round ``round`` (from 0) of a schedule over ``rounds``."""
    start = max(optim.warmup, optim.hold * rounds)
    progress = (round - start) / max(1, rounds - start)
    match optim.schedule:
        case "constant":
            factor = 1.0
        case "linear":
            factor = 1 - (1 - optim.final) * min(1.0, max(0.0, progress))
        case "cosine":
            factor = optim.final + (1 - optim.final) * (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2
    if round < optim.warmup:
        factor *= (round + 1) / optim.warmup
    return optim.lr * factor
