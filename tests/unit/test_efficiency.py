"""What sampling costs, of models that take a known time by a clock that stands still otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.abilities import Encodes, Samples
from genwerk.core.model import Config, Model
from genwerk.core.noise import Seed
from genwerk.core.options import Options
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.evaluation.efficiency import Clocks, Efficiency, Growth, Trials, parameter_figure, resized, timed
from genwerk.evaluation.training_cost import training_figures

IMAGES = DataSpec(kind="image", shape=(1, 8, 8))
TABLE = DataSpec(kind="table", shape=(3,))


class Clock:
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def both(self) -> Clocks:
        return Clocks(lambda: self.now, lambda: self.now)


CLOCK = Clock()


@dataclass(frozen=True, kw_only=True)
class SleeperConfig(Config):
    """What a sample takes."""

    fixed: float = 0.0
    """Seconds for any batch."""
    each: float = 0.0
    """Seconds for every sample of a batch."""
    power: float = 0.0
    """Exponent of the number of values with which both grow."""
    side: int = 0
    """The only side of images there may be; 0 is any."""


class Sleeper(Model, Samples, config=SleeperConfig):
    """Samples zeros, in seconds that its config says."""

    row: int | None = 1000

    def __init__(self, config: SleeperConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if config.side and spec.side != config.side:
            raise ValueError(f"it is made for {config.side} pixels a side\nand no others")
        self.generator, self.discriminator = nn.Linear(3, 2), nn.Linear(2, 1, bias=False)
        self.register_buffer("table", torch.zeros(50))

    @property
    def row_cost(self) -> int | None:
        return self.row

    def players(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        assert not self.training
        self.generator(torch.zeros(n, 3))
        c = self.config
        CLOCK.now += (c.fixed + c.each * n) * (self.spec.dims / 64) ** c.power
        return torch.zeros(n, *self.spec.shape)


class Mute(Model, Encodes):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(Config(), spec)
        self.latent_shape, self.network = (1,), nn.Linear(3, 1)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.network(x)


def data(spec: DataSpec) -> Dataset:
    return Dataset(x=torch.zeros(5, *spec.shape), spec=spec)


def measured(spec: DataSpec = IMAGES, *, seconds: float = 1e6, **config: float) -> Efficiency:
    torch.manual_seed(0)
    found = Efficiency(Sleeper(SleeperConfig(**config), spec), data(spec), seconds=seconds, clocks=CLOCK.both())
    assert list(found) == [(0, 3), (1, 3), (2, 3), (3, 3)]
    return found


def test_one_after_the_other_grows_as_its_batch_and_its_values() -> None:
    found = measured(each=0.5, power=1.0)
    report = found.report
    assert report["sampling_latency"].value == pytest.approx(500)
    assert report["sampling_latency"].spread == pytest.approx(0, abs=1e-6)
    assert report["samples_per_second"].value == pytest.approx(2)
    assert report["growth_with_batch"].value == pytest.approx(1)
    assert report["growth_with_size"].value == pytest.approx(1)
    batch, size = found.growth
    assert (batch.of, batch.sizes) == ("batch", (1, 4, 16, 64, 256, 1024))
    assert batch.seconds == pytest.approx([0.5 * n for n in batch.sizes])
    assert (size.of, size.sizes) == ("size", (16, 64, 256, 1024))
    assert size.seconds == pytest.approx([0.125, 0.5, 2, 8])
    assert report.notes == ()


def test_what_is_parallel_does_not_grow() -> None:
    report = measured(fixed=0.25).report
    assert report["growth_with_batch"].value == pytest.approx(0, abs=1e-9)
    assert report["growth_with_size"].value == pytest.approx(0, abs=1e-9)
    assert report["samples_per_second"].value == pytest.approx(1024 / 0.25)
    assert "in batches of 1,024" in report["samples_per_second"].note


def test_what_there_is_no_time_for_is_left_out_and_said() -> None:
    begun = CLOCK.now
    found = measured(each=1.0, seconds=50.0, power=1.0)
    batch, size = found.growth
    assert batch.sizes == (1, 4, 16)  # after 27 of 30 s
    assert size.sizes == (16, 64, 256)
    assert found.notes == [
        "No batches of 64 samples were timed, for want of time.",
        "No images of 32x32x1 were timed, for want of time.",
    ]
    assert CLOCK.now - begun <= 50
    slow = measured(each=500.0, power=1.0, seconds=10.0)
    assert slow.report["sampling_latency"].value == pytest.approx(500_000)
    assert "least of 1 trial;" in slow.report["sampling_latency"].note
    assert slow.report["samples_per_second"].value == pytest.approx(1 / 500)
    assert [figure.key for figure in slow.figures] == ["parameters", "sampling_latency", "samples_per_second"]


def test_batches_are_as_large_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENWERK_MEMORY", "20KB")  # 1,000 bytes a row
    found = measured(fixed=0.25)
    assert found.growth[0].sizes == (1, 4, 16)
    assert "No batches of 64 samples were timed, for want of memory." in found.notes
    assert any("there is no memory for that" in note for note in found.notes)
    monkeypatch.setattr(Sleeper, "row", None)  # then it is counted: 3 and 2 floats, their bias, and the picture twice
    assert max(measured(fixed=0.25).growth[0].sizes) in (16, 64)


def test_sizes_that_a_network_is_not_for_are_named() -> None:
    found = measured(fixed=0.25, side=8)
    assert "growth_with_size" not in {figure.key for figure in found.figures}
    assert [each.of for each in found.growth] == ["batch"]
    assert "No images of 16x16x1 were timed: it is made for 8 pixels a side." in found.notes


def test_a_table_has_no_other_size() -> None:
    found = measured(TABLE, fixed=0.25)
    assert found.notes == ["No growth with the size: rows of other sizes are other data."]


def test_other_sizes() -> None:
    assert resized(IMAGES, 2.0) == replace(IMAGES, shape=(1, 16, 16))
    assert resized(IMAGES, 1 / 16) is None
    assert resized(replace(IMAGES, shape=(3, 5, 8)), 0.5) is None
    sound = DataSpec(kind="audio", shape=(2, 100), sample_rate=8000)
    assert resized(sound, 0.5) == replace(sound, shape=(2, 50))
    assert resized(TABLE, 2.0) is None


def test_the_global_random_numbers_are_left_alone() -> None:
    before = torch.manual_seed(3).get_state()
    model = Sleeper(SleeperConfig(fixed=0.1), IMAGES)
    torch.set_rng_state(before)
    for _ in Efficiency(model, data(IMAGES), clocks=CLOCK.both()):
        pass
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training


def test_parameters_by_player_and_in_sampling() -> None:
    figure = measured(fixed=0.1).report["parameters"]
    assert figure.value == 8 + 2
    assert figure.note == (
        "generator 8; discriminator 2; 8 of them take part in sampling; besides 50 numbers that no optimiser descends "
        "(statistics, codebooks, mixtures)"
    )
    mute = Efficiency(Mute(TABLE), data(TABLE))
    assert list(mute) == [(0, 1), (1, 1)]
    assert [(f.key, f.value, f.note) for f in mute.figures] == [("parameters", 4, "")]


def test_shared_weights_count_once() -> None:
    class Tied(Mute):
        def players(self) -> dict[str, nn.Module]:
            return {"one": self.network, "other": nn.ModuleList([self.network])}

    assert parameter_figure(Tied(TABLE)).value == 4


def paced(walls: list[float], shares: list[float] | None = None) -> tuple[Callable[[], None], Clocks]:
    """Work that takes each of ``walls`` seconds in turn, a share of which is the processor's."""
    wall, processor, turn = [0.0], [0.0], iter(zip(walls, shares or [1.0] * len(walls), strict=True))

    def run() -> None:
        took, share = next(turn)
        wall[0] += took
        processor[0] += took * share

    return run, Clocks(lambda: wall[0], lambda: processor[0])


