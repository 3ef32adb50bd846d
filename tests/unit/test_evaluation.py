"""How an evaluation goes: what it says on the way, how it keeps within its time, and what is left when it is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Diagnoses, Encodes, HasLikelihood, Samples
from genwerk.core.model import Config, Model
from genwerk.core.noise import Seed, Seeds
from genwerk.core.options import Options
from genwerk.data import DataConfig, Splits, open_data
from genwerk.data.dataset import Dataset
from genwerk.evaluation import samples
from genwerk.evaluation.evaluate import Evaluation, evaluate, measured
from genwerk.evaluation.report import Report
from genwerk.evaluation.samples import Pace, pace
from genwerk.metrics.features import Extractor
from genwerk.training.protocol import EvaluateConfig

PIXELS = Extractor("pixels", lambda x: x.flatten(1), None, "0" * 12)
SETTINGS = EvaluateConfig(examples=150, samples=400)


class Everything(Model, HasLikelihood, Samples, Encodes, Decodes, Diagnoses):
    """Replays its data, ``each`` seconds an example by a clock that stands still otherwise."""

    def __init__(self, data: Dataset, clock: list[float], each: float = 0.0) -> None:
        super().__init__(Config(), data.spec)
        self.data, self.clock, self.each, self.latent_shape = data, clock, each, data.spec.shape
        self.before: Callable[[int], None] = lambda first: None

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        assert not self.training
        return x.flatten(1).sum(1)

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        first = Seeds.of(seed).first
        self.before(first)
        self.clock[0] += self.each * n
        return self.data.batch(slice(first, first + n)).x

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return 0.5 * z

    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        return {"brightness": x.mean()}


@pytest.fixture(scope="module")
def digits() -> Splits:
    return open_data(DataConfig(source="digits"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(samples, "perf_counter", lambda: now[0])
    return now


def evaluation(
    digits: Splits, clock: list[float], each: float = 0.0, settings: EvaluateConfig = SETTINGS
) -> Evaluation:
    return Evaluation(Everything(digits.train, clock, each), digits, settings, extractor=PIXELS)


STEPS = [
    "likelihood",
    "reconstructions",
    "invertibility",
    "family's figures",
    "samples",
    "real data and noise",
    "distances",
]


def test_it_says_how_far_it_is(digits: Splits, clock: list[float]) -> None:
    run = evaluation(digits, clock)
    events = list(run)
    assert list(dict.fromkeys(event.what for event in events)) == STEPS
    assert {event.steps for event in events} == {7}
    for number in range(1, 8):
        of_step = [event for event in events if event.step == number]
        assert of_step[0].done == 0
        assert of_step[0].seconds_left is None
        assert of_step[-1].done == of_step[-1].total
        assert sorted(event.done for event in of_step) == [event.done for event in of_step]
    assert run.complete
    assert run.report == evaluate(run.model, digits, SETTINGS, extractor=PIXELS)


def test_it_can_be_left_at_any_moment_with_what_is_there(digits: Splits, clock: list[float]) -> None:
    few, settings = replace(digits, train=digits.train.subset(300)), replace(SETTINGS, examples=130, samples=130)
    events_of_all = list(all_of_it := evaluation(few, clock, settings=settings))
    whole, reports = all_of_it.report, list[Report]()
    for events in range(len(events_of_all) + 1):
        run = evaluation(few, clock, settings=settings)
        run.model.train()
        playing = iter(run)
        for _ in range(events):
            next(playing)
            assert torch.is_grad_enabled()
        playing.close()  # type: ignore[attr-defined]
        assert run.model.training
        report = run.report
        assert not report.complete
        assert whole.figures[: len(report.figures)] == report.figures
        assert "stopped before its end" in report.markdown()
        reports.append(report)
    found = sorted({len(report.figures) for report in reports})
    assert found == [0, 2, 4, 6, 7, 8, 9, 13, 14, 15, 19, 20], "after the likelihood, the reconstructions and so on"


@pytest.mark.parametrize("sample", [0, 1])
def test_an_interrupt_within_a_step_leaves_the_steps_before(digits: Splits, clock: list[float], sample: int) -> None:
    run = evaluation(digits, clock)

    def interrupt(first: int) -> None:
        if first >= sample:
            raise KeyboardInterrupt

    run.model.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        measured(run)
    assert [figure.key for figure in run.report.figures] == [
        "nll",
        "bits_per_dim",
        "reconstruction_mse",
        "psnr",
        "encode_decode_error",
        "decode_encode_error",
        "brightness",
    ]
    assert not run.report.complete


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call,row,minutes,expected",
    [
        (0.0, 0.001, 5.0, Pace(1000, None, 1.0)),
        (0.0, 1.0, 5.0, Pace(200, 5, 1000.0)),  # 295 seconds are left after trying 1 and 4
        (0.0, 1.0, None, Pace(1000, 5, 1000.0)),
        (0.0, 0.1, 5.0, Pace(1000, 50, 100.0)),
        (0.0, 100.0, 5.0, Pace(2, 1, 100_000.0)),  # tried with one alone
        (0.0, 1000.0, 5.0, Pace(0, 1, 1_000_000.0)),
        (10.0, 0.0, 5.0, Pace(1000, 64, 156.25)),  # a GPU, which many rows take no longer than one
    ],
)
def test_as_many_rows_as_there_is_time_for(
    clock: list[float], call: float, row: float, minutes: float | None, expected: Pace
) -> None:
    def run(rows: int) -> None:
        clock[0] += call + row * rows

    found = pace(run, 1000, minutes)
    assert (found.rows, found.most) == (expected.rows, expected.most)
    assert found.seconds == pytest.approx(expected.seconds)


def test_a_slow_sampler_makes_the_first_of_its_samples_and_says_of_how_many(digits: Splits, clock: list[float]) -> None:
    slow = measured(evaluation(digits, clock, 1.0, replace(SETTINGS, minutes=5)))
    few = measured(evaluation(digits, clock, 0.0, replace(SETTINGS, samples=200)))
    assert "200 samples (of 400, which would take 6.7 minutes), 150 held-out" in slow["Fréchet distance"].note
    strip = [[replace(figure, note="") for figure in report.figures] for report in (slow, few)]
    assert strip[0] == strip[1]
    assert slow.complete


def test_what_too_few_samples_do_not_tell_is_left_out_with_the_reason(digits: Splits, clock: list[float]) -> None:
    some = measured(evaluation(digits, clock, 1.0, replace(SETTINGS, minutes=2)))
    assert {"kernel_distance", "precision"} <= {figure.key for figure in some.figures}
    assert "frechet_distance" not in {figure.key for figure in some.figures}
    assert "No Fréchet distance: in 64 features it needs 128 samples and as many real examples or more." in some.notes
    none = measured(evaluation(digits, clock, 1.0, replace(SETTINGS, minutes=0.1)))
    assert {figure.key for figure in none.figures} & {"kernel_distance", "precision"} == set()
    assert "frechet_distance_of_reconstructions" in {figure.key for figure in none.figures}
    assert "No figures of samples: 10 of them would take longer than allowed." in none.notes


def test_a_slow_likelihood_is_of_fewer_rows(digits: Splits, clock: list[float]) -> None:
    run = evaluation(digits, clock, 0.0, replace(SETTINGS, samples=0, minutes=1))
    model, score = run.model, run.model.log_prob

    def slowly(x: Tensor, condition: Tensor | None = None) -> Tensor:
        clock[0] += len(x)
        return score(x, condition)

    model.log_prob = slowly
    report = measured(run)
    assert "50 held-out (of 150, which would take 2.5 minutes)" in report["NLL"].note
    held_out = run.data.subset(50, 0)
    assert report["NLL"].value == pytest.approx(-held_out.batch().x.flatten(1).sum(1).mean().item())


def test_samples_of_a_smaller_number_come_first(digits: Splits) -> None:
    model = Everything(digits.train, [0.0])
    assert torch.equal(samples.draw(model, 5, digits.train, 3), samples.draw(model, 50, digits.train, 3)[:5])
    rows = [torch.randint(99, (n,), generator=torch.Generator().manual_seed(1)) for n in (7, 500)]
    assert torch.equal(rows[0], rows[1][:7]), "conditions are drawn so"
