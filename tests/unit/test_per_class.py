"""One density a class: each is what its family makes of that class alone, and nothing leaks between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.abilities import HasLikelihood, Samples, abilities
from genwerk.core.model import Config, Loss, Model, Stage, build
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.options import Options
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.families.mixture import Mixture, MixtureConfig
from genwerk.families.per_class import PerClass, PerClassConfig
from genwerk.families.pixelcnn import PixelCNNConfig
from genwerk.nn.coder import MLPCoder
from genwerk.training.events import StageDone
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="table", shape=(2,), classes=("ash", "beech", "elm"))
QUIET = TrainConfig(rounds=20, batch_size=0, sample_every=0, evaluate_every=0, save_every=0)
CENTRES = torch.tensor([[-20.0, 0.0], [0.0, 20.0], [20.0, 0.0]])


def trees(n: int = 90, seed: int = 0) -> Dataset:
    """Two clusters 4 apart around each class's centre, in unequal numbers of examples."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 7 % 3
    side = torch.randint(2, (n, 1), generator=generator) * 4.0 - 2
    return Dataset(x=CENTRES[label] + side + 0.3 * torch.randn(n, 2, generator=generator), spec=SPEC, condition=label)


def learned(config: Config, data: Dataset, train: TrainConfig = QUIET) -> PerClass:
    model = Trainer(build(PerClassConfig(model=config), data.spec), data, train).fit()
    assert isinstance(model, PerClass)
    return model


@pytest.fixture(scope="module")
def pairs() -> PerClass:
    return learned(MixtureConfig(components=(2,)), trees())


@dataclass(frozen=True, kw_only=True)
class PointConfig(Config):
    """Settings of :class:`Point`."""


class Point(Model, Samples, HasLikelihood):
    """A Gaussian of unit variance whose mean is learned by descent on shifted data, in two stages."""

    def __init__(self, config: PointConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.mean = nn.Parameter(torch.ones(spec.shape))
        self.seen: list[Dataset] = []

    def loss(self, batch: Batch) -> Loss:
        assert batch.condition is None
        return (batch.x - self.mean).square().sum(1).mean(), {}

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("rough", rounds, self.turns, self.shifted), Stage("fine", 2 * rounds, self.turns, self.shifted)]

    def shifted(self, data: Dataset) -> Dataset:
        self.seen.append(data)
        return replace(data, x=data.x + 100)

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        return self.mean + SeededNoise(n, seed).normal(2)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return -(x - self.mean).square().sum(1) / 2


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> PointConfig:
    monkeypatch.setitem(Model.registry, "PointConfig", (PointConfig, Point))
    return PointConfig()


def test_each_class_is_what_its_family_learns_of_that_class_alone(pairs: PerClass) -> None:
    data = trees()
    x = trees(20, seed=1).batch().x
    for c in range(3):
        alone = replace(data.select((data.condition == c).nonzero()[:, 0]), spec=pairs.models[c].spec, condition=None)
        one = Trainer(Mixture(MixtureConfig(components=(2,)), alone.spec), alone, QUIET).fit()
        assert torch.equal(pairs.log_prob(x, torch.full((20,), c)), one.log_prob(x))


def test_rows_of_several_classes_come_back_in_their_order(pairs: PerClass) -> None:
    label = torch.tensor([2, 0, 2, 1, 0, 0, 2])
    x = trees(7, seed=2).batch().x
    one_by_one = torch.cat([pairs.models[c].log_prob(x[i : i + 1]) for i, c in enumerate(label.tolist())])
    torch.testing.assert_close(pairs.log_prob(x, label), one_by_one)
    made = pairs.sample(7, label, seed=40)
    for i, c in enumerate(label.tolist()):
        torch.testing.assert_close(made[i : i + 1], pairs.models[c].sample(1, seed=Seeds(40, i)))


def test_the_gradient_by_the_data_passes_through(pairs: PerClass) -> None:
    label = torch.tensor([1, 0, 1])
    x = trees(3).batch().x.requires_grad_()
    (whole,) = torch.autograd.grad(pairs.log_prob(x, label).sum(), x)
    (alone,) = torch.autograd.grad(pairs.models[0].log_prob(x[1:2]).sum(), x)
    torch.testing.assert_close(whole[1], alone[1])


def test_a_class_that_is_not_named_is_drawn_evenly_and_apart_from_what_is_drawn_in_it(pairs: PerClass) -> None:
    """Both clusters occur in every class: the number that chose the class does not choose the cluster as well."""
    x = pairs.sample(900, seed=0).float()
    label = torch.cdist(x, CENTRES).argmin(1)
    high = (x - CENTRES[label]).sum(1) > 0
    weight = pairs.models[0].weight
    assert (weight > 0.2).all()
    for c in range(3):
        assert 250 < (label == c).sum() < 350
        assert 0.25 < high[label == c].float().mean() < 0.75
    torch.testing.assert_close(pairs.sample(1, seed=Seeds(0, 17)).float(), x[17:18])


