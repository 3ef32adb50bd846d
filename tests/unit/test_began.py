"""BEGAN: its losses against their formulas, and its balance and learning rate against a replay by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.settings import DataConfig
from genwerk.families.began import BEGAN, BEGANConfig, m_global, next_k
from genwerk.nn.adversarial.began import BEGANConvConfig, BEGANDecoder, BEGANEncoder, BEGANMLPConfig, sizes
from genwerk.nn.adversarial.mlp import MLPDiscriminator
from genwerk.runs import store
from genwerk.training.events import RoundDone, Saved
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig
from genwerk.training.trainer import Trainer

TABLE = DataSpec(kind="table", shape=(4,))
CONFIG = BEGANConfig(
    network=BEGANMLPConfig(width=8, layers=1), latent=3, hidden=2, lambda_k=0.5, patience=5, slowest=0.2
)
OPTIM = {"generator": OptimConfig(lr=1e-3), "discriminator": OptimConfig(lr=1e-3)}
TRAIN = TrainConfig(rounds=40, batch_size=8, optim=OPTIM, sample_every=0, evaluate_every=0, save_every=0)
DATA = Dataset(x=torch.randn(32, 4, generator=torch.Generator().manual_seed(0)), spec=TABLE)


def fresh(config: BEGANConfig = CONFIG) -> BEGAN:
    torch.manual_seed(0)
    return BEGAN(config, TABLE)


def rounds(model: BEGAN, train: TrainConfig = TRAIN) -> list[dict[str, float]]:
    """Figures of every round, with k and the rate as the round left them."""
    found = []
    for event in Trainer(model, DATA, train):
        if isinstance(event, RoundDone):
            figures = {name: value.item() for name, value in event.metrics.items()}
            found.append(figures | {"next k": model.k.item(), "next rate": model.rate.item()})
    return found


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [1, 2])
def test_losses_and_gradients_are_the_formulas(eta: int) -> None:
    """L_D = L(x) - k L(G(z)) and L_G = L(G(z)), each with its gradient by its own player's weights."""
    model = fresh(replace(CONFIG, eta=eta)).double()
    x, k = torch.randn(6, 4, dtype=torch.double), torch.tensor(0.3, dtype=torch.double)
    z = torch.rand(6, 3, dtype=torch.double) * 2 - 1

    def error(v: torch.Tensor) -> torch.Tensor:
        back = model.discriminator.decoder(model.discriminator.encoder(v))
        return ((v - back) ** 2 if eta == 2 else (v - back).abs()).sum() / v.numel()

    d, g = list(model.discriminator.parameters()), list(model.generator.parameters())
    for found, expected, weights in (
        (model.discriminator_loss(x, z, k)[0], error(x) - 0.3 * error(model.generator(z)), d),
        (model.generator_loss(z)[0], error(model.generator(z)), g),
    ):
        torch.testing.assert_close(found, expected)
        pairs = zip(torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), strict=True)
        for a, b in pairs:
            torch.testing.assert_close(a, b)


def test_a_discriminator_that_reconstructs_nothing_is_refused() -> None:
    model = fresh()
    model.discriminator = MLPDiscriminator((4,), [8])
    with pytest.raises(ValueError, match="give it an autoencoder"):
        model.generator_loss(torch.zeros(2, 3))


def test_images_are_not_squashed_but_shown_in_range() -> None:
    spec = DataSpec(kind="image", shape=(1, 4, 4))
    model = BEGAN(replace(CONFIG, network=BEGANMLPConfig(width=4, layers=1)), spec)
    raw = torch.tensor([-3.0, -0.5, 3.0])
    assert torch.equal(model.squash(raw), raw)
    assert torch.equal(model.outward(raw), torch.tensor([0.0, 0.25, 1.0]))


# --- the balance ------------------------------------------------------------------------------------------------------


def test_k_and_m_global_follow_their_equations_round_by_round() -> None:
    model, k = fresh(), 0.0
    for figures in rounds(model):
        loss_x, loss_g = figures["L(x)"], figures["L(G(z))"]
        assert figures["k"] == pytest.approx(k, abs=1e-6)
        assert figures["M_global"] == pytest.approx(loss_x + abs(0.5 * loss_x - loss_g), abs=1e-6)
        k = min(1.0, max(0.0, k + 0.5 * (0.5 * loss_x - loss_g)))
        assert figures["next k"] == pytest.approx(k, abs=1e-5)
    assert k > 0


@pytest.mark.parametrize("loss_x,loss_g", [(100.0, 0.0), (0.0, 100.0), (1e30, 1.0), (0.0, 0.0)])
def test_k_stays_between_0_and_1(loss_x: float, loss_g: float) -> None:
    k = torch.tensor(0.4)
    for _ in range(20):
        k = next_k(k, torch.tensor(loss_x), torch.tensor(loss_g), 0.5, 0.1)
        assert 0 <= k <= 1


