"""A kind of condition that only this file knows: a flow learns with it, is stored, loaded, sampled and measured."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from torch import Tensor

from genwerk import tasks
from genwerk.cli import main
from genwerk.core import plugins
from genwerk.core.condition import Condition
from genwerk.core.errors import MissingPlugin
from genwerk.core.model import Model, build
from genwerk.core.noise import Seeds
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.evaluation.evaluate import evaluate
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.runs import store
from genwerk.tasks.outliers import out_of_distribution
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig
from genwerk.training.trainer import Trainer


@dataclass(frozen=True)
class TimeOfDay(Condition):
    """Hours from 0 to 24, float64 with shape (n, 1): at the end of a day the next begins."""

    name, plural, option = "time of day", "times of day", "time"

    @classmethod
    def from_spec(cls, spec: DataSpec) -> Self | None:
        return cls() if spec.covariates == ("hour",) else None

    @property
    def expected(self) -> str:
        return "hours from 0 to 24 each"

    @property
    def width(self) -> int:
        return 2

    def valid(self, values: Tensor) -> bool:
        return values.shape[1:] == (1,) and bool(((values >= 0) & (values <= 24)).all())

    def parse(self, typed: list[str]) -> Tensor:
        clock = [each.split(":") for each in typed]
        return torch.tensor([[int(hour) + int(minute) / 60] for hour, minute in clock], dtype=torch.float64)

    def features(self, values: Tensor) -> Tensor:
        angle = values * pi / 12
        return torch.cat([angle.cos(), angle.sin()], 1).float()

    def or_drawn(self, values: Tensor | None, uniform, model: object) -> Tensor | None:  # type: ignore[no-untyped-def]
        return 24 * uniform().double()[:, None] if values is None else self.check(values, model)


SPEC = DataSpec(kind="table", shape=(1,), columns=("temperature",), covariates=("hour",))
CONFIG = MAFConfig(layers=2, widths=(32,), activation="tanh", conditional=True)
TRAIN = TrainConfig(
    rounds=250, batch_size=128, optim={"model": OptimConfig(lr=5e-3)}, sample_every=10, evaluate_every=0, save_every=0
)


def days(n: int, seed: int) -> Dataset:
    """Temperatures, warmest at noon: -cos of the hour's angle and normal noise of 0.1."""
    generator = torch.Generator().manual_seed(seed)
    hour = 24 * torch.rand(n, 1, generator=generator, dtype=torch.float64)
    x = -(hour * pi / 12).cos() + 0.1 * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    return Dataset(x=x, spec=SPEC, condition=hour)


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Trainer(build(CONFIG, SPEC), days(4_000, 0), TRAIN).fit().requires_grad_(False)


def test_a_flow_learns_with_it_and_is_sampled_by_what_a_person_typed(model: Model) -> None:
    assert model.condition == TimeOfDay()
    typed = model.condition.parse(["6:00", "12:00", "17:30"])
    drawn = tasks.sample(model, 3_000, condition=typed, seed=0)
    assert torch.equal(drawn.condition, typed.repeat(1_000, 1))
    for i, hour in enumerate((6.0, 12.0, 17.5)):
        assert drawn.x[i::3].mean().item() == pytest.approx(-cos(hour * pi / 12), abs=0.1)
    alone = tasks.sample(model, 1, condition=typed, seed=Seeds(0, 7)).x
    torch.testing.assert_close(alone[0], drawn.x[7])
    assert -0.8 < model.sample(2_000, seed=1).mean() < 0.8  # type: ignore[operator]


def test_a_day_ends_where_the_next_begins(model: Model) -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    night, again = (model.log_prob(x, torch.full_like(x, hour)) for hour in (0.0, 24.0))  # type: ignore[operator]
    torch.testing.assert_close(night, again, rtol=1e-4, atol=1e-4)


def test_every_verb_takes_it_from_the_examples(model: Model) -> None:
    test = days(300, 1)
    batch = test.batch(slice(20))
    torch.testing.assert_close(tasks.reconstruct(model, batch), batch.x, rtol=0, atol=1e-3)
    found = tasks.log_likelihood(model, test)
    assert found.condition == "time of day"
    assert found.nats == pytest.approx(0.88, abs=0.15)  # minus the entropy of the noise, -ln(0.1) - ln(2 pi e) / 2
    assert out_of_distribution(model, Batch(batch.x + 3, batch.condition), test).likelihood_auroc > 0.99
    splits = Splits(train=days(300, 2), validation=test, test=test, settings=DataConfig())
    report = evaluate(model, splits, EvaluateConfig(examples=200, samples=200))
    assert "given its time of day" in report["NLL"].note


def test_what_it_is_not_is_refused_in_its_own_words(model: Model) -> None:
    for wrong in (None, torch.tensor([[25.0]]), torch.zeros(1)):
        with pytest.raises(
            ValueError,
            match=r"MAF is conditioned on time of day: pass condition, hours from 0 to 24 each",
        ):
            tasks.sample(model, 1, condition=wrong)


def test_a_person_samples_by_it(model: Model, tmp_path: Path) -> None:
    described = store.describe("maf", Recipe(model=CONFIG, train=TRAIN), SPEC)
    run = store.Checkpoints(tmp_path, described).save(model, Trainer(model, days(300, 1), TRAIN).state())
    main(["sample", str(run), "-n", "4", "--condition", "6:00", "17:30", "--out", str(tmp_path / "x.csv")])
    written = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1, usecols=0)
    drawn = tasks.sample(model, 4, condition=model.condition.parse(["6:00", "17:30"]), seed=0)
    np.testing.assert_allclose(written, drawn.x[:, 0].numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "conditioned on time of day: give --condition"),
        (["--condition", "6:00", "25:00"], "--condition is 25:00; expected hours from 0 to 24 each"),
        (["--condition", "noon"], "--condition is noon; expected hours from 0 to 24 each"),
    ],
)
def test_a_person_is_told_what_to_type(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: list[str], said: str
) -> None:
    described = store.describe("maf", Recipe(model=CONFIG, train=TRAIN), SPEC)
    run = store.Checkpoints(tmp_path, described).save(model, Trainer(model, days(300, 1), TRAIN).state())
    with pytest.raises(SystemExit) as ended:
        main(["sample", str(run), "-n", "2", *typed, "--out", str(tmp_path / "x.csv")])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_it_is_stored_with_its_model(model: Model, tmp_path: Path) -> None:
    described = store.describe("maf", Recipe(model=CONFIG, train=TRAIN), SPEC)
    path = store.Checkpoints(tmp_path, described).save(model, Trainer(model, days(300, 1), TRAIN).state())
    loaded, batch = store.load_model(store.find(path)), days(20, 1).batch()
    assert loaded.condition == model.condition
    assert torch.equal(loaded.log_prob(batch.x, batch.condition), model.log_prob(batch.x, batch.condition))  # type: ignore[operator]


def test_a_run_says_which_plug_in_its_condition_comes_from(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = store.describe("maf", Recipe(model=CONFIG, train=TRAIN), SPEC)
    assert (described["condition"], described["plugins"]) == ("TimeOfDay", plugins.sources([TimeOfDay]))
    path = store.Checkpoints(tmp_path, described | {"plugins": ["hours.py"]}).save(
        model, Trainer(model, days(300, 1), TRAIN).state()
    )
    monkeypatch.setattr(Condition, "kinds", [kind for kind in Condition.kinds if kind is not TimeOfDay])
    with pytest.raises(MissingPlugin, match=r"needs the plug-in hours\.py, which is not loaded"):
        store.load_model(store.find(path))