def test_every_class_has_its_stages_and_only_its_own_weights_move_in_them(point: PointConfig) -> None:
    data = trees()
    model = build(PerClassConfig(model=point), SPEC)
    optim = {"model": OptimConfig(lr=0.1, weight_decay=0.01)}
    trainer = Trainer(model, data, replace(QUIET, rounds=3, optim=optim))
    means, names = [[m.mean.detach().clone() for m in model.models]], []
    for event in trainer:
        if isinstance(event, StageDone):
            means.append([m.mean.detach().clone() for m in model.models])
            names.append((event.stage, event.round))
    assert names[:2] == [("class ash: rough", 3), ("class ash: fine", 9)]
    assert names[-1] == ("class elm: fine", 27)
    for stage, (before, after) in enumerate(pairwise(means)):
        assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [c != stage // 2 for c in range(3)]
    for c, one in enumerate(model.models):
        assert [len(seen) for seen in one.seen] == [int((data.condition == c).sum())] * 2
        assert all(seen.spec.classes == () for seen in one.seen)
        assert (one.mean > 1).all(), "it went for the data as the family's own hook has them"


def test_a_class_is_judged_by_its_own_examples(point: PointConfig) -> None:
    data = trees()
    model = build(PerClassConfig(model=point), SPEC)
    for c, stages in enumerate(zip(*[iter(model.stages(3))] * 2, strict=True)):
        for stage in stages:
            assert stage.part is model.models[c]
            assert stage.sees is not None
            assert torch.equal(stage.sees(data).x, data.x[data.condition == c])
            assert len(stage.sees(replace(data, condition=None))) == 0
            assert not model.models[c].seen


def test_what_it_can_do(pairs: PerClass) -> None:
    assert abilities(pairs) == {"samples", "has-likelihood"}
    assert pairs.condition.classes == len(SPEC.classes)
    image = DataSpec(kind="image", shape=(1, 4, 4), levels=17, classes=("a", "b"))
    assert "blurred" in build(PerClassConfig(model=MixtureConfig()), image).scored


def test_a_class_without_examples_is_told_before_anything_is_learned() -> None:
    data = trees()
    without = data.select((data.condition != 2).nonzero()[:, 0])
    trainer = Trainer(build(PerClassConfig(model=MixtureConfig()), SPEC), without, QUIET)
    with pytest.raises(ValueError, match="class 'elm' has no training example;"):
        next(iter(trainer))
    only = data.select((data.condition == 1).nonzero()[:, 0])
    with pytest.raises(ValueError, match=r"class 'ash' has no training example \(nor have 1 more\)"):
        Trainer(build(PerClassConfig(model=MixtureConfig()), SPEC), only, QUIET).fit()


def test_data_without_labels_are_refused(pairs: PerClass) -> None:
    with pytest.raises(ValueError, match="needs labels and the data carry none"):
        build(PerClassConfig(model=MixtureConfig()), replace(SPEC, classes=()))
    with pytest.raises(ValueError, match="conditioned on the class"):
        Trainer(build(PerClassConfig(model=MixtureConfig()), SPEC), replace(trees(), condition=None), QUIET).fit()
    x = torch.zeros(2, 2)
    for condition in (None, torch.tensor([0, 3])):
        with pytest.raises(ValueError, match="class index from 0 to 2"):
            pairs.log_prob(x, condition)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (AutoencoderConfig(network=MLPCoder(widths=(8,)), latent=2), "Autoencoder does not both sample and score"),
        (PixelCNNConfig(conditional=True), "carry none"),
        (PerClassConfig(model=MixtureConfig()), "carry none"),
    ],
)
def test_a_family_that_cannot_be_one_class_of_it_is_refused(config: Config, words: str) -> None:
    spec = DataSpec(kind="image", shape=(1, 8, 8), levels=17, classes=("a", "b"))
    with pytest.raises(ValueError, match=words):
        build(PerClassConfig(model=config), spec)


def test_a_family_of_several_players_is_refused(point: PointConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Point, "players", lambda self: {"model": self, "critic": nn.Linear(1, 1)})
    with pytest.raises(ValueError, match="Point has the player 'critic'"):
        build(PerClassConfig(model=point), SPEC)


def test_a_conditional_child_is_refused(point: PointConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Point, "condition", "label", raising=False)
    with pytest.raises(ValueError, match="must be unconditional"):
        build(PerClassConfig(model=point), SPEC)
