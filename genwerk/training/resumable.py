"""What a checkpoint holds of a training: its players and where it stands, and the way back to that."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from genwerk.core.errors import BadFile, BadInput
from genwerk.core.model import Model, Stage
from genwerk.training.checkpointer import Checkpointer, TrainerState, check_tensor
from genwerk.training.choice import Choice, stored_choice
from genwerk.training.descent import Descent, Diverged
from genwerk.training.players import averaged, player_states
from genwerk.training.runtime import Runtime
from genwerk.training.settings import TrainConfig, from_json
from genwerk.training.watchdog import Watchdog

MOST_THREADS = 4096
"""Threads that a checkpoint may ask for."""


@dataclass
class Position:
    """Where training stands; the whole of it fits in a checkpoint's JSON."""

    stage: int = 0
    stage_round: int = 0
    round: int = 0
    drawn: int = 0
    examples: int = 0
    converged: bool = False
    impatient: bool = False
    """Whether the stage's held-out figure has not improved for so long that it ends."""
    undone: int = 0
    """Rounds played that a rollback has taken back."""
    retries: int = 0
    """Rollbacks so far."""
    home: int = -1
    """Round of the checkpoint to roll back to; -1 while there is none."""
    measured: bool = False
    """Whether ``home`` is the best of this stage by its held-out figure."""

    def at_end_of(self, stage: Stage) -> bool:
        """Whether ``stage``, in which training stands, has been played to its end."""
        return self.stage_round >= stage.rounds or self.converged or self.impatient


