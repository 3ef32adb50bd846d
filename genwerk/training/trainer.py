"""The one training loop: it plays a model's turns and tells what happens as events."""

from __future__ import annotations

import math
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from genwerk.core.model import Metrics, Model, Stage, Turn, schedule
from genwerk.core.noise import mix
from genwerk.core.printable import count
from genwerk.data.dataset import Dataset
from genwerk.data.stream import Stream
from genwerk.training.checkpointer import Checkpointer
from genwerk.training.choice import Choice
from genwerk.training.descent import Diverged
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
from genwerk.training.feed import open_stream
from genwerk.training.judging import Judge, Judging, shown
from genwerk.training.launcher import handling
from genwerk.training.players import PlayerState, learning_rate
from genwerk.training.resumable import Resumable
from genwerk.training.runtime import Runtime
from genwerk.training.settings import TrainConfig
from genwerk.training.watchdog import Watchdog

EARLY = 10
"""Part of a stage, one in so many, after which it is first shown what it can do."""


class Collapse(Exception):
    """The watchdog has seen enough; within the trainer only."""


class Trainer(Resumable):
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
        runtime = runtime or Runtime(torch.device("cpu"), settings.precision)
        super().__init__(model, settings, watchdog or Watchdog(settings.watchdog, data), runtime, checkpoints)
        self.data = data.under(model.condition)
        held_out = None if validation is None else validation.under(model.condition)
        self.judging = Judging(evaluate, self.data, held_out, settings, self.averaged)
        self._stop = False
        self.stopped_by: signal.Signals | None = None
        """The signal that asked this or another process to stop; None while none has."""
        self._finished = False

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

    @property
    def judges(self) -> str:
        return self.judging.fingerprint

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
        return self.position.at_end_of(stage)

    def _play(self, stage: Stage) -> Generator[Event, None, bool]:
        """The rest of a stage; True where training was asked to stop before its end.

        What is due at the end of all is done in the last round, before it is saved: a run that is killed after that has
        nothing left to do.
        """
        at, main, settings = self.position, self.runtime.main, self.settings
        if at.stage_round == 0:
            for name in stage.fresh:
                self.players[name].restore_optimizer({})
        stream = None if self._played(stage) else self._stream(stage)
        while stream is not None and not self._played(stage):
            metrics = self._round(stage, stream)
            yield RoundDone(**self._where(stage), metrics=metrics)
            every = self.judging.every(stage, self.choice.steady, stream.batch_size)
            best = False
            if self.over or _due(at.stage_round, every) or (every and self._played(stage)):
                best = self.runtime.any(main and (yield from self._judge(stage)))
                self.choice.steady = not self.runtime.any(not self.choice.steady)
                patience = settings.patience if self.choice.steady else 0
                at.impatient = self.runtime.any(0 < patience <= self.choice.since)
            over = self.over
            if main and (over or self._due_to_show(stage)):
                yield from self._show(stage)
            if self._watching and len(self.descent.moved) > 1:
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
        self.descent.moved.clear()
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
        round = self.position.round
        measured = self._watching or _due(round, self.settings.log_every)
        return self.descent.take(turn, stage.name, round, self._rate, measured=measured)

    def _rate(self, player: PlayerState) -> float:
        """The learning rate of ``player`` in this round."""
        before, rounds = schedule(self.stages, self.position.stage)
        lr = learning_rate(player.optim, before + self.position.stage_round, rounds)
        return lr * player.rate * self.settings.watchdog.lr_factor**self.position.retries

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
            norms = {
                name: figures.get(f"{name} gradient norm") for name, judges in self.descent.moved.items() if not judges
            }
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
        after = f" (after {count(at.retries, 'rollback')})" if at.retries else ""
        if home is None and isinstance(fault, Diverged):
            good = self.checkpoints.newest() if self.checkpoints is not None else None
            where = f"the last good checkpoint is {good}" if good else "no checkpoint had been saved yet"
            advice = "Try a lower learning rate or ‹train.optim.*.clip_norm› 1."
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

    # --- what is shown, judged and kept ------------------------------------------------------------------------------

    def _due_to_show(self, stage: Stage) -> bool:
        """Whether this is a round to show what it can do: one of many, and one early in the stage."""
        every = self.settings.sample_every
        return _due(self.position.round, every) or 0 < self.position.stage_round == min(every, stage.rounds // EARLY)

    def _show(self, stage: Stage) -> Iterator[Event]:
        with self.averaged() as model:
            if seen := shown(model, stage, self.data, self.settings.seed):
                yield Sampled(**self._where(stage), what=seen[0], batch=seen[1])

    def _judge(self, stage: Stage) -> Generator[Event, None, bool]:
        found = self.judging.judge(stage, self.position.stage)
        if found is None:
            return False
        judged, examples = found
        before = self.choice.best
        best = self.choice.take(judged, self.position.round, examples)
        self.choice.of = self.judges
        if judged.figures:
            yield Evaluated(**self._where(stage), figures=judged.figures, best=best)
        if judged.by is not None and len(self.descent.moved) > 1:
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

    def _where(self, stage: Stage) -> dict[str, Any]:
        steps = {name: player.steps for name, player in self.players.items()}
        return {"stage": stage.name, "round": self.position.round, "examples": self.position.examples, "steps": steps}

    def _stream(self, stage: Stage) -> Stream:
        data = self.data
        if stage.data is not None:
            with self.averaged():
                data = stage.data(data)
        self.model.train()
        stream = open_stream(
            self.model,
            data,
            self.settings.batch_size if stage.batch_size is None else stage.batch_size,
            mix(self._seed, self.position.stage),
            runtime=self.runtime,
            micro_batch=self.settings.micro_batch,
            drawn=self.position.drawn,
        )
        self.descent.begin(stream)
        return stream


def _due(round: int, every: int) -> bool:
    return every > 0 and round % every == 0
