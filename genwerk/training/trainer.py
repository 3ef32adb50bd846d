"""The one training loop: it plays a model's turns and tells what happens as events."""

from __future__ import annotations

import math
import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genwerk.core.abilities import Decodes, Encodes, Samples
from genwerk.core.errors import BadFile, BadInput
from genwerk.core.model import Loss, Metrics, Model, Rows, Stage, Turn, schedule
from genwerk.core.noise import mix
from genwerk.core.spec import Batch
from genwerk.data.dataset import Dataset
from genwerk.data.stream import Stream
from genwerk.training.checkpointer import Checkpointer, TrainerState, check_tensor
from genwerk.training.choice import JUDGES, Choice, Judged, stored_choice
from genwerk.training.events import (
    Collapsed,
    Evaluated,
    Event,
    RolledBack,
    RoundDone,
    Sampled,
    Saved,
    StageDone,
    Stopped,
    Watched,
)
from genwerk.training.launcher import handling
from genwerk.training.players import PlayerState, averaged, learning_rate, player_states
from genwerk.training.runtime import Runtime
from genwerk.training.settings import TrainConfig, from_json
from genwerk.training.watchdog import Watchdog

SHOWN = 64
"""Examples in a picture made during training."""
EVALUATIONS = {True: 40, False: 10}
"""Evaluations in a stage by a figure that is steady, and by one that is of samples, if no number of rounds is set."""
FEWEST_ROUNDS = 20
"""Rounds between evaluations, at the least, if no number is set: patience over fewer would be with noise."""
SHARE = {True: 16, False: 20}
"""Examples that are trained on, at the least, for each by which a model is then judged: what bounds the cost of it."""


Judge = Callable[[Model, Dataset, Dataset], Judged]
"""Judges a part of the model by validation examples; the training examples beside them tell what is usual."""


MOST_THREADS = 4096
"""Threads that a checkpoint may ask for."""


class Diverged(RuntimeError):
    """A loss or a weight stopped being a finite number."""


class Collapse(Exception):
    """The watchdog has seen enough; within the trainer only."""


def micro_batches(rows: Sequence[Rows], size: int | None) -> Iterator[tuple[Sequence[Rows], float]]:
    """``rows`` cut into micro-batches of at most ``size``, each with its share of the examples (the shares sum to 1).

    A ValueError says where there are more rows of one than of another.
    """
    lengths = [len(r) for r in rows if r is not None]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"the rows of a turn number {', '.join(map(str, lengths))}; expected one an example in each "
            "(what is not cut with the batch is passed by keyword)"
        )
    n = lengths[0] if lengths else 0
    if not size or n <= size:
        yield rows, 1.0
        return
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        yield [None if r is None else r[part] for r in rows], (part.stop - start) / n


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