def test_the_least_of_the_trials_after_a_warm_up() -> None:
    run, clocks = paced([9.0, 3.0, 1.0, 2.0], [1.0, 0.5, 1.0, 0.25])
    trials = timed(run, clocks, alone=False, seconds=100, most=3)
    assert trials == Trials((3.0, 1.0, 2.0), (1.5, 1.0, 0.5), alone=False)
    assert trials.least == 1.0
    assert trials.spread == pytest.approx(2 / 3)  # jackknife: (n - 1) / n of the way to the second least
    assert replace(trials, alone=True).least == 0.5


def test_trials_end_with_their_time() -> None:
    run, clocks = paced([2.0] * 9)
    assert timed(run, clocks, alone=True, seconds=7.0, most=100).wall == (2.0, 2.0)
    run, clocks = paced([2.0] * 9)
    once = timed(run, clocks, alone=True, seconds=0.0, most=100)
    assert once.wall == (2.0,)
    assert once.spread is None


def test_an_exponent_and_its_error() -> None:
    slope, error = Growth(of="batch", sizes=(1, 2, 4), seconds=(1.0, 4.0, 16.0)).exponent
    assert slope == pytest.approx(2)
    assert error == pytest.approx(0, abs=1e-9)
    slope, error = Growth(of="batch", sizes=(1, 2, 4), seconds=(1.0, 2.0, 1.0)).exponent
    residual = [log(2) / 3, -2 * log(2) / 3, log(2) / 3]
    assert slope == pytest.approx(0)
    assert error == pytest.approx((sum(r**2 for r in residual) / (2 * log(2) ** 2)) ** 0.5)
    assert Growth(of="size", sizes=(1, 4), seconds=(1.0, 2.0)).exponent == (pytest.approx(0.5), None)


# --- training ---------------------------------------------------------------------------------------------------------

LOG = [
    {"event": "plan", "round": 0},
    {"event": "saved", "examples": 500, "seconds": 4.0, "cpu_seconds": 8.0, "peak_memory": 300_000_000},
    {"event": "plan", "round": 5},
    {"event": "round", "examples": 900, "seconds": 5.0},
    {"event": "stage done", "examples": 1000, "seconds": 6.0, "cpu_seconds": 20.0, "peak_memory": 200_000_000},
    {"event": "sampled", "examples": 1000, "seconds": 60.0},
]


def test_what_training_has_taken() -> None:
    cpu, rate, peak = training_figures(LOG)
    assert (cpu.key, rate.key, peak.key) == (
        "training_cpu_seconds",
        "training_examples_per_second",
        "peak_training_memory",
    )
    assert (cpu.value, cpu.unit, cpu.note) == (20.0, "s", "validation and checkpoints included; 10 s by the clock")
    assert (rate.value, rate.unit) == (50.0, "per CPU s")
    assert (peak.value, peak.unit) == (300.0, "MB")


def test_on_a_gpu_training_counts_by_the_clock() -> None:
    cpu, rate, peak = training_figures([*LOG[:4], LOG[4] | {"peak_device_memory": 5_000_000}])
    assert cpu.value == 20.0
    assert (rate.value, rate.unit) == (100.0, "per s")
    assert (peak.value, peak.note) == (5.0, "on the GPU")


def test_an_older_log_counts_by_the_clock() -> None:
    older = [{k: v for k, v in event.items() if k not in ("cpu_seconds", "peak_memory")} for event in LOG]
    (rate,) = training_figures(older)
    assert (rate.value, rate.unit) == (100.0, "per s")
    assert "did not write processor seconds" in rate.note
    assert training_figures(LOG[:1]) == []
