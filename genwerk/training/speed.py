"""How long training takes here, and how many rounds a time is: a copy of the model, which is thrown away, plays a few
rounds against the clock.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch

from genwerk.core.errors import BadSetting
from genwerk.core.model import Stage, build, stages
from genwerk.data.dataset import Dataset
from genwerk.data.stream import Stream
from genwerk.training.resumable import Position
from genwerk.training.runtime import Runtime
from genwerk.training.settings import Recipe, WatchdogConfig
from genwerk.training.trainer import Trainer

Clock = Callable[[], float]
POINTS = (0.25, 0.75)
"""Where in a stage its rounds are timed, as fractions of it: some algorithms do more from a certain round on."""
FEWEST = 1024
"""Examples that are trained on, at the least, where there are so many."""
ENCODED = 128
"""The same where a stage learns from codes of them, and there is little time to encode more."""
LONGEST = 366 * 24 * 60
"""Minutes of the longest training that is planned."""
SMALL = 4
"""Examples of the round by which it is guessed how long a whole one would take."""


@dataclass(frozen=True)
class StageSpeed:
    """A stage of training and its speed."""

    stage: str
    """Name of the stage."""
    rounds: int
    """Its length."""
    seconds: float
    """Seconds that a round takes."""


def total(speeds: Sequence[StageSpeed]) -> float:
    """Seconds that all stages take together, if none ends early."""
    return sum(each.rounds * each.seconds for each in speeds)


def measure(
    recipe: Recipe,
    data: Dataset,
    runtime: Runtime,
    *,
    budget: float = 2.0,
    longest: float = math.inf,
    clock: Clock = time.perf_counter,
) -> list[StageSpeed]:
    """The stages of ``recipe`` on training ``data``, in order, and how fast each is.

    It takes about ``budget`` seconds, and at least two rounds of each stage. Where a round seems to take more than
    ``longest`` seconds, rounds of fewer examples are played, of :data:`SMALL` and of more, and a line is drawn through
    their times. Nothing lasts: neither weights nor the state of PyTorch's generators. Evaluations, sample pictures and
    checkpoints are not counted. ``clock`` tells the seconds: with time.process_time they are those of the processor.
    """
    optim = {player: replace(settings, lr=0.0) for player, settings in recipe.train.optim.items()}
    settings = replace(recipe.train, optim=optim, watchdog=WatchdogConfig(action="off"))
    own = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(own), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what concerns training will be said when it begins
        torch.manual_seed(settings.seed)
        model = build(recipe.model, data.spec)
        encoded = any(stage.data is not None and stage.batch_size != 0 for stage in model.stages(settings.rounds))
        few = _few(data, max(ENCODED if encoded and longest < math.inf else FEWEST, settings.batch_size))
        rehearsal = Rehearsal(model, few, settings, runtime=runtime)
        rehearsal.clock = clock
        budget /= max(1, len(rehearsal.stages)) * len(POINTS)
        speeds = []
        for index, stage in enumerate(rehearsal.stages):
            size = settings.batch_size if stage.batch_size is None else stage.batch_size
            seconds = rehearsal.seconds_a_round(index, budget, longest) * (1 if size else len(data) / len(few))
            speeds.append(StageSpeed(stage.name, stage.rounds, seconds))
        return speeds


def lasting(
    recipe: Recipe,
    data: Dataset,
    minutes: float,
    runtime: Runtime,
    *,
    budget: float = 2.0,
    clock: Clock = time.perf_counter,
) -> tuple[Recipe, int]:
    """``recipe`` made as long as about ``minutes`` of training on ``data`` here, and how many rounds that is in all.

    What is measured goes no further than the numbers of rounds (:func:`scaled`): with these, training is the same on
    any machine. A BadSetting says which minutes cannot be (:func:`possible`).
    ``budget`` and ``clock`` are as :func:`measure` has them.
    """
    possible(minutes)
    return scaled(recipe, data, 60 * minutes / total(measure(recipe, data, runtime, budget=budget, clock=clock)))


def possible(minutes: float) -> None:
    """Raise BadSetting unless a training may last so many ``minutes``."""
    if not 0 < minutes <= LONGEST:
        raise BadSetting("minutes", f"is {minutes:g}; expected more than 0, and at most {LONGEST:,} (a year)")


def scaled(recipe: Recipe, data: Dataset, factor: float) -> tuple[Recipe, int]:
    """``recipe`` with ``factor`` times as many rounds, to three digits, and how many rounds that is in all.

    Its stages keep their proportions, and each has one round at the least.
    """

    def times(length: int) -> int:
        return max(1, int(float(f"{length * factor:.3g}")))

    own = {f.name: getattr(recipe.model, f.name) for f in fields(recipe.model) if f.name.endswith("_rounds")}
    model = replace(recipe.model, **{name: times(length) for name, length in own.items() if length is not None})
    longer = replace(recipe, model=model, train=replace(recipe.train, rounds=times(recipe.train.rounds)))
    return longer, rounds(longer, data)


def rounds(recipe: Recipe, data: Dataset) -> int:
    """How many rounds all stages of ``recipe`` have together, if none ends early."""
    return sum(stage.rounds for stage in stages(recipe.model, data.spec, recipe.train.rounds))


def drawn(recipe: Recipe, data: Dataset) -> int:
    """How many training examples all stages of ``recipe`` draw together, if none ends early."""
    total = 0
    for stage in stages(recipe.model, data.spec, recipe.train.rounds):
        size = recipe.train.batch_size if stage.batch_size is None else stage.batch_size
        total += stage.rounds * (size or len(data))
    return total


class Rehearsal(Trainer):
    """A training of which single rounds are played, at learning rate 0, so that none can diverge."""

    clock: Clock = staticmethod(time.perf_counter)
    """What tells the seconds."""

    def seconds_a_round(self, index: int, budget: float, longest: float = math.inf) -> float:
        """Seconds that a round of stage ``index`` takes, on all processes alike; ``budget`` is for each point of it."""
        stage = self.stages[index]
        self.position = Position(stage=index)
        stream = self._stream(stage)
        size, whole = stream.batch_size, 0 in (stage.batch_size, self.settings.batch_size)
        if longest < math.inf and not whole and size > SMALL:
            few = self._steady(stage, self._stream(_of(stage, stream.data, SMALL)), budget)
            more = max(2 * SMALL, int(SMALL * longest / few))
            if more < size:
                most = self._steady(stage, self._stream(_of(stage, stream.data, more)), budget)
                each = min(max(0.0, most - few) / (more - SMALL), most / more)
                return most + each * (size - more)
        return self._steady(stage, stream, budget)

    def _steady(self, stage: Stage, stream: Stream, budget: float) -> float:
        """Seconds that a round of ``stream`` takes, the mean of all points of ``stage``."""
        found = []
        for point in POINTS:
            self._place(stage, point)
            seconds = self._time(stage, stream, 0)  # warms up, and is all there is time for where a round is slow
            if self.settings.compile or seconds < budget:
                seconds = self._time(stage, stream, budget - seconds)
            found.append(seconds)
        return sum(found) / len(found)

    def _place(self, stage: Stage, point: float) -> None:
        """Go to ``point`` of ``stage``, beside the round numbers at which some algorithms do more."""
        self.position.stage_round = min(stage.rounds - 1, int(point * stage.rounds) + 1)
        for player in self.players.values():
            player.steps = self.position.stage_round

    def _time(self, stage: Stage, stream: Stream, budget: float) -> float:
        """Seconds a round, of twice as many rounds as long as half of ``budget`` is left."""
        start, played = self.clock(), 0
        while True:
            for _ in range(max(1, played)):
                self._round(stage, stream)
                played += 1
            self.runtime.wait()
            seconds = self.runtime.agree(self.clock() - start)
            if seconds >= budget / 2:
                return seconds / played


def _of(stage: Stage, data: Dataset, examples: int) -> Stage:
    """``stage`` with rounds of so many ``examples`` of what it draws from, which are ``data``."""
    return replace(stage, data=lambda _: data, batch_size=examples)


def _few(data: Dataset, examples: int) -> Dataset:
    """At most ``examples`` of the examples, taken at random, or one of each class where these are more."""
    if len(data) <= examples:
        return data
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    labels = data.condition
    if labels is not None and not labels.is_floating_point():
        shuffled = labels.cpu().flatten()[order]
        firsts = torch.zeros(len(order), dtype=torch.bool)
        firsts[[int((shuffled == c).nonzero()[0]) for c in shuffled.unique()]] = True
        order = torch.cat([order[firsts], order[~firsts]])
    return data.select(order[:examples].to(data.device))
