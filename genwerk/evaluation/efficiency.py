"""What a model costs when it is used: how large it is, how long a sample takes, and how that grows.

A time is the least of several trials, as with Python's own timeit: whatever else a machine does can only add to it. One
thread on a CPU waits for nothing but other programs, so its time is that of the processor; several threads, and a GPU,
are timed by the clock. The latency comes with both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt
from statistics import median
from time import perf_counter, process_time

import torch
from torch import Tensor

from genwerk.core.abilities import Samples
from genwerk.core.batching import Meter, budget
from genwerk.core.model import Model, build, evaluating, weightless
from genwerk.core.printable import count
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.evaluation.report import Figure, Report, number

SECONDS = 60.0
"""Seconds that are allowed for everything; what a single sample takes is spent in any case."""
LATENCY, BATCHES = 0.15, 0.6
"""Shares of that time after which the latency, and the growth with the batch, have to be known."""
TRIALS = 20
"""Trials of one sample, at most; of a batch or another size a quarter of them."""
TRIED = (4, 16, 64, 256, 1024)
"""Samples of the batches that are timed beside single ones."""
FACTORS = (0.5, 1.0, 2.0, 4.0)
"""Sides, or lengths, of other examples that a model of the same settings is timed on, as multiples of the data's."""
METERED = 10
"""Times that a sample takes while its memory is counted, as against alone, roughly and at most."""


# --- time -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clocks:
    """What times are read from, in seconds."""

    wall: Callable[[], float] = perf_counter
    processor: Callable[[], float] = process_time
    """Of all threads of this process together."""


@dataclass(frozen=True)
class Trials:
    """How long the same work has taken, time after time, in seconds."""

    wall: tuple[float, ...]
    processor: tuple[float, ...]
    alone: bool
    """Whether the work is that of one thread, whose processor time is what counts."""

    @property
    def counted(self) -> tuple[float, ...]:
        """The times that count."""
        return self.processor if self.alone else self.wall

    @property
    def least(self) -> float:
        """The least of them."""
        return min(self.counted)

    @property
    def spread(self) -> float | None:
        """Standard error of the least by the jackknife, for which only the second least counts; None of one trial."""
        first, *others = sorted(self.counted)
        return (others[0] - first) * len(others) / len(self.counted) if others else None


