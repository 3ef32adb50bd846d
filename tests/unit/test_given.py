"""Numbers that a model is told: columns taken out of a table, and densities of the others given them."""

from __future__ import annotations

from dataclasses import replace
from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genwerk import tasks
from genwerk.core.condition import Covariates
from genwerk.core.model import Model, build
from genwerk.core.noise import Seeds
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.data.dataset import Dataset
from genwerk.data.toys import TOYS
from genwerk.evaluation.evaluate import evaluate
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.families.autoregressive_flow import IAFConfig, MAFConfig
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.families.nice import NICEConfig
from genwerk.families.realnvp import DenseCouplings, RealNVPConfig
from genwerk.families.two_stage import TwoStageConfig
from genwerk.nn.coder import MLPCoder
from genwerk.nn.flows.base import NormalBase
from genwerk.nn.flows.check import mass
from genwerk.nn.flows.monotone import SplineConfig
from genwerk.runs import store
from genwerk.tasks.classification import classify
from genwerk.tasks.outliers import log_evidence, out_of_distribution
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig
from genwerk.training.trainer import Trainer

TABLE = "a,height,b,weight\n" + "\n".join(f"{i},{i % 7 + 0.5},{i * i},{-i}" for i in range(50))
SPEC = DataSpec(kind="table", shape=(2,), columns=("a", "b"), covariates=("height", "weight"))
DENSE = DenseCouplings(couplings=3, widths=(16,), activation="tanh")
CONFIGS: list[FlowConfig] = [
    MAFConfig(layers=2, widths=(16,), activation="tanh", conditional=True),
    IAFConfig(layers=2, widths=(16,), activation="tanh", conditional=True),
    MAFConfig(layers=2, widths=(16,), activation="tanh", monotone=SplineConfig(), conditional=True),
    RealNVPConfig(architecture=DENSE, conditional=True),
    RealNVPConfig(architecture=DENSE, monotone=SplineConfig(tail_bound=5.0), conditional=True),
    NICEConfig(base=NormalBase(), couplings=3, widths=(16,), activation="tanh", conditional=True),
]


def pairs(n: int = 400) -> Dataset:
    """Rows of normal numbers, told others of great and small scale that have to do with them."""
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(n, 2, generator=generator).double()
    x = s.flip(1) + 0.5 * torch.randn(n, 2, generator=generator)
    return Dataset(x=x, spec=SPEC, condition=s * torch.tensor([0.01, 300.0]) + torch.tensor([1.75, 1e4]))


def moved(config: FlowConfig, data: Dataset) -> FlowModel:
    """The flow of ``config``, begun on ``data``, with weights that are not those of the identity."""
    torch.manual_seed(0)
    model = build(config, data.spec).eval()
    assert isinstance(model, FlowModel)
    begin = model.stages(1)[0].data
    assert begin is not None
    begin(data)
    with torch.no_grad():
        for p in model.transform.parameters():
            p += 0.1 * torch.randn(p.shape)
    return model


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize("given", ["height,weight", "1,3", "height, 3", "height,height,weight"])
def test_columns_are_taken_out_by_name_or_number_and_go_with_their_rows(table: Path, given: str) -> None:
    splits = open_data(DataConfig(source=str(table), covariates=given))
    spec = splits.spec
    assert (spec.shape, spec.columns, spec.covariates) == ((2,), ("a", "b"), ("height", "weight"))
    assert str(spec) == "a table of 2 columns, 2 covariates (height, weight)"
    for part in (splits.train, splits.test):
        batch = part.batch()
        assert batch.condition is not None
        assert batch.condition.dtype == torch.float64
        i = batch.x[:, 0]
        assert torch.equal(batch.x[:, 1], i**2)
        assert torch.equal(batch.condition, torch.stack([i % 7 + 0.5, -i], 1))


def test_the_order_of_what_is_told_is_that_of_the_option(table: Path) -> None:
    assert open_data(DataConfig(source=str(table), covariates="weight,a")).spec.covariates == ("weight", "a")


def test_arrays_and_toys_can_be_told_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 3))
    np.save(tmp_path / "x.npy", x)
    splits = open_data(DataConfig(source=str(tmp_path / "x.npy"), covariates="2", holdout=0))
    assert splits.spec.covariates == ("column 3",)
    assert splits.train.condition is not None
    np.testing.assert_allclose(splits.train.condition[:, 0], x[:, 2])
    toy, whole = open_data(DataConfig(source="parabola", covariates="y")), open_data(DataConfig(source="parabola"))
    assert toy.train.condition is not None
    assert torch.equal(torch.cat([toy.train.x, toy.train.condition], 1), whole.train.x)
    assert toy.test.entropy == pytest.approx(0.5 * np.log(2 * pi * np.e))  # x is y^2/4 and standard normal noise
    assert open_data(DataConfig(source="ring", covariates="y")).train.entropy is None