def test_known_values() -> None:
    loss_x, loss_g = torch.tensor(0.8), torch.tensor(0.1)
    assert m_global(loss_x, loss_g, 0.5).item() == pytest.approx(1.1)
    assert next_k(torch.tensor(0.2), loss_x, loss_g, 0.5, 0.1).item() == pytest.approx(0.23)


# --- the learning rate ------------------------------------------------------------------------------------------------


def test_the_learning_rate_halves_when_m_stalls_and_only_then() -> None:
    model = fresh(replace(CONFIG, patience=3, slowest=0.2))
    heard = (5.0, 4.0, 3.0, 3.0, 2.0, 1.0, 2.0, 2.0, 2.0, 3.0, 1.0, 3.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0)
    rates = []
    for round, m in enumerate(heard, start=1):
        model._watch(torch.tensor(m), round)
        rates.append(model.rate.item())
    # windows' means 4, 2, 2 (not below), 2.33, 9, 1: kept, kept, halved, halved, at the floor, kept there
    assert rates[2::3] == pytest.approx([1.0, 1.0, 0.5, 0.25, 0.2, 0.2])
    assert rates[:8] == [1.0] * 8
    assert model.best.item() == pytest.approx(1.0)


def test_a_game_that_stands_still_slows_down_in_both_optimisers() -> None:
    still = replace(
        TRAIN, optim={"generator": OptimConfig(lr=0.0), "discriminator": OptimConfig(lr=0.0)}, batch_size=32
    )
    model = fresh(replace(CONFIG, patience=4, prior="uniform"))
    trainer = Trainer(model, DATA, still)
    trainer.fit()
    assert model.rate == pytest.approx(0.2)
    assert {player.rate for player in trainer.players.values()} == {model.rate.item()}


def test_patience_0_never_halves() -> None:
    model = fresh(replace(CONFIG, patience=0))
    assert {figures["next rate"] for figures in rounds(model)} == {1.0}


def test_k_and_rate_survive_a_resume(tmp_path: Path) -> None:
    """A run that stops once the rate has been halved, and goes on, ends with the same bits."""
    config = replace(CONFIG, patience=2)
    recipe = Recipe(model=config, train=TRAIN, data=DataConfig(source="made"))
    checkpoints = store.Checkpoints(tmp_path, store.describe("began", recipe, TABLE))
    whole, first = Trainer(fresh(config), DATA, TRAIN), Trainer(fresh(config), DATA, TRAIN, checkpoints=checkpoints)
    path = None
    for event in first:
        if isinstance(event, RoundDone) and event.round == 31:
            first.stop()
        if isinstance(event, Saved):
            path = event.path
    assert path is not None
    stored = store.find(path)
    rest = Trainer(store.load_model(stored, averaged=False), DATA, TRAIN)
    rest.resume(store.load_state(stored))
    assert rest.model.get_buffer("rate") < 1
    expected, found = whole.fit().state_dict(), rest.fit().state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 28, 28), (3, 17, 30), (1, 16, 16)])
def test_networks_fit_any_image(shape: tuple[int, ...]) -> None:
    generator, discriminator = BEGANConvConfig(width=2).build(shape, latent=5, hidden=6)
    x = generator(torch.randn(2, 5))
    output = discriminator(x)
    assert x.shape == (2, *shape)
    assert output.reconstruction is not None
    assert output.reconstruction.shape == x.shape
    assert output.score.shape == (2,)
    assert output.features[0].shape == (2, 6)
    torch.testing.assert_close(output.score, -(x - output.reconstruction).abs().mean((1, 2, 3)))


def test_networks_are_the_paper_s() -> None:
    """Sides to 8 pixels; n, 2n, 3n, 4n channels down and n all the way up; 3x3 filters; nothing normalised."""
    assert sizes((3, 64, 64)) == [(64, 64), (32, 32), (16, 16), (8, 8)]
    down = [m for m in BEGANEncoder((3, 64, 64), 6, 2).modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in down] == [2, 2, 2, 4, 4, 4, 6, 6, 6, 8, 8, 8]
    decoder = BEGANDecoder((3, 64, 64), 6, 2)
    up = [m for m in decoder.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in up] == [2] * 8 + [3]
    assert {m.kernel_size for m in down + up} == {(3, 3)}
    assert not any(isinstance(m, (nn.BatchNorm2d, nn.GroupNorm, nn.Dropout)) for m in decoder.modules())
    assert isinstance(decoder.body[-1], nn.Conv2d)


def test_mistakes_are_refused_with_what_to_type() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        BEGANConfig(gamma=1.5)
    with pytest.raises(ValueError, match="slowest"):
        BEGANConfig(slowest=0.0)
    with pytest.raises(ValueError, match="conditioning none"):
        BEGANConfig(conditioning="concatenate")
    with pytest.raises(ValueError, match="network mlp"):
        BEGAN(BEGANConfig(), TABLE)
