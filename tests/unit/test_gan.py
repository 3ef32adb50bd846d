"""The games of the GAN papers: who takes which step when, what is refused, and what each network may know."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genwerk.core.model import build
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.gan import GAN, GANConfig
from genwerk.nn.adversarial import AdversarialNetwork, DCGANConfig, MLPConfig, ResNetConfig
from genwerk.nn.adversarial.augment import DRAWS, augment
from genwerk.nn.adversarial.dcgan import DCGANDiscriminator, DCGANGenerator
from genwerk.nn.adversarial.objectives import Hinge, Wasserstein
from genwerk.nn.adversarial.resnet import ResNetDiscriminator, ResNetGenerator
from genwerk.recipes import recipe
from genwerk.recipes.gan import pair
from genwerk.training.events import RoundDone
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

TABLE = DataSpec(kind="table", shape=(2,))
IMAGE = DataSpec(kind="image", shape=(1, 16, 16), classes=("a", "b", "c"))


def table(n: int = 64) -> Dataset:
    return Dataset(x=torch.randn(n, 2, generator=torch.Generator().manual_seed(0)).double() * 3 + 1, spec=TABLE)


def images(spec: DataSpec = IMAGE, n: int = 24) -> Dataset:
    x = torch.randint(256, (n, *spec.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Dataset(x=x, spec=spec, condition=torch.arange(n) % 3)


def trainer(config: GANConfig, data: Dataset, rounds: int = 3, **train: object) -> Trainer:
    torch.manual_seed(0)
    settings = TrainConfig(
        rounds=rounds, batch_size=8, optim=pair(OptimConfig(lr=1e-3)), sample_every=0, evaluate_every=0
    )
    return Trainer(build(config, data.spec), data, replace(settings, **train))  # type: ignore[arg-type]


MLP = GANConfig(network=MLPConfig(width=16), latent=2, norm="none")


# --- the schedule -----------------------------------------------------------------------------------------------------


def test_the_critic_takes_its_steps_and_its_weights_stay_clipped_after_each() -> None:
    """WGAN, algorithm 1: n_critic steps, each followed by clipping, then one step of the generator."""
    play = trainer(replace(MLP, objective=Wasserstein(), critic_steps=5, clip=0.01), table())
    game, beyond = play.model, []
    assert isinstance(game, GAN)
    loss = game.generator_loss

    def spy(*data: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        beyond.append(max(p.abs().max().item() for p in game.discriminator.parameters()))
        return loss(*data)

    game.generator_loss = spy  # type: ignore[method-assign,assignment]
    steps = [dict(e.steps) for e in play if isinstance(e, RoundDone)]
    assert steps == [{"discriminator": 5 * n, "generator": n} for n in (1, 2, 3)]
    assert max(beyond) <= 0.01 + 1e-9
    assert max(p.abs().max().item() for p in game.discriminator.parameters()) <= 0.01 + 1e-9


def test_the_authors_critic_schedule() -> None:
    """WassersteinGAN, main.py: 100 critic steps in each of the first 25 rounds and in every 500th, else 5."""
    game = GAN(replace(MLP, objective=Wasserstein(), critic_steps=5, critic_warmup=100), TABLE)
    counts = Counter(game.critic_steps(g) for g in range(1501))
    assert counts == {100: 25 + 3, 5: 1501 - 28}
    assert [game.critic_steps(g) for g in (24, 25, 499, 500, 501)] == [100, 5, 5, 100, 5]
    assert GAN(replace(MLP, critic_steps=2), TABLE).critic_steps(0) == 2


def test_lazy_r1_counts_as_much_as_it_is_rare() -> None:
    data = table()
    game = GAN(replace(MLP, r1=0.3, r1_every=4), TABLE)
    every = GAN(replace(MLP, r1=0.3), TABLE)
    every.load_state_dict(game.state_dict())
    batch, z, eps = data.batch(slice(8)), torch.randn(8, 2), torch.rand(8)
    plain, _ = game.discriminator_loss(batch, z, eps, None, False)
    lazy, _ = game.discriminator_loss(batch, z, eps, None, True)
    always, _ = every.discriminator_loss(batch, z, eps, None, True)
    torch.testing.assert_close(lazy - plain, 4 * (always - plain))
    seen = [("r1" in e.metrics) for e in trainer(game.config, data, rounds=9) if isinstance(e, RoundDone)]
    assert seen == [n % 4 == 0 for n in range(9)]


def test_r1_is_of_the_gradient_by_the_image_before_it_is_augmented() -> None:
    config = GANConfig(network=DCGANConfig(width=4), latent=3, norm="none", r1=1.0, augment="ada")
    game = GAN(config, IMAGE).double()
    game.p.fill_(0.9)
    x, u = torch.rand(5, *IMAGE.shape).double(), torch.rand(5, 2, DRAWS).double()
    _, metrics = game.discriminator_loss(Batch(x), torch.randn(5, 3).double(), torch.rand(5), u, True)
    real = (2 * x - 1).requires_grad_()
    score = game.discriminator(augment(real, u[:, 0], game.p, "ada")).score
    (gradient,) = torch.autograd.grad(score.sum(), real)
    torch.testing.assert_close(metrics["r1"], 0.5 * gradient.flatten(1).square().sum(1).mean())
    (slope,) = torch.autograd.grad(metrics["r1"], game.discriminator.layers[0][0].weight)
    assert slope.abs().sum() > 0


def test_each_loss_moves_its_own_player_alone() -> None:
    play = trainer(MLP, table(), rounds=1)
    game = play.model
    assert isinstance(game, GAN)
    before = {k: v.clone() for k, v in game.state_dict().items()}
    turns = game.turns(play._stream(play.stages[0]), play.players)
    play._take(next(turns), play.stages[0])
    moved = {k.split(".")[0] for k, v in game.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"discriminator", "standardise"} or moved == {"discriminator"}


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config,reason",
    [
        (
            {"norm": "batch", "gradient_penalty": 10.0},
            "batch normalisation in the discriminator couples",
        ),
        ({"norm": "batch", "r1": 1.0}, "batch normalisation in the discriminator couples"),
        ({"critic_steps": 0}, "must be 1 or more"),
        ({"latent": 0}, "z needs 1 dimension"),
    ],
)
def test_illegal_pairs_are_refused_with_the_reason(config: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        GAN(GANConfig(network=DCGANConfig(width=8), **config), IMAGE)  # type: ignore[arg-type]


def test_labels_must_be_there_and_in_range() -> None:
    with pytest.raises(ValueError, match="needs labels and the data carry none"):
        GAN(replace(MLP, conditioning="concatenate"), TABLE)
    game = GAN(replace(MLP, conditioning="concatenate"), IMAGE).eval()
    with pytest.raises(ValueError, match="a class index from 0 to 2"):
        game.sample(2, torch.tensor([0, 3]), seed=0)


def test_augmentation_and_convolutions_are_for_images() -> None:
    with pytest.raises(ValueError, match="need images"):
        GAN(GANConfig(), TABLE)
    with pytest.raises(ValueError, match="augmentation is of images"):
        GAN(replace(MLP, augment="diffaugment"), TABLE)


# --- networks ---------------------------------------------------------------------------------------------------------


def test_dcgan_at_64_pixels_is_the_paper_s() -> None:
    g, d = DCGANGenerator((3, 64, 64), 100, 128), DCGANDiscriminator((3, 64, 64), 128)
    assert g.project.weight.shape == (1024 * 4 * 4, 100)
    assert [tuple(u.weight.shape[:2]) for u in g.ups] == [(1024, 512), (512, 256), (256, 128), (128, 3)]
    assert [m.out_channels for m in d.modules() if isinstance(m, torch.nn.Conv2d)] == [128, 256, 512, 1024]
    assert not any("Pool" in type(m).__name__ for m in [*g.modules(), *d.modules()])
    assert 0.0195 < g.ups[0].weight.std() < 0.0205
    norms = [m for m in d.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 3  # not on the discriminator's input


@pytest.mark.parametrize("side", [(64, 64), (28, 28), (33, 47)])
def test_kernels_of_5_keep_the_sizes(side: tuple[int, int]) -> None:
    four, five = (
        (DCGANGenerator((3, *side), 5, 4, kernel=k), DCGANDiscriminator((3, *side), 4, kernel=k)) for k in (4, 5)
    )
    z = torch.randn(2, 5)
    assert four[0](z).shape == five[0](z).shape == (2, 3, *side)
    shapes = [[f.shape for f in d(g(z)).features] for g, d in (four, five)]
    assert shapes[0] == shapes[1]
    assert {p.shape[2:] for p in [*five[0].ups.parameters(), *five[1].layers.parameters()] if p.dim() == 4} == {(5, 5)}


@pytest.mark.parametrize("side", [(16, 16), (20, 20), (28, 28), (33, 47), (96, 64), (128, 128)])
@pytest.mark.parametrize("pair_of", [(DCGANGenerator, DCGANDiscriminator), (ResNetGenerator, ResNetDiscriminator)])
def test_any_size_of_image(side: tuple[int, int], pair_of: tuple[type, type]) -> None:
    shape = (2, *side)
    g, d = pair_of[0](shape, 5, 4), pair_of[1](shape, 4)
    x = g(torch.randn(3, 5))
    assert x.shape == (3, *shape)
    output = d(x)
    assert output.score.shape == (3,)
    assert len(output.features) >= 2
    assert all(len(f) == 3 for f in output.features)


def test_the_resnet_critic_is_the_paper_s_at_32_pixels() -> None:
    """Gulrajani et al., table 3: two blocks that halve to 8 pixels, two that do not, the mean, a linear output."""
    d = ResNetDiscriminator((3, 32, 32), 128)
    assert [f.shape[1:] for f in d(torch.randn(2, 3, 32, 32)).features] == [(128, 16, 16), *[(128, 8, 8)] * 3]
    assert sum(p.numel() for p in d.parameters()) == 1_053_825


@pytest.mark.parametrize("conditioning", ["concatenate", "project"])
@pytest.mark.parametrize("network", [MLPConfig(width=8), DCGANConfig(width=8), ResNetConfig(width=8)])
def test_the_label_reaches_both_networks(network: AdversarialNetwork, conditioning: str) -> None:
    config = GANConfig(network=network, latent=4, norm="none", conditioning=conditioning)  # type: ignore[arg-type]
    game = GAN(config, IMAGE).eval()
    for table_ in (m for m in game.modules() if isinstance(m, torch.nn.Embedding)):
        torch.nn.init.normal_(table_.weight)
    same = [game.sample(1, torch.tensor([c]), seed=0) for c in (0, 1)]
    assert not torch.equal(*same)
    scores = [game.judge(same[0], torch.tensor([c])) for c in (0, 1)]
    assert not torch.equal(*scores)


def test_the_projection_head_is_an_inner_product() -> None:
    """Miyato & Koyama, 2018, equation 3: f(x, y) = y^T V phi(x) + psi(phi(x))."""
    d = DCGANDiscriminator((1, 16, 16), 4, "none", classes=3, conditioning="project").double()
    assert d.head.embedding is not None
    x, y = torch.randn(2, 1, 16, 16).double(), torch.tensor([2, 0])
    output = d(x, y)
    phi = output.features[-1].flatten(1)
    expected = phi @ d.head.linear.weight[0] + d.head.linear.bias + (d.head.embedding.weight[y] * phi).sum(1)
    torch.testing.assert_close(output.score, expected)


def test_spectral_normalisation_bounds_every_layer() -> None:
    spec = replace(TABLE, classes=("a", "b", "c"))
    game = GAN(
        replace(MLP, objective=Hinge(), spectral_norm=True, network=MLPConfig(width=32), conditioning="project"), spec
    )
    for _ in range(30):
        game.discriminator(torch.randn(4, 2), torch.tensor([0, 1, 2, 0]))
    layers = [m for m in game.discriminator.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Embedding))]
    assert any(isinstance(m, torch.nn.Embedding) for m in layers)
    for layer in layers:
        assert 0.98 < torch.linalg.matrix_norm(layer.weight, 2) < 1.02


# --- units ------------------------------------------------------------------------------------------------------------


def test_units_inside_and_outside() -> None:
    game = GAN(GANConfig(network=DCGANConfig(width=8)), IMAGE)
    x = torch.rand(3, 1, 16, 16)
    assert game.inward(x).amin() >= -1
    torch.testing.assert_close(game.outward(game.inward(x)), x)
    data = table(500)
    model = trainer(MLP, data, rounds=1).fit()
    assert isinstance(model, GAN)
    inward = model.inward(data.x)
    torch.testing.assert_close(inward.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.outward(inward), data.x, atol=1e-5, rtol=1e-5)


def test_a_batch_of_one_needs_no_batch_normalisation() -> None:
    config = GANConfig(network=MLPConfig(width=8), latent=2, norm="batch")
    with pytest.raises(ValueError, match="two examples or more in a batch"):
        trainer(config, table(), batch_size=1).fit()
    trainer(replace(config, norm="layer"), table(), batch_size=1).fit()


@pytest.mark.parametrize("name", ["gan", "dcgan", "lsgan", "wgan", "wgan-gp", "hinge-gan"])
@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 28, 28), (3, 20, 30)])
def test_recipes_fit_images_of_any_size(name: str, shape: tuple[int, ...]) -> None:
    spec = DataSpec(kind="image", shape=shape)
    game = build(recipe(name, spec).model, spec).eval()
    assert isinstance(game, GAN)
    assert game.sample(2, seed=0).shape == (2, *shape)