def timed(run: Callable[[], object], clocks: Clocks, *, alone: bool, seconds: float, most: int) -> Trials:
    """``run`` as often as is likely to end within ``seconds`` by the clock, once at least, and ``most`` times after the
    first; where there are others the first, which warms up, does not count.

    What runs on a device must not return before it is done.
    """
    wall, processor, begun = list[float](), list[float](), clocks.wall()
    while not wall or (len(wall) <= most and clocks.wall() - begun + min(wall) <= seconds):
        start, busy = clocks.wall(), clocks.processor()
        run()
        wall.append(clocks.wall() - start)
        processor.append(clocks.processor() - busy)
    return Trials(tuple(wall[1:] or wall), tuple(processor[1:] or processor), alone)


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How the time of sampling grows with one size, all others being equal."""

    of: str
    """What grows: "batch" (samples drawn together), "size" (values of an example, samples being drawn singly)."""
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    """For all samples of a batch together."""

    @property
    def exponent(self) -> tuple[float, float | None]:
        """The a of seconds ~ size^a by least squares of the logarithms, and its standard error where there are more
        than two sizes; two are needed at least."""
        x, y = [log(size) for size in self.sizes], [log(max(seconds, 1e-9)) for seconds in self.seconds]
        n, at, level = len(x), sum(x) / len(x), sum(y) / len(y)
        across = sum((each - at) ** 2 for each in x)
        slope = sum((a - at) * (b - level) for a, b in zip(x, y, strict=True)) / across
        off = sum((b - level - slope * (a - at)) ** 2 for a, b in zip(x, y, strict=True))
        return slope, sqrt(off / (n - 2) / across) if n > 2 else None


# --- sampling ---------------------------------------------------------------------------------------------------------


class Efficiency:
    """The size of ``model`` and the cost of sampling from it, within about ``seconds``.

    Iterate once, for how many steps are behind it and of how many; :attr:`report` and :attr:`growth` have what is
    measured so far. A conditional model gets the conditions of examples of ``data``. Batches are as large as memory
    allows, and what there is no time for is left out, with a note.
    """

    def __init__(
        self, model: Model, data: Dataset, *, seconds: float = SECONDS, seed: int = 0, clocks: Clocks | None = None
    ) -> None:
        self.model, self.data, self.seconds, self.seed = model, data.under(model.condition), seconds, seed
        self.clocks = clocks or Clocks()
        self.figures, self.notes, self.growth = list[Figure](), list[str](), list[Growth]()
        self._row, self._single = 0, Trials((), (), alone=True)

    @property
    def report(self) -> Report:
        """What is measured so far."""
        return Report(figures=tuple(self.figures), notes=tuple(self.notes))

    @torch.no_grad()
    def __iter__(self) -> Iterator[tuple[int, int]]:
        begun = self.clocks.wall()
        steps = (self._latency, self._batches, self._sizes) if isinstance(self.model, Samples) else (self._size,)
        yield 0, len(steps)
        with evaluating(self.model):
            for done, (step, share) in enumerate(zip(steps, (LATENCY, BATCHES, 1.0), strict=False), 1):
                step(begun + share * self.seconds)
                yield done, len(steps)

    def _size(self, _: float) -> None:
        self.figures.append(parameter_figure(self.model))

    def _latency(self, until: float) -> None:
        """One sample, then once more to see what it takes and what it uses, where there is time for that or need.

        Samples come to the CPU, so that a device is done when they are there.
        """
        model, draw, used = self.model, self._draw(self.model, 1), None
        assert isinstance(model, Samples)
        trials = self._timed(draw, until - self.clocks.wall(), TRIALS)
        row = model.row_cost
        if row is None or METERED * trials.least <= LATENCY * self.seconds:
            with Meter() as meter:
                draw()
            used = frozenset(meter.live)
            row = meter.peak if row is None else row
        self._single, self._row = trials, row
        self.figures += [parameter_figure(model, used), latency_figure(trials, self._where)]

    def _batches(self, until: float) -> None:
        """Batches of several sizes: the best of them, and how time grows from one to the next."""
        sizes, trials = [1], [self._single]
        fitting = budget(self.model.device) // max(1, self._row)
        for size in TRIED:
            likely = min(trials[-1].wall) * size / sizes[-1]
            if size > fitting or self.clocks.wall() + likely > until:
                lacking = "memory" if size > fitting else "time"
                self.notes.append(f"No batches of {size:,} samples were timed, for want of {lacking}.")
                break
            trials.append(self._timed(self._draw(self.model, size), (until - self.clocks.wall()) / 4, TRIALS // 4))
            sizes.append(size)
        grown = Growth(of="batch", sizes=tuple(sizes), seconds=tuple(each.least for each in trials))
        self.growth.append(grown)
        self.figures.append(throughput_figure(sizes, trials, self._where))
        if len(sizes) > 1:
            self.figures.append(growth_figure(grown, "samples together"))

    def _sizes(self, until: float) -> None:
        """One sample of models with the same settings and random weights, for data of other sizes."""
        model, sizes, seconds = self.model, list[int](), list[float]()
        last, took = model.spec.dims, min(self._single.wall)
        specs = [spec for factor in FACTORS if (spec := resized(model.spec, factor)) is not None]
        if len(specs) < 2:
            self.notes.append(f"No growth with the size: {model.spec.modality.plural} of other sizes are other data.")
            return
        for spec in specs:
            grown = Growth(of="size", sizes=tuple(sizes), seconds=tuple(seconds))
            power = max(1.0, grown.exponent[0]) if len(sizes) > 1 else 1.0
            if self.clocks.wall() + took * (spec.dims / last) ** power > until:
                self.notes.append(f"No {spec.modality.plural} of {spec.modality.size} were timed, for want of time.")
                break
            start = self.clocks.wall()
            try:
                draw = self._draw(self._fresh(spec), 1)
                built = self.clocks.wall() - start
                trials = self._timed(draw, (until - self.clocks.wall()) / 4, TRIALS // 4)
            except Exception as error:  # whatever a network makes of a size that it is not for
                said = str(error).partition("\n")[0] or type(error).__name__
                self.notes.append(f"No {spec.modality.plural} of {spec.modality.size} were timed: {said}.")
                continue
            last, took = spec.dims, built + min(trials.wall)
            sizes.append(spec.dims)
            seconds.append(trials.least)
        if len(sizes) > 1:
            self.growth.append(Growth(of="size", sizes=tuple(sizes), seconds=tuple(seconds)))
            self.figures.append(growth_figure(self.growth[-1], "values of one sample, random weights"))

    def _fresh(self, spec: DataSpec) -> Model:
        """A model of the same settings for data of ``spec``; a ValueError where there is no memory for it."""
        config, device = self.model.config, self.model.device
        bare = weightless(config, spec)
        held = sum(t.numel() * t.element_size() for t in (*bare.parameters(), *bare.buffers()))
        made = self._row * (spec.dims / self.model.spec.dims) ** 2
        if 2 * held + made > budget(device):
            raise ValueError("there is no memory for that")
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            return build(config, spec).to(device).eval()

    def _draw(self, model: Model, n: int) -> Callable[[], Tensor]:
        """What draws ``n`` samples of ``model``, the same each time, and brings them to the CPU."""
        assert isinstance(model, Samples)
        rows = torch.arange(n) % len(self.data)
        condition = model.condition.check(self.data.conditions(rows.to(self.data.device)), model)
        condition = None if condition is None else condition.to(model.device)
        return lambda: model.sample(n, condition, seed=self.seed).cpu()

    def _timed(self, draw: Callable[[], Tensor], seconds: float, most: int) -> Trials:
        alone = self.model.device.type == "cpu" and torch.get_num_threads() == 1
        return timed(draw, self.clocks, alone=alone, seconds=seconds, most=most)

    @property
    def _where(self) -> str:
        threads, device = torch.get_num_threads(), self.model.device
        of = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
        return f"{of}, {count(threads, 'thread')}"


def resized(spec: DataSpec, factor: float) -> DataSpec | None:
    """Data of which every side, or the length, is ``factor`` times as great; None where there are no such data."""
    kept = len(spec.shape) - (2 if spec.modality.is_grid else 1 if spec.modality.is_sequence else 0)
    sides = [factor * side for side in spec.shape[kept:]]
    if not sides or any(side < 1 or side % 1 for side in sides):
        return None
    return replace(spec, shape=(*spec.shape[:kept], *map(int, sides)))


# --- figures ----------------------------------------------------------------------------------------------------------


def parameter_figure(model: Model, used: frozenset[int] | None = None) -> Figure:
    """Numbers that an optimiser descends, of every player; ``used`` is the memory that a sample reads (:class:`Meter`),
    None where nobody looked."""
    players = {name: {id(p): p for p in module.parameters()} for name, module in model.players().items()}
    all_of = {key: p for own in players.values() for key, p in own.items()}
    said = [f"{name} {_count(own.values()):,}" for name, own in players.items()] if len(players) > 1 else []
    n = _count(all_of.values())
    if used is not None and n:
        reading = [p for p in model.parameters() if p.untyped_storage()._cdata in used]
        said.append(f"{_count(reading):,} of them take part in sampling")
    stored = [t for t in model.state_dict().values() if t.is_floating_point()]
    if (beside := _count(stored) - _count(model.parameters())) > n / 100:
        said.append(f"besides {beside:,} numbers that no optimiser descends (statistics, codebooks, mixtures)")
    return Figure(name="parameters", value=n, note="; ".join(said))


def _count(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() for each in tensors)


def latency_figure(trials: Trials, where: str) -> Figure:
    """Milliseconds until a single sample is there."""
    wall, processor = (
        [number(1000 * found(times), 3) for found in (min, median, max)] for times in (trials.wall, trials.processor)
    )
    n = len(trials.wall)
    return Figure(
        name="sampling latency",
        value=1000 * trials.least,
        spread=None if trials.spread is None else 1000 * trials.spread,
        unit="ms",
        note=f"{_by(trials)}, least of {count(n, 'trial')}; least, median and most by the clock "
        f"{', '.join(wall)} ms, of the processor {', '.join(processor)} ms; {where}",
    )


def throughput_figure(sizes: Sequence[int], trials: Sequence[Trials], where: str) -> Figure:
    """Samples a second in the best of the batches, by the trials of each of the sizes."""
    rate, size, best = max(
        ((size / each.least, size, each) for size, each in zip(sizes, trials, strict=True)), key=lambda found: found[0]
    )
    tried = ", ".join(f"{size:,}" for size in sizes)
    return Figure(
        name="samples per second",
        value=rate,
        spread=None if best.spread is None else rate * best.spread / best.least,
        unit="per s",
        note=f"{_by(best)}, in batches of {size:,}, the best of {tried}; {where}",
    )


def _by(trials: Trials) -> str:
    return "processor time" if trials.alone else "by the clock"


def growth_figure(grown: Growth, what: str) -> Figure:
    """The exponent with which time grows."""
    slope, error = grown.exponent
    points = ", ".join(f"{s:,}: {number(1000 * t, 3)}" for s, t in zip(grown.sizes, grown.seconds, strict=True))
    return Figure(name=f"growth with {grown.of}", value=slope, spread=error, note=f"ms by {what} ({points})")
