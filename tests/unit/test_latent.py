"""The combinator: stages in order, codes with their labels, players under the parts' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.abilities import HasLikelihood, Samples
from genwerk.core.condition import Label, choose
from genwerk.core.errors import Unsupported
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns, build
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.options import Observation, Options
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.evaluation.quick import judge
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.families.mixture import MixtureConfig
from genwerk.families.pixelcnn import PixelCNNConfig
from genwerk.families.two_stage import TwoStage, TwoStageConfig
from genwerk.families.vae import VAE, VAEConfig
from genwerk.families.vqvae import VQVAE, VQVAEConfig
from genwerk.nn.coder import ConvCoder, MLPCoder
from genwerk.nn.losses import GaussianConfig
from genwerk.recipes import find
from genwerk.runs import store
from genwerk.training.events import Evaluated, StageDone
from genwerk.training.settings import Recipe, TrainConfig, from_json, to_json
from genwerk.training.trainer import Trainer

DIGIT = DataSpec(kind="image", shape=(1, 8, 8), levels=17, classes=tuple("0123456789"))
AUTOENCODER = AutoencoderConfig(network=MLPCoder(widths=(16,)), latent=3)
DISCRETE = VQVAEConfig(entries=16, dims=4, width=8, halve=1, blocks=1)
TABLE_VAE = VAEConfig(network=MLPCoder(widths=(16,)), latent=2, likelihood=GaussianConfig())


@dataclass(frozen=True, kw_only=True)
class RivalsConfig(Config):
    """Settings of :class:`Rivals`."""

    labels: bool = False
    """Whether it is conditional."""


class Rivals(Model, Samples):
    """A prior with two players, two stages, and a sample that is the mean of the codes it has seen, plus the label."""

    mean: Tensor

    def __init__(self, config: RivalsConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.condition = choose(config.labels, spec, Label)
        self.one, self.two = nn.Linear(1, 1), nn.Linear(1, 1)
        self.register_buffer("mean", torch.zeros(*spec.shape))
        self.seen: list[Dataset] = []

    def players(self) -> Mapping[str, nn.Module]:
        return {"one": self.one, "two": self.two}

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        x = stream.next_batch().x

        def loss(x: Tensor) -> Loss:
            return self.one.weight.sum() + self.two.weight.sum(), {"mean": x.mean(0)}

        before = players["one"].steps
        metrics = yield Turn("one", loss, x)
        yield Turn("two", loss, x)
        self.mean.copy_(metrics["mean"])
        self.settled = players["one"].steps - before == 1 and players["one"].steps == 3

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [
            Stage("play", rounds, self.turns, self._note, batch_size=0, converged=lambda: self.settled),
            Stage("again", 1, self.turns),
        ]

    def _note(self, data: Dataset) -> Dataset:
        self.seen.append(data)
        return data

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        z = self.mean.expand(n, -1)
        return z if condition is None else z + condition[:, None]


@dataclass(frozen=True, kw_only=True)
class DiceConfig(Config):
    """Settings of :class:`Dice`: none."""


class Dice(Model, Samples, HasLikelihood):
    """A prior under which every symbol of an image is as likely as any other; it learns nothing."""

    def __init__(self, config: DiceConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.seen: list[Dataset] = []

    def players(self) -> Mapping[str, nn.Module]:
        return {}

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        yield Turn(None, lambda batch: (batch.x.mean(), {}), stream.next_batch())

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("throw", rounds, self.turns, lambda data: self.seen.append(data) or data, converged=lambda: True)]

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        u = SeededNoise(n, seed).uniform(*self.spec.shape)
        return (u * self.spec.levels).floor() / (self.spec.levels - 1)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.full((len(x),), -self.spec.dims * log(self.spec.levels))


@pytest.fixture(autouse=True)
def priors(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setitem(Model.registry, "RivalsConfig", (RivalsConfig, Rivals))
    monkeypatch.setitem(Model.registry, "DiceConfig", (DiceConfig, Dice))


@pytest.fixture
def data() -> Dataset:
    x = torch.randint(0, 17, (2100, 1, 8, 8), dtype=torch.uint8)
    return Dataset(x=x, spec=DIGIT, condition=torch.arange(2100) % 10, captions=[str(i) for i in range(2100)])


def test_stages_are_the_autoencoders_then_the_priors_on_the_codes(data: Dataset) -> None:
    model = TwoStage(TwoStageConfig(autoencoder=AUTOENCODER, prior=RivalsConfig(), prior_rounds=7), DIGIT)
    assert model.prior.spec == DataSpec(kind="table", shape=(3,), classes=DIGIT.classes)
    assert list(model.players()) == ["autoencoder", "prior.one", "prior.two"]
    stages = model.stages(50)
    assert [(s.name, s.rounds, s.batch_size) for s in stages] == [
        ("autoencoder", 50, None),
        ("prior play", 7, 0),
        ("prior again", 1, None),
    ]
    events = Trainer(model, data, TrainConfig(rounds=4, batch_size=32, optim={}))
    done = [e for e in events if isinstance(e, StageDone)]
    assert [(e.stage, e.converged) for e in done][:2] == [("autoencoder", False), ("prior play", True)]
    assert done[-1].steps == {"autoencoder": 4, "prior.one": 4, "prior.two": 4}
    (codes,) = model.prior.seen
    torch.testing.assert_close(codes.x, model.eval().encode(data.batch().x))
    assert torch.equal(codes.condition, data.condition)
    assert codes.captions == data.captions
    assert codes.spec == model.prior.spec


def test_each_part_is_judged_by_its_own_figure_and_the_last_one_chooses(data: Dataset, tmp_path: Path) -> None:
    """The end of the autoencoder, with an untrained prior, is nobody's best."""
    small = data.select(torch.arange(64))
    config = TwoStageConfig(autoencoder=AUTOENCODER, prior=MAFConfig(layers=1, widths=(8,)))
    recipe = Recipe(
        model=config, train=TrainConfig(rounds=8, batch_size=32, evaluate_every=2, optim={}, sample_every=0)
    )
    checkpoints = store.Checkpoints(tmp_path, store.describe("latent", recipe, DIGIT))
    trainer = Trainer(
        TwoStage(config, DIGIT), small, recipe.train, validation=small, evaluate=judge, checkpoints=checkpoints
    )
    events = list(trainer)
    by = {e.stage: next(iter(e.figures)) for e in events if isinstance(e, Evaluated)}
    assert by == {"autoencoder": "clipped_reconstruction_mse", "prior": "clipped_nll"}
    chosen = [e.choice.round for e in events if isinstance(e, StageDone)]
    assert chosen[0] <= 8 < chosen[1]
    codes = replace(small, x=trainer.finished().encode(small.batch().x), spec=trainer.model.prior.spec)
    assert judge(trainer.model.prior, codes, codes).figures["clipped_nll"] == pytest.approx(trainer.choice.best)