class Trainer:
    """Trains ``model`` on ``data``: iterate over it for its events, or call :meth:`fit`.

    ``evaluate`` judges the part of the model that a stage trains by the examples of ``validation`` (None: by those
    trained on), as that part sees them. The best round of the last stage is the model that is chosen; a stage that went
    past its best hands the weights of its best round to the next. Both take ``checkpoints``, which is where to save;
    None saves nothing, and training ends where it stands. Seeds, order and noise depend on ``settings.seed`` and the
    round alone, so a run that goes on from a checkpoint ends with the same bits as one that never stopped.

    ``watchdog`` looks at games as ``settings.watchdog`` says. A rollback takes weights, averages, optimisers and
    position back to the best checkpoint (the newest that was due, while none has been measured), lowers the learning
    rates and draws other random numbers, and is itself saved at once: it is as exact a part of a run's history as any
    round. Rounds that it undid stay counted. On several processes, give all of them ``checkpoints``: the first writes.
    """

    def __init__(
        self,
        model: Model,
        data: Dataset,
        settings: TrainConfig,
        *,
        runtime: Runtime | None = None,
        validation: Dataset | None = None,
        evaluate: Judge | None = None,
        checkpoints: Checkpointer | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.runtime = runtime or Runtime(torch.device("cpu"), settings.precision)
        self.model = model.to(self.runtime.device)
        self.settings, self.evaluate, self.checkpoints = settings, evaluate, checkpoints
        self.data = data.under(model.condition)
        self.judges = (data if validation is None else validation).under(model.condition).subset(JUDGES)
        self.watchdog = watchdog or Watchdog(settings.watchdog, data)
        self.stages = model.stages(settings.rounds)
        self.position = Position()
        self.choice = Choice()
        self.runtime.share_batch_norm(model)
        self.players = player_states(model, settings)
        self._stop = False
        self.stopped_by: signal.Signals | None = None
        """The signal that asked this or another process to stop; None while none has."""
        self._unread: list[tuple[str, int, Tensor]] = []
        self._moved: dict[str, bool] = {}
        self._views: tuple[int, Dataset, Dataset] | None = None
        self._finished = False
        if settings.compile:
            for module in {id(m): m for player in self.players.values() for m in _networks(player.module)}.values():
                module.compile()

    @property
    def rounds(self) -> int:
        """Rounds of all stages together, if none converges early, and those that rollbacks have undone so far."""
        return sum(stage.rounds for stage in self.stages) + self.position.undone

    def fit(self) -> Model:
        """Train to the end and return :meth:`finished`."""
        for _ in self:
            pass
        return self.finished()

    def finished(self) -> Model:
        """The chosen model in evaluation mode, with its averaged weights where it keeps them.

        That is the best by its held-out figure if checkpoints were saved, and otherwise the model as it stands.
        """
        if not self._finished:
            kept, best = self.checkpoints, self._home() if self.position.measured else None
            with torch.no_grad():
                for player in self.players.values():
                    if player.average is not None:
                        torch._foreach_copy_(player.parameters, player.average)
            if kept is not None and best is not None and kept.round_of(best) != self.position.round:
                self.model.load_state_dict(kept.load_weights(best))
            self._finished = True
        return self.model.eval()

    def stop(self, number: int = signal.SIGTERM, _: Any = None) -> None:
        """Ask for an end after the round being played; may be called from another thread or as a signal's handler.

        Ctrl-C pressed again while that is awaited ends at once.
        """
        if self._stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._stop, self.stopped_by = True, signal.Signals(number)

    @contextmanager
    def stopping_on(self, *signals: signal.Signals) -> Iterator[None]:
        """While inside, these signals ask for an end instead of killing the process."""
        with handling(signals, self.stop):
            yield

    # --- the loop ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event]:
        self._finished = False
        while True:
            stage, over = self.stages[self.position.stage], self.over
            try:
                stopped = yield from self._play(stage)
            except (Diverged, Collapse) as fault:
                if (yield from self._recover(stage, fault)):
                    continue
                stopped = True
            if stopped:
                self.runtime.barrier()
                yield Stopped(**self._where(stage))
                return
            at = self.position
            if not over:
                yield StageDone(**self._where(stage), converged=at.converged, choice=replace(self.choice))
            if self.over:
                break
            self._hand_over()
            at.stage, at.stage_round, at.drawn, at.converged, at.impatient = at.stage + 1, 0, 0, False, False
        for player in self.players.values():
            player.freeze(False)
        self.runtime.barrier()

    @property
    def over(self) -> bool:
        """Whether the last stage has been played to its end."""
        return self.position.stage == len(self.stages) - 1 and self._played(self.stages[-1])

    def _played(self, stage: Stage) -> bool:
        at = self.position
        return at.stage_round >= stage.rounds or at.converged or at.impatient

    def _play(self, stage: Stage) -> Generator[Event, None, bool]:
        """The rest of a stage; True where training was asked to stop before its end.

        What is due at the end of all is done in the last round, before it is saved: a run that is killed after that has
        nothing left to do.
        """
        at, main, settings = self.position, self.runtime.main, self.settings
        stream = None if self._played(stage) else self._stream(stage)
        while stream is not None and not self._played(stage):
            metrics = self._round(stage, stream)
            yield RoundDone(**self._where(stage), metrics=metrics)
            best, every = False, self._evaluate_every(stage)
            if self.over or _due(at.stage_round, every) or (every and self._played(stage)):
                best = self.runtime.any(main and (yield from self._judge(stage)))
                self.choice.steady = not self.runtime.any(not self.choice.steady)
                patience = settings.patience if self.choice.steady else 0
                at.impatient = self.runtime.any(0 < patience <= self.choice.since)
            over = self.over
            if main and (over or _due(at.round, settings.sample_every)):
                yield from self._show(stage)
            if self._watching and len(self._moved) > 1:
                yield from self._look(stage, metrics)
            stopping = self.runtime.any(self._stop)
            due = over or _due(at.round, settings.save_every)
            if best or stopping or due or self._played(stage):
                self._require_finite()
            if best or (due and not at.measured):
                at.home, at.measured = at.round, best
            if main and (best or stopping or due):
                yield from self._save(stage, best)
            if stopping:
                self.stopped_by = self.stopped_by or signal.SIGTERM
                return True
        return False

    def _round(self, stage: Stage, stream: Stream) -> Metrics:
        at = self.position
        at.round += 1
        stream.begin(at.stage, at.stage_round)
        self.runtime.seed(mix(self._seed, at.stage, at.stage_round, self.runtime.rank))
        turns, shown = stage.turns(stream, self.players), Metrics()
        self._moved.clear()
        try:
            turn = next(turns)
            while True:
                metrics = self._take(turn, stage)
                shown |= {k: v for k, v in metrics.items() if v.dim() == 0}
                turn = turns.send(metrics)
        except StopIteration:
            at.converged = stage.converged is not None and stage.converged()
        at.stage_round += 1
        at.examples, at.drawn = at.examples + stream.examples - at.drawn, stream.examples
        return shown

    def _take(self, turn: Turn, stage: Stage) -> Metrics:
        player = None if turn.player is None else self.players[turn.player]
        if len(self.players) > 1:
            for other in self.players.values():
                other.freeze(player not in (None, other))
        if player is not None:
            for p in player.parameters:
                p.grad = None
        total, means = (self._descend if turn.features is None else self._descend_whole)(turn, player is not None)
        of = "" if turn.player in (None, "model") else f"{turn.player} "
        means = {f"{of}loss": total, **means}
        self._pool(player, means, turn)
        self._note_loss(turn.player or stage.name, total)
        if player is not None:
            self._moved[player.name] = "accuracy" in means
            norm = self._step(player, stage)
            if norm is not None:
                means[f"{of}gradient norm"] = norm
        return means

    def _descend(self, turn: Turn, learning: bool) -> Loss:
        """Gradients of a loss that is a mean over examples, added up over micro-batches."""
        total, means = torch.zeros((), device=self.runtime.device), Metrics()
        for rows, share in micro_batches(turn.rows, self.settings.micro_batch):
            with torch.set_grad_enabled(learning), self.runtime.autocast():
                loss, metrics = turn.loss(*rows, **turn.whole)
            if learning:
                (loss if share == 1 else loss * share).backward()
            total = total + loss.detach() * share
            for name, value in metrics.items():
                part = value.detach() * share
                means[name] = means[name] + part if name in means else part
        return total, means

    def _descend_whole(self, turn: Turn, learning: bool) -> Loss:
        """Gradients of a loss of the whole batch's features, whichever micro-batch or process they come from.

        Gao, Zhang, Han & Callan, Scaling deep contrastive learning batch size under memory limited setup, 2021,
        arXiv:2101.06983, section 3: features without a graph, the loss and its gradient by them, features once more.
        """
        assert turn.features is not None
        pieces = [rows for rows, _ in micro_batches(turn.rows, self.settings.micro_batch)]
        whole = len(pieces) == 1 and self.runtime.world == 1
        states, found = [], []
        for data in pieces:
            states.append(self.runtime.random_state())
            with torch.set_grad_enabled(learning and whole), self.runtime.autocast():
                found.append(turn.features(*data, **turn.whole))
        columns = [self.runtime.gather(torch.cat(column)) for column in zip(*found, strict=True)]
        first = columns[0][1].start
        features = [
            rows if whole else rows.requires_grad_(learning and rows.is_floating_point()) for rows, _ in columns
        ]
        with torch.set_grad_enabled(learning), self.runtime.autocast():
            loss, metrics = turn.loss(*features)
        if learning:
            loss.backward()
        if learning and not whole:
            for data, state, before in zip(pieces, states, found, strict=True):
                self.runtime.restore(state)
                with self.runtime.autocast():
                    again = turn.features(*data, **turn.whole)
                rows = slice(first, first := first + len(before[0]))
                used = [(now, of.grad[rows]) for now, of in zip(again, features, strict=True) if of.grad is not None]
                torch.autograd.backward([now for now, _ in used], [grad / self._share for _, grad in used])
        return loss.detach(), {name: value.detach() for name, value in metrics.items()}

    def _pool(self, player: PlayerState | None, metrics: Metrics, turn: Turn) -> None:
        """Average gradients and figures over processes, by the examples each has seen."""
        if self.runtime.world == 1:
            return
        gradients = [] if player is None else [p.grad for p in player.parameters if p.grad is not None]
        self.runtime.average([*gradients, *metrics.values()], self._share)

    def _step(self, player: PlayerState, stage: Stage) -> Tensor | None:
        """The gradient's norm before clipping, in the rounds in which somebody asks for it."""
        if player.optimizer is None:
            return None
        norm = None
        if self._watching or _due(self.position.round, self.settings.log_every):
            norm = nn.utils.get_total_norm([p.grad for p in player.parameters if p.grad is not None])
        if player.optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(player.parameters, player.optim.clip_norm)
        before, rounds = schedule(self.stages, self.position.stage)
        lr = learning_rate(player.optim, before + self.position.stage_round, rounds)
        for group in player.optimizer.param_groups:
            group["lr"] = lr * player.rate * self.settings.watchdog.lr_factor**self.position.retries
        player.optimizer.step()
        player.steps += 1
        if player.average is not None:
            with torch.no_grad():
                torch._foreach_lerp_(player.average, player.parameters, player.average_weight(self._batch_size))
        return norm

    # --- collapse ----------------------------------------------------------------------------------------------------

    @property
    def _watching(self) -> bool:
        """Whether this is a round to look at."""
        watch = self.settings.watchdog
        return watch.action != "off" and _due(self.position.round, watch.every)

    @property
    def _seed(self) -> int:
        """Seed of order and noise: another one after each rollback."""
        seed, retries = self.settings.seed, self.position.retries
        return mix(seed, retries) if retries else seed

    def _look(self, stage: Stage, metrics: Metrics) -> Iterator[Event]:
        """Look at the game that was just played; what the first process makes of it counts for all."""
        reason = None
        if self.runtime.main:
            with self.averaged() as model:
                figures = self.watchdog.look(model, metrics, self.settings.seed)
            yield Watched(**self._where(stage), figures={k: v for k, v in figures.items() if math.isfinite(v)})
            norms = {name: figures.get(f"{name} gradient norm") for name, judges in self._moved.items() if not judges}
            learners = {name: norm for name, norm in norms.items() if norm is not None}
            reason = self.watchdog.verdict(figures, learners, self.position.stage_round)
        if not self.runtime.any(reason is not None):
            return
        self._require_finite()
        action = self.settings.watchdog.action
        if action == "stop" or (action == "rollback" and self._home() is not None):
            raise Collapse(reason)
        self.watchdog.forget()
        if reason is not None:
            yield Collapsed(**self._where(stage), reason=reason, action="warn")

    def _recover(self, stage: Stage, fault: Diverged | Collapse) -> Generator[Event, None, bool]:
        """Go back to where all was well; False where training ends instead, and a Diverged is raised on."""
        watch, at, main = self.settings.watchdog, self.position, self.runtime.main
        home = self._home() if watch.action == "rollback" and at.retries < watch.retries else None
        after = f" (after {at.retries} rollback{'s' if at.retries > 1 else ''})" if at.retries else ""
        if home is None and isinstance(fault, Diverged):
            good = self.checkpoints.newest() if self.checkpoints is not None else None
            where = f"the last good checkpoint is {good}" if good else "no checkpoint had been saved yet"
            advice = "Try a lower learning rate or --train.optim.*.clip-norm 1."
            raise Diverged(f"{fault}{after}; {where}. {advice}") from None
        if main:
            yield Collapsed(**self._where(stage), reason=f"{fault}{after}", action="rollback" if home else "stop")
        if home is not None:
            to_round = self._go_back(home)
            stage = self.stages[self.position.stage]
            if main:
                yield RolledBack(**self._where(stage), to_round=to_round, retry=self.position.retries)
        self.watchdog.forget()
        if main:
            yield from self._save(stage, best=False)
        return home is not None

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
        self._unread.clear()
        self.runtime.barrier()
        return then.round

    def _load(self, home: Path) -> None:
        """All is again as in ``home``."""
        assert self.checkpoints is not None
        self.model.load_state_dict(self.checkpoints.load_weights(home, averaged=False))
        self.resume(self.checkpoints.load_state(home))

    def _require_finite(self) -> None:
        """Raise Diverged, on all processes alike, unless losses, weights and optimisers' states so far are finite."""
        self._read_losses()
        kept = [(f"the weight {name!r}", w) for name, w in self.model.state_dict().items()]
        for player in self.players.values():
            kept += [(f"the optimiser of {player.name!r}", state) for state in player.optimizer_tensors().values()]
        bad = next((what for what, t in kept if t.is_floating_point() and not t.isfinite().all()), None)
        if self.runtime.any(bad is not None):
            which = bad or "a weight of another process"
            raise Diverged(f"{which} is no longer finite in round {self.position.round}")

    # --- what is shown, judged and kept ------------------------------------------------------------------------------

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

    def _show(self, stage: Stage) -> Iterator[Event]:
        rows = torch.arange(min(SHOWN, len(self.data)), device=self.data.device)
        with self.averaged() as model:
            if isinstance(model, Samples):
                condition = model.condition.shown(SHOWN, self.data.batch(rows))
                condition = None if condition is None else condition.to(model.device)
                shown = SHOWN if condition is None else len(condition)
                batch = Batch(model.sample(shown, condition, seed=self.settings.seed), condition)
                yield Sampled(**self._where(stage), what="samples", batch=batch)
            elif isinstance(model, Encodes) and isinstance(model, Decodes):
                x = self.data.batch(rows).x.to(model.device)
                batch = Batch(x, target=model.decode(model.encode(x)))
                yield Sampled(**self._where(stage), what="reconstructions", batch=batch)

    def _evaluate_every(self, stage: Stage) -> int:
        """Rounds between evaluations in ``stage``; 0 while there are none."""
        if self.evaluate is None or not stage.judged:
            return 0
        if self.settings.evaluate_every is not None:
            return self.settings.evaluate_every
        steady = self.choice.steady
        cost = math.ceil(SHARE[steady] * len(self.judges) / self._batch_size)
        return max(FEWEST_ROUNDS, stage.rounds // EVALUATIONS[steady], cost)

    def _judge(self, stage: Stage) -> Generator[Event, None, bool]:
        if self.evaluate is None or not stage.judged:
            return False
        if self._views is None or self._views[0] != self.position.stage:
            sees = stage.sees or (lambda data: data)
            with self.averaged():
                self._views = self.position.stage, sees(self.judges), sees(self.data.subset(JUDGES))
        _, validation, train = self._views
        with self.averaged() as model:
            judged = self.evaluate(model if stage.part is None else stage.part, validation, train)
        before = self.choice.best
        best = self.choice.take(judged, self.position.round, len(validation))
        if judged.figures:
            yield Evaluated(**self._where(stage), figures=judged.figures, best=best)
        if judged.by is not None and len(self._moved) > 1:
            self.watchdog.evaluated(judged.figures[judged.by], before)
        return best

    def _hand_over(self) -> None:
        """At the end of a stage: go back to its best weights if it went past them; the next one is judged anew."""
        now, past = self.position, self.runtime.any(self.choice.past)
        home = self._home() if past and now.measured else None
        if home is not None:
            self._load(home)
            self.position = now
            self.runtime.barrier()
        self.choice, now.measured = Choice(judged=now.round), False

    def _save(self, stage: Stage, best: bool) -> Iterator[Event]:
        if self.checkpoints is None:
            return
        score = self.choice.best if best else None
        yield Saved(**self._where(stage), path=self.checkpoints.save(self.model, self.state(), score), best=best)

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

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _stream(self, stage: Stage) -> Stream:
        data = self.data
        if stage.data is not None:
            with self.averaged():
                data = stage.data(data)
        self.model.train()
        stream = Stream(
            _near(data, self.runtime.device),
            self.settings.batch_size if stage.batch_size is None else stage.batch_size,
            mix(self._seed, self.position.stage),
            device=self.runtime.device,
            rank=self.runtime.rank,
            world=self.runtime.world,
        )
        stream.examples = self.position.drawn
        self._say_what_couples(stream)
        self._batch_size = stream.batch_size
        self._share = (stream.rows.stop - stream.rows.start) / stream.batch_size
        return stream

    def _say_what_couples(self, stream: Stream) -> None:
        """Where batches are cut or shared out, say which parts of the model see less than the whole batch."""
        normalised = any(isinstance(m, _BatchNorm) for m in self.model.modules())
        size, world = self.settings.micro_batch, self.runtime.world
        if normalised and stream.batch_size % world:
            raise ValueError(
                f"batch normalisation needs as many examples on each of {world} processes, and a batch has "
                f"{stream.batch_size}; choose a multiple of {world} with --train.batch-size"
            )
        cut = size is not None and size < stream.rows.stop - stream.rows.start
        parts = dict.fromkeys(part for m in self.model.modules() if isinstance(m, Model) for part in m.couples)
        parts |= {"batch normalisation": None} if normalised and cut else {}
        if parts and (cut or world > 1):
            of = f"micro-batch ({size} examples)" if cut else f"process (1 of {world})"
            warnings.warn(f"{' and '.join(parts)} will see one {of} at a time, not the whole batch", stacklevel=2)

    def _where(self, stage: Stage) -> dict[str, Any]:
        steps = {name: player.steps for name, player in self.players.items()}
        return {"stage": stage.name, "round": self.position.round, "examples": self.position.examples, "steps": steps}

    def _note_loss(self, who: str, loss: Tensor) -> None:
        """Look at the loss before the step where that is free (CPU); on a GPU, look at many together."""
        self._unread.append((who, self.position.round, loss))
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
                    raise Diverged(f"the loss of {who!r} became {loss.item()} in round {round}")


def _due(round: int, every: int) -> bool:
    return every > 0 and round % every == 0


def _networks(player: nn.Module) -> list[nn.Module]:
    """What is compiled of a player: its parts, for a loss may call those by themselves, and itself but for a model."""
    parts = [m for m in player.children() if any(True for _ in m.parameters())]
    return parts if isinstance(player, Model) else [player, *parts]


def _near(data: Dataset, device: torch.device) -> Dataset:
    """``data`` on ``device``, if that takes at most a quarter of its memory."""
    if device.type != "cuda":
        return data if data.device.type == device.type else data.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    return data.to(device) if data.x.nbytes < free / 4 else data