class Resumable:
    """A model in training: its players, where they stand and what has been seen so far.

    ``checkpoints`` is where it is kept; None keeps nothing.
    """

    def __init__(
        self,
        model: Model,
        settings: TrainConfig,
        watchdog: Watchdog,
        runtime: Runtime,
        checkpoints: Checkpointer | None,
    ) -> None:
        self.model = model.to(runtime.device)
        self.settings, self.watchdog, self.runtime, self.checkpoints = settings, watchdog, runtime, checkpoints
        self.stages: Sequence[Stage] = model.stages(settings.rounds)
        self.position = Position()
        self.choice = Choice()
        self.runtime.share_batch_norm(model)
        self.players = player_states(model, settings)
        self.descent = Descent(self.players, runtime, settings.micro_batch)
        if settings.compile:
            for module in {id(m): m for player in self.players.values() for m in _networks(player.module)}.values():
                module.compile()

    @property
    def judges(self) -> str:
        """Fingerprint of the examples that choose the weights; empty where there are none."""
        return ""

    @contextmanager
    def averaged(self) -> Iterator[Model]:
        """The model with its averaged weights, in evaluation mode."""
        with averaged(self.players.values()):
            self.model.eval()
            try:
                with torch.no_grad():
                    yield self.model
            finally:
                self.model.train()

    def state(self) -> TrainerState:
        """All that is needed to go on from here, beside the model's own weights."""
        averages: dict[str, Tensor] = {}
        tensors: dict[str, Tensor] = {}
        for name, player in self.players.items():
            if player.average is not None:
                averages |= zip(player.names, player.average, strict=True)
            tensors |= {f"optim.{name}.{key}": value for key, value in player.optimizer_tensors().items()}
        figures = {
            "position": vars(self.position).copy(),
            "steps": {name: player.steps for name, player in self.players.items()},
            "choice": self.choice.state(),
            "watchdog": self.watchdog.state(),
            "threads": torch.get_num_threads(),
            "processes": self.runtime.world,
        }
        return TrainerState(figures, averages, tensors)

    def resume(self, state: TrainerState) -> None:
        """Go on from ``state``; the model's own weights must have been loaded already.

        Nothing of it is taken on trust: a BadFile says what does not belong to this model and these settings.
        """
        figures, where = state.figures, state.where
        self.position = self._placed(from_json(Position, figures.get("position"), f"{where}: position"), where)
        self.choice = stored_choice(figures, where)
        if self.choice.of not in ("", self.judges):  # other examples judge from now on
            self.choice = Choice(judged=self.choice.judged)
            self.position.impatient = False
        self.position.impatient &= 0 < self.settings.patience <= self.choice.since
        if "watchdog" in figures:
            self.watchdog.load(figures["watchdog"], where)
        threads = from_json(int, figures.get("threads"), f"{where}: threads")
        if not 0 < threads <= MOST_THREADS:
            raise BadFile(f"{where}: threads is {threads}; expected 1 to {MOST_THREADS}")
        world = self.runtime.world
        if (processes := from_json(int, figures.get("processes", world), f"{where}: processes")) != world:
            warnings.warn(
                f"{processes} processes trained this run so far, and it goes on with {world}: the result is the same "
                "up to rounding, not to the bit",
                stacklevel=2,
            )
        if self.runtime.device.type == "cpu" and self.runtime.world == 1:
            torch.set_num_threads(threads)
        steps = from_json(dict[str, int], figures.get("steps"), f"{where}: steps")
        if steps.keys() != self.players.keys() or min(steps.values(), default=0) < 0:
            raise BadFile(f"{where}: steps are {steps}; expected a number for each of {', '.join(self.players)}")
        optimizers: dict[str, dict[str, Tensor]] = {name: {} for name in self.players}
        for key, value in state.tensors.items():
            name, _, entry = key.removeprefix("optim.").rpartition(".")[0].rpartition(".")
            if not key.startswith("optim.") or name not in optimizers:
                raise BadFile(f"{where} has the surplus tensor {key!r}")
            optimizers[name][f"{entry}.{key.rpartition('.')[2]}"] = value
        averages = {name for player in self.players.values() if player.average is not None for name in player.names}
        for name in sorted(averages ^ state.averages.keys()):
            raise BadFile(f"{where} {'lacks' if name in averages else 'has the surplus'} averaged weight {name!r}")
        for name, player in self.players.items():
            player.steps = steps[name]
            if player.average is not None:
                for key, average in zip(player.names, player.average, strict=True):
                    check_tensor(state.averages[key], average, f"{where}: averaged weight {key!r}")
                    average.copy_(state.averages[key])
            player.load_optimizer(optimizers[name], f"{where}: optimiser of {name!r}")

    def _placed(self, at: Position, where: str) -> Position:
        """``at``, if training can go on from there; BadInput where fewer rounds are wanted than it has played."""
        counted = (at.stage, at.stage_round, at.round, at.drawn, at.examples, at.undone, at.retries, at.home + 1)
        if min(counted) < 0 or max(counted) >= 2**62 or at.stage > len(self.stages):
            raise BadFile(f"{where}: position is {at}; expected counts from 0 and a stage below {len(self.stages)}")
        if at.stage == len(self.stages):  # the end of all, as runs of version 0.1 have it
            before = sum(stage.rounds for stage in self.stages[:-1])
            played = at.round - at.undone - before
            at.stage, at.stage_round = at.stage - 1, played if played > 0 else self.stages[-1].rounds
            at.drawn = at.examples * at.stage_round // max(1, at.round)
        if at.stage_round > (stage := self.stages[at.stage]).rounds:
            raise BadInput(
                f"the stage {stage.name!r} has played {at.stage_round:,} rounds, and {stage.rounds:,} are asked for; "
                f"ask for {at.stage_round:,} or more"
            )
        return at

    def _home(self) -> Path | None:
        """The checkpoint to go back to; None while there is none."""
        if self.checkpoints is None or self.position.home < 0:
            return None
        return self.checkpoints.home(self.position.home)

    def _go_back(self, home: Path) -> int:
        """All is again as in ``home``, whose round is returned, but for what is counted: rounds, examples, retries."""
        now = self.position
        self._load(home)
        then = self.position
        self.position = replace(
            then,
            round=now.round,
            examples=now.examples,
            undone=then.undone + now.round - then.round,
            retries=now.retries + 1,
        )
        self.descent.forget_losses()
        self.runtime.barrier()
        return then.round

    def _load(self, home: Path) -> None:
        """All is again as in ``home``."""
        assert self.checkpoints is not None
        self.model.load_state_dict(self.checkpoints.load_weights(home, averaged=False))
        self.resume(self.checkpoints.load_state(home))

    def _require_finite(self) -> None:
        """Raise Diverged, on all processes alike, unless losses, weights and optimisers' states so far are finite."""
        self.descent.read_losses()
        kept = [(f"the weight {name!r}", w) for name, w in self.model.state_dict().items()]
        for player in self.players.values():
            kept += [(f"the optimiser of {player.name!r}", state) for state in player.optimizer_tensors().values()]
        bad = next((what for what, t in kept if t.is_floating_point() and not t.isfinite().all()), None)
        if self.runtime.any(bad is not None):
            which = bad or "a weight of another process"
            raise Diverged(f"{which} is no longer finite in round {self.position.round}")


def _networks(player: nn.Module) -> list[nn.Module]:
    """What is compiled of a player: its parts, for a loss may call those by themselves, and itself but for a model."""
    parts = [m for m in player.children() if any(True for _ in m.parameters())]
    return parts if isinstance(player, Model) else [player, *parts]