def test_noise_is_added_to_what_is_made_and_not_to_what_is_told(tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 3},{i % 2}" for i in range(90))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}")
    train = open_data(DataConfig(source=str(tmp_path / "t.csv"), covariates="b", jitter=True)).train
    assert train.condition is not None
    assert set(train.condition.flatten().tolist()) == {0.0, 1.0}
    assert len(train.x.unique()) > 60


def test_only_columns_that_are_made_are_warned_of_and_rows_are_whole(tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 2},7,{i}" for i in range(90))
    (tmp_path / "t.csv").write_text(f"a,b,c\n{rows}")
    notes = " ".join(open_data(DataConfig(source=str(tmp_path / "t.csv"), covariates="b,c")).notes)
    assert "conditioned on 2 covariates (b, c)" in notes
    assert "few values in 90 rows: 'a' 2" in notes
    assert "never changes" not in notes
    assert "copies" not in notes


@pytest.mark.parametrize(
    ("given", "said"),
    [("height,size", "no column 'size'"), ("4", "no column '4'"), ("0,1,2,3", "nothing is left to generate")],
)
def test_columns_that_cannot_be_told_are_refused(table: Path, given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        open_data(DataConfig(source=str(table), covariates=given))


def test_labels_and_numbers_together_and_numbers_of_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,label\n1,2,x\n3,4,y\n5,6,x\n")
    with pytest.raises(ValueError, match="one or the other"):
        open_data(DataConfig(source=str(tmp_path / "t.csv"), covariates="b"))
    with pytest.raises(ValueError, match="columns of a table"):
        open_data(DataConfig(source="digits", covariates="b"))


def test_a_cell_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,nan\n")
    with pytest.raises(ValueError, match=r"column .b. .* holds .nan"):
        open_data(DataConfig(source=str(tmp_path / "t.csv"), covariates="b"))


# --- densities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{type(c).__name__} {getattr(c, 'monotone', '')}")
def test_the_density_given_any_numbers_integrates_to_one_and_depends_on_them(config: FlowConfig) -> None:
    model = moved(config, pairs()).double()
    here, there = (torch.tensor([c], dtype=torch.float64) for c in ([1.75, 1e4], [1.77, 9.2e3]))

    def log_p(x: Tensor, c: Tensor) -> Tensor:
        return model.log_prob(x, c.expand(len(x), 2))

    for c in (here, there):
        assert mass(lambda x, c=c: log_p(x, c), -8, 8, 301) == pytest.approx(1, abs=2e-3)  # type: ignore[misc]
    x = torch.randn(20, 2, dtype=torch.float64)
    assert not torch.allclose(log_p(x, here), log_p(x, there))
    z = model.encode(x, there.expand(20, 2))
    torch.testing.assert_close(model.decode(z, there.expand(20, 2)), x, rtol=0, atol=1e-6)


def test_the_density_of_one_column_given_another_integrates_to_one() -> None:
    splits = open_data(DataConfig(source="parabola", covariates="y", limit=500))
    model = moved(MAFConfig(layers=3, widths=(16,), activation="tanh", conditional=True), splits.train).double()
    line = torch.linspace(-60, 60, 40_001, dtype=torch.float64)[:, None]
    for c in (-3.0, 0.5):
        density = model.log_prob(line, torch.full_like(line, c)).exp()
        assert torch.trapezoid(density, line[:, 0]).item() == pytest.approx(1, abs=1e-3)


def test_numbers_are_told_standardised_by_those_of_the_training_rows() -> None:
    data = pairs()
    model = moved(CONFIGS[0], data)
    told = model.context(data.condition)
    assert told is not None
    torch.testing.assert_close(told.mean(0), torch.zeros(2), rtol=0, atol=1e-3)
    torch.testing.assert_close(told.std(0, correction=0), torch.ones(2), rtol=0, atol=1e-3)


def test_what_it_was_told_of_is_stored_with_the_model(tmp_path: Path) -> None:
    data, config = pairs(), CONFIGS[0]
    model, train = moved(config, data), TrainConfig(rounds=1, batch_size=8, optim={"model": OptimConfig()})
    described = store.describe("maf", Recipe(model=config, train=train), SPEC)
    path = store.Checkpoints(tmp_path, described).save(model, Trainer(model, data, train).state())
    stored = store.find(path)
    loaded = store.load_model(stored)
    assert stored.spec == SPEC
    assert isinstance(loaded, FlowModel)
    batch = data.batch(slice(20))
    assert torch.equal(loaded.log_prob(batch.x, batch.condition), model.log_prob(batch.x, batch.condition))


@pytest.mark.parametrize("condition", [None, torch.zeros(3), torch.zeros(3, 1), torch.full((3, 2), torch.nan)])
def test_a_flow_that_is_told_numbers_insists_on_them(condition: Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"conditioned on 2 covariates \(height, weight\)"):
        moved(CONFIGS[0], pairs()).log_prob(torch.zeros(3, 2), condition)


def test_a_flow_that_can_be_told_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs labels or covariates.* and the data carry none"):
        build(CONFIGS[0], replace(SPEC, covariates=()))


def test_a_flow_that_is_not_told_disregards_the_numbers() -> None:
    data = pairs()
    model = moved(MAFConfig(layers=2, widths=(16,), activation="tanh"), data)
    model.objective(data.batch())
    assert tasks.sample(model, 3, seed=0).condition is None
    with pytest.raises(ValueError, match="takes none"):
        tasks.sample(model, 3, condition=torch.zeros(1, 2))


# --- verbs ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Model:
    return moved(CONFIGS[0], pairs())


def test_samples_are_told_rows_of_numbers_in_turn(model: Model) -> None:
    given = torch.tensor([[1.75, 1e4], [1.76, 1.1e4]])
    batch = tasks.sample(model, 5, condition=given, seed=7, size=2)
    assert batch.condition is not None
    assert torch.equal(batch.condition, given[[0, 1, 0, 1, 0]])
    alone = tasks.sample(model, 1, condition=given, seed=Seeds(7, 3)).x
    torch.testing.assert_close(alone[0], batch.x[3])
    with pytest.raises(ValueError, match=r"conditioned on 2 covariates \(height, weight\): .*pass condition"):
        tasks.sample(model, 5)
    with pytest.raises(ValueError, match="conditioned on 2 covariates"):
        tasks.sample(model, 5, condition=torch.zeros(1, 3))
    with pytest.raises(ValueError, match="conditioned on 2 covariates"):
        tasks.sample(model, 5, condition=torch.tensor([1]))


def test_rows_are_told_their_own_numbers(model: Model) -> None:
    data = pairs()
    batch = data.batch(slice(6))
    torch.testing.assert_close(tasks.reconstruct(model, batch), batch.x, rtol=0, atol=1e-4)
    way = tasks.interpolate(model, batch[:3], batch[3:], 5)
    torch.testing.assert_close(way[:, 0], batch.x[:3], rtol=0, atol=1e-4)
    torch.testing.assert_close(way[:, -1], batch.x[3:], rtol=0, atol=1e-4)
    assert tasks.traverse(model, batch[:1], [0, 1], steps=3).shape == (3, 3, 2)
    with pytest.raises(ValueError, match="conditioned on 2 covariates"):
        tasks.reconstruct(model, Batch(batch.x))
    assert isinstance(model, FlowModel)
    mean = model.log_prob(batch.x, batch.condition).mean().item()
    assert tasks.log_likelihood(model, data.select(torch.arange(6))).nats == pytest.approx(mean)


def test_numbers_make_no_classes_and_are_scored_as_given(model: Model) -> None:
    data = pairs()
    with pytest.raises(tasks.Unsupported, match="conditioned on the label, and MAF is not"):
        classify(model, data.batch())
    assert isinstance(model, FlowModel)
    batch = data.batch(slice(30))
    expected = model.log_prob(batch.x, batch.condition).double()
    torch.testing.assert_close(log_evidence(model, batch.x, batch.condition), expected, rtol=1e-4, atol=1e-4)
    assert out_of_distribution(model, batch, data.select(torch.arange(30, 60))).exact


def test_an_evaluation_tells_samples_what_training_rows_were_told() -> None:
    splits = open_data(DataConfig(source="parabola", covariates="y", limit=300))
    model = moved(MAFConfig(layers=2, widths=(16,), activation="tanh", conditional=True), splits.train)
    report = evaluate(model, splits, EvaluateConfig(examples=100, samples=100))
    assert report["KL to truth"].value == pytest.approx(report["NLL"].value - 1.4189, abs=1e-4)
    assert report["Fréchet distance"].value > 0


def test_the_prior_of_codes_is_told_too() -> None:
    config = TwoStageConfig(
        autoencoder=AutoencoderConfig(latent=2, network=MLPCoder(widths=(8,))),
        prior=CONFIGS[0],
        prior_rounds=2,
        prior_batch=8,
    )
    optim = {"autoencoder": OptimConfig(), "prior": OptimConfig()}
    train = TrainConfig(rounds=2, batch_size=8, optim=optim, sample_every=0, evaluate_every=0, save_every=0)
    trained = Trainer(build(config, SPEC), pairs(), train).fit()
    assert trained.condition == Covariates(("height", "weight"))
    assert tasks.sample(trained, 3, condition=torch.tensor([[1.75, 1e4]]), seed=0).x.shape == (3, 2)


def test_the_parabola_is_known_given_its_height() -> None:
    toy = TOYS["parabola"]
    y = toy.sample(200_000, 0)[:, 1].double()
    density = (-0.5 * (y / 2) ** 2 - 0.5 * np.log(8 * pi)).mean()
    entropy = toy.entropy_of("y")
    assert entropy is not None
    assert -density.item() == pytest.approx(entropy, abs=0.01)
    assert toy.entropy_of("x") is None