def test_what_chooses_by_itself_or_cannot_be_judged_counts_by_its_end(data: Dataset) -> None:
    config = TwoStageConfig(autoencoder=AUTOENCODER, prior=MixtureConfig(components=(2,)))
    assert [(s.name, s.judged) for s in TwoStage(config, DIGIT).stages(5)] == [
        ("autoencoder", True),
        ("prior", False),
    ]


def test_codes_are_made_without_gradient_in_evaluation_mode(data: Dataset) -> None:
    conv = replace(AUTOENCODER, network=ConvCoder(widths=(4, 8)))
    model = TwoStage(TwoStageConfig(autoencoder=conv, prior=RivalsConfig(), prior_rounds=1), DIGIT)
    for event in Trainer(model, data, TrainConfig(rounds=3, batch_size=64, optim={})):
        if event.stage == "prior play":
            break
    model.eval()
    assert not model.prior.seen[0].x.requires_grad
    torch.testing.assert_close(model.prior.seen[0].x[:10], model.encode(data.batch(slice(0, 10)).x))


def test_discrete_codes_are_images_of_symbols(data: Dataset) -> None:
    model = TwoStage(TwoStageConfig(autoencoder=DISCRETE, prior=DiceConfig()), DIGIT)
    assert isinstance(model.autoencoder, VQVAE)
    assert isinstance(model.prior, Dice)
    assert model.prior.spec == replace(model.autoencoder.code_spec(), classes=DIGIT.classes)
    Trainer(model, data, TrainConfig(rounds=3, batch_size=64, optim={})).fit()
    (codes,) = model.prior.seen
    x = data.batch().x
    index = model.autoencoder.quantiser.index(model.autoencoder.encoder(x - model.autoencoder.mean))
    assert codes.x.dtype == torch.uint8
    assert torch.equal(codes.x[:, 0].long(), index)
    assert torch.equal(codes.condition, data.condition)
    assert torch.equal(codes.batch(slice(9)).x, model.encode(x[:9]))
    torch.testing.assert_close(model.sample(5, seed=3), model.decode(model.prior.sample(5, seed=3)))


