"""Verbs on models whose every answer is known."""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt

import pytest
import torch
from torch import Tensor

from genwerk import tasks
from genwerk.core.abilities import Completes, Decodes, Encodes, HasLikelihood, ImportanceWeighted, Samples
from genwerk.core.condition import Label, choose
from genwerk.core.model import Config, Model
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.options import Options
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.modalities.writers import grid
from genwerk.training.settings import from_json, to_json

TABLE = DataSpec(kind="table", shape=(3,))
IMAGE = DataSpec(kind="image", shape=(1, 2, 2), levels=256)


class Doubling(Model, Encodes, Decodes):
    """z = 2 x."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(Config(), spec)
        self.latent_shape = spec.shape

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return 2 * x

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z / 2


class Linear(Model, ImportanceWeighted, Samples):
    """x | z ~ N(z, 1), z ~ N(0, 1) in one dimension; q(z | x) = N(x / 2, 1), so that log p(x) is known exactly."""

    def log_weights(
        self, x: Tensor, importance_samples: int, condition: Tensor | None = None, *, seed: int | None = None
    ) -> Tensor:
        eps = SeededNoise(len(x), seed).normal(importance_samples).double()
        z = x / 2 + eps
        return -0.5 * (log(2 * torch.pi) + (x - z) ** 2 + z**2 - eps**2)

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        noise = SeededNoise(n, seed)
        return noise.normal(1) + noise.normal(1)


class Uniform(Model, HasLikelihood):
    """Every stored image is equally likely."""

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.full((len(x),), -self.spec.dims * log(256))


class Labelled(Model, Samples):
    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.condition = choose(True, spec, Label)

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        assert condition is not None
        return condition.float()[:, None].expand(n, 3) + 0.1 * SeededNoise(n, seed).normal(3)


class Half(Model, Completes):
    def complete(self, x: Tensor, known: Tensor, k: int = 1, *_: object, seed: int | None = None) -> Tensor:
        return torch.where(known, x, 0.5).unsqueeze(1).repeat(1, k, 1)


def test_a_line_is_straight_and_holds_both_ends() -> None:
    a, b = torch.randn(2, 4, 3)
    way = tasks.interpolate(Doubling(TABLE), Batch(a), Batch(b), 5)
    assert way.shape == (4, 5, 3)
    torch.testing.assert_close(way, torch.stack([a.lerp(b, t) for t in (0, 0.25, 0.5, 0.75, 1)], 1))


def test_an_arc_keeps_length_and_divides_the_angle() -> None:
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    for t in (0.0, 1 / 3, 0.5, 1.0):
        point = tasks.slerp(a, b, t)[0]
        torch.testing.assert_close(point.norm(), torch.tensor(3.0))
        torch.testing.assert_close(torch.atan2(point[1], point[0]), torch.tensor(t * torch.pi / 2))
    torch.testing.assert_close(tasks.slerp(a, 2 * a, 0.5), 1.5 * a)


def test_two_dimensions_span_a_grid_and_the_others_hold_still() -> None:
    example = Batch(torch.tensor([[0.1, 0.2, 0.3]]))
    grid = tasks.traverse(Doubling(TABLE), example, (0, 2), steps=3, span=(-2.0, 4.0))
    assert grid.shape == (3, 3, 3)
    torch.testing.assert_close(grid[:, 0, 0], torch.tensor([-1.0, 0.5, 2.0]))
    torch.testing.assert_close(grid[0, :, 2], torch.tensor([-1.0, 0.5, 2.0]))
    assert (grid[..., 1] == example.x[0, 1]).all()
    rows = tasks.traverse(Doubling(TABLE), example, (1,), steps=4, span=(-2.0, 4.0))
    assert rows.shape == (1, 4, 3)
    assert (rows[..., [0, 2]] == example.x[0, [0, 2]]).all()


def test_the_span_leaves_out_the_asked_fraction() -> None:
    data = Dataset(x=torch.linspace(0, 1, 1001)[:, None].expand(-1, 3).contiguous(), spec=TABLE)
    low, high = tasks.latent_span(Doubling(TABLE), data, outside=0.02)
    torch.testing.assert_close(low, torch.full((3,), 0.02))
    torch.testing.assert_close(high, torch.full((3,), 1.98))


def test_importance_sampling_finds_the_known_likelihood() -> None:
    model = Linear(Config(), DataSpec(kind="table", shape=(1,)))
    data = Dataset(x=torch.linspace(-3, 3, 200, dtype=torch.float64)[:, None], spec=model.spec)
    truth = torch.distributions.Normal(0.0, sqrt(2.0)).log_prob(data.x).mean().item()
    few, many = (tasks.log_likelihood(model, data, importance_samples=k) for k in (1, 4000))
    assert few.nats < many.nats
    assert many.nats == pytest.approx(truth, abs=5e-3)
    assert many.exact is False
    # var(w) / mean(w)^2 for q twice as wide in variance as the posterior N(x/2, 1/2) gives an ESS of sqrt(3)/2 K
    assert many.ess == pytest.approx(4000 * sqrt(3) / 2, rel=0.02)
    assert many.bits_per_dim is None


def test_bits_follow_from_nats() -> None:
    data = Dataset(x=torch.zeros(5, 1, 2, 2, dtype=torch.uint8), spec=IMAGE)
    found = tasks.log_likelihood(Uniform(Config(), IMAGE), data)
    assert found.exact
    assert found.bits_per_dim == pytest.approx(8.0)
    assert "4 dimensions" in found.derivation


def test_neighbours_equal_brute_force() -> None:
    g = torch.Generator().manual_seed(0)
    train = Dataset(x=torch.randn(5000, 3, generator=g), spec=TABLE)
    samples = torch.randn(7, 3, generator=g)
    found = tasks.nearest(samples, train, 3)
    distances, rows = torch.cdist(samples.double(), train.x.double()).topk(3, largest=False)
    assert torch.equal(found.rows, rows)
    torch.testing.assert_close(found.distances, distances)
    assert tasks.nearest(train.x[[17, 4321]], train).distances.max() == 0


def test_classes_are_drawn_as_often_as_in_training_unless_asked_for_evenly() -> None:
    """A class of 3 % was drawn in 50 % of the samples."""
    spec = DataSpec(kind="table", shape=(3,), classes=("a", "b", "never"), class_counts=(970, 30, 0))
    model = Labelled(Config(), spec)
    drawn = tasks.sample(model, 4_000, seed=5).condition
    assert drawn is not None
    counts = torch.bincount(drawn, minlength=3).tolist()
    assert counts[1] == pytest.approx(120, abs=44)  # 4 standard deviations
    assert counts[2] == 0
    assert torch.equal(drawn, tasks.sample(model, 4_000, seed=5, size=7).condition)
    assert torch.equal(drawn[1_000:], tasks.sample(model, 3_000, seed=Seeds(5, 1_000)).condition)
    assert not torch.equal(drawn, tasks.sample(model, 4_000, seed=6).condition)
    assert tasks.sample(model, 4, seed=5, prior="even").condition.tolist() == [0, 1, 2, 0]
    restored = from_json(DataSpec, to_json(spec))
    assert restored.class_counts == spec.class_counts
    torch.testing.assert_close(
        Label.from_spec(spec).frequencies(), torch.tensor([0.97, 0.03, 0.0], dtype=torch.float64)
    )
    for unknown in (replace(spec, class_counts=()), replace(spec, classes=("a", "b"))):
        assert not unknown.counted
        assert Label.from_spec(unknown).frequencies().unique().numel() == 1


def test_samples_take_classes_in_turn_and_do_not_depend_on_the_batch() -> None:
    model = Labelled(Config(), DataSpec(kind="table", shape=(3,), classes=("a", "b")))
    whole = tasks.sample(model, 7, seed=5)
    assert whole.condition is not None
    assert whole.condition.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert torch.equal(whole.x, tasks.sample(model, 7, seed=5, size=2).x)
    assert tasks.sample(model, 3, condition=torch.tensor([1]), seed=0).x.mean() == pytest.approx(1, abs=0.2)


def test_the_plane_is_that_of_greatest_variance() -> None:
    g = torch.Generator().manual_seed(0)
    z = torch.randn(500, 5, generator=g) * torch.tensor([0.1, 5.0, 0.1, 2.0, 0.1])
    flat = tasks.pca_2d(z)
    assert flat.shape == (500, 2)
    torch.testing.assert_close(flat.var(0), torch.tensor([25.0, 4.0]), rtol=0.2, atol=0.0)
    assert torch.equal(tasks.pca_2d(z[:, :2]), z[:, :2])
    assert torch.equal(tasks.pca_2d(z[:1]), torch.zeros(1, 2)), "one example has no spread"


def test_a_grid_places_every_image() -> None:
    images = torch.rand(5, 1, 4, 4)
    sheet = grid(images, 3, gap=2, scale=1)
    assert sheet.shape == (2 * 6 + 2, 3 * 6 + 2, 3)
    torch.testing.assert_close(sheet[2:6, 8:12, 0].float() / 255, images[1, 0], atol=0.003, rtol=0)
    assert (sheet[8:12, 14:18] == 255).all()


def test_what_is_missing_is_named_with_who_has_it() -> None:
    with pytest.raises(
        tasks.Unsupported,
        match=r"sample needs a model with a way to sample, which Doubling lacks; recipes with it: .*vae",
    ):
        tasks.sample(Doubling(TABLE), 1)
    with pytest.raises(tasks.Unsupported, match="complete needs a model with a way to fill in what is missing"):
        tasks.complete(Doubling(TABLE), Batch(torch.zeros(1, 3)), torch.ones(3, dtype=torch.bool))


def test_bad_requests_are_one_sentence() -> None:
    model, batch = Doubling(TABLE), Batch(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="dimensions 0 to 2"):
        tasks.traverse(model, batch, (3,))
    with pytest.raises(ValueError, match="2 or more"):
        tasks.interpolate(model, batch, batch, 1)
    half = Half(Config(), TABLE)
    with pytest.raises(ValueError, match=r"mask has shape \(2,\)"):
        tasks.complete(half, batch, torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="1 or more"):
        tasks.complete(half, batch, torch.ones(3, dtype=torch.bool), 0)
    with pytest.raises(ValueError, match="takes none"):
        tasks.sample(Linear(Config(), DataSpec(kind="table", shape=(1,))), 2, condition=torch.tensor([1]))
    with pytest.raises(ValueError, match="conditioned on the class"):
        tasks.encode(ConditionalDoubling(DataSpec(kind="table", shape=(3,), classes=("a",))), batch)


class ConditionalDoubling(Doubling):
    condition = Label(("a",))


class Named(Doubling):
    """The same, whose latent is a grid of names."""

    discrete = True


def test_there_is_nothing_between_the_entries_of_a_codebook() -> None:
    model, batch = Named(TABLE), Batch(torch.rand(2, 3))
    with pytest.raises(tasks.Unsupported, match="codebook"):
        tasks.interpolate(model, batch, batch)
    with pytest.raises(tasks.Unsupported, match="codebook"):
        tasks.traverse(model, batch, [0])
    assert torch.equal(tasks.reconstruct(model, batch), batch.x)
