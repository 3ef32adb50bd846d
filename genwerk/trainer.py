"""The one training loop: it plays a model's turns and tells what happens as events."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genwerk.abilities import Decodes, Encodes, Samples
from genwerk.data.dataset import Dataset
from genwerk.data.stream import Stream, mix
from genwerk.events import Evaluated, Event, RoundDone, Sampled, Saved, StageDone, Stopped
from genwerk.model import Metrics, Model, Stage, Turn
from genwerk.runtime import Runtime
from genwerk.settings import Optim, Train
from genwerk.spec import Batch
from genwerk.store import Checkpoints, TrainerState

SHOWN = 64
"""Examples in a picture made during training."""


class Diverged(RuntimeError):
    """A loss or a weight stopped being a finite number."""


class Seat:
    """A player at the table: its module, its optimiser and its averaged weights."""

    def __init__(self, name: str, module: nn.Module, optim: Optim, names: Mapping[Tensor, str]) -> None:
        self.name, self.module, self.optim, self.steps, self.rate = name, module, optim, 0, 1.0
        self.parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self.names = [names[p] for p in self.parameters]
        self.optimizer = make_optimizer(optim, self.parameters) if self.parameters else None
        self.average: list[Tensor] | None = None
        self.half_life = 0.0

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

    def restore_optimizer(self, state: Mapping[int, Mapping[str, Tensor]]) -> None:
        if self.optimizer is not None:
            groups = self.optimizer.state_dict()["param_groups"]
            copy = {i: {k: v.clone() for k, v in s.items()} for i, s in state.items()}
            self.optimizer.load_state_dict({"state": copy, "param_groups": groups})


def make_optimizer(optim: Optim, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    """The torch optimiser that the settings describe."""
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
            return torch.optim.Adagrad(parameters, **common, fused=parameters[0].device.type == "cpu")
        case "rmsprop":
            alpha: dict[str, Any] = {"alpha": optim.betas[1], "eps": optim.eps, "momentum": optim.momentum}
            return torch.optim.RMSprop(parameters, **common, **alpha, foreach=True)


def learning_rate(optim: Optim, round: int, rounds: int) -> float:
    """Learning rate in round ``round`` (from 0) of a stage of ``rounds``."""
    progress = (round - optim.warmup) / max(1, rounds - optim.warmup)
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


def micro_batches(data: Sequence[Any], size: int | None) -> Iterator[tuple[Sequence[Any], float]]:
    """``data`` cut into pieces of at most ``size`` rows, each with its share of the rows (the shares sum to 1)."""
    n = next((len(d) for d in data if isinstance(d, Batch) or (isinstance(d, Tensor) and d.dim() > 0)), 0)
    if not size or n <= size:
        yield data, 1.0
        return
    by_row = [isinstance(d, Batch) or (isinstance(d, Tensor) and d.dim() > 0 and len(d) == n) for d in data]
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        yield [d[rows] if cut else d for d, cut in zip(data, by_row, strict=True)], (rows.stop - start) / n


@dataclass
class Position:
    """Where training stands; the whole of it fits in a checkpoint's JSON."""

    stage: int = 0
    stage_round: int = 0
    round: int = 0
    drawn: int = 0
    examples: int = 0
    converged: bool = False