def test_codes_are_drawn_with_the_options_of_their_prior() -> None:
    model = TwoStage(TwoStageConfig(autoencoder=DISCRETE, prior=PixelCNNConfig(width=4, layers=1)), DIGIT).eval()
    assert model.options == model.prior.options
    likeliest = replace(model.options, temperature=0.0)
    assert torch.equal(*(model.sample(2, options=likeliest, seed=seed) for seed in (0, 1)))
    assert not torch.equal(*(model.sample(2, seed=seed) for seed in (0, 1)))
    with pytest.raises(Unsupported, match="no options Observation"):
        model.sample(2, options=Observation())


def test_the_likelihood_of_codes_is_told_beside_the_autoencoders_own_figures() -> None:
    x = torch.rand(6, 1, 8, 8)
    discrete = TwoStage(TwoStageConfig(autoencoder=DISCRETE, prior=DiceConfig()), DIGIT).eval()
    found = discrete.diagnose(x)
    assert found["NLL of codes"] == pytest.approx(16 * log(16))
    assert found.keys() - {"NLL of codes"} == discrete.autoencoder.diagnose(x).keys()
    table = TwoStage(TwoStageConfig(autoencoder=AUTOENCODER, prior=MixtureConfig(components=(2,))), DIGIT).eval()
    found = table.diagnose(x, torch.zeros(6).long())
    torch.testing.assert_close(found, {"NLL of codes": -table.prior.log_prob(table.encode(x)).mean()})
    assert TwoStage(TwoStageConfig(autoencoder=AUTOENCODER, prior=RivalsConfig()), DIGIT).diagnose(x) == {}


def test_a_sample_is_the_decoded_sample_of_the_prior() -> None:
    model = TwoStage(TwoStageConfig(autoencoder=AUTOENCODER, prior=TABLE_VAE), DIGIT).eval()
    z = model.prior.sample(5, seed=3)
    torch.testing.assert_close(model.sample(5, seed=3), model.decode(z))
    torch.testing.assert_close(model.sample(1, seed=Seeds(3, 2)), model.sample(5, seed=3)[2:3])


def test_the_prior_decides_what_a_sample_is_conditioned_on() -> None:
    model = TwoStage(TwoStageConfig(autoencoder=AUTOENCODER, prior=RivalsConfig(labels=True)), DIGIT).eval()
    assert model.condition == Label.from_spec(DIGIT)
    assert not torch.allclose(model.sample(1, torch.tensor([1])), model.sample(1, torch.tensor([9])))
    assert TwoStage(TwoStageConfig(autoencoder=AUTOENCODER, prior=RivalsConfig()), DIGIT).condition.classes == 0


def test_parts_that_do_not_fit_say_so() -> None:
    conditional = VAEConfig(conditional=True)
    for wrong, sentence in (
        (TwoStageConfig(autoencoder=conditional, prior=TABLE_VAE), "must be unconditional"),
        (TwoStageConfig(autoencoder=RivalsConfig(), prior=TABLE_VAE), "does not both encode and decode"),
        (TwoStageConfig(autoencoder=AUTOENCODER, prior=AUTOENCODER), "does not sample"),
    ):
        with pytest.raises(ValueError, match=sentence):
            TwoStage(wrong, DIGIT)


def test_settings_go_to_json_and_back() -> None:
    config = TwoStageConfig(
        autoencoder=VAEConfig(likelihood=GaussianConfig(sigma="each")),
        prior=MixtureConfig(components=(3,)),
        prior_rounds=5,
    )
    assert from_json(TwoStageConfig, to_json(config)) == config


@pytest.mark.parametrize("name", ["autoencoder-mixture", "vae-mixture", "autoencoder-mixture-mnist", "vae-conv-mnist"])
def test_recipes_train_and_sample(name: str, data: Dataset) -> None:
    recipe = find(name).make(DIGIT)
    model = build(recipe.model, DIGIT)
    assert isinstance(model, TwoStage | VAE)
    Trainer(model, data, replace(recipe.train, rounds=2)).fit()
    assert model.sample(3, seed=0).shape == (3, 1, 8, 8)
    assert model.decode(model.encode(data.batch(slice(0, 3)).x)).shape == (3, 1, 8, 8)