class Trainer:
    """Trains ``model`` on ``data``: iterate over it for its events, or call :meth:`fit`.

    ``evaluate`` gives held-out figures of the model, the first of which decides the best checkpoint (smaller is
    better); ``checkpoints`` is where to save, None saves nothing. Seeds, order and noise depend on ``settings.seed``
    and the round alone, so a run that goes on from a checkpoint ends with the same bits as one that never stopped.
    """

    def __init__(
        self,
        model: Model,
        data: Dataset,
        settings: Train,
        *,
        runtime: Runtime | None = None,
        evaluate: Callable[[Model], Mapping[str, float]] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.runtime = runtime or Runtime(torch.device("cpu"), settings.precision)
        self.model = model.to(self.runtime.device)
        self.data, self.settings, self.evaluate, self.checkpoints = data, settings, evaluate, checkpoints
        self.stages = model.stages(settings.rounds)
        self.position = Position()
        self.best = math.inf
        self.figures: Mapping[str, float] = {}
        self.players = self._seat_players()
        self._stop = False
        self._unread: list[tuple[str, int, Tensor]] = []
        if settings.compile:
            for module in {id(m): m for seat in self.players.values() for m in _networks(seat.module)}.values():
                module.compile()

    @property
    def rounds(self) -> int:
        """Rounds of all stages together, if none converges early."""
        return sum(stage.rounds for stage in self.stages)

    def fit(self) -> Model:
        """Train to the end and return :meth:`finished`."""
        for _ in self:
            pass
        return self.finished()

    def finished(self) -> Model:
        """The model as it stands, in evaluation mode, with its averaged weights where it keeps them."""
        with torch.no_grad():
            for seat in self.players.values():
                if seat.average is not None:
                    torch._foreach_copy_(seat.parameters, seat.average)
        return self.model.eval()

    def stop(self, *_: Any) -> None:
        """Ask for an end after the round being played; may be called from a signal handler or another thread."""
        self._stop = True

    @contextmanager
    def stopping_on(self, *signals: signal.Signals) -> Iterator[None]:
        """While inside, these signals ask for an end instead of killing the process."""
        before = {s: signal.signal(s, self.stop) for s in signals}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event]:
        at, main, settings = self.position, self.runtime.main, self.settings
        saved = shown = judged = at.round
        while at.stage < len(self.stages):
            stage = self.stages[at.stage]
            stream = self._stream(stage)
            while at.stage_round < stage.rounds and not at.converged:
                metrics = self._round(stage, stream)
                yield RoundDone(**self._where(stage), metrics=metrics)
                best = False
                if main and _due(at.round, settings.sample_every):
                    yield from self._show(stage)
                    shown = at.round
                if main and _due(at.round, settings.evaluate_every):
                    best = yield from self._judge(stage)
                    judged = at.round
                stopping = self.runtime.any(self._stop)
                if main and (best or stopping or _due(at.round, settings.save_every)):
                    yield from self._save(stage, best)
                    saved = at.round
                if stopping:
                    yield Stopped(**self._where(stage))
                    return
            self._read_losses()
            yield StageDone(**self._where(stage), converged=at.converged)
            at.stage, at.stage_round, at.drawn, at.converged = at.stage + 1, 0, 0, False
        last, best = self.stages[-1], False
        for seat in self.players.values():
            seat.freeze(False)
        if main and shown < at.round:
            yield from self._show(last)
        if main and judged < at.round:
            best = yield from self._judge(last)
        if main and (best or saved < at.round):
            yield from self._save(last, best)
        self.runtime.barrier()

    def _round(self, stage: Stage, stream: Stream) -> Metrics:
        at, seed = self.position, self.settings.seed
        stream.begin(at.stage, at.stage_round)
        self.runtime.seed(mix(seed, at.stage, at.stage_round, self.runtime.rank))
        turns, shown = stage.turns(stream, self.players), Metrics()
        try:
            turn = next(turns)
            while True:
                metrics = self._take(turn, stage)
                shown |= {k: v for k, v in metrics.items() if v.dim() == 0}
                turn = turns.send(metrics)
        except StopIteration as end:
            at.converged = bool(end.value)
        at.stage_round, at.round = at.stage_round + 1, at.round + 1
        at.examples, at.drawn = at.examples + stream.examples - at.drawn, stream.examples
        return shown

    def _take(self, turn: Turn, stage: Stage) -> Metrics:
        seat = None if turn.player is None else self.players[turn.player]
        if seat is not None:
            if len(self.players) > 1:
                for other in self.players.values():
                    other.freeze(other is not seat)
            for p in seat.parameters:
                p.grad = None
        total, means = torch.zeros((), device=self.runtime.device), Metrics()
        for data, share in micro_batches(turn.data, self.settings.micro_batch):
            with torch.set_grad_enabled(seat is not None), self.runtime.autocast():
                loss, metrics = turn.loss(*data)
            if seat is not None:
                (loss if share == 1 else loss * share).backward()
            total = total + loss.detach() * share
            for name, value in metrics.items():
                part = value.detach() * share
                means[name] = means[name] + part if name in means else part
        means = {"loss" if turn.player in (None, "model") else f"{turn.player} loss": total, **means}
        self._pool(seat, means, turn)
        self._note_loss(turn.player or stage.name, total)
        if seat is not None:
            self._step(seat, stage)
        return means

    def _pool(self, seat: Seat | None, metrics: Metrics, turn: Turn) -> None:
        """Average gradients and figures over processes, by the examples each has seen."""
        if self.runtime.world == 1:
            return
        gradients = [] if seat is None else [p.grad for p in seat.parameters if p.grad is not None]
        self.runtime.average([*gradients, *metrics.values()], self._share)

    def _step(self, seat: Seat, stage: Stage) -> None:
        if seat.optimizer is None:
            return
        if seat.optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(seat.parameters, seat.optim.clip_norm)
        lr = learning_rate(seat.optim, self.position.stage_round, stage.rounds)
        seat.optimizer.param_groups[0]["lr"] = lr * seat.rate
        seat.optimizer.step()
        seat.steps += 1
        if seat.average is not None:
            with torch.no_grad():
                torch._foreach_lerp_(seat.average, seat.parameters, 1 - 0.5 ** (self._batch_size / seat.half_life))

    # --- what is shown, judged and kept ------------------------------------------------------------------------------

    @contextmanager
    def averaged(self) -> Iterator[Model]:
        """The model with its averaged weights, in evaluation mode."""
        seats = [s for s in self.players.values() if s.average is not None]
        self._swap(seats)
        self.model.eval()
        try:
            with torch.no_grad():
                yield self.model
        finally:
            self.model.train()
            self._swap(seats)

    @staticmethod
    def _swap(seats: Sequence[Seat]) -> None:
        for seat in seats:
            for p, a in zip(seat.parameters, seat.average or (), strict=True):
                p.data, a.data = a.data, p.data

    def _show(self, stage: Stage) -> Iterator[Event]:
        rows = torch.arange(min(SHOWN, len(self.data)), device=self.data.device)
        with self.averaged() as model:
            if isinstance(model, Samples):
                condition = None
                if getattr(model, "condition", "none") == "label":
                    condition = torch.arange(SHOWN, device=model.device) % len(model.spec.classes)
                batch = Batch(model.sample(SHOWN, condition, seed=self.settings.seed), condition)
                yield Sampled(**self._where(stage), what="samples", batch=batch)
            elif isinstance(model, Encodes) and isinstance(model, Decodes):
                x = self.data.batch(rows).x.to(model.device)
                batch = Batch(x, target=model.decode(model.encode(x)))
                yield Sampled(**self._where(stage), what="reconstructions", batch=batch)

    def _judge(self, stage: Stage) -> Generator[Event, None, bool]:
        if self.evaluate is None:
            return False
        with self.averaged() as model:
            self.figures = dict(self.evaluate(model))
        yield Evaluated(**self._where(stage), figures=self.figures)
        score = next(iter(self.figures.values()))
        better = score < self.best
        self.best = min(score, self.best)
        return better

    def _save(self, stage: Stage, best: bool) -> Iterator[Event]:
        if self.checkpoints is None:
            return
        self._read_losses()
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise self._diverged(f"the weight {name!r} is no longer finite", self.position.round)
        score = next(iter(self.figures.values()), None)
        yield Saved(
            **self._where(stage),
            path=self.checkpoints.save(self.model, self.state(), score if best else None),
            best=best,
        )

    def state(self) -> TrainerState:
        """All that is needed to go on from here, beside the model's own weights."""
        averages: dict[str, Tensor] = {}
        tensors: dict[str, Tensor] = {}
        for name, seat in self.players.items():
            if seat.average is not None:
                averages |= zip(seat.names, seat.average, strict=True)
            if seat.optimizer is not None:
                for i, state in seat.optimizer.state_dict()["state"].items():
                    tensors |= {f"optim.{name}.{i}.{key}": torch.as_tensor(value) for key, value in state.items()}
        figures = {
            "position": vars(self.position).copy(),
            "steps": {name: seat.steps for name, seat in self.players.items()},
            "best": self.best if math.isfinite(self.best) else None,
            "threads": torch.get_num_threads(),
        }
        return TrainerState(figures, averages, tensors)

    def resume(self, state: TrainerState) -> None:
        """Go on from ``state``; the model's own weights must have been loaded already."""
        figures = state.figures
        self.position = Position(**figures["position"])
        self.best = math.inf if figures["best"] is None else figures["best"]
        if self.runtime.device.type == "cpu" and self.runtime.world == 1:
            torch.set_num_threads(figures["threads"])
        for name, seat in self.players.items():
            seat.steps = figures["steps"][name]
            if seat.average is not None:
                for key, value in zip(seat.names, seat.average, strict=True):
                    value.copy_(state.averages[key])
            optim: dict[int, dict[str, Tensor]] = {}
            for key, value in state.tensors.items():
                if key.startswith(f"optim.{name}."):
                    index, field = key.removeprefix(f"optim.{name}.").split(".")
                    optim.setdefault(int(index), {})[field] = value
            seat.restore_optimizer(optim)

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _seat_players(self) -> dict[str, Seat]:
        modules, settings = self.model.players(), self.settings
        for kind in ("optim", "ema"):
            if unknown := sorted(getattr(settings, kind).keys() - modules.keys()):
                raise ValueError(
                    f"train.{kind} names the player {unknown[0]!r}; {type(self.model).__name__} has "
                    + (", ".join(modules) or "none")
                )
        names: dict[Tensor, str] = {p: name for name, p in self.model.named_parameters()}
        seats = {}
        for name, module in modules.items():
            seats[name] = seat = Seat(name, module, settings.optim.get(name, Optim()), names)
            if half_life := settings.ema.get(name):
                seat.half_life, seat.average = half_life, [p.detach().clone() for p in seat.parameters]
        return seats

    def _stream(self, stage: Stage) -> Stream:
        data = self.data
        if stage.data is not None:
            with self.averaged():
                data = stage.data(data)
        self.model.train()
        stream = Stream(
            _near(data, self.runtime.device),
            self.settings.batch_size if stage.batch_size is None else stage.batch_size,
            mix(self.settings.seed, self.position.stage),
            device=self.runtime.device,
            rank=self.runtime.rank,
            world=self.runtime.world,
        )
        stream.examples = self.position.drawn
        self._batch_size = stream.batch_size
        self._share = (stream.rows.stop - stream.rows.start) / stream.batch_size
        return stream

    def _where(self, stage: Stage) -> dict[str, Any]:
        steps = {name: seat.steps for name, seat in self.players.items()}
        return {"stage": stage.name, "round": self.position.round, "examples": self.position.examples, "steps": steps}

    def _note_loss(self, who: str, loss: Tensor) -> None:
        """Look at the loss before the step where that is free (CPU); on a GPU, look at many together."""
        self._unread.append((who, self.position.round + 1, loss))
        if self.runtime.device.type == "cpu" or len(self._unread) >= 64:
            self._read_losses()

    def _read_losses(self) -> None:
        unread, self._unread = self._unread, []
        if len(unread) == 1 and math.isfinite(unread[0][2].item()):
            return
        if unread:
            finite = torch.stack([loss.float() for *_, loss in unread]).isfinite().tolist()
            for (who, round, loss), good in zip(unread, finite, strict=True):
                if not good:
                    raise self._diverged(f"the loss of {who!r} became {loss.item()}", round)

    def _diverged(self, what: str, round: int) -> Diverged:
        good = self.checkpoints.newest() if self.checkpoints is not None else None
        where = f"the last good checkpoint is {good}" if good else "no checkpoint had been saved yet"
        return Diverged(f"{what} in round {round}; {where}. Try a lower learning rate or --train.optim.*.clip-norm 1.")


def _due(round: int, every: int) -> bool:
    return every > 0 and round % every == 0


def _networks(player: nn.Module) -> list[nn.Module]:
    """What is compiled of a player: a model's parts (its loss calls those), or the module itself."""
    return (
        [m for m in player.children() if any(True for _ in m.parameters())] if isinstance(player, Model) else [player]
    )


def _near(data: Dataset, device: torch.device) -> Dataset:
    """``data`` on ``device``, if that takes at most a quarter of its memory."""
    if device.type != "cuda":
        return data if data.device.type == device.type else data.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    return data.to(device) if data.x.nbytes < free / 4 else data
